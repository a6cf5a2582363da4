"""A real HAProxy on loopback with real HTTP servers behind it; who answers is counted."""

import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from support.web import Asked, Server, free_port

MISSING = "needs haproxy: apt install haproxy (Debian)"
PATIENCE_S = 60
VERSIONS = {"old": ("old-1", "old-2"), "new": ("new-1", "new-2")}
SERVERS = """\
server old-1 {old-1} weight 100 {check}
server old-2 {old-2} weight 100 {check}
server new-1 {new-1} disabled {check}
server new-2 {new-2} disabled {check}
"""
CONFIGURATION = """\
global
  stats socket {socket} level admin
  stats socket ipv4@127.0.0.1:{api} level admin
  nbthread 1
  hard-stop-after 1s
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  {defaults}
frontend front
  bind 127.0.0.1:{port}
  default_backend checkout
backend checkout
  balance {balance}
  {options}
{servers}
"""


class HaproxyServer:
    """One HAProxy process, with the servers behind it."""

    def __init__(self, place: Path, behind: dict[str, Server]) -> None:
        self.socket = place / "admin.sock"
        self.behind = behind
        self.port, self.api = free_port(), free_port()
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, servers: str = SERVERS, **settings: str) -> None:
        """With this configuration; returns when it serves."""
        program = shutil.which("haproxy")
        assert program is not None
        said = {"balance": "roundrobin", "options": "", "defaults": "", "check": ""} | settings
        places = {name: server.url.removeprefix("http://") for name, server in self.behind.items()}
        listed = servers.format(check=said["check"], **places)
        text = CONFIGURATION.format(
            socket=self.socket, port=self.port, api=self.api, servers=listed, **said
        )
        (self._place / "haproxy.cfg").write_text(text)
        with (self._place / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-db", "-f", str(self._place / "haproxy.cfg")], stdout=log, stderr=log
            )
        again = urllib3.Retry(connect=500, backoff_factor=0.02, backoff_max=0.1)
        with urllib3.PoolManager() as pool:
            url = f"http://127.0.0.1:{self.port}/"
            try:
                pool.request("GET", url, retries=again)
            except urllib3.exceptions.MaxRetryError:
                raise AssertionError((self._place / "log.txt").read_text()) from None

    def stop(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None

    def restart(self, servers: str = SERVERS, **settings: str) -> None:
        """What was set at run time is gone."""
        self.stop()
        self.start(servers, **settings)

    def say(self, command: str) -> str:
        """A command of the runtime API, by hand."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.socket))
            line.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: line.recv(65_536), b"")).decode().strip()

    def ask(self, times: int, **headers: str) -> Counter[str]:
        """Real requests: how many each server answered, `503` for nobody."""
        counted: Counter[str] = Counter()
        with urllib3.PoolManager(headers=headers) as pool:
            for _ in range(times):
                reply = pool.request("GET", f"http://127.0.0.1:{self.port}/", retries=False)
                counted[reply.data.decode() if reply.status == 200 else str(reply.status)] += 1
        return counted

    def shares(self, times: int = 200) -> dict[str, int]:
        """Real requests: how many each version answered."""
        counted = self.ask(times)
        return {
            version: sum(counted[name] for name in names) for version, names in VERSIONS.items()
        }

    def wait_for(self, server: str, status: str) -> None:
        """Until HAProxy's own checks have found a server in this state."""
        for _ in range(2000):
            if f",{status}," in self._line(server):
                return
            self.ask(1)
        raise AssertionError(f"{server} is not {status}: {self._line(server)}")

    def _line(self, server: str) -> str:
        lines = self.say("show stat checkout 4 -1").splitlines()
        return next(line for line in lines if line.startswith(f"checkout,{server},"))


@contextmanager
def haproxy(place: Path, *names: str, **settings: Any) -> Iterator[HaproxyServer]:
    """A HAProxy that serves, before servers called by these names (those of `VERSIONS`)."""
    if shutil.which("haproxy") is None:
        pytest.skip(MISSING)
    behind = _behind(names or tuple(name for group in VERSIONS.values() for name in group))
    server = HaproxyServer(place, behind)
    contexts = [each.running() for each in behind.values()]
    for context in contexts:
        context.__enter__()
    try:
        server.start(**settings)
        yield server
    finally:
        server.stop()
        for context in contexts:
            context.__exit__(None, None, None)


def _behind(names: Sequence[str]) -> dict[str, Server]:
    def answering(name: str) -> Server:
        def react(asked: Asked) -> None:
            asked.answer(name)

        return Server(react)

    return {name: answering(name) for name in names}
