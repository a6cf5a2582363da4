"""HAProxy's runtime API: commands over its socket, and what its tables say of servers.

One connection for each command, as its management guide (section 9.3) has it: what comes until the
connection is closed is the answer. Bounded in time and in size.
"""

import csv
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from controller.effects.base import EffectError

LARGEST = 8 << 20
"""Bytes of an answer."""
MOST_AT_ONCE = 50
"""Commands on a line; HAProxy reads lines of some 16 kB."""
_FORCED_MAINTENANCE, _CONFIGURED_MAINTENANCE = 0x01, 0x04
_OUT = 0x01 | 0x02 | 0x08 | 0x10 | 0x20 | 0x40
"""Of `srv_admin_state`: maintenance and drain, whatever the reason."""
_STARTING, _RUNNING = 1, 2
"""Of `srv_op_state`."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server as HAProxy reports it. `weight` is what was set, `effective` what counts at the
    moment (less while it starts slowly), `initial` that of the configuration; `off_at_start`:
    the configuration says `disabled`."""

    name: str
    status: str
    weight: int
    effective: int
    initial: int
    operation: int
    admin: int
    backup: bool

    @property
    def in_maintenance(self) -> bool:
        """Whether it was put out of all work, that of sticky sessions included."""
        return bool(self.admin & _FORCED_MAINTENANCE)

    @property
    def off_at_start(self) -> bool:
        """Whether a restart of HAProxy leaves it without work."""
        return self.initial == 0 or bool(self.admin & _CONFIGURED_MAINTENANCE)

    @property
    def rests(self) -> bool:
        """Whether it is out of work as a share of 0%, or the configuration, leaves it."""
        configured = bool(self.admin & _CONFIGURED_MAINTENANCE)
        return self.in_maintenance and (self.weight == 0 or configured)

    @property
    def can_serve(self) -> bool:
        """Whether it would get work if it had a weight."""
        running = self.operation in (_STARTING, _RUNNING)
        return running and not self.admin & _OUT and not self.backup

    @property
    def taken_out(self) -> bool:
        """Whether somebody has put it out of work that it had."""
        return bool(self.admin & _OUT) and not self.rests

    @property
    def serves(self) -> int:
        """The weight by which it gets work now."""
        return self.effective if self.can_serve else 0


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend and its servers, in its own order."""

    algorithm: str
    servers: dict[str, Server]


class Runtime:
    """The runtime API at `place`, a path or HOST:PORT."""

    def __init__(self, place: str, base_dir: Path, timeout_s: float) -> None:
        """Opens nothing yet. A relative path starts at `base_dir`."""
        self.place = place
        self._base, self._timeout_s = base_dir, timeout_s

    def deadline(self) -> float:
        """When a delivery that begins now must be over, on the steady clock."""
        return monotonic() + self._timeout_s

    def ask(self, command: str, deadline: float) -> str:
        """The answer to a command. Raises EffectError."""
        try:
            with self._connected(deadline) as line:
                line.sendall(command.encode() + b"\n")
                return self._received(line, deadline).decode("utf-8", "replace").strip()
        except TimeoutError:
            raise self._late() from None
        except FileNotFoundError:
            raise self._error(
                "there is no socket; is HAProxy running, with `stats socket ... level admin`?"
            ) from None
        except OSError as error:
            raise self._error((error.strerror or str(error)).lower()) from None

    def tell(self, commands: Sequence[str], deadline: float) -> str:
        """Commands that say nothing when all is well. Returns what was said all the same, in one
        line. Raises EffectError."""
        said: list[str] = []
        for at in range(0, len(commands), MOST_AT_ONCE):
            answer = self.ask(";".join(commands[at : at + MOST_AT_ONCE]), deadline)
            said += (line.strip() for line in answer.splitlines() if line.strip())
        return " ".join(dict.fromkeys(said))[:300]

    def backend(self, name: str, deadline: float) -> Backend:
        """What HAProxy reports of a backend. Raises EffectError."""
        states = {
            row["srv_name"]: row for row in self._table(f"show servers state {name}", deadline)
        }
        algorithm, servers = "", {}
        for row in self._table(f"show stat {name} 6 -1", deadline):
            server, state = row.get("svname", ""), states.get(row.get("svname", ""))
            if server == "BACKEND":
                algorithm = row.get("algo", "")
            elif state is not None:
                servers[server] = self._server(row, state)
        if not algorithm:
            raise self._error(f"it does not report the backend {name}; is its level `admin`?")
        return Backend(algorithm, servers)

    def _server(self, stat: dict[str, str], state: dict[str, str]) -> Server:
        try:
            return Server(
                name=stat["svname"],
                status=stat["status"],
                weight=int(state["srv_uweight"]),
                effective=int(stat["weight"]),
                initial=int(state["srv_iweight"]),
                operation=int(state["srv_op_state"]),
                admin=int(state["srv_admin_state"]),
                backup=stat["bck"] == "1",
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._error(f"its report of servers cannot be read: {error}") from None

    def _table(self, command: str, deadline: float) -> list[dict[str, str]]:
        """Rows of an answer whose first line but a version begins with #. Raises EffectError."""
        answer = self.ask(command, deadline)
        head, found, rows = answer.partition("# ")
        if not found or head.strip() not in ("", "1"):
            words = " ".join(answer.split())[:200] or "nothing"
            raise self._error(f"`{command}` is answered by: {words}")
        sign = "," if "," in rows.partition("\n")[0] else " "
        return list(csv.DictReader(rows.splitlines(), delimiter=sign))

    def _connected(self, deadline: float) -> socket.socket:
        left = self._left(deadline)
        if "/" not in self.place:
            host, _, port = self.place.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)), timeout=left)
        line = socket.socket(socket.AF_UNIX)
        try:
            line.settimeout(left)
            line.connect(str(self._base / self.place))
        except BaseException:
            line.close()
            raise
        return line

    def _received(self, line: socket.socket, deadline: float) -> bytes:
        return b"".join(self._chunks(line, deadline))

    def _chunks(self, line: socket.socket, deadline: float) -> Iterator[bytes]:
        size = 0
        while True:
            line.settimeout(self._left(deadline))
            chunk = line.recv(65_536)
            if not chunk:
                return
            size += len(chunk)
            if size > LARGEST:
                raise self._error(f"its answer is larger than {LARGEST >> 20} MiB")
            yield chunk

    def _left(self, deadline: float) -> float:
        left = deadline - monotonic()
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> EffectError:
        return self._error(f"no answer within {self._timeout_s:g}s")

    def _error(self, words: str) -> EffectError:
        return EffectError(f"{self.place}: {words}")
