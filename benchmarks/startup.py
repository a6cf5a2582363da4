"""How long a person waits: `rollout --help` and `rollout validate` of one file, as processes.

Beside them a bare `python -c pass`, in turn, so that a slow machine shows.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

POLICY = Path(__file__).parent.parent / "policies" / "ifd-v3.yaml"
TARGET_MS = 250
ROLLOUT = Path(sys.executable).parent / "rollout"


def main() -> int:
    """Run each in turn and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "rollout --help": [str(ROLLOUT), "--help"],
        "rollout validate": [str(ROLLOUT), "validate", str(POLICY)],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            seconds = _seconds(command)
            if turn:  # the first fills the caches
                taken[name].append(seconds * 1000)
    for name, figures in taken.items():
        print(
            f"{name:17} {median(figures):6.0f} ms (min {min(figures):.0f}, max {max(figures):.0f})"
        )
    slowest = max(median(figures) for figures in taken.values())
    return int(slowest > TARGET_MS)


def _seconds(command: list[str]) -> float:
    begin = perf_counter()
    # As for a person: the byte code of the first run is kept for the next.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, env=env)
    return perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
