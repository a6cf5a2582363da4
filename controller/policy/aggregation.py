"""The `value` of a metric: what is made of a field of many observations. The judge computes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from controller.policy.findings import did_you_mean
from controller.policy.models import Metric

AGGREGATIONS: Mapping[str, str] = {
    "count": "number of observations, or of those that have the field",
    "sum": "sum of the field",
    "mean": "mean of the field",
    "ratio": "share of observations in which the field is true (0 to 1)",
    "min": "smallest value",
    "max": "largest value",
    "last": "newest value",
    "quantile": "quantile(field, 95%): the value below which that share lies",
    "max_drawdown": "deepest fall of the running sum of the field from its peak",
    "drawdown": "how far the running sum of the field is below its peak now",
    "consecutive_losses": "how many of the newest values in a row are below 0",
}
"""Every aggregation and what it gives."""
STATISTICAL = frozenset({"mean", "ratio", "quantile"})
"""Those that say little about few observations."""
COMPARABLE = frozenset({"mean", "ratio"})
"""Those of which `not_worse` and `better` can bound the difference."""
DRAWDOWNS = frozenset({"max_drawdown", "drawdown"})
DEFAULT_SAMPLES = 30
"""`min_samples` of a statistical metric that does not say."""

_SHAPE = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(\s*([^(),]*?)\s*(?:,\s*([^(),]*?)\s*)?\)\s*)?$")
_FIELD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`name(field, argument)`. `argument` is there for quantile alone, between 0 and 1."""

    name: str
    field: str | None
    argument: float | None = None


class AggregationError(ValueError):
    """A text that is no aggregation; `hint` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_aggregation(text: str) -> Aggregation:
    """`mean(correct)`, `quantile(latency, 95%)`, `count()`. Raises AggregationError."""
    match = _SHAPE.match(text)
    if match is None:
        raise AggregationError(
            f"{text!r} is not an aggregation", "write it like mean(correct): a name and a field"
        )
    name, field, argument = match.groups()
    if name not in AGGREGATIONS:
        raise AggregationError(f"unknown aggregation {name!r}", _unknown(name, field))
    if not field and name != "count":
        raise AggregationError(f"{name} of what?", f"name the field: {name}(FIELD)")
    if field and not _FIELD.fullmatch(field):
        raise AggregationError(
            f"{field!r} is not a field", "a field is a letter, then letters, digits and _"
        )
    if name == "quantile":
        return Aggregation(name, field, _quantile(field, argument))
    if argument is not None:
        raise AggregationError(f"{name} takes one field", f"write {name}({field})")
    return Aggregation(name, field or None)


def is_statistical(metric: Metric) -> bool:
    """Whether it says little about few observations. Of a query nobody knows: it is taken for
    the plain number that it gives. Raises AggregationError."""
    return metric.value is not None and parse_aggregation(metric.value).name in STATISTICAL


def _quantile(field: str | None, argument: str | None) -> float:
    example = f"write quantile({field}, 95%)"
    if not argument:
        raise AggregationError("quantile of which share?", example)
    percent = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*%", argument)
    fraction = re.fullmatch(r"0?\.\d{1,12}", argument)
    share = float(percent[1]) / 100 if percent else float(argument) if fraction else 0.0
    if not 0 < share < 1:
        raise AggregationError(f"{argument!r} is not a share between 0% and 100%", example)
    return share


def _unknown(name: str, field: str | None) -> str:
    shorthand = re.fullmatch(r"p(\d{2})(\d*)", name)
    if shorthand:
        share = shorthand[1] + (f".{shorthand[2]}" if shorthand[2] else "")
        return f"write quantile({field or 'FIELD'}, {share}%)"
    special = {"avg": "mean", "average": "mean", "median": "quantile(FIELD, 50%)", "rate": "ratio"}
    if name in special:
        return f"did you mean {special[name]!r}?"
    return did_you_mean(name, AGGREGATIONS)
