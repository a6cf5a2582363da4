"""The round: schedule, lateness, isolation, hard limits between ticks."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from support.plans import POLICY, T0
from support.running import Shop

from controller.core.effect import Severity
from controller.core.event import Tick
from controller.core.measurement import Measurement
from controller.store.base import StoreError

TICK = timedelta(seconds=30)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "rollout.db")
    shop.register()
    yield shop
    shop.close()


def loss(value: float) -> Measurement:
    return Measurement(value=value, samples=1)


def test_a_pending_rollout_is_never_due(shop: Shop) -> None:
    assert shop.tick().due == 0
    assert shop.entries() == []


def test_a_round_looks_decides_and_carries_out(shop: Shop) -> None:
    shop.command("start")
    assert shop.wires.recorder.shares == [0]
    for _ in range(22):
        report = shop.tick()
    assert (report.due, report.decided, report.refused) == (1, 1, 0)
    assert shop.state().name == "canary"
    assert shop.wires.recorder.shares == [0, 5000]
    assert shop.state().unacknowledged == ()


def test_looks_are_due_at_the_start_plus_whole_ticks_however_late_the_rounds_are(
    shop: Shop,
) -> None:
    shop.command("start")
    for late in (1, 29, 3, 17):
        shop.now = T0
        due = shop.due()
        assert due is not None
        shop.now = due
        shop.tick(timedelta(seconds=late))
        following = shop.due()
        assert following == due + TICK


def test_a_look_that_is_late_is_counted_and_none_is_missed(shop: Shop) -> None:
    shop.command("start")
    report = shop.tick(TICK + timedelta(seconds=3))
    assert (report.late, report.missed) == (1, 0)
    report = shop.tick(TICK - timedelta(seconds=2))
    assert (report.late, report.missed) == (0, 0)


def test_missed_looks_are_counted_and_one_look_stands_for_them(shop: Shop) -> None:
    shop.command("start")
    shop.tick()
    dwelt = shop.state().dwell_ms
    report = shop.tick(5 * TICK + timedelta(seconds=10))
    assert (report.late, report.missed, report.decided) == (1, 4, 1)
    assert shop.state().dwell_ms == dwelt + 30_000
    assert shop.due() == T0 + 7 * TICK
    (_, _, note), = shop.store.heartbeats()  # fmt: skip
    totals = msgspec.json.decode(note)
    assert (totals["late"], totals["missed"], totals["state"]) == (1, 4, "running")


def test_a_rollout_whose_sources_fail_is_decided_on_with_errors(shop: Shop) -> None:
    shop.command("start")
    shop.wires.source.broken = RuntimeError("connection refused")
    report = shop.tick()
    assert (report.decided, report.failed) == (1, {})
    event = shop.entries()[-1].event
    measured = event.measurements["candidate.accuracy"]  # type: ignore[union-attr]
    assert measured.status == "error"
    assert "connection refused" in measured.detail


def test_a_rollout_that_cannot_be_decided_on_does_not_keep_the_others(shop: Shop) -> None:
    other = POLICY.replace("rollout: signal", "rollout: other")
    shop.register(other, "/policies/other.yaml")
    for name in ("signal", "other"):
        shop.command("start", name)
    broken = shop.state("other").policy
    good = shop.plans.plan

    def plan(digest: str, now: object) -> object:
        if digest == broken:
            raise RuntimeError("this policy is beyond repair")
        return good(digest, shop.now)

    shop.plans.plan = plan  # type: ignore[method-assign,assignment]
    report = shop.tick()
    assert report.decided == 1
    assert report.failed == {"other": "RuntimeError: this policy is beyond repair"}
    (alert,) = shop.told.alerts
    assert alert.title == "other cannot be decided on and is not guarded"
    assert shop.tick().failed and len(shop.told.alerts) == 1, "told once"

    shop.plans.plan = good  # type: ignore[method-assign]
    report = shop.tick()
    assert (report.decided, report.failed) == (2, {})


def test_a_decision_that_cannot_be_written_does_not_keep_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.register(POLICY.replace("rollout: signal", "rollout: other"), "/policies/other.yaml")
    for name in ("signal", "other"):
        shop.command("start", name)
    commit = shop.store.commit

    def picky(commits: list) -> list[bool]:  # type: ignore[type-arg]
        if any(item.before.rollout == "other" for item in commits):
            raise ValueError("not JSON")
        return list(commit(commits))

    monkeypatch.setattr(shop.store, "commit", picky)
    report = shop.tick()
    assert (report.decided, report.failed) == (1, {"other": "ValueError: not JSON"})


def test_a_rollout_that_moved_on_meanwhile_is_looked_at_in_the_next_round(shop: Shop) -> None:
    shop.command("start")
    measure, calls = shop.wires.source.measure, [True]

    def slow(requests: object) -> object:
        if calls:
            calls.pop()
            shop.decide_only("pause")
        return measure(requests)  # type: ignore[arg-type]

    shop.wires.source.measure = slow  # type: ignore[method-assign,assignment]
    report = shop.tick()
    assert (report.decided, report.refused) == (0, 1)
    assert shop.state().name == "shadow.paused"
    report = shop.tick(timedelta(seconds=1))
    assert (report.decided, report.refused) == (1, 0)
    assert [e.move for e in shop.entries() if e.move] == ["start", "pause"]


def test_what_breaks_a_hard_limit_is_decided_on_at_once(shop: Shop) -> None:
    to_canary(shop)
    shop.now += timedelta(seconds=3)
    shop.wires.source.answers["candidate.drawdown"] = loss(0.02)
    shop.wires.heard = [("signal", "signals")]
    report = shop.tick(timedelta(0))
    assert (report.due, report.moved) == (0, ["signal"])
    assert shop.state().name.startswith("rolling_back.")
    assert shop.wires.recorder.shares[-1] == 0


def test_what_breaks_no_hard_limit_waits_for_the_next_look(shop: Shop) -> None:
    to_canary(shop)
    before = len(shop.entries())
    shop.wires.source.answers["candidate.errors"] = Measurement(value=0.9, samples=1000)
    assert shop.controller.observed("signal", "signals", shop.now) is None
    assert shop.controller.observed("signal", "elsewhere", shop.now) is None
    assert shop.controller.observed("nobody", "signals", shop.now) is None
    assert len(shop.entries()) == before


def test_a_hard_limit_that_stays_broken_is_one_event(shop: Shop) -> None:
    to_canary(shop)
    shop.wires.source.answers["candidate.drawdown"] = loss(0.02)
    assert shop.controller.observed("signal", "signals", shop.now) is not None
    before = len(shop.entries())
    assert shop.controller.observed("signal", "signals", shop.now) is None
    assert len(shop.entries()) == before


def test_a_clock_set_back_makes_everything_due_again(shop: Shop) -> None:
    shop.command("start")
    shop.ticks(timedelta(minutes=2))
    dwelt = shop.state().dwell_ms
    back = timedelta(hours=-1)
    assert shop.tick(back).due == 0, "planned by the old clock, an hour ahead"
    shop.controller.clock_stepped(back, shop.now)
    assert shop.tick(timedelta(0)).decided == 1
    assert shop.state().dwell_ms == dwelt
    assert shop.due() == shop.now + TICK
    shop.tick()
    assert shop.state().dwell_ms == dwelt + 30_000
    (alert,) = shop.told.alerts
    assert (alert.kind, alert.title) == ("clock", "the clock went back by 1h")
    assert shop.controller.totals.clock_steps == 1


def test_a_clock_set_back_while_nobody_ran_is_noticed_at_the_start(shop: Shop) -> None:
    shop.command("start")
    shop.tick()
    shop.now -= timedelta(hours=2)
    shop.controller.begin(shop.now)
    assert shop.tick(timedelta(0)).decided == 1
    assert shop.told.alerts[0].kind == "clock"


def test_slow_sources_are_asked_beside_the_others(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "slow.db", workers=2)
    try:
        for name in ("one", "two", "three"):
            text = POLICY.replace("rollout: signal", f"rollout: {name}")
            shop.register(text, f"/policies/{name}.yaml")
            shop.command("start", name)
        shop.wires.slow = lambda state, now: state.rollout != "two"  # type: ignore[method-assign]
        report = shop.tick()
        assert (report.due, report.decided) == (3, 3)
    finally:
        shop.close()


def test_a_locked_store_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    shop = Shop(f"sqlite:///{path}?timeout=0.01")
    shop.register()
    shop.command("start")
    shop.tick()
    before, entries = shop.state(), len(shop.entries())
    with closing(sqlite3.connect(path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another program"):
            shop.tick()
        assert shop.state() == before
    assert shop.tick(timedelta(seconds=1)).decided == 1
    assert len(shop.entries()) == entries + 1
    assert shop.state().dwell_ms == before.dwell_ms + 31_000
    shop.close()


def to_canary(shop: Shop) -> None:
    shop.command("start")
    shop.ticks(timedelta(minutes=11))
    assert shop.state().name == "canary"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_journaled_as_it_was_decided_on(shop: Shop, value: float) -> None:
    shop.wires.source.answers["candidate.accuracy"] = Measurement(
        value=value, samples=120, mean=value, variance=value
    )
    shop.command("start")
    shop.tick()
    journaled = shop.entries()[-1].event
    assert isinstance(journaled, Tick)
    found = journaled.measurements["candidate.accuracy"]
    assert (found.status, found.value, found.mean) == ("no_data", None, None)
    assert found.detail == f"the value is {value}"


def test_a_rollout_whose_calendar_has_ended_goes_on_and_people_are_told_once_a_day(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path / "lapsed.db")
    shop.register(POLICY.replace("{tick: 30s}", "{tick: 30s, calendar: XSHG}"))
    shop.command("start")
    shop.tick()
    assert shop.told.alerts == []
    shop.tick(timedelta(days=700))
    shop.tick()
    (alert,) = shop.told.alerts
    assert (alert.kind, alert.severity) == ("calendar", Severity.HIGH)
    assert "upgrade exchange_calendars" in alert.reasons[0]
    assert shop.state().name == "rolling_back.verify", "the deadline counts all time"
    shop.tick(timedelta(days=1))
    assert len(shop.told.alerts) == 2
    shop.close()
