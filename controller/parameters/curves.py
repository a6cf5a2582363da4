"""A number on its way from one value to another.

Everything is reckoned exactly (fractions) or, where logarithms and exponentials come in, in
decimals of 50 digits that are rounded correctly on every machine. Each step of the reckoning is
monotone in the progress, so the values are too; the ends are the given values themselves.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Literal, assert_never

CurveName = Literal["linear", "log", "smoothstep", "logistic", "steps"]
DIGITS = 50
HALF = Fraction(1, 2)

Number = int | float


@dataclass(frozen=True, slots=True)
class Curve:
    """How a number moves. `steps`: of the curve of that name; `steepness`: of the logistic;
    `tick`: the grid that its values lie on."""

    name: CurveName = "linear"
    steps: int = 0
    steepness: float = 0.0
    tick: float | None = None


def between(start: Number, end: Number, progress: Fraction, curve: Curve) -> Number:
    """The value at `progress`, 0 to 1. Two whole numbers give whole numbers, halves rounded away
    from zero; anything else the nearest float. A logarithmic curve needs two numbers above 0."""
    if progress <= 0:
        return start
    if progress >= 1:
        return end
    low, high = exact(start), exact(end)
    if curve.name == "log":
        found = _geometric(low, high, progress)
    else:
        found = low + shape(curve, progress) * (high - low)
    whole = isinstance(start, int) and isinstance(end, int)
    tick = exact(curve.tick) if curve.tick is not None else Fraction(1) if whole else None
    if tick is not None:
        found = nearest(found / tick) * tick
    return int(found) if whole and found.denominator == 1 else float(found)


def shape(curve: Curve, progress: Fraction) -> Fraction:
    """The part of the way made at `progress`: 0 at 0, 1 at 1, never falling.

    smoothstep: 3u^2 - 2u^3. logistic: s(u) = 1 / (1 + exp(-k (u - 1/2))), rescaled to
    (s(u) - s(0)) / (s(1) - s(0)). steps: floor(n u) / n.
    """
    match curve.name:
        case "linear" | "log":
            return progress
        case "smoothstep":
            return progress * progress * (3 - 2 * progress)
        case "logistic":
            return _logistic(Fraction(curve.steepness), progress)
        case "steps":
            return Fraction(progress * curve.steps // 1, curve.steps)
        case _:
            assert_never(curve.name)


def exact(number: Number) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(number) if isinstance(number, int) else Fraction(Decimal(repr(float(number))))


def nearest(value: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    return int(value + HALF) if value >= 0 else -int(HALF - value)


def on_grid(number: Number, tick: float) -> bool:
    """Whether a number is a multiple of `tick`, both as written."""
    return (exact(number) / exact(tick)).denominator == 1


def _geometric(low: Fraction, high: Fraction, progress: Fraction) -> Fraction:
    """low^(1 - u) high^u, never beyond either."""
    with localcontext() as context:
        context.prec = DIGITS
        start, end = _decimal(low).ln(), _decimal(high).ln()
        found = Fraction((start + _decimal(progress) * (end - start)).exp())
    return min(max(found, min(low, high)), max(low, high))


def _logistic(steepness: Fraction, progress: Fraction) -> Fraction:
    with localcontext() as context:
        context.prec = DIGITS
        first, here, last = (
            1 / (1 + _decimal(steepness * (HALF - u)).exp()) for u in (Fraction(0), progress, 1)
        )
        return Fraction((here - first) / (last - first))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
