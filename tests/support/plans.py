"""Plans from YAML text, and a small policy that the core's tests share."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.core.calendar import AlwaysOpen, Calendar
from controller.core.compiler import compile_plan
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.event import Acknowledgement, Command, Event, Tick
from controller.core.measurement import Measurement
from controller.core.plan import Plan
from controller.core.state import State
from controller.policy.load import load_text

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)

POLICY = """
rollout: signal
baseline: v1
candidate: v3
schedule: {tick: 30s}
sources:
  signals: {type: push}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 5m, min_samples: 100, better: higher}
  errors: {source: signals, value: ratio(failed), window: 5m, min_samples: 100, better: lower}
  drawdown: {source: signals, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 10m}
  - name: canary
    weight: 5%
    hold: 1h
    advance: [candidate.accuracy >= 85%, candidate.errors <= 5%]
    deadline: {after: 6h}
  - name: ramp
    weights: [25%, 50%]
    hold: 1h
    advance: [candidate.accuracy >= 85%]
    approval: {by: risk, within: 2h, else: rollback}
    deadline: {after: 8h}
  - {name: watch, weight: 100%, hold: 2h, against: frozen_baseline}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
  - {name: errors, when: candidate.errors > 10%, severity: high, confirm: 3 of 5}
  - {name: silent, when: signals.silent > 2m, severity: medium, then: hold, escalate_after: 10m}
rollback: {restart: canary, cooldown: 1h, verify_after: 5m, lock: {after: 3, per: 12h}}
"""

GOOD = {
    "candidate.accuracy": Measurement(value=0.88, samples=120),
    "candidate.errors": Measurement(value=0.01, samples=120),
    "candidate.drawdown": Measurement(value=0.002, samples=120),
    "signals.silent": Measurement(value=1.0, samples=1),
}


def plan_of(text: str = POLICY, calendar: Calendar | None = None) -> Plan:
    """The plan of a policy that must be clean."""
    loaded = load_text(text, Path("policy.yaml"), {})
    assert loaded.policy is not None and not loaded.findings, [str(f) for f in loaded.findings]
    return compile_plan(
        loaded.policy, loaded.gates, loaded.guards, loaded.digest, calendar or AlwaysOpen()
    )


class Driver:
    """Runs one rollout by hand: each call is one decision; effects are acknowledged at once
    unless `acknowledges` is off."""

    def __init__(self, plan: Plan, now: datetime = T0) -> None:
        self.plan, self.now = plan, now
        self.state = State(rollout=plan.rollout, policy=plan.digest)
        self.decisions: list[Decision] = []
        self.acknowledges = True

    def event(self, event: Event) -> Decision:
        """Decide at the present time."""
        decision = decide(self.plan, self.state, event, self.now)
        self.state = decision.state
        self.decisions.append(decision)
        if self.acknowledges:
            for effect in decision.effects:
                if self.state.undone(effect.key):
                    self.event(Acknowledgement(effect.key, ok=True, detail="read back"))
        return decision

    def command(self, name: str, by: str = "kim", **more: Any) -> Decision:
        """A person's act."""
        return self.event(Command(name=name, by=by, **more))  # type: ignore[arg-type]

    def tick(
        self, measurements: Mapping[str, Measurement] | None = None, /, **changes: Measurement
    ) -> Decision:
        """One tick interval later, with `GOOD` unless told otherwise."""
        self.now += self.plan.tick
        found = dict(GOOD if measurements is None else measurements)
        found.update({key.replace("__", "."): value for key, value in changes.items()})
        return self.event(Tick(found))

    def ticks(self, span: timedelta, **changes: Measurement) -> Decision:
        """As many ticks as `span` holds; the last decision."""
        decision = self.tick(**changes)
        for _ in range(span // self.plan.tick - 1):
            decision = self.tick(**changes)
        return decision

    def to(self, name: str) -> None:
        """On to a live state, by a person's word."""
        self.command("start")
        for _ in range(20):
            if self.state.name == name:
                return
            self.command("approve" if self.state.name.endswith(".approval") else "advance")
            self.tick()
        raise AssertionError(f"never came to {name}, stands in {self.state.name}")
