"""Observations a second into windows that are queried each second, on one core.

Lines of JSON of both versions, 50,000 for each second of event time, go the whole way: read,
checked, appended to SQLite (chained by hash, synced), and put into windows; after each second five
metrics are measured over thirty minutes, so that all but the newest are folded. Then the same into
the windows alone. Time is that of the wall; the processor's is told beside it.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from time import perf_counter, process_time

import msgspec

from controller.judge.aggregate import measure
from controller.judge.window import Windows
from controller.sources.base import Request
from controller.sources.observation import parse_lines
from controller.sources.push import BATCH, PushSource
from controller.store import open_store

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
RATE = 50_000
SECONDS = 30
WINDOW = timedelta(minutes=30)
METRICS = (
    "ratio(correct)", "mean(latency)", "quantile(latency, 95%)", "max_drawdown(pnl)", "count()",
)  # fmt: skip
DIFFERENT = 5
"""Seconds of observations that differ; then their fields come again."""

Second = Callable[[list[bytes], datetime], None]


def lines(second: int, random: Random) -> list[bytes]:
    """One second of observations, in batches."""
    begin, step = START + timedelta(seconds=second), timedelta(seconds=1) / RATE
    found = [
        msgspec.json.encode(
            {
                "version": f"v{1 + n % 2}",
                "ts": (begin + n * step).isoformat(),
                "correct": random.random() < 0.9,
                "pnl": round(random.gauss(1, 50), 2),
                "latency": round(random.lognormvariate(3, 1), 3),
            }
        )
        for n in range(RATE)
    ]
    return [b"\n".join(found[start : start + BATCH]) for start in range(0, RATE, BATCH)]


def timed(second: Second, count: int) -> tuple[list[float], list[float]]:
    """Observations a second in each second: by the wall, and by the processor."""
    wall, processor = [], []
    for number in range(count):
        batches = lines(number, Random(number % DIFFERENT))
        now = START + timedelta(seconds=number + 1)
        begin, used = perf_counter(), process_time()
        second(batches, now)
        wall.append(RATE / (perf_counter() - begin))
        processor.append(RATE / (process_time() - used))
    return wall, processor


def whole_way(count: int) -> tuple[list[float], list[float]]:
    """Through a push source and its store."""
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/ingest.db") as store:
        source = PushSource("signals", store, "bench/signals", reach=WINDOW)

        def second(batches: list[bytes], now: datetime) -> None:
            for batch in batches:
                if source.push(batch, now).refused:
                    raise SystemExit(source.last_error)
            asked = [
                Request("candidate", "m", "v2", expression, now - WINDOW, now, 1e6)
                for expression in METRICS
            ]
            if any(found.status != "ok" for found in source.measure(asked)):
                raise SystemExit("a metric says nothing")

        found = timed(second, count)
        print(f"  {source.check()}", file=sys.stderr)
        return found


def windows_alone(count: int) -> tuple[list[float], list[float]]:
    """Read, and put into windows."""
    windows = Windows(reach=WINDOW)

    def second(batches: list[bytes], now: datetime) -> None:
        for batch in batches:
            for part in parse_lines(batch.split(b"\n"), now):
                windows.add(part)  # type: ignore[arg-type]
        for expression in METRICS:
            measure(windows.window("v2"), expression, now - WINDOW, now, capital=1e6)

    return timed(second, count)


def main() -> int:
    """1 if the whole way is slower than the rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    count = parser.parse_args().seconds
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ways = {"the whole way": whole_way(count), "in memory alone": windows_alone(count)}
    for name, (wall, processor) in ways.items():
        print(
            f"{name}: {median(wall):,.0f} observations/s "
            f"(min {min(wall):,.0f}, max {max(wall):,.0f}); "
            f"{median(processor):,.0f} of processor time (min {min(processor):,.0f})"
        )
    return int(median(ways["the whole way"][0]) < RATE)


if __name__ == "__main__":
    sys.exit(main())
