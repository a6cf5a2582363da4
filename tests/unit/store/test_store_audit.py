"""The audit names the first place that is not as it was written."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from support.commits import T0, alert, commit, created, go, set_share

from controller.core.decision import Decision
from controller.core.event import Command, Event, PolicyEdit
from controller.core.state import State
from controller.store import open_store
from controller.store.audit import AuditReport, policy_of, verify, verify_observations
from controller.store.base import StoreError
from controller.store.sql import SqlStore


def _written(store: SqlStore, entries: int = 6) -> State:
    state = created(store)
    for n in range(entries):
        effects = (set_share(f"r:{n + 1}:0"),) if n == 2 else ()
        state = go(store, state, *effects, name="canary" if n == 2 else "")
    return state


def _after(path: Path, *tampering: str) -> AuditReport:
    connection = sqlite3.connect(path)
    for statement in tampering:
        connection.execute(statement)
    connection.commit()
    connection.close()
    with open_store(str(path)) as store:
        return verify(store, "r")


def test_an_untouched_journal_is_whole(store: SqlStore) -> None:
    _written(store)
    report, last = verify(store, "r"), store.last_entry("r")
    assert last is not None
    assert (report.whole, report.links, report.hash) == (True, 6, last.hash)
    assert str(report) == f"journal of r: 6 whole, last hash {last.hash}"


def test_a_rollout_without_entries_is_whole(store: SqlStore) -> None:
    created(store)
    assert verify(store, "r").whole
    with pytest.raises(StoreError, match="no rollout 'nobody'"):
        verify(store, "nobody")


@pytest.mark.parametrize(
    ("tampering", "number", "what"),
    [
        ("UPDATE journal SET body = replace(body, '0.9', '0.8') WHERE seq = 2", 2, "content"),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 2", 2, "content"),
        ("UPDATE journal SET previous = zeroblob(32) WHERE seq = 4", 4, "it follows 0000"),
        ("DELETE FROM journal WHERE seq = 3", 3, "missing, the next one is 4"),
        ("DELETE FROM journal WHERE seq = 6", 5, "row says 6"),
        ("DELETE FROM journal", 0, "row says 6"),
        ("UPDATE journal SET body = x'00' WHERE seq = 5", 5, "damaged"),
        ("UPDATE journal SET seq = 9 WHERE seq = 1", 1, "missing, the next one is 2"),
        ("UPDATE rollouts SET state = replace(state, 'canary', 'shadow')", 6, "state is not"),
        ("UPDATE rollouts SET hash = zeroblob(32)", 6, "another hash"),
        ("UPDATE rollouts SET seq = 5, hash = (SELECT hash FROM journal WHERE seq = 5), "
         "state = replace(state, '\"seq\":6', '\"seq\":5')", 5, "state is not"),
    ],
)  # fmt: skip
def test_what_was_changed_is_named(tmp_path: Path, tampering: str, number: int, what: str) -> None:
    path = tmp_path / "store.db"
    with open_store(str(path)) as store:
        _written(store)
    broken = _after(path, tampering).broken
    assert broken is not None
    assert broken.number == number and what in broken.what


def test_a_row_set_back_to_an_earlier_entry_is_found(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(str(path)) as store:
        fifth = _written(store, 5)
        before = sqlite3.connect(path)
        state, link = before.execute("SELECT state, hash FROM rollouts").fetchone()
        before.close()
        go(store, fifth)
        assert verify(store, "r").whole
    broken = _after(
        path, f"UPDATE rollouts SET seq = 5, state = x'{state.hex()}', hash = x'{link.hex()}'"
    ).broken
    assert broken is not None and "past the 5" in broken.what


def test_a_changed_first_state_is_found(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(str(path)) as store:
        created(store)
    broken = _after(
        path, "UPDATE rollouts SET state = replace(state, 'pending', 'x') || ' '"
    ).broken
    assert broken is not None and "state is not" in broken.what


# Folding again ----------------------------------------------------------------------------


def _count(plan: str, before: State, event: Event, now: datetime) -> Decision:
    """A rule of one line: every third event moves, under the plan given."""
    made = commit(before, event=event, at=now, policy=plan)
    if before.seq % 3 == 2:
        key = f"r:{before.seq + 1}:0"
        made = commit(before, alert(key), event=event, at=now, policy=plan, name=f"s{before.seq}")
    return made.decision


def _decided(store: SqlStore, rule: Callable[[str, State, Event, datetime], Decision]) -> None:
    state = created(store)
    edit = PolicyEdit("q" * 64, ("tighter limit",))
    for n in range(8):
        made = commit(state, event=edit if n == 4 else None)
        policy = policy_of(state, made.event)
        decision = rule(policy, state, made.event, T0)
        assert store.commit([type(made)(state, made.event, decision, None)]) == [True]
        state = decision.state


def test_deciding_again_reproduces_every_entry(store: SqlStore) -> None:
    _decided(store, _count)
    report = verify(store, "r", _count, lambda digest: digest)
    assert report.whole and report.folded == 8
    assert "8 decided again" in str(report)


def test_a_decision_that_comes_out_otherwise_is_named(store: SqlStore) -> None:
    def other(plan: str, before: State, event: Event, now: datetime) -> Decision:
        if before.seq != 5:
            return _count(plan, before, event, now)
        return commit(before, event=event, at=now, policy=plan).decision

    _decided(store, _count)
    broken = verify(store, "r", other, lambda digest: digest).broken
    assert broken is not None and broken.number == 6
    assert "decided again, state is" in broken.what and "move is ''" in broken.what


def test_an_edit_and_an_apply_are_decided_under_the_policy_that_they_bring() -> None:
    before = State("r", "old")
    assert policy_of(before, PolicyEdit("new", ())) == "new"
    assert policy_of(before, Command("apply", by="ann", policy="new")) == "new"
    assert policy_of(before, Command("pause", by="ann")) == "old"


# Observations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tampering", "number", "what"),
    [
        ("UPDATE observations SET lines = 'other' WHERE number = 2", 2, "lines were changed"),
        ("UPDATE observations SET received = received + 1 WHERE number = 1", 1, "content"),
        ("DELETE FROM observations WHERE number = 2", 2, "missing, the next one is 3"),
        ("UPDATE observations SET previous = zeroblob(32) WHERE number = 3", 3, "it follows"),
        ("DELETE FROM observations WHERE number = 3", 2, "row says 3"),
    ],
)
def test_a_changed_batch_is_named(tmp_path: Path, tampering: str, number: int, what: str) -> None:
    path = tmp_path / "store.db"
    with open_store(str(path)) as store:
        for n in range(3):
            store.append_observations("s", T0, b"line %d" % n)
        assert verify_observations(store, "s").whole
    _after_observations(path, tampering)
    with open_store(str(path)) as store:
        broken = verify_observations(store, "s").broken
    assert broken is not None
    assert broken.number == number and what in broken.what


def _after_observations(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
