"""Who writes, as one process reads it: the order, the fence of what it has seen, and the lock."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.core.effect import Phase
from controller.traffic.handover import (
    LARGEST,
    LOCK,
    ORDER,
    WRITING,
    Order,
    Report,
    Role,
    decode_order,
)
from controller.traffic.route import Side

LOCKED_FOR = 1.0
"""Seconds that a writer waits for the lock; the controller holds it for a few milliseconds."""
AGAIN = 0.001


class Orders:
    """Reads the order for process `name`. Who is unsure does not write: the candidate's process
    needs an order that can be read now, the baseline's goes on by the last good one, and writes
    alone where nobody has ever said anything."""

    def __init__(self, directory: Path, name: str, side: Side, before: Report | None) -> None:
        """`before`: what the process said last, also before a restart."""
        self.order: Order | None = None
        self.trouble = ("", "")
        """What was wrong at the last look, as a kind (`order`, `refused`, `lock`) and in words."""
        self._directory, self._name, self._side = directory, name, side
        self._newest: dict[str, tuple[int, int]] = {}
        if before is not None and before.token:
            self._newest[before.store] = (before.epoch, before.token)

    def look(self) -> Role:
        """Read the order; the role of this process by it."""
        self.trouble = self._read()
        if self.order is None:
            alone = self._side is Side.BASELINE and not self._newest
            return Role.WRITES if alone else Role.SHADOWS
        role = self.order.role(self._name)
        unsure = self.trouble != ("", "") and self._side is Side.CANDIDATE
        return Role.SHADOWS if unsure and role in WRITING else role

    def _read(self) -> tuple[str, str]:
        path = self._directory / ORDER
        try:
            with path.open("rb") as file:
                found = decode_order(file.read(LARGEST))
            found.role(self._name)
        except FileNotFoundError:
            return ("order", f"there is no {path} any more") if self._newest else ("", "")
        except OSError as error:
            return "order", f"{path}: {error.strerror or error}"
        except ValueError as error:
            return "order", f"{path}: {error}"
        fence, newest = (found.epoch, found.token), self._newest.get(found.store, (0, 0))
        if fence < newest and found.phase is not Phase.BACK:
            return "refused", f"decision {found.token} is older than {newest[1]}, already seen"
        self.order = found
        self._newest[found.store] = max(fence, newest)
        return "", ""

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock beside the order; whether it could be had. Who has it is the only one that
        writes to the market or replaces the order, and the kernel takes it back from a process that
        dies."""
        path = self._directory / LOCK
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        except OSError as error:
            self.trouble = ("lock", f"{path}: {error.strerror or error}")
            yield False
            return
        with file:
            yield self._had(file.fileno())

    def _had(self, lock: int) -> bool:
        until = time.monotonic() + LOCKED_FOR
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= until:
                    self.trouble = ("lock", f"somebody else has been writing for {LOCKED_FOR:g} s")
                    return False
                time.sleep(AGAIN)
            else:
                return True
