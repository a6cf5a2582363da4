"""What a disk, a neighbour or a crash can do to the store: a clear word, and nothing lost."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from support.commits import T0, alert, commit, created, go, set_share

from controller.core.event import Acknowledgement
from controller.core.state import State
from controller.store import open_store
from controller.store.audit import verify
from controller.store.base import DamagedError, Store, StoreError
from controller.store.sql import SqlStore

NOBODY = 65534
QUICK = "?timeout=0.05"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    with open_store(f"sqlite:///{path}{QUICK}") as opened:
        yield opened


def _snapshot(store: Store) -> tuple[object, ...]:
    """All that a commit may change."""
    names = [r.state.rollout for r in store.rollouts()]
    return (
        store.rollouts(),
        [list(store.journal(name)) for name in names],
        [store.outbox(name) for name in names],
        [store.head(name) for name in names],
    )


# Every statement --------------------------------------------------------------------------


class _Crash(Exception):
    """Stands for the process dying at a statement."""


@contextmanager
def _crash_at(store: SqlStore, nth: int) -> Iterator[list[str]]:
    """Fails before the nth statement, commits counted. Yields what was run."""
    run: list[str] = []

    def count(what: str) -> None:
        run.append(what)
        if len(run) == nth:
            raise _Crash(what)

    def on_statement(_c: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        count(statement)

    def on_commit(_connection: Connection) -> None:
        count("COMMIT")

    event.listen(store.database.engine, "before_cursor_execute", on_statement)
    event.listen(store.database.engine, "commit", on_commit)
    try:
        yield run
    finally:
        event.remove(store.database.engine, "before_cursor_execute", on_statement)
        event.remove(store.database.engine, "commit", on_commit)


def _scene(store: SqlStore) -> list[State]:
    """Two rollouts, effects in the outbox that the next commits settle and replace."""
    return [
        go(store, created(store, name), set_share(f"{name}:1:0"), alert(f"{name}:1:1"))
        for name in ("a", "b")
    ]


def _everything(store: SqlStore, states: list[State]) -> list[bool]:
    """One call that uses every kind of statement that a commit has."""
    first, second = states
    return store.commit(
        [
            commit(first, set_share("a:2:0"), alert("a:2:1"), name="canary"),
            commit(second, event=Acknowledgement("b:1:0", ok=True, detail="5%")),
        ]
    )


def test_a_crash_at_any_statement_of_a_commit_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "whole.db")) as whole:
        states = _scene(whole)
        before = _snapshot(whole)
        with _crash_at(whole, 0) as run:
            assert _everything(whole, states) == [True, True]
        after = _snapshot(whole)
    assert before != after and len(run) >= 8 and run[-1] == "COMMIT"
    for nth in range(1, len(run) + 1):
        path = tmp_path / f"{nth}.db"
        with open_store(str(path)) as store:
            states = _scene(store)
            with _crash_at(store, nth), pytest.raises(_Crash):
                _everything(store, states)
        with open_store(str(path)) as store:
            assert _snapshot(store) == before, run[nth - 1]
            assert _everything(store, states) == [True, True]
            assert _snapshot(store) == after
            assert verify(store, "a").whole and verify(store, "b").whole


def test_a_crash_at_any_statement_of_an_observation_leaves_all_of_it_or_nothing(
    store: SqlStore,
) -> None:
    with _crash_at(store, 0) as run:
        store.append_observations("first", T0, b"line", ["k"])
    for nth in range(1, len(run) + 1):
        source = f"s{nth}"
        with _crash_at(store, nth), pytest.raises(_Crash):
            store.append_observations(source, T0, b"line", [f"k{nth}"])
        assert list(store.observations(source)) == []
        batch = store.append_observations(source, T0, b"line", [f"k{nth}"])
        assert batch is not None and batch.number == 1


# Locked -----------------------------------------------------------------------------------


def test_a_locked_database_is_named_and_the_next_call_works(store: SqlStore, path: Path) -> None:
    state = go(store, created(store), alert("r:1:0"))
    before = _snapshot(store)
    neighbour = sqlite3.connect(path, isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"store\.db: locked by another program"):
        store.commit([commit(state)])
    with pytest.raises(StoreError, match="locked"):
        store.claim_outbox(T0, "me", timedelta(seconds=1))
    assert _snapshot(store) == before
    neighbour.execute("ROLLBACK")
    neighbour.close()
    go(store, state)


def test_a_transaction_that_will_write_holds_the_lock_from_its_first_look(
    store: SqlStore, path: Path
) -> None:
    with open_store(str(path)) as other, other.database.write() as connection:
        connection.exec_driver_sql("SELECT seq FROM rollouts")
        with pytest.raises(StoreError, match="locked"):
            store.beat("me", T0, "")
    store.beat("me", T0, "")


def test_opening_a_locked_database_says_so(path: Path) -> None:
    neighbour = sqlite3.connect(path, isolation_level=None)
    neighbour.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        open_store(f"sqlite:///{path}{QUICK}")
    neighbour.close()
    open_store(str(path)).close()


def test_a_reader_sees_the_last_commit_while_another_writes(store: SqlStore, path: Path) -> None:
    created(store)
    neighbour = sqlite3.connect(path, isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")
    neighbour.execute("DELETE FROM rollouts")
    assert [r.state.rollout for r in store.rollouts()] == ["r"]
    neighbour.close()


# Full -------------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing_and_the_next_call_goes_on(store: SqlStore) -> None:
    state = go(store, created(store), set_share("r:1:0"))
    before = _snapshot(store)

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    event.listen(store.database.engine, "begin", limit)
    big = tuple("x" * 4000 for _ in range(40))
    with pytest.raises(StoreError, match=r"store\.db: the disk is full; nothing of this"):
        store.commit([commit(state, alert("r:2:0"), reasons=big, name="canary")])
    with pytest.raises(StoreError, match="the disk is full"):
        store.append_observations("s", T0, b"x" * 100_000)
    assert _snapshot(store) == before
    event.remove(store.database.engine, "begin", limit)
    _lift_limit(store)
    go(store, state, alert("r:2:0"), reasons=big, name="canary")
    assert verify(store, "r").whole


def _lift_limit(store: SqlStore) -> None:
    with store.database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")


# Rights -----------------------------------------------------------------------------------


@contextmanager
def _as_nobody(directory: Path) -> Iterator[None]:
    """Rights do not bind root: become somebody they bind, who may enter the directory."""
    if os.geteuid() != 0:
        yield
        return
    closed = [
        (parent, parent.stat().st_mode)
        for parent in (directory, *directory.parents)
        if parent.stat().st_mode & 0o001 == 0
    ]
    for parent, mode in closed:
        parent.chmod(mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in closed:
            parent.chmod(mode)


def test_a_file_that_may_only_be_read_is_named(path: Path) -> None:
    with open_store(str(path)) as store:
        state = go(store, created(store))
    path.chmod(0o444)
    path.parent.chmod(0o777)
    refusal = pytest.raises(StoreError, match=r"store\.db: read-only; give this user the right")
    with _as_nobody(path.parent), open_store(str(path)) as store, refusal:
        store.commit([commit(state)])
    path.chmod(0o666)
    with open_store(str(path)) as store:
        go(store, state)


def test_a_directory_without_rights_is_named(path: Path) -> None:
    path.parent.chmod(0o555)
    with _as_nobody(path.parent):
        with pytest.raises(StoreError, match=r"store\.db: cannot be opened; check the path"):
            open_store(str(path))
        with pytest.raises(StoreError, match="its directory cannot be made"):
            open_store(str(path.parent / "deeper" / "store.db"))
    path.parent.chmod(0o755)
    open_store(str(path)).close()


# Damage -----------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_bytes(b"rollout: signal\n" * 500)
    with pytest.raises(DamagedError, match=r"store\.db: not a database; name the right file"):
        open_store(str(path))
    assert path.read_bytes() == b"rollout: signal\n" * 500


def test_a_damaged_page_is_named_and_the_rest_stays_readable(path: Path) -> None:
    with open_store(str(path)) as store:
        for name in ("r", "other"):
            state = created(store, name)
            for _ in range(60):
                state = go(store, state, reasons=("x" * 2000,))
    with sqlite3.connect(path) as reader:
        (page,) = reader.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'journal'"
        ).fetchone()
        (size,) = reader.execute("PRAGMA page_size").fetchone()
    reader.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with open_store(str(path)) as store:
        assert [r.state.rollout for r in store.rollouts()] == ["other", "r"]
        with pytest.raises(DamagedError, match=r"damaged; stop, keep a copy of the file"):
            list(store.journal("r"))
        report = verify(store, "r")
        assert report.broken is not None and report.broken.number == 1


def test_a_state_that_is_no_longer_readable_is_named(path: Path) -> None:
    with open_store(str(path)) as store:
        go(store, created(store), alert("r:1:0"))
    with sqlite3.connect(path) as hand:
        hand.execute("UPDATE rollouts SET state = x'7b'")
        hand.execute("UPDATE outbox SET effect = x'7b'")
    hand.close()
    with open_store(str(path)) as store:
        with pytest.raises(DamagedError, match="the state of 'r' is damaged"):
            store.rollout("r")
        with pytest.raises(DamagedError, match="the effect 'r:1:0' is damaged"):
            store.outbox("r")


def test_a_table_that_is_gone_is_an_error_of_the_store(path: Path, store: SqlStore) -> None:
    with sqlite3.connect(path) as hand:
        hand.execute("DROP TABLE controllers")
    hand.close()
    with pytest.raises(StoreError, match=r"the database refused.*no such table"):
        store.heartbeats()


def test_the_log_of_a_killed_process_is_read_on_the_next_start(path: Path, tmp_path: Path) -> None:
    """What a crash leaves: a database file and a write-ahead log that nobody copied back."""
    left = tmp_path / "left"
    left.mkdir()
    with open_store(str(path)) as store:
        state = go(store, created(store), alert("r:1:0"))
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", left / f"store.db{suffix}")
        expected = _snapshot(store)
    with open_store(str(left / "store.db")) as found:
        assert _snapshot(found) == expected
        go(found, state)


def test_half_a_commit_in_the_log_is_as_if_it_never_was(path: Path, tmp_path: Path) -> None:
    """The machine lost power while the last commit was on its way to the disk."""
    left = tmp_path / "left"
    left.mkdir()
    with open_store(str(path)) as store:
        state = go(store, created(store))
        before, complete = _snapshot(store), Path(f"{path}-wal").stat().st_size
        go(store, state, alert("r:2:0"), name="canary")
        shutil.copy(path, left / "store.db")
        log = Path(f"{path}-wal").read_bytes()
    for cut in range(complete, len(log), 1024):
        copy = tmp_path / f"cut{cut}"
        shutil.copytree(left, copy)
        (copy / "store.db-wal").write_bytes(log[:cut])
        with open_store(str(copy / "store.db")) as found:
            assert _snapshot(found) == before
            assert verify(found, "r").whole


def test_a_file_that_is_removed_or_replaced_while_it_is_in_use_is_not_written_any_more(
    path: Path, store: SqlStore, tmp_path: Path
) -> None:
    state = created(store)
    path.rename(tmp_path / "elsewhere.db")
    for call in (store.rollouts, lambda: store.commit([commit(state)])):
        with pytest.raises(StoreError, match=r"removed or replaced while it was in use.*put it"):
            call()
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="removed or replaced"):
        store.rollouts()
    (tmp_path / "elsewhere.db").replace(path)
    assert [row.state.seq for row in store.rollouts()] == [0], "it is back, and nothing is lost"
