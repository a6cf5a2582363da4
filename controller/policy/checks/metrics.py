"""Metrics: what they measure, from which source, in which unit."""

import re
from collections.abc import Iterator
from datetime import timedelta

from controller.policy.aggregation import DRAWDOWNS, AggregationError, parse_aggregation
from controller.policy.checks.context import Context, duration_text
from controller.policy.expression import Dimension, references
from controller.policy.findings import Finding
from controller.policy.models import Metric, SqlSource
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
        window = metric.window
        # A window of nothing is reported by itself.
        if isinstance(window, timedelta) and timedelta(0) < window < tick:
            message = (
                f"{name} judges {duration_text(window)}, and looks come every "
                f"{duration_text(tick)}: what happens between is never seen"
            )
            hint = f"write `window: {duration_text(tick)}`, or a shorter tick"
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
