"""A decision is durable whole or not at all, and only from the state it was decided from."""

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs
from support.commits import STEP, T0, alert, commit, created, go, set_share

from controller.core.measurement import Measurement
from controller.core.state import State
from controller.store import open_store
from controller.store.audit import verify
from controller.store.base import StoreError
from controller.store.sql import SqlStore

LEASE = timedelta(seconds=30)


def test_a_commit_writes_state_entry_and_effect_together(store: SqlStore) -> None:
    before = created(store)
    after = go(store, before, set_share("r:1:0"), name="canary", next_due=T0 + STEP)
    row = store.rollout("r")
    assert row is not None
    assert (row.state, row.next_due, row.policy_path) == (after, T0 + STEP, "policies/r.yaml")
    (entry,) = store.journal("r")
    assert (entry.seq, entry.move, entry.state) == (1, "tick", after)
    assert [d.effect.key for d in store.outbox("r")] == ["r:1:0"]


def test_a_commit_from_an_older_state_is_refused_and_leaves_nothing(store: SqlStore) -> None:
    before = created(store)
    after = go(store, before)
    assert store.commit([commit(before, alert("r:1:9"), name="rolled_back")]) == [False]
    row = store.rollout("r")
    assert row is not None and row.state == after
    assert store.outbox("r") == []
    assert len(list(store.journal("r"))) == 1


def test_in_a_batch_only_the_stale_one_is_refused(store: SqlStore) -> None:
    first, second, third = (created(store, name) for name in ("a", "b", "c"))
    go(store, second)
    taken = store.commit([commit(first), commit(second), commit(third)])
    assert taken == [True, False, True]
    assert [r.state.seq for r in store.rollouts()] == [1, 1, 1]


def test_a_batch_may_hold_several_decisions_of_one_rollout_in_order(store: SqlStore) -> None:
    one = commit(created(store), set_share("r:1:0"))
    two = commit(one.decision.state, set_share("r:2:0"))
    fork = commit(one.decision.state, set_share("r:2:9"))
    assert store.commit([one, two, fork]) == [True, True, False]
    assert [e.seq for e in store.journal("r")] == [1, 2]
    assert [d.effect.key for d in store.outbox("r")] == ["r:2:0"]


def test_a_large_batch_is_fenced_like_a_small_one(store: SqlStore) -> None:
    states = [created(store, f"r{n:04}") for n in range(600)]
    go(store, states[300])
    taken = store.commit([commit(state) for state in states])
    assert [n for n, took in enumerate(taken) if not took] == [300]


def test_a_commit_of_an_unknown_rollout_is_refused(store: SqlStore) -> None:
    assert store.commit([commit(State("nobody", "p"))]) == [False]


def test_no_commits_are_no_work(store: SqlStore) -> None:
    assert store.commit([]) == []


def test_a_decision_that_does_not_follow_is_an_error_of_the_caller(store: SqlStore) -> None:
    good, other = commit(created(store, "a")), commit(created(store, "b"))
    of_another = replace(good, before=other.before)
    skips = replace(good, before=structs.replace(good.before, seq=4))
    for broken in (of_another, skips):
        with pytest.raises(ValueError, match="must lead to seq"):
            store.commit([good, broken])
    assert [r.state.seq for r in store.rollouts()] == [0, 0]


def test_what_json_cannot_say_is_an_error_that_names_the_rollout(store: SqlStore) -> None:
    before = created(store)
    with pytest.raises(ValueError, match="decision 1 of 'r' cannot be written"):
        store.commit([commit(before, reasons=("half a character: \ud800",))])
    with pytest.raises(ValueError, match="decision 1 of 'r' cannot be written"):
        store.commit([commit(before, next_due=T0.replace(tzinfo=None))])
    assert store.last_entry("r") is None


def test_a_key_used_twice_writes_nothing_of_the_batch(store: SqlStore) -> None:
    first, second = created(store, "a"), created(store, "b")
    go(store, first, alert("same"))
    with pytest.raises(StoreError, match="contradict each other"):
        store.commit([commit(second, alert("same"))])
    row = store.rollout("b")
    assert row is not None and row.state == second


