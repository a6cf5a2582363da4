"""Conditions compiled to closures, once per plan.

A closure answers what is known of its condition: `pass` it holds, `fail` it does not, and
otherwise why nobody can say: `error`, `no_data` (never measured, empty, NaN, infinite, late) or
`inconclusive` (too few samples, bounds that straddle the margin). The unknown is never false.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import assert_never

from controller.core.decision import Term
from controller.core.measurement import (
    DIFFERENCE,
    MISSING,
    SEVERITY_ORDER,
    Measurement,
    Measurements,
    Outcome,
    reference,
)
from controller.core.plan import Evaluate, Judgement, Limit, MetricPlan, Quiet, metric_of
from controller.policy import expression as tree

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}

Known = tuple[Outcome, float, tuple[Term, ...]]
"""Of a term: `pass` and its value, or why there is none (and 0.0)."""
Value = Callable[[Measurements, datetime], Known]


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The most severe, by the one order; `pass` of nothing."""
    return max(outcomes, key=SEVERITY_ORDER.__getitem__, default=Outcome.PASS)


def opposite(outcome: Outcome) -> Outcome:
    """Pass and fail swapped; the unknown stays unknown."""
    if outcome is Outcome.PASS:
        return Outcome.FAIL
    return Outcome.PASS if outcome is Outcome.FAIL else outcome


class RuleCompiler:
    """Compiles the conditions of one policy. `min_samples` overrides the metrics' own;
    `guards` is for triggers, whose distance counts on the other side of the limit."""

    def __init__(
        self,
        metrics: Mapping[str, MetricPlan],
        *,
        min_samples: int | None = None,
        guards: bool = False,
    ) -> None:
        self._metrics = metrics
        self._min_samples = min_samples
        self._side = -1.0 if guards else 1.0

    def compile(self, condition: tree.Condition) -> Evaluate:
        """The closure of `condition`."""
        match condition:
            case tree.Compare(left=tree.Reference() as ref, right=tree.Number() as limit):
                return self._against_limit(condition.operator, ref, limit)
            case tree.Compare():
                return self._comparison(condition)
            case tree.Versus():
                return self._versus(condition)
            case tree.Combine():
                parts = tuple(self.compile(part) for part in condition.parts)
                return _all_of(parts) if condition.operator == "and" else _any_of(parts)
            case tree.Not():
                part = self.compile(condition.part)

                def negated(measurements: Measurements, now: datetime) -> Judgement:
                    outcome, terms = part(measurements, now)
                    return opposite(outcome), terms

                return negated
            case _:
                assert_never(condition)

    def quiet(self, condition: tree.Condition) -> Quiet:
        """The quick look of `condition`: agrees with `compile`, which a test holds."""
        limit = self.limit(condition)
        if limit is not None:
            return _quiet_limit(limit)
        evaluate = self.compile(condition)
        return lambda measurements, now: evaluate(measurements, now)[0] is Outcome.FAIL

    def limit(self, condition: tree.Condition) -> Limit | None:
        """`condition` as data, where it is of that simple shape."""
        match condition:
            case tree.Compare(left=tree.Reference() as ref, right=tree.Number() as number):
                return Limit(ref.key, condition.operator, number.value, *self._needs(ref))
            case _:
                return None

    def _needs(self, ref: tree.Reference) -> tuple[int, timedelta | None]:
        """Samples that make the reference's value count, and the age past which it is late."""
        metric = metric_of(self._metrics, ref.key)
        if metric is None:
            return 0, None
        samples = metric.min_samples if self._min_samples is None else self._min_samples
        return samples, metric.max_age

    def _against_limit(self, op: str, ref: tree.Reference, limit: tree.Number) -> Evaluate:
        """`candidate.accuracy >= 85%`: the shape of nearly every rule, kept short and quick."""
        key, holds, bound = ref.key, _COMPARE[op], limit.value
        needed, max_age = self._needs(ref)
        unit, factor = limit.unit.name, limit.unit.factor
        shown_limit = bound / factor
        side = self._side * (1.0 if op in (">", ">=") else -1.0)

        def evaluate(measurements: Measurements, now: datetime) -> Judgement:
            found = measurements.get(key, MISSING)
            outcome, value, detail = usable(found, needed, max_age, now)
            if value is None:
                term = Term(key, None, found.samples, needed, op, shown_limit, None, unit, detail)
                return outcome, (term,)
            if outcome is Outcome.PASS and not holds(value, bound):
                outcome = Outcome.FAIL
            distance = side * (value - bound) / factor
            return outcome, (
                Term(
                    key, value / factor, found.samples, needed, op, shown_limit, distance, unit,
                    detail,
                ),
            )  # fmt: skip

        return evaluate

    def _comparison(self, node: tree.Compare) -> Evaluate:
        left, right = self._value(node.left), self._value(node.right)
        holds = _COMPARE[node.operator]

        def evaluate(measurements: Measurements, now: datetime) -> Judgement:
            known_left, a, terms_left = left(measurements, now)
            known_right, b, terms_right = right(measurements, now)
            outcome = worst((known_left, known_right))
            if outcome is Outcome.PASS and not holds(a, b):
                outcome = Outcome.FAIL
            return outcome, terms_left + terms_right

        return evaluate

    def _value(self, term: tree.Term) -> Value:
        match term:
            case tree.Number():
                constant: Known = (Outcome.PASS, term.value, ())
                return lambda *_: constant
            case tree.Reference():
                return self._reference(term)
            case tree.Arithmetic():
                return self._arithmetic(term)
            case _:
                assert_never(term)

    def _reference(self, ref: tree.Reference) -> Value:
        key, (needed, max_age) = ref.key, self._needs(ref)
        unit, factor = ref.unit.name, ref.unit.factor

        def value(measurements: Measurements, now: datetime) -> Known:
            found = measurements.get(key, MISSING)
            outcome, number, detail = usable(found, needed, max_age, now)
            shown = None if number is None else number / factor
            term = Term(key, shown, found.samples, needed, unit=unit, detail=detail)
            return outcome, 0.0 if number is None else number, (term,)

        return value

    def _arithmetic(self, node: tree.Arithmetic) -> Value:
        left, right = self._value(node.left), self._value(node.right)
        combine = _ARITHMETIC[node.operator]

        def value(measurements: Measurements, now: datetime) -> Known:
            known_left, a, terms_left = left(measurements, now)
            known_right, b, terms_right = right(measurements, now)
            outcome, terms = worst((known_left, known_right)), terms_left + terms_right
            if outcome is not Outcome.PASS:
                return outcome, 0.0, terms
            try:
                result = combine(a, b)
            except (ZeroDivisionError, OverflowError):
                return Outcome.NO_DATA, 0.0, terms
            return (Outcome.PASS if isfinite(result) else Outcome.NO_DATA), result, terms

        return value

    def _versus(self, node: tree.Versus) -> Evaluate:
        """Non-inferiority and superiority on confidence bounds: pass when the whole interval is
        on the good side of the margin, fail when it is on the bad side, else inconclusive."""
        metric = self._metrics[node.metric]
        key = reference(DIFFERENCE, node.metric)
        needed = metric.min_samples if self._min_samples is None else self._min_samples
        limit = -node.margin.value if node.function == "not_worse" else node.margin.value
        unit, factor = node.margin.unit.name, node.margin.unit.factor
        sign = -1.0 if node.lower_is_better else 1.0

        def evaluate(measurements: Measurements, now: datetime) -> Judgement:
            found = measurements.get(key, MISSING)
            outcome, value, detail = usable(found, needed, metric.max_age, now)
            low = high = None
            if found.lower is not None and found.upper is not None:
                low, high = sorted((sign * found.lower, sign * found.upper))
            if outcome is Outcome.PASS:
                outcome = _side_of(low, high, limit)
            shown = None if value is None else sign * value / factor
            distance = None if low is None else (low - limit) / factor
            if low is not None and high is not None and not detail:
                detail = f"interval {low / factor:.4g} to {high / factor:.4g} {unit}".rstrip()
            return outcome, (
                Term(
                    key, shown, found.samples, needed, ">", limit / factor, distance, unit, detail
                ),
            )

        return evaluate


