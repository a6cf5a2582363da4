"""From a window to one number: the aggregations that a metric may name.

Every aggregation looks at the observations of (since, now] by event time that carry the field;
their number is `samples`. The text of the aggregation is parsed by `policy.aggregation`.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import dist, fsum, isfinite

from msgspec.structs import replace

from controller.core.calendar import ALWAYS, Calendar
from controller.core.measurement import Measurement
from controller.judge.formulas import FORMULAS, answer
from controller.judge.look import Look
from controller.judge.running import Running
from controller.judge.window import Column, Window, moment
from controller.policy.aggregation import (
    DRAWDOWNS,
    Aggregation,
    AggregationError,
    parse_aggregation,
)

parse = lru_cache(maxsize=4096)(parse_aggregation)

MEMO_LIMIT = 64
"""Answers remembered per field."""


@dataclass(frozen=True, slots=True)
class Number:
    """What an aggregation gives. `mean` and `variance` are of one observation."""

    value: float
    mean: float | None = None
    variance: float | None = None


Slice = Callable[[list[float], Aggregation], Number]


def measure(
    window: Window | None,
    expression: str,
    since: datetime,
    now: datetime,
    *,
    capital: float | None = None,
    factor: float = 1.0,
    through: int | None = None,
    other: Window | None = None,
    bar: timedelta | None = None,
    calendar: Calendar = ALWAYS,
) -> Measurement:
    """`expression` over the observations of `window` in (since, now].

    `factor` takes one of the field's unit to the base unit; counts and ratios have none.
    `capital`, in the field's unit, makes a drawdown a fraction. `other` is the window of the
    other version, for what is about both; `bar` and `calendar` are for what is made of bars, and
    ages count open time. `through` is passed on. Status `no_data` where the aggregation is
    undefined, `error` where `expression` is none."""
    try:
        aggregation = parse(expression)
    except AggregationError as error:
        return Measurement(status="error", detail=f"{error}: {error.hint}")
    if window is None:
        return _empty(aggregation, None, "nothing was ever seen of this version", through)
    if aggregation.name in FORMULAS:
        look = Look(aggregation, window, other, since, now, capital, bar, calendar)
        return answer(look, factor, through)
    column = _column(window, aggregation)
    if column is None:
        if aggregation.name in WHOLE and window.missing_since(since):
            return _incomplete(window, through)
        return _empty(aggregation, window, f"no value of {aggregation.field} yet", through)
    lo, hi = column.between(since, now)
    carried = None
    if aggregation.name in WHOLE:
        if not window.missing_since(since):
            column.needs_all((capital, since), now)
        else:
            carried = column.carried.get((capital, since))
            if carried is None or window.missing_since(now):
                return _incomplete(window, through)
    if lo == hi and carried is None:
        return _nothing(aggregation, window, since, now, through)
    asked = (expression, capital, factor)
    state = (lo, hi, column.breaks, None if carried is None else since, through)
    known = column.memo.get(asked)
    if known is not None and known[0] == state:
        found: Measurement = known[1]
    else:
        found = _of_slice(window, column, aggregation, lo, hi, capital, factor, through, carried)
        if found.samples:
            if len(column.memo) >= MEMO_LIMIT:
                column.memo.clear()
            column.memo[asked] = (state, found)
    if carried is None and found.value is not None and window.missing_since(since):
        detail = f"incomplete: the {window.dropped} oldest observations were dropped"
        return replace(found, detail=detail)
    return found


def _of_slice(
    window: Window,
    column: Column,
    aggregation: Aggregation,
    lo: int,
    hi: int,
    capital: float | None,
    factor: float,
    through: int | None,
    carried: Running | None,
) -> Measurement:
    if aggregation.name in DRAWDOWNS:
        if capital is not None and capital <= 0:
            return _empty(aggregation, window, "no capital to measure a fall from", through)
        number = _drawdown(column, aggregation, lo, hi, capital, carried)
    elif carried is not None:
        number = _with_dropped(column.values[lo:hi], aggregation, carried)
    else:
        number = _SLICES[aggregation.name](column.values[lo:hi], aggregation)
    is_fraction = capital is not None and aggregation.name in DRAWDOWNS
    scale = 1.0 if is_fraction or aggregation.name in _UNITLESS else factor
    value = number.value * scale
    if not isfinite(value):
        return _empty(aggregation, window, "too large to be told", through)
    return Measurement(
        value=value,
        samples=hi - lo + (carried.count if carried is not None else 0),
        mean=None if number.mean is None else number.mean * scale,
        variance=None if number.variance is None else number.variance * scale * scale,
        as_of=moment(column.places[hi - 1] if hi > lo or carried is None else carried.last),
        through=through,
    )


def _column(window: Window, aggregation: Aggregation) -> Column | None:
    field = aggregation.field
    if field is None:
        return window.all
    found = window.numbers.get(field)
    if found is None and aggregation.name == "count":
        return window.texts.get(field)
    return found


def _nothing(
    aggregation: Aggregation, window: Window, since: datetime, now: datetime, through: int | None
) -> Measurement:
    """No data; but among observations of which none has a field that others had, the count of
    that field is 0."""
    lo, hi = window.all.between(since, now)
    if aggregation.name == "count" and lo < hi:
        as_of = moment(window.all.places[hi - 1])
        return Measurement(value=0.0, samples=hi - lo, as_of=as_of, through=through)
    return _empty(aggregation, window, "nothing in the window", through)


def _incomplete(window: Window, through: int | None) -> Measurement:
    """Never a number made of a part."""
    words = (
        f"it needs all observations of its window, and only the newest {len(window):,} are held "
        f"({window.dropped:,} dropped): give it a shorter window"
    )
    return Measurement(status="error", detail=words, through=through)


def _empty(
    aggregation: Aggregation, window: Window | None, why: str, through: int | None
) -> Measurement:
    field = aggregation.field
    ignored = window.ignored.get(field, 0) if window is not None and field else 0
    if ignored:
        why += f"; {ignored} values of {field} were null, NaN or infinite"
    if window is not None and field in window.texts:
        why += f"; {field} holds text"
    return Measurement(status="no_data", detail=why, through=through)


# The aggregations -------------------------------------------------------------------------


def _count(values: list[float], _: Aggregation) -> Number:
    """How many. In 1; 0 when there are none."""
    return Number(float(len(values)))


def _sum(values: list[float], _: Aggregation) -> Number:
    """Sum, rounded once. In the field's unit; undefined of nothing."""
    return Number(_total(values))


