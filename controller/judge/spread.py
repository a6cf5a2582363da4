"""Numbers of plain values: mean that forgets, correlation, values far from the rest."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from math import fsum, isfinite, sqrt
from operator import mul

from controller.judge.undefined import Undefined

MAD_OF_NORMAL = 0.6745
"""Third quartile of the normal distribution: makes the MAD a standard deviation."""


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
    spread = sqrt(fsum(map(mul, mine, mine))) * sqrt(fsum(map(mul, other, other)))
    if not spread or not isfinite(spread):
        raise Undefined("the values of one side are all alike")
    r = fsum(map(mul, mine, other)) / spread
    return max(-1.0, min(1.0, r))


class Outliers:
    """Which values are far from those before them, for a row of values that grows."""

    def __init__(self, last: int, limit: float) -> None:
        """Far: more than `limit` deviations from the median of the `last` values before."""
        self._last, self._limit = last, limit
        self._before: list[float] = []
        self._far, self._judged = [0], [0]

    def feed(self, values: Sequence[float]) -> None:
        """Go on to the end of `values`, which begin as they did before."""
        before, last = self._before, self._last
        for index in range(len(self._far) - 1, len(values)):
            far = judged = False
            if index >= last:
                median = _middle(before)
                spread = _middle(sorted([abs(value - median) for value in before]))
                judged = spread > 0
                far = MAD_OF_NORMAL * abs(values[index] - median) > self._limit * spread
                del before[bisect_left(before, values[index - last])]
            insort(before, values[index])
            self._far.append(self._far[-1] + (far and judged))
            self._judged.append(self._judged[-1] + judged)

    def between(self, lo: int, hi: int) -> tuple[int, int]:
        """(values that are far, values that could be judged) of those from `lo` to before `hi`."""
        return self._far[hi] - self._far[lo], self._judged[hi] - self._judged[lo]


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
