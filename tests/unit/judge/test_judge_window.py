"""Windows: order, late parts, duplicates, what is left out, and the bound."""

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from controller.judge.aggregate import measure
from controller.judge.window import FIELDS, Observation, Value, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
ALL = T0 - timedelta(days=1)


def seen(
    at: int, version: str = "v3", id: str | None = None, key: str | None = None, **fields: Value
) -> Observation:
    return Observation(version, T0 + timedelta(seconds=at), fields, id, key)


def values(windows: Windows, field: str, version: str = "v3") -> list[float]:
    window = windows.window(version)
    assert window is not None
    return window.numbers[field].values


def test_observations_out_of_order_stand_in_the_order_of_their_event_times() -> None:
    windows = Windows()
    for at in (3, 1, 2, 5, 4, 1):
        windows.add(seen(at, x=at))
    assert values(windows, "x") == [1, 1, 2, 3, 4, 5]


def test_a_late_outcome_is_credited_to_when_and_by_whom_it_was_routed() -> None:
    windows = Windows()
    windows.add(seen(0, "v1", id="a", price=5))
    windows.add(seen(0, "v3", id="b", price=6))
    windows.add(seen(100, "v3", id="a", pnl=-7))
    assert values(windows, "pnl", "v1") == [-7]
    found = measure(windows.window("v1"), "sum(pnl)", ALL, T0 + timedelta(seconds=1))
    assert (found.value, found.as_of) == (-7, T0)
    assert measure(windows.window("v3"), "sum(pnl)", ALL, T0).status == "no_data"
    assert measure(windows.window("v1"), "count()", ALL, T0).value == 1


def test_the_same_observation_again_changes_nothing() -> None:
    windows = Windows()
    for _ in range(3):
        assert windows.add(seen(1, id="a", x=1, y=True, note="n")) == []
    window = windows.window("v3")
    assert window is not None
    assert (len(window), values(windows, "x"), values(windows, "y")) == (1, [1], [1])


def test_the_first_value_of_a_field_stays_and_the_contradiction_is_told() -> None:
    windows = Windows()
    windows.add(seen(1, id="a", x=1))
    assert windows.add(seen(1, id="a", x=2, y=3)) == ["x"]
    assert (values(windows, "x"), values(windows, "y")) == ([1], [3])


@pytest.mark.parametrize("nothing", [None, nan, inf, -inf, 10**400])
def test_a_value_that_is_no_number_is_left_out_of_its_field_and_counted(nothing: Value) -> None:
    windows = Windows()
    windows.add(seen(1, id="a", x=nothing, y=1))
    window = windows.window("v3")
    assert window is not None
    assert (window.ignored, len(window), values(windows, "y")) == ({"x": 1}, 1, [1])
    found = measure(window, "mean(x)", ALL, T0)
    assert found.status == "no_data"
    assert "1 values of x were null" in found.detail
    windows.add(seen(2, id="a", x=4))
    assert values(windows, "x") == [4]


def test_a_full_window_drops_the_oldest_and_says_so_where_they_are_missed() -> None:
    windows = Windows(limit=10)
    for at in (5, 3, 1, 2, 4, *range(6, 26)):
        windows.add(seen(at, id=f"i{at}", x=at))
    window = windows.window("v3")
    assert window is not None
    assert (len(window), window.dropped) == (10, 15)
    assert values(windows, "x") == list(range(16, 26))
    assert windows.first("i15") is None
    assert windows.first("i16") is not None
    now = T0 + timedelta(seconds=60)
    short = measure(window, "count(x)", T0 + timedelta(seconds=15), now)
    assert (short.value, short.detail) == (10, "")
    long = measure(window, "mean(x)", T0 + timedelta(seconds=14), now)
    assert long.detail == "incomplete: the 15 oldest observations were dropped"
    whole = measure(window, "count(x)", T0 + timedelta(seconds=14), now)
    assert (whole.status, whole.value) == ("error", None)
    assert whole.detail.endswith("held (15 dropped): give it a shorter window")


def test_a_loss_is_not_forgotten_when_its_observation_is_dropped() -> None:
    windows = Windows(limit=10)
    found = []
    for at in range(100):
        windows.add(seen(at, x=-50.0 if at == 3 else 0.01))
        window, now = windows.window("v3"), T0 + timedelta(seconds=at)
        found.append(
            measure(window, "max_drawdown(x)", T0 - timedelta(seconds=1), now, capital=1e3)
        )
    assert found[3].value == found[-1].value == pytest.approx(0.05, rel=1e-3)
    assert found[-1].samples == 100


def test_fields_are_bounded_and_those_left_out_are_counted() -> None:
    windows = Windows()
    for at in range(FIELDS + 5):
        windows.add(Observation("v3", T0 + timedelta(seconds=at), {f"f{at}": 1.0}))
    window = windows.window("v3")
    assert window is not None
    assert (len(window.numbers), window.crowded) == (FIELDS, 5)


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Windows(limit=0).add(seen(0))
