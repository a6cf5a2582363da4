"""Shares that reach a client over a real socket: each whole, in order, and after every trouble."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from support.plans import POLICY
from support.publishing import state
from support.services import Desk

from controller.api.intake import Limits
from controller.api.server import Server
from controller.client import Client
from controller.client import stream as streaming
from controller.effects.files import replace_file
from controller.traffic.published import Pins, Published, encode

pytestmark = pytest.mark.real

PATIENCE_S = 30.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
FORKED = """
import os, sys, threading
from datetime import timedelta
from controller.client import Client
patience = timedelta(seconds=30)
client = Client.from_url(sys.argv[1], "signal", baseline="v1", within=patience)
assert client.assign("a").version == "v3", client.health()
child = os.fork()
if child == 0:
    client.refresh()
    print("child", flush=True)
    seen = threading.Event()
    client.subscribe(lambda published: published.token == 9 and seen.set())
    os._exit(0 if client.published.token == 9 or seen.wait(30) else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def until(holds: Callable[[], object]) -> None:
    """Wait for what another thread does; bounded."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def serving(desk: Desk, limits: Limits | None = None, port: int = 0) -> Iterator[Server]:
    server = Server(desk.service, "127.0.0.1", port, limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, POLICY)
    desk.command("start")
    desk.go(timedelta(minutes=1))
    yield desk
    desk.close()


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    with serving(desk) as server:
        yield server


def follow(server: Server, rollout: str = "signal", within: float = PATIENCE_S) -> Client:
    return Client.from_url(server.url, rollout, baseline="v1", within=timedelta(seconds=within))


def now(client: Client) -> Published:
    """What it believes."""
    return client.published or state(0, token=0)


def publish(desk: Desk, published: Published) -> None:
    """As the controller does, by hand."""
    replace_file(desk.service.share_file("signal"), encode(published))


def event(published: Published, written_at: float = 1.0) -> bytes:
    data = {"written_at": written_at, "age_s": 0.0, "state": published}
    return b"event: share\ndata: " + msgspec.json.encode(data) + b"\n\n"


@contextmanager
def speaking(*answers: bytes) -> Iterator[str]:
    """A server that says these bytes, one connection after the other, and hangs up after each but
    the last."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def run() -> None:
        for number, answer in enumerate(answers, 1):
            line, _ = listening.accept()
            with line, suppress(OSError):  # a client that hangs up is none of our trouble
                if over.is_set():
                    return
                line.recv(65536)
                line.sendall(answer)
                if number == len(answers):
                    over.wait(PATIENCE_S)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        over.set()
        with suppress(OSError):  # wakes it where it still waits for somebody
            socket.create_connection(listening.getsockname(), timeout=PATIENCE_S).close()
        thread.join(PATIENCE_S)
        listening.close()
        assert not thread.is_alive()


# What comes --------------------------------------------------------------------------------


def test_the_present_share_comes_at_once_and_a_rollback_after_it(
    desk: Desk, server: Server
) -> None:
    with follow(server) as client:
        first = client.published
        assert first is not None and first.epoch == 1
        desk.command("rollback", reason="looks wrong")
        until(lambda: now(client).epoch == 2)
        assert now(client).share == 0 and client.health().ok
        assert client.assign("anything").version == "v1"


def test_it_is_what_the_file_says_and_the_same_answer_as_from_the_file(
    desk: Desk, server: Server
) -> None:
    publish(desk, state(40_000, token=9))
    with (
        follow(server) as client,
        Client.from_file(desk.service.share_file("signal"), baseline="v1") as beside,
    ):
        keys = [f"key-{number}" for number in range(500)]
        assert [client.assign(key) for key in keys] == [beside.assign(key) for key in keys]
        line = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]))
        line.request("GET", "/v1/rollouts/signal/share")
        assert json.loads(line.getresponse().read())["token"] == 9
        line.close()


def test_a_sign_of_life_of_the_controller_is_one_for_the_client(desk: Desk, server: Server) -> None:
    path = desk.service.share_file("signal")
    publish(desk, state(40_000, token=9, max_age_s=3600.0))
    os.utime(path, (1_000_000, 1_000_000))
    with follow(server) as client:
        until(lambda: now(client).token == 9)
        assert client.assign("a").reason == "too_old", (
            "old from the beginning, by its writer's clock"
        )
        os.utime(path)
        until(lambda: client.assign("a").reason == "share")
        assert now(client).token == 9


# What goes wrong ---------------------------------------------------------------------------


