"""Observations over HTTP, on a real socket: taken, refused, bounded, repeated, and interrupted."""

import http.client
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.plans import POLICY
from support.services import Desk

from controller.api.intake import Limits
from controller.api.server import Server, open_api
from controller.run.service import FaceError

pytestmark = pytest.mark.real

PATIENCE_S = 30.0
LINES = "application/x-ndjson"
PATH = "/v1/rollouts/signal/sources/signals/observations"
TIGHT = Limits(
    body=10_000, held=15_000, requests=3, connections=20, head_seconds=0.3, body_seconds=0.3,
    linger_seconds=0.3,
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    said: Any


class Line:
    """A connection, as bytes go over it."""

    def __init__(self, server: Server) -> None:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def head(self, *more: str, path: str = PATH, kind: str = LINES) -> None:
        """The head of a push."""
        words = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *more]
        self.socket.sendall("\r\n".join((*words, "", "")).encode())

    def answer(self) -> Answer:
        """The next answer on this line."""
        found = http.client.HTTPResponse(self.socket)
        found.begin()
        headers = {name.lower(): value for name, value in found.getheaders()}
        return Answer(found.status, headers, json.loads(found.read()))

    def rest(self) -> bytes:
        """What comes until the other side hangs up."""
        found = b""
        try:
            while block := self.socket.recv(65536):
                found += block
        except ConnectionResetError:
            pass  # hung up on what was still to come
        return found


def push(server: Server, body: bytes, path: str = PATH, **headers: str) -> Answer:
    """One push, with its own connection. Words of headers are separated by `_`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with Line(server) as line:
        extra = [f"{name}: {value}" for name, value in named.items() if name != "Content-Type"]
        kind = named.get("Content-Type", LINES)
        line.head(f"Content-Length: {len(body)}", *extra, path=path, kind=kind)
        line.socket.sendall(body)
        return line.answer()


def rows(count: int, **fields: Any) -> bytes:
    """Lines of the candidate."""
    return b"".join(json.dumps({"version": "v3", **fields}).encode() + b"\n" for _ in range(count))


@contextmanager
def serving(desk: Desk, limits: Limits | None = None) -> Iterator[Server]:
    """A server over the desk's service."""
    server = Server(desk.service, "127.0.0.1", 0, limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def begin(desk: Desk) -> None:
    """A minute after the start: what comes now is in the windows."""
    desk.command("start")
    desk.go(timedelta(minutes=1))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, POLICY)
    begin(desk)
    yield desk
    desk.close()


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    with serving(desk) as server:
        yield server


# What is taken -----------------------------------------------------------------------------


def test_lines_and_an_array_are_taken_and_what_is_bad_is_told_by_its_line(
    desk: Desk, server: Server
) -> None:
    lines = rows(2, pnl=1.5) + b'\n{"version": "v4"}\nnot json\n'
    answer = push(server, lines)
    assert answer.status == 200
    assert (answer.said["accepted"], answer.said["refused"]) == (2, 2)
    assert [reason[:7] for reason in answer.said["reasons"]] == ["line 4:", "line 5:"]
    array = b'[{"version": "v1", "pnl": 2}, {"version": "v3", "pnl": NaN}, 3]'
    answer = push(server, array, Content_Type="application/json; charset=utf-8")
    assert (answer.status, answer.said["accepted"], answer.said["refused"]) == (200, 2, 1)
    assert desk.measured()["candidate.drawdown"].samples == 2


def test_what_was_answered_is_there_after_a_crash(desk: Desk, server: Server) -> None:
    assert push(server, rows(3, pnl=1)).said["accepted"] == 3
    desk.restart()
    desk.now += timedelta(seconds=1)
    assert desk.measured()["candidate.drawdown"].samples == 3


def test_a_push_sent_again_with_its_key_is_taken_once(desk: Desk, server: Server) -> None:
    assert push(server, rows(2, pnl=1), Idempotency_Key="a").said["accepted"] == 2
    for _ in range(2):
        again = push(server, rows(2, pnl=1), Idempotency_Key="a")
        assert (again.status, again.said["repeated"], again.said["accepted"]) == (200, True, 0)
    assert push(server, rows(1, pnl=1), Idempotency_Key="b").said["accepted"] == 1
    assert desk.measured()["candidate.drawdown"].samples == 3
    assert push(server, rows(1), Idempotency_Key="k" * 201).status == 400


def test_a_broken_limit_is_decided_on_before_the_answer(desk: Desk, server: Server) -> None:
    answer = push(server, rows(1, pnl=-50_000))
    assert answer.said["moved_to"] == "rolling_back.baseline_traffic"
    assert desk.state().share == 0


