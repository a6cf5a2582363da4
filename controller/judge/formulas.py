"""Formulas over a look at the windows, in one table. What each says, its unit and its source are
in `policy.formulas`; the arithmetic is in the rooms beside this one, on plain sequences.
"""

from collections.abc import Callable, Hashable, Mapping
from heapq import nlargest
from itertools import accumulate
from math import isfinite
from operator import eq, mul
from typing import TypeVar

from controller.core.measurement import Measurement
from controller.judge import returns, spread, trades
from controller.judge.bars import bars_of, complete
from controller.judge.column import Column, arrival, moment, stamp
from controller.judge.look import Found, Look, milliseconds_of
from controller.judge.undefined import Undefined
from controller.judge.window import Window
from controller.policy.formulas import AGGREGATIONS, Gives

AGES = frozenset({"staleness", "silent", "drawdown_duration"})
"""Those that change by time alone."""
OF_NEWEST = frozenset({"staleness", "silent"})
"""Those that look at the newest observation, held or not."""
OF_ALL = frozenset({"nulls", "missing"})
"""Those that look at observations without their fields too."""
MEMO_LIMIT = 64

Formula = Callable[[Look], Found]
T = TypeVar("T")


def answer(look: Look, factor: float, through: int | None) -> Measurement:
    """The measurement of a look. `factor` takes one of the field's unit to the base unit. Status
    `no_data` where the formula is undefined, `error` where a part of the window is missing that
    it needs, and where the calendar does not reach."""
    name = look.aggregation.name
    folded = 0 if name in OF_NEWEST else look.folded(_needed(look))
    if folded:
        words = (
            f"it needs each observation of its window, and {folded:,} are no longer held one by "
            "one: give it a shorter window"
        )
        return Measurement(status="error", detail=words, through=through)
    try:
        found = _remembered(look)
    except (Undefined, OverflowError) as undefined:
        return Measurement(status="no_data", detail=_why(look, undefined), through=through)
    except ValueError as error:
        return Measurement(status="error", detail=str(error), through=through)
    known = AGGREGATIONS[name]
    scale = factor if known.gives is Gives.FIELD and look.capital is None else 1.0
    if not isfinite(found.value * scale):
        return Measurement(status="no_data", detail="too large to be told", through=through)
    return Measurement(
        value=found.value * scale,
        samples=found.samples,
        mean=None if found.mean is None else found.mean * scale,
        variance=None if found.variance is None else found.variance * scale * scale,
        as_of=None if found.newest is None else moment(found.newest),
        through=through,
    )


def _needed(look: Look) -> tuple[str, ...]:
    """The fields of which it needs each value; none for every observation."""
    return () if look.aggregation.name in OF_ALL else look.aggregation.fields


def _remembered(look: Look) -> Found:
    """The same slices of the same columns have the same answer."""
    formula = FORMULAS[look.aggregation.name]
    if look.aggregation.name in AGES:
        return formula(look)
    asked = ("formula", look.aggregation, look.newest, look.capital, look.bar)
    state = (_slices(look, look.window), look.other and _slices(look, look.other), _grid(look))
    return _kept(look, asked, state, lambda: formula(look))


def _kept(look: Look, asked: Hashable, state: object, compute: Callable[[], T]) -> T:
    """What was computed before, if the state is still the same."""
    kept = look.window.all.memo
    known = kept.get(asked)
    if known is not None and known[0] == state:
        remembered: T = known[1]
        return remembered
    found = compute()
    if len(kept) >= MEMO_LIMIT:
        kept.clear()
    kept[asked] = (state, found)
    return found


def _slices(look: Look, window: Window) -> tuple[object, ...]:
    columns = [c for field in (None, *look.aggregation.fields) for c in look.columns(field, window)]
    return (window.version, *((*look.slice(c), c.breaks) for c in columns))


def _grid(look: Look) -> tuple[int, bool, int] | None:
    """What of the window's ends matters to its bars."""
    if look.bar is None:
        return None
    bars, since = bars_of(look.calendar, look.bar), look.milliseconds(look.since)
    first = bars.index(since)
    return first, bars.start(first) >= since, complete(bars, look.now)


def _why(look: Look, undefined: Exception) -> str:
    why = str(undefined)
    for field in look.aggregation.fields:
        ignored = look.window.ignored.get(field, 0)
        if ignored:
            why += f"; {ignored} values of {field} were null, NaN or infinite"
        if field in look.window.texts and field not in look.window.numbers:
            why += f"; {field} holds text"
    return why


# Plain values -----------------------------------------------------------------------------


def _of_values(compute: Callable[[list[float], Look], float]) -> Formula:
    """A formula of the values of one field."""

    def formula(look: Look) -> Found:
        places, (values,) = look.rows()
        return Found(compute(values, look), len(values), places[-1])

    return formula


