"""The `value` of a metric: what is made of fields of many observations. The judge computes it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from controller.policy.findings import did_you_mean
from controller.policy.formulas import AGGREGATIONS, WORDS, Formula, Parameter, signature
from controller.policy.models import Metric
from controller.policy.values import parse_duration

STATISTICAL = frozenset(name for name, known in AGGREGATIONS.items() if known.statistical)
"""Those that say little about few observations."""
COMPARABLE = frozenset({"mean", "ratio", "expectancy"})
"""Those of which `not_worse` and `better` can bound the difference."""
RANKED = frozenset({"mean", "ratio", "quantile", "expectancy"})
"""Those of which the single values of the field can be ranked."""
DRAWDOWNS = frozenset({"max_drawdown", "drawdown"})
DEFAULT_SAMPLES = 30
"""`min_samples` of a statistical metric that does not say."""

_SHAPE = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\)\s*)?$")
_FIELD = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r"([A-Za-z_]\w*)\s*:\s*(.*)$")
_NUMBER = re.compile(r"-?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,2})?")


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`name(field, others..., options...)`. `options` are the parameters of its formula, in their
    order, as numbers: durations in seconds, shares from 0 to 1."""

    name: str
    field: str | None
    options: tuple[float, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def argument(self) -> float | None:
        """The first of the options."""
        return self.options[0] if self.options else None

    @property
    def fields(self) -> tuple[str, ...]:
        """All of them, in order."""
        return () if self.field is None else (self.field, *self.others)

    @property
    def takes_last(self) -> bool:
        """Whether a bar's value is its last one, instead of their sum."""
        return self.options[:1] == (WORDS["take"]["last"],) and AGGREGATIONS[self.name].bars


class AggregationError(ValueError):
    """A text that is no aggregation; `hint` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_aggregation(text: str) -> Aggregation:
    """`mean(correct)`, `quantile(latency, 95%)`, `ewma(pnl, half_life: 5m)`, `count()`. Raises
    AggregationError."""
    match = _SHAPE.match(text)
    if match is None:
        raise AggregationError(
            f"{text!r} is not an aggregation", "write it like mean(correct): a name and a field"
        )
    name, inside = match.groups()
    parts = [part.strip() for part in inside.split(",")] if inside and inside.strip() else []
    if name not in AGGREGATIONS:
        raise AggregationError(f"unknown aggregation {name!r}", _unknown(name, [*parts, ""][0]))
    known = AGGREGATIONS[name]
    fields, rest = _fields(name, known, parts)
    options = _options(name, known, rest, fields)
    return Aggregation(name, fields[0] if fields else None, options, tuple(fields[1:]))


def formula_of(metric: Metric) -> Formula | None:
    """What the metric's aggregation is; None of a query, and of one that cannot be read."""
    try:
        return None if metric.value is None else AGGREGATIONS[parse_aggregation(metric.value).name]
    except AggregationError:
        return None


def counts_bars(metric: Metric) -> bool:
    """Whether its samples are bars, and not observations."""
    formula = formula_of(metric)
    return formula is not None and formula.bars


def is_statistical(metric: Metric) -> bool:
    """Whether it says little about few observations. Of a query nobody knows: it is taken for
    the plain number that it gives. Raises AggregationError."""
    return metric.value is not None and parse_aggregation(metric.value).name in STATISTICAL


def _fields(name: str, known: Formula, parts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Fields, and what stands after them: as many as the formula takes, up to a named part."""
    least, most = known.least, len(known.takes)
    named = next((at for at, part in enumerate(parts) if _NAMED.match(part)), len(parts))
    count = min(most, named)
    fields, rest = list(parts[:count]), list(parts[count:])
    if len(fields) < least or any(not field for field in fields):
        what = "of what?" if least < 2 else f"takes {least} fields"
        hint = f"name the field{'s' if least > 1 else ''}: {signature(name)}"
        raise AggregationError(f"{name} {what}", hint)
    for field in fields:
        if not _FIELD.fullmatch(field):
            raise AggregationError(
                f"{field!r} is not a field", "a field is a letter, then letters, digits and _"
            )
    if rest and not known.parameters:
        takes = {0: "no field", 1: "one field"}.get(most, f"at most {most} fields")
        raise AggregationError(f"{name} takes {takes}", f"write {name}({', '.join(fields)})")
    return fields, rest


def _options(
    name: str, known: Formula, parts: Sequence[str], fields: Sequence[str]
) -> tuple[float, ...]:
    shown = signature(name)
    for wanted, field in zip(known.takes, fields, strict=False):
        shown = shown.replace(wanted, field, 1)
    given: dict[str, float] = {}
    for place, part in enumerate(parts):
        match = _NAMED.match(part)
        if match is None and place >= len(known.parameters):
            raise AggregationError(f"{part!r} is too much for {name}", f"write {shown}")
        wanted = match[1] if match else known.parameters[place].name
        parameter = next((p for p in known.parameters if p.name == wanted), None)
        if parameter is None or wanted in given:
            word = "twice in" if parameter else "no parameter of"
            names = ", ".join(p.name for p in known.parameters)
            raise AggregationError(f"{wanted!r} is {word} {name}", f"there are: {names}")
        text = match[2] if match else part
        value = _value(parameter, text)
        if value is None:
            what = f"{text!r} is not {_KINDS[parameter.kind]}"
            raise AggregationError(what, f"write {shown}")
        given[wanted] = value
    missing = next((p for p in known.parameters if p.default is None and p.name not in given), None)
    if missing is not None:
        words = "of which share?" if missing.name == "share" else f"needs its {missing.name}"
        raise AggregationError(f"{name} {words}", f"write {shown}")
    if given.get("low", 0.0) > given.get("high", given.get("low", 0.0)):
        raise AggregationError("low is above high: all would be out of range", "exchange them")
    return tuple(given.get(p.name, p.default or 0.0) for p in known.parameters)


_KINDS = {
    "share": "a share between 0% and 100%",
    "number": "a number",
    "size": "a number that is not below 0",
    "duration": "a duration",
    "count": "a whole number from 1 to 1000",
    "per": "second, minute, hour or day",
    "take": "sum or last",
}


def _value(parameter: Parameter, text: str) -> float | None:
    """What a parameter is worth; None for what it cannot be."""
    match parameter.kind:
        case "per" | "take":
            return WORDS[parameter.kind].get(text)
        case "duration":
            try:
                return parse_duration(text).total_seconds() or None
            except ValueError:
                return None
        case "share":
            return _share(text)
        case "count":
            return float(text) if re.fullmatch(r"[1-9]\d{0,2}|1000", text) else None
        case _:
            value = float(text.replace("_", "")) if _NUMBER.fullmatch(text) else None
            return None if value is None or (parameter.kind == "size" and value < 0) else value


def _share(text: str) -> float | None:
    percent = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*%", text)
    fraction = re.fullmatch(r"0?\.\d{1,12}", text)
    share = float(percent[1]) / 100 if percent else float(text) if fraction else 0.0
    return share if 0 < share < 1 else None


def _unknown(name: str, field: str) -> str:
    shorthand = re.fullmatch(r"p(\d{2})(\d*)", name)
    if shorthand:
        share = shorthand[1] + (f".{shorthand[2]}" if shorthand[2] else "")
        return f"write quantile({field or 'FIELD'}, {share}%)"
    meant = {
        "avg": "mean", "average": "mean", "median": "quantile(FIELD, 50%)", "stdev": "std",
        "stddev": "std", "accuracy": "hit_rate", "mdd": "max_drawdown", "ema": "ewma",
    }  # fmt: skip
    if name in meant:
        return f"did you mean {meant[name]!r}?"
    return did_you_mean(name, AGGREGATIONS)
