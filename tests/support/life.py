"""Whole lives of a rollout, each in a process of its own, that end where they are told to.

`life.py` reads lines `NUMBER PLACE`: for each it forks a process that runs the controller in the
directory PLACE, on a clock of its own, until the rollout has come to rest, and kills itself
(SIGKILL: no handler, no `finally`, nothing flushed) at the NUMBER-th point it passes, never if
NUMBER is 0. It answers with the exit code, negative for a signal, as `subprocess` does.

A point is before or after each commit, each delivery, each batch of observations that is stored
and each policy that is saved; `points.txt` in PLACE has their names in the order of passing, and
`deliveries.txt` what the targets were given.
"""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.core.effect import (
    Activate,
    Alert,
    Effect,
    HandOver,
    Notify,
    SetParameters,
    SetShare,
    Verify,
    VerifyActive,
)
from controller.core.event import Acknowledgement, Command, PolicyEdit, Tick
from controller.effects.alerts import AlertLog
from controller.effects.config import ConfigFile
from controller.effects.file import ShareFile
from controller.replay.stepped import SteppedScheduler
from controller.run.service import Service
from controller.run.settings import Settings
from controller.store.base import Commit
from controller.store.sql import SqlStore

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
ROUND = timedelta(seconds=10)
MOST_ROUNDS = 300
BATCHES = 6
"""Pushes of one life; each has two observations."""
POLICY = """
rollout: signal
baseline: {version: v1, config: v1.json}
candidate: {version: v3, config: v3.json}
schedule: {tick: 30s}
sources:
  signals: {type: push}
  fills: {type: push, directory: incoming}
metrics:
  errors: {source: signals, value: ratio(failed), window: rollout, min_samples: 1, better: lower}
  drawdown: {source: fills, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}
publish:
  share: {type: file, path: share.json}
  config: {type: config, path: live.json}
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 1m, deadline: {after: 1h}}
  - name: canary
    weight: 5%
    hold: 1m
    advance: [candidate.errors <= 50%]
    approval: {by: risk, within: 1h}
    deadline: {after: 1h}
  - {name: full, weight: 100%, hold: 1m}
  - {name: watch, weight: 100%, hold: 1h}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
  - name: errors
    when: candidate.errors > 60%
    severity: medium
    then: hold
    confirm: 90 in total
    escalate_after: 1h
rollback: {verify_after: 1m, cooldown: 1h}
"""
EDITED = POLICY.replace("drawdown > 1%", "drawdown > 0.9%")
LOSS = '{"version": "v3", "pnl": -50000}\n'


def prepare(place: Path) -> None:
    """The directory as a life finds it."""
    incoming = place / "policies" / "incoming"
    incoming.mkdir(parents=True)
    incoming.joinpath("today.jsonl").write_text('{"version": "v3", "pnl": 1}\n')
    for name, text in {"signal.yaml": POLICY, "v1.json": "1", "v3.json": "3"}.items():
        incoming.with_name(name).write_text(text)


