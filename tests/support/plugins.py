"""A real distribution made for a test: a module, and metadata with entry points, on the path."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.policy.plugins import GROUP


def distribution(
    place: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str, offered: Mapping[str, str]
) -> None:
    """Install it for the time of the test. `offered`: entry points by name."""
    (place / f"{module}.py").write_text(code)
    metadata = place / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in offered.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, module, raising=False)
    # Taken out again when the test is over.
    monkeypatch.setitem(sys.modules, module, sys)
    del sys.modules[module]
