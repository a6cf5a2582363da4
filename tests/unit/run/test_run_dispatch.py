"""Effects on their way: at least once, in order per target, nobody waits for a broken one."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import POLICY
from support.running import Shop

from controller.core.effect import SetShare, Verify
from controller.core.event import Acknowledgement
from controller.run.dispatch import FIRST_WAIT, LONGEST_WAIT, Dispatcher, wait_after

TWO_TARGETS = POLICY.replace(
    "stages:",
    "publish:\n  near: {type: file, path: near.json}\n  far: {type: file, path: far.json}\nstages:",
    1,
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "rollout.db")
    shop.register(TWO_TARGETS)
    yield shop
    shop.close()


def answers(shop: Shop) -> list[Acknowledgement]:
    return [e.event for e in shop.entries() if isinstance(e.event, Acknowledgement)]


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_the_wait_is_drawn_from_nothing_to_a_bound_that_doubles(attempts: int, seed: int) -> None:
    wait = wait_after(attempts, Random(seed))
    assert timedelta(0) <= wait <= min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts, 10))


def test_the_same_seed_waits_the_same() -> None:
    one, two = Random(7), Random(7)
    assert [wait_after(n, one) for n in range(9)] == [wait_after(n, two) for n in range(9)]


def test_what_a_target_answers_is_journaled_and_the_outbox_is_empty(shop: Shop) -> None:
    shop.command("start")
    assert [(a.ok, a.detail) for a in answers(shop)] == [(True, "read back")] * 2
    assert shop.state().unacknowledged == ()
    assert shop.store.outbox("signal") == []


def test_what_people_are_told_is_in_the_programs_log_too(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        shop.command("start")
        shop.command("rollback", reason="drill")
    assert "low alert: signal is in shadow at 0% (start by kim)" in caplog.messages
    assert "high alert: signal goes back to v1 (rollback by kim: drill)" in caplog.messages


def test_a_target_out_of_reach_does_not_keep_the_others(shop: Shop) -> None:
    shop.wires.recorder.down.add("far")
    shop.command("start")
    taken = [e.target for e in shop.wires.recorder.taken if isinstance(e, SetShare)]
    assert taken == ["near"]
    assert any(alert.kind == "stage" for alert in shop.wires.recorder.alerts)
    assert len(shop.state().unacknowledged) == 1


def test_a_failure_is_journaled_once_and_every_try_is_on_record(shop: Shop) -> None:
    shop.wires.recorder.down.add("far")
    shop.command("start")
    for _ in range(10):
        shop.tick(LONGEST_WAIT)
    failed = [a for a in answers(shop) if not a.ok]
    assert [a.detail for a in failed] == ["far is out of reach"]
    (waiting,) = shop.store.outbox("signal")
    assert waiting.attempts >= 10
    assert waiting.last_error == "far is out of reach"
    assert sum(alert.kind == "target" for alert in shop.wires.recorder.alerts) == 1

    shop.wires.recorder.down.clear()
    shop.tick(LONGEST_WAIT)
    assert answers(shop)[-1] == Acknowledgement(failed[0].key, True, "read back")
    assert shop.store.outbox("signal") == []


def test_a_target_that_breaks_down_in_its_own_way_is_a_failure_like_any_other(shop: Shop) -> None:
    shop.wires.recorder.broken["far"] = ZeroDivisionError("in its own code")
    shop.command("start")
    (failed,) = [a for a in answers(shop) if not a.ok]
    assert failed.detail == "ZeroDivisionError: in its own code"


def test_traffic_goes_to_the_baseline_before_anything_else_is_carried_out(shop: Shop) -> None:
    shop.command("start")
    shop.wires.recorder.tried.clear()
    shop.wires.recorder.taken.clear()
    shop.command("rollback")
    kinds = [type(effect).__name__ for effect in shop.wires.recorder.taken]
    assert kinds[:2] == ["SetShare", "SetShare"]
    assert "Alert" in kinds[2:]


def test_a_new_share_does_not_wait_for_what_failed_before_it(shop: Shop) -> None:
    """A read-back that fails must not keep the next start's share from its target."""
    shop.command("start")
    shop.command("rollback")
    shop.tick(timedelta(minutes=4))
    shop.wires.recorder.down.add("far")
    shop.tick(timedelta(minutes=2))
    waiting = [type(d.effect) for d in shop.store.outbox("signal")]
    assert waiting == [Verify, SetShare]
    shop.tick(timedelta(minutes=1))
    assert shop.state().name == "partial"
    shop.wires.recorder.down.clear()
    shop.command("reset")
    shop.ticks(timedelta(hours=2), timedelta(minutes=1))
    assert shop.state().name == "rolled_back"
    shop.command("start")
    assert shop.wires.recorder.shares[-2:] == [5000, 5000]


def test_what_a_later_decision_has_overtaken_never_reaches_its_target(shop: Shop) -> None:
    """A controller stalls with effects in its hands, and a person rolls back meanwhile."""
    shop.decide_only("start")
    stalled = Dispatcher(
        shop.store,
        shop.plans.plan,
        shop.wires.target,
        "stalled",
        random=Random(1),
        lease=LONGEST_WAIT,
    )
    claimed = stalled._claim(shop.now, None)
    late = {d.effect.key for d in claimed if isinstance(d.effect, SetShare)}
    shop.command("rollback")
    stalled._pass(claimed, shop.now)
    assert late and not late & set(shop.wires.recorder.tried)
    assert shop.wires.recorder.shares == [0, 0]


def test_effects_behind_one_that_failed_keep_their_order(shop: Shop) -> None:
    shop.wires.recorder.down.add("alerts")
    shop.command("start")
    shop.command("pause")
    shop.command("resume")
    shop.command("pause")
    assert shop.wires.recorder.alerts == []
    shop.wires.recorder.down.clear()
    for _ in range(5):
        shop.tick(LONGEST_WAIT)
    keys = [alert.key for alert in shop.wires.recorder.alerts]
    assert len(keys) == 3
    assert keys == sorted(keys, key=lambda key: int(key.split("/")[1]))


def test_an_alert_that_cannot_be_written_is_said_in_the_log(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.wires.recorder.down.add("alerts")
    shop.command("start")
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "low alert: signal is in shadow at 0%" in record.getMessage()


def test_several_targets_are_served_at_once_and_settled_in_order(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "many.db", workers=3)
    try:
        shop.register(TWO_TARGETS)
        shop.command("start")
        assert shop.state().unacknowledged == ()
        assert [a.key for a in answers(shop)] == ["signal/1/0", "signal/1/1"]
    finally:
        shop.close()