def test_nothing_good_is_no_success(server: Server) -> None:
    answer = push(server, b'{"version": "v4"}\n' * 20)
    assert (answer.status, answer.said["refused"], len(answer.said["reasons"])) == (422, 20, 10)
    assert push(server, b"").status == 200


# What is not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        (PATH.replace("signal/", "singal/"), {}, 404, "did you mean 'signal'?"),
        (PATH.replace("signals", "signal"), {}, 404, "did you mean 'signals'?"),
        ("/v1/rollouts/%00%0a/sources/x/observations", {}, 404, "no rollout"),
        (f"/v1/rollouts/{'a' * 65}/sources/x/observations", {}, 400, "64"),
        (PATH, {"Content_Type": "application/x-www-form-urlencoded"}, 415, "x-ndjson"),
        (PATH, {"Content_Type": "text/plain"}, 415, "x-ndjson"),
        (PATH, {"Content_Encoding": "gzip"}, 415, "as it is"),
        ("/v1/nothing", {}, 404, "openapi.json"),
    ],
)
def test_a_wrong_request_is_answered_with_what_to_do(
    server: Server, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    answer = push(server, rows(1), path, **headers)
    assert answer.status == status
    assert said in f"{answer.said['error']} {answer.said['hint']}"


def test_a_name_that_leads_here_and_is_not_ours_is_not_let_in(server: Server) -> None:
    """A page of a stranger can send its own visitor's browser here under its own name."""
    for name, status in (("evil.example", 421), ("127.0.0.1", 200), ("[::1]:80", 200)):
        with Line(server) as line:
            line.socket.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert line.answer().status == status


def test_a_get_says_how_the_controller_does(desk: Desk, server: Server) -> None:
    with closing(http.client.HTTPConnection(server.url.removeprefix("http://"))) as client:
        for path in ("/healthz", "/readyz"):
            client.request("GET", path)
            found = client.getresponse()
            assert (found.status, json.loads(found.read())) == (200, {"status": "ok"})
        desk.service._store_trouble = "the disk is full"
        client.request("GET", "/readyz")
        found = client.getresponse()
        assert (found.status, json.loads(found.read())["error"]) == (503, "the disk is full")
        client.request("GET", "/v1/openapi.json")
        described = json.loads(client.getresponse().read())
    body = described["paths"][PATH.replace("/signal/", "/{rollout}/").replace(
        "/signals/", "/{source}/")]["post"]["requestBody"]["content"]  # fmt: skip
    assert set(body) == {LINES, "application/json"}


def test_a_store_that_is_locked_is_no_success_and_what_to_do_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path, POLICY, store_timeout=0.01)
    begin(desk)
    with serving(desk) as server:
        assert push(server, rows(1, pnl=1)).status == 200
        with closing(sqlite3.connect(tmp_path / "rollout.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = push(server, rows(1, pnl=1), Idempotency_Key="a")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "locked by another program" in answer.said["error"]
        assert "same Idempotency-Key" in answer.said["hint"]
        assert push(server, rows(1, pnl=1), Idempotency_Key="a").said["accepted"] == 1
    assert desk.measured()["candidate.drawdown"].samples == 2
    desk.close()


# Bounds --------------------------------------------------------------------------------------


def test_too_many_observations_are_too_many(server: Server) -> None:
    answer = push(server, b'{"version":"v3"}\n' * 10_001)
    assert (answer.status, "send 10000 at a time" in answer.said["error"]) == (413, True)


def test_a_body_too_large_is_answered_whatever_its_head_says(desk: Desk) -> None:
    with serving(desk, TIGHT) as server:
        assert push(server, b"x" * 10_001).status == 413
        with Line(server) as line:  # no length at all
            line.head("Transfer-Encoding: chunked")
            for _ in range(11):
                line.socket.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            line.socket.sendall(b"0\r\n\r\n")
            assert line.answer().status == 413
        with Line(server) as line:  # asks first: nothing is to be sent
            line.head("Content-Length: 999999999", "Expect: 100-continue")
            assert line.answer().status == 413
        assert push(server, rows(1)).status == 200


def test_a_body_without_end_is_hung_up_on(desk: Desk) -> None:
    with serving(desk, TIGHT) as server, Line(server) as line:
        line.head("Transfer-Encoding: chunked")
        with pytest.raises(OSError):
            while True:
                line.socket.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert push(server, rows(1)).status == 200


def test_those_who_dawdle_are_hung_up_on(desk: Desk) -> None:
    with serving(desk, TIGHT) as server:
        lines = [Line(server) for _ in range(3)]
        lines[1].socket.sendall(b"POST /v1 HTTP/1.1\r\nHost: local")
        lines[2].head("Content-Length: 100")
        lines[2].socket.sendall(b"{")
        assert lines[0].rest() == lines[1].rest() == b""
        answer = lines[2].answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert lines[2].rest() == b""
        for line in lines:
            line.socket.close()
        assert push(server, rows(1)).status == 200


def test_a_head_that_is_too_long_is_no_request(server: Server) -> None:
    with Line(server) as line:
        line.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000)
        assert line.rest().startswith(b"HTTP/1.1 400 ")


def test_when_too_much_is_under_way_others_are_asked_to_come_again(desk: Desk) -> None:
    patient = Limits(body=10_000, held=15_000, requests=3)
    with serving(desk, patient) as server:
        waiting = [Line(server) for _ in range(3)]
        for line in waiting:
            line.head("Content-Length: 5000", "Expect: 100-continue")
            assert line.socket.recv(100).startswith(b"HTTP/1.1 100 ")  # let in
        answer = push(server, rows(1), Idempotency_Key="a")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        for line in waiting:
            line.socket.close()
        while (answer := push(server, rows(1), Idempotency_Key="a")).status == 503:
            pass  # the server has yet to hear that they are gone
        assert answer.said["accepted"] == 1


def test_all_bodies_together_are_bounded(desk: Desk) -> None:
    with serving(desk, Limits(body=10_000, held=15_000)) as server, Line(server) as line:
        line.head("Content-Length: 10000", "Expect: 100-continue")
        assert line.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        line.socket.sendall(b" " * 9_999)
        answer = push(server, b" " * 9_000)
        while answer.status == 200:  # the first one's bytes are still on their way
            answer = push(server, b" " * 9_000)
        assert answer.status == 503
        line.socket.sendall(b" ")
        assert line.answer().status == 200
        assert push(server, b" " * 9_000).status == 200


def test_a_sender_that_hangs_up_half_way_leaves_nothing(desk: Desk, server: Server) -> None:
    with Line(server) as line:
        line.head("Content-Length: 1000")
        line.socket.sendall(rows(1, pnl=1))
    assert push(server, rows(1, pnl=1)).status == 200
    assert desk.measured()["candidate.drawdown"].samples == 1


# Many at once ---------------------------------------------------------------------------------


def test_writers_at_the_same_time_lose_nothing_while_rollouts_are_looked_at(
    desk: Desk, server: Server
) -> None:
    writers, batches, size = 6, 8, 25
    accepted: list[int] = []

    def write(writer: int) -> None:
        with closing(http.client.HTTPConnection(server.url.removeprefix("http://"))) as client:
            for batch in range(batches):
                body = b"".join(
                    rows(1, id=f"{writer}/{batch}/{n}", pnl=1.0, correct=True, failed=False)
                    for n in range(size)
                )
                client.request("POST", PATH, body, {"Content-Type": LINES})
                accepted.append(json.loads(client.getresponse().read())["accepted"])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        desk.go(timedelta(seconds=30))
        found = desk.measured()
        whole = {found[f"candidate.{name}"].through for name in ("accuracy", "errors")}
        assert len(whole) == 1  # one look, one snapshot
        assert found["candidate.drawdown"].samples % size == 0  # whole batches only
    assert sum(accepted) == writers * batches * size
    assert desk.measured()["candidate.drawdown"].samples == writers * batches * size
    assert desk.service.controller.totals.failed == 0
    desk.restart()
    assert desk.measured()["candidate.drawdown"].samples == writers * batches * size


# Life ---------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_with_what_to_do(server: Server, desk: Desk) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(FaceError, match=r"another program has that port.*--listen off"):
        Server(desk.service, "127.0.0.1", port)


def test_small_answers_are_not_held_back(server: Server) -> None:
    """asyncio switches Nagle's algorithm off for sockets that say they are TCP."""
    assert server._socket.proto == socket.IPPROTO_TCP


def test_off_is_no_server(desk: Desk) -> None:
    desk.service.settings = desk.service.settings.model_copy(update={"listen": "off"})
    assert open_api(desk.service) is None


def test_stopping_answers_what_is_under_way_and_hangs_up_on_the_rest(desk: Desk) -> None:
    with serving(desk) as server, Line(server) as idle, Line(server) as half:
        half.head("Content-Length: 17", "Expect: 100-continue")
        assert half.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert idle.rest() == b""
        half.socket.sendall(b'{"version": "v3"}')
        assert half.answer().said["accepted"] == 1
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()
