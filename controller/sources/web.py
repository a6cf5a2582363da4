"""Questions over HTTP, for every source that is asked so: bounded in time, size and number.

A look has one deadline for all its questions, their retries included; it holds against a server
that answers a byte at a time as well, because the connection is cut. An answer has a largest size,
counted after decompression. Only reads are asked, so a question that met trouble is asked again.
Nothing that is said of trouble holds a secret, a header or a path.
"""

import builtins
import os
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from socket import SHUT_RDWR, socket
from time import monotonic
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
    TimeoutError,
)
from urllib3.util import parse_url

from controller.policy.asking import Asked, Secret
from controller.policy.source import WebSource
from controller.sources.base import SourceError

LARGEST = 16 << 20
"""Bytes of an answer, decompressed."""
LARGEST_SECRET = 65_536
"""Bytes of a file that holds a secret."""
_CHUNK = 65_536
_AGAIN = frozenset({429, 500, 502, 503, 504})
"""Answers of a server in trouble."""
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0
"""Seconds before a question is asked again, doubled each time: a random part of that is waited."""
_WORDS = 300
_SHORTEST = 4
"""Signs of a value that is hidden: a shorter one is in every text."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. With a `body` it is sent by POST. `headers`: those of this question alone."""

    url: str
    accept: str
    body: bytes | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status. `content_type` is in small letters."""

    status: int
    content_type: str
    body: bytes


class Web:
    """Asks for one source. Safe for several threads."""

    def __init__(
        self,
        name: str,
        model: Asked,
        base_dir: Path,
        *,
        random: Random | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """`random` says how long is waited before asking again, `wait` waits."""
        self.name = name
        self._model = model
        self._base = base_dir
        self._random = random or Random()
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._concurrency = model.concurrency if isinstance(model, WebSource) else 1
        self._pool = urllib3.PoolManager(maxsize=self._concurrency, retries=False)
        self._pool.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def ask(self, ask: Ask) -> Reply:
        """Ask once, by the source's timeout. Raises SourceError."""
        return self.ask_by(ask, self.deadline())

    def ask_by(self, ask: Ask, deadline: float) -> Reply:
        """Ask once, by `deadline`. Raises SourceError."""
        return self._asked(ask, deadline)

    def deadline(self) -> float:
        """When a look that begins now must be over, on the steady clock."""
        return monotonic() + self._model.timeout.total_seconds()

    def ask_all(self, asks: Iterable[Ask], deadline: float) -> dict[Ask, Reply | SourceError]:
        """Each different question once, some at the same time, all by `deadline`."""
        wanted = list(dict.fromkeys(asks))
        if len(wanted) < 2 or self._concurrency == 1:
            return {ask: self._tried(ask, deadline) for ask in wanted}
        with ThreadPoolExecutor(min(self._concurrency, len(wanted)), self.name) as pool:
            return dict(
                zip(wanted, pool.map(lambda ask: self._tried(ask, deadline), wanted), strict=True)
            )

    def close(self) -> None:
        """Nobody waits to ask again any more; idle connections are closed."""
        self._closing.set()
        self._pool.clear()

    def redacted(self, text: str) -> str:
        """One short line without any secret, for people."""
        hidden = [*self._model.headers.values(), *self._secrets()]
        for secret in sorted((v for v in hidden if len(v) >= _SHORTEST), key=len, reverse=True):
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_WORDS]

    # One question -------------------------------------------------------------------------

    def _tried(self, ask: Ask, deadline: float) -> Reply | SourceError:
        try:
            return self._asked(ask, deadline)
        except SourceError as error:
            return error

    def _asked(self, ask: Ask, deadline: float) -> Reply:
        headers = self._headers(ask)
        tried = 0
        while True:
            tried += 1
            last = tried > self._model.retries or self._closing.is_set()
            try:
                reply = self._once(ask, headers, deadline)
                if last or reply.status not in _AGAIN:
                    return reply
            except _Trouble as trouble:
                if last or not trouble.passing or monotonic() >= deadline:
                    raise self._error(ask, trouble, tried) from None
            wait = self._random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tried - 1)))
            if monotonic() + wait >= deadline:
                raise self._error(ask, self._late(), tried)
            self._wait(wait)

    def _once(self, ask: Ask, headers: Mapping[str, str], deadline: float) -> Reply:
        left = deadline - monotonic()
        if left <= 0:
            raise self._late()
        try:
            response = self._pool.urlopen(
                "GET" if ask.body is None else "POST",
                ask.url,
                body=ask.body,
                headers=headers,
                timeout=urllib3.Timeout(total=left),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                body = self._body(response, deadline)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (builtins.TimeoutError, ReadTimeoutError):
            raise self._late() from None
        except (HTTPError, OSError, ValueError) as error:
            if monotonic() >= deadline:
                raise self._late() from None
            raise _trouble(error) from None
        kind = response.headers.get("Content-Type", "").lower()
        return Reply(response.status, kind, body)

    def _body(self, response: Any, deadline: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        connection = response.connection
        with _cut_after(getattr(connection, "held", None), deadline - monotonic()):
            for chunk in response.stream(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST:
                    raise _Trouble(f"the answer is larger than {LARGEST >> 20} MiB", passing=False)
                if monotonic() >= deadline:
                    raise self._late()
        return b"".join(chunks)

    def _late(self) -> "_Trouble":
        seconds = self._model.timeout.total_seconds()
        return _Trouble(f"no answer within {seconds:g}s", passing=False)

    def _error(self, ask: Ask, trouble: "_Trouble", tried: int) -> SourceError:
        times = f" (asked {tried} times)" if tried > 1 else ""
        return SourceError(self.redacted(f"{place(ask.url)}: {trouble}{times}"))

    # Who asks -----------------------------------------------------------------------------

    def _headers(self, ask: Ask) -> dict[str, str]:
        """Raises SourceError where a secret is missing."""
        headers = {"User-Agent": "rollout", "Accept-Encoding": "gzip", "Accept": ask.accept}
        if ask.body is not None:
            headers["Content-Type"] = ask.content_type
        headers |= self._model.headers | dict(ask.headers)
        auth = self._model.auth
        if auth is None:
            return headers
        secret = self.secret(auth)
        if auth.header is not None:
            headers[auth.header] = secret
        elif auth.user is not None:
            pair = b64encode(f"{auth.user}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        else:
            headers["Authorization"] = f"Bearer {secret}"
        return headers

    def secret(self, kept: Secret) -> str:
        """Read each time, so that a new one holds at once. Raises SourceError."""
        return read_secret(self.name, kept, self._base, os.environ)

    def _secrets(self) -> Iterator[str]:
        auth = self._model.auth
        if auth is None:
            return
        try:
            secret = self.secret(auth)
        except SourceError:
            return  # there is none to hide
        yield secret
        if auth.user is not None:
            yield b64encode(f"{auth.user}:{secret}".encode()).decode()


def read_secret(name: str, kept: Secret, base_dir: Path, environment: Mapping[str, str]) -> str:
    """A secret of `name`, from where it is kept. Raises SourceError."""
    if kept.env is not None:
        secret, where = environment.get(kept.env, ""), f"environment variable {kept.env}"
        if not secret:
            raise SourceError(f"{name}: {where} is not set; it should hold the secret")
    else:
        path = base_dir / (kept.file or "")
        where = f"file {path}"
        try:
            with path.open(encoding="utf-8") as file:
                secret = file.read(LARGEST_SECRET).strip()
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or "it is not text"
            raise SourceError(f"{name}: {where} cannot be read: {words}") from None
    if not secret.isprintable() or not secret.isascii() or not secret:
        raise SourceError(f"{name}: {where} holds no secret of one line of ASCII")
    return secret


def place(url: str) -> str:
    """Host and port of a URL: all of it that is ever told."""
    try:
        found = parse_url(url)
    except HTTPError:
        return "the url"
    host = found.host or "the url"
    return host if found.port is None else f"{host}:{found.port}"


def status_in_words(reply: Reply) -> str:
    """An answer that is none, and what to do."""
    remedy = {
        401: "it wants to know who asks; give the source an `auth`",
        403: "it knows who asks and does not allow it",
        404: "nothing is there; look at the url's path",
        429: "it is asked too often",
    }
    if 300 <= reply.status < 400:
        return f"HTTP {reply.status}: it is elsewhere; write that url"
    words = remedy.get(reply.status, "")
    return f"HTTP {reply.status}" + (f": {words}" if words else "")


# Trouble and time ---------------------------------------------------------------------------


class _Trouble(Exception):
    """What went wrong with one question. `passing`: it may go well the next time."""

    def __init__(self, words: str, *, passing: bool) -> None:
        super().__init__(words)
        self.passing = passing


def _trouble(error: Exception) -> _Trouble:
    """In our own words: those of the library may hold the whole URL."""
    match error:
        case NameResolutionError():
            return _Trouble("the host's name is not known", passing=True)
        case NewConnectionError():
            cause = getattr(error.__cause__, "strerror", None) or "not reached"
            return _Trouble(cause.lower(), passing=True)
        case SSLError():
            reason = getattr(error.args[0] if error.args else None, "verify_message", "")
            return _Trouble(f"TLS failed: {reason or 'no agreement'}", passing=False)
        case TimeoutError():
            return _Trouble("no connection in time", passing=True)
        case DecodeError():
            return _Trouble("the answer's compression is broken", passing=True)
        case ProtocolError():
            return _Trouble("the connection broke, or what came is not HTTP", passing=True)
        case LocationValueError() | ValueError():
            return _Trouble("the url cannot be asked", passing=False)
        case OSError():
            words = (error.strerror or type(error).__name__).lower()
            return _Trouble(words, passing=True)
        case _:
            return _Trouble(type(error).__name__, passing=False)


class _Held(HTTPConnection):
    """A connection whose socket can be cut, while headers arrive and after."""

    held: socket | None = None

    def getresponse(self) -> Any:
        """See the library: the whole head must arrive within the timeout, not each byte of it."""
        self.held = self.sock
        with _cut_after(self.held, self.timeout):
            return super().getresponse()


class _HeldTls(HTTPSConnection):
    """The same with TLS."""

    held: socket | None = None

    def getresponse(self) -> Any:
        """See `_Held`."""
        self.held = self.sock
        with _cut_after(self.held, self.timeout):
            return super().getresponse()


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Held


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HeldTls


@contextmanager
def _cut_after(held: socket | None, seconds: object) -> Iterator[None]:
    """A socket's timeout is for each read; this is for all of them together. What a cut left
    behind may look whole, so it raises TimeoutError (the built-in one, as a socket does)."""
    if held is None or not isinstance(seconds, int | float):
        yield
        return
    cut = threading.Event()
    timer = threading.Timer(max(0.0, seconds), _cut, (held, cut))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if cut.is_set():
        raise builtins.TimeoutError


def _cut(held: socket, cut: threading.Event) -> None:
    cut.set()
    try:
        socket.shutdown(held, SHUT_RDWR)
    except OSError:
        return  # it is closed already
