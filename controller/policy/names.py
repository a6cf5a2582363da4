"""What conditions may speak of: metrics with their units and ranges, and sources."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from controller.policy.aggregation import (
    COMPARABLE,
    DRAWDOWNS,
    STATISTICAL,
    AggregationError,
    parse_aggregation,
)
from controller.policy.budgets import Spending, metrics_of, spendings
from controller.policy.expression import Unit
from controller.policy.models import Metric, Policy, PushSource
from controller.policy.units import COUNT, PLAIN, RATIO, UnitError, metric_unit


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric as conditions know it. Its values are from `low` to `high`, in the base unit.
    `comparable`: the difference of the two versions can be bounded. `sampled`: there are single
    observations that can be ranked. `ratio`: from 0 to 1 by definition."""

    unit: Unit = PLAIN
    low: float = -inf
    high: float = inf
    better: Literal["higher", "lower"] | None = None
    comparable: bool = True
    sampled: bool = True

    @property
    def ratio(self) -> bool:
        """Whether it is a share of observations, 0 to 1."""
        return (self.low, self.high) == (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Names:
    """Everything that a condition may refer to. `observed` are the sources of observations."""

    metrics: Mapping[str, MetricName]
    sources: frozenset[str] = frozenset()
    observed: frozenset[str] = frozenset()
    budgets: Mapping[str, Mapping[str, Spending]] = field(default_factory=dict)
    """By name and unit of the period."""


def names_of(policy: Policy) -> Names:
    """The names of a policy. A metric with a broken unit or aggregation, which `check` reports,
    counts as a plain number of any size here."""
    metrics = {name: _metric(metric) for name, metric in metrics_of(policy).items()}
    observed = {name for name, source in policy.sources.items() if isinstance(source, PushSource)}
    budgets: dict[str, dict[str, Spending]] = {}
    for spending in spendings(policy):
        budgets.setdefault(spending.budget, {})[spending.period.unit] = spending
    return Names(metrics, frozenset(policy.sources), frozenset(observed), budgets)


def _metric(metric: Metric) -> MetricName:
    try:
        unit = metric_unit(metric)
    except UnitError:
        unit = PLAIN
    try:
        kind = parse_aggregation(metric.value).name if metric.value is not None else None
    except AggregationError:
        kind = None
    low, high = _range(metric, kind)
    comparable = kind is None or kind in COMPARABLE
    return MetricName(unit, low, high, metric.better, comparable, kind in STATISTICAL)


def _range(metric: Metric, kind: str | None) -> tuple[float, float]:
    if kind == "ratio" or metric.unit == RATIO:
        return 0.0, 1.0
    if kind in DRAWDOWNS or kind in ("count", "consecutive_losses") or metric.unit == COUNT:
        return 0.0, inf
    return -inf, inf
