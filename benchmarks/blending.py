"""What a blend costs: `Client.blend` (bare numbers; signals with time and confidence and all
frictions) beside the bare sum of two products, in turn in one run; then a million rows at once
beside the same sum in numpy.

A call reads two signals, weighs, compares, settles and remembers, so it is far above a sum of two
products; the targets are absolute: at most 100 microseconds a call, 2 seconds a million rows.
"""

import argparse
import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from controller.blend.columns import Signals
from controller.blend.settings import Conflict, Mode, Settings
from controller.client import Client, Signal
from controller.core.share import Share
from controller.traffic.published import Published, encode

MILLION = 1_000_000
CALLS = 20_000
MOST_MICROS = 100.0
MOST_SECONDS = 2.0
PLAIN = Settings()
FULL = Settings(
    mode=Mode.CONFIDENCE, conflict=Conflict.MIN_ABS, deadband=0.02, band=0.05, enter=0.2, leave=0.1,
    min_hold_s=60.0, max_age_s=3600.0,
)  # fmt: skip


def published(settings: Settings) -> Published:
    """A state of one rollout, a quarter of the way."""
    return Published(
        store="home", rollout="signal", baseline="v1", candidate="v3", share=Share(25_000),
        percent="25%", mirror=False, epoch=1, token=1, layer="signal", blend=settings,
    )  # fmt: skip


def main() -> int:
    """Measure in turn, print, and say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        clients = {}
        for name, settings in (("plain", PLAIN), ("full", FULL)):
            path = Path(folder) / f"{name}.json"
            path.write_bytes(encode(published(settings)))
            clients[name] = Client.from_file(path, baseline="v1", watch=None)
        good = _calls(clients["plain"], clients["full"], runs)
        good &= _million(clients["plain"], clients["full"], runs)
    return int(not good)


def _calls(plain: Client, full: Client, runs: int) -> bool:
    now = datetime.now(UTC)
    pairs = [(0.8 - n / CALLS, n / CALLS - 0.4) for n in range(CALLS)]
    signals = [(Signal(old, 0.7, now), Signal(new, 0.6, now)) for old, new in pairs]

    def bare() -> None:
        for old, new in pairs:
            0.75 * old + 0.25 * new

    def numbers() -> None:
        for old, new in pairs:
            plain.blend(old, new, instrument="NQ")

    def everything() -> None:
        for old, new in signals:
            full.blend(old, new, instrument="NQ", at=now, move=0.001)

    contestants: dict[str, Callable[[], object]] = {
        "bare sum of two products": bare,
        "Client.blend": numbers,
        "... with everything": everything,
    }
    taken = _in_turn(contestants, runs, 1e6 / CALLS)
    base = taken["bare sum of two products"]
    for name, figures in taken.items():
        ratio = median(a / b for a, b in zip(figures, base, strict=True))
        print(f"{name:26} {_spread(figures, 'us')}: {ratio:7.1f} times the bare sum")
    return median(taken["... with everything"]) <= MOST_MICROS


def _million(plain: Client, full: Client, runs: int) -> bool:
    chance = np.random.default_rng(1)
    old, new, sure = (chance.uniform(-1, 1, MILLION) for _ in range(3))
    at = datetime.now(UTC)
    made = np.full(MILLION, at.timestamp())
    legs = [Signals(side, np.abs(sure), made) for side in (old, new)]
    contestants: dict[str, Callable[[], object]] = {
        "a million in numpy": lambda: 0.75 * old + 0.25 * new,
        "Client.blend_many": lambda: plain.blend_many(Signals(old), Signals(new), at=at),
        "... with everything ": lambda: full.blend_many(*legs, at=at),
    }
    taken = _in_turn(contestants, runs, 1000.0)
    base = taken["a million in numpy"]
    for name, figures in taken.items():
        ratio = median(a / b for a, b in zip(figures, base, strict=True))
        print(f"{name:26} {_spread(figures, 'ms')}: {ratio:7.1f} times the bare sum")
    return median(taken["... with everything "]) <= MOST_SECONDS * 1000


def _in_turn(
    contestants: "dict[str, Callable[[], object]]", runs: int, scale: float
) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(runs + 1):
        for name, call in contestants.items():
            begin = perf_counter()
            call()
            if turn:  # the first warms up
                taken[name].append((perf_counter() - begin) * scale)
    return taken


def _spread(figures: list[float], unit: str) -> str:
    return f"{median(figures):9.3f} {unit} ({min(figures):.3f} to {max(figures):.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
