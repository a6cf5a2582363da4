"""What the samples of a metric are: observations, points of a curve, or nothing that is known."""

from datetime import timedelta
from typing import Literal, assert_never

from controller.policy.aggregation import (
    DEFAULT_SAMPLES,
    STATISTICAL,
    AggregationError,
    parse_aggregation,
)
from controller.policy.models import Metric, Policy
from controller.policy.source import (
    HttpSource,
    OpenMetricsSource,
    PluginSource,
    PrometheusSource,
    PushSource,
    Source,
    SqlSource,
)
from controller.policy.values import BarCount, window_length

ALWAYS = "24/7"
"""The calendar in which a day has 24 hours."""
DAY = timedelta(days=1)
MOST_POINTS = 11_000
"""Points of one series that Prometheus gives at a time."""
STEP = timedelta(seconds=15)
_POINTS = 1000
"""Points of a window, at most, for which no step is declared."""


def counted(metric: Metric, source: Source | None) -> Literal["observations", "points", "nothing"]:
    """What `samples` of a measurement counts. `nothing`: the source gives a number and no more."""
    match source:
        case PushSource() | SqlSource() | PluginSource() | None:
            return "observations"
        case OpenMetricsSource():
            return "points"
        case PrometheusSource() | HttpSource():
            if metric.samples is not None:
                return "observations"
            return "nothing" if metric.value is None else "points"
        case _:
            assert_never(source)


def default_min_samples(metric: Metric, source: Source | None) -> int:
    """`min_samples` of a metric that declares none: 30 where the number says little about few,
    which is a statistical aggregation and a query that counts; 0 for the rest, and where nobody
    knows the number. Raises AggregationError."""
    if counted(metric, source) == "nothing" or isinstance(source, PluginSource):
        return 0
    if metric.value is None:
        return DEFAULT_SAMPLES if counted(metric, source) == "observations" else 0
    return DEFAULT_SAMPLES if parse_aggregation(metric.value).name in STATISTICAL else 0


def points_of(step: timedelta | None, window: timedelta) -> int:
    """How many points of a range query lie in a window, the last one at its end."""
    return -(-window // step_of(step, window))


def step_of(step: timedelta | None, window: timedelta) -> timedelta:
    """From point to point of a range query: what is declared, or 15s, in whole seconds longer
    where more than 1000 points would come of it."""
    if step is not None:
        return step
    return max(STEP, timedelta(seconds=-(-window // timedelta(seconds=_POINTS))))


def judged_time(policy: Policy, metric: Metric) -> timedelta | None:
    """How much time a metric judges; None where only the calendar or the rollout can say."""
    window = metric.window
    if not isinstance(window, BarCount):
        return window_length(window)
    whole = metric.bar == DAY and policy.schedule.calendar != ALWAYS
    return None if whole or metric.bar is None else window.count * metric.bar


def needed_samples(metric: Metric, source: Source | None) -> int:
    """Observations without which a metric says nothing; 0 if its aggregation cannot be read."""
    if metric.min_samples is not None:
        return metric.min_samples
    try:
        return default_min_samples(metric, source)
    except AggregationError:
        return 0
