"""Questions over HTTP against real servers that hang, trickle, answer hugely, wrongly, or not."""

import gzip
import json
import threading
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.web import Asked, free_port, serving

from controller.policy.asking import Auth
from controller.policy.source import HttpSource
from controller.sources import web
from controller.sources.base import SourceError
from controller.sources.web import Ask, Reply, Web, place

SOON = timedelta(milliseconds=300)


def asker(url: str, waits: list[float] | None = None, **more: Any) -> Web:
    model = HttpSource(url=url, **more)
    kept = [] if waits is None else waits
    return Web("ops", model, Path("/nowhere"), random=Random(1), wait=kept.append)


def ask(url: str) -> Ask:
    return Ask(url, "application/json")


def trouble(url: str, **more: Any) -> str:
    """What is said of a question that fails."""
    asking = asker(url, **more)
    try:
        with pytest.raises(SourceError) as raised:
            asking.ask(ask(url))
        return str(raised.value)
    finally:
        asking.close()


def test_an_answer_comes_whole_with_status_and_type() -> None:
    with serving(lambda asked: asked.answer('{"a": 1}', 404, "text/Plain")) as server:
        asking = asker(server.url)
        assert asking.ask(ask(server.url)) == Reply(404, "text/plain", b'{"a": 1}')
        asking.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    def react(asked: Asked) -> None:
        asked.answer("{}", status if len(asked.served.asked) < 3 else 200)

    waits: list[float] = []
    with serving(react) as server:
        asking = asker(server.url, waits, retries=2)
        assert asking.ask(ask(server.url)).status == 200
        asking.close()
    assert len(server.asked) == 3
    assert 0 <= waits[0] <= 0.25 and 0 <= waits[1] <= 0.5
    assert waits != sorted({0.25, 0.5})


def test_no_question_is_asked_more_often_than_said() -> None:
    with serving(lambda asked: asked.answer("{}", 500)) as server:
        asking = asker(server.url, retries=1)
        assert asking.ask(ask(server.url)).status == 500
        asking.close()
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 422])
def test_other_answers_are_final(status: int) -> None:
    with serving(lambda asked: asked.answer("", status)) as server:
        asking = asker(server.url, retries=5)
        assert asking.ask(ask(server.url)).status == status
        asking.close()
    assert len(server.asked) == 1


def test_a_connection_that_breaks_is_asked_again() -> None:
    def react(asked: Asked) -> None:
        if len(asked.served.asked) == 1:
            asked.drop()
        else:
            asked.answer("{}")

    with serving(react) as server:
        asking = asker(server.url, retries=1)
        assert asking.ask(ask(server.url)).status == 200
        asking.close()


def test_an_answer_that_ends_early_is_trouble_and_not_a_short_answer() -> None:
    def react(asked: Asked) -> None:
        asked.close_connection = True
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")

    with serving(react) as server:
        said = trouble(server.url, retries=1)
    assert said.endswith("the connection broke, or what came is not HTTP (asked 2 times)")


def test_what_is_not_http_is_trouble() -> None:
    def react(asked: Asked) -> None:
        asked.close_connection = True
        asked.wfile.write(b"220 smtp ready\r\n")

    with serving(react) as server:
        assert "not HTTP" in trouble(server.url, retries=0)


def test_nobody_listening_is_said_with_host_and_port() -> None:
    port = free_port()
    said = trouble(f"http://127.0.0.1:{port}/path?key=s3cret", retries=1)
    assert said == f"127.0.0.1:{port}: connection refused (asked 2 times)"


def test_an_unknown_host_is_said() -> None:
    assert trouble("http://nowhere.invalid/", retries=0) == (
        "nowhere.invalid: the host's name is not known"
    )


# Time, size, number ------------------------------------------------------------------------


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    with serving(Asked.hang) as server:
        assert trouble(server.url, timeout=SOON).endswith("no answer within 0.3s")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-A: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["status", "header", "body", "body of a length", "length of a chunk"],
)
def test_a_server_that_trickles_is_cut_off_in_time(head: bytes) -> None:
    """Each byte comes in time; all of them together do not."""
    with serving(lambda asked: asked.trickle(head, b"1")) as server:
        assert trouble(server.url, timeout=SOON).endswith("no answer within 0.3s")


def test_a_look_has_one_deadline_for_all_its_questions() -> None:
    with serving(Asked.hang) as server:
        asking = asker(server.url, timeout=SOON, concurrency=1, retries=5)
        asks = [ask(f"{server.url}/{n}") for n in range(20)]
        found = asking.ask_all(asks, asking.deadline())
        asking.close()
        assert len(server.asked) == 1
    assert all("no answer within" in str(each) for each in found.values())


def test_a_question_that_hangs_keeps_no_other_from_its_answer() -> None:
    def react(asked: Asked) -> None:
        if asked.path == "/hangs":
            asked.hang()
        asked.answer("{}")

    with serving(react) as server:
        asking = asker(server.url, timeout=SOON, concurrency=2)
        asks = [ask(f"{server.url}/{path}") for path in ("hangs", "a", "b", "c")]
        found = asking.ask_all(asks, asking.deadline())
        asking.close()
    assert isinstance(found[asks[0]], SourceError)
    assert [found[each] for each in asks[1:]] == [Reply(200, "application/json", b"{}")] * 3


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LARGEST", 1 << 20)

    def react(asked: Asked) -> None:
        asked.close_connection = True
        asked.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not asked.served.closing.is_set():
            asked.wfile.write(b" " * 65536)

    with serving(react) as server:
        assert trouble(server.url).endswith("the answer is larger than 1 MiB")


