"""From a window to one number: the aggregations that a metric may name.

Every aggregation looks at the observations of (since, now] by event time that carry the field;
their number is `samples`. The text of the aggregation is parsed by `policy.aggregation`. Where the
window reaches past the observations that are held, it begins at the start of a slice of time, and
quantiles come of sketches: `detail` then says how far the number is approximate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite, sqrt

from msgspec.structs import replace

from controller.core.assess import span
from controller.core.calendar import ALWAYS, Calendar, milliseconds
from controller.core.measurement import Measurement
from controller.judge import quantile
from controller.judge.column import Column, moment, place_after
from controller.judge.folded import OBSERVATIONS, Key
from controller.judge.formulas import FORMULAS, answer
from controller.judge.look import look_at
from controller.judge.summary import Part, joined, total
from controller.judge.undefined import Undefined
from controller.judge.window import Window
from controller.policy.aggregation import (
    DRAWDOWNS,
    Aggregation,
    AggregationError,
    parse_aggregation,
)
from controller.policy.formulas import AGGREGATIONS, Gives

parse = lru_cache(maxsize=4096)(parse_aggregation)

MEMO_LIMIT = 64
"""Answers remembered per field."""
_WHOLE = "whole"
TOTALS = frozenset({"sum", "count"})
"""Of a period that has begun, and in which nothing was seen yet, these are 0."""


@dataclass(frozen=True, slots=True)
class Number:
    """What an aggregation gives. `mean` and `variance` are of one observation."""

    value: float
    mean: float | None = None
    variance: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the values: the aggregation, the capital of a drawdown, and how many
    seconds the window has, for a rate."""

    aggregation: Aggregation
    capital: float | None
    seconds: float


Of = Callable[[Part, Asked], Number]


def measure(
    window: Window | None,
    expression: str,
    since: datetime,
    now: datetime,
    *,
    newest: int | None = None,
    capital: float | None = None,
    factor: float = 1.0,
    through: int | None = None,
    other: Window | None = None,
    bar: timedelta | None = None,
    calendar: Calendar = ALWAYS,
    resets: bool = False,
) -> Measurement:
    """`expression` over the observations of `window` in (since, now], or over the `newest` so
    many of them that carry the field.

    `factor` takes one of the field's unit to the base unit; counts and ratios have none.
    `capital`, in the field's unit, makes a drawdown a fraction. `other` is the window of the
    other version, for what is about both; `bar` and `calendar` are for what is made of bars, and
    ages count open time. `through` is passed on. `resets`: the window is a period that has begun,
    so that totals of nothing are 0, as old as the newest value before. Status `no_data` where the
    aggregation is undefined, `error` where `expression` is none, or needs observations that are
    folded."""
    try:
        aggregation = parse(expression)
    except AggregationError as error:
        return Measurement(status="error", detail=f"{error}: {error.hint}")
    if window is None:
        return _empty(aggregation, None, "nothing was ever seen of this version", through)
    if aggregation.name in FORMULAS:
        look = look_at(aggregation, window, other, since, now, newest, capital, bar, calendar)
        return answer(look, factor, through)
    key, column = _column(window, aggregation)
    if column is None:
        return _empty(aggregation, window, f"no value of {aggregation.field} yet", through)
    lo, hi = column.between(since, now, newest)
    first, after = _slices(window, key, since, now, None if newest is None else newest - hi + lo)
    seconds = 0.0
    if aggregation.name == "rate":
        seconds = (now - _begin(window, column, first, after, lo, newest, since)).total_seconds()
    asked, state = (expression, capital, factor), (lo, hi, column.breaks, through, seconds)
    if first == after and (known := column.memo.get(asked)) is not None and known[0] == state:
        remembered: Measurement = known[1]
        return remembered
    whole = _whole(window, key, column, (first, after, lo, hi))
    if whole is None:
        newest_before = _before(window, key, column, since) if resets else None
        if newest_before is not None and aggregation.name in TOTALS:
            return Measurement(value=0.0, as_of=newest_before, through=through)
        return _nothing(aggregation, window, since, now, through)
    found = _of_part(window, whole, Asked(aggregation, capital, seconds), factor, through)
    if first == after:
        if len(column.memo) >= MEMO_LIMIT:
            column.memo.clear()
        column.memo[asked] = (state, found)
    elif found.value is not None:
        begin = moment(window.folded.slices[first].first)
        found = replace(found, detail=_approximately(aggregation, whole, since - begin, newest))
    return found


