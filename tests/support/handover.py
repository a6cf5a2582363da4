"""A policy that hands the writing of orders over, and an engine that can be asked and told."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.client.handover import Handover
from controller.core.effect import HandOver, Phase
from controller.effects.base import NotYet
from controller.effects.handover import HandoverFile, Seats
from controller.traffic.handover import Terms
from controller.traffic.route import Side
from controller.traffic.snapshot import Account, Holding
from support.plans import T0

POLICY = """\
rollout: signal
baseline: v1
candidate: v3
schedule:
  tick: 30s
  freeze: [{name: fomc, from: 2026-03-02T18:00Z, to: 2026-03-02T18:10Z}]
sources:
  signals: {type: push}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 5m, min_samples: 100, better: higher}
publish:
  share: {type: file, path: live/share.json}
transition:
  handover:
    stage: handover
    processes: {directory: live/handover, baseline: engine-1, candidate: engine-3}
    ready: {bars: 20, decisions: 5}
    within: 20 ticks
    ramp: 10m
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 10m}
  - {name: handover, weight: 100%, hold: 30m, against: shadow_baseline, deadline: {after: 6h}}
  - {name: watch, weight: 100%, hold: 1h, against: shadow_baseline}
triggers:
  - {name: harm, when: candidate.accuracy < 50%, severity: critical}
rollback: {cooldown: 1h, verify_after: 1m, deadline: 30s}
"""


class Machine:
    """An engine that counts bars and holds what it is told. Schema 2 keeps its bars as `seen`."""

    def __init__(self, schema: int = 1, position: float = 0.0, target: float = 0.0) -> None:
        self.schema, self.target = schema, target
        self.bars = 0
        self.account = Account(100.0, 120.0, 99.0, 120.0)
        self.position: dict[str, float] = {"NQ": position}
        self.adopted: list[Holding] = []
        self.broken = ""

    def ready(self) -> tuple[int, int]:
        return self.bars, self.bars

    def targets(self) -> Mapping[str, float]:
        if self.broken == "targets":
            raise RuntimeError("no targets")
        return {"NQ": self.target}

    def holding(self) -> Holding:
        state: dict[str, Any] = {("bars", "seen")[self.schema - 1]: self.bars}
        risk = {"exposure": abs(self.position["NQ"]) * 10}
        return Holding(self.account, dict(self.position), risk, state, self.schema)

    def adopt(self, holding: Holding) -> None:
        if self.broken == "adopt":
            raise RuntimeError("cannot")
        self.adopted.append(holding)
        self.account, self.position = holding.account, dict(holding.position)
        if holding.algorithm is not None:
            self.bars = holding.algorithm[("bars", "seen")[self.schema - 1]]


def up(state: dict[str, Any]) -> dict[str, Any]:
    """From schema 1 to 2."""
    state["seen"] = state.pop("bars")
    return state


def down(state: dict[str, Any]) -> dict[str, Any]:
    """And back."""
    return {"bars": state["seen"]}


STEPS = {(1, 2): up, (2, 1): down}


class Pair:
    """Two processes and the target that tells them, in one program: real files, no controller."""

    def __init__(self, directory: Path, terms: Terms | None = None) -> None:
        self.directory, self.bar = directory, T0
        self.token, self.epoch = 0, 1
        seats = Seats("s", "r", "engine-1", "engine-3", terms or Terms(bars=3, decisions=3))
        self.target = HandoverFile(directory, seats)
        self.old, self.new = Machine(1, position=2.0, target=2.0), Machine(2, target=2.0)
        self.restart()

    def restart(self) -> None:
        """Both processes, as after a crash."""
        self.baseline, self.candidate = self.start(Side.BASELINE), self.start(Side.CANDIDATE)

    def start(self, side: Side) -> Handover:
        """One process, new."""
        name, version, engine, schema = (
            ("engine-1", "v1", self.old, 1) if side is Side.BASELINE
            else ("engine-3", "v3", self.new, 2)
        )  # fmt: skip
        return Handover(
            self.directory, name, version, engine, side=side, schema=schema, migrations=STEPS
        )

    def turn(self, baseline: bool = True, candidate: bool = True) -> None:
        """A bar, seen by those that run."""
        self.bar += timedelta(minutes=1)
        for runs, engine, process in (
            (baseline, self.old, self.baseline), (candidate, self.new, self.candidate),
        ):  # fmt: skip
            if runs:
                engine.bars += 1
                process.turn(self.bar)

    def effect(self, phase: Phase, *, ramps: bool = False) -> HandOver:
        """The next decision."""
        self.token += 1
        if phase is Phase.BACK:
            self.epoch += 1
        key = f"r/{self.token}/0"
        return HandOver(key, "handover", phase, self.epoch, self.token, ramps)

    def say(self, effect: HandOver) -> str:
        """Deliver; what is still waited for, or empty."""
        try:
            self.target.deliver(effect)
        except NotYet as waits:
            return str(waits)
        return ""

    def through(self, phase: Phase, *, ramps: bool = False) -> None:
        """A phase to its acknowledgement."""
        effect = self.effect(phase, ramps=ramps)
        for _ in range(10):
            if not self.say(effect):
                return
            self.turn()
        raise AssertionError(f"{phase} is never acknowledged: {self.say(effect)}")

    def to(self, phase: Phase) -> None:
        """All phases up to and with `phase`, acknowledged."""
        for each in (Phase.WARM, Phase.COPY, Phase.AGREE, Phase.FENCE, Phase.WRITE):
            self.through(each)
            if each is phase:
                return

    def writers(self) -> list[str]:
        """Who is given leave now."""
        found = []
        for process in (self.baseline, self.candidate):
            with process.writing() as leave:
                if leave is not None:
                    found.append(process.name)
        return found


def when(minutes: int) -> datetime:
    """After the beginning of tests."""
    return T0 + timedelta(minutes=minutes)
