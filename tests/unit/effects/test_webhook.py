"""A signed webhook against a real HTTP server: acknowledged is what is read back."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.marked import GOOD
from support.web import Asked, free_port, serving

from controller.core.effect import Activate, SetShare, Verify
from controller.core.share import Share
from controller.effects.base import EffectError
from controller.effects.file import Origin
from controller.effects.signing import signature, signing_key
from controller.effects.webhook import Webhook
from controller.policy.asking import Secret
from controller.policy.load import load_text
from controller.policy.publisher import ReadBack, WebhookPublisher
from controller.traffic.published import Routing

PAGE = (Path(__file__).parents[3] / "docs" / "targets.md").read_text(encoding="utf-8")
NOW = 1_772_463_600.9
KEY = "a-secret-of-the-desk"
HOME = Origin("checkout", "8.2", "8.3", Routing("checkout"), "home")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_SECRET", KEY)


def webhook(url: str, origin: Origin = HOME, **keys: Any) -> Webhook:
    read = ReadBack(**({"url": f"{url}/out", "whole": 100_000} | keys.pop("read", {})))
    clock = keys.pop("clock", lambda: NOW)
    said: dict[str, Any] = {
        "url": f"{url}/in",
        "secret": Secret(env="MESH_SECRET"),
        "retries": 0,
    } | keys
    model = WebhookPublisher(read=read, **said)
    return Webhook("mesh", model, Path("/"), origin, clock=clock)


def share(units: int, token: int = 7, *, mirror: bool = False) -> SetShare:
    return SetShare(f"r/{token}/0", "mesh", Share(units), mirror, 1, token)


def look(units: int) -> Verify:
    return Verify("r/look", "mesh", Share(units))


def shows(share: Any, **more: Any) -> Callable[[Asked], None]:
    """A server that takes everything and shows this share."""
    return lambda asked: asked.answer(json.dumps({"share": share} | more))


def failing_first(status: int) -> Callable[[Asked], None]:
    """One that is in trouble at the first POST, and then shows 5%."""

    def react(asked: Asked) -> None:
        if asked.command == "POST" and len(asked.served.asked) == 1:
            asked.answer("in trouble", status)
        else:
            asked.answer('{"share": 5000}')

    return react


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_sent_is_a_signed_cloud_event_with_the_whole_state() -> None:
    with serving(shows(5_000)) as server:
        assert webhook(server.url).deliver(share(5_000)) == "share 5% read back"
        sent, read = server.asked
    assert (sent.command, sent.path, read.command, read.path) == ("POST", "/in", "GET", "/out")
    assert sent.headers["Content-Type"] == "application/cloudevents+json"
    event = json.loads(sent.body)
    assert {key: event[key] for key in ("specversion", "id", "source", "type", "subject")} == {
        "specversion": "1.0", "id": "r/7/0", "source": "/rollout/home",
        "type": "rollout.share.v1", "subject": "checkout",
    }  # fmt: skip
    assert (event["data"]["share"], event["data"]["percent"]) == (5_000, "5%")
    assert (event["data"]["token"], event["data"]["epoch"]) == (7, 1)
    assert (sent.headers["webhook-id"], sent.headers["webhook-timestamp"]) == (
        "r/7/0", "1772463600",
    )  # fmt: skip
    signed = f"r/7/0.1772463600.{sent.body}".encode()
    mac = base64.b64encode(hmac.digest(KEY.encode(), signed, hashlib.sha256)).decode()
    assert sent.headers["webhook-signature"] == f"v1,{mac}"
    assert KEY not in sent.body + str(sent.headers) + str(read.headers)


def test_a_2xx_that_changed_nothing_is_no_acknowledgement() -> None:
    said = r"127\.0\.0\.1:\d+: share 0%, not 5%"
    with serving(shows(0)) as server, pytest.raises(EffectError, match=said):
        webhook(server.url).deliver(share(5_000))


def test_trouble_is_asked_again_under_the_same_id() -> None:
    with serving(failing_first(500)) as server:
        assert webhook(server.url, retries=1).deliver(share(5_000)) == "share 5% read back"
        posts = [asked for asked in server.asked if asked.command == "POST"]
    assert [post.headers["webhook-id"] for post in posts] == ["r/7/0", "r/7/0"]
    assert posts[0].body == posts[1].body


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, r"HTTP 500 \(in trouble\)"), (409, "HTTP 409"), (302, "it is elsewhere")],
)
def test_an_event_that_was_not_taken_is_no_acknowledgement_whatever_is_shown(
    status: int, said: str
) -> None:
    with serving(failing_first(status)) as server:
        with pytest.raises(EffectError, match=said):
            webhook(server.url).deliver(share(5_000))
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (5_001, r"share 5\.001%, not 5%"),
        (None, "`share: share` gives nothing, not a number"),
        ("5%", "gives str '5%', not a number"),
        (True, "gives bool 'True', not a number"),
        (-1, "a share of -1 is not of 0 to 100000"),
        (200_000, "is not of 0 to 100000"),
    ],
)
def test_what_is_shown_must_be_the_share(shown: Any, said: str) -> None:
    with serving(shows(shown)) as server, pytest.raises(EffectError, match=said):
        webhook(server.url).deliver(look(5_000))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda asked: asked.answer("<html>"), "read back: the answer is not JSON"),
        (lambda asked: asked.answer("{}", 404), "read back: HTTP 404"),
        (lambda asked: asked.drop(), "the connection broke"),
        (lambda asked: asked.answer(b" " * (17 << 20)), "larger than 16 MiB"),
    ],
)
def test_a_read_back_that_says_nothing_is_no_acknowledgement(
    answer: Callable[[Asked], None], said: str
) -> None:
    with serving(answer) as server, pytest.raises(EffectError, match=said):
        webhook(server.url).deliver(look(0))


@pytest.mark.parametrize("way", ["hang", "trickle"])
def test_one_that_never_comes_to_an_end_is_given_up_in_time(way: str) -> None:
    def react(asked: Asked) -> None:
        if way == "hang":
            asked.hang()
        else:
            asked.trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b" ")

    with serving(react) as server, pytest.raises(EffectError, match=r"no answer within 0\.2s"):
        webhook(server.url, timeout=timedelta(seconds=0.2)).deliver(share(5_000))


def test_parts_of_a_whole_and_a_coarse_receiver_are_understood() -> None:
    read = {"share": "weights.new", "whole": 1, "within": 1.0}
    for shown, asked, good in [
        (0.33, 33_333, True), (0.35, 33_333, False), (1, 100_000, True), (0.995, 100_000, False),
        (0, 0, True), (0.005, 0, False), (0, 500, False), (1, 99_500, False),
    ]:  # fmt: skip
        with serving(lambda a, s=shown: a.answer(json.dumps({"weights": {"new": s}}))) as server:  # type: ignore[misc]
            target = webhook(server.url, read=read)
            if good:
                target.deliver(look(asked))
            else:
                with pytest.raises(EffectError, match="not "):
                    target.deliver(look(asked))


def test_a_mirror_is_acknowledged_when_it_is_shown_and_is_gone_on_the_way_back() -> None:
    read = {"mirror": "mirror"}
    with serving(shows(0, mirror=True)) as server:
        target = webhook(server.url, read=read)
        assert target.deliver(share(0, mirror=True)) == "share 0% read back"
        for effect in (share(0), look(0)):
            with pytest.raises(EffectError, match="share 0%, and the candidate is mirrored"):
                target.deliver(effect)
    said = "the candidate is not mirrored"
    with serving(shows(0, mirror=False)) as server, pytest.raises(EffectError, match=said):
        webhook(server.url, read=read).deliver(share(0, mirror=True))


@pytest.mark.parametrize(
    ("secret", "said"),
    [("", "MESH_SECRET is not set"), ("whsec_%%", "goes on with no base64")],
)
def test_without_a_key_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, secret: str, said: str
) -> None:
    monkeypatch.setenv("MESH_SECRET", secret)
    with serving(shows(5_000)) as server:
        with pytest.raises(EffectError, match=said):
            webhook(server.url).deliver(share(5_000))
        assert server.asked == []


def test_no_word_of_trouble_holds_the_secret_or_the_path() -> None:
    with serving(lambda asked: asked.answer(KEY, 500)) as server:
        target = webhook(f"{server.url}/hidden", headers={"X-Key": KEY})
        with pytest.raises(EffectError) as caught:
            target.deliver(share(5_000))
    assert "hidden" not in str(caught.value) and KEY not in str(caught.value)


def test_the_doctor_changes_nothing() -> None:
    with serving(shows(5_000)) as server:
        assert webhook(server.url).check().endswith("shows a share of 5%")
        assert [asked.command for asked in server.asked] == ["GET"]


def test_what_is_for_others_is_refused() -> None:
    with pytest.raises(EffectError, match="takes no Activate"):
        webhook("http://127.0.0.1:1").deliver(Activate("r/1/1", "mesh", "v1", 1, 1))


# The receiver of the guide -----------------------------------------------------------------


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[str]:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    path = tmp_path / "receiver.py"
    path.write_text(program, encoding="utf-8")
    port = free_port()
    environment = os.environ | {"MESH_SECRET": KEY}
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(path), str(port)], env=environment, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        again = urllib3.Retry(total=500, backoff_factor=0.05, backoff_max=0.1)
        with urllib3.PoolManager() as pool:
            assert pool.request("GET", url, retries=again).status == 200
        yield url
    finally:
        process.terminate()
        process.wait(60)


def at_present(url: str, token_of: str = "home", seconds_ago: float = 0) -> Webhook:
    """As it is in earnest: the receiver goes by the clock on the wall."""
    origin = Origin("checkout", "8.2", "8.3", Routing("checkout"), token_of)
    return webhook(url, origin, read={"mirror": "mirror"}, clock=lambda: time.time() - seconds_ago)


def test_the_receiver_of_the_guide_takes_what_is_signed_and_shows_it(receiver: str) -> None:
    target = at_present(receiver)
    assert target.deliver(share(0, 1, mirror=True)) == "share 0% read back"
    assert target.deliver(share(5_000, 2)) == "share 5% read back"
    assert target.deliver(share(5_000, 2)) == "share 5% read back"
    assert target.deliver(share(0, 3)) == "share 0% read back"
    assert target.deliver(look(0)) == "share 0% read back"


def test_the_receiver_of_the_guide_refuses_what_is_late_and_lets_the_way_back_through(
    receiver: str,
) -> None:
    at_present(receiver).deliver(share(5_000, 9))
    with pytest.raises(EffectError, match=r"HTTP 409 .*holds decision 9"):
        at_present(receiver).deliver(share(50_000, 8))
    with pytest.raises(EffectError, match="HTTP 409"):
        at_present(receiver, "elsewhere").deliver(share(50_000, 99))
    assert at_present(receiver).deliver(share(0, 3)) == "share 0% read back"


def test_the_receiver_of_the_guide_refuses_what_is_replayed_or_changed(receiver: str) -> None:
    with pytest.raises(EffectError, match="HTTP 401"):
        at_present(receiver, seconds_ago=301).deliver(share(5_000))
    with serving(lambda asked: asked.answer("{}", 400)) as caught:
        with pytest.raises(EffectError):
            at_present(caught.url).deliver(share(5_000))
        sent = caught.asked[0]
    signed = {name: sent.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    headers = {f"webhook-{name}": value for name, value in signed.items()}
    with urllib3.PoolManager() as pool:
        for body, changed, status in [
            (sent.body.replace('"share":5000', '"share":9000'), {}, 401),
            (sent.body, {"webhook-id": "another"}, 401),
            (sent.body, {"webhook-timestamp": str(int(time.time()) + 1)}, 401),
            (sent.body, {"webhook-signature": ""}, 401),
            (sent.body, {}, 200),
        ]:
            reply = pool.request("POST", receiver, body=body, headers=headers | changed)
            assert reply.status == status, changed


def test_the_yaml_of_the_guide_is_a_policys(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    for part in parts:
        loaded = load_text(GOOD + part, Path("p.yaml"), {"MESH_SECRET": "x"})
        codes = [str(f) for f in loaded.findings if f.code != "P384"]
        assert codes == []
    assert len(parts) == 2
