"""One field of one version: its values in the order of their event times.

The column is cut into blocks of a fixed number of values, counted from the first value that there
ever was. What a block comes to is worked out once, so that a look at many values costs as much as
a look at the two ends of its window and a few numbers a block. How it is cut depends on what came
in, never on who looked when.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.judge.summary import Joined, Part, Values, joined

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
BLOCK = 128
"""Values of one block."""
GROUP = 16
"""Blocks of one group, and groups of one larger group."""
LEVELS = 3
"""Blocks, groups, groups of groups: of each is remembered what it comes to."""
ORDER_BITS = 40
_LAST = (1 << ORDER_BITS) - 1


class Column:
    """Values of one field, sorted by place: event time, then arrival. (`lo`, `hi`, `breaks`) name
    a slice for good: values appended later leave it as it is, and whatever else changes counts as
    a break. `first` is how many values have left at the front."""

    __slots__ = ("_from", "_known", "breaks", "first", "keys", "memo", "places", "values")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.values: list[float] = []
        self.keys: list[str | None] = []
        self.breaks = 0
        self.first = 0
        self.memo: dict[Any, Any] = {}
        """What was computed of a slice, by what was asked: the judge's own."""
        self._known: tuple[list[Part | None], ...] = tuple([] for _ in range(LEVELS))
        self._from = [0] * LEVELS
        """Number of the first part known of each level, counted from the first value ever."""

    def between(self, since: datetime, now: datetime, newest: int | None = None) -> tuple[int, int]:
        """Slice of what was seen in (since, now], or of the `newest` so many of that."""
        lo, hi = self.within(place_after(since), place_after(now))
        return (lo if newest is None else max(lo, hi - newest)), hi

    def within(self, after: int, until: int) -> tuple[int, int]:
        """Slice of the places in (after, until]."""
        lo = bisect_right(self.places, after)
        return lo, bisect_right(self.places, until, lo)

    def append(self, place: int, value: float, key: str | None) -> None:
        """Put in a value that is newer than all others."""
        self.places.append(place)
        self.values.append(value)
        self.keys.append(key)

    def insert(self, place: int, value: float, key: str | None) -> None:
        """Put a value in its place."""
        if not self.places or place > self.places[-1]:
            self.append(place, value, key)
            return
        index = bisect_right(self.places, place)
        self.places.insert(index, place)
        self.values.insert(index, value)
        self.keys.insert(index, key)
        self.breaks += 1
        self._forget_from(index)

    def parts(self, lo: int, hi: int) -> list[Part]:
        """The values of [lo, hi): whole groups, whole blocks, and what is left at both ends."""
        begin, end = lo + self.first, hi + self.first
        first, after = -(-begin // BLOCK), end // BLOCK
        if after <= first:
            return [self._values(begin, end)] if lo < hi else []
        found = self._cover(0, first, after)
        if begin < first * BLOCK:
            found.insert(0, self._values(begin, first * BLOCK))
        if after * BLOCK < end:
            found.append(self._values(after * BLOCK, end))
        return found

    def shed(self, place: int) -> Part | None:
        """Let go of everything up to `place`: what it was."""
        count = bisect_right(self.places, place)
        if not count:
            return None
        gone = joined(self.parts(0, count))
        del self.places[:count], self.values[:count], self.keys[:count]
        self.first += count
        self._forget_before()
        self.breaks += 1
        self.memo.clear()
        return gone

    def _cover(self, level: int, first: int, after: int) -> list[Part]:
        """Blocks or groups [first, after) of a level, as few parts as may be."""
        begin, end = -(-first // GROUP), after // GROUP
        if level == LEVELS - 1 or end <= begin:
            return [self._part(level, number) for number in range(first, after)]
        return [
            *[self._part(level, number) for number in range(first, begin * GROUP)],
            *self._cover(level + 1, begin, end),
            *[self._part(level, number) for number in range(end * GROUP, after)],
        ]

    def _part(self, level: int, number: int) -> Part:
        known, index = self._known[level], number - self._from[level]
        if index >= len(known):
            known.extend([None] * (index + 1 - len(known)))
        found = known[index]
        if found is None:
            if level == 0:
                found = self._values(number * BLOCK, (number + 1) * BLOCK)
            else:
                first = number * GROUP
                lower = [self._part(level - 1, each) for each in range(first, first + GROUP)]
                found = Joined(lower)
            known[index] = found
        return found

    def _values(self, begin: int, end: int) -> Values:
        lo, hi = begin - self.first, end - self.first
        return Values(self.values[lo:hi], self.places[hi - 1])

    def _forget_from(self, index: int) -> None:
        """What values from `index` on come to is not remembered any more."""
        number = (self.first + index) // BLOCK
        for level, known in enumerate(self._known):
            del known[max(0, number - self._from[level]) :]
            number //= GROUP

    def _forget_before(self) -> None:
        """Nor what values before `first` came to."""
        number = -(-self.first // BLOCK)
        for level, known in enumerate(self._known):
            del known[: number - self._from[level]]
            self._from[level] = number
            number = -(-number // GROUP)


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (at - EPOCH) // MICROSECOND


def moment(place: int) -> datetime:
    """Event time of a place."""
    return EPOCH + timedelta(microseconds=place >> ORDER_BITS)


def place_after(at: datetime) -> int:
    """The last place that an observation of `at` can have."""
    return (micros(at) << ORDER_BITS) | _LAST


def stamp(place: int) -> int:
    """Event time of a place in microseconds since 1970."""
    return place >> ORDER_BITS


def place_until(ms: int) -> int:
    """The last place that an observation can have at so many milliseconds since 1970."""
    return (1000 * ms << ORDER_BITS) | _LAST


def arrival(place: int) -> int:
    """When the observation of a place came in, in the order of all."""
    return place & _LAST
