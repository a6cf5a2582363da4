"""Comparisons over a set that grows: everything seen since a stage (or the rollout) was entered.

A window that slides forgets, so looking at it again and again is not looking at one set, and no
bound holds for all looks. These sets never forget, and hold sums alone: what they weigh does not
depend on how much was seen.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Literal

from controller.core.measurement import Contrast, Pairs, Side
from controller.judge.aggregate import parse
from controller.judge.column import EPOCH, MICROSECOND, micros, moment
from controller.judge.longrun import Form, Row, bars_of_pairs, error_of_bars, error_of_means
from controller.judge.window import Observation, Window

Dependence = timedelta | Literal["hac", "independent"]
"""How observations of one version depend on each other: measured, not at all, or within bars of
this long."""

LEAST = 5
"""Below so many observations or pairs there are no bounds: a variance of so few says nothing."""
LEAST_DEPENDENT = 30
"""The same where it has to be measured what observations share."""
KEYS = 10_000
"""Keys remembered to pair up; an older one that is met again counts as another."""
WAITING = 10_000
"""Observations that wait for the next look before they are summed up."""
FOREVER = EPOCH + timedelta(days=366 * 1000)


@dataclass(slots=True)
class _Met:
    """What was seen under one key: time of the first, number and sum of each version, and the pair
    that was taken into the row of pairs."""

    at: int
    counts: list[int] = field(default_factory=lambda: [0, 0])
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    taken: tuple[int, float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """One value of one version (0 candidate, 1 baseline) that waits."""

    at: int
    side: int
    key: str | None
    value: float


class GrowingSet:
    """Both versions' values of one field since one moment."""

    def __init__(
        self, versions: tuple[str, str], expression: str, since: datetime, dependence: Dependence
    ) -> None:
        """`versions` are candidate and baseline; `expression` a mean or a ratio. Raises
        AggregationError."""
        aggregation = parse(expression)
        self.versions, self.since, self.dependence = versions, since, dependence
        self.field = aggregation.field or ""
        self.partial = False
        """Whether some of it was dropped before the set was begun."""
        self._is_ratio = aggregation.name == "ratio"
        span = dependence // MICROSECOND if isinstance(dependence, timedelta) else 1
        self._sides = (Row(span), Row(span))
        self._pairs = Row(span)
        self._units = [0, 0]
        self._met: dict[str, _Met] = {}
        self._waiting: list[_Seen] = []
        self._revision = 0
        self._known: tuple[int, float, Contrast] | None = None

    def begin(self, candidate: Window | None, baseline: Window | None) -> None:
        """Take in what the windows hold already."""
        for side, window in enumerate((candidate, baseline)):
            column = window.numbers.get(self.field) if window is not None else None
            if window is None or column is None:
                continue
            self.partial |= window.lacks_since(self.since)
            lo, hi = column.between(self.since, FOREVER)
            for index in range(lo, hi):
                at = micros(moment(column.places[index]))
                self._take(_Seen(at, side, column.keys[index], self._value(column.values[index])))

    def add(self, observation: Observation, known: Observation | None) -> None:
        """Take in an observation, or a further part of `known`."""
        value = observation.fields.get(self.field)
        if not isinstance(value, int | float) or observation.at <= self.since:
            return
        if known is not None and known.fields.get(self.field) is not None:
            return
        try:
            number = float(value)
        except OverflowError:
            return
        if observation.version in self.versions and isfinite(number):
            side = self.versions.index(observation.version)
            seen = _Seen(micros(observation.at), side, observation.key, self._value(number))
            self._take(seen)

    def _value(self, value: float) -> float:
        return float(value != 0.0) if self._is_ratio else value

    def _take(self, seen: _Seen) -> None:
        self._waiting.append(seen)
        if len(self._waiting) >= WAITING:
            self._sum_up(self._waiting)
            self._waiting = []

    def contrast(self, now: datetime, factor: float = 1.0) -> Contrast:
        """What is known by `now`, `factor` times the field's unit."""
        until = micros(now)
        ready = [seen for seen in self._waiting if seen.at <= until]
        if ready:
            self._waiting = [seen for seen in self._waiting if seen.at > until]
            self._sum_up(ready)
        if self._known is None or self._known[:2] != (self._revision, factor):
            self._known = (self._revision, factor, self._contrast(factor))
        return self._known[2]

    def _contrast(self, factor: float) -> Contrast:
        scale = 1.0 if self._is_ratio else factor
        detail = "the oldest are no longer held" if self.partial else ""
        candidate, baseline = (self._side(row, scale) for row in self._sides)
        return Contrast(candidate, baseline, self._paired(scale) or self._by_bar(scale), detail)

    def _sum_up(self, values: list[_Seen]) -> None:
        self._revision += 1
        for seen in values:
            self._sides[seen.side].add(seen.at, seen.value)
            if seen.key is None:
                self._units[seen.side] += 1
            else:
                self._meet(seen, seen.key)

    def _meet(self, seen: _Seen, key: str) -> None:
        """Several observations of a key count as their mean."""
        met = self._met.get(key)
        if met is None:
            if len(self._met) >= KEYS:
                del self._met[next(iter(self._met))]
            met = self._met[key] = _Met(seen.at)
        if not met.counts[seen.side]:
            self._units[seen.side] += 1
        met.at = min(met.at, seen.at)
        met.counts[seen.side] += 1
        met.sums[seen.side] += seen.value
        if all(met.counts):
            if met.taken is not None:
                self._pairs.add(*met.taken, times=-1)
            first, second = (s / n for s, n in zip(met.sums, met.counts, strict=True))
            met.taken = (met.at, first, second)
            self._pairs.add(*met.taken)

    @property
    def _least(self) -> int:
        return LEAST_DEPENDENT if self.dependence == "hac" else LEAST

    def _side(self, row: Row, scale: float) -> Side | None:
        if row.count < self._least:
            return None
        mean, variance, count = row.means[0], row.variances[0], row.count
        error = variance / count
        if self.dependence == "hac":
            error = error_of_means(row)[0]
        elif isinstance(self.dependence, timedelta):
            count, (error, _, _) = error_of_bars(row, Row(row.span))
            if count < LEAST:
                return None
            variance = error * count
        if not variance:
            variance = of_likes(mean, count)
            error = variance / count
        squared = scale * scale
        return Side(mean * scale, row.count, variance * squared, error * squared)

    def _paired(self, scale: float) -> Pairs | None:
        """None unless at least half of the smaller side pairs up: then the keys are not there to
        compare by."""
        row = self._pairs
        if row.count < self._least or 2 * row.count < min(self._units):
            return None
        variance = row.variances
        error = error_of_means(row) if self.dependence == "hac" else _times(variance, 1 / row.count)
        if isinstance(self.dependence, timedelta):
            bars, error = bars_of_pairs(row)
            if bars < LEAST:
                return None
            variance = _times(error, bars)
        if not variance[0] + variance[1] - 2 * variance[2] > 0:
            return None
        first, second = row.means
        squared = scale * scale
        return Pairs(row.count, first * scale, second * scale, _times(variance, squared),
                     _times(error, squared))  # fmt: skip

    def _by_bar(self, scale: float) -> Pairs | None:
        """Both sides bar by bar, where the policy says how long a bar is."""
        mine, other = self._sides
        if not isinstance(self.dependence, timedelta) or not (mine.count and other.count):
            return None
        means = (mine.means[0], other.means[0])
        count, error = error_of_bars(mine, other)
        if count < LEAST or not error[0] + error[1] - 2 * error[2] > 0:
            return None
        squared = scale * scale
        return Pairs(count, means[0] * scale, means[1] * scale, _times(error, count * squared),
                     _times(error, squared), "bars")  # fmt: skip


def of_likes(mean: float, count: int) -> float:
    """Variance of one observation when all are alike, which proves no certainty: what looks like a
    fraction is taken as if one of two more had differed (Laplace's rule); all else has none."""
    share = (count * mean + 1) / (count + 2)
    return share * (1 - share) if 0 <= mean <= 1 else 0.0


def _times(form: Form, factor: float) -> Form:
    return form[0] * factor, form[1] * factor, form[2] * factor