def _begin(
    window: Window,
    column: Column,
    first: int,
    after: int,
    lo: int,
    newest: int | None,
    since: datetime,
) -> datetime:
    """When a window begins; one of the newest so many at the oldest of them."""
    if newest is None or (first == after and lo == len(column.places)):
        return since
    return moment(column.places[lo] if first == after else window.folded.slices[first].first)


def _before(window: Window, key: Key, column: Column, since: datetime) -> datetime | None:
    """Event time of the newest value of a field up to `since`; None where there is none."""
    held = column.between(moment(0), since)[1]
    if held:
        return moment(column.places[held - 1])
    folded = window.folded
    first, after = folded.between(-1, place_after(since))
    last = folded.newest(key, first, after, 1)
    return (
        moment(folded.slices[last].last)
        if last < after and folded.slices[last].count(key)
        else None
    )


def _whole(
    window: Window, key: Key, column: Column, bounds: tuple[int, int, int, int]
) -> Part | None:
    """What is folded and what is held of a field within the bounds; remembered, since other
    metrics of the same tick look at the same."""
    first, after, lo, hi = bounds
    state = (bounds, column.breaks, window.folded.changes)
    known = column.memo.get(_WHOLE)
    if known is not None and known[0] == state:
        found: Part | None = known[1]
        return found
    parts = [*window.folded.parts(key, first, after), *column.parts(lo, hi)]
    found = joined(parts) if parts else None
    column.memo[_WHOLE] = (state, found)
    return found


def _of_part(
    window: Window, whole: Part, asked: Asked, factor: float, through: int | None
) -> Measurement:
    aggregation, capital = asked.aggregation, asked.capital
    is_fraction = capital is not None and aggregation.name in DRAWDOWNS
    if is_fraction and capital is not None and capital <= 0:
        return _empty(aggregation, window, "no capital to measure a fall from", through)
    try:
        number = _AGGREGATIONS[aggregation.name](whole, asked)
    except Undefined as undefined:
        return _empty(aggregation, window, str(undefined), through)
    in_unit = AGGREGATIONS[aggregation.name].gives is Gives.FIELD and not is_fraction
    scale = factor if in_unit else 1.0
    value = number.value * scale
    if not isfinite(value):
        return _empty(aggregation, window, "too large to be told", through)
    return Measurement(
        value=value,
        samples=whole.count,
        mean=None if number.mean is None else number.mean * scale,
        variance=None if number.variance is None else number.variance * scale * scale,
        as_of=moment(whole.newest),
        through=through,
    )


def _slices(
    window: Window, key: Key, since: datetime, now: datetime, wanted: int | None
) -> tuple[int, int]:
    """Which slices of what is no longer held belong to the window; to one of the newest so many,
    as many of the newest as it takes to have `wanted`."""
    start, folded = place_after(since), window.folded
    if start >= folded.until or (wanted is not None and wanted <= 0):
        return 0, 0
    first, after = folded.between(start, place_after(now))
    return (first if wanted is None else folded.newest(key, first, after, wanted)), after


def _approximately(
    aggregation: Aggregation, whole: Part, early: timedelta, newest: int | None
) -> str:
    """How far a number is approximate; nothing where it is not. `early` is how long before its
    window the first slice begins."""
    words = []
    if newest is not None and whole.count > newest:
        words.append(f"of the newest {whole.count:,}")
    elif newest is None and early >= timedelta(0):
        words.append(f"its window begins {span(milliseconds(early))} early")
    if aggregation.name == "quantile":
        words.append(f"within {quantile.error(whole):.2g} of the value")
    return f"approximate: {', '.join(words)}" if words else ""


def _column(window: Window, aggregation: Aggregation) -> tuple[Key, Column | None]:
    field = aggregation.field
    if field is None:
        return OBSERVATIONS, window.all
    found = window.numbers.get(field)
    if found is None and aggregation.name == "count":
        return (field,), window.texts.get(field)
    return field, found


