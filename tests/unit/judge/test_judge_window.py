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


def test_a_full_window_folds_the_oldest_and_a_look_past_what_is_held_goes_on() -> None:
    windows = Windows(limit=10)
    for at in (5, 3, 1, 2, 4, *range(6, 26)):
        windows.add(seen(at, id=f"i{at}", x=at))
    window = windows.window("v3")
    assert window is not None
    assert (len(window), len(window.folded)) == (10, 15)
    assert values(windows, "x") == list(range(16, 26))
    now = T0 + timedelta(seconds=60)
    short = measure(window, "count(x)", T0 + timedelta(seconds=15), now)
    assert (short.value, short.detail) == (10, "")
    for expression, value in (("mean(x)", 15.0), ("count(x)", 21), ("sum(x)", 315), ("min(x)", 5)):
        found = measure(window, expression, T0 + timedelta(seconds=4), now)
        assert (found.value, found.samples, found.detail) == (value, 21, "")


def test_a_window_that_begins_within_a_slice_says_how_much_longer_it_is() -> None:
    windows = Windows(limit=1000)
    for at in range(1002):
        windows.add(seen(at, x=1))
    window, now = windows.window("v3"), T0 + timedelta(seconds=1001)
    assert window is not None
    assert len(window.folded) == 11 - 1
    found = measure(window, "sum(x)", T0 + timedelta(seconds=4), now)
    assert (found.value, found.samples) == (1002, 1002)
    assert found.detail == "approximate: its window begins 4s early"
    assert measure(window, "sum(x)", T0 - timedelta(seconds=1), now).detail == ""
    newest = measure(window, "sum(x)", ALL, now, newest=995)
    assert (newest.value, newest.detail) == (1002, "approximate: of the newest 1,002")


def test_a_pause_ends_a_slice_so_that_a_session_begins_with_one() -> None:
    windows = Windows(limit=1000)
    for at in (*range(4), *range(50_000, 51_100)):
        windows.add(seen(at, x=1))
    window, now = windows.window("v3"), T0 + timedelta(seconds=51_100)
    session = measure(window, "count()", T0 + timedelta(seconds=40_000), now)
    assert (session.value, session.detail) == (1100, "")


def test_what_comes_too_late_to_be_held_counts_all_the_same() -> None:
    windows = Windows(limit=10)
    for at in range(100, 130):
        windows.add(seen(at, id=f"i{at}", x=1))
    windows.add(seen(110, x=-5))
    windows.add(seen(50, x=-7, note="late"))
    window, now = windows.window("v3"), T0 + timedelta(seconds=130)
    assert window is not None
    assert (len(window), window.folded.late) == (10, 5)
    assert measure(window, "sum(x)", ALL, now).value == 18
    assert measure(window, "sum(x)", T0 + timedelta(seconds=60), now).value == 25
    assert measure(window, "count(note)", ALL, now).value == 1
    assert measure(window, "min(x)", T0 + timedelta(seconds=115), now).value == 1


def test_a_later_part_of_an_observation_that_is_no_longer_held_counts_where_it_was_seen() -> None:
    windows = Windows(limit=10)
    for at in range(10):
        windows.add(seen(at, id=f"i{at}", x=1))
    for at in range(10, 25):
        windows.add(seen(at, x=1))
    assert windows.add(seen(99, id="i3", x=1, pnl=-4)) == []
    assert windows.add(seen(99, id="i3", pnl=-9)) == ["pnl"]
    window, now = windows.window("v3"), T0 + timedelta(seconds=130)
    found = measure(window, "sum(pnl)", ALL, now)
    assert (found.value, found.as_of) == (-4, T0 + timedelta(seconds=3))
    assert measure(window, "count()", ALL, now).value == 25


def test_ids_are_bounded_and_those_let_go_of_are_counted() -> None:
    windows = Windows(limit=10)
    for at in range(25):
        windows.add(seen(at, id=f"i{at}", x=1))
    assert windows.forgotten == 15
    assert windows.first("i14") is None
    assert windows.first("i15") is not None


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
