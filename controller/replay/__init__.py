"""The same core in other time: scenarios, virtual clock, recorded history, pytest plugin."""

from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIX = ".scenarios.yaml"


def find_scenarios(paths: Iterable[Path]) -> Iterator[Path]:
    """Scenario files below `paths`, each once, in order; a policy stands for the file beside it."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            candidates = sorted(path.rglob(f"*{SUFFIX}"))
        elif path.name.endswith(SUFFIX):
            candidates = [path]
        else:
            candidates = [path.with_name(path.stem + SUFFIX)]
        for candidate in candidates:
            if candidate.is_file() and candidate not in seen:
                seen.add(candidate)
                yield candidate
