"""Processes that are killed while they commit, and processes that commit against each other."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from support.commits import created

from controller.core.event import Command
from controller.store import open_store
from controller.store.audit import verify
from controller.store.sql import SqlStore
from controller.store.tables import attempts, outbox

pytestmark = pytest.mark.real

KILLS = 15
ROUNDS = 40


def _committer(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return _python("-m", "support.committer", *arguments)


@contextmanager
def _python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the process ended by itself"
    return line.strip()


@pytest.mark.parametrize("seed", [20260302])
def test_a_kill_at_any_moment_loses_no_decision_and_halves_none(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    path = str(tmp_path / "store.db")
    with open_store(path) as store:
        for n in range(12):
            created(store, f"r{n:02}")
    promised = 0
    for _ in range(KILLS):
        with _committer("loop", path) as process:
            for _ in range(choice.randint(1, 25)):
                promised = int(_line(process))
            process.kill()
            process.wait()
            assert process.stdout is not None
            for line in process.stdout.read().splitlines():
                promised = int(line)
        with open_store(path, create=False) as store:
            _check(store, promised)


def _check(store: SqlStore, promised: int) -> None:
    """What holds after any crash."""
    rows = store.rollouts()
    assert len({rollout.state.seq for rollout in rows}) == 1, "a batch was halved"
    assert rows[0].state.seq >= promised, "a commit that returned is gone"
    asked: set[str] = set()
    for rollout in rows:
        report = verify(store, rollout.state.rollout)
        assert report.whole, str(report)
        assert report.links == rollout.state.seq
        for entry in store.journal(rollout.state.rollout):
            asked.update(effect.key for effect in entry.effects)
    with store.database.read() as connection:
        kept = connection.execute(select(outbox.c.key, outbox.c.outcome)).all()
        tried = set(connection.scalars(select(attempts.c.key).where(attempts.c.ok)))
    assert {key for key, _ in kept} == asked, "an effect without its entry, or the other way"
    assert {key for key, outcome in kept if outcome == "delivered"} == tried


def test_of_two_processes_that_decided_from_one_state_exactly_one_wins(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    with open_store(path) as store:
        created(store)
    winners: list[str] = []
    with _committer("race", path, "ann") as ann, _committer("race", path, "bob") as bob:
        both = {"ann": ann, "bob": bob}
        for _ in range(ROUNDS):
            for process in both.values():
                assert _line(process) == "ready"
            for process in both.values():
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            outcomes = {name: _line(process) for name, process in both.items()}
            assert sorted(outcomes.values()) == ["lost", "won"]
            winners += [name for name, outcome in outcomes.items() if outcome == "won"]
    with open_store(path, create=False) as store:
        found = [entry.event for entry in store.journal("r")]
        assert found == [Command("pause", by=name) for name in winners]
        assert verify(store, "r").whole


def test_processes_that_start_at_once_on_a_new_store_all_open_it(tmp_path: Path) -> None:
    code = (
        "import sys; from controller.store import open_store\n"
        "from controller.store import sql, migrate, database\n"
        "print('ready', flush=True)\n"
        "for path in sys.stdin: open_store(path.strip()).close(); print('open', flush=True)"
    )
    with ExitStack() as stack:
        starters = [stack.enter_context(_python("-c", code)) for _ in range(3)]
        assert [_line(process) for process in starters] == ["ready"] * 3
        for n in range(40):
            for process in starters:
                assert process.stdin is not None
                process.stdin.write(f"{tmp_path}/{n}.db\n")
                process.stdin.flush()
            assert [_line(process) for process in starters] == ["open"] * 3
