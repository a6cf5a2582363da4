"""Days, weeks and months begin at midnight where their zone says so, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.calendar import ALWAYS, Sessions
from controller.core.period import elapsed, period_bounds
from controller.policy.periods import Period, parse_period

MINUTE = timedelta(minutes=1)
EARLIEST = datetime(1988, 1, 1, tzinfo=UTC)
ZONES = (
    "UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Beirut",
    "America/Havana", "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "America/St_Johns",
    "Asia/Kathmandu", "America/Nuuk", "Pacific/Kiritimati",
)  # fmt: skip
periods = st.builds(
    lambda unit, zone: parse_period(f"{unit} in {zone}"),
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from(ZONES),
)
moments = st.integers(0, 48 * 366 * 24 * 60).map(lambda n: EARLIEST + n * MINUTE)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(periods, moments)
def test_a_moment_lies_in_its_period_and_so_does_its_begin(period: Period, now: datetime) -> None:
    begin, end = period_bounds(period, now)

    assert begin <= now < end
    assert period_bounds(period, begin) == (begin, end)
    assert period_bounds(period, end - timedelta(microseconds=1)) == (begin, end)


@given(periods, moments)
def test_periods_follow_each_other_without_gap_or_overlap(period: Period, now: datetime) -> None:
    begin, end = period_bounds(period, now)

    assert period_bounds(period, end)[0] == end
    assert period_bounds(period, begin - timedelta(microseconds=1))[1] == begin


@given(periods, moments)
def test_a_period_begins_when_its_first_day_has_come_for_good(
    period: Period, now: datetime
) -> None:
    begin, _ = period_bounds(period, now)
    day = begin.astimezone(period.zone).date()

    assert period.unit != "week" or day.weekday() == 0 or period.zone == ZoneInfo("Pacific/Apia")
    assert period.unit != "month" or day.day == 1
    after = [(begin + n * MINUTE).astimezone(period.zone).date() for n in range(180)]
    before = [(begin - n * MINUTE).astimezone(period.zone).date() for n in range(1, 180)]
    assert all(each == day for each in after)
    assert before[0] < day and all(each <= day for each in before)


@pytest.mark.parametrize(
    ("period", "now", "begin", "hours"),
    [
        ("day in America/New_York", "2026-03-08T12:00", "2026-03-08T05:00", 23),
        ("day in America/New_York", "2026-11-01T12:00", "2026-11-01T04:00", 25),
        ("day in America/New_York", "2026-03-09T03:59", "2026-03-08T05:00", 23),
        ("week in America/New_York", "2026-03-08T12:00", "2026-03-02T05:00", 167),
        ("month in Europe/London", "2026-03-31T23:30", "2026-03-31T23:00", 720),
        ("month", "2028-02-29T23:59", "2028-02-01T00:00", 29 * 24),
        ("month", "2026-12-31T23:59", "2026-12-01T00:00", 31 * 24),
        # In Havana clocks go on from 00:00 to 01:00, and back from 01:00 to 00:00.
        ("day in America/Havana", "2026-03-08T12:00", "2026-03-08T05:00", 23),
        ("day in America/Havana", "2026-11-01T12:00", "2026-11-01T05:00", 24),
        ("day in America/Havana", "2026-11-01T04:30", "2026-10-31T04:00", 25),
        # In Apia there was no 30 December 2011.
        ("day in Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00", 24),
        ("day in Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", 24),
    ],
)
def test_days_on_which_clocks_change(period: str, now: str, begin: str, hours: int) -> None:
    found = period_bounds(parse_period(period), at(now))

    assert found == (at(begin), at(begin) + timedelta(hours=hours))


def test_what_has_passed_is_open_time() -> None:
    sessions = Sessions("X", tuple(
        (at(f"2026-03-{day:02}T14:30"), at(f"2026-03-{day:02}T21:00")) for day in (2, 3, 5)
    ))  # fmt: skip
    day = parse_period("day")

    assert elapsed(day, sessions, at("2026-03-03T10:00")) == 0
    assert elapsed(day, sessions, at("2026-03-03T17:45")) == 0.5
    assert elapsed(day, sessions, at("2026-03-03T23:00")) == 1
    assert elapsed(day, sessions, at("2026-03-04T12:00")) is None
    assert elapsed(day, ALWAYS, at("2026-03-04T12:00")) == 0.5


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "localtime", "../etc/passwd", "America", "posix/UTC", "utc+1", ""]
)
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone"):
        parse_period(f"day in {zone}" if zone else "day in /")
