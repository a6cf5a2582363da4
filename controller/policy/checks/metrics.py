"""Metrics: what they measure, from which source, in which unit."""

import re
from collections.abc import Iterator
from datetime import timedelta

from controller.policy.aggregation import (
    DRAWDOWNS,
    AggregationError,
    parse_aggregation,
)
from controller.policy.checks.context import Context, duration_text
from controller.policy.expression import Dimension, references
from controller.policy.findings import Finding
from controller.policy.models import Metric, Newest, OpenTime, SqlSource, window_length
from controller.policy.sampling import needed_samples
from controller.policy.units import UnitError, parse_unit

_QUOTED = re.compile(r"'[^'\n]*\$(version|since|now)\b[^'\n]*'")
_WITHOUT_UNIT = frozenset({"ratio", "count", "consecutive_losses"})


def parameters_are_bound(context: Context) -> Iterator[Finding]:
    """A parameter in quotes is a text that looks like one."""
    for name, metric in context.policy.metrics.items():
        quoted = _QUOTED.search(metric.query or "")
        if quoted is not None and isinstance(context.policy.sources.get(metric.source), SqlSource):
            message = f"${quoted[1]} in quotes is a text, and no parameter"
            hint = f"write ${quoted[1]} without quotes: it is bound, never pasted"
            yield context.places.at(("metrics", name, "query"), "P321", message, hint)


def aggregations(context: Context) -> Iterator[Finding]:
    """Every `value` can be read."""
    for name, metric in context.policy.metrics.items():
        if metric.value is None:
            continue
        try:
            parse_aggregation(metric.value)
        except AggregationError as error:
            where = ("metrics", name, "value")
            yield context.places.at(where, "P322", str(error), error.hint)


def units(context: Context) -> Iterator[Finding]:
    """Units exist and fit what is measured; a capital belongs to a drawdown."""
    for name, metric in context.policy.metrics.items():
        kind = _kind(metric)
        where = ("metrics", name, "unit")
        if metric.unit is not None:
            try:
                dimension = parse_unit(metric.unit).dimension
            except UnitError as error:
                yield context.places.at(where, "P323", str(error), error.hint)
                continue
            if kind in _WITHOUT_UNIT and dimension is not Dimension.NUMBER:
                message = f"{kind} gives a plain number, not {metric.unit}"
                yield context.places.at(where, "P323", message, "leave the unit out")
        if metric.capital is None:
            continue
        if kind not in DRAWDOWNS:
            message = "a capital makes a drawdown a fraction; this is no drawdown"
            hint = "leave it out, or write `value: max_drawdown(FIELD)`"
            yield context.places.at_key(("metrics", name, "capital"), "P323", message, hint)
        elif metric.unit is not None:
            message = f"a drawdown of a capital is a fraction, not {metric.unit}"
            yield context.places.at(where, "P323", message, "leave the unit out")


def windows_outlast_ticks(context: Context) -> Iterator[Finding]:
    """Between two looks no observation falls out of a window unseen."""
    tick = context.policy.schedule.tick
    for name, metric in context.policy.metrics.items():
        window = window_length(metric.window)
        # A window of nothing is reported by itself.
        if window is not None and timedelta(0) < window < tick:
            message = (
                f"{name} judges {duration_text(window)}, and looks come every "
                f"{duration_text(tick)}: what happens between is never seen"
            )
            kind = " open" if isinstance(metric.window, OpenTime) else ""
            hint = f"write `window: {duration_text(tick)}{kind}`, or a shorter tick"
            yield context.places.at(("metrics", name, "window"), "P349", message, hint)


def dependence_is_measured(context: Context) -> Iterator[Finding]:
    """`dependence` belongs to observations that are compared; a bar is not shorter than a tick."""
    read = {
        key for _, _, gate in context.gated() for line in gate for key in references(line.condition)
    }
    read.update(key for _, _, condition in context.guarded() for key in references(condition))
    for name, metric in context.policy.metrics.items():
        if metric.dependence is None:
            continue
        where = ("metrics", name, "dependence")
        if metric.value is None:
            message = "a query tells no observations apart: they are taken as independent"
            yield context.places.at_key(where, "P344", message, "leave it out")
        elif not {f"difference.{name}", f"estimate.{name}"} & read:
            hint = f"leave it out, or compare: not_worse({name}, margin: ...)"
            yield context.places.at_key(where, "P344", f"nothing compares {name}", hint)
        elif not metric.dependence:
            yield context.places.at(where, "P345", "dependence must not be zero",
                                    "write `independent`, or a duration")  # fmt: skip


def newest_are_enough(context: Context) -> Iterator[Finding]:
    """The newest so many are of a push source, and as many as are asked for."""
    for name, metric in context.policy.metrics.items():
        if not isinstance(metric.window, Newest):
            continue
        count, where = metric.window.count, ("metrics", name, "window")
        if metric.query is not None:
            message = "a query is given a start and an end, not a number of observations"
            hint = "write a duration, and `order by ... limit` in the query"
            yield context.places.at(where, "P321", message, hint)
            continue
        needed = needed_samples(metric, context.policy.sources.get(metric.source))
        if needed > count:
            message = (
                f"{name} needs {needed} samples and looks at {count}: it would never say anything"
            )
            hint = f"write `window: last {needed}`, or `min_samples: {count}`"
            yield context.places.at(where, "P326", message, hint)
    for number, trigger, condition in context.guarded():
        for key in references(condition):
            side, _, name = key.partition(".")
            read = context.policy.metrics.get(name)
            # What is compared adds up since the stage was entered.
            window = None if read is None or side in ("difference", "estimate") else read.window
            needed = trigger.min_samples or 0
            if isinstance(window, Newest) and needed > window.count:
                message = (
                    f"{trigger.name} needs {needed} samples, and {key} looks at {window.count}"
                )
                hint = f"write `min_samples: {window.count}`, or a longer window"
                place = ("triggers", number, "min_samples")
                yield context.places.at(place, "P326", message, hint)
                break


def deviations_are_used(context: Context) -> Iterator[Finding]:
    """`sd` belongs to what is compared, where the traffic is known."""
    conditions = [line.condition for _, _, gate in context.gated() for line in gate]
    conditions += [condition for _, _, condition in context.guarded()]
    compared = {
        name
        for condition in conditions
        for subject, _, name in (key.partition(".") for key in references(condition))
        if subject in ("difference", "estimate", "shift")
    }
    for name, metric in context.policy.metrics.items():
        if metric.sd is None:
            continue
        where = ("metrics", name, "sd")
        if name not in compared:
            hint = f"leave it out, or compare: not_worse({name}, margin: ...)"
            yield context.places.at_key(where, "P344", f"nothing compares {name}", hint)
        elif context.policy.traffic is None:
            message = "without the traffic nothing is reckoned with it"
            yield context.places.at_key(where, "P344", message, "add `traffic: 4000/h`")


def _kind(metric: Metric) -> str | None:
    try:
        return parse_aggregation(metric.value).name if metric.value is not None else None
    except AggregationError:
        return None