def _mean(values: list[float], _: Aggregation) -> Number:
    """Sum / n. In the field's unit; undefined of nothing."""
    mean, variance = _moments(values)
    return Number(mean, mean, variance)


def _ratio(values: list[float], _: Aggregation) -> Number:
    """Share p of values that are not 0 (true). Between 0 and 1; undefined of nothing. The
    variance of one observation is p(1 - p)."""
    share = (len(values) - values.count(0.0)) / len(values)
    return Number(share, share, share * (1.0 - share))


def _min(values: list[float], _: Aggregation) -> Number:
    """Smallest value. In the field's unit; undefined of nothing."""
    return Number(min(values))


def _max(values: list[float], _: Aggregation) -> Number:
    """Largest value. In the field's unit; undefined of nothing."""
    return Number(max(values))


def _last(values: list[float], _: Aggregation) -> Number:
    """Value of the newest event time. In the field's unit; undefined of nothing."""
    return Number(values[-1])


def _quantile(values: list[float], aggregation: Aggregation) -> Number:
    """Linear between the two values around place (n - 1) q of the sorted ones (type 7 of
    Hyndman and Fan, 1996). In the field's unit; undefined of nothing. Mean and variance are
    those of the field."""
    assert aggregation.argument is not None
    ordered = sorted(values)
    place = (len(ordered) - 1) * aggregation.argument
    below = int(place)
    low = ordered[below]
    high = ordered[min(below + 1, len(ordered) - 1)]
    return Number(low + (high - low) * (place - below), *_moments(values))


def _consecutive_losses(values: list[float], _: Aggregation) -> Number:
    """How many of the newest values in a row are below 0; a value of 0 ends the row. In 1;
    undefined of nothing."""
    row = 0
    for value in reversed(values):
        if value >= 0:
            break
        row += 1
    return Number(float(row))


def _drawdown(
    column: Column,
    aggregation: Aggregation,
    lo: int,
    hi: int,
    capital: float | None,
    carried: Running | None,
) -> Number:
    """Fall of equity E = capital + running sum from its peak, the start counted as a value:
    1 - E / peak with a capital (a fraction), peak - E without (in the field's unit). `drawdown`
    is where E stands now, `max_drawdown` the deepest. The capital must be above 0."""
    remembered = ("running", capital, None if carried is None else id(carried))
    known = column.memo.get(remembered)
    # A slice that only grew at its end goes on where it was: the same sums in the same order.
    start = (lo, carried is None, column.breaks)
    if known is not None and known[0] == start and known[1] <= hi:
        begin, running = known[1], known[2]
    else:
        begin, running = lo, copy(carried) if carried is not None else Running(capital)
    running.feed(column.values[begin:hi])
    column.memo[remembered] = (start, hi, running)
    return Number(running.deepest if aggregation.name == "max_drawdown" else running.fall)


def _with_dropped(values: list[float], aggregation: Aggregation, carried: Running) -> Number:
    """The same of all values, of which some were dropped."""
    match aggregation.name:
        case "count":
            return Number(float(carried.count + len(values)))
        case "sum":
            return Number(carried.total + _total(values))
        case "min":
            return Number(min((carried.low, *values)))
        case _:
            return Number(max((carried.high, *values)))


def _moments(values: list[float]) -> tuple[float, float | None]:
    """Mean and sample variance, n - 1; no variance of a single value. `dist` sums the squares
    in C, with one rounding."""
    count = len(values)
    mean = _total(values) / count
    if count < 2 or not isfinite(mean):
        return mean, None
    variance = dist(values, (mean,) * count) ** 2 / (count - 1)
    return mean, variance if isfinite(variance) else None


def _total(values: list[float]) -> float:
    try:
        return fsum(values)
    except OverflowError:
        return float("inf")


WHOLE = DRAWDOWNS | {"count", "sum", "min", "max"}
"""Aggregations that are wrong when a part of the window is missing; the others are of a sample."""
_UNITLESS = frozenset({"count", "ratio", "consecutive_losses"})
_SLICES: Mapping[str, Slice] = {
    "count": _count,
    "sum": _sum,
    "mean": _mean,
    "ratio": _ratio,
    "min": _min,
    "max": _max,
    "last": _last,
    "quantile": _quantile,
    "consecutive_losses": _consecutive_losses,
}
