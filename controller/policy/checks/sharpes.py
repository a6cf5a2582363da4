"""Sharpe ratios take years to be told apart; whoever gates on one should know it."""

from collections.abc import Iterator
from datetime import timedelta
from math import sqrt

from controller.policy.aggregation import AggregationError, parse_aggregation
from controller.policy.checks.context import Context, duration_text
from controller.policy.expression import references
from controller.policy.findings import Finding
from controller.policy.models import Metric

YEAR = timedelta(days=365)
SHARPES = frozenset({"sharpe"})
"""Aggregations that are Sharpe ratios, and so take years to be told apart."""
_TOLD = 1.6448536269514722 + 0.8416212335729143
"""Quantiles of the normal distribution at 95% and 80%: what a one-sided test at 5% takes to see a
difference with a chance of 80%."""


def sharpe_error(years: float, sharpe: float, periods: float) -> float:
    """Standard error of a yearly Sharpe ratio after `years` of `periods` independent returns each:
    sqrt((1 + SR^2 / 2) / T) of the ratio of one period (Lo 2002), brought to the year."""
    return sqrt((1 + sharpe * sharpe / periods / 2) / years)


def sharpe_years(
    gap: float, sharpe: float = 1.0, periods: float = 252, correlation: float | None = None
) -> float:
    """Years until a gap of yearly Sharpe ratios is seen with a chance of 80% by one test at 5%:
    from a number, or (`correlation` of both versions' returns) from another version's."""
    error = sharpe_error(1.0, sharpe, periods)
    sides = 1.0 if correlation is None else 2 * (1 - correlation)
    return sides * (error * _TOLD / gap) ** 2


def sharpes_take_years(context: Context) -> Iterator[Finding]:
    """A gate on a Sharpe ratio says little before years have gone by."""
    for _, stage, gate in context.gated():
        for line in gate:
            for key in dict.fromkeys(references(line.condition)):
                subject, _, name = key.partition(".")
                metric = context.policy.metrics.get(name)
                if subject in context.policy.sources or metric is None or not _is_sharpe(metric):
                    continue
                sides = len({k for k in references(line.condition) if k.endswith(f".{name}")})
                message = f"{stage.name} is left by a Sharpe ratio, which takes years to tell: "
                message += years_text(metric, versus=sides > 1)
                hint = (
                    "gate on what says more in less time (slippage, fill rate, agreement, "
                    "not_worse of the mean), and keep the Sharpe ratio for a `dry_run`"
                )
                yield context.places.at(line.where, "P353", message, hint, "warning")
                break


def years_text(metric: Metric, *, versus: bool) -> str:
    """How long it takes to see a gap of 1 a year, and what its window says."""
    if versus:
        alike = ", ".join(
            f"{sharpe_years(1, correlation=one):.2g} at a correlation of {one}"
            for one in (0.9, 0.98)
        )
        words = f"a gap of 1 a year takes {sharpe_years(1, correlation=0):.2g} years ({alike})"
    else:
        words = f"to tell 1 a year from 0 takes {sharpe_years(1):.2g} years"
    if isinstance(metric.window, timedelta):
        error = sharpe_error(metric.window / YEAR, 1, 252)
        words += f"; over {duration_text(metric.window)} its standard error is {error:.2g}"
    return words


def _is_sharpe(metric: Metric) -> bool:
    try:
        return metric.value is not None and parse_aggregation(metric.value).name in SHARPES
    except AggregationError:
        return False