def _share(part: int, whole: int, newest: int | None) -> Found:
    """A share and its variance, p (1 - p)."""
    share = part / whole
    return Found(share, whole, newest, share, share * (1.0 - share))


def _ewma(look: Look) -> Found:
    places, (values,) = look.rows()
    half_life = look.aggregation.options[0] * 1e6
    value = spread.ewma(values, [stamp(place) for place in places], half_life)
    return Found(value, len(values), places[-1])


# Trades and signals -----------------------------------------------------------------------


def _hit_rate(look: Look) -> Found:
    places, (signals, outcomes) = look.rows()
    right, judged = trades.hits(signals, outcomes, look.aggregation.options[0])
    if not judged:
        raise Undefined("no signal with a direction has an outcome")
    return _share(right, judged, places[-1])


def _win_rate(look: Look) -> Found:
    places, (pnl,) = look.rows()
    return _share(trades.wins(pnl), len(pnl), places[-1])


def _turnover(look: Look) -> Found:
    places, columns = look.rows()
    traded = trades.turnover(*columns)
    return Found(traded / (look.capital or 1.0), len(places), places[-1])


def _slippage(look: Look) -> Found:
    places, columns = look.rows()
    return Found(trades.slippage(*columns), len(places), places[-1])


def _cost_per(look: Look) -> Found:
    """The two fields need not be in one observation: costs come when the bill comes."""
    cost, signal = look.aggregation.fields
    signals, costs = look.places(signal), look.window.numbers.get(cost)
    if costs is None:
        raise Undefined(f"no value of {cost} yet")
    lo, hi = look.slice(costs)
    value = trades.cost_per(costs.values[lo:hi], len(signals))
    return Found(value, len(signals), max(signals[-1], costs.places[hi - 1] if hi > lo else 0))


# Equity and returns -----------------------------------------------------------------------


def _drawdown_duration(look: Look) -> Found:
    """In open time, counted from the first observation."""
    places, (pnl,) = look.rows()
    asked, state = ("falls", look.aggregation), _slices(look, look.window)
    falls, lasting = _kept(look, asked, state, lambda: returns.falls(pnl))
    between = look.calendar.open_ms
    longest = max(
        (between(moment(places[peak]), moment(places[end])) for peak, end in falls), default=0
    )
    if lasting is not None:
        longest = max(longest, between(moment(places[lasting]), look.now))
    return Found(longest / 1000, len(places), places[-1])


def _of_returns(compute: Callable[[list[float], float], float]) -> Formula:
    def formula(look: Look) -> Found:
        levels, newest = look.by_bar()
        if look.aggregation.takes_last:
            made = returns.of_levels(levels)
        elif look.capital is None:
            raise Undefined("profit and loss needs a capital to be a return")
        else:
            made = returns.of_pnl(levels, look.capital)
        periods = look.bars().per_year(look.milliseconds(look.now))
        return Found(compute(made, periods), len(made), newest)

    return formula


# Both versions ----------------------------------------------------------------------------


def _pairs(look: Look) -> tuple[list[float], list[float], int]:
    """Values of both versions by key, the newest of each key; keys that one side lacks, and
    observations without the field, are left out. A pair is as new as its older half."""
    field = look.aggregation.field
    sides: list[dict[str | None, tuple[int, float]]] = []
    for window in (look.window, look.other):
        column = window.numbers.get(field or "") if window is not None else None
        if column is None:
            raise Undefined(f"one of the versions has no value of {field} yet")
        lo, hi = look.slice(column)
        rows = zip(column.places[lo:hi], column.values[lo:hi], strict=True)
        sides.append(dict(zip(column.keys[lo:hi], rows, strict=True)))
        sides[-1].pop(None, None)
    mine, other = sides
    common = [key for key in mine if key in other]
    if not common:
        raise Undefined("no key that both versions have: give observations a `key`")
    if look.newest is not None:
        common = nlargest(look.newest, common, lambda key: min(mine[key][0], other[key][0]))
    newest = max(max(mine[key][0], other[key][0]) for key in common)
    return [mine[key][1] for key in common], [other[key][1] for key in common], newest


def _directions(look: Look) -> tuple[list[int], list[int], int]:
    first, second, newest = _pairs(look)
    (epsilon,) = look.aggregation.options
    return trades.signs(first, epsilon), trades.signs(second, epsilon), newest


def _agreement(look: Look) -> Found:
    first, second, newest = _directions(look)
    return _share(sum(map(eq, first, second)), len(first), newest)


def _conflicts(look: Look) -> Found:
    first, second, newest = _directions(look)
    return _share(list(map(mul, first, second)).count(-1), len(first), newest)


def _correlation(look: Look) -> Found:
    first, second, newest = _pairs(look)
    return Found(spread.correlation(first, second), len(first), newest)


# The data ---------------------------------------------------------------------------------