def test_a_state_that_is_cut_off_is_none_and_the_line_is_opened_again() -> None:
    good, cut = event(state(0, token=8)), event(state(100_000, token=9))
    with (
        speaking(HEAD + good + cut[:-1], HEAD + good + event(state(50_000, token=10))) as url,
        Client.from_url(url, "signal", baseline="v1") as client,
    ):
        tokens: list[int] = []
        client.subscribe(lambda published: tokens.append(published.token))
        until(lambda: now(client).token == 10)
        assert 9 not in tokens
        assert client.counts["unreadable"] == 1, "told once"
        assert client.health().ok


def test_a_late_message_never_brings_the_candidate_back() -> None:
    said = event(state(0, epoch=2, token=9)) + event(state(100_000, epoch=1, token=7), 2.0)
    with speaking(HEAD + said) as url, Client.from_url(url, "signal", baseline="v1") as client:
        until(lambda: client.counts.get("refused"))
        assert now(client).epoch == 2
        assert client.assign("a").version == "v1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"nothing that anybody speaks\r\n\r\n", "no answer as HTTP has it"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", "no stream"),
        (HEAD + b"event: share\ndata: {not json}\n\n", "malformed"),
        (HEAD + b'event: alive\ndata: {"written_at": 1, "age_s": 0}\n\n', "without a state"),
        (HEAD + b"event: share\ndata: " + b"x" * (9 << 20), "more than"),
        (HEAD + b'event: trouble\ndata: {"kind": "missing", "words": "no file"}\n\n', "no file"),
    ],
    ids=["no http", "a page", "no json", "no state", "huge", "told"],
)
def test_what_is_no_stream_is_the_baselines_and_told(
    answer: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        speaking(answer, HEAD) as url,
        Client.from_url(url, "signal", baseline="v1", within=timedelta(0)) as client,
    ):
        until(lambda: words in caplog.text)
        assert client.assign("a").version == "v1"


def test_a_rollout_that_nobody_knows_is_told_in_the_controllers_words(server: Server) -> None:
    with follow(server, "other", within=0) as client:
        until(lambda: "no rollout 'other'" in client.health().trouble)
        assert client.assign("a").reason == "no_state"


def test_no_address_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="is no address of a controller"):
        Client.from_url("127.0.0.1:8787", "signal", baseline="v1")


def test_while_the_controller_is_gone_the_last_state_stands_and_then_the_new_one_comes(
    desk: Desk,
) -> None:
    publish(desk, state(100_000, token=9))
    with serving(desk) as server:
        port = int(server.url.rpartition(":")[2])
        client = follow(server)
    with client:
        until(lambda: not client.health().ok)
        assert client.assign("a").version == "v3"
        publish(desk, state(0, epoch=2, token=10))
        with serving(desk, port=port):
            until(lambda: now(client).token == 10)
            assert client.assign("a").version == "v1"
            assert client.health().ok


def test_a_line_on_which_nothing_comes_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "QUIET_SECONDS", 0.1)
    with (
        speaking(HEAD + event(state(token=8)), HEAD + event(state(token=9))) as url,
        Client.from_url(url, "signal", baseline="v1") as client,
    ):
        until(lambda: client.counts.get("unreadable"))
        assert client.published is not None


def test_a_forked_process_has_a_line_of_its_own(desk: Desk, server: Server) -> None:
    publish(desk, state(100_000, token=8))
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKED, server.url], stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"child\n"
    publish(desk, state(100_000, token=9))
    program.stdout.close()
    assert program.wait(PATIENCE_S) == 0


def test_a_closed_client_hears_no_more(desk: Desk, server: Server) -> None:
    client = follow(server)
    before = client.published
    client.close()
    until(lambda: "rollout-stream" not in {thread.name for thread in threading.enumerate()})
    publish(desk, state(100_000, token=99))
    assert client.published == before


# What the server bears ---------------------------------------------------------------------


def test_more_streams_than_there_may_be_are_refused_and_one_that_ends_makes_room(
    desk: Desk,
) -> None:
    with serving(desk, Limits(streams=2)) as server:
        first, second = follow(server), follow(server)
        with follow(server, within=0) as third:
            until(lambda: "streams are open" in third.health().trouble)
            first.close()
            until(lambda: third.published)
        second.close()


def test_a_reader_that_does_not_read_holds_up_nobody(desk: Desk, server: Server) -> None:
    pins = Pins(baseline={"account": tuple(f"account-{n}" for n in range(20_000))})
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as lazy, follow(server) as client:
        lazy.sendall(b"GET /v1/rollouts/signal/share/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for token in range(20, 60):
            publish(desk, state(token=token, pins=pins))
            until(lambda: now(client).token == token)  # noqa: B023


def test_it_stops_with_streams_open(desk: Desk) -> None:
    with serving(desk) as server:
        client = follow(server)
    with client:
        until(lambda: "closed the line" in client.health().trouble or not client.health().ok)
