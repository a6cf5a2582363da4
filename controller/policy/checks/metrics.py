"""Metrics: what they measure, from which source, in which unit."""

from collections.abc import Iterator
from datetime import timedelta

from controller.policy.aggregation import (
    DRAWDOWNS,
    AggregationError,
    parse_aggregation,
)
from controller.policy.checks.context import Context, duration_text, needed_samples
from controller.policy.expression import Dimension, references
from controller.policy.findings import Finding
from controller.policy.models import Metric, Newest, OpenTime, PushSource, window_length
from controller.policy.units import UnitError, parse_unit

_WITHOUT_UNIT = frozenset({"ratio", "count", "consecutive_losses"})


def fits_its_source(context: Context) -> Iterator[Finding]:
    """A push metric is a `value`, a sql metric a `query`."""
    for name, metric in context.policy.metrics.items():
        source = context.policy.sources.get(metric.source)
        if source is None:
            continue
        push = isinstance(source, PushSource)
        wanted, other = ("value", "query") if push else ("query", "value")
        example = "mean(FIELD)" if push else "select avg(x) as value from t where ..."
        if getattr(metric, wanted) is None:
            message = f"metric {name} has no {wanted}, and source {metric.source} needs one"
            hint = f"add `{wanted}: {example}`"
            yield context.places.at_key(("metrics", name), "P321", message, hint)
        if getattr(metric, other) is not None:
            message = f"a {source.type} source has no {other}"
            where = ("metrics", name, other)
            hint = f"leave it out, or name a source of another type than {source.type}"
            yield context.places.at_key(where, "P321", message, hint)


def tells_versions_apart(context: Context) -> Iterator[Finding]:
    """A query that is compared between versions must ask for one."""
    read = {
        key for _, _, gate in context.gated() for line in gate for key in references(line.condition)
    }
    read.update(key for _, _, condition in context.guarded() for key in references(condition))
    for name, metric in context.policy.metrics.items():
        if metric.query is None or "$version" in metric.query:
            continue
        sides = {f"candidate.{name}", f"baseline.{name}"}
        if f"difference.{name}" in read or sides <= read:
            message = f"{name} is compared between versions, but its query asks for none"
            hint = "add `where version = $version`"
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
        needed = needed_samples(metric)
        if needed > count:
            message = (
                f"{name} needs {needed} samples and looks at {count}: it would never say anything"
            )
            hint = f"write `window: last {needed}`, or `min_samples: {count}`"
            yield context.places.at(where, "P326", message, hint)
    for number, trigger, condition in context.guarded():
        for key in references(condition):
            read = context.policy.metrics.get(key.partition(".")[2])
            window = None if read is None else read.window
            needed = trigger.min_samples or 0
            if isinstance(window, Newest) and needed > window.count:
                message = (
                    f"{trigger.name} needs {needed} samples, and {key} looks at {window.count}"
                )
                hint = f"write `min_samples: {window.count}`, or a longer window"
                place = ("triggers", number, "min_samples")
                yield context.places.at(place, "P326", message, hint)
                break


def _kind(metric: Metric) -> str | None:
    try:
        return parse_aggregation(metric.value).name if metric.value is not None else None
    except AggregationError:
        return None
