"""Which conditions can hold at all: interval analysis over the ranges of metrics.

The answer errs on one side only. `can_hold` says no where it is proven that no finite
measurements make the conditions hold together; everything else is yes. Bounds are computed with
the same float operations that decide later; rounding is monotone, so a proof here holds there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, isnan
from typing import Literal, assert_never

from controller.policy.expression import (
    Arithmetic,
    Combine,
    Compare,
    Condition,
    Elapsed,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Term,
    Versus,
)
from controller.policy.names import Names

MAX_BRANCHES = 256
"""Beyond so many ways to hold, the answer is yes without a look."""

Operator = Literal["<", "<=", ">", ">=", "==", "!="]
_NEGATED: dict[Operator, Operator] = {
    "<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==",
}  # fmt: skip
_SWAPPED: dict[Operator, Operator] = {
    "<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!=",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """All values from `low` to `high`; an open end is not one of them."""

    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        """No value at all."""
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def __and__(self, other: "Interval") -> "Interval":
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Interval(low, high, low_open, not high_closed)


ANY = Interval()


@dataclass(frozen=True, slots=True)
class _Atom:
    """One comparison that must hold; of a `Versus`, that of its key with a limit."""

    left: Term | str
    operator: Operator
    right: Term | float


Branch = tuple[_Atom, ...]


def can_hold(conditions: Iterable[Condition], names: Names) -> bool:
    """Whether all of `conditions` can hold at once. False is a proof, true is not."""
    try:
        branches = _all_of([_branches(c, holds=True) for c in conditions])
        return any(_feasible(branch, names) for branch in branches)
    except _TooMany:
        return True


def surely_can_hold(conditions: Iterable[Condition], names: Names) -> bool:
    """Whether all of `conditions` can hold at once. True is a proof, false is not: where
    measurements are compared with each other or reckoned with, nobody can say."""
    try:
        branches = _all_of([_branches(c, holds=True) for c in conditions])
    except _TooMany:
        return False
    return any(
        len(list(_limits(branch))) == len(branch) and _feasible(branch, names)
        for branch in branches
    )


def can_fail(condition: Condition, names: Names) -> bool:
    """Whether a measured `condition` can be false. False is a proof, true is not."""
    return can_hold([Not(condition, condition.column)], names)


class _TooMany(Exception):
    """More than `MAX_BRANCHES`."""


def _branches(condition: Condition, *, holds: bool) -> list[Branch]:
    """The ways in which `condition` holds (or fails), each a list of comparisons."""
    match condition:
        case Compare():
            operator = condition.operator if holds else _NEGATED[condition.operator]
            return [(_Atom(condition.left, operator, condition.right),)]
        case Versus():
            return [_versus(condition, holds=holds)]
        case MannWhitney() | SplitAsAsked():
            return [()]
        case Not():
            return _branches(condition.part, holds=not holds)
        case Combine():
            parts = [_branches(part, holds=holds) for part in condition.parts]
            if (condition.operator == "and") == holds:
                return _all_of(parts)
            return _bounded([branch for part in parts for branch in part])
        case _:
            assert_never(condition)


def _versus(condition: Versus, *, holds: bool) -> Branch:
    """Of a difference, the improvement; a margin that is a part of the baseline says nothing of
    it alone."""
    if condition.relative:
        return ()
    above = holds != (condition.function == "worse")
    operator: Operator = ">" if above else "<"
    if condition.than is not None and condition.lower_is_better:
        return (_Atom(condition.key, _SWAPPED[operator], -condition.limit),)
    return (_Atom(condition.key, operator, condition.limit),)


def _all_of(parts: list[list[Branch]]) -> list[Branch]:
    branches: list[Branch] = [()]
    for part in parts:
        if len(branches) * len(part) > MAX_BRANCHES:
            raise _TooMany
        branches = [before + branch for before in branches for branch in part]
    return branches


def _bounded(branches: list[Branch]) -> list[Branch]:
    if len(branches) > MAX_BRANCHES:
        raise _TooMany
    return branches


def _feasible(branch: Branch, names: Names) -> bool:
    """Narrow each measurement by its limits, then see whether the rest still fits."""
    box: dict[str, Interval] = {}
    holes: list[tuple[str, float]] = []
    for key, operator, limit in _limits(branch):
        known = box.get(key)
        box[key] = (_domain(key, names) if known is None else known) & _beyond(operator, limit)
        if operator == "!=":
            holes.append((key, limit))
    if any(interval.empty for interval in box.values()):
        return False
    if any(box[key] == Interval(limit, limit) for key, limit in holes):
        return False
    return all(
        isinstance(atom.left, str)
        or isinstance(atom.right, float)
        or _may(_bounds(atom.left, box, names), atom.operator, _bounds(atom.right, box, names))
        for atom in branch
    )


def _limits(branch: Branch) -> Iterator[tuple[str, Operator, float]]:
    """Those that bound a single measurement by a number."""
    for atom in branch:
        match atom.left, atom.right:
            case str() as key, float() as limit:
                yield key, atom.operator, limit
            case Reference() as ref, Number() as number:
                yield ref.key, atom.operator, number.value
            case Number() as number, Reference() as ref:
                yield ref.key, _SWAPPED[atom.operator], number.value


def _beyond(operator: Operator, limit: float) -> Interval:
    match operator:
        case "<" | "<=":
            return Interval(high=limit, high_open=operator == "<")
        case ">" | ">=":
            return Interval(low=limit, low_open=operator == ">")
        case "==":
            return Interval(limit, limit)
        case "!=":
            return ANY
        case _:
            assert_never(operator)


def _domain(key: str, names: Names) -> Interval:
    """What a measurement can be before any condition."""
    subject = key.partition(".")[0]
    metric = names.measured(key)
    if metric is None:
        return Interval(low=0.0)
    if subject == "difference":
        width = metric.high - metric.low
        return Interval(-width, width)
    return Interval(metric.low, metric.high)


def _bounds(term: Term, box: dict[str, Interval], names: Names) -> Interval:
    match term:
        case Number():
            return Interval(term.value, term.value)
        case Elapsed():
            return Interval(0.0, 1.0)
        case Reference():
            return box.get(term.key) or _domain(term.key, names)
        case Arithmetic():
            return _combine(
                term.operator, _bounds(term.left, box, names), _bounds(term.right, box, names)
            )
        case _:
            assert_never(term)


def _combine(operator: Literal["+", "-", "*", "/"], a: Interval, b: Interval) -> Interval:
    """Bounds of `a operator b`. Rounding may reach an open end, so the result is closed."""
    match operator:
        case "+":
            ends = [a.low + b.low, a.high + b.high]
        case "-":
            ends = [a.low - b.high, a.high - b.low]
        case "*":
            ends = [_product(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        case "/":
            if b.low <= 0 <= b.high:
                return ANY
            ends = [x / y for x in (a.low, a.high) for y in (b.low, b.high)]
        case _:
            assert_never(operator)
    return ANY if any(isnan(end) for end in ends) else Interval(min(ends), max(ends))


def _product(x: float, y: float) -> float:
    """No measurement is infinite: zero times a bound without end is zero."""
    return 0.0 if x == 0 or y == 0 else x * y


def _may(a: Interval, operator: Operator, b: Interval) -> bool:
    """Whether some value of `a` and some of `b` compare so."""
    match operator:
        case "<":
            return a.low < b.high
        case "<=":
            return a.low <= b.high
        case ">":
            return a.high > b.low
        case ">=":
            return a.high >= b.low
        case "==":
            return a.low <= b.high and b.low <= a.high
        case "!=":
            return not (a.low == a.high == b.low == b.high)
        case _:
            assert_never(operator)
