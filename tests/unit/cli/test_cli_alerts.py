"""Alerts as people and programs see them, and the channels as the doctor does."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.plans import POLICY
from support.told import LOSS, SILENT, Desk
from support.web import Asked, Server, serving

from controller.cli.health import Found, examine
from controller.cli.render.alerts import alert_lines, alerts_as_data
from controller.cli.render.explain import effect_words

ROUTES = """
alerts:
  channels: {{desk: {{type: webhook, url: "{url}/in", secret: {{file: key}}}}}}
  routes: [{{to: desk}}]
"""


def lines(desk: Desk) -> str:
    return "\n".join(
        line.plain for line in alert_lines(desk.plan, desk.state, desk.now, local=False)
    )


def in_trouble() -> Desk:
    desk = Desk()
    desk.to("canary")
    desk.tick(candidate__drawdown=LOSS, signals__silent=SILENT)
    desk.pass_time(timedelta(minutes=2))
    return desk


def test_an_alert_says_who_was_told_and_what_comes_next() -> None:
    said = lines(in_trouble())
    assert "critical trigger/loss  firing, 2m ago: loss: candidate.drawdown > 1%" in said
    assert "told: desk, phone" in said
    assert "again in 3m" in said and "escalates in 3m" in said
    assert said.index("trigger/loss") < said.index("trigger/silent"), "the gravest first"


def test_what_is_acknowledged_and_what_is_silenced_say_by_whom() -> None:
    desk = in_trouble()
    desk.person("ack", "trigger/loss", by="ann")
    desk.person("silence", "trigger/silent", hours=1, reason="feed is moved")
    said = lines(desk)
    assert "trigger/loss  acknowledged by ann" in said
    assert "silent until 2026-03-02" in said and "trigger/silent, by kim: feed is moved" in said
    assert "held back for 1h" in said


def test_programs_get_the_same() -> None:
    desk = in_trouble()
    desk.out = {"phone"}
    desk.person("ack", "rollback", by="ann")
    data = alerts_as_data(desk.plan, desk.state)
    found = {one["alert"]: one for one in data["standing"]}
    assert found["trigger/loss"]["severity"] == "critical"
    assert found["trigger/loss"]["escalates_at"] - desk.now == timedelta(minutes=3)
    assert found["rollback"]["acknowledged"].by == "ann"
    assert set(data["waiting"].values()) == {"phone"}


def test_a_message_is_an_effect_in_words() -> None:
    desk = in_trouble()
    (first, *_) = [m for m in desk.messages if m.target == "phone"]
    assert effect_words(first) == "word to phone: trigger/loss firing, rollback firing"


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "key").write_text("a secret")

    def examine_one(server: Server, *, tell: bool = False) -> Found:
        text = POLICY + ROUTES.format(url=server.url)
        (tmp_path / "policies" / "signal.yaml").write_text(text)
        (line,) = [line for line in examine({}, tell=tell) if line.what == "channel desk"]
        return line

    return examine_one


def test_the_doctor_asks_each_channel_and_tells_nobody(examined: Callable[..., Found]) -> None:
    with serving(lambda asked: asked.answer("", 405)) as server:
        assert examined(server).state == "ok"
        assert [question.command for question in server.asked] == ["GET"]


def test_the_doctor_sends_a_message_where_a_person_wants_it(
    examined: Callable[..., Found],
) -> None:
    with serving(lambda asked: asked.answer("{}")) as server:
        assert examined(server, tell=True).state == "ok"
        (question,) = server.asked
        assert question.command == "POST" and "nothing has happened" in question.body


def test_a_channel_that_does_not_answer_is_a_failure(examined: Callable[..., Found]) -> None:
    def trouble(asked: Asked) -> None:
        asked.answer("", 503)

    with serving(trouble) as server:
        line = examined(server)
        assert (line.state, line.remedy) == ("fail", "alerts would not reach anybody")
        assert "HTTP 503" in line.detail
