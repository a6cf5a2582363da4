"""The controller as a process of its own: started, stopped, killed, started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from support import serve

from controller.core.event import Command, CommandName, Tick
from controller.core.state import State
from controller.run.plans import Plans
from controller.run.unit import handle
from controller.store import open_store
from controller.store.base import Entry
from controller.store.sql import SqlStore

pytestmark = pytest.mark.real

PATIENCE_S = 30.0
TICK = timedelta(milliseconds=200)
POLICY = """
rollout: signal
baseline: v1
candidate: v3
schedule: {tick: 200ms}
sources:
  signals: {type: push, directory: incoming}
metrics:
  drawdown: {source: signals, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}
publish:
  share: {type: file, path: share.json}
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 1s, deadline: {after: 1h}}
  - {name: canary, weight: 5%, hold: 1h}
  - {name: full, weight: 100%, hold: 1h}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
rollback: {verify_after: 0s, cooldown: 1h, deadline: 5m}
"""


class Desk:
    """A working directory, its store, and the processes started in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.policies = place / "policies"
        self.policies.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = place / "log.txt"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A controller; it is up when this returns."""
        environment = {name: value for name, value in os.environ.items() if "ROLLOUT_" not in name}
        environment |= {
            "ROLLOUT_LEASE": "1s",
            "ROLLOUT_RESOLUTION": "50ms",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, serve.__file__, *arguments],
                cwd=self.place, stdout=log, stderr=log, env=environment,
            )  # fmt: skip
        self.processes.append(process)
        owner = f"-{process.pid}"
        self.until(lambda: any(name.endswith(owner) for name in self.heartbeats()), process)
        return process

    def until(
        self, holds: Callable[[], object], process: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Wait for what another process does; bounded."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            if process is not None and process.poll() is not None:
                raise AssertionError(f"ended with {process.returncode}: {self.log.read_text()}")
            assert time.monotonic() < end, f"waited in vain: {self.log.read_text()}"
            time.sleep(0.02)

    def store(self) -> SqlStore:
        return open_store(str(self.place / ".rollout" / "rollout.db"))

    def heartbeats(self) -> dict[str, dict[str, object]]:
        if not (self.place / ".rollout" / "rollout.db").exists():
            return {}
        with self.store() as store:
            return {owner: msgspec.json.decode(note) for owner, _, note in store.heartbeats()}

    def command(self, name: CommandName) -> None:
        """A person's act, committed and not delivered: the process has to."""
        with self.store() as store:
            event = Command(name, "kim")
            handle(store, Plans(store, {}).plan, "signal", event, datetime.now(UTC))

    def state(self) -> State:
        with self.store() as store:
            row = store.rollout("signal")
        assert row is not None
        return row.state

    def entries(self) -> list[Entry]:
        with self.store() as store:
            return list(store.journal("signal"))

    def share(self) -> int:
        found = msgspec.json.decode((self.policies / "share.json").read_bytes())
        return int(found["share"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.policies.joinpath("signal.yaml").write_text(POLICY)
    desk.policies.joinpath("incoming").mkdir()
    incoming = desk.policies / "incoming" / "today.jsonl"
    incoming.write_text('{"version": "v1", "pnl": 1}\n{"version": "v3", "pnl": 1}\n')
    yield desk
    for process in desk.processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def gapless(entries: list[Entry]) -> None:
    """One history: every number once, in order."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))


def in_canary(desk: Desk, process: subprocess.Popen[bytes]) -> None:
    desk.command("start")
    desk.until(lambda: desk.state().name == "canary", process)
    desk.until(lambda: not desk.state().unacknowledged, process)
    assert desk.share() == 5000


def test_sigterm_ends_it_in_order(desk: Desk) -> None:
    process = desk.start()
    desk.command("start")
    desk.until(lambda: len(desk.entries()) > 3, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    log = desk.log.read_text()
    assert "stopping: the round that runs is finished first" in log
    assert "Traceback" not in log
    (note,) = desk.heartbeats().values()
    assert note["state"] == "stopped"


def test_after_sigkill_the_next_one_continues_with_stage_and_dwell(desk: Desk) -> None:
    process = desk.start()
    in_canary(desk, process)
    desk.until(lambda: desk.state().dwell_ms > 0, process)
    process.kill()
    process.wait()
    left = desk.state()

    again = desk.start()
    desk.until(lambda: desk.state().seq >= left.seq + 3, again)
    state = desk.state()
    assert (state.name, state.epoch, state.entered_at) == ("canary", left.epoch, left.entered_at)
    assert state.dwell_ms > left.dwell_ms
    gapless(desk.entries())


def test_a_rollback_that_was_cut_short_by_sigkill_is_finished(desk: Desk) -> None:
    process = desk.start(serve.BEFORE_DELIVERY)
    in_canary(desk, process)
    desk.command("rollback")
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert desk.state().name != "cooldown"

    again = desk.start()
    desk.until(lambda: desk.state().name == "cooldown", again)
    assert desk.share() == 0
    state = desk.state()
    assert (state.epoch, state.failed_steps, len(state.rollbacks)) == (2, (), 1)
    gapless(desk.entries())
    alerts = (desk.place / ".rollout" / "alerts.jsonl").read_text()
    assert alerts.count('"rollback"') == 1


def test_two_processes_on_one_store_take_turns(desk: Desk) -> None:
    one, two = desk.start(), desk.start()
    in_canary(desk, one)
    first = desk.state().seq
    desk.until(lambda: desk.state().seq > first + 8, two)
    for process in (one, two):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    entries = desk.entries()
    gapless(entries)
    looks = [entry.at for entry in entries if isinstance(entry.event, Tick)]
    started = desk.state().started_at
    assert started is not None
    numbers = [(at - started) // TICK for at in looks]
    assert all(early < late for early, late in pairwise(numbers)), "no look was taken twice"


def test_a_broken_policy_beside_a_good_one_keeps_nobody(desk: Desk) -> None:
    desk.policies.joinpath("broken.yaml").write_text("rollout: [\n")
    process = desk.start()
    in_canary(desk, process)
    assert "broken.yaml is broken and changes nothing" in desk.log.read_text()


def test_a_store_that_cannot_be_opened_is_said_and_ends_with_3(desk: Desk) -> None:
    desk.place.joinpath(".rollout").mkdir()
    desk.place.joinpath(".rollout", "rollout.db").write_bytes(b"no database at all" * 100)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, serve.__file__], cwd=desk.place, env=environment,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "not a database; name the right file" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_directory_is_said_and_what_comes_into_it_is_taken_up(desk: Desk) -> None:
    aside = desk.policies.joinpath("signal.yaml").rename(desk.place / "signal.yaml")
    process = desk.start()
    words = f"no policy in {desk.policies} yet: `rollout init` writes one"
    desk.until(lambda: words in desk.log.read_text(), process)
    aside.rename(desk.policies / "signal.yaml")
    desk.until(lambda: "signal: new" in desk.log.read_text(), process)
    in_canary(desk, process)
