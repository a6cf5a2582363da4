"""Which files are policies and which are scenarios, by their names."""

import os
from collections.abc import Iterator
from pathlib import Path

POLICY_SUFFIXES = (".yaml", ".yml")
SCENARIOS = ".scenarios"
"""At the end of the name of a policy's scenario file, before the suffix."""


def is_policy(path: Path) -> bool:
    """Whether a file of this name is a policy."""
    return path.suffix in POLICY_SUFFIXES and not is_scenario(path)


def is_scenario(path: Path) -> bool:
    """Whether a file of this name has a policy's scenarios."""
    return path.suffix in POLICY_SUFFIXES and path.stem.endswith(SCENARIOS)


def files_below(directory: Path) -> Iterator[Path]:
    """Every file below a directory, in order; what is hidden (`.git`, `.venv`) is passed over."""
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
