"""The unit of work: one event, one decision, one journal entry, whoever was faster."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.plans import GOOD, POLICY, T0
from support.running import Shop

from controller.core.clocks import next_due
from controller.core.event import Acknowledgement, Command, Tick
from controller.run.unit import Contended, UnknownRollout, handle
from controller.store.base import Commit


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "rollout.db")
    shop.register()
    yield shop
    shop.close()


def test_an_event_is_one_journal_entry(shop: Shop) -> None:
    decision = shop.decide_only("start")
    assert decision.state == shop.state()
    assert [(e.seq, e.move) for e in shop.entries()] == [(1, "start")]


def test_a_refused_command_is_journaled_too(shop: Shop) -> None:
    decision = shop.decide_only("resume")
    assert "resume is not possible in pending" in decision.refused
    assert shop.entries()[0].refused == decision.refused


def test_a_decision_is_made_again_when_somebody_was_faster(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.decide_only("start")
    read, faster = shop.store.rollout, [True]

    def stale(name: str) -> object:
        row = read(name)
        if faster.pop() if faster else False:
            shop.decide_only("pause")
        return row

    monkeypatch.setattr(shop.store, "rollout", stale)
    decision = handle(shop.store, shop.plans.plan, "signal", Command("rollback", "kim"), T0)
    assert decision.state.name == "rolling_back.baseline_traffic"
    assert [e.move for e in shop.entries()] == ["start", "pause", "rollback"]


def test_one_that_is_never_first_gives_up_and_writes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(commits: list[Commit]) -> list[bool]:
        return [False] * len(commits)

    monkeypatch.setattr(shop.store, "commit", refuse)
    with pytest.raises(Contended, match="20 times"):
        shop.decide_only("start")
    assert shop.entries() == []


def test_an_unknown_rollout_is_answered_with_those_there_are(shop: Shop) -> None:
    with pytest.raises(UnknownRollout, match=r"no rollout 'singal'; did you mean 'signal'\?"):
        shop.decide_only("start", "singal")


def test_a_look_that_is_due_stays_due_whatever_comes_between(shop: Shop) -> None:
    shop.command("start")
    assert shop.due() == T0 + timedelta(seconds=30)
    shop.now = T0 + timedelta(seconds=45)
    shop.decide_only("pause")
    event = Tick(dict(GOOD), scheduled=False)
    handle(shop.store, shop.plans.plan, "signal", event, shop.now)
    assert shop.due() == T0 + timedelta(seconds=30)
    assert shop.tick(timedelta(0)).decided == 1
    assert shop.due() == T0 + timedelta(seconds=60)


def test_a_new_start_has_a_schedule_of_its_own(shop: Shop) -> None:
    shop.now = T0 + timedelta(seconds=7)
    shop.command("start")
    shop.tick()
    assert shop.due() == T0 + timedelta(seconds=67)


@pytest.mark.parametrize("name", ["pending", "completed", "rolled_back", "locked"])
def test_nothing_is_due_where_only_an_event_can_move_it(shop: Shop, name: str) -> None:
    plan = shop.plans.plan(shop.state().policy, T0)
    state = replace(shop.state(), name=name, started_at=T0, at=T0)
    assert next_due(plan, state, T0 + timedelta(hours=1)) is None


@pytest.mark.parametrize("name", ["partial", "cooldown", "rolling_back.verify", "canary.paused"])
def test_a_look_is_due_wherever_time_can_change_something(shop: Shop, name: str) -> None:
    plan = shop.plans.plan(shop.state().policy, T0)
    state = replace(shop.state(), name=name, started_at=T0, at=T0)
    assert next_due(plan, state, T0 + timedelta(seconds=61)) == T0 + timedelta(seconds=90)


def test_before_the_start_by_a_clock_set_back_the_schedule_goes_on(shop: Shop) -> None:
    plan = shop.plans.plan(shop.state().policy, T0)
    state = replace(shop.state(), name="canary", started_at=T0, at=T0)
    back = T0 - timedelta(hours=1)
    assert next_due(plan, state, back) == back + timedelta(seconds=30)


def test_a_step_of_the_way_back_does_not_wait_for_a_slow_tick(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "slow.db")
    shop.register(POLICY.replace("tick: 30s", "tick: 15m").replace("window: 5m", "window: 45m"))
    shop.command("start")
    shop.tick(timedelta(minutes=20))
    shop.wires.recorder.down.add("share")
    rollback = shop.now = shop.now + timedelta(minutes=1)
    shop.command("rollback")
    shop.tick(timedelta(0))
    assert shop.due() == rollback + timedelta(seconds=30, milliseconds=1), "the step's deadline"
    shop.wires.recorder.down.clear()
    shop.tick(timedelta(seconds=29))
    assert shop.state().name == "rolling_back.verify"
    shop.tick(timedelta(seconds=2))
    assert shop.due() == rollback + timedelta(minutes=5, seconds=29), "the read-back"
    shop.close()


def test_an_answer_that_is_older_than_the_last_look_comes_right_after_it(shop: Shop) -> None:
    """Two controllers: one delivers in a round that began before the other's last look."""
    shop.wires.recorder.down.add("share")
    shop.command("start")
    key = shop.state().unacknowledged[0]
    shop.tick(timedelta(seconds=35))
    looked, due = shop.now, shop.due()
    event = Acknowledgement(key, ok=True)
    handle(shop.store, shop.plans.plan, "signal", event, T0 + timedelta(seconds=20))
    assert shop.state().unacknowledged == ()
    assert shop.state().at == looked
    assert shop.due() == due
