"""Numbers of plain values: deviation, mean that forgets, correlation, values far from the rest."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from math import dist, fsum, isfinite, sqrt

from controller.judge.undefined import Undefined

MAD_OF_NORMAL = 0.6745
"""Third quartile of the normal distribution: makes the MAD a standard deviation."""


def deviation(values: Sequence[float]) -> float:
    """Standard deviation, n - 1."""
    count = len(values)
    if count < 2:
        raise Undefined("one value has no deviation")
    mean = fsum(values) / count
    return dist(values, (mean,) * count) / sqrt(count - 1)


def ewma(values: Sequence[float], times: Sequence[int], half_life: float) -> float:
    """Mean with weights 2^(-age / half_life); `times` rise, in the unit of `half_life`. Ages are
    counted from the newest value: of one moment on, all weights fall alike."""
    newest = times[-1]
    weights = [2.0 ** ((time - newest) / half_life) for time in times]
    return fsum(w * x for w, x in zip(weights, values, strict=True)) / fsum(weights)


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Pearson's r."""
    count = len(first)
    if count < 3:
        raise Undefined(f"{count} pairs, and it takes 3")
    means = fsum(first) / count, fsum(second) / count
    mine, other = [x - means[0] for x in first], [y - means[1] for y in second]
    spread = sqrt(fsum(x * x for x in mine)) * sqrt(fsum(y * y for y in other))
    if not spread or not isfinite(spread):
        raise Undefined("the values of one side are all alike")
    r = fsum(x * y for x, y in zip(mine, other, strict=True)) / spread
    return max(-1.0, min(1.0, r))


def outliers(values: Sequence[float], last: int, limit: float) -> tuple[int, int]:
    """(values more than `limit` deviations from the median of the `last` ones before, values
    that could be judged)."""
    judged = far = 0
    for value, median, spread in _lagged(values, last):
        if spread:
            judged += 1
            far += MAD_OF_NORMAL * abs(value - median) > limit * spread
    return far, judged


def _lagged(values: Sequence[float], last: int) -> Iterator[tuple[float, float, float]]:
    """Each value from number `last` on, with the median and the MAD of those before it."""
    before = sorted(values[:last])
    for index in range(last, len(values)):
        median = _middle(before)
        yield values[index], median, _spread(before, median)
        del before[bisect_left(before, values[index - last])]
        insort(before, values[index])


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _spread(ordered: Sequence[float], median: float) -> float:
    """Median distance from the median."""
    return _middle(sorted([abs(value - median) for value in ordered]))
