"""Formulas through the windows: their numbers, what they are aligned by, and when they say why
there is none."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.core.calendar import Calendar, Lapsed, Sessions
from controller.core.measurement import Measurement
from controller.judge.aggregate import measure
from controller.judge.formulas import FORMULAS
from controller.judge.window import Observation, Value, Windows
from controller.policy.formulas import AGGREGATIONS

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
END = T0 + timedelta(days=1)
Row = dict[str, Value]


def seen(*rows: Row, every: timedelta = SECOND, keys: Sequence[str | None] = ()) -> Windows:
    """One observation at a time, the first one step after 14:30."""
    windows = Windows()
    for index, row in enumerate(rows):
        at, key = T0 + (index + 1) * every, keys[index] if keys else None
        windows.add(Observation("v3", at, row, key=key))
    return windows


def of(expression: str, *rows: Row, **more: Any) -> Measurement:
    every, keys = more.pop("every", SECOND), more.pop("keys", ())
    now = more.pop("now", END)
    return measure(seen(*rows, every=every, keys=keys).window("v3"), expression, T0, now, **more)


def pnl(*values: Value) -> tuple[Row, ...]:
    return tuple({"x": value} for value in values)


def test_every_aggregation_that_is_declared_is_computed_by_somebody() -> None:
    for name, known in AGGREGATIONS.items():
        fields = ", ".join(["x"] * known.least)
        given = ", ".join(f"{p.name}: {p.example}" for p in known.parameters)
        inside = ", ".join(part for part in (fields, given) if part)
        found = of(f"{name}({inside})", *pnl(1, -2, 3), bar=HOUR, capital=None)
        assert found.status != "error", (name, found.detail)
    assert set(FORMULAS) == {name for name, known in AGGREGATIONS.items() if not known.folds}


@pytest.mark.parametrize(
    ("expression", "values", "value", "samples"),
    [
        ("win_rate(x)", (5, -3, 0, 2, None), 0.5, 4),
        ("profit_factor(x, losses: 2)", (5, -3, 0, 2, -0.5), 2.0, 5),
        ("expectancy(x)", (5, -3, 0, 2), 1.0, 4),
        ("payoff(x)", (5, -3, 0, 1, -1), 1.5, 5),
        ("max_consecutive_losses(x)", (-1, -1, 0, -1, 2, -1, -1, -1, 1), 3, 9),
        ("std(x)", (2, 4, 4, 4, 5, 5, 7, 9), (32 / 7) ** 0.5, 8),
        ("rate(x, per: hour)", (2, 4, 6), 12 / 24, 3),
        ("rate(per: day)", (1, None), 2, 2),
        ("ewma(x, 1s)", (0, 0, 7), 7 * 1 / 1.75, 3),
        ("out_of_range(x, 0, 10)", (0, 10, 10.5, -1), 0.5, 4),
        ("nulls(x)", (1, None, float("nan"), "text"), 0.5, 4),
    ],
)
def test_a_formula_gives_the_number_that_is_worked_out_by_hand(
    expression: str, values: tuple[Value, ...], value: float, samples: int
) -> None:
    found = of(expression, *pnl(*values))
    assert found.value == pytest.approx(value)
    assert found.samples == samples


@pytest.mark.parametrize(
    ("expression", "values", "why"),
    [
        ("profit_factor(x)", (5, -1, -1), "2 losses, and it takes 5"),
        ("payoff(x)", (5, 1), "no loss"),
        ("payoff(x)", (-5,), "no win"),
        ("std(x)", (1,), "one value"),
        ("win_rate(y)", (1,), "no value of y yet"),
        ("win_rate(x)", ("text", "text"), "x holds text"),
        ("win_rate(x)", (None, None), "2 values of x were null"),
        ("hit_rate(x, x)", (0, 0), "no signal with a direction"),
        ("outliers(x, last: 3)", (1, 2, 3), "no value with 3"),
        ("outliers(x, last: 3)", (1, 1, 1, 9), "no value with 3"),
        ("cost_per(x, y)", (1, 2), "no signal"),
        ("duplicates()", (1, 2), "`key`"),
        ("agreement(x)", (1, 2), "one of the versions"),
    ],
)
def test_a_formula_without_an_answer_says_why(
    expression: str, values: tuple[Value, ...], why: str
) -> None:
    found = of(expression, *pnl(*values))
    assert (found.status, found.value) == ("no_data", None)
    assert why in found.detail


def test_several_fields_are_of_the_observations_that_have_all_of_them() -> None:
    rows: list[Row] = [
        {"signal": 1, "outcome": 2.0},
        {"signal": -1},
        {"signal": -1, "outcome": 3.0},
        {"outcome": -9.0},
        {"signal": 1, "outcome": 0.001},
        {"signal": 0, "outcome": 5.0},
    ]
    found = of("hit_rate(signal, outcome, epsilon: 0.01)", *rows)
    assert (found.value, found.samples, found.variance) == (0.5, 2, 0.25)
    assert of("missing(signal, outcome)", *rows).value == pytest.approx(2 / 6)


def test_an_outcome_that_comes_late_is_counted_though_nothing_else_came() -> None:
    windows = seen({"signal": 1, "outcome": 1.0}, {"signal": 1, "outcome": -1.0})
    windows.add(Observation("v3", T0 + 9 * SECOND, {"signal": -1}, id="a"))
    window = windows.window("v3")
    before = measure(window, "hit_rate(signal, outcome)", T0, END)
    windows.add(Observation("v3", T0 + 9 * SECOND, {"outcome": -1.0}, id="a"))
    after = measure(window, "hit_rate(signal, outcome)", T0, END)
    assert before.value == 0.5
    assert after.value == pytest.approx(2 / 3)


def test_slippage_is_a_cost_on_either_side_and_weighted_by_value() -> None:
    rows: list[Row] = [
        {"q": 10, "fill": 100.5, "mid": 100.0},
        {"q": -30, "fill": 99.9, "mid": 100.0},
    ]
    found = of("slippage(q, fill, mid)", *rows, factor=1.0)
    # 10 * .5 + 30 * .1 = 8 of 4,000: 20 bps
    assert found.value == pytest.approx(20e-4)
    bad = of("slippage(q, fill, mid)", {"q": 1, "fill": 1.0, "mid": 0.0})
    assert "must be above 0" in bad.detail
    assert of("slippage(q, fill, mid)", {"q": 0, "fill": 1.0, "mid": 1.0}).status == "no_data"


def test_turnover_counts_each_trade_once_and_a_capital_makes_it_a_multiple() -> None:
    rows: list[Row] = [{"q": 10, "p": 100.0}, {"q": -10, "p": 110.0}]
    assert of("turnover(q, p)", *rows).value == 2100
    assert of("turnover(q, p)", *rows, factor=1000.0).value == 2_100_000
    assert of("turnover(q, p)", *rows, capital=1000.0, factor=1000.0).value == 2.1


def test_a_cost_is_shared_by_the_signals_that_had_none_of_their_own() -> None:
    rows: list[Row] = [{"signal": 1}, {"signal": -1}, {"signal": 1}, {"cost": 6.0}, {"cost": 3.0}]
    found = of("cost_per(cost, signal)", *rows)
    assert (found.value, found.samples) == (3.0, 3)
    assert found.as_of == T0 + 5 * SECOND


def test_duplicates_are_keys_that_came_again() -> None:
    assert of("duplicates()", *pnl(1, 2, 3, 4), keys=("a", "b", "a", None)).value == (
        pytest.approx(1 / 3)
    )


def test_out_of_order_is_what_came_after_a_later_event() -> None:
    windows = Windows()
    for second in (1, 5, 3, 4, 6):
        windows.add(Observation("v3", T0 + second * SECOND, {"x": 1}))
    assert measure(windows.window("v3"), "out_of_order()", T0, END).value == 0.4


def many(limit: int = 10, count: int = 100) -> Any:
    """A version of which the newest few are held, and the rest is folded."""
    windows = Windows(limit)
    for second in range(1, count + 1):
        fields: Row = {"x": float(second % 4) - 1, "y": 2.0}
        at = T0 + second * SECOND
        windows.add(Observation("v3", at, fields, key=f"k{second}"), at)
    end = T0 + count * SECOND

    def ask(expression: str, span: int = count, **more: Any) -> Measurement:
        return measure(windows.window("v3"), expression, end - span * SECOND, end, **more)

    return ask


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_what_needs_each_value_is_an_error_where_some_are_folded(name: str) -> None:
    known = AGGREGATIONS[name]
    fields = ", ".join(["x", "y", "y"][: max(known.least, 1 if known.takes else 0)])
    given = ", ".join(f"{p.name}: {p.example}" for p in known.parameters)
    expression = f"{name}({', '.join(part for part in (fields, given) if part)})"
    found = many()(expression, bar=SECOND, capital=None)
    if name in ("staleness", "silent"):
        assert (found.status, found.value) == ("ok", 0.0)
    else:
        assert (found.status, found.value) == ("error", None)
        assert "no longer held" in found.detail
    assert many()(expression, 9, bar=SECOND).status != "error"


def test_what_folds_goes_on_and_says_how_far_it_is_approximate() -> None:
    ask, held = many(1_000, 9_000), many(9_000, 9_000)
    for expression in ("std(x)", "expectancy(x)", "rate(x)", "rate(per: minute)"):
        found, exact = ask(expression, 7_001), held(expression, 7_001)
        assert found.value == pytest.approx(exact.value, rel=0.02)
        assert 7_001 < found.samples <= 1.02 * exact.samples
        assert found.detail.startswith("approximate: its window begins ")
        assert (exact.samples, exact.detail) == (7_001, "")


def test_the_newest_are_those_that_carry_the_first_field() -> None:
    ask = many(1000)
    assert ask("win_rate(x)", newest=3).value == pytest.approx(2 / 3)
    assert ask("win_rate(x)", newest=3).samples == 3
    assert ask("turnover(x, y)", newest=2).value == 2 * (1.0 + 2.0)
    assert ask("rate(per: second)", newest=11).value == pytest.approx(11 / 10)
    assert ask("rate(per: second)", newest=1).status == "no_data"
    assert many()("win_rate(x)", newest=11).status == "error"
    assert many()("win_rate(x)", newest=10).status == "ok"


def test_bars_of_the_newest_begin_with_the_first_that_is_whole() -> None:
    ask = many(1000)
    for newest, bars in ((8, 2), (11, 2), (12, 3)):
        found = ask("volatility(x)", newest=newest, bar=4 * SECOND, capital=1e3)
        assert found.samples == bars


def test_a_look_is_not_answered_by_what_is_remembered_of_another() -> None:
    windows = seen(*pnl(1, -1, 1))
    window = windows.window("v3")
    assert measure(window, "win_rate(x)", T0, END).value == pytest.approx(2 / 3)
    assert measure(window, "win_rate(x)", T0 + SECOND, END).value == 0.5
    windows.add(Observation("v3", T0 + 1.5 * SECOND, {"x": 5}))
    assert measure(window, "win_rate(x)", T0, END).value == 0.75
    assert measure(window, "max_consecutive_losses(x)", T0, END).value == 1


# Ages and gaps ----------------------------------------------------------------------------

FRIDAY = datetime(2026, 3, 6, 21, 0, tzinfo=UTC)
WEEK = Sessions(
    "XNYS",
    tuple(
        (day.replace(hour=14, minute=30), day.replace(hour=21))
        for day in (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=n) for n in range(12))
        if day.weekday() < 5
    ),
)
MONDAY = FRIDAY + timedelta(days=2, hours=17, minutes=30)


def at_times(*times: datetime, values: Sequence[float] = (), calendar: Calendar = WEEK) -> Any:
    windows = Windows()
    for index, at in enumerate(times):
        value = values[index] if values else 1.0
        windows.add(Observation("v3", at, {"x": value}))

    def ask(expression: str, since: datetime, now: datetime, **more: Any) -> Measurement:
        return measure(windows.window("v3"), expression, since, now, calendar=calendar, **more)

    return ask


def test_a_weekend_does_not_make_data_stale() -> None:
    ask = at_times(FRIDAY - timedelta(minutes=1))
    now = MONDAY + timedelta(minutes=2)
    found = ask("staleness()", now - HOUR, now)
    assert found.value == 180
    # It is not late because it is old: it tells how old.
    assert (found.as_of, found.samples) == (None, 0)
    assert ask("staleness(y)", now - HOUR, now).status == "no_data"


def test_a_version_is_silent_since_anything_of_it_came_in() -> None:
    windows = Windows()
    windows.add(Observation("v3", FRIDAY - HOUR, {"x": 1.0}, id="a"), FRIDAY - HOUR)
    windows.add(Observation("v1", MONDAY, {"x": 1.0}), MONDAY)
    now = MONDAY + timedelta(minutes=2)

    def silent() -> Measurement:
        return measure(windows.window("v3"), "silent()", now - HOUR, now, calendar=WEEK)

    assert (silent().value, silent().as_of) == (62 * 60, None)
    windows.add(Observation("v3", FRIDAY - HOUR, {"y": 1.0}, id="a"), MONDAY)
    assert silent().value == 2 * 60
    assert of("silent()", {"x": 1}).detail == "nobody told when anything came in"


def test_what_was_seen_and_folded_is_old_and_its_bars_are_expected() -> None:
    windows = Windows(reach=HOUR)
    windows.add(Observation("v3", T0, {"x": 1.0}))
    for second in range(1, 7_000):
        windows.add(Observation("v3", T0 + 2 * HOUR + second * SECOND, {"y": 1.0}))
    window, now = windows.window("v3"), T0 + 4.5 * HOUR
    assert window is not None and not window.numbers["x"].places
    assert measure(window, "staleness(x)", now - HOUR, now).value == 4.5 * 3600
    assert measure(window, "gaps(x)", now - HOUR, now, bar=HOUR).value == 1


def test_gaps_are_whole_bars_of_the_calendar_without_an_observation() -> None:
    monday = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    # Seven bars of an hour a day: 14:30 to 15:30 ... and the last half hour.
    seen_at = [monday + timedelta(hours=h, minutes=5) for h in (0, 1, 3, 6)]
    ask = at_times(*seen_at, monday + timedelta(days=1, minutes=5))
    week = monday - timedelta(hours=1)
    assert ask("gaps()", week, FRIDAY - timedelta(days=4), bar=HOUR).value == 3
    # On Tuesday 15:31 one bar is over, and it was seen; at 16:31 the next one was not.
    tuesday = monday + timedelta(days=1)
    assert ask("gaps()", tuesday, tuesday + 1.1 * HOUR, bar=HOUR).value == 0
    assert ask("gaps()", tuesday, tuesday + 2.1 * HOUR, bar=HOUR).value == 1
    assert "no whole bar" in ask("gaps()", tuesday, tuesday + 0.5 * HOUR, bar=HOUR).detail


def test_a_fall_lasts_in_open_time_until_it_is_made_good_or_until_now() -> None:
    ask = at_times(
        FRIDAY - HOUR, FRIDAY - timedelta(minutes=30), MONDAY + timedelta(minutes=30),
        values=(10.0, -4.0, 5.0),
    )  # fmt: skip
    start = FRIDAY - 2 * HOUR
    assert ask("drawdown_duration(x)", start, MONDAY + HOUR).value == 90 * 60
    open_fall = ask("drawdown_duration(x)", start, MONDAY + timedelta(minutes=10))
    assert open_fall.value == 70 * 60


# Returns by bar ---------------------------------------------------------------------------


def test_bars_that_are_not_over_or_that_the_window_cuts_are_left_out() -> None:
    rows = pnl(*range(1, 25))
    every = timedelta(minutes=10)
    now = T0 + timedelta(minutes=205)
    found = of("sharpe(x)", *rows, every=every, now=now, bar=HOUR, capital=1e6)
    # 14:40 ... 17:55 around the clock: of 15-16, 16-17 and 17-18 two are whole.
    assert found.samples == 2
    assert found.as_of == datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


def test_a_bar_without_trades_between_two_with_some_is_a_return_of_zero() -> None:
    times = [T0 + timedelta(hours=h) for h in (1, 2, 5)]
    windows = Windows()
    for at in times:
        windows.add(Observation("v3", at, {"x": 100.0, "e": 50.0}))
    window = windows.window("v3")
    now = T0 + timedelta(hours=6)
    found = measure(window, "volatility(x)", T0, now, bar=HOUR, capital=1e4)
    assert found.samples == 5
    level = measure(window, "volatility(e, last)", T0, now, bar=HOUR)
    assert (level.value, level.samples) == (0.0, 4)


@pytest.mark.parametrize(
    ("expression", "values", "capital", "why"),
    [
        ("sharpe(x)", (5, 5), None, "capital"),
        ("sharpe(x)", (5,), 100.0, "1 returns"),
        ("sharpe(x, last)", (7, 7, 7), None, "alike"),
        ("sharpe(x, last)", (7, 14, 28), None, "alike"),
        ("sharpe(x, last)", (7, -7, 28), None, "above 0"),
        ("sharpe(x)", (5, -200, 5), 100.0, "used up"),
        ("sortino(x)", (5, 5, 1), 100.0, "below 0"),
        ("calmar(x)", (5, 5, 1), 100.0, "no drawdown"),
        ("calmar(x)", (90, 900, -1), 1.0, "beyond numbers"),
        ("calmar(x)", (5, -105), 100.0, "lost"),
    ],
)
def test_a_ratio_that_is_undefined_says_why(
    expression: str, values: tuple[Value, ...], capital: float | None, why: str
) -> None:
    found = of(expression, *pnl(*values), every=HOUR, bar=HOUR, capital=capital)
    assert found.status == "no_data", found
    assert why in found.detail


def test_a_calendar_that_is_not_known_is_an_error_and_no_number() -> None:
    lapsed = Lapsed("XNYS", "upgrade exchange_calendars")
    found = of("sharpe(x, last)", *pnl(1, 2, 3), every=HOUR, bar=HOUR, calendar=lapsed)
    assert (found.status, found.value) == ("error", None)
    assert "upgrade" in found.detail
    outside = of("gaps()", *pnl(1, 2, 3), every=40 * 24 * HOUR, bar=HOUR, calendar=WEEK,
                 now=T0 + 50 * 24 * HOUR)  # fmt: skip
    assert (outside.status, outside.value) == ("error", None)


# Both versions ----------------------------------------------------------------------------


def both(mine: dict[str, Value], other: dict[str, Value], expression: str) -> Measurement:
    windows = Windows()
    for version, values in (("v3", mine), ("v1", other)):
        for index, (key, value) in enumerate(values.items(), 1):
            fields: Row = {} if value is None else {"d": value}
            windows.add(Observation(version, T0 + index * SECOND, fields, key=key))
    first, second = windows.window("v3"), windows.window("v1")
    return measure(first, expression, T0, END, other=second)


def test_a_missing_direction_is_neither_agreement_nor_conflict() -> None:
    mine: dict[str, Value] = {"a": 1, "b": -1, "c": None, "d": 1, "e": 0}
    other: dict[str, Value] = {"a": 2, "b": 1, "c": 1, "e": 0.0, "f": 1}
    agreed = both(mine, other, "agreement(d)")
    assert agreed.value == pytest.approx(2 / 3)
    assert agreed.samples == 3
    assert both(mine, other, "conflicts(d)").value == pytest.approx(1 / 3)


def test_what_is_smaller_than_epsilon_is_flat_and_agrees_with_flat_alone() -> None:
    mine: dict[str, Value] = {"a": 0.05, "b": 0.05, "c": 0.5}
    other: dict[str, Value] = {"a": -0.05, "b": 0.5, "c": 0.2}
    assert both(mine, other, "agreement(d, epsilon: 0.1)").value == pytest.approx(2 / 3)
    assert both(mine, other, "conflicts(d, epsilon: 0.1)").value == 0
    assert both(mine, other, "conflicts(d)").value == pytest.approx(1 / 3)


def test_versions_that_share_no_key_do_not_agree() -> None:
    found = both({"a": 1}, {"b": 1}, "agreement(d)")
    assert (found.status, found.value) == ("no_data", None)
    assert "`key`" in found.detail


def test_the_newest_value_of_a_key_counts_and_the_other_side_is_not_remembered() -> None:
    windows = Windows()
    for second, (version, value) in enumerate((("v1", 1), ("v3", 1), ("v3", -1)), 1):
        windows.add(Observation(version, T0 + second * SECOND, {"d": value}, key="a"))

    def agreement() -> float | None:
        mine, other = windows.window("v3"), windows.window("v1")
        return measure(mine, "agreement(d)", T0, END, other=other).value

    assert agreement() == 0
    windows.add(Observation("v1", T0 + 9 * SECOND, {"d": -1}, key="a"))
    assert agreement() == 1


def test_a_correlation_wants_three_pairs_that_differ() -> None:
    one: dict[str, Value] = {"a": 1, "b": 2, "c": 4}
    assert both(one, {k: 5.0 - 2 * v for k, v in one.items()}, "correlation(d)").value == (  # type: ignore[operator]
        pytest.approx(-1)
    )
    assert both(one, {"a": 1, "b": 1, "c": 1}, "correlation(d)").status == "no_data"
    assert both(one, {"a": 1, "b": 2}, "correlation(d)").status == "no_data"


def test_the_newest_pairs_are_those_of_which_both_halves_are_new() -> None:
    mine: dict[str, Value] = {"alone": 1, **{f"k{n}": 1 for n in range(10)}}
    other: dict[str, Value] = {f"k{n}": -1 if n < 5 else 1 for n in range(10)}
    windows = Windows()
    for version, values in (("v3", mine), ("v1", other)):
        for index, (key, value) in enumerate(values.items(), 1):
            windows.add(Observation(version, T0 + index * SECOND, {"d": value}, key=key))
    # An old pair of which one half comes again does not become new.
    windows.add(Observation("v3", T0 + 99 * SECOND, {"d": -1}, key="k0"))
    first, second = windows.window("v3"), windows.window("v1")

    def newest(count: int) -> Measurement:
        return measure(first, "agreement(d)", T0, END, other=second, newest=count)

    assert (newest(5).value, newest(5).samples) == (1.0, 5)
    assert newest(8).value == pytest.approx(5 / 8)
    assert newest(50).samples == 10


def test_pairs_of_which_a_side_is_folded_are_an_error() -> None:
    windows = Windows(10)
    for index in range(1, 31):
        for version in ("v3", "v1") if index > 20 else ("v1",):
            at = T0 + index * SECOND
            windows.add(Observation(version, at, {"d": 1}, key=f"k{index}"))
    first, second = windows.window("v3"), windows.window("v1")
    assert measure(first, "agreement(d)", T0, END, other=second).status == "error"
    assert measure(first, "agreement(d)", T0 + 20 * SECOND, END, other=second).value == 1
