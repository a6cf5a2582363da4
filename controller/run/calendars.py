"""Trading calendars as plain data for the core: `exchange_calendars` is asked once per code.

The core cannot load anything, so the sessions handed to it reach far to both sides of now, and
are loaded anew when time comes near their end.
"""

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controller.core.calendar import AlwaysOpen, Calendar, Lapsed, Sessions

ALWAYS = "24/7"
ROOM = timedelta(days=400)
"""A calendar is relied on while it reaches at least this far to both sides of now."""
REACH = timedelta(days=800)
"""How far to both sides of now one load reaches."""
LONGEST_GAP = timedelta(days=30)
"""No market is closed for longer; a calendar that ends earlier than asked knows no more."""
ASK_AGAIN = timedelta(hours=1)
MESSAGE_KEPT = 200
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


class CalendarError(Exception):
    """A calendar is unknown or does not reach the time asked for."""


@dataclass(frozen=True, slots=True)
class Span:
    """A calendar and the times [since, until) at which it can be relied on."""

    calendar: Calendar
    since: datetime
    until: datetime

    def covers(self, now: datetime) -> bool:
        """Whether the calendar has room on both sides of `now`."""
        return self.since <= now < self.until


class Calendars:
    """The calendars in use, by their exchange_calendars code."""

    def __init__(self) -> None:
        self._spans: dict[str, Span] = {ALWAYS: Span(AlwaysOpen(), _BEGINNING, _END)}

    def span(self, code: str, now: datetime) -> Span:
        """The calendar `code` with room around `now`. Raises CalendarError."""
        known = self._spans.get(code)
        if known is None or not known.covers(now):
            known = self._spans[code] = _load(code, now, known)
        return known

    def span_or_lapsed(self, code: str, now: datetime) -> Span:
        """The same for a rollout that runs already: it goes on with a `Lapsed` calendar when the
        library knows no better, and the library is asked again in an hour."""
        try:
            return self.span(code, now)
        except CalendarError as error:
            return Span(Lapsed(code, str(error)), _BEGINNING, now + ASK_AGAIN)


def _load(code: str, now: datetime, known: Span | None) -> Span:
    """What was known stays known: a rollout may have begun before the room of today."""
    start, end = now - REACH, now + REACH
    if known is not None:
        start = min(start, known.since - ROOM)
        end = max(end, known.until + ROOM)
    sessions = _sessions(code, start, end)
    since, until = sessions[0][0] + ROOM, sessions[-1][1] - ROOM
    if sessions[-1][1] < end - LONGEST_GAP:
        until = sessions[-1][1]
    span = Span(Sessions(code, sessions), since, until)
    if not span.covers(now):
        raise CalendarError(
            f"calendar {code} ends on {sessions[-1][1]:%Y-%m-%d}: upgrade exchange_calendars"
        )
    return span


def _sessions(code: str, start: datetime, end: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Opening and closing of every session. A lunch break does not end a session: limits per
    session must not begin anew at noon."""
    import exchange_calendars
    from exchange_calendars.errors import CalendarError as LibraryError

    try:
        with warnings.catch_warnings():
            # The library's own use of pandas is for the library to mend.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                calendar = exchange_calendars.get_calendar(
                    code, start=f"{start:%Y-%m-%d}", end=f"{end:%Y-%m-%d}"
                )
            except ValueError:
                # Some exchanges publish their holidays a year at a time: take what there is.
                calendar = exchange_calendars.get_calendar(code, start=f"{start:%Y-%m-%d}")
    except (LibraryError, ValueError) as error:
        words = str(error).splitlines()[0][:MESSAGE_KEPT]
        raise CalendarError(f"calendar {code}: {words}") from error
    return tuple(
        (opened.to_pydatetime().astimezone(UTC), closed.to_pydatetime().astimezone(UTC))
        for opened, closed in zip(calendar.opens.array, calendar.closes.array, strict=True)
    )
