"""A real Alertmanager on loopback that tells a receiver of the test's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.background import ready
from support.web import free_port

MISSING = "needs Alertmanager: apt install prometheus-alertmanager (Debian)"
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
    with ready(command, place, f"http://127.0.0.1:{port}") as url:
        yield url
