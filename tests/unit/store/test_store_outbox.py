"""Effects are delivered at least once, in commit order, under keys that are used once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event
from support.commits import (
    STEP,
    T0,
    activate,
    alert,
    commit,
    created,
    go,
    set_share,
    verify_share,
)

from controller.core.event import Acknowledgement
from controller.store.base import ATTEMPTS_KEPT, Attempt, Delivery, StoreError
from controller.store.outbox import DETAIL_KEPT
from controller.store.sql import SqlStore

LEASE = timedelta(seconds=30)


def _keys(deliveries: list[Delivery]) -> list[str]:
    return [delivery.effect.key for delivery in deliveries]


def test_effects_come_in_the_order_of_their_commits(store: SqlStore) -> None:
    first, second = created(store, "b"), created(store, "a")
    first = go(store, first, set_share("b:1:0"), alert("b:1:1"))
    go(store, second, set_share("a:1:0"))
    go(store, first, alert("b:2:0"))
    claimed = store.claim_outbox(T0, "me", LEASE)
    assert _keys(claimed) == ["b:1:0", "b:1:1", "a:1:0", "b:2:0"]
    assert claimed[0] == Delivery("b", set_share("b:1:0"), 0, T0 + STEP, T0 + STEP, "")
    assert _keys(store.claim_outbox(T0, "me", LEASE, limit=2)) == ["b:1:0", "b:1:1"]


def test_a_claimed_effect_is_one_controllers_until_its_lease_ends(store: SqlStore) -> None:
    go(store, created(store), alert("r:1:0"))
    assert _keys(store.claim_outbox(T0, "me", LEASE)) == ["r:1:0"]
    assert store.claim_outbox(T0 + STEP, "you", LEASE) == []
    assert _keys(store.claim_outbox(T0 + LEASE, "you", LEASE)) == ["r:1:0"]


def test_a_fresh_effect_is_due_even_when_the_clock_went_back(store: SqlStore) -> None:
    go(store, created(store), set_share("r:1:0", share=0), at=T0)
    assert _keys(store.claim_outbox(T0 - timedelta(hours=1), "me", LEASE)) == ["r:1:0"]


def test_a_delivered_effect_leaves_and_its_attempt_stays(store: SqlStore) -> None:
    go(store, created(store), set_share("r:1:0"))
    store.delivered("r:1:0", T0 + STEP, "share 5%, token 1")
    store.delivered("r:1:0", T0 + STEP * 2, "again")
    assert store.outbox("r") == []
    assert store.attempts("r:1:0") == [Attempt(1, T0 + STEP, True, "share 5%, token 1")]


def test_a_failed_effect_waits_for_its_time_and_for_anybody(store: SqlStore) -> None:
    go(store, created(store), set_share("r:1:0"))
    store.claim_outbox(T0, "me", LEASE)
    store.failed("r:1:0", T0, "connection refused", T0 + STEP)
    assert store.claim_outbox(T0 + STEP / 2, "me", LEASE) == []
    (delivery,) = store.claim_outbox(T0 + STEP, "you", LEASE)
    assert (delivery.attempts, delivery.not_before) == (1, T0 + STEP)
    assert delivery.last_error == "connection refused"


def test_of_many_attempts_the_last_are_kept_and_what_was_said_is_cut(store: SqlStore) -> None:
    go(store, created(store), set_share("r:1:0"))
    for n in range(ATTEMPTS_KEPT + 5):
        store.failed("r:1:0", T0 + STEP * n, "x" * 10_000, T0)
    kept = store.attempts("r:1:0")
    assert [a.number for a in kept] == list(range(6, ATTEMPTS_KEPT + 6))
    assert {len(a.detail) for a in kept} == {DETAIL_KEPT}
    (delivery,) = store.outbox("r")
    assert delivery.attempts == ATTEMPTS_KEPT + 5 and len(delivery.last_error) == DETAIL_KEPT


def test_a_key_that_never_was_in_the_outbox_is_an_error(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="no effect 'r:9:0'"):
        store.delivered("r:9:0", T0, "")
    with pytest.raises(StoreError, match="no effect 'r:9:0'"):
        store.failed("r:9:0", T0, "", T0)


def test_a_newer_share_takes_the_place_of_an_older_one_for_the_same_target(
    store: SqlStore,
) -> None:
    state = go(store, created(store), set_share("r:1:0"), set_share("r:1:1", "venue"))
    state = go(store, state, activate("r:2:0"), alert("r:2:1"), verify_share("r:2:2"))
    state = go(store, state, set_share("r:3:0", share=0), alert("r:3:1"))
    assert _keys(store.outbox("r")) == ["r:1:1", "r:2:0", "r:2:1", "r:2:2", "r:3:0", "r:3:1"]
    go(store, state, activate("r:4:0"))
    assert "r:2:0" not in _keys(store.outbox("r"))


def test_only_the_same_rollouts_effects_make_room(store: SqlStore) -> None:
    go(store, created(store, "a"), set_share("a:1:0"))
    go(store, created(store, "b"), set_share("b:1:0"))
    assert _keys(store.outbox("a")) == ["a:1:0"]


def test_an_effect_that_made_room_stays_out_whatever_its_delivery_says(store: SqlStore) -> None:
    state = go(store, created(store), set_share("r:1:0"))
    store.claim_outbox(T0, "me", LEASE)
    go(store, state, set_share("r:2:0"))
    store.failed("r:1:0", T0, "late", T0)
    store.delivered("r:1:0", T0, "late")
    assert _keys(store.outbox("r")) == ["r:2:0"]
    assert store.attempts("r:1:0") == []


def test_committing_an_acknowledgement_takes_its_effect_out(store: SqlStore) -> None:
    state = go(store, created(store), set_share("r:1:0"), alert("r:1:1"))
    state = go(store, state, event=Acknowledgement("r:1:0", ok=True, detail="share 5%"))
    assert _keys(store.outbox("r")) == ["r:1:1"]
    assert [a.detail for a in store.attempts("r:1:0")] == ["share 5%"]
    go(store, state, event=Acknowledgement("r:1:1", ok=False, detail="no"))
    assert _keys(store.outbox("r")) == ["r:1:1"]


def test_a_refused_acknowledgement_leaves_its_effect(store: SqlStore) -> None:
    before = created(store)
    go(store, before, set_share("r:1:0"))
    assert store.commit([commit(before, event=Acknowledgement("r:1:0", ok=True))]) == [False]
    assert _keys(store.outbox("r")) == ["r:1:0"]


def test_an_answer_to_another_rollouts_key_moves_nothing(store: SqlStore) -> None:
    go(store, created(store, "a"), set_share("a:1:0"))
    go(store, created(store, "b"), event=Acknowledgement("a:1:0", ok=True))
    assert _keys(store.outbox("a")) == ["a:1:0"]


def test_a_claim_does_not_walk_over_what_was_settled_long_ago(store: SqlStore) -> None:
    asked: list[str] = []

    def listen(_c: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", listen)
    store.claim_outbox(T0, "me", LEASE)
    (query,) = (statement for statement in asked if statement.startswith("SELECT"))
    with store.database.read() as connection:
        parameters = (0,) * query.count("?")
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters).all()
    assert [row[-1] for row in plan] == ["SEARCH outbox USING INDEX outbox_order (settled=?)"]


def test_what_a_share_target_showed_last_is_kept_by_its_name(store: SqlStore) -> None:
    assert store.shown("r") == {}
    state = go(store, created(store), set_share("r:1:0", "a"), set_share("r:1:1", "b"))
    store.settle(T0, [("r:1:0", "share 5%")], [("r:1:1", "broken", T0)])
    state = go(store, state, set_share("r:2:0", "a"))
    store.settle(T0 + STEP, [("r:1:1", "share 5% too")], [("r:2:0", "broken", T0)])
    assert store.shown("r") == {
        "a": Attempt(1, T0, True, "share 5%"),
        "b": Attempt(2, T0 + STEP, True, "share 5% too"),
    }
    store.settle(T0 + 2 * STEP, [("r:2:0", "share 10%")], [])
    assert store.shown("r")["a"] == Attempt(2, T0 + 2 * STEP, True, "share 10%")