class Points:
    """Counts what is passed, and ends the process at one of them."""

    def __init__(self, place: Path, last: int) -> None:
        self._path, self._last, self._passed = place / "points.txt", last, 0
        self._path.write_text("")
        self._deliveries = place / "deliveries.txt"

    def at(self, name: str) -> None:
        """A point is reached."""
        _append(self._path, name)
        self._passed += 1
        if self._passed == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Put a point on both sides of all that leaves a trace outside of this process."""
        self._around(SqlStore, "commit", _commits)
        self._around(SqlStore, "append_observations", lambda *_: "observations")
        self._around(SqlStore, "save_policy", lambda *_: "policy")
        self._around(SqlStore, "settle", lambda *_: "outbox settled")
        for target in (ShareFile, ConfigFile, AlertLog):
            self._around(target, "deliver", _delivery)

    def _around(self, owner: Any, name: str, describe: Any) -> None:
        true = getattr(owner, name)

        def around(this: Any, *given: Any, **more: Any) -> Any:
            what = describe(*given)
            if not what:
                return true(this, *given, **more)
            self.at(f"before {what}")
            answer = true(this, *given, **more)
            if name == "deliver":
                _append(self._deliveries, f"{given[0].key} {what}")
            self.at(f"after {what}")
            return answer

        setattr(owner, name, around)


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")


def _commits(commits: Sequence[Commit]) -> str:
    return "; ".join(f"commit of {_event(item)} in {item.before.name}" for item in commits)


def _event(item: Commit) -> str:
    match item.event:
        case Tick():
            what = "a look"
        case Command(name=name):
            what = name
        case Acknowledgement():
            what = "an answer"
        case PolicyEdit():
            what = "an edit"
    after = item.decision.state.name
    return what if after == item.before.name else f"{what} that leads to {after}"


def _delivery(effect: Effect) -> str:
    match effect:
        case SetShare(share=share, epoch=epoch):
            return f"delivery of share {share} in epoch {epoch}"
        case Activate(version=version):
            return f"delivery of configuration {version}"
        case SetParameters(progress=progress):
            return f"delivery of parameters at {progress}"
        case HandOver(phase=phase):
            return f"delivery of the handover's {phase}"
        case Verify():
            return "delivery of a look at the share"
        case VerifyActive():
            return "delivery of a look at the configuration"
        case Alert(kind=kind):
            return f"delivery of alert {kind}"
        case Notify(target=target):
            return f"delivery of word to {target}"


class World:
    """What happens around the controller. Whatever was cut short is done again, as people and
    programs do: a person looks where the rollout stands, a sender repeats a batch under its key."""

    def __init__(self, service: Service, place: Path) -> None:
        self._service, self._place = service, place
        self._policies = place / "policies"
        self._sent = place / "sent.txt"

    def act(self, now: datetime) -> None:
        """One thing of each kind, if it is time for it."""
        row = self._service.store.rollout("signal")
        if row is None:
            return
        match row.state.name:
            case "pending":
                self._service.command("signal", Command("start", "kim"))
            case "shadow":
                self._edit()
            case "canary.approval":
                self._service.command("signal", Command("approve", "risk"))
            case "watch" if row.state.dwell_ms:
                self._lose()
        if row.state.epoch == 1:
            self._push(now)

    def _edit(self) -> None:
        path = self._policies / "signal.yaml"
        if path.read_text() != EDITED:
            fresh = path.with_suffix(".new")
            fresh.write_text(EDITED)
            fresh.replace(path)

    def _lose(self) -> None:
        path = self._policies / "incoming" / "today.jsonl"
        if LOSS not in path.read_text():
            with path.open("a") as file:
                file.write(LOSS)

    def _push(self, now: datetime) -> None:
        number = len(self._sent.read_text()) if self._sent.exists() else 0
        if number == BATCHES:
            return
        batch = [{"version": v, "failed": number < 3, "batch": number} for v in ("v1", "v3")]
        connections = self._service.connections
        connections.push("signal", "signals", batch, now, keys=(f"batch-{number}",))
        with self._sent.open("a") as file:
            file.write(".")


def live(place: Path, last: int) -> int:
    """A life from where the directory stands; 0 when the rollout has come to rest."""
    os.chdir(place)
    rounds = place / "rounds.txt"
    passed = len(rounds.read_text()) if rounds.exists() else 0

    def clock() -> datetime:
        return T0 + passed * ROUND

    Points(place, last).watch()
    settings = Settings(
        state_dir=place / ".rollout", policies=place / "policies", owner=f"desk-{os.getpid()}"
    )
    scheduler = SteppedScheduler()
    service = Service(settings, clock=clock, environment={}, scheduler=scheduler, seed=1)
    world = World(service, place)
    while passed < MOST_ROUNDS:
        passed += 1
        rounds.write_text("." * passed)
        world.act(clock())
        if service.round() is None:
            return 2
        row = service.store.rollout("signal")
        if row is not None and row.state.name == "cooldown" and not service.store.outbox("signal"):
            return 0
    return 1


def main() -> None:
    """Lives one after the other, as standard input asks for them."""
    for line in sys.stdin:
        number, _, place = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = live(Path(place), int(number))
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
