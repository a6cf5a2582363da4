"""Alerts from the decision to people: real receivers, through the service, the store and back."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

from support.plans import POLICY
from support.running import Recorder, Shop
from support.services import Desk
from support.told import with_alerts
from support.web import Asked, Server, serving

from controller.core.decide import decide
from controller.core.effect import Effect, Notify
from controller.core.event import Acknowledgement, Tick
from controller.core.measurement import Measurement
from controller.run.dispatch import Dispatcher
from controller.store import audit

LOST = Measurement(value=0.02, samples=120)
LOSS = {"version": "v3", "pnl": -20_000.0}
ROUTES = """
alerts:
  channels:
    desk: {{type: webhook, url: "{desk}/in", secret: {{file: key}}}}
    boss: {{type: webhook, url: "{desk}/boss", secret: {{file: key}}}}
    phone: {{type: webhook, url: "{phone}/in", secret: {{file: key}}, timeout: 300ms}}
  routes:
    - {{severity: [high, critical], to: phone, else: desk, repeat: 2m,
       escalate: {{after: 10m, to: boss}}}}
    - {{to: log}}
"""


def told(server: Server) -> list[tuple[str, str]]:
    """What a receiver was told: name and status, in order."""
    return [
        (news["name"], news["status"])
        for question in server.asked
        if question.command == "POST"
        for news in json.loads(question.body)["data"]["alerts"]
    ]


@contextmanager
def channels(phone: "Phone") -> Iterator[tuple[Server, Server]]:
    with serving(lambda asked: asked.answer("{}")) as desk, serving(phone.react) as other:
        yield desk, other


class Phone:
    """A receiver that answers with these statuses, then well. 0: it hangs."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)

    def react(self, asked: Asked) -> None:
        status = self.answers.pop(0) if self.answers else 200
        asked.answer("{}", status) if status else asked.hang()


def opened(place: Path, desk: Server, phone: Server) -> Desk:
    policy = POLICY + ROUTES.format(desk=desk.url, phone=phone.url)
    there = Desk(place, policy, files={"key": "a secret"})
    there.command("start")
    there.push({"version": "v3", "pnl": 0.0})
    there.go(timedelta(minutes=1))
    return there


def is_back(there: Desk) -> bool:
    return there.state().name.startswith(("rolling_back", "cooldown", "rolled_back"))


def test_what_breaks_a_hard_limit_is_told_and_the_channels_answer_is_in_the_journal(
    tmp_path: Path,
) -> None:
    with channels(Phone()) as (desk, phone):
        there = opened(tmp_path, desk, phone)
        there.push(LOSS)
        assert is_back(there)
        assert told(phone)[:2] == [("trigger/loss", "firing"), ("rollback", "firing")]
        assert told(desk) == [], "nobody else before ten minutes are over"
        store = there.service.store
        (sent,) = [e for entry in store.journal("signal") for e in entry.effects
                   if isinstance(e, Notify)]  # fmt: skip
        answers = [e.event for e in store.journal("signal")
                   if isinstance(e.event, Acknowledgement)]  # fmt: skip
        assert Acknowledgement(sent.key, True, store.attempts(sent.key)[0].detail) in answers
        there.close()


def test_a_channel_in_trouble_is_tried_again_and_the_next_is_told_meanwhile(tmp_path: Path) -> None:
    with channels(Phone(500)) as (desk, phone):
        there = opened(tmp_path, desk, phone)
        there.push(LOSS)
        there.go(timedelta(minutes=2))
        assert ("trigger/loss", "firing") in told(desk)
        assert told(phone).count(("trigger/loss", "firing")) == 2
        key = phone.asked[0].headers["webhook-id"]
        tries = there.service.store.attempts(key)
        assert [attempt.ok for attempt in tries] == [False, True]
        assert "HTTP 500" in tries[0].detail
        alerts = there.state().alerts
        assert alerts is not None and not alerts.sent
        there.close()


def test_a_channel_that_hangs_is_given_up_in_its_time_and_fails_over(tmp_path: Path) -> None:
    with channels(Phone(0)) as (desk, phone):
        there = opened(tmp_path, desk, phone)
        there.push(LOSS)
        assert is_back(there)
        assert ("trigger/loss", "firing") in told(desk)
        assert "channel/phone" in standing(there)
        there.close()


def standing(there: Desk) -> set[str]:
    alerts = there.state().alerts
    return set(alerts.standing) if alerts is not None else set()


def test_what_a_crash_left_untold_is_told_after_it(tmp_path: Path) -> None:
    with channels(Phone(*[500] * 3)) as (desk, phone):
        there = opened(tmp_path, desk, phone)
        there.push(LOSS)
        there.restart()
        there.go(timedelta(minutes=10))
        assert told(phone).count(("trigger/loss", "firing")) == 4
        alerts = there.state().alerts
        assert alerts is None or not alerts.sent
        there.close()


