"""Every benchmark, one after another, each in a process of its own: `make bench`."""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

NAMES = (
    "startup", "promtool", "fleet", "ingest", "tick", "memory", "routing", "stream", "blending",
)  # fmt: skip


def machine() -> str:
    """What kind of machine this is."""
    cpu = platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> int:
    """1 if any of them failed or missed its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    strangers = set(names) - set(NAMES)
    if strangers:
        parser.error(f"no {', '.join(sorted(strangers))}; there are {', '.join(NAMES)}")
    print(machine())
    failed = False
    for name in names:
        print(f"\n{name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
