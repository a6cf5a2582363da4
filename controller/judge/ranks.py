"""The Mann-Whitney judge, with the parameters that users of Kayenta know.

It says nothing of looks that come again and again, nor of observations that depend on each other:
`docs/statistics.md` has the rates of false alarm. Each side's newest observations are judged.

Source: the rank sum test of Mann and Whitney (1947), its interval by inversion of the normal
approximation with ties and continuity corrected, as R's wilcox.test does (Bauer, 1972); the point
estimate of Hodges and Lehmann (1963).
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, nextafter, sqrt
from statistics import NormalDist, fmean

from controller.core.measurement import Measurement
from controller.judge.aggregate import parse
from controller.judge.column import moment
from controller.judge.window import Window

NEWEST = 200
"""Observations of each side that are judged: the newest."""
CONFIDENCE = 0.98


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the first sample lies above the second: Hodges-Lehmann estimate and interval."""

    estimate: float
    lower: float
    upper: float


def mann_whitney(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Shift:
    """Shift of `first` against `second` (neither empty, all finite). Samples that are alike, or
    constant, give an interval of one point."""
    one, other = sorted(first), sorted(second)
    if one == other:
        return Shift(0.0, 0.0, 0.0)
    if one[0] == one[-1] and other[0] == other[-1]:
        gap = one[0] - other[0]
        return Shift(gap, gap, gap)
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    ranks = _Ranks(one, other)
    middle = (ranks.crossing(0.0, 0.0), ranks.crossing(0.0, 0.0, beyond=True))
    return Shift(
        (middle[0] + middle[1]) / 2, ranks.crossing(quantile, 0.5), ranks.crossing(-quantile, -0.5)
    )


def shift(
    candidate: Window | None,
    baseline: Window | None,
    expression: str,
    since: datetime,
    now: datetime,
    factor: float = 1.0,
    newest: int | None = None,
) -> Measurement:
    """Shift of the candidate's newest values of (since, now] against the baseline's, in the base
    unit; of at most `newest` so many. `samples` is the smaller side's. Raises AggregationError."""
    name = parse(expression).field or ""
    columns = [w.numbers.get(name) if w is not None else None for w in (candidate, baseline)]
    first, second = columns
    if first is None or second is None:
        side = "candidate" if first is None else "baseline"
        return Measurement(status="no_data", detail=f"{side}: no value of {name} yet")
    most = NEWEST if newest is None else min(newest, NEWEST)
    slices = [column.between(since, now, most) for column in (first, second)]
    samples = min(hi - lo for lo, hi in slices)
    if not samples:
        return Measurement(status="no_data", detail="a side has nothing in the window")
    state = [(c.places[lo], c.places[hi - 1], hi - lo, c.breaks)
             for c, (lo, hi) in zip((first, second), slices, strict=True)]  # fmt: skip
    asked = ("shift", factor, id(second))
    known = first.memo.get(asked)
    if known is not None and known[0] == state:
        remembered: Measurement = known[1]
        return remembered
    (lo, hi), (other_lo, other_hi) = slices
    one, other = first.values[lo:hi], second.values[other_lo:other_hi]
    found = mann_whitney(one, other)
    means = fmean(one), fmean(other)
    places = (first.places[hi - 1], second.places[other_hi - 1])
    measured = Measurement(
        value=found.estimate * factor,
        samples=samples,
        lower=found.lower * factor,
        upper=found.upper * factor,
        mean=means[0] / means[1] if all(means) else None,
        as_of=moment(min(places)),
    )
    first.memo[asked] = (state, measured)
    return measured


class _Ranks:
    """Both samples, sorted, and the rank sum of the first when it is moved down by some shift."""

    def __init__(self, one: list[float], other: list[float]) -> None:
        self._one, self._other = one, other
        n, m = len(one), len(other)
        self._half = n * m / 2
        # Within each sample ties stay what they are; across them they hold at single points only.
        ties = sum(t**3 - t for sample in (one, other) for t in Counter(sample).values())
        total = n + m
        self._sigma = sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))

    def excess(self, shift: float) -> float:
        """Pairs in which the first is above the second by more than `shift`, equal ones half,
        beside half of all."""
        other = self._other
        above = sum(
            bisect_left(other, value - shift) + bisect_right(other, value - shift)
            for value in self._one
        )
        return above / 2 - self._half

    def crossing(self, quantile: float, correction: float, *, beyond: bool = False) -> float:
        """The shift at which the standardised excess falls to `quantile` (`beyond`: below it):
        between the least and the largest difference, to the last bit."""
        target = quantile * self._sigma + correction
        least, largest = self._one[0] - self._other[-1], self._one[-1] - self._other[0]
        low, high = nextafter(least, -inf), nextafter(largest, inf)
        while True:
            middle = (low + high) / 2
            if not low < middle < high:
                return min(max(high, least), largest)
            found = self.excess(middle)
            if found > target or (beyond and found == target):
                low = middle
            else:
                high = middle
