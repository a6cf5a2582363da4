"""A real Prometheus on loopback over series that were written beforehand: nothing is waited for."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.background import ready
from support.web import free_port

MISSING = "needs prometheus and promtool: apt install prometheus (Debian)"


@contextmanager
def prometheus(place: Path, series: str) -> Iterator[str]:
    """The URL of a server that knows `series`, in OpenMetrics with times."""
    server, tool = shutil.which("prometheus"), shutil.which("promtool")
    if server is None or tool is None:
        pytest.skip(MISSING)
    (place / "series.txt").write_text(series)
    (place / "prometheus.yml").write_text("global: {scrape_interval: 15s}\n")
    data = place / "data"
    series_file = str(place / "series.txt")
    write = [tool, "tsdb", "create-blocks-from", "openmetrics", series_file, str(data)]
    subprocess.run(write, check=True, capture_output=True)
    port = free_port()
    command = [
        server,
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with ready(command, place, f"http://127.0.0.1:{port}") as url:
        yield url
