"""The Mann-Whitney judge, against R's formula by another way, and against known answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random

import numpy as np
import pytest
from scipy import optimize, stats  # type: ignore[import-untyped]

from controller.judge.ranks import NEWEST, mann_whitney, shift
from controller.judge.window import Observation, Window, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def by_roots(first: Sequence[float], second: Sequence[float], level: float) -> tuple[float, float]:
    """The interval as R's wilcox.test finds it: roots of the corrected rank statistic."""
    x, y = np.asarray(first), np.asarray(second)
    n, m = len(x), len(y)

    def statistic(mu: float, quantile: float) -> float:
        ranks = stats.rankdata(np.concatenate([x - mu, y]))
        dz = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
        _, ties = np.unique(ranks, return_counts=True)
        spread = n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1))
        return float((dz - 0.5 * np.sign(dz)) / sqrt(n * m / 12 * spread) - quantile)

    least, largest = x.min() - y.max(), x.max() - y.min()
    ends = []
    for quantile in (stats.norm.ppf((1 + level) / 2), stats.norm.ppf((1 - level) / 2)):
        if statistic(least, quantile) <= 0:
            ends.append(least)
        elif statistic(largest, quantile) >= 0:
            ends.append(largest)
        else:
            ends.append(optimize.brentq(statistic, least, largest, (quantile,), xtol=1e-9))
    return float(ends[0]), float(ends[1])


def test_it_gives_the_numbers_that_kayenta_and_r_give() -> None:
    found = mann_whitney([10, 20, 30, 40], [1, 2, 3, 4])
    assert (found.lower, found.upper, found.estimate) == (6, 39, 22.5)


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_is_that_of_the_normal_approximation(ties: bool) -> None:
    random = Random(4)
    for size, other in ((5, 5), (12, 30), (60, 60)):
        one = [random.gauss(1, 2) for _ in range(size)]
        two = [random.gauss(0, 1) for _ in range(other)]
        if ties:
            one, two = [float(round(v)) for v in one], [float(round(v)) for v in two]
        found = mann_whitney(one, two)
        assert (found.lower, found.upper) == pytest.approx(by_roots(one, two, 0.98), abs=1e-6)
        middle = np.median(np.subtract.outer(one, two))
        assert found.estimate == pytest.approx(float(middle), abs=1e-9)


@pytest.mark.parametrize(
    ("one", "two", "shift_of"), [([3.0, 1.0], [1.0, 3.0], 0.0), ([2.0] * 5, [5.0] * 9, -3.0)]
)
def test_what_is_alike_or_constant_has_an_interval_of_a_point(
    one: list[float], two: list[float], shift_of: float
) -> None:
    found = mann_whitney(one, two)
    assert (found.lower, found.upper, found.estimate) == (shift_of,) * 3


def window(values: Sequence[float]) -> Window:
    windows = Windows()
    for index, value in enumerate(values):
        windows.add(Observation("v", T0 + timedelta(seconds=index), {"x": value}))
    found = windows.window("v")
    assert found is not None
    return found


def test_the_newest_of_a_window_are_ranked_in_the_base_unit() -> None:
    old, new = window([900.0] * 50 + [float(n) for n in range(NEWEST)]), window([5.0, 6.0, 9.0])
    found = shift(new, old, "quantile(x, 95%)", T0 - DAY, T0 + DAY, 0.001)
    expected = mann_whitney([5.0, 6.0, 9.0], [float(n) for n in range(NEWEST)])
    assert found.samples == 3
    assert found.mean == pytest.approx(20 / 3 / ((NEWEST - 1) / 2))
    assert found.value == pytest.approx(expected.estimate / 1000)
    assert (found.lower, found.upper) == pytest.approx(
        (expected.lower / 1000, expected.upper / 1000)
    )
    assert shift(new, old, "quantile(x, 95%)", T0 - DAY, T0 + DAY, 0.001) is found


def test_nothing_to_rank_is_no_data() -> None:
    full, empty = window([1.0]), Windows()
    for one, other in ((full, None), (empty.window("v"), full)):
        assert shift(one, other, "mean(x)", T0 - DAY, T0 + DAY).status == "no_data"
    assert shift(full, full, "mean(x)", T0 + DAY, T0 + DAY).status == "no_data"


def test_there_is_no_ratio_of_means_where_one_is_nothing() -> None:
    found = shift(window([1.0, 2.0]), window([-1.0, 1.0]), "mean(x)", T0 - DAY, T0 + DAY)
    assert (found.status, found.mean) == ("ok", None)
