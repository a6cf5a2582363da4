"""What a tick measures: fifty metrics of both versions over full windows, on one core.

Each window holds 100,000 observations of each version; between ticks others come in, as many as
the windows let go of. Timed is `collect`: every request, every comparison. Then the same
over windows that reach past what is held.
"""

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter, process_time

from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.core.plan import Plan
from controller.core.state import State
from controller.policy.load import load_text
from controller.run.collect import collect
from controller.run.controller import no_garbage_collection
from controller.sources.push import PushSource
from controller.store import open_store

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
TICK = timedelta(seconds=15)
HELD = 100_000
BETWEEN = 500
"""Observations of each version that come in between two ticks."""
FIELDS = 5
KINDS = (
    "count(f{n})", "sum(f{n})", "mean(f{n})", "ratio(f{n})", "min(f{n})", "max(f{n})",
    "quantile(f{n}, 95%)", "max_drawdown(f{n})", "drawdown(f{n})", "consecutive_losses(f{n})",
)  # fmt: skip
TARGET_MS = 5.0


def plan_of(window: timedelta) -> Plan:
    """Fifty metrics of the candidate, all of them read."""
    names = [
        (f"m{n}_{number}", kind.format(n=n))
        for n in range(FIELDS)
        for number, kind in enumerate(KINDS)
    ]
    seconds = int(window.total_seconds())
    metrics = "\n".join(
        f"  {name}: {{source: signals, value: '{value}', window: {seconds}s}}"
        for name, value in names
    )
    triggers = "\n".join(
        f"  - {{name: t-{name.replace('_', '-')}, when: candidate.{name} > 99999999,"
        " severity: high}"
        for name, value in names
        if not value.startswith("ratio")
    )
    ratios = ", ".join(
        f"candidate.{name} >= 1%" for name, value in names if value.startswith("ratio")
    )
    text = f"""
rollout: bench
baseline: v1
candidate: v2
schedule: {{tick: 15s}}
sources: {{signals: {{type: push}}}}
metrics:
{metrics}
stages:
  - {{name: canary, weight: 5%, hold: 9d, advance: [{ratios}]}}
  - {{name: full, weight: 100%, hold: 1h}}
triggers:
{triggers}
"""
    loaded = load_text(text, Path("tick.yaml"), {})
    if loaded.policy is None or not loaded.ok:
        raise SystemExit("\n".join(str(finding) for finding in loaded.findings))
    return compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())


class Traffic:
    """Observations of both versions, evenly in time."""

    def __init__(self, source: PushSource) -> None:
        self.source = source
        self.now = START
        self._random = Random(0)

    def come(self, count: int) -> None:
        """So many of each version, `BETWEEN` in the time of one tick."""
        step = TICK / BETWEEN
        while count:
            rows = []
            for _ in range(min(count, BETWEEN)):
                self.now += step
                fields = {f"f{n}": self._random.gauss(0.1, 10) for n in range(FIELDS)}
                rows += [{"version": v, "ts": self.now.isoformat(), **fields} for v in ("v1", "v2")]
            self.source.push(rows, self.now)
            count -= len(rows) // 2


def ticks(count: int, window: timedelta, held: int, name: str) -> float:
    """Print the times, in ms; gives their median."""
    plan = plan_of(window)
    state = State("bench", plan.digest, name="canary", started_at=START, entered_at=START)
    wall, processor = [], []
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/tick.db") as store:
        source = PushSource("signals", store, "bench/signals", reach=window)
        traffic = Traffic(source)
        traffic.come(held)
        for number in range(count + 1):
            traffic.come(BETWEEN)
            with no_garbage_collection():
                begin, used = perf_counter(), process_time()
                found = collect(plan, state, {"signals": source}, traffic.now)
                taken = perf_counter() - begin, process_time() - used
            if any(each.status != "ok" for each in found.values()) or len(found) != 50:
                raise SystemExit(f"{len(found)} measurements, not all of them ok")
            if number:
                wall.append(taken[0] * 1000)
                processor.append(taken[1] * 1000)
        print(f"  {source.check()}", file=sys.stderr)
    print(
        f"{name}: {median(wall):.2f} ms (min {min(wall):.2f}, max {max(wall):.2f}); "
        f"{median(processor):.2f} ms of processor time"
    )
    return median(wall)


def main() -> int:
    """1 if a tick over windows that are held takes longer than its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=50)
    count = parser.parse_args().ticks
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    span = HELD * TICK / BETWEEN
    full = ticks(count, span - 2 * TICK, HELD, "50 metrics over 100,000 observations")
    ticks(count, 5 * span, 4 * HELD, "50 metrics over 400,000, most of them folded")
    return int(full > TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
