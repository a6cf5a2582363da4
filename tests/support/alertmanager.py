"""A real Alertmanager on loopback that tells a receiver of the test's own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from support.web import free_port

MISSING = "needs Alertmanager: apt install prometheus-alertmanager (Debian)"
PATIENCE_S = 60
CONFIG = """
route: {{receiver: test, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: test
    webhook_configs: [{{url: "{receiver}", send_resolved: true}}]
"""


@contextmanager
def alertmanager(place: Path, receiver: str) -> Iterator[str]:
    """The URL of a server that tells `receiver`."""
    names = ("prometheus-alertmanager", "alertmanager")
    server = next(filter(None, map(shutil.which, names)), None)
    if server is None:
        pytest.skip(MISSING)
    config = place / "alertmanager.yml"
    config.write_text(CONFIG.format(receiver=receiver))
    port = free_port()
    command = [
        server,
        f"--config.file={config}",
        f"--storage.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (place / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        again = urllib3.Retry(500, backoff_factor=0.05, backoff_max=0.2, status_forcelist=[503])
        with urllib3.PoolManager() as pool:
            assert pool.request("GET", f"{url}/-/ready", retries=again).status == 200
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
