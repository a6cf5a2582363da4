"""Units of literals and of metrics, and the one place that knows what each is worth."""

import re
from collections.abc import Mapping
from decimal import Decimal

from controller.policy.aggregation import formula_of
from controller.policy.expression import Dimension, Unit
from controller.policy.findings import did_you_mean
from controller.policy.formulas import Gives
from controller.policy.models import Metric

PLAIN = Unit("", Dimension.NUMBER)
"""A number without a unit: counts, fractions, scores."""
SECOND = Unit("s", Dimension.TIME)

_TIME = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
         "w": 604800.0}  # fmt: skip
UNITS: Mapping[str, Unit] = {
    **{name: Unit(name, Dimension.TIME, factor) for name, factor in _TIME.items()},
    "%": Unit("%", Dimension.NUMBER, 0.01),
    "bps": Unit("bps", Dimension.NUMBER, 0.0001),
}
"""By name; beside them there are the currencies: three capitals (ISO 4217)."""
_NATURAL = {Gives.TIME: SECOND, Gives.BPS: UNITS["bps"]}
"""Units of what is not measured in the unit of a field."""
RATIO = "ratio"
"""As a metric's unit: a number from 0 to 1."""
COUNT = "count"
"""As a metric's unit: a number of things, not below 0."""

_MEANT = {
    "ms": "msec millis millisecond milliseconds",
    "s": "sec secs second seconds",
    "m": "min mins minute minutes",
    "h": "hr hrs hour hours",
    "d": "day days",
    "w": "week weeks",
    "%": "percent pct percentage",
    "bps": "bp basispoints",
}
"""Words that people write, for the hint."""
_CURRENCIES = frozenset(
    ("usd", "eur", "gbp", "jpy", "chf", "cad", "aud", "nzd", "cny", "hkd", "sgd", "sek", "nok")
)
_CURRENCY = re.compile(r"^[A-Z]{3}$")
_QUANTITY = re.compile(r"(\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)\s*(.*)$")
_PART = re.compile(r"(\d+(?:\.\d+)?)([a-z]+)")


class UnitError(ValueError):
    """An unknown unit or a number that cannot be read; `hint` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_unit(text: str) -> Unit:
    """The unit of that name; of `ratio`, `count` and no text, a plain number. Raises UnitError."""
    if text in UNITS:
        return UNITS[text]
    if text in ("", RATIO, COUNT):
        return PLAIN
    if _CURRENCY.match(text):
        return Unit(text, Dimension.MONEY)
    meant = next((unit for unit, words in _MEANT.items() if text.lower() in words.split()), None)
    if text.lower() in _CURRENCIES:
        meant = text.upper()
    known = "units are ns us ms s m h d w, %, bps, and currencies like USD"
    hint = f"did you mean {meant!r}?" if meant else did_you_mean(text, UNITS, known)
    raise UnitError(f"unknown unit {text[:40]!r}", hint)


def metric_unit(metric: Metric) -> Unit:
    """What the metric's values compare with. A drawdown of a capital is a fraction. `factor`
    takes a value as observed to the base unit. Raises UnitError."""
    formula = formula_of(metric)
    if metric.capital is not None or metric.unit is None:
        return _NATURAL.get(formula.gives, PLAIN) if formula is not None else PLAIN
    return parse_unit(metric.unit)


def parse_quantity(text: str) -> tuple[float, Unit]:
    """`5%` -> (0.05, %): the value in the base unit, and the unit as written. Also `2000ms`,
    `1h30m`, `1_000`, `100 USD`. Raises UnitError."""
    match = _QUANTITY.match(text)
    if match is None:
        raise UnitError(f"{text!r} is not a number", "write it like 0.85, 5%, 2000ms or 100 USD")
    number, unit_text = match.groups()
    if re.search(r"\d", unit_text):
        return _compound(text)
    unit = parse_unit(unit_text)
    value = float(Decimal(number.replace("_", "")) * Decimal(repr(unit.factor)))
    if value > 1e300:
        raise UnitError(f"{text!r} is too large", "write a smaller number")
    return value, unit


def compares(left: Unit, right: Unit) -> bool:
    """Whether values of both units can be compared and added. Currencies are not converted."""
    if left.dimension is Dimension.MONEY and right.dimension is Dimension.MONEY:
        return left.name == right.name
    return left.dimension is right.dimension


def in_words(unit: Unit) -> str:
    """`a time`, `an amount of USD`, `a plain number`."""
    match unit.dimension:
        case Dimension.TIME:
            return "a time"
        case Dimension.MONEY:
            return f"an amount of {unit.name}"
        case Dimension.NUMBER:
            return f"a number in {unit.name}" if unit.name else "a plain number"


def example(unit: Unit) -> str:
    """A quantity of the unit, as one would write it."""
    match unit.dimension:
        case Dimension.TIME:
            return f"200{unit.name}"
        case Dimension.MONEY:
            return f"100 {unit.name}"
        case Dimension.NUMBER:
            return "0.02 or 2%"


def zero(unit: Unit) -> str:
    """Nothing of the unit, as one would write it."""
    return f"0 {unit.name}" if unit.dimension is Dimension.MONEY else f"0{unit.name}"


def _compound(text: str) -> tuple[float, Unit]:
    """`1h30m`: a sum of durations, shown in the unit of the smallest."""
    if not re.fullmatch(r"(\d+(?:\.\d+)?[a-z]+)+", text):
        raise UnitError(f"{text!r} is not a number with a unit", "write it like 1h30m or 5%")
    total, unit = Decimal(0), SECOND
    for number, name in _PART.findall(text):
        unit = parse_unit(name)
        if unit.dimension is not Dimension.TIME:
            raise UnitError(f"{text!r} is not a duration", "write it like 1h30m")
        total += Decimal(number) * Decimal(repr(unit.factor))
    return float(total), unit
