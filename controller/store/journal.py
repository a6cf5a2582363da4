"""Decisions made durable: the fence, the entry with its hash, the new state.

`prepare` does what needs no database (all of the JSON), so that the write lock is held only for
hashing and writing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, null, select

from controller.store import codec
from controller.store.base import Commit, DamagedError, Entry, StoreError
from controller.store.database import Bulk, Database
from controller.store.tables import journal, rollouts

PAGE = 500
"""Rows read at a time, and names asked for in one query."""


class Prepared(NamedTuple):
    """A commit in the bytes that will be stored."""

    rollout: str
    seq: int
    state: bytes
    body: bytes
    next_due: int | None
    commit: Commit


def prepare(commit: Commit) -> Prepared:
    """Check and encode one commit. Raises ValueError, see `Store.commit`."""
    before, decision, due = commit.before, commit.decision, commit.next_due
    after = decision.state
    name, seq = after.rollout, after.seq
    if name != before.rollout or seq != before.seq + 1:
        raise ValueError(
            f"a decision from {before.rollout!r} seq {before.seq} must lead to seq "
            f"{before.seq + 1} of it, not to {name!r} seq {seq}"
        )
    try:
        state = codec.encode_state(after)
        body = codec.encode_body(before, commit.event, decision, state)
        next_due = None if due is None else codec.micros(due)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(f"the decision {seq} of {name!r} cannot be written: {error}") from error
    return Prepared(name, seq, state, body, next_due, commit)


def append(connection: Connection, prepared: Sequence[Prepared]) -> list[bool]:
    """Write entries and states of those whose rollout is still where they were decided from, in
    order. Says which."""
    heads = _heads(connection, {item.rollout for item in prepared})
    fences = heads.copy()
    accepted: list[bool] = []
    entries: list[tuple[str, int, bytes, bytes, bytes]] = []
    states: dict[str, tuple[int, int | None, bytes, bytes, str, int]] = {}
    for item in prepared:
        name, seq, state, body, next_due, _ = item
        at, previous = heads.get(name, _NOWHERE)
        if seq != at + 1:
            accepted.append(False)
            continue
        link = codec.link(previous, body)
        heads[name] = (seq, link)
        entries.append((name, seq, previous, link, body))
        states[name] = (seq, next_due, link, state, name, fences[name][0])
        accepted.append(True)
    if entries:
        _write(connection, entries, list(states.values()))
    return accepted


_NOWHERE = (-1, b"")
_MOVE_ON = Bulk(
    rollouts.update()
    .where(
        rollouts.c.name == bindparam("fence_name"),
        rollouts.c.seq == bindparam("fence_seq"),
    )
    .values(
        seq=bindparam("new_seq"),
        next_due=bindparam("new_due"),
        hash=bindparam("new_hash"),
        state=bindparam("new_state"),
        lease_owner=null(),
        lease_until=null(),
    ),
    "new_seq",
    "new_due",
    "new_hash",
    "new_state",
    "fence_name",
    "fence_seq",
)
_ADD = Bulk(journal.insert(), "rollout", "seq", "previous", "hash", "body")


def _write(
    connection: Connection,
    entries: list[tuple[str, int, bytes, bytes, bytes]],
    states: list[tuple[int, int | None, bytes, bytes, str, int]],
) -> None:
    moved = _MOVE_ON.execute(connection, states)
    if moved != len(states):
        raise StoreError(
            f"{len(states) - moved} of {len(states)} rollouts moved on inside the transaction; "
            "nothing was written, decide again from the newer state"
        )
    _ADD.execute(connection, entries)


_HEADS = select(rollouts.c.name, rollouts.c.seq, rollouts.c.hash).with_for_update()
_SOME = _HEADS.where(rollouts.c.name.in_(bindparam("names", expanding=True)))
_RANGE = _HEADS.where(rollouts.c.name.between(bindparam("first"), bindparam("last")))


def _heads(connection: Connection, names: set[str]) -> dict[str, tuple[int, bytes]]:
    """seq and hash of each rollout, locked where the database locks rows. Of many, the whole
    range of names is read: asking for each by name takes three times as long."""
    if len(names) <= PAGE:
        rows = connection.execute(_SOME, {"names": list(names)}).all()
    else:
        rows = connection.execute(_RANGE, {"first": min(names), "last": max(names)}).all()
    return {name: (seq, link) for name, seq, link in rows}


_COLUMNS = (journal.c.seq, journal.c.previous, journal.c.hash, journal.c.body)


def entries(database: Database, rollout: str, after: int, limit: int | None) -> Iterator[Entry]:
    """Entries with seq > after, a page at a time; no transaction stays open between pages."""
    left = limit
    while left is None or left > 0:
        page = PAGE if left is None else min(PAGE, left)
        query = (
            select(*_COLUMNS)
            .where(journal.c.rollout == rollout, journal.c.seq > after)
            .order_by(journal.c.seq)
            .limit(page)
        )
        with database.read() as connection:
            rows = connection.execute(query).all()
        for seq, previous, link, body in rows:
            yield _entry(database, rollout, seq, previous, link, body)
            after = seq
        if len(rows) < page:
            return
        left = None if left is None else left - len(rows)


def last_entry(database: Database, rollout: str) -> Entry | None:
    """The newest entry."""
    query = (
        select(*_COLUMNS)
        .where(journal.c.rollout == rollout)
        .order_by(journal.c.seq.desc())
        .limit(1)
    )
    with database.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _entry(database, rollout, *row)


def _entry(
    database: Database, rollout: str, seq: int, previous: bytes, link: bytes, body: bytes
) -> Entry:
    try:
        return codec.decode_entry(body, previous, link)
    except msgspec.MsgspecError as error:
        raise DamagedError(
            f"{database.where}: journal of {rollout!r}, entry {seq} is damaged ({error}); keep a "
            "copy and restore a backup"
        ) from error
