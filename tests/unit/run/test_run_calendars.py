"""Trading calendars: loaded once, with room on both sides, longer when time comes near the end."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from controller.run import calendars
from controller.run.calendars import ROOM, CalendarError, Calendars

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def test_always_open_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendars, "_sessions", lambda *_: pytest.fail("asked the library"))
    span = Calendars().span("24/7", NOW)
    assert span.covers(datetime(1999, 1, 1, tzinfo=UTC))
    assert span.covers(datetime(2999, 1, 1, tzinfo=UTC))


def test_sessions_are_those_of_the_exchange() -> None:
    calendar = Calendars().span("XNYS", NOW).calendar
    opened = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert calendar.session_start(opened + timedelta(hours=1)) == opened
    assert calendar.open_ms(opened - timedelta(days=3), opened) == 23_400_000, "Friday's session"
    assert not calendar.is_open(datetime(2026, 3, 8, 15, 0, tzinfo=UTC)), "a Sunday"


def test_a_lunch_break_does_not_end_a_session() -> None:
    calendar = Calendars().span("XHKG", NOW).calendar
    morning = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
    assert calendar.session_start(morning + timedelta(hours=5)) == morning


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("code", ["XNYS", "CMES", "XLON"])
def test_open_time_backwards_is_that_of_the_exchange(code: str) -> None:
    """Against the library's own counting of trading minutes; none of these has lunch breaks."""
    import exchange_calendars

    theirs = exchange_calendars.get_calendar(code, start="2025-06-01", end="2026-06-01")
    ours = Calendars().span(code, NOW).calendar
    random = Random(1)
    for _ in range(200):
        minute, count = random.choice(theirs.minutes[10_000:]), random.randrange(1, 5_000)
        found = ours.before_open_ms(minute.to_pydatetime(), count * 60_000)
        assert found == theirs.minute_offset(minute, -count).to_pydatetime()
        assert ours.open_ms(found, minute.to_pydatetime()) == count * 60_000


def test_a_window_of_open_time_reaches_back_into_the_session_before() -> None:
    calendar = Calendars().span("XNYS", NOW).calendar
    monday, half_an_hour = datetime(2026, 3, 2, 14, 30, tzinfo=UTC), 30 * 60_000
    friday = datetime(2026, 2, 27, 21, 0, tzinfo=UTC)
    ten_past = monday + timedelta(minutes=10)
    assert calendar.before_open_ms(ten_past, half_an_hour) == friday - timedelta(minutes=20)
    for closed in (monday, monday - timedelta(days=1)):
        assert calendar.before_open_ms(closed, half_an_hour) == friday - timedelta(minutes=30)
    assert calendar.before_open_ms(monday + timedelta(minutes=30), half_an_hour) == monday
    assert calendar.before_open_ms(closed, 0) == closed
    with pytest.raises(ValueError, match="does not reach"):
        calendar.before_open_ms(monday, 10**12)


def test_a_calendar_grows_when_time_comes_near_its_end_and_forgets_nothing() -> None:
    known = Calendars()
    first = known.span("XNYS", NOW)
    assert known.span("XNYS", NOW + timedelta(days=1)) is first
    later = first.until + timedelta(days=1)
    second = known.span("XNYS", later)
    assert second is not first
    assert second.covers(later)
    start = NOW - timedelta(days=300)
    assert second.calendar.open_ms(start, NOW) == first.calendar.open_ms(start, NOW)
    assert later + ROOM < second.until + ROOM


def test_an_exchange_that_publishes_a_year_at_a_time_is_used_as_far_as_it_goes() -> None:
    span = Calendars().span("XSHG", datetime(2025, 6, 2, tzinfo=UTC))
    assert span.covers(datetime(2026, 1, 5, tzinfo=UTC))


def test_time_beyond_what_is_published_is_an_error() -> None:
    with pytest.raises(CalendarError, match=r"ends on .*: upgrade exchange_calendars"):
        Calendars().span("XSHG", NOW + timedelta(days=700))
    with pytest.raises(CalendarError, match="calendar XSHG: "):
        Calendars().span("XSHG", NOW + timedelta(days=7000))


def test_an_unknown_calendar_is_an_error() -> None:
    with pytest.raises(CalendarError, match="calendar NOPE: "):
        Calendars().span("NOPE", NOW)
