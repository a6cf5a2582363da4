"""A controller that dies at any point, two that share a store, a store that fails for a while."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from support.plans import POLICY
from support.running import Recorder, Shop

from controller.core.effect import Effect, SetShare
from controller.core.event import Acknowledgement, Tick
from controller.core.measurement import Measurement
from controller.sources.base import Request
from controller.store.base import Commit, StoreError

LEASE = timedelta(seconds=15)
AFTER_LEASE = LEASE + timedelta(seconds=1)


class Killed(BaseException):
    """The process is gone: nobody may handle this."""


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Callable[[str], Shop]]:
    """Controllers by name on one store, each with what the last one left of the world."""
    opened: list[Shop] = []
    recorder = Recorder()

    def open_shop(owner: str) -> Shop:
        shop = Shop(tmp_path / "rollout.db", owner)
        shop.wires.recorder = recorder
        if opened:
            shop.now = opened[-1].now
        opened.append(shop)
        return shop

    yield open_shop
    for shop in opened:
        shop.close()


def test_the_next_controller_continues_with_stage_dwell_and_counters(
    shops: Callable[[str], Shop],
) -> None:
    one = shops("one")
    one.register()
    one.command("start")
    one.ticks(timedelta(minutes=20))
    one.wires.source.answers["candidate.errors"] = Measurement(value=0.2, samples=200)
    one.ticks(timedelta(minutes=1))
    left = one.state()
    assert (left.name, left.counters["errors"].recent) == ("canary", 0b11)

    two = shops("two")
    two.wires.source.answers["candidate.errors"] = Measurement(value=0.2, samples=200)
    assert two.state() == left
    two.tick()
    assert two.state().name.startswith("rolling_back"), "the third failure of five"


@pytest.mark.parametrize("point", ["before delivery", "before its answer", "before it is settled"])
def test_a_rollback_is_finished_by_the_next_controller(
    shops: Callable[[str], Shop], monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    one = shops("one")
    one.register()
    one.command("start")
    one.ticks(timedelta(minutes=11))
    assert one.state().name == "canary"
    kill_at(one, monkeypatch, point)
    with pytest.raises(Killed):
        one.command("rollback")
    assert one.state().name in ("rolling_back.baseline_traffic", "rolling_back.verify")
    monkeypatch.undo()

    two = shops("two")
    two.tick(AFTER_LEASE)
    assert two.state().name == "rolling_back.verify"
    assert two.wires.recorder.shares[-1] == 0
    two.tick(timedelta(minutes=6))
    assert two.state().name == "cooldown"
    assert two.state().epoch == 2, "one start, one rollback"
    assert two.state().failed_steps == ()
    moves = [entry.move for entry in two.entries() if entry.move]
    assert moves == ["start", "tick", "rollback", "acknowledge", "acknowledge"]
    keys = [effect.key for effect in two.wires.recorder.taken]
    assert len(keys) == len(set(keys))


def test_what_a_dead_controller_left_to_deliver_goes_out_before_a_source_is_asked(
    shops: Callable[[str], Shop],
) -> None:
    one = shops("one")
    one.register()
    one.command("start")
    one.ticks(timedelta(minutes=11))
    one.decide_only("rollback")
    two = shops("two")
    measure, seen = two.wires.source.measure, list[int]()

    def measuring(requests: Sequence[Request]) -> list[Measurement]:
        seen.append(two.wires.recorder.shares[-1])
        return measure(requests)

    two.wires.source.measure = measuring  # type: ignore[method-assign]
    two.tick(timedelta(hours=1))
    assert seen == [0]
    assert two.state().failed_steps == (), "its target answered as soon as it was asked"


def kill_at(shop: Shop, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    deliver = shop.wires.recorder.deliver

    def die_delivering(effect: Effect) -> str:
        answer = "" if point == "before delivery" else deliver(effect)
        if isinstance(effect, SetShare):
            raise Killed
        return answer

    def die_settling(*answers: object) -> None:
        raise Killed

    if point == "before it is settled":
        monkeypatch.setattr(shop.store, "settle", die_settling)
    else:
        monkeypatch.setattr(shop.wires.recorder, "deliver", die_delivering)


def test_a_crash_at_any_commit_leaves_one_history(shops: Callable[[str], Shop]) -> None:
    """Dies at the n-th commit of a life, for many n; the next controller brings it to its end."""
    commits = life(shops("undisturbed"), "undisturbed")
    assert commits > 30
    for at in range(2, commits, 5):
        name = f"r{at}"
        victim = shops(f"victim-{at}")
        die_at_commit(victim, at)
        with pytest.raises(Killed):
            life(victim, name)
        heir = shops(f"heir-{at}")
        heir.tick(AFTER_LEASE)
        if heir.state(name).name in ("shadow", "canary"):
            heir.command("rollback", name)
        heir.ticks(timedelta(minutes=7))
        assert heir.state(name).name == "cooldown"
        assert heir.state(name).epoch == 2, "one start, one rollback"
        seqs = [entry.seq for entry in heir.entries(name)]
        assert seqs == list(range(1, len(seqs) + 1))
    keys = [effect.key for effect in victim.wires.recorder.taken]
    assert len(keys) == len(set(keys))


def die_at_commit(shop: Shop, number: int) -> None:
    """Before the commit that would hold the `number`-th decision."""
    commit, left = shop.store.commit, [number]

    def dying(items: Sequence[Commit]) -> list[bool]:
        left[0] -= len(items)
        if left[0] <= 0:
            raise Killed
        return commit(items)

    shop.store.commit = dying  # type: ignore[method-assign,assignment]


def life(shop: Shop, name: str) -> int:
    """Start, canary, rollback, cooldown; how many decisions that took."""
    shop.register(POLICY.replace("rollout: signal", f"rollout: {name}"), f"/policies/{name}.yaml")
    shop.command("start", name)
    shop.ticks(timedelta(minutes=12))
    shop.command("rollback", name)
    shop.ticks(timedelta(minutes=6))
    assert shop.state(name).name == "cooldown"
    return shop.state(name).seq


def test_two_controllers_on_one_store_never_act_twice(shops: Callable[[str], Shop]) -> None:
    one, two = shops("one"), shops("two")
    one.register()
    one.command("start")
    for number in range(80):
        for shop in (one, two) if number % 2 else (two, one):
            shop.now = one.now if shop is two else two.now
            shop.tick(timedelta(seconds=15) if shop is one else timedelta(seconds=3))
    entries = one.entries()
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    looks = [entry.at for entry in entries if isinstance(entry.event, Tick)]
    gaps = {late - early for early, late in pairwise(looks)}
    assert min(gaps) > timedelta(seconds=15), "each look was taken by one of them"
    keys = [effect.key for effect in one.wires.recorder.taken]
    assert len(keys) == len(set(keys))
    answered = [e.event.key for e in entries if isinstance(e.event, Acknowledgement)]
    assert len(answered) == len(set(answered))


def test_what_a_dead_controller_had_claimed_is_taken_over_after_its_lease(
    shops: Callable[[str], Shop],
) -> None:
    one = shops("one")
    one.register()
    one.command("start")
    now = one.now + timedelta(seconds=30)
    assert len(one.store.claim_due(now, "one", LEASE)) == 1
    two = shops("two")
    two.now = now
    assert two.tick(timedelta(seconds=1)).due == 0
    assert two.tick(LEASE).decided == 1


def test_a_store_that_fails_in_the_middle_of_a_round_loses_nothing(
    shops: Callable[[str], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shops("one")
    shop.register()
    shop.command("start")
    shop.ticks(timedelta(minutes=5))
    for method in ("claim_due", "commit", "claim_outbox", "beat"):
        before = shop.state()

        def fail(*_: object, **__: object) -> None:
            raise StoreError("database rollout.db: the disk is full")

        monkeypatch.setattr(shop.store, method, fail)
        with pytest.raises(StoreError, match="the disk is full"):
            shop.tick()
        monkeypatch.undo()
        shop.tick(timedelta(seconds=1))
        after = shop.state()
        assert after.name == "shadow"
        assert after.dwell_ms - before.dwell_ms in (30_000, 31_000), method


def test_an_emergency_rollback_waits_for_no_lease(shops: Callable[[str], Shop]) -> None:
    one = shops("one")
    one.register()
    one.command("start")
    one.ticks(timedelta(minutes=11))
    one.now += timedelta(seconds=30)
    assert one.store.claim_due(one.now, "one", LEASE), "one is looking at it right now"
    two = shops("two")
    decision = two.command("rollback")
    assert decision.move == "rollback"
    assert two.wires.recorder.shares[-1] == 0
