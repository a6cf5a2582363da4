"""The server: a socket on this machine, a thread of its own, and patience that ends."""

import asyncio
import errno
import logging
import socket
from threading import Thread

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.api.app import Desk, make_app
from controller.api.intake import Limits
from controller.run.service import FaceError, Service

log = logging.getLogger(__name__)

HEAD_BYTES = 16 * 1024
"""Of the head of one request."""
KEEP_SECONDS = 15
"""How long a connection is kept for its next request."""
GRACE_SECONDS = 5
"""How long requests under way may take once it is to stop."""


def open_api(service: Service) -> "Server | None":
    """The server of a service, bound to its address; None where it is to have none. Raises
    FaceError."""
    address = service.settings.address
    return None if address is None else Server(service, *address)


class Server:
    """Answers at `url` between `start` and `stop`."""

    def __init__(self, desk: Desk, host: str, port: int, limits: Limits | None = None) -> None:
        """Binds at once, so that a port that is taken stops everything before it has begun; 0 is
        any free port. Raises FaceError."""
        limits = limits or Limits()
        self._socket = _bound(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(desk, limits, lambda: self._server.should_exit),
                http=_patient(limits.head_seconds),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=limits.connections,
                timeout_keep_alive=KEEP_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
                h11_max_incomplete_event_size=HEAD_BYTES,
            )
        )
        self._thread = Thread(target=self._serve, name="api", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        log.info("takes observations and gives shares at %s", self.url)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way, then close."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception:
            log.critical("nothing is taken at %s any more: restart it", self.url, exc_info=True)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once, and not 40 ms later.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen()
    except OSError as error:
        found.close()
        taken = error.errno == errno.EADDRINUSE
        why = "another program has that port" if taken else str(error.strerror)
        raise FaceError(
            f"cannot listen on {host}:{port}: {why}; "
            "name another one (--listen 127.0.0.1:8788), or none (--listen off)"
        ) from None
    return found


def _patient(seconds: float) -> type[H11Protocol]:
    """HTTP/1.1 that hangs up on those who do not finish the head of a request in time: uvicorn
    waits for it for ever."""

    class Patient(H11Protocol):
        _due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._due = self.loop.call_later(seconds, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._at_ease()
            elif self._due is None:
                self._due = self.loop.call_later(seconds, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._at_ease()
            super().connection_lost(exc)

        def _at_ease(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return Patient
