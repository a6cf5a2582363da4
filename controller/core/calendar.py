"""Open time: the durations of policy count only while the market (or the desk) is open."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Calendar(Protocol):
    """When time counts. All moments are aware and UTC."""

    name: str

    def open_ms(self, start: datetime, end: datetime) -> int:
        """Open milliseconds in [start, end); 0 when end <= start."""
        ...

    def is_open(self, at: datetime) -> bool:
        """Whether time counts at `at`."""
        ...

    def session_start(self, at: datetime) -> datetime:
        """Start of the session that is open at `at`, or of the last one before."""
        ...

    def after_open_ms(self, start: datetime, open_ms: int) -> datetime | None:
        """The moment when `open_ms` of open time have passed since `start`; None past the
        calendar's end."""
        ...

    def before_open_ms(self, end: datetime, open_ms: int) -> datetime:
        """The latest moment from which on there are `open_ms` of open time up to `end`."""
        ...


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds."""
    return duration // MILLISECOND


class AlwaysOpen:
    """24 hours a day, every day; a session is a UTC day."""

    name = "24/7"

    def open_ms(self, start: datetime, end: datetime) -> int:
        """See `Calendar.open_ms`."""
        return max(0, (end - start) // MILLISECOND)

    def is_open(self, at: datetime) -> bool:
        """See `Calendar.is_open`."""
        del at
        return True

    def session_start(self, at: datetime) -> datetime:
        """See `Calendar.session_start`."""
        return at.replace(hour=0, minute=0, second=0, microsecond=0)

    def after_open_ms(self, start: datetime, open_ms: int) -> datetime | None:
        """See `Calendar.after_open_ms`."""
        return start + open_ms * MILLISECOND

    def before_open_ms(self, end: datetime, open_ms: int) -> datetime:
        """See `Calendar.before_open_ms`."""
        return end - open_ms * MILLISECOND


ALWAYS = AlwaysOpen()


class Lapsed(AlwaysOpen):
    """A calendar that nobody knows any more. Never open, so that nothing advances; and all time
    counts, so that deadlines, holds and approvals run out and the work goes back."""

    def __init__(self, code: str, why: str) -> None:
        """`why`: what is wrong with it, and what to do."""
        self.name = f"{code} (not known)"
        self.why = why

    def is_open(self, at: datetime) -> bool:
        """See `Calendar.is_open`."""
        del at
        return False


class Sessions:
    """Open during the given sessions: sorted, disjoint pairs of (open, close)."""

    def __init__(self, name: str, sessions: tuple[tuple[datetime, datetime], ...]) -> None:
        """Raises ValueError when the sessions are empty, overlap or are not sorted."""
        if not sessions:
            raise ValueError(f"calendar {name} has no sessions")
        flat = [moment for session in sessions for moment in session]
        if any(a > b for a, b in pairwise(flat)):
            raise ValueError(f"calendar {name}: sessions overlap or are not sorted")
        self.name = name
        self._opens = [(start - EPOCH) // MILLISECOND for start, _ in sessions]
        self._closes = [(end - EPOCH) // MILLISECOND for _, end in sessions]
        self._before = [0]
        for start, end in zip(self._opens, self._closes, strict=True):
            self._before.append(self._before[-1] + end - start)

    def _counted(self, ms: int) -> int:
        """Open milliseconds from the first session up to `ms` since the epoch."""
        index = bisect_right(self._opens, ms)
        if index == 0:
            return 0
        return self._before[index - 1] + min(ms, self._closes[index - 1]) - self._opens[index - 1]

    def open_ms(self, start: datetime, end: datetime) -> int:
        """See `Calendar.open_ms`. Raises ValueError outside the sessions known."""
        first, last = (start - EPOCH) // MILLISECOND, (end - EPOCH) // MILLISECOND
        if last <= first:
            return 0
        self._inside(first, start)
        self._inside(last, end)
        return self._counted(last) - self._counted(first)

    def is_open(self, at: datetime) -> bool:
        """See `Calendar.is_open`. Raises ValueError outside the sessions known."""
        ms = (at - EPOCH) // MILLISECOND
        self._inside(ms, at)
        index = bisect_right(self._opens, ms)
        return index > 0 and ms < self._closes[index - 1]

    def session_start(self, at: datetime) -> datetime:
        """See `Calendar.session_start`. Raises ValueError outside the sessions known."""
        ms = (at - EPOCH) // MILLISECOND
        self._inside(ms, at)
        index = bisect_right(self._opens, ms)
        return EPOCH + self._opens[max(index - 1, 0)] * MILLISECOND

    def after_open_ms(self, start: datetime, open_ms: int) -> datetime | None:
        """See `Calendar.after_open_ms`."""
        target = self._counted((start - EPOCH) // MILLISECOND) + open_ms
        index = bisect_right(self._before, target) - 1
        if open_ms == 0:
            return start
        if target == self._before[index]:
            index -= 1
        if index >= len(self._opens):
            return None
        return EPOCH + (self._opens[index] + target - self._before[index]) * MILLISECOND

    def before_open_ms(self, end: datetime, open_ms: int) -> datetime:
        """See `Calendar.before_open_ms`. Raises ValueError outside the sessions known."""
        ms = (end - EPOCH) // MILLISECOND
        self._inside(ms, end)
        if open_ms == 0:
            return end
        target = self._counted(ms) - open_ms
        if target < 0:
            raise ValueError(f"calendar {self.name} does not reach that far before {end}")
        index = bisect_right(self._before, target) - 1
        return EPOCH + (self._opens[index] + target - self._before[index]) * MILLISECOND

    def _inside(self, ms: int, at: datetime) -> None:
        """Outside the known sessions nobody can say whether the market is open."""
        if not self._opens[0] <= ms <= self._closes[-1]:
            raise ValueError(f"calendar {self.name} does not reach {at.isoformat()}")