def test_a_rollout_is_created_once(store: SqlStore) -> None:
    created(store)
    assert not store.create(State("r", "other"), "elsewhere.yaml")
    row = store.rollout("r")
    assert row is not None and row.policy_path == "policies/r.yaml"
    with pytest.raises(ValueError, match="begins at seq 0"):
        store.create(State("late", "p", seq=3), "late.yaml")


def test_a_frozen_baseline_reads_back_as_it_was_committed(store: SqlStore) -> None:
    frozen = {"accuracy": Measurement(value=float("nan"), mean=3, samples=7)}
    go(store, created(store), frozen=frozen, name="watch")
    row, entry = store.rollout("r"), store.last_entry("r")
    assert row is not None and entry is not None and entry.state == row.state
    assert row.state.frozen == {"accuracy": Measurement(value=None, mean=3.0, samples=7)}
    assert verify(store, "r").whole


# The schedule -----------------------------------------------------------------------------


def _due(store: SqlStore, **when: int) -> None:
    for name, seconds in when.items():
        go(store, created(store, name), next_due=T0 + timedelta(seconds=seconds))


def test_due_rollouts_come_oldest_first_and_up_to_the_limit(store: SqlStore) -> None:
    _due(store, a=20, b=10, c=40, d=10)
    created(store, "never")
    now = T0 + timedelta(seconds=20)
    assert [r.state.rollout for r in store.claim_due(now, "me", LEASE, limit=2)] == ["b", "d"]
    others = store.claim_due(now, "you", LEASE)
    assert [r.state.rollout for r in others] == ["a"]


def test_a_leased_rollout_is_its_owners_until_the_lease_ends(store: SqlStore) -> None:
    _due(store, a=0)
    assert len(store.claim_due(T0, "me", LEASE)) == 1
    assert store.claim_due(T0 + STEP, "you", LEASE) == []
    assert len(store.claim_due(T0 + STEP, "me", LEASE)) == 1
    assert len(store.claim_due(T0 + STEP + LEASE, "you", LEASE)) == 1


def test_a_commit_needs_no_lease_and_ends_it(store: SqlStore) -> None:
    _due(store, a=0)
    (claimed,) = store.claim_due(T0, "me", LEASE)
    go(store, claimed.state, name="rolling_back.baseline_traffic", next_due=T0)
    assert len(store.claim_due(T0, "you", LEASE)) == 1
    assert store.commit([commit(claimed.state)]) == [False]


def test_after_the_clock_went_back_everything_planned_is_due(store: SqlStore) -> None:
    _due(store, a=0, b=7200)
    go(store, created(store, "c"), alert("c:1:0"))
    store.claim_due(T0, "gone", timedelta(hours=2))
    store.failed("c:1:0", T0, "no answer", T0 + timedelta(hours=1))
    before = T0 - timedelta(hours=1)
    assert store.claim_due(before, "me", LEASE) == []
    assert store.reschedule(before) == 2
    assert [r.state.rollout for r in store.claim_due(before, "me", LEASE)] == ["a", "b"]
    assert len(store.claim_outbox(before, "me", LEASE)) == 1


# Policies and controllers -----------------------------------------------------------------


def test_a_policys_text_is_kept_under_its_hash(store: SqlStore) -> None:
    store.save_policy("d1", "policies/a.yaml", "rollout: a\n")
    store.save_policy("d1", "policies/renamed.yaml", "rollout: a\n")
    assert store.policy_text("d1") == ("policies/renamed.yaml", "rollout: a\n")
    with pytest.raises(StoreError, match="another text"):
        store.save_policy("d1", "policies/a.yaml", "rollout: b\n")
    with pytest.raises(StoreError, match="no policy d2"):
        store.policy_text("d2")


def test_heartbeats_are_newest_first_and_bounded(store: SqlStore) -> None:
    for n in range(120):
        store.beat(f"host-{n}", T0 + STEP * n, "running")
    store.beat("host-119", T0 + STEP * 500, "stopping")
    beats = store.heartbeats()
    assert beats[0] == ("host-119", T0 + STEP * 500, "stopping")
    assert len(beats) == 100 and beats[-1][0] == "host-20"


def test_a_store_in_memory_keeps_the_same_rules() -> None:
    with open_store("sqlite://") as store:
        after = go(store, created(store), alert("r:1:0"))
        assert store.rollout("r") is not None
        assert [e.state_digest for e in store.journal("r")]
        assert store.commit([commit(after)]) == [True]
