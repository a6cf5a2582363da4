"""What conditions may speak of: metrics with their units and ranges, and sources."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from controller.policy.aggregation import COMPARABLE, RANKED, formula_of
from controller.policy.budgets import Spending, metrics_of, spendings
from controller.policy.expression import Unit
from controller.policy.formulas import AGGREGATIONS, Formula, Gives
from controller.policy.models import Metric, Policy
from controller.policy.quality import MEASURES, judged_sources
from controller.policy.source import PushSource
from controller.policy.units import COUNT, PLAIN, RATIO, UnitError, metric_unit


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric as conditions know it. Its values are from `low` to `high`, in the base unit.
    `comparable`: the difference of the two versions can be bounded. `sampled`: there are single
    observations that can be ranked. `ratio`: from 0 to 1 by definition. `crossed`: it is about
    both versions, so it needs both to have work."""

    unit: Unit = PLAIN
    low: float = -inf
    high: float = inf
    better: Literal["higher", "lower"] | None = None
    comparable: bool = True
    sampled: bool = True
    crossed: bool = False

    @property
    def ratio(self) -> bool:
        """Whether it is a share of observations, 0 to 1."""
        return (self.low, self.high) == (0.0, 1.0)


SHARE = MetricName(low=0.0, high=1.0, comparable=False, sampled=False)


@dataclass(frozen=True, slots=True)
class Names:
    """Everything that a condition may refer to. `observed` are the sources of observations."""

    metrics: Mapping[str, MetricName]
    """By name; what a source says of its own data by its key, `signals.quality`."""
    sources: frozenset[str] = frozenset()
    observed: frozenset[str] = frozenset()
    budgets: Mapping[str, Mapping[str, Spending]] = field(default_factory=dict)
    """By name and unit of the period."""

    def measured(self, key: str) -> MetricName | None:
        """The metric behind a measurement; None of how long a source has been silent."""
        subject, _, name = key.partition(".")
        return self.metrics.get(key if subject in self.sources else name)


def names_of(policy: Policy) -> Names:
    """The names of a policy. A metric with a broken unit or aggregation, which `check` reports,
    counts as a plain number of any size here."""
    metrics = {name: _metric(metric) for name, metric in metrics_of(policy).items()}
    for source, _ in judged_sources(policy):
        metrics.update((f"{source}.{name}", SHARE) for name in MEASURES)
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
    formula = formula_of(metric)
    low, high = _range(metric, formula)
    comparable = formula is None or formula in _COMPARABLE
    crossed = formula is not None and formula.crossed
    sampled = formula is not None and formula in _RANKED
    return MetricName(unit, low, high, metric.better, comparable, sampled, crossed)


def _range(metric: Metric, formula: Formula | None) -> tuple[float, float]:
    if formula is None or formula.gives is Gives.FIELD:
        if metric.unit == RATIO:
            return 0.0, 1.0
        if metric.unit == COUNT:
            return 0.0, inf
    return (-inf, inf) if formula is None else (formula.low, formula.high)


_COMPARABLE = [AGGREGATIONS[name] for name in COMPARABLE]
_RANKED = [AGGREGATIONS[name] for name in RANKED]
