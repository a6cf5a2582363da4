"""A round of ticks over 10,000 active rollouts on SQLite, journal included, on one core.

Each rollout has a push source of its own with observations of both versions in its windows, three
measurements a tick, and a decision, journal entry and state row committed in one transaction.
"""

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.core.effect import Effect
from controller.core.event import Acknowledgement, Command
from controller.core.plan import Plan
from controller.core.state import State
from controller.effects import open_alert_log
from controller.policy.load import load_text
from controller.run.alarms import Alarms
from controller.run.controller import Controller
from controller.run.plans import Plans
from controller.run.presence import Refusals
from controller.run.unit import handle
from controller.sources.base import Source
from controller.sources.push import PushSource
from controller.store import open_store
from controller.store.base import Store

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
TICK = timedelta(seconds=15)
TARGET_SECONDS = 1.0
POLICY = """
rollout: fleet
baseline: v1
candidate: v2
schedule: {tick: 15s}
sources: {signals: {type: push}}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 1h, min_samples: 20}
  errors: {source: signals, value: ratio(failed), window: 1h, min_samples: 20}
  drawdown: {source: signals, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}
stages:
  - {name: canary, weight: 5%, hold: 6h, advance: [candidate.accuracy >= 85%]}
  - {name: full, weight: 100%, hold: 6h, advance: [candidate.accuracy >= 85%]}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
  - {name: errors, when: candidate.errors > 10%, severity: high, confirm: 3 of 5}
"""


class FleetPlans(Plans):
    """One compiled policy under as many hashes as there are rollouts."""

    def __init__(self, store: Store, plan: Plan, count: int) -> None:
        super().__init__(store, {})
        self._plans = {
            f"plan-{i}": replace(plan, rollout=f"r{i}", digest=f"plan-{i}") for i in range(count)
        }

    def plan(self, digest: str, now: datetime) -> Plan:
        """See `Plans.plan`."""
        del now
        return self._plans[digest]


class Fleet:
    """Sources and targets of all rollouts."""

    def __init__(self, store: Store, count: int, reach: timedelta | None = None) -> None:
        self.push = {
            f"r{i}": PushSource("signals", store, f"r{i}/signals", reach=reach)
            for i in range(count)
        }

    def sources(self, state: State, now: datetime) -> Mapping[str, Source]:
        """As `Connections.sources`."""
        del now
        return {"signals": self.push[state.rollout]}

    def slow(self, state: State, now: datetime) -> bool:
        """As `Connections.slow`."""
        del state, now
        return False

    def target(self, state: State, effect: Effect, now: datetime) -> "Fleet":
        """As `Connections.target`."""
        del state, effect, now
        return self

    def deliver(self, effect: Effect) -> str:
        """As `Target.deliver`: nothing is asked of the world in a round that moves nothing."""
        return type(effect).__name__

    def poll(self, now: datetime) -> Sequence[tuple[str, str]]:
        """As `Connections.poll`."""
        del now
        return ()

    def renew(self, state: State, now: datetime) -> None:
        """As `Connections.renew`."""
        del state, now

    def refusals(self) -> dict[str, Refusals]:
        """As `Connections.refusals`."""
        return {}

    def release(self, rollout: str) -> None:
        """As `Connections.release`."""
        del rollout


def main() -> int:
    """Set the fleet up and print the time of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/fleet.db") as store:
        controller = _begin(store, Path(folder), asked.rollouts)
        gc.collect()
        gc.freeze()
        taken = []
        now = START
        for number in range(asked.rounds + 1):
            now += TICK
            begin = perf_counter()
            report = controller.tick(now)
            if number:
                taken.append(perf_counter() - begin)
            if report.decided != asked.rollouts:
                raise SystemExit(f"only {report.decided} decided on: {report}")
        size = Path(f"{folder}/fleet.db").stat().st_size / 1e6
    print(
        f"a round of {asked.rollouts:,} rollouts: {median(taken):.2f} s "
        f"(min {min(taken):.2f}, max {max(taken):.2f}), "
        f"{median(taken) / asked.rollouts * 1e6:.0f} us each; store {size:.0f} MB"
    )
    return int(median(taken) > TARGET_SECONDS)


def _begin(store: Store, folder: Path, count: int) -> Controller:
    loaded = load_text(POLICY, Path("fleet.yaml"), {})
    if loaded.policy is None or not loaded.ok:
        raise SystemExit("\n".join(str(f) for f in loaded.findings))
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())
    fleet, plans = Fleet(store, count), FleetPlans(store, plan, count)
    observations = [
        {"version": version, "ts": (START - timedelta(seconds=n)).isoformat(),
         "correct": n % 10 != 0, "failed": n % 50 == 0, "pnl": 1.0}
        for version in ("v1", "v2") for n in range(1, 60)
    ]  # fmt: skip
    for number in range(count):
        name = f"r{number}"
        fleet.push[name].push(observations, START)
        store.create(State(rollout=name, policy=f"plan-{number}"), "fleet.yaml")
        decision = handle(store, plans.plan, name, Command("start", "bench"), START)
        for key in decision.state.unacknowledged:
            handle(store, plans.plan, name, Acknowledgement(key, ok=True), START)
        if number % 2000 == 1999:
            print(f"  {number + 1:,} rollouts started", file=sys.stderr)
    controller = Controller(
        store, plans, fleet, Alarms(open_alert_log(folder)), "bench", random=Random(0)
    )
    controller.tick(START)
    return controller


if __name__ == "__main__":
    sys.exit(main())
