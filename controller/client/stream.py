"""How published states come to a client from a controller that is elsewhere: as server-sent events.

A state that is cut off half-way is none: an event counts once its blank line has come. Whatever
goes wrong, the line is opened again, later each time, and the last good state is kept meanwhile.
"""

import logging
import random
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from controller.client.feed import LARGEST, FeedError, Sight

if TYPE_CHECKING:
    from http.client import HTTPConnection

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
QUIET_SECONDS = 15.0
"""A line on which nothing comes for so long is dead: the controller says something every 5 s."""
SOONEST_SECONDS, LATEST_SECONDS = 0.1, 5.0
"""Between two attempts: at least, and at most (full jitter, doubled each time)."""


class _Event(msgspec.Struct, frozen=True):
    """What comes in one event. `state` as it was published; empty: what came last still stands."""

    written_at: float
    age_s: float
    state: msgspec.Raw = msgspec.Raw()


class _Trouble(msgspec.Struct, frozen=True):
    """The controller cannot see its own file."""

    kind: str
    words: str


class StreamFeed:
    """The states of one rollout from the controller at `url`."""

    def __init__(self, url: str, rollout: str) -> None:
        """Raises ValueError if `url` is none of http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{url!r} is no address of a controller, such as http://127.0.0.1:8787"
            )
        self._parts = parts
        path = f"/v1/rollouts/{quote(rollout, safe='')}/share/stream"
        self._path = parts.path.rstrip("/") + path
        self._shown = f"{parts.scheme}://{parts.netloc}{self._path}"
        self._lock = threading.Lock()
        self._content: bytes | None = None
        self._news: Sight | FeedError | None = None
        self._socket: socket.socket | None = None
        self._over = threading.Event()

    def look(self) -> Sight | None:
        """See `Feed.look`."""
        with self._lock:
            news, self._news = self._news, None
        if isinstance(news, FeedError):
            raise news
        return news

    def follow(self, seen: Callable[[], object]) -> bool:
        """See `Feed.follow`. In a forked process the parent's line is left alone, and a new one
        is opened."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._socket = None
        threading.Thread(
            target=self._run, args=(weakref.WeakMethod(seen), self._over),
            name="rollout-stream", daemon=True,
        ).start()  # fmt: skip
        return True

    def close(self) -> None:
        """See `Feed.close`."""
        self._over.set()
        line = self._socket
        if line is not None:
            with suppress(OSError):  # it may have ended by itself
                line.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads

    # The thread ---------------------------------------------------------------------------

    def _run(self, seen: "weakref.WeakMethod[Callable[[], object]]", over: threading.Event) -> None:
        pause = SOONEST_SECONDS
        while not over.is_set() and seen() is not None:
            try:
                for news in self._listen(over, seen):
                    pause = SOONEST_SECONDS
                    self._tell(news, seen)
                words = "the controller has closed the line"
            except (OSError, ValueError) as error:
                words = str(error) or type(error).__name__
            if over.is_set():
                return
            self._tell(FeedError("unreadable", f"{self._shown}: {words}"), seen)
            over.wait(random.uniform(SOONEST_SECONDS, max(pause, SOONEST_SECONDS)))
            pause = min(2 * pause, LATEST_SECONDS)

    def _tell(
        self, news: Sight | FeedError, seen: "weakref.WeakMethod[Callable[[], object]]"
    ) -> None:
        with self._lock:
            self._news = news
        look = seen()
        if look is not None:
            look()

    def _listen(
        self, over: threading.Event, seen: "weakref.WeakMethod[Callable[[], object]]"
    ) -> Iterator[Sight | FeedError]:
        """What comes over one line until it ends. Raises OSError, ValueError."""
        from http.client import HTTPException

        line = self._connection()
        try:
            line.connect()
            self._socket = line.sock
            line.sock.settimeout(QUIET_SECONDS)
            line.request("GET", self._path, headers={"Accept": "text/event-stream"})
            answer = line.getresponse()
            kind = answer.headers.get_content_type()
            if answer.status != 200 or kind != "text/event-stream":
                raise ValueError(_refusal(answer.status, answer.read(2000)))
            for name, data in _events(answer, lambda: over.is_set() or seen() is None):
                yield self._news_of(name, data)
        except HTTPException as error:
            raise ValueError(f"no answer as HTTP has it: {type(error).__name__}") from error
        finally:
            self._socket = None
            line.close()

    def _connection(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        assert self._parts.hostname is not None
        return kind(self._parts.hostname, self._parts.port, timeout=CONNECT_SECONDS)

    def _news_of(self, name: str, data: bytes) -> Sight | FeedError:
        if name == "trouble":
            trouble = msgspec.json.decode(data, type=_Trouble)
            return FeedError(trouble.kind, trouble.words)
        event = msgspec.json.decode(data, type=_Event)
        if bytes(event.state):
            self._content = bytes(event.state)
        if self._content is None:
            raise ValueError("a sign of life without a state")
        return Sight(self._content, event.written_at, event.age_s)


def _events(answer: Any, is_over: Callable[[], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and data of each whole event (WHATWG HTML, section 9.2.6). Raises ValueError when one
    is too large."""
    name, data, size = "message", [], 0
    while not is_over():
        line = answer.readline(LARGEST + 1)
        size += len(line)
        if size > LARGEST:
            raise ValueError(f"an event of more than {LARGEST} bytes")
        if not line.endswith(b"\n"):
            return  # cut off: what has come of the event does not count
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                name = value.decode("ascii", "replace")
            case b"data":
                data.append(value)
            case b"" if not value and not line.startswith(b":"):
                if data:
                    yield name, b"\n".join(data)
                name, data, size = "message", [], 0
            case b"":
                size -= len(line)  # a comment: the line is alive


def _refusal(status: int, body: bytes) -> str:
    """Why there is no stream, in the controller's words where it says some."""
    try:
        said = msgspec.json.decode(body)
        return f"{said['error']} ({status})"
    except (msgspec.DecodeError, LookupError, TypeError):
        return f"answered with {status}, and no stream"
