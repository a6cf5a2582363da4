"""Channels against real servers on loopback: what is sent, and what counts as taken."""

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.web import Asked, free_port, serving

from controller.core.effect import Alert, News, Notify, Severity, Status
from controller.effects.alert_webhook import AlertWebhook
from controller.effects.alertmanager import Alertmanager
from controller.effects.base import EffectError
from controller.effects.channels import ChannelTarget, headline, text
from controller.effects.pagerduty import PagerDuty, dedup_key
from controller.effects.services import Services
from controller.policy.alerting import (
    AlertmanagerChannel,
    AppriseChannel,
    PagerDutyChannel,
    WebhookChannel,
)
from controller.policy.asking import Secret

AT = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
KEY = "a-secret-of-the-desk"
HERE = Path("/")
Open = Callable[[str], ChannelTarget]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_KEY", KEY)


def news(status: Status = "firing", **more: Any) -> News:
    said: dict[str, Any] = {
        "name": "trigger/loss", "status": status, "severity": Severity.CRITICAL, "kind": "trigger",
        "title": "loss: candidate.drawdown > 1%", "since": AT, "reasons": ("canary",),
        "labels": {"kind": "trigger", "trigger": "loss"},
    }  # fmt: skip
    return News(**(said | more))


def message(*told: News, **more: Any) -> Notify:
    return Notify("signal/7/2", "phone", "signal", AT, told or (news(),), **more)


def webhook(url: str, **more: Any) -> AlertWebhook:
    model = WebhookChannel(url=f"{url}/in", secret=Secret(env="CHANNEL_KEY"), **more)
    return AlertWebhook("record", model, HERE, "home", clock=lambda: 1_772_463_600.9)


def pagerduty(url: str, **more: Any) -> PagerDuty:
    model = PagerDutyChannel(url=url, key=Secret(env="CHANNEL_KEY"), **more)
    return PagerDuty("phone", model, HERE, "home")


def alertmanager(url: str, **more: Any) -> Alertmanager:
    return Alertmanager("grid", AlertmanagerChannel(url=url, **more), HERE)


OPEN: dict[str, Open] = {
    "webhook": webhook, "pagerduty": pagerduty, "alertmanager": alertmanager,
}  # fmt: skip
TAKEN = {"webhook": 200, "pagerduty": 202, "alertmanager": 200}


def takes(asked: Asked) -> None:
    """Everything is taken."""
    status = 202 if asked.path == "/v2/enqueue" else 200
    asked.answer('{"status": "success", "dedup_key": "x"}', status)


def sent(open_: Open, *told: News, **more: Any) -> list[Any]:
    """What a server was sent, read as JSON."""
    with serving(takes) as server:
        open_(server.url).deliver(message(*told, **more))
        return [json.loads(question.body) for question in server.asked]


@pytest.mark.parametrize("name", OPEN)
def test_trouble_is_an_error_and_the_next_attempt_counts(name: str) -> None:
    answers = [500, TAKEN[name]]
    with serving(lambda asked: asked.answer('{"status": "success"}', answers.pop(0))) as server:
        channel = OPEN[name](server.url)
        with pytest.raises(EffectError, match="HTTP 500"):
            channel.deliver(message())
        assert "has taken 1" in channel.deliver(message())


@pytest.mark.parametrize("name", OPEN)
def test_one_that_hangs_is_an_error_in_its_time(name: str) -> None:
    with (
        serving(lambda asked: asked.hang()) as server,
        pytest.raises(EffectError, match="no answer"),
    ):
        OPEN[name](server.url, timeout=timedelta(milliseconds=200)).deliver(message())  # type: ignore[call-arg]


@pytest.mark.parametrize("name", OPEN)
def test_one_that_is_not_there_is_an_error_without_a_secret(name: str) -> None:
    with pytest.raises(EffectError, match="refused") as raised:
        OPEN[name](f"http://127.0.0.1:{free_port()}").deliver(message())
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("name", OPEN)
def test_a_channel_takes_messages_and_nothing_else(name: str) -> None:
    with pytest.raises(EffectError, match="takes no Alert"):
        OPEN[name]("http://127.0.0.1:1").deliver(Alert("k", Severity.LOW, "stage", "t"))


# Each by itself -----------------------------------------------------------------------------


def test_a_webhook_is_a_signed_cloud_event_that_is_the_same_each_time() -> None:
    with serving(takes) as server:
        channel = webhook(server.url)
        channel.deliver(message())
        channel.deliver(message())
        first, second = server.asked
    assert first.body == second.body
    event = json.loads(first.body)
    assert (event["type"], event["id"], event["source"], event["subject"]) == (
        "rollout.alert.v1", "signal/7/2", "/rollout/home", "signal",
    )  # fmt: skip
    (told,) = event["data"]["alerts"]
    assert (told["name"], told["status"], told["severity"]) == (
        "trigger/loss", "firing", "critical",
    )  # fmt: skip
    mac = hmac.digest(KEY.encode(), f"signal/7/2.1772463600.{first.body}".encode(), hashlib.sha256)
    assert first.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def test_an_alert_is_one_incident_of_pagerduty_from_its_trigger_to_its_end() -> None:
    statuses: tuple[Status, ...] = ("firing", "again", "escalated", "acknowledged", "over")
    events = sent(pagerduty, *(news(status) for status in statuses))
    assert [event["event_action"] for event in events] == [
        "trigger", "trigger", "trigger", "acknowledge", "resolve",
    ]  # fmt: skip
    assert {event["dedup_key"] for event in events} == {"home/signal/trigger/loss"}
    assert events[0]["routing_key"] == KEY
    payload = events[0]["payload"]
    assert (payload["severity"], payload["source"], payload["summary"]) == (
        "critical", "signal", "loss: candidate.drawdown > 1%",
    )  # fmt: skip


