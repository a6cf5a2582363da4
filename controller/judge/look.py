"""What a formula looks at: the observations of a window in (since, now], field by field."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import fsum
from typing import NamedTuple

from controller.core.calendar import ALWAYS, EPOCH, MILLISECOND, Calendar
from controller.judge.bars import Bars, bars_of
from controller.judge.undefined import Undefined
from controller.judge.window import Column, Window, place_until, stamp
from controller.policy.aggregation import Aggregation


class Found(NamedTuple):
    """What a formula gives: a value, of how many observations, and the place of the newest one
    (None for what does not grow old). `mean` and `variance` are of one observation."""

    value: float
    samples: int
    newest: int | None
    mean: float | None = None
    variance: float | None = None


class Rows(NamedTuple):
    """Observations that have all of some fields, in order of time."""

    places: list[int]
    columns: tuple[list[float], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a window of a version, and at the other version's. `bar` is there for formulas
    of bars. Raises `Undefined` where there is nothing to see."""

    aggregation: Aggregation
    window: Window
    other: Window | None
    since: datetime
    now: datetime
    capital: float | None = None
    bar: timedelta | None = None
    calendar: Calendar = ALWAYS

    def columns(self, field: str | None, window: Window | None = None) -> list[Column]:
        """Numbers and text of a field, which can be counted alike; of None, every observation."""
        seen = window or self.window
        if field is None:
            return [seen.all]
        found = seen.numbers.get(field), seen.texts.get(field)
        return [column for column in found if column is not None]

    def places(self, field: str | None) -> list[int]:
        """Places of the observations that have the field."""
        found = []
        for column in self.columns(field):
            lo, hi = column.between(self.since, self.now)
            found.append(column.places[lo:hi])
        return sorted(found[0] + found[1]) if len(found) > 1 else found[0] if found else []

    def rows(self) -> Rows:
        """Observations that have all fields of the aggregation, as numbers."""
        found: list[tuple[list[int], list[float]]] = []
        for field in self.aggregation.fields:
            column = self.window.numbers.get(field)
            if column is None:
                raise Undefined(f"no value of {field} yet")
            lo, hi = column.between(self.since, self.now)
            found.append((column.places[lo:hi], column.values[lo:hi]))
        first = found[0]
        if all(places == first[0] for places, _ in found[1:]):
            rows = Rows(first[0], tuple(values for _, values in found))
        else:
            rows = _aligned(found)
        if not rows.places:
            raise Undefined("nothing in the window")
        return rows

    def bars(self) -> Bars:
        """The bars of the metric. Raises ValueError where the calendar is not known."""
        if self.bar is None:
            raise Undefined("no bar: give the metric one, such as `bar: 1d`")
        return bars_of(self.calendar, self.bar)

    def whole_bars(self, places: list[int]) -> Iterator[tuple[int, int, int]]:
        """Bars that have some of `places`, are over, and are not cut by the window: the number of
        each, and the slice of `places` that is in it."""
        bars, first, last = self.bars(), self.milliseconds(self.since), self.milliseconds(self.now)
        lo = 0
        while lo < len(places):
            index = bars.index(milliseconds_of(places[lo]))
            end = bars.end(index)
            if end > last:
                return
            hi = bisect_right(places, place_until(end), lo)
            if bars.start(index) >= first:
                yield index, lo, hi
            lo = hi

    def by_bar(self) -> tuple[list[float], int]:
        """The values of whole bars, from the first to the last with an observation, and the
        newest place. A bar's value is the sum of its values, or the last one; a bar without any
        adds nothing, or stays where it was."""
        places, (values,) = self.rows()
        taken = self.aggregation.takes_last
        levels: list[float] = []
        newest, following = places[0], None
        for index, lo, hi in self.whole_bars(places):
            if following is not None:
                levels += [levels[-1] if taken else 0.0] * (index - following)
            levels.append(values[hi - 1] if taken else fsum(values[lo:hi]))
            newest, following = places[hi - 1], index + 1
        if not levels:
            raise Undefined("no whole bar in the window yet")
        return levels, newest

    @staticmethod
    def milliseconds(at: datetime) -> int:
        """Since 1970."""
        return (at - EPOCH) // MILLISECOND


def milliseconds_of(place: int) -> int:
    """Since 1970, rounded up: a bar is closed at its end, to the microsecond."""
    return -(-stamp(place) // 1000)


def _aligned(found: list[tuple[list[int], list[float]]]) -> Rows:
    common = set(found[0][0]).intersection(*(places for places, _ in found[1:]))
    columns = tuple(
        [value for place, value in zip(places, values, strict=True) if place in common]
        for places, values in found
    )
    return Rows([place for place in found[0][0] if place in common], columns)
