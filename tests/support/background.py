"""A server of somebody else's, run for a test on loopback until the test is over."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import urllib3

PATIENCE_S = 60


@contextmanager
def ready(command: Sequence[str], place: Path, url: str) -> Iterator[str]:
    """`url`, once what `command` starts says at `/-/ready` that it is."""
    with (place / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        again = urllib3.Retry(500, backoff_factor=0.05, backoff_max=0.2, status_forcelist=[503])
        with urllib3.PoolManager() as pool:
            assert pool.request("GET", f"{url}/-/ready", retries=again).status == 200
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