def _quiet_limit(limit: Limit) -> Quiet:
    key, holds, bound = limit.reference, _COMPARE[limit.operator], limit.bound
    needed, max_age = limit.min_samples, limit.max_age

    def quiet(measurements: Measurements, now: datetime) -> bool:
        found = measurements.get(key)
        if found is None or found.status != "ok" or found.samples < needed:
            return False
        value = found.value
        if value is None or not isfinite(value) or holds(value, bound):
            return False
        return max_age is None or found.as_of is None or now - found.as_of <= max_age

    return quiet


def usable(
    found: Measurement, needed: int, max_age: timedelta | None, now: datetime
) -> tuple[Outcome, float | None, str]:
    """Whether a measurement counts: (`pass`, value, detail) or (why not, value or None, words).
    NaN, infinity, empty and late are no data (rule 1)."""
    value = found.value
    if found.status != "ok":
        outcome = Outcome.ERROR if found.status == "error" else Outcome.NO_DATA
        return outcome, None, found.detail
    if value is None or not isfinite(value):
        return Outcome.NO_DATA, None, found.detail or f"value is {value}"
    if max_age is not None and found.as_of is not None and now - found.as_of > max_age:
        return Outcome.NO_DATA, None, f"late: newest observation of {found.as_of:%H:%M:%S} UTC"
    if found.samples < needed:
        return Outcome.INCONCLUSIVE, value, found.detail
    return Outcome.PASS, value, found.detail


def _side_of(low: float | None, high: float | None, limit: float) -> Outcome:
    if low is None or high is None or not (isfinite(low) and isfinite(high)):
        return Outcome.INCONCLUSIVE
    if low > limit:
        return Outcome.PASS
    return Outcome.FAIL if high < limit else Outcome.INCONCLUSIVE


def _all_of(parts: tuple[Evaluate, ...]) -> Evaluate:
    """`and`: fails if any part does, holds if all do, else the worst unknown: the severity
    order says exactly that."""

    def evaluate(measurements: Measurements, now: datetime) -> Judgement:
        judged = [part(measurements, now) for part in parts]
        terms = tuple(term for _, part_terms in judged for term in part_terms)
        return worst(tuple(outcome for outcome, _ in judged)), terms

    return evaluate


def _any_of(parts: tuple[Evaluate, ...]) -> Evaluate:
    """`or`: holds if any part does, fails if all do, else the worst unknown."""

    def evaluate(measurements: Measurements, now: datetime) -> Judgement:
        judged = [part(measurements, now) for part in parts]
        terms = tuple(term for _, part_terms in judged for term in part_terms)
        return opposite(worst(tuple(opposite(outcome) for outcome, _ in judged))), terms

    return evaluate
