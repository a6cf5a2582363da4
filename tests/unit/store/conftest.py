"""A store of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store import open_store
from controller.store.sql import SqlStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with open_store(str(tmp_path / "store.db")) as opened:
        yield opened