def test_at_rest_an_alert_is_escalated_until_a_person_acknowledges_it(tmp_path: Path) -> None:
    with channels(Phone()) as (desk, phone):
        there = opened(tmp_path, desk, phone)
        there.push(LOSS)
        there.go(timedelta(minutes=90))
        assert there.state().name == "rolled_back"
        before = told(desk).count(("trigger/loss", "escalated"))
        there.go(timedelta(minutes=20))
        assert told(desk).count(("trigger/loss", "escalated")) == before + 2
        there.command("ack")
        assert ("trigger/loss", "acknowledged") in told(phone)
        there.go(timedelta(minutes=20))
        assert told(desk).count(("trigger/loss", "escalated")) == before + 2
        row = there.service.store.rollout("signal")
        assert row is not None and row.next_due is None and row.state.alerts is None
        there.close()


def test_the_journal_of_alerts_can_be_replayed_and_verified(tmp_path: Path) -> None:
    with channels(Phone(500, 500)) as (desk, phone):
        there = opened(tmp_path, desk, phone)
        there.push(LOSS)
        there.go(timedelta(minutes=6))
        plan_of = partial(there.service.plans.plan, now=there.now)
        report = audit.verify(there.service.store, "signal", decide, plan_of)
        assert report.broken is None and report.folded == report.links
        there.close()


class Blocked(Recorder):
    """A target whose messages to people are stuck until the test lets go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.let_go = threading.Event(), threading.Event()

    def deliver(self, effect: Effect) -> str:
        if isinstance(effect, Notify):
            self.entered.set()
            self.let_go.wait()
        return super().deliver(effect)


def test_no_round_and_no_rollback_waits_for_a_channel(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rollout.db", workers=2)
    blocked = shop.wires.recorder = Blocked()
    try:
        shop.register(with_alerts())
        shop.command("start")
        shop.command("rollback")
        assert blocked.entered.wait(60)
        shop.tick()
        assert blocked.shares[-1] == 0
        assert shop.state().name == "rolling_back.verify", "it went on without an answer"
        assert shop.state().alerts is not None and shop.state().alerts.sent  # type: ignore[union-attr]
    finally:
        blocked.let_go.set()
        shop.close()


def test_two_controllers_on_one_store_tell_once(tmp_path: Path) -> None:
    one, other = Shop(tmp_path / "rollout.db"), Shop(tmp_path / "rollout.db", "two")
    try:
        one.register(with_alerts())
        one.command("start")
        one.decide_only("rollback")
        claimed = one.store.claim_messages(one.now, "one", timedelta(seconds=15))
        assert claimed
        assert other.store.claim_messages(one.now, "two", timedelta(seconds=15)) == []
        later = one.now + timedelta(seconds=15)
        assert len(other.store.claim_messages(later, "two", timedelta(seconds=15))) == len(claimed)
    finally:
        one.close()
        other.close()


def test_who_leaves_the_telling_to_another_carries_out_all_else(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rollout.db")
    try:
        shop.register(with_alerts())
        shop.command("start")
        shop.decide_only("rollback")
        wires, lease = shop.wires, timedelta(seconds=15)
        Dispatcher(
            shop.store, shop.plans.plan, wires.target, "hand", random=Random(1), lease=lease,
            tells=False,
        ).dispatch(shop.now, "signal")  # fmt: skip
        assert wires.recorder.shares[-1] == 0 and shop.state().name == "rolling_back.verify"
        assert not [effect for effect in wires.recorder.taken if isinstance(effect, Notify)]
        shop.tick()
        assert [effect for effect in wires.recorder.taken if isinstance(effect, Notify)]
    finally:
        shop.close()


def test_at_rest_no_source_is_opened_to_tell_people(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rollout.db")
    try:
        shop.register(with_alerts())
        shop.command("start")
        shop.wires.source.answers["candidate.drawdown"] = LOST
        shop.ticks(timedelta(hours=2))
        assert shop.state().name == "rolled_back" and shop.due() is not None
        shop.wires.broken["signal"] = AssertionError("nobody is guarded, so nothing is read")
        told = len(shop.wires.recorder.taken)
        shop.ticks(timedelta(minutes=6))
        assert len(shop.wires.recorder.taken) > told
        ticks = [entry.event for entry in shop.entries() if isinstance(entry.event, Tick)]
        assert ticks[-1].measurements == {}
    finally:
        shop.close()


def test_messages_never_keep_actions_from_being_claimed(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rollout.db")
    try:
        shop.register(with_alerts())
        shop.command("start")
        shop.decide_only("rollback")
        actions = shop.store.claim_outbox(shop.now, "one", timedelta(seconds=15))
        assert actions and not [d for d in actions if isinstance(d.effect, Notify)]
    finally:
        shop.close()
