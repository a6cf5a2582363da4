"""What holds for every test: on CI nothing is skipped; a store of each test's own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from controller.store import open_store
from controller.store.sql import SqlStore

if TYPE_CHECKING:
    from support.postgres import Server

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store that nobody else has open."""
    with open_store(str(tmp_path / "store.db")) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql() -> Iterator["Server"]:
    """A PostgreSQL server of this process: leave nothing in it that others could trip over."""
    from support import postgres

    with postgres.running() as server:
        yield server


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip says what to install. CI has it all, so there a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.section("skipped on CI, where everything must run", sep="!", red=True)
