"""The level that a policy declares is kept at every look, and would not be by a plain test."""

from datetime import timedelta
from math import sqrt
from typing import Literal

import numpy as np
import pytest

from benchmarks import false_alarms as table
from controller.core.bounds import bounds
from controller.judge.column import EPOCH
from controller.judge.growing import GrowingSet
from controller.judge.ranks import mann_whitney
from controller.judge.window import Observation

T0 = EPOCH + timedelta(microseconds=1 << 50)
APART = timedelta(microseconds=1 << 20)
"""Between two observations: blocks of the judge are then cut where those of the table are."""
HISTORIES, LOOKS = 150, 200
LEVEL = 0.05
BY_CHANCE = 3 * sqrt(LEVEL * (1 - LEVEL) / HISTORIES)


def first_look(of: str, memory: float) -> float:
    """Share of histories with an alarm."""
    random = np.random.default_rng(11)
    one, other = (table.noise(random, HISTORIES, LOOKS, memory) for _ in range(2))
    sides = [one - other] if "pairs" in of else [one, other]
    first = table.ours(sides, LEVEL) if "ours" in of else table.t_test(sides, LEVEL)
    return float((first != table.NEVER).mean())


@pytest.mark.parametrize("memory", [0.0, 0.8])
@pytest.mark.parametrize("sides", ["pairs", "two sides"])
def test_looking_at_every_tick_of_a_null_history_keeps_the_declared_level(
    sides: str, memory: float
) -> None:
    assert first_look(f"ours, {sides}", memory) <= LEVEL + BY_CHANCE
    assert first_look(f"t-test, {sides}", memory) > LEVEL + BY_CHANCE


def test_observations_that_depend_on_each_other_need_the_default() -> None:
    sides = [table.noise(np.random.default_rng(5), HISTORIES, LOOKS, 0.8)]
    first = table.ours(sides, LEVEL, dependent=False)
    assert (first != table.NEVER).mean() > LEVEL + BY_CHANCE


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("memory", [0.0, 0.8])
@pytest.mark.parametrize("dependence", ["hac", "independent"])
def test_the_tables_arithmetic_is_the_judges(
    dependence: Literal["hac", "independent"], memory: float, paired: bool
) -> None:
    random = np.random.default_rng(3)
    one, other = (table.noise(random, 1, 700, memory) for _ in range(2))
    growing = GrowingSet(("new", "old"), "mean(x)", T0 - APART, dependence)
    for at in range(700):
        key = f"k{at}" if paired else None
        for version, side in (("new", one), ("old", other)):
            seen = Observation(version, T0 + at * APART, {"x": float(side[0, at])}, key=key)
            growing.add(seen, None)
        if at + 1 not in (30, 31, 256, 257, 700):
            continue
        mine = bounds(growing.contrast(T0 + at * APART), 1.0, LEVEL)
        sides = [side[:, : at + 1] for side in ([one - other] if paired else [one, other])]
        value, half = table.bounded(sides, LEVEL, dependent=dependence == "hac")
        assert mine is not None and mine.lower is not None and mine.upper is not None
        assert mine.method == ("paired" if paired else "unpaired")
        assert mine.value == pytest.approx(value[0], abs=1e-12)
        assert (mine.upper - mine.lower) / 2 == pytest.approx(half[0], rel=1e-9)


def test_the_tables_ranks_are_the_judges() -> None:
    random = np.random.default_rng(9)
    for size in (30, 41, 200):
        one, other = random.normal(0.2, 1, size), random.normal(0, 1, size)
        found = mann_whitney(list(one), list(other), 0.95)
        low, high, middle = table.interval(one, other, 1.959963984540054)
        assert (found.lower, found.upper) == pytest.approx((low, high), abs=1e-9)
        assert found.estimate == pytest.approx(middle, abs=1e-9)