def _staleness(look: Look) -> Found:
    """Not late when it is old: that is what it tells."""
    field = look.aggregation.field
    seen = look.ends(field)
    if seen is None:
        raise Undefined("nothing seen yet")
    age = look.calendar.open_ms(moment(seen[1]), look.now)
    return Found(age / 1000, len(look.places(field)), None)


def _silent(look: Look) -> Found:
    received = look.window.received
    if received is None:
        raise Undefined("nobody told when anything came in")
    age = look.calendar.open_ms(received, look.now)
    return Found(age / 1000, len(look.places(None)), None)


def _gaps(look: Look) -> Found:
    """Whole bars only. Before the first observation nothing is expected."""
    bars, field = look.bars(), look.aggregation.field
    seen = look.ends(field)
    if seen is None:
        raise Undefined("nothing seen yet")
    first = bars.index(milliseconds_of(seen[0]))
    begin = look.milliseconds(look.since)
    since = bars.index(begin)
    since += bars.start(since) < begin
    last = complete(bars, look.now)
    expected = last - max(first, since) + 1
    if expected < 1:
        raise Undefined("no whole bar in the window yet")
    found = sum(1 for index, _, _ in look.whole_bars(look.places(field)) if index >= first)
    return Found(float(expected - found), expected, None)


def _outliers(look: Look) -> Found:
    """Each value is judged once, by those before it, in the window or not."""
    last, limit = look.aggregation.options
    places = look.rows().places
    column = look.window.numbers[look.aggregation.field or ""]
    judge = _kept(
        look, ("outliers", look.aggregation), column.breaks,
        lambda: spread.Outliers(int(last), limit),
    )  # fmt: skip
    judge.feed(column.values)
    far, judged = judge.between(*look.slice(column))
    if not judged:
        raise Undefined(f"no value with {last:g} different ones before it")
    return _share(far, judged, places[-1])


def _every(look: Look) -> list[int]:
    places = look.places(None)
    if not places:
        raise Undefined("nothing in the window")
    return places


def _nulls(look: Look) -> Found:
    newest, counts = -1, []
    for columns in (look.columns(None), look.columns(look.aggregation.field)):
        slices = [(column, *look.slice(column)) for column in columns]
        counts.append(sum(hi - lo for _, lo, hi in slices))
        newest = max([newest, *(column.places[hi - 1] for column, lo, hi in slices if lo < hi)])
    every, some = counts
    if not every:
        raise Undefined("nothing in the window")
    return _share(every - some, every, newest)


def _missing(look: Look) -> Found:
    every = _every(look)
    complete_ones = set(every).intersection(*map(look.places, look.aggregation.fields))
    return _share(len(every) - len(complete_ones), len(every), every[-1])


def _out_of_range(look: Look) -> Found:
    low, high = look.aggregation.options
    places, (values,) = look.rows()
    return _share(sum(not low <= x <= high for x in values), len(values), places[-1])


def _out_of_order(look: Look) -> Found:
    """Places hold the time of the event, then the order of arrival."""
    every = _every(look)
    arrived = sorted(every, key=arrival)
    newest = accumulate(arrived, max)
    late = sum(stamp(b) < stamp(top) for top, b in zip(newest, arrived[1:], strict=False))
    return _share(late, len(every), every[-1])


def _duplicates(look: Look) -> Found:
    column: Column = look.window.all
    lo, hi = look.slice(column)
    keys = [key for key in column.keys[lo:hi] if key is not None]
    if not keys:
        raise Undefined("no observation has a `key`")
    return _share(len(keys) - len(set(keys)), len(keys), column.places[hi - 1])


FORMULAS: Mapping[str, Formula] = {
    "ewma": _ewma,
    "hit_rate": _hit_rate,
    "win_rate": _win_rate,
    "profit_factor": _of_values(
        lambda pnl, look: trades.profit_factor(pnl, int(look.aggregation.options[0]))
    ),
    "payoff": _of_values(lambda pnl, _: trades.payoff(pnl)),
    "max_consecutive_losses": _of_values(lambda pnl, _: float(trades.longest_row_of_losses(pnl))),
    "turnover": _turnover,
    "slippage": _slippage,
    "cost_per": _cost_per,
    "drawdown_duration": _drawdown_duration,
    "volatility": _of_returns(returns.volatility),
    "sharpe": _of_returns(returns.sharpe),
    "sortino": _of_returns(returns.sortino),
    "calmar": _of_returns(returns.calmar),
    "agreement": _agreement,
    "conflicts": _conflicts,
    "correlation": _correlation,
    "staleness": _staleness,
    "silent": _silent,
    "gaps": _gaps,
    "outliers": _outliers,
    "nulls": _nulls,
    "missing": _missing,
    "out_of_range": _out_of_range,
    "out_of_order": _out_of_order,
    "duplicates": _duplicates,
}
"""By name: those that `judge.aggregate` does not compute of one column alone."""
