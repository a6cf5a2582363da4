"""Memory over a simulated year of ticks: the real controller, store, windows and journal.

One rollout that stays live, looked at every hour, with a hundred observations of each version an
hour: within two weeks the windows hold all that their metrics look at. What the process has in
memory is read at the end of each month of thirty days.
"""

import argparse
import gc
import os
import resource
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from random import Random

from benchmarks.fleet import START, Fleet, FleetPlans
from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.core.event import Acknowledgement, Command
from controller.core.state import State
from controller.effects import open_alert_log
from controller.policy.load import load_text
from controller.run.alarms import Alarms
from controller.run.controller import Controller
from controller.run.unit import handle
from controller.sources import longest_window
from controller.store import open_store

MONTHS, MONTH = 12, timedelta(days=30)
TICK = timedelta(hours=1)
EACH = 100
FULL = 1
"""Months until the windows are full."""
FLAT_MB = 2.0
"""The last month may hold this much more than the first with full windows."""
MEMORY = Path("/dev/shm")
POLICY = """
rollout: r0
baseline: v1
candidate: v2
schedule: {tick: 1h}
sources: {signals: {type: push}}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 1d, min_samples: 20}
  drawdown: {source: signals, value: max_drawdown(pnl), window: 7d, capital: 1_000_000}
stages:
  - {name: full, weight: 100%, hold: 400d, advance: [candidate.accuracy >= 85%]}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
  - {name: errors, when: candidate.accuracy < 50%, severity: high, confirm: 3 of 5}
"""


def held_mb() -> float:
    """What the process has in memory now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def months() -> list[float]:
    """Megabytes held at the end of each month."""
    loaded = load_text(POLICY, Path("year.yaml"), {})
    if loaded.policy is None or not loaded.ok:
        raise SystemExit("\n".join(str(f) for f in loaded.findings))
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())
    found = []
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as folder, open_store(f"{folder}/y.db") as store:
        reach = longest_window(plan, "signals")
        fleet, plans = Fleet(store, 1, reach), FleetPlans(store, plan, 1)
        store.create(State(rollout="r0", policy="plan-0"), "year.yaml")
        started = handle(store, plans.plan, "r0", Command("start", "bench"), START)
        for key in started.state.unacknowledged:
            handle(store, plans.plan, "r0", Acknowledgement(key, ok=True), START)
        alarms = Alarms(open_alert_log(Path(folder)))
        controller = Controller(store, plans, fleet, alarms, "bench", random=Random(0))
        for month in range(MONTHS):
            for tick in range(MONTH // TICK):
                now = START + month * MONTH + (tick + 1) * TICK
                both = [
                    {"version": version, "correct": each % 10 != 0, "pnl": 1.0}
                    for version in ("v1", "v2")
                    for each in range(EACH)
                ]
                fleet.push["r0"].push(both, now)
                if controller.tick(now).decided != 1:
                    raise SystemExit(f"nothing was decided at {now}")
            found.append(held_mb())
            print(f"  month {month + 1}: {found[-1]:.1f} MB", file=sys.stderr)
    return found


def main() -> int:
    """Run the year and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    found = months()
    grown = found[-1] - found[FULL]
    ticks = MONTHS * (MONTH // TICK)
    print(
        f"a year of {ticks:,} ticks and {2 * EACH * ticks:,} observations: {found[FULL]:.1f} MB "
        f"after month {FULL + 1}, {found[-1]:.1f} MB after the last ({grown:+.1f} MB)"
    )
    return int(grown > FLAT_MB)


if __name__ == "__main__":
    sys.exit(main())
