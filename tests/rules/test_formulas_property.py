"""What must hold of trading numbers, bars and agreement, whatever the values."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.market import of_values, sessions

from controller.core.calendar import ALWAYS, EPOCH, MILLISECOND, Calendar
from controller.judge import returns, spread, trades
from controller.judge.aggregate import measure
from controller.judge.bars import bars_of, complete, start_of_last
from controller.judge.undefined import Undefined
from controller.judge.window import Observation, Windows

T0 = datetime(2015, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
money = st.floats(-1e6, 1e6).map(lambda x: round(x, 2))
rates = st.floats(-0.5, 0.5).map(lambda x: round(x, 6))


def value(compute: object, *given: object) -> float | None:
    """None where it is undefined."""
    try:
        return compute(*given)  # type: ignore[operator, no-any-return]
    except Undefined:
        return None


@given(st.lists(rates, min_size=2, max_size=60), st.floats(0.01, 100))
def test_a_sharpe_ratio_has_no_scale_and_turns_with_the_sign(r: list[float], k: float) -> None:
    sharpe = value(returns.sharpe, r, 252)
    assume(sharpe is not None and abs(sharpe) > 1e-6)
    assert value(returns.sharpe, [k * x for x in r], 252) == pytest.approx(sharpe, rel=1e-6)
    assert value(returns.sharpe, [-x for x in r], 252) == pytest.approx(-sharpe)  # type: ignore[operator]
    assert value(returns.sharpe, r, 4 * 252) == pytest.approx(2 * sharpe)  # type: ignore[operator]


@given(st.lists(rates, min_size=2, max_size=60))
def test_a_sortino_ratio_has_the_sign_of_the_sharpe_ratio(r: list[float]) -> None:
    sharpe, sortino = value(returns.sharpe, r, 252), value(returns.sortino, r, 252)
    assume(sharpe is not None and sortino is not None)
    assert sharpe is not None and sortino is not None
    assert sharpe * sortino >= 0


@given(st.lists(rates, min_size=1, max_size=60))
def test_a_fall_is_a_part_of_the_peak_and_returns_come_back_from_levels(r: list[float]) -> None:
    assert 0 <= returns.deepest_fall(r) < 1
    levels = [1.0]
    for x in r:
        levels.append(levels[-1] * (1 + x))
    assert returns.of_levels(levels) == pytest.approx(r, abs=1e-9)
    pnl = [b - a for a, b in pairwise(levels)]
    assert returns.of_pnl(pnl, 1.0) == pytest.approx(r, abs=1e-9)


@given(st.lists(money, min_size=1, max_size=60))
def test_wins_and_losses_make_up_the_expectancy(pnl: list[float]) -> None:
    won, lost = [x for x in pnl if x > 0], [-x for x in pnl if x < 0]
    p, q = len(won) / len(pnl), len(lost) / len(pnl)
    mean_win = sum(won) / len(won) if won else 0.0
    mean_loss = sum(lost) / len(lost) if lost else 0.0
    assert of_values(pnl, "expectancy(x)") == pytest.approx(p * mean_win - q * mean_loss, abs=1e-6)
    factor = value(trades.profit_factor, pnl, 1)
    turned = value(trades.profit_factor, [-x for x in pnl], 1)
    if won and lost:
        assert factor is not None and turned is not None
        assert isclose(factor * turned, 1.0, rel_tol=1e-9)
    assert (factor is None) == (not lost)
    row = trades.longest_row_of_losses(pnl)
    assert row <= len(lost)
    assert (row == 0) == (not lost)


@given(st.lists(st.tuples(money, money), min_size=1, max_size=60), st.floats(0, 1e5))
def test_a_signal_that_is_turned_hits_where_it_missed(
    pairs: list[tuple[float, float]], epsilon: float
) -> None:
    signals, outcomes = [a for a, _ in pairs], [b for _, b in pairs]
    right, judged = trades.hits(signals, outcomes, epsilon)
    turned, same = trades.hits([-a for a in signals], outcomes, epsilon)
    assert (right + turned, same) == (judged, judged)


@given(st.lists(st.tuples(st.integers(1, 9), money), min_size=1, max_size=60))
def test_a_mean_that_forgets_lies_between_the_values_and_near_the_newest(
    steps: list[tuple[int, float]],
) -> None:
    times, values, at = [], [], 0
    for step, x in steps:
        at += step
        times.append(at)
        values.append(x)
    mean = spread.ewma(values, times, 5.0)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert min(values) - slack <= mean <= max(values) + slack
    assert spread.ewma(values, times, 1e-3) == pytest.approx(values[-1])


@given(st.lists(money, min_size=12, max_size=80), st.integers(3, 10), st.floats(0, 10))
def test_no_more_is_far_than_was_judged_and_less_of_it_with_a_wider_limit(
    values: list[float], last: int, limit: float
) -> None:
    def judged_with(limit: float, lo: int = 0) -> tuple[int, int]:
        judge = spread.Outliers(last, limit)
        judge.feed(values[: len(values) // 2])
        judge.feed(values)
        return judge.between(lo, len(values))

    far, judged = judged_with(limit)
    assert 0 <= far <= judged <= len(values) - last
    assert judged_with(2 * limit)[0] <= far
    assert judged_with(limit, 5)[1] <= judged


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-2, 2)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-2, 2)),
)
def test_agreement_is_mutual_and_whole_with_itself(
    mine: dict[str, int], other: dict[str, int]
) -> None:
    windows = Windows()
    for version, values in (("v3", mine), ("v1", other), ("v0", mine)):
        for key, x in values.items():
            windows.add(Observation(version, T0 + SECOND, {"d": x}, key=key))

    def of(expression: str, a: str, b: str) -> float | None:
        first, second = windows.window(a), windows.window(b)
        return measure(first, expression, T0, T0 + DAY, other=second).value

    agreed, conflicts = of("agreement(d)", "v3", "v1"), of("conflicts(d)", "v3", "v1")
    assert agreed == of("agreement(d)", "v1", "v3")
    if agreed is not None and conflicts is not None:
        assert agreed + conflicts <= 1 + 1e-12
    assert of("agreement(d)", "v3", "v0") in (None, 1.0)


# Bars -------------------------------------------------------------------------------------

CALENDARS: dict[str, Calendar] = {
    "24/7": ALWAYS,
    "XNYS": sessions("XNYS"),
    "CMES": sessions("CMES"),
}
moments = st.integers(0, 900 * 86_400_000).map(lambda ms: T0 + ms * MILLISECOND)
lengths = st.sampled_from([timedelta(minutes=m) for m in (1, 7, 60, 390, 1440)])


@given(st.sampled_from(sorted(CALENDARS)), moments, lengths)
def test_each_moment_is_in_one_bar_and_bars_follow_each_other(
    code: str, at: datetime, length: timedelta
) -> None:
    bars = bars_of(CALENDARS[code], length)
    ms = (at - EPOCH) // MILLISECOND
    index = bars.index(ms)
    assert bars.end(index - 1) < ms <= bars.end(index)
    assert bars.end(index - 1) <= bars.start(index) < bars.end(index)
    assert bars.index(bars.end(index)) == index
    assert bars.index(bars.end(index) + 1) == index + 1
    last = complete(bars, at)
    assert bars.end(last) <= ms < bars.end(last + 1)


@given(
    st.sampled_from(sorted(CALENDARS)), moments, lengths, st.integers(1, 30),
    st.lists(st.integers(1, 40 * 86_400), min_size=1, max_size=40, unique=True),
)  # fmt: skip
def test_a_window_of_bars_has_all_that_was_seen_in_them_and_nothing_else(
    code: str, now: datetime, length: timedelta, count: int, ages: list[int]
) -> None:
    bars = bars_of(CALENDARS[code], length)
    since = start_of_last(bars, count, now)
    newest = complete(bars, now)
    windows, expected = Windows(), 0.0
    for age in sorted(ages, reverse=True):
        at = now - age * SECOND
        windows.add(Observation("v3", at, {"x": 1.0}))
        index = bars.index((at - EPOCH) // MILLISECOND)
        expected += newest - count < index <= newest
    end = EPOCH + bars.end(newest) * MILLISECOND
    found = measure(windows.window("v3"), "sum(x)", since, end)
    assert (found.value or 0.0) == expected
