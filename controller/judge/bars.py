"""Bars of a trading calendar: which bar a moment belongs to, and how many there are in a year.

A bar is open at its start and closed at its end, like every window: what is seen at 16:00 belongs
to the bar that ends then. On an exchange's calendar bars begin at each opening, the last one of a
session ends with it, and what is seen while the market is closed belongs to the first bar of the
session to come. A bar of `1d` is the whole session. Around the clock, bars are cut on UTC.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

from controller.core.calendar import (
    EPOCH,
    MILLISECOND,
    AlwaysOpen,
    Calendar,
    Lapsed,
    Sessions,
    milliseconds,
)

DAY = timedelta(days=1)
YEAR_DAYS = 365
COUNTED_DAYS = 364
"""Sessions of 52 whole weeks are counted, so that it does not matter on which day one looks."""


class Bars(Protocol):
    """Bars of one length, numbered in order of time. Moments are milliseconds since 1970."""

    def index(self, at: int) -> int:
        """Number of the bar that `at` belongs to."""
        ...

    def start(self, index: int) -> int:
        """When a bar begins; of the first in a session, the opening."""
        ...

    def end(self, index: int) -> int:
        """When a bar ends: it holds what is at that moment."""
        ...

    def per_year(self, at: int) -> float:
        """Bars in a year of 365 days, as the calendar has them in the year before `at`."""
        ...


def complete(bars: Bars, now: datetime) -> int:
    """Number of the newest bar that is over at `now`."""
    at = (now - EPOCH) // MILLISECOND
    newest = bars.index(at)
    return newest if bars.end(newest) <= at else newest - 1


def start_of_last(bars: Bars, count: int, now: datetime) -> datetime:
    """After when the newest `count` bars that are over at `now` are seen: the end of the one
    before. Raises ValueError where the calendar does not reach."""
    return EPOCH + bars.end(complete(bars, now) - count) * MILLISECOND


@lru_cache(maxsize=64)
def bars_of(calendar: Calendar, length: timedelta) -> Bars:
    """The bars of `length`, at most a day, on a calendar. Raises ValueError for a calendar that
    is not known."""
    if not timedelta(0) < length <= DAY:
        raise ValueError(f"a bar is at most a day long, not {length}")
    match calendar:
        case Lapsed():
            raise ValueError(f"no bars: calendar {calendar.name}: {calendar.why}")
        case Sessions():
            return _SessionBars(calendar, None if length == DAY else milliseconds(length))
        case AlwaysOpen():
            return _EvenBars(milliseconds(length))
        case _:
            raise ValueError(f"no bars on calendar {calendar.name}")


class _EvenBars:
    """Around the clock, multiples of their length since 1970 UTC."""

    def __init__(self, length: int) -> None:
        self._length = length

    def index(self, at: int) -> int:
        return -(-at // self._length) - 1

    def start(self, index: int) -> int:
        return index * self._length

    def end(self, index: int) -> int:
        return (index + 1) * self._length

    def per_year(self, at: int) -> float:
        del at
        return YEAR_DAYS * 86_400_000 / self._length


class _SessionBars:
    """Within sessions. Raises ValueError outside those that are known."""

    def __init__(self, calendar: Sessions, length: int | None) -> None:
        """`length` None: a bar is a session."""
        self._name = calendar.name
        self._opens: Sequence[int] = calendar.opens
        self._closes: Sequence[int] = calendar.closes
        self._length = length
        counts = (
            1 if length is None else max(1, -(-(close - start) // length))
            for start, close in zip(self._opens, self._closes, strict=True)
        )
        self._before = [0, *accumulate(counts)]

    def index(self, at: int) -> int:
        session = bisect_left(self._closes, at)
        if session == len(self._closes):
            raise ValueError(f"calendar {self._name} does not reach so far")
        if self._length is None or at <= self._opens[session]:
            return self._before[session]
        return self._before[session] - (-(at - self._opens[session]) // self._length) - 1

    def start(self, index: int) -> int:
        session = self._session(index)
        return self._opens[session] + (index - self._before[session]) * (self._length or 0)

    def end(self, index: int) -> int:
        session = self._session(index)
        close = self._closes[session]
        if self._length is None:
            return close
        inside = index - self._before[session] + 1
        return min(close, self._opens[session] + inside * self._length)

    def per_year(self, at: int) -> float:
        last = bisect_right(self._closes, at)
        first = bisect_right(self._closes, at - COUNTED_DAYS * 86_400_000)
        if first == 0:
            raise ValueError(f"calendar {self._name} does not reach a year back")
        return (self._before[last] - self._before[first]) * YEAR_DAYS / COUNTED_DAYS

    def _session(self, index: int) -> int:
        if not 0 <= index < self._before[-1]:
            raise ValueError(f"calendar {self._name} does not reach so far")
        return bisect_right(self._before, index) - 1
