"""The journal: exact bytes, chained by hash, read a page at a time."""

from datetime import UTC, datetime
from hashlib import sha256

import freezegun
import msgspec
from support.commits import T0, alert, commit, created, go, tick

from controller.core.event import Command
from controller.core.state import State
from controller.store import journal
from controller.store.sql import SqlStore


def test_the_hash_covers_the_previous_hash_and_the_body(store: SqlStore) -> None:
    state = created(store)
    for _ in range(3):
        state = go(store, state)
    previous = "0" * 64
    for entry in store.journal("r"):
        assert entry.previous == previous
        assert entry.hash == sha256(bytes.fromhex(previous) + entry.body).hexdigest()
        previous = entry.hash


def test_the_body_says_what_happened_and_why(store: SqlStore) -> None:
    order = Command("rollback", by="ann", reason="news")
    after = go(store, created(store), alert("r:1:0"), event=order, name="rolled_back")
    entry = store.last_entry("r")
    assert entry is not None
    assert (entry.rollout, entry.seq, entry.at, entry.policy) == ("r", 1, after.at, after.policy)
    assert (entry.event, entry.move, entry.reasons) == (order, "tick", ("a reason",))
    assert entry.effects == (alert("r:1:0"),)
    written = msgspec.json.encode(after, order="deterministic")
    assert entry.state_digest == sha256(written).hexdigest()


def test_the_same_decision_has_the_same_bytes(store: SqlStore) -> None:
    first, second = commit(State("r", "p")), commit(State("r", "p"))
    assert journal.prepare(first).body == journal.prepare(second).body


def test_the_bytes_of_the_first_format_never_change() -> None:
    """A journal that was written by this version must verify under every later one."""
    body = journal.prepare(commit(State("r", "p"), alert("r:1:0"), name="canary")).body
    assert body.decode() == (
        '{"rollout":"r","seq":1,"at":"2026-03-02T14:30:15Z","policy":"p",'
        '"event":{"type":"tick","measurements":{"candidate.accuracy":{"value":0.9,"samples":120}},'
        '"scheduled":true},'
        '"state_digest":"0aa36625a7eaa98c9532b94ff1531ca8a929b936db741191bde124c11f923335",'
        '"move":"tick","reasons":["a reason"],'
        '"effects":[{"type":"alert","key":"r:1:0","severity":3,"kind":"trigger",'
        '"title":"errors: candidate.errors > 10%"}],'
        '"state":{"rollout":"r","policy":"p","name":"canary","seq":1,"at":"2026-03-02T14:30:15Z"}}'
    )


def test_the_whole_state_is_kept_at_moves_and_every_hundredth_entry(store: SqlStore) -> None:
    state = created(store)
    for _ in range(102):
        state = go(store, state, name="canary" if state.seq == 4 else "")
    assert [e.seq for e in store.journal("r") if e.state is not None] == [5, 100]


def test_reading_goes_on_past_a_page_and_stops_at_the_limit(store: SqlStore) -> None:
    batch = [commit(created(store))]
    while len(batch) < journal.PAGE + 20:
        batch.append(commit(batch[-1].decision.state))
    assert all(store.commit(batch))
    assert [e.seq for e in store.journal("r")] == list(range(1, journal.PAGE + 21))
    assert [e.seq for e in store.journal("r", after=7, limit=3)] == [8, 9, 10]
    assert len(list(store.journal("r", limit=journal.PAGE + 5))) == journal.PAGE + 5
    assert list(store.journal("r", limit=0)) == []


def test_entries_committed_while_reading_are_read_too(store: SqlStore) -> None:
    state = go(store, created(store))
    reading = store.journal("r")
    assert next(reading).seq == 1
    go(store, state)
    assert [e.seq for e in store.journal("r", after=1)] == [2]
    assert list(reading) == []


def test_an_unknown_rollout_has_no_journal(store: SqlStore) -> None:
    assert list(store.journal("nobody")) == []
    assert store.last_entry("nobody") is None
    assert store.head("nobody") is None


def test_what_is_not_a_number_is_written_as_none(store: SqlStore) -> None:
    go(store, created(store), event=tick(float("inf")))
    entry = store.last_entry("r")
    assert entry is not None and entry.event == tick(None)


def test_a_frozen_clock_writes_the_same_bytes_as_the_real_one() -> None:
    real = journal.prepare(commit(State("r", "p"), at=T0)).body
    with freezegun.freeze_time(T0):
        frozen = datetime.now(UTC)
        assert type(frozen).__name__ == "FakeDatetime"
        assert journal.prepare(commit(State("r", "p"), at=frozen)).body == real
