"""How published states come to a client: a file, looked at by a thread of its own."""

import logging
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

LARGEST = 8 << 20
"""Bytes of a published state. A larger file is none."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Something new was seen: the content, and when it was last written or renewed, in seconds
    of the writer's wall clock. `age_s`: how long ago that was by the same clock, if it said so."""

    content: bytes
    written_at: float
    age_s: float | None = None


class FeedError(Exception):
    """Nothing can be seen; `kind` is `missing` or `unreadable`."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class Feed(Protocol):
    """Where states come from."""

    def look(self) -> Sight | None:
        """What is new since the last look; None: nothing. Raises FeedError."""
        ...

    def follow(self, seen: Callable[[], object]) -> bool:
        """Call `seen`, a bound method of which only a weak reference is kept, for each thing that
        a look would find. False: it cannot tell. Called again after a fork."""
        ...

    def close(self) -> None:
        """Follow no more."""
        ...


class FileFeed:
    """A file that is replaced as a whole, as the controller does. A look at one that has not
    changed is one `stat`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def look(self) -> Sight | None:
        """See `Feed.look`."""
        try:
            if _signature(os.stat(self.path)) == self._seen:  # noqa: PTH116 (half the time)
                return None
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(LARGEST + 1)
        except FileNotFoundError:
            self._seen = None
            raise FeedError("missing", f"there is no file {self.path}") from None
        except (OSError, ValueError) as error:
            self._seen = None
            words = getattr(error, "strerror", None) or error
            raise FeedError("unreadable", f"{self.path}: {words}") from None
        self._seen = _signature(status)
        if len(content) > LARGEST:
            raise FeedError("unreadable", f"{self.path}: larger than {LARGEST} bytes")
        return Sight(content, status.st_mtime)

    def follow(self, seen: Callable[[], object]) -> bool:  # noqa: ARG002
        """A file cannot tell."""
        return False

    def close(self) -> None:
        """Nothing is open between two looks."""


class Watcher:
    """Calls `look` every so many seconds in a thread of its own, until it is stopped or nobody
    holds what it looks for any more."""

    def __init__(self, look: Callable[[], object], every: float) -> None:
        """`look`: a bound method; only a weak reference to it is kept."""
        self._look = weakref.WeakMethod(look)
        self._every = every
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.start()

    @property
    def alive(self) -> bool:
        """Whether it still looks."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to look; the first time is after one interval."""
        if not self._stopped.is_set():
            self._stopped = threading.Event()
            self._thread = threading.Thread(target=self._run, name="rollout-share", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for a look that is under way."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        stopped = self._stopped
        while not stopped.wait(self._every):
            look = self._look()
            if look is None:
                return
            try:
                look()
            except Exception:
                log.exception("the published share cannot be looked at; tried again")
            del look


def _signature(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino
