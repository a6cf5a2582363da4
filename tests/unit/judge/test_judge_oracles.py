"""Trading numbers beside independent libraries, on twenty years of real daily prices.

Where a library means something else by a name, the test says what.
"""

import warnings
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from math import sqrt
from typing import Any, cast

import pytest
from support.market import Prices, of_values, prices, sessions

from controller.core.calendar import ALWAYS, EPOCH, MILLISECOND
from controller.judge import returns, spread, trades
from controller.judge.aggregate import measure
from controller.judge.bars import bars_of
from controller.judge.window import Observation, Windows

with warnings.catch_warnings():
    # What these libraries use of others is for them to mend.
    warnings.simplefilter("ignore")
    empyrical, np, pd, qs, river, scipy = (
        cast(Any, import_module(name))
        for name in (
            "empyrical",
            "numpy",
            "pandas",
            "quantstats.stats",
            "river.stats",
            "scipy.stats",
        )
    )

YEAR = 252
DAY = timedelta(days=1)


@pytest.fixture(params=["sp500", "nasdaq"])
def market(request: pytest.FixtureRequest) -> Prices:
    return prices(request.param)


def close(theirs: Any) -> Any:
    """Equal but for the last digits."""
    return pytest.approx(theirs, rel=1e-9)


def series(market: Prices) -> Any:
    return pd.Series(market.returns, index=pd.DatetimeIndex(market.days[1:]))


def trades_of(market: Prices) -> list[float]:
    """A long position whenever the day before rose: some trades, and days without one."""
    return [b if a > 0 else 0.0 for a, b in pairwise(market.returns)]


def test_sharpe_sortino_and_volatility_are_those_of_empyrical_and_quantstats(
    market: Prices,
) -> None:
    ours, theirs = market.returns, series(market)
    sharpe, sortino = returns.sharpe(ours, YEAR), returns.sortino(ours, YEAR)
    assert sharpe == close(empyrical.sharpe_ratio(theirs, annualization=YEAR))
    assert sharpe == close(qs.sharpe(theirs, periods=YEAR))
    assert sortino == close(empyrical.sortino_ratio(theirs, annualization=YEAR))
    assert sortino == close(qs.sortino(theirs, periods=YEAR))
    deviation = empyrical.annual_volatility(theirs, annualization=YEAR)
    assert returns.volatility(ours, YEAR) == close(deviation)


def test_calmar_is_empyricals_and_quantstats_counts_years_by_the_date(market: Prices) -> None:
    ours, theirs = market.returns, series(market)
    calmar = returns.calmar(ours, YEAR)
    assert calmar == close(empyrical.calmar_ratio(theirs, annualization=YEAR))
    assert returns.deepest_fall(ours) == close(-empyrical.max_drawdown(theirs))
    assert calmar == pytest.approx(qs.calmar(theirs, periods=YEAR), rel=0.05)


def test_trades_are_counted_as_quantstats_counts_them(market: Prices) -> None:
    ours = trades_of(market)
    theirs = pd.Series(ours, index=pd.DatetimeIndex(market.days[2:]))
    factor = trades.profit_factor(ours, 5)
    assert factor == close(qs.profit_factor(theirs))
    assert trades.payoff(ours) == close(qs.payoff_ratio(theirs))
    rows = qs.consecutive_losses(theirs)
    assert trades.longest_row_of_losses(ours) == rows
    # quantstats leaves out what broke even; here a trade without a win has not won.
    traded = sum(1 for x in ours if x)
    assert trades.wins(ours) / traded == close(qs.win_rate(theirs))
    assert trades.wins(ours) / len(ours) < qs.win_rate(theirs)


def test_expectancy_is_p_w_less_q_l(market: Prices) -> None:
    ours = trades_of(market)
    won, lost = [x for x in ours if x > 0], [-x for x in ours if x < 0]
    p, q = len(won) / len(ours), len(lost) / len(ours)
    expected = p * np.mean(won) - q * np.mean(lost)
    assert of_values(ours, "expectancy(x)") == close(expected)


def test_deviation_and_correlation_are_those_of_scipy_and_river() -> None:
    one, other = prices("sp500").returns, prices("nasdaq").returns
    r = spread.correlation(one, other)
    assert r == close(scipy.pearsonr(one, other).statistic)
    running, together = river.Var(), river.PearsonCorr()
    for x, y in zip(one, other, strict=True):
        running.update(x)
        together.update(x, y)
    assert of_values(one, "std(x)") == close(sqrt(running.get()))
    assert r == close(together.get())
    assert of_values(one, "std(x)") == close(scipy.tstd(one))


def test_falls_and_quantiles_are_those_of_empyrical_and_numpy(market: Prices) -> None:
    steps = [1e6 * (b - a) / market.closes[0] for a, b in pairwise(market.closes)]
    theirs = series(market)
    assert of_values(steps, "max_drawdown(x)", 1e6) == close(-empyrical.max_drawdown(theirs))
    equity = np.cumsum([1e6, *steps])
    assert of_values(steps, "drawdown(x)", 1e6) == close(1 - equity[-1] / equity.max())
    for share in (1, 50, 95, 99.9):
        expected = np.percentile(market.returns, share)
        assert of_values(market.returns, f"quantile(x, {share}%)") == close(expected)
    # Volume weighted, as pandas weighs: what was bought or sold cost what the close moved.
    bought = pd.Series(market.closes[1:]) - pd.Series(market.closes[:-1])
    value = pd.Series(market.closes[:-1]).abs().sum()
    found = trades.slippage([1.0] * len(bought), market.closes[1:], market.closes[:-1])
    assert found == close(bought.sum() / value)


def test_a_mean_that_forgets_by_time_is_that_of_pandas(market: Prices) -> None:
    at = pd.DatetimeIndex(market.days)
    theirs = pd.Series(market.closes).ewm(halflife=pd.Timedelta(days=20), times=at).mean()
    days = [(day - market.days[0]).days for day in market.days]
    assert spread.ewma(market.closes, days, 20.0) == close(theirs.iloc[-1])


def test_outliers_are_those_of_a_rolling_median_and_mad(market: Prices) -> None:
    ours, window, limit = market.returns, 60, 6.0
    flagged = judged = 0
    values = np.array(ours)
    for index in range(window, len(values)):
        before = values[index - window : index]
        mad = scipy.median_abs_deviation(before)
        if mad:
            judged += 1
            flagged += 0.6745 * abs(values[index] - np.median(before)) / mad > limit
    judge = spread.Outliers(window, limit)
    judge.feed(ours[:1000])
    judge.feed(ours)
    assert judge.between(0, len(ours)) == (flagged, judged)
    assert 0 < flagged < 50


def test_hits_are_the_agreeing_signs_of_numpy(market: Prices) -> None:
    """Momentum of the day before, against the return of the day."""
    pairs = list(pairwise(market.returns))
    signals, outcomes = [a for a, _ in pairs], [b for _, b in pairs]
    epsilon = 0.001
    moved = (np.abs(outcomes) > epsilon) & (np.array(signals) != 0)
    right = (np.sign(signals) == np.sign(outcomes)) & moved
    assert trades.hits(signals, outcomes, epsilon) == (right.sum(), moved.sum())


def test_a_fall_lasts_as_long_as_quantstats_says_where_no_start_counts(market: Prices) -> None:
    """The sum of log returns has its peaks where the price has them."""
    logs = [float(x) for x in np.diff(np.log(market.closes))]
    days = [(day - market.days[0]).days for day in market.days]
    ended, lasting = returns.falls([0.0, *logs])
    falls = [days[end] - days[top] for top, end in ended]
    ours = max([*falls, 0 if lasting is None else days[-1] - days[lasting]])
    level = pd.Series(market.closes, index=pd.DatetimeIndex(market.days))
    peaks = level.index.where(level >= level.cummax())
    since = pd.Series(peaks, index=level.index).ffill()
    below = level < level.cummax()
    # A fall ends with the day that is not below the peak any more.
    ends = pd.Series(level.index, index=level.index).where(~below).bfill().fillna(level.index[-1])
    assert ours == max((ends - since)[below]).days


# Through the windows, by bars of the exchange ---------------------------------------------


def closes_at(market: Prices) -> list[datetime]:
    """When each day's session closed."""
    closes = [EPOCH + ms * MILLISECOND for ms in sessions("XNYS").closes]
    by_day = {at.date(): at for at in closes}
    return [by_day[day] for day in market.days]


def windows_of(times: list[datetime], values: Any) -> Windows:
    windows = Windows()
    for at, value in zip(times, values, strict=True):
        windows.add(Observation("v3", at, {"x": value}))
    return windows


def test_a_ratio_of_daily_bars_takes_its_year_from_the_exchange(market: Prices) -> None:
    times = closes_at(market)
    window = windows_of(times, market.closes).window("v3")
    calendar = sessions("XNYS")

    def of(expression: str) -> float:
        found = measure(window, expression, times[0] - DAY, times[-1], bar=DAY, calendar=calendar)
        assert found.samples == len(market.returns)
        assert found.value is not None
        return found.value

    last = (times[-1] - EPOCH) // MILLISECOND
    year = bars_of(calendar, DAY).per_year(last)
    assert 250 <= year <= 253
    theirs = series(market)
    wanted = empyrical.sharpe_ratio(theirs, annualization=year)
    assert of("sharpe(x, last)") == close(wanted)
    wanted = empyrical.sortino_ratio(theirs, annualization=year)
    assert of("sortino(x, last)") == close(wanted)
    wanted = empyrical.calmar_ratio(theirs, annualization=year)
    assert of("calmar(x, last)") == close(wanted)


def test_profit_and_loss_of_a_capital_gives_the_returns_of_its_equity(market: Prices) -> None:
    """Four fills a day, summed by bar, are one return of the day."""
    capital, times = 1_000_000.0, closes_at(market)
    equity = [capital * close / market.closes[0] for close in market.closes]
    parts = [(b - a) / 4 for a, b in pairwise(equity) for _ in range(4)]
    at = [t - k * timedelta(hours=1) for t in times[1:] for k in (3, 2, 1, 0)]
    window = windows_of(at, parts).window("v3")
    found = measure(
        window, "sharpe(x)", times[0], times[-1], capital=capital, bar=DAY,
        calendar=sessions("XNYS"),
    )  # fmt: skip
    year = bars_of(sessions("XNYS"), DAY).per_year((times[-1] - EPOCH) // MILLISECOND)
    theirs = empyrical.sharpe_ratio(series(market), annualization=year)
    assert found.value == close(theirs)
    fall = measure(window, "max_drawdown(x)", times[0], times[-1], capital=capital)
    assert fall.value == close(-empyrical.max_drawdown(series(market)))


def test_no_day_is_missing_of_the_index_and_those_left_out_are_counted() -> None:
    market = prices("sp500")
    times, calendar = closes_at(market), sessions("XNYS")

    def gaps(kept: list[datetime]) -> float | None:
        window = windows_of(kept, [1.0] * len(kept)).window("v3")
        since = times[0] - DAY
        return measure(window, "gaps()", since, times[-1], bar=DAY, calendar=calendar).value

    assert gaps(times) == 0
    assert gaps([at for n, at in enumerate(times) if n not in (100, 101, 2000)]) == 3


@pytest.mark.parametrize(
    ("code", "bar", "low", "high"),
    [
        ("XNYS", DAY, 250, 253),
        ("XNYS", timedelta(hours=1), 7 * 249, 7 * 253),
        ("CMES", DAY, 256, 261),
        ("24/5", timedelta(hours=1), 24 * 260, 24 * 261.5),
        ("24/5", DAY, 260, 261.5),
    ],
)
def test_bars_of_a_year_are_those_of_the_calendar(
    code: str, bar: timedelta, low: float, high: float
) -> None:
    calendar = sessions(code)
    for day in ("2005-01-03", "2012-07-04", "2018-12-31"):
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        year = bars_of(calendar, bar).per_year((at - EPOCH) // MILLISECOND)
        assert low <= year <= high, (day, year)


def test_around_the_clock_a_year_has_365_days() -> None:
    assert bars_of(ALWAYS, DAY).per_year(0) == 365
    assert bars_of(ALWAYS, timedelta(minutes=5)).per_year(0) == 365 * 288
