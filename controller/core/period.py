"""Days, weeks and months as time zones have them: when they begin and end, and how much of one
has passed. The rules of the zone come with the period; nothing is looked up here."""

from datetime import UTC, date, datetime, timedelta, tzinfo

from controller.core.calendar import Calendar
from controller.policy.periods import Period

_DAY = timedelta(days=1)


def period_bounds(period: Period, at: datetime) -> tuple[datetime, datetime]:
    """Begin and end (UTC) of the period that `at` (aware) lies in: begin <= at < end. Periods
    follow each other without gap or overlap, whatever the clocks do at midnight."""
    first = _first_day(period, at.astimezone(period.zone).date())
    begin = _midnight(first, period.zone)
    if at < begin:
        # The clocks were put back over midnight: this is the day before for the second time.
        return _midnight(_first_day(period, first - _DAY), period.zone), begin
    end = _midnight(_next(period, first), period.zone)
    if at >= end:
        return end, _midnight(_next(period, _next(period, first)), period.zone)
    return begin, end


def elapsed(period: Period, calendar: Calendar, at: datetime) -> float | None:
    """The share of the period's open time that has passed, 0 to 1; None of a period in which the
    calendar is not open at all. Raises ValueError where the calendar does not reach."""
    begin, end = period_bounds(period, at)
    whole = calendar.open_ms(begin, end)
    return calendar.open_ms(begin, at) / whole if whole else None


def _first_day(period: Period, day: date) -> date:
    match period.unit:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)


def _next(period: Period, first: date) -> date:
    match period.unit:
        case "day":
            return first + _DAY
        case "week":
            return first + timedelta(weeks=1)
        case "month":
            return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """When a day begins. Of a midnight that comes twice, the second; of one that is skipped, when
    the clocks go on: either is the later reading of it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return max(local.astimezone(UTC), local.replace(fold=1).astimezone(UTC))