def test_a_small_answer_that_unpacks_hugely_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LARGEST", 1 << 20)
    packed = gzip.compress(b" " * (64 << 20))

    def react(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("Content-Encoding", "gzip")
        asked.send_header("Content-Length", str(len(packed)))
        asked.end_headers()
        asked.wfile.write(packed)

    with serving(react) as server:
        assert trouble(server.url).endswith("the answer is larger than 1 MiB")


def test_no_more_questions_at_the_same_time_than_said() -> None:
    together = threading.Barrier(2)
    at_once, most = 0, 0
    lock = threading.Lock()

    def react(asked: Asked) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1
        asked.answer("{}")

    with serving(react) as server:
        asking = asker(server.url, concurrency=2)
        asks = [ask(f"{server.url}/{n}") for n in range(6)]
        found = asking.ask_all([*asks, *asks], asking.deadline())
        asking.close()
        assert len(server.asked) == len(found) == 6
    assert most == 2


def test_a_connection_is_kept_for_the_next_look() -> None:
    peers = []

    def react(asked: Asked) -> None:
        peers.append(asked.client_address)
        asked.answer("{}")

    with serving(react) as server:
        asking = asker(server.url)
        for _ in range(3):
            asking.ask(ask(server.url))
        asking.close()
    assert len(set(peers)) == 1


# Who asks ----------------------------------------------------------------------------------


def sent(monkeypatch: pytest.MonkeyPatch, auth: Auth) -> dict[str, str]:
    monkeypatch.setenv("OPS_SECRET", "s3cret-token")
    with serving(lambda asked: asked.answer("{}")) as server:
        asking = asker(server.url, auth=auth, headers={"X-Scope-OrgID": "desk"})
        asking.ask(ask(server.url))
        asking.close()
    (asked,) = server.asked
    return dict(asked.headers)


def test_a_secret_goes_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = sent(monkeypatch, Auth(env="OPS_SECRET"))
    assert bearer["Authorization"] == "Bearer s3cret-token"
    assert bearer["X-Scope-OrgID"] == "desk"
    basic = sent(monkeypatch, Auth(env="OPS_SECRET", user="kim"))
    assert basic["Authorization"] == "Basic a2ltOnMzY3JldC10b2tlbg=="
    own = sent(monkeypatch, Auth(env="OPS_SECRET", header="X-Api-Key"))
    assert own["X-Api-Key"] == "s3cret-token"
    assert "Authorization" not in own


def test_a_new_secret_in_a_file_holds_at_once(tmp_path: Path) -> None:
    with serving(lambda asked: asked.answer("{}")) as server:
        model = HttpSource(url=server.url, auth=Auth(file="token"))
        asking = Web("ops", model, tmp_path)
        for secret in ("one", "two"):
            (tmp_path / "token").write_text(f"{secret}\n")
            asking.ask(ask(server.url))
        asking.close()
    assert [a.headers["Authorization"] for a in server.asked] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (Auth(env="OPS_MISSING"), "environment variable OPS_MISSING is not set"),
        (Auth(file="gone"), "file /nowhere/gone cannot be read: No such file"),
        (Auth(env="OPS_BROKEN"), "environment variable OPS_BROKEN holds no secret of one line"),
    ],
)
def test_a_secret_that_is_missing_or_broken_is_said_and_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, auth: Auth, said: str
) -> None:
    monkeypatch.delenv("OPS_MISSING", raising=False)
    monkeypatch.setenv("OPS_BROKEN", "two\r\nX-Evil: lines")
    with serving(lambda asked: asked.answer("{}")) as server:
        words = trouble(server.url, auth=auth)
    assert said in words
    assert "Evil" not in words
    assert server.asked == []


def test_no_words_of_trouble_hold_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_SECRET", "s3cret-token")
    auth, headers = Auth(env="OPS_SECRET", user="kim"), {"X-Key": "other-secret"}
    asking = asker("http://127.0.0.1:1", auth=auth, headers=headers)
    echoed = "you sent s3cret-token, a2ltOnMzY3JldC10b2tlbg==\nand other-secret"
    assert asking.redacted(echoed) == "you sent ***, *** and ***"
    asking.close()
    assert place("http://127.0.0.1:9090/path?key=s3cret") == "127.0.0.1:9090"


def test_a_redirect_is_not_followed_with_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_SECRET", "s3cret-token")
    with serving(lambda asked: asked.answer("{}")) as other:

        def react(asked: Asked) -> None:
            asked.send_response(302)
            asked.send_header("Location", other.url)
            asked.send_header("Content-Length", "0")
            asked.end_headers()

        with serving(react) as server:
            asking = asker(server.url, auth=Auth(env="OPS_SECRET"))
            reply = asking.ask(ask(server.url))
            asking.close()
    assert web.status_in_words(reply) == "HTTP 302: it is elsewhere; write that url"
    assert other.asked == []


def test_a_body_is_sent_by_post_and_asked_again_like_any_read() -> None:
    def react(asked: Asked) -> None:
        asked.answer("{}", 503 if len(asked.served.asked) == 1 else 200)

    with serving(react) as server:
        asking = asker(server.url)
        body = json.dumps({"version": "v3"}).encode()
        assert asking.ask(Ask(server.url, "application/json", body)).status == 200
        asking.close()
    assert [(a.command, a.body) for a in server.asked] == [("POST", '{"version": "v3"}')] * 2
