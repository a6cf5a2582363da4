"""What a formula looks at: the observations of a window in (since, now], field by field."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import fsum
from typing import NamedTuple

from controller.core.calendar import ALWAYS, EPOCH, MILLISECOND, Calendar
from controller.judge.bars import Bars, bars_of
from controller.judge.column import Column, place_after, place_until, stamp
from controller.judge.folded import OBSERVATIONS, Key
from controller.judge.undefined import Undefined
from controller.judge.window import Window
from controller.policy.aggregation import Aggregation
from controller.policy.formulas import AGGREGATIONS


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
    """One look at a window of a version, and at the other version's: at the places after `after`,
    those of the times after `since`. `newest` is kept for what is about both versions. `bar` is
    there for formulas of bars. Raises `Undefined` where there is nothing to see."""

    aggregation: Aggregation
    window: Window
    other: Window | None
    since: datetime
    now: datetime
    after: int
    newest: int | None = None
    capital: float | None = None
    bar: timedelta | None = None
    calendar: Calendar = ALWAYS

    def slice(self, column: Column) -> tuple[int, int]:
        """Which values of a column are looked at."""
        return column.within(self.after, place_after(self.now))

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
            lo, hi = self.slice(column)
            found.append(column.places[lo:hi])
        return sorted(found[0] + found[1]) if len(found) > 1 else found[0] if found else []

    def folded(self, fields: Sequence[str]) -> int:
        """How many values of some fields (of none: observations) it should see and are folded."""
        until = place_after(self.now)
        windows = [self.window] if self.other is None else [self.window, self.other]
        count = 0
        for window in windows:
            if self.after < window.folded.until:
                lo, hi = window.folded.between(self.after, until)
                slices = window.folded.slices[lo:hi]
                count += sum(each.count(key) for each in slices for key in _keys(fields))
        return count

    def ends(self, field: str | None) -> tuple[int, int] | None:
        """Places of the first and the newest observation with the field by now, folded or held,
        in the window or not."""
        until, found = place_after(self.now), []
        for key in _keys([] if field is None else [field]):
            parts = [(each.first, each.part(key)) for each in self.window.folded.slices]
            found += [(first, part.newest) for first, part in parts if part is not None]
        for column in self.columns(field):
            _, hi = column.within(-1, until)
            found += [(column.places[0], column.places[hi - 1])] if hi else []
        return (min(a for a, _ in found), max(b for _, b in found)) if found else None

    def rows(self) -> Rows:
        """Observations that have all fields of the aggregation, as numbers."""
        found: list[tuple[list[int], list[float]]] = []
        for field in self.aggregation.fields:
            column = self.window.numbers.get(field)
            if column is None:
                raise Undefined(f"no value of {field} yet")
            lo, hi = self.slice(column)
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


def look_at(
    aggregation: Aggregation,
    window: Window,
    other: Window | None,
    since: datetime,
    now: datetime,
    newest: int | None = None,
    capital: float | None = None,
    bar: timedelta | None = None,
    calendar: Calendar = ALWAYS,
) -> Look:
    """A look at (since, now], or at the `newest` so many of that which carry the first field; of
    both versions, at the newest so many pairs, which the formula picks."""
    crossed = AGGREGATIONS[aggregation.name].crossed
    look = Look(
        aggregation, window, other if crossed else None, since, now, place_after(since),
        newest if crossed else None, capital, bar, calendar,
    )  # fmt: skip
    if newest is None or crossed:
        return look
    places = look.places(aggregation.field)
    if len(places) < newest:
        return look
    before = places[-newest - 1] if len(places) > newest else window.folded.until
    if before >= 0:
        # The bar of the one before is cut.
        look = replace(look, since=EPOCH + milliseconds_of(before) * MILLISECOND)
    return replace(look, after=places[-newest] - 1)


def _keys(fields: Sequence[str]) -> list[Key]:
    """Under which keys slices have fields; of none, the observations."""
    return [key for name in fields for key in (name, (name,))] or [OBSERVATIONS]


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
