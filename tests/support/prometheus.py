"""A real Prometheus on loopback over series that were written beforehand: nothing is waited for."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from support.web import free_port

MISSING = "needs prometheus and promtool: apt install prometheus (Debian)"
PATIENCE_S = 60


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
