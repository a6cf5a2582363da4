"""Totals of a period that has begun: 0, as old as what was before."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.judge.aggregate import measure
from controller.judge.window import Observation, Windows

MIDNIGHT = datetime(2026, 3, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def windows_of(*minutes: int, limit: int = 1000) -> Windows:
    """One dollar at each of so many minutes before or after midnight, and a signal at all."""
    windows = Windows(limit)
    for minute in range(min(minutes), max(minutes) + 30):
        fields = {"cost": 1.0} if minute in minutes else {"signal": 1}
        windows.add(Observation("v2", MIDNIGHT + minute * MINUTE, fields))
    return windows


@pytest.mark.parametrize("limit", [1000, 5])
@pytest.mark.parametrize("expression", ["sum(cost)", "count(cost)"])
def test_a_total_of_nothing_is_0_as_of_the_newest_value_before(expression: str, limit: int) -> None:
    window = windows_of(-90, -40, limit=limit).window("v2")
    now = MIDNIGHT + 30 * MINUTE

    found = measure(window, expression, MIDNIGHT, now, resets=True)

    assert (found.value, found.samples, found.status) == (0.0, 0, "ok")
    assert found.as_of is not None
    slack = timedelta(0) if limit == 1000 else 20 * MINUTE
    assert MIDNIGHT - 40 * MINUTE <= found.as_of <= MIDNIGHT - 40 * MINUTE + slack


def test_elsewhere_a_sum_of_nothing_is_no_data_and_so_is_a_mean() -> None:
    window, now = windows_of(-90, -40).window("v2"), MIDNIGHT + 30 * MINUTE

    assert measure(window, "sum(cost)", MIDNIGHT, now).status == "no_data"
    assert measure(window, "mean(cost)", MIDNIGHT, now, resets=True).status == "no_data"


def test_what_was_never_told_is_no_0() -> None:
    windows = Windows()
    windows.add(Observation("v2", MIDNIGHT - MINUTE, {"signal": 1}))

    found = measure(windows.window("v2"), "sum(cost)", MIDNIGHT, MIDNIGHT + MINUTE, resets=True)

    assert found.status == "no_data"
    assert measure(None, "sum(cost)", MIDNIGHT, MIDNIGHT, resets=True).status == "no_data"


@given(st.lists(st.integers(-50, 50), min_size=1, unique=True))
def test_a_total_is_of_what_came_since_and_never_of_before(minutes: list[int]) -> None:
    window, now = windows_of(*minutes).window("v2"), MIDNIGHT + 50 * MINUTE
    since = [minute for minute in minutes if 0 < minute <= 50]

    found = measure(window, "sum(cost)", MIDNIGHT, now, resets=True)

    if since or any(minute <= 0 for minute in minutes):
        assert found.value == len(since)
        assert found.as_of == MIDNIGHT + max(since or minutes) * MINUTE
