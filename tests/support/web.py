"""A real HTTP server on loopback that answers as a test says: well, late, in drops, for ever."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

Reaction = Callable[["Asked"], None]


@dataclass(frozen=True)
class Question:
    """One request that came."""

    command: str
    path: str
    headers: Message
    body: str

    @property
    def form(self) -> dict[str, str]:
        """A form that was sent."""
        return {name: values[0] for name, values in parse_qs(self.body).items()}


class Asked(BaseHTTPRequestHandler):
    """One request. `served` is what the server knows."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: "Server"

    def do_GET(self) -> None:
        self._react()

    def do_POST(self) -> None:
        self._react()

    def _react(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length).decode()
        with self.served.lock:
            question = Question(self.command, self.path, self.headers, self.body)
            self.served.asked.append(question)
        try:
            self.served.react(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, body: bytes | str, status: int = 200, kind: str = "application/json") -> None:
        """A whole answer."""
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def drop(self) -> None:
        """Hang up without a word."""
        self.close_connection = True

    def hang(self) -> None:
        """Say nothing until the server is closed."""
        self.served.closing.wait()
        self.close_connection = True

    def trickle(self, head: bytes, drop: bytes) -> None:
        """Send a head, then the same drop for ever, each soon enough for a timeout of reads."""
        self.close_connection = True
        self.wfile.write(head)
        while not self.served.closing.wait(0.01):
            self.wfile.write(drop)

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


class Server:
    """What was asked, and what is answered."""

    def __init__(self, react: Reaction, tls: ssl.SSLContext | None = None) -> None:
        self.react = react
        self.asked: list[Question] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        handler = type("Handler", (Asked,), {"served": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if tls is not None:
            # Shaken hands in the thread of the request: a client that gives up stops nobody.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @contextmanager
    def running(self) -> Iterator["Server"]:
        self._thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


@contextmanager
def serving(react: Reaction, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for the time of a test."""
    with Server(react, tls).running() as server:
        yield server


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