def _nothing(
    aggregation: Aggregation, window: Window, since: datetime, now: datetime, through: int | None
) -> Measurement:
    """No data; but among observations of which none has a field that others had, the count and
    the rate of that field are 0."""
    if aggregation.name in ("count", "rate") and aggregation.field is not None:
        seen = measure(window, "count()", since, now, through=through)
        if seen.status == "ok":
            return replace(seen, value=0.0)
    return _empty(aggregation, window, "nothing in the window", through)


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


def _count(whole: Part, _: Asked) -> Number:
    """How many. In 1; 0 when there are none."""
    return Number(float(whole.count))


def _sum(whole: Part, _: Asked) -> Number:
    """Sum, rounded once. In the field's unit; undefined of nothing."""
    return Number(total(whole.sums))


def _mean(whole: Part, _: Asked) -> Number:
    """Sum / n. In the field's unit; undefined of nothing."""
    mean, variance = _moments(whole)
    return Number(mean, mean, variance)


def _ratio(whole: Part, _: Asked) -> Number:
    """Share p of values that are not 0 (true). Between 0 and 1; undefined of nothing. The
    variance of one observation is p(1 - p)."""
    share = whole.nonzero / whole.count
    return Number(share, share, share * (1.0 - share))


def _min(whole: Part, _: Asked) -> Number:
    """Smallest value. In the field's unit; undefined of nothing."""
    return Number(whole.low)


def _max(whole: Part, _: Asked) -> Number:
    """Largest value. In the field's unit; undefined of nothing."""
    return Number(whole.high)


def _last(whole: Part, _: Asked) -> Number:
    """Value of the newest event time. In the field's unit; undefined of nothing."""
    return Number(whole.last)


def _quantile(whole: Part, asked: Asked) -> Number:
    """See `quantile.quantile`. In the field's unit; undefined of nothing. Mean and variance are
    those of the field."""
    assert asked.aggregation.argument is not None
    return Number(quantile.quantile(whole, asked.aggregation.argument), *_moments(whole))


def _std(whole: Part, _: Asked) -> Number:
    """Standard deviation, n - 1. In the field's unit; undefined of one value."""
    variance = _moments(whole)[1]
    if variance is None:
        raise Undefined("one value has no deviation")
    return Number(sqrt(variance))


def _rate(whole: Part, asked: Asked) -> Number:
    """Number of observations, or sum of the field, for each `per` seconds of the window. Undefined
    in a window without length."""
    if asked.seconds <= 0:
        raise Undefined("the window has no length yet")
    assert asked.aggregation.argument is not None
    all_of = float(whole.count) if asked.aggregation.field is None else total(whole.sums)
    return Number(all_of * asked.aggregation.argument / asked.seconds)


def _consecutive_losses(whole: Part, _: Asked) -> Number:
    """How many of the newest values in a row are below 0; a value of 0 ends the row. In 1;
    undefined of nothing."""
    return Number(float(whole.losses))


def _drawdown(whole: Part, asked: Asked) -> Number:
    """How far equity E = capital + running sum stands below its peak P, the start counted as a
    value: 1 - E / P with a capital (a fraction), P - E without (in the field's unit). The capital
    must be above 0."""
    course = whole.course
    return Number(_fall(course.high, course.end, asked.capital))


def _max_drawdown(whole: Part, asked: Asked) -> Number:
    """The deepest that equity ever stood below its peak; see `_drawdown`."""
    falls = whole.course.falls
    return Number(max((_fall(peak, after, asked.capital) for peak, after in falls), default=0.0))


def _fall(peak: float, after: float, capital: float | None) -> float:
    return peak - after if capital is None else (peak - after) / (capital + peak)


def _moments(whole: Part) -> tuple[float, float | None]:
    """Mean and sample variance, n - 1; no variance of a single value."""
    mean = total(whole.sums) / whole.count
    if whole.count < 2 or not isfinite(mean):
        return mean, None
    variance = whole.spread / (whole.count - 1)
    return mean, variance if isfinite(variance) else None


_AGGREGATIONS: Mapping[str, Of] = {
    "count": _count,
    "sum": _sum,
    "mean": _mean,
    "ratio": _ratio,
    "min": _min,
    "max": _max,
    "last": _last,
    "quantile": _quantile,
    "std": _std,
    "rate": _rate,
    "expectancy": _mean,
    "consecutive_losses": _consecutive_losses,
    "drawdown": _drawdown,
    "max_drawdown": _max_drawdown,
}
