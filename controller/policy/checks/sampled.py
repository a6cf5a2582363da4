"""What can be known of a number that was asked for: of how many, how old, how far apart."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from controller.policy.aggregation import AggregationError
from controller.policy.checks.context import Context, duration_text
from controller.policy.expression import Condition, references
from controller.policy.findings import Finding
from controller.policy.models import Metric
from controller.policy.placeholders import SAMPLE, PlaceholderError, fill_promql
from controller.policy.sampling import MOST_POINTS, counted, default_min_samples, points_of
from controller.policy.selector import is_selector
from controller.policy.source import HttpSource, OpenMetricsSource, PrometheusSource
from controller.policy.units import RATIO

LOOKBACK = timedelta(minutes=5)
"""How old a sample may be that Prometheus still answers with, unless it is told otherwise."""


def samples_are_known(context: Context) -> Iterator[Finding]:
    """`min_samples` is asked of metrics that can tell their samples only."""
    unknown = {
        name
        for name, metric in context.policy.metrics.items()
        if counted(metric, context.policy.sources.get(metric.source)) == "nothing"
    }
    for name in sorted(unknown):
        if context.policy.metrics[name].min_samples:
            yield _unknown(context, name, ("metrics", name, "min_samples"))
    for number, trigger, condition in context.guarded():
        read = {key.partition(".")[2] for key in references(condition)} & unknown
        if trigger.min_samples and read:
            yield _unknown(context, min(read), ("triggers", number, "min_samples"))


def _unknown(context: Context, name: str, where: tuple[str | int, ...]) -> Finding:
    message = f"nobody knows of how many observations {name} is made, so they are never enough"
    hint = f"add `samples:` to {name}, a query that counts them, or leave min_samples out"
    return context.places.at_key(where, "P321", message, hint)


def points_are_enough(context: Context) -> Iterator[Finding]:
    """A window has as many points as are needed, and not more than Prometheus gives."""
    for name, metric in context.policy.metrics.items():
        source, window = context.policy.sources.get(metric.source), metric.window
        if not (isinstance(source, PrometheusSource) and metric.value and metric.query):
            continue
        if not isinstance(window, timedelta) or not window or metric.step == timedelta(0):
            continue
        points = points_of(metric.step, window)
        if points > MOST_POINTS:
            message = f"{points:,} points in {duration_text(window)}; at most {MOST_POINTS:,} come"
            hint = "leave the step out, or write a longer one"
            yield context.places.at(("metrics", name, "step"), "P321", message, hint)
        try:
            needed = metric.min_samples
            needed = default_min_samples(metric, source) if needed is None else needed
        except AggregationError:
            continue
        if points < needed:
            message = (
                f"{name} needs {needed} points, and {duration_text(window)} have {points}, one "
                f"every {duration_text(window / points)}"
            )
            hint = f"`min_samples: {points}`, a longer window, or a shorter step"
            key = "value" if metric.min_samples is None else "min_samples"
            yield context.places.at(("metrics", name, key), "P338", message, hint)


def age_can_be_seen(context: Context) -> Iterator[Finding]:
    """An answer of Prometheus may be made of samples five minutes old, and does not say so."""
    for name, metric in context.policy.metrics.items():
        source = context.policy.sources.get(metric.source)
        if not isinstance(source, PrometheusSource) or metric.max_age is None:
            continue
        if metric.value is None and metric.as_of is None and metric.max_age < LOOKBACK:
            if _is_plain(metric.query or ""):
                continue
            message = (
                f"Prometheus answers with samples up to {duration_text(LOOKBACK)} old and does not "
                f"tell, so {duration_text(metric.max_age)} could never be seen"
            )
            hint = "add `as_of: 'max(timestamp(NAME{...}))'` with a metric that the query reads"
            yield context.places.at(("metrics", name, "max_age"), "P321", message, hint)


def _is_plain(query: str) -> bool:
    try:
        return is_selector(fill_promql(query, SAMPLE))
    except PlaceholderError:
        return True  # found already


def differences_have_bounds(context: Context) -> Iterator[Finding]:
    """What is compared statistically is a share of observations, or has been observed here."""
    places: list[tuple[tuple[Any, ...], Condition]] = [
        (("stages", number, "advance", line.index), line.condition)
        for number, _, gate in context.gated()
        for line in gate
    ]
    places += [(("triggers", n, "when"), condition) for n, _, condition in context.guarded()]
    for where, condition in places:
        for key in references(condition):
            subject, _, name = key.partition(".")
            metric = context.policy.metrics.get(name)
            if subject != "difference" or metric is None or _has_bounds(context, metric):
                continue
            message = f"the difference of {name} has no bounds: only its value is known"
            hint = (
                f"compare by hand: candidate.{name} <= 1.2 * baseline.{name}; or give {name} "
                "`unit: ratio` and `samples`, if it is a share of observations"
            )
            yield context.places.at(where, "P207", message, hint)


def _has_bounds(context: Context, metric: Metric) -> bool:
    source = context.policy.sources.get(metric.source)
    if not isinstance(source, PrometheusSource | HttpSource | OpenMetricsSource):
        return True
    return metric.value is None and metric.samples is not None and metric.unit == RATIO
