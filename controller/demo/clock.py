"""The market's own time, many days to the second, never past a bar that was not yet traded."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

CLOSE = time_of_day(21, tzinfo=UTC)
"""When a day's bar is known. New York closes at 20:00 or 21:00 UTC."""


def close_of(day: date) -> datetime:
    """The moment at which the bar of `day` is complete."""
    return datetime.combine(day, CLOSE)


class MarketClock:
    """Runs `pace` market days a second from `start` on, and waits at each limit until the next
    one is set: a slow machine makes the market slow, it does not make the desk miss bars."""

    def __init__(
        self, start: datetime, pace: float, read: Callable[[], float] = time.monotonic
    ) -> None:
        self._pace = pace
        self._read = read
        self._leg = (start, read(), start)

    def __call__(self) -> datetime:
        """Now, in the market. Safe from any thread: one leg is replaced by the next as a whole."""
        begun, mark, limit = self._leg
        return min(limit, begun + timedelta(days=(self._read() - mark) * self._pace))

    def run_to(self, limit: datetime) -> float:
        """Let time run up to `limit`; returns how many seconds of the real clock that takes."""
        now = self()
        self._leg = (now, self._read(), max(now, limit))
        return max(0.0, (limit - now) / timedelta(days=1) / self._pace)