def test_a_key_of_an_incident_is_never_longer_than_pagerduty_takes() -> None:
    assert len(dedup_key("home", "signal", "target/" + "x" * 400)) <= 255
    assert dedup_key("home", "signal", "x" * 400) != dedup_key("home", "signal", "y" * 400)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, '{"status": "success"}', "HTTP 200"),
        (202, "<html>", "not PagerDuty's"),
        (202, '{"status": "throttled"}', "not taken: throttled"),
        (400, f'{{"errors": ["bad {KEY}"]}}', "HTTP 400"),
    ],
)
def test_a_wrong_answer_of_pagerduty_is_not_taken(status: int, body: str, words: str) -> None:
    answer = partial(Asked.answer, body=body, status=status)
    with serving(answer) as server, pytest.raises(EffectError, match=words) as raised:
        pagerduty(server.url).deliver(message())
    assert KEY not in str(raised.value)


def test_an_alert_of_alertmanager_lasts_until_some_time_after_it_is_told_again() -> None:
    ((alert,),) = sent(alertmanager, again=LATER)
    assert alert["labels"] == {
        "alertname": "trigger/loss", "rollout": "signal", "severity": "critical",
        "kind": "trigger", "trigger": "loss",
    }  # fmt: skip
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-03-02T14:30:00Z", "2026-03-02T14:45:00Z")


def test_an_alert_that_is_over_has_its_end_in_alertmanager_under_the_same_labels() -> None:
    ((lasts, over),) = sent(alertmanager, news(), news("over", over=LATER), again=LATER)
    assert over["labels"] == lasts["labels"]
    assert over["endsAt"] == "2026-03-02T14:35:00Z"


def test_what_happened_and_is_over_has_no_end_that_could_be_past_when_it_arrives() -> None:
    ((alert,),) = sent(alertmanager, news("happened", over=AT))
    assert "endsAt" not in alert


def test_what_is_no_alertmanager_is_seen_by_the_doctor() -> None:
    words = "no Alertmanager"
    with serving(lambda a: a.answer("<html>")) as server, pytest.raises(EffectError, match=words):
        alertmanager(server.url).check()


def test_the_doctor_tells_nobody_anything() -> None:
    with serving(takes) as server:
        assert "answers" in webhook(server.url).check()
        assert "answers" in pagerduty(server.url).check()
        assert [question.command for question in server.asked] == ["GET", "GET"]


def test_a_missing_secret_is_said_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHANNEL_KEY")
    with serving(takes) as server:
        for open_ in (webhook, pagerduty):
            with pytest.raises(EffectError, match="CHANNEL_KEY is not set"):
                open_(server.url).deliver(message())
        assert not server.asked


# Services -----------------------------------------------------------------------------------


def services(monkeypatch: pytest.MonkeyPatch, url: str) -> Services:
    monkeypatch.setenv("DESK_URL", url)
    return Services("desk", AppriseChannel(url=Secret(env="DESK_URL")), HERE)


def test_apprise_brings_a_message_to_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(takes) as server:
        url = server.url.replace("http://", "json://")
        assert services(monkeypatch, url).deliver(message()) == "desk has taken 1"
        (question,) = server.asked
    told = json.loads(question.body)
    assert told["title"] == "[critical] loss: candidate.drawdown > 1%"
    assert "rollout ack signal" in told["message"] and told["type"] == "failure"


def test_a_service_that_does_not_take_it_is_an_error_without_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(lambda asked: asked.answer("", 500)) as server:
        url = server.url.replace("http://", f"json://user:{KEY}@")
        with pytest.raises(EffectError, match="did not take it") as raised:
            services(monkeypatch, url).deliver(message())
    assert KEY not in str(raised.value)


def test_a_url_that_apprise_does_not_know_is_said_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(EffectError, match="none that Apprise knows") as raised:
        services(monkeypatch, f"nowhere://{KEY}").check()
    assert KEY not in str(raised.value)


def test_the_doctor_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "JSON" in services(monkeypatch, "json://127.0.0.1/x").check()


def test_without_apprise_the_words_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(EffectError, match=r"pip install 'rollout-controller\[alerts\]'"):
        services(monkeypatch, "json://127.0.0.1").deliver(message())


# Words --------------------------------------------------------------------------------------


def test_the_headline_is_the_gravest_of_what_is_told() -> None:
    low = news(severity=Severity.LOW, name="stage/canary", title="in canary")
    assert headline(message(low, news("escalated"))) == (
        "[critical, nobody has acknowledged] loss: candidate.drawdown > 1% (and 1 more)"
    )


def test_the_text_says_who_took_it_on_and_asks_for_nothing_then() -> None:
    words = text(message(news("acknowledged", people="ann")))
    assert "[critical, acknowledged by ann]" in words
    assert "rollout ack" not in words
