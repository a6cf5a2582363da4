"""The same core in other time: scenarios, virtual clock, recorded history, pytest plugin."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from controller.policy.files import files_below

SUFFIX = ".scenarios.yaml"


def find_scenarios(paths: Iterable[Path]) -> Iterator[Path]:
    """Scenario files below `paths`, each once, in order; a policy stands for the file beside it."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            candidates = [found for found in files_below(path) if found.name.endswith(SUFFIX)]
        elif path.name.endswith(SUFFIX):
            candidates = [path]
        else:
            candidates = [path.with_name(path.stem + SUFFIX)]
        for candidate in candidates:
            if candidate.is_file() and candidate not in seen:
                seen.add(candidate)
                yield candidate
