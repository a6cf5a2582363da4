"""What is known of the work before the start: how much of it there is, and how much it varies.

Declared in the policy (`traffic`, a metric's `sd`), measured (a recorded history, or what a store
has observed), or assumed from the limits that the policy sets. Who reckons with it says which.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal, assert_never

from controller.policy.aggregation import AggregationError, parse_aggregation
from controller.policy.expression import (
    Combine,
    Compare,
    Condition,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Versus,
)
from controller.policy.models import Metric, Policy
from controller.policy.units import RATIO, UnitError, metric_unit

Origin = Literal["declared", "measured", "limit", "worst"]
"""Where a deviation is from: the policy's `sd`, a history, a limit on the ratio that the policy
has, or the most that a ratio can vary."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How much one observation of a metric varies, in the metric's base unit. `baseline_sd` is
    the baseline's where it is known apart; `mean` the baseline's, where it is known.
    `correlation` is that of pairs, None where nobody knows whether there are any. `worth` is what
    one observation of two sides is worth beside those before it, `pair_worth` one pair."""

    sd: float
    origin: Origin
    baseline_sd: float | None = None
    mean: float | None = None
    correlation: float | None = None
    worth: float = 1.0
    pair_worth: float = 1.0

    @property
    def certain(self) -> bool:
        """Whether somebody has said or measured it."""
        return self.origin in ("declared", "measured")


@dataclass(frozen=True, slots=True)
class Evidence:
    """`traffic`: observations of both versions together, a second of open time; that which is
    `declared` holds wherever nothing was measured. `rates` are those of single metrics and sources
    where they were measured, by `metric:NAME` and `source:NAME`; `spreads` by metric. `told` says
    what was measured where; it is empty where nothing was."""

    traffic: float | None
    declared: float | None = None
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    told: str = ""

    def rate(self, kind: Literal["metric", "source"], name: str) -> float | None:
        """Observations a second; None where nobody knows."""
        return self.rates.get(f"{kind}:{name}", self.declared)


def declared(policy: Policy, conditions: Iterable[Condition]) -> Evidence:
    """What the policy itself says. `conditions` are all of its rules: a limit on a ratio says
    about where that ratio is expected."""
    limits = dict(reversed(list(_limits(conditions))))
    spreads = {
        name: spread
        for name, metric in policy.metrics.items()
        if (spread := _declared_spread(metric, limits.get(name))) is not None
    }
    return Evidence(policy.traffic, policy.traffic, spreads)


def measured(known: Evidence, found: Evidence) -> Evidence:
    """What was measured, before what is declared."""
    spreads = {**known.spreads, **found.spreads}
    return Evidence(found.traffic, known.declared, spreads, found.rates, found.told)


def is_ratio(metric: Metric) -> bool:
    """Whether its observations are true or false, and it is their share."""
    try:
        ratio = metric.value is not None and parse_aggregation(metric.value).name == "ratio"
    except AggregationError:
        return False
    return ratio or (metric.value is None and metric.unit == RATIO)


def _declared_spread(metric: Metric, limit: float | None) -> Spread | None:
    try:
        factor = metric_unit(metric).factor
    except UnitError:
        return None
    if metric.sd is not None:
        return Spread(metric.sd * factor, "declared", mean=limit)
    if not is_ratio(metric):
        return None
    if limit is None or not 0 < limit < 1:
        return Spread(0.5, "worst")
    return Spread(sqrt(limit * (1 - limit)), "limit", mean=limit)


def _limits(conditions: Iterable[Condition]) -> Iterator[tuple[str, float]]:
    """Metrics and the numbers that they are compared with, in order."""
    for condition in conditions:
        match condition:
            case Compare(left=Reference() as found, right=Number() as limit):
                yield found.metric, limit.value
            case Compare(left=Number() as limit, right=Reference() as found):
                yield found.metric, limit.value
            case Versus(than=Number() as limit):
                yield condition.metric, limit.value
            case Combine():
                yield from _limits(condition.parts)
            case Not():
                yield from _limits([condition.part])
            case Compare() | Versus() | MannWhitney() | SplitAsAsked():
                continue
            case _:
                assert_never(condition)
