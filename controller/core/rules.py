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

from controller.core.calendar import ALWAYS, Calendar
from controller.core.decision import Term
from controller.core.measurement import (
    MISSING,
    SEVERITY_ORDER,
    Measurements,
    Outcome,
    opposite,
)
from controller.core.period import elapsed
from controller.core.plan import Evaluate, Judgement, Limit, MetricPlan, Quiet, metric_of
from controller.core.versus import mann_whitney, split_as_asked, usable, versus
from controller.policy import expression as tree
from controller.policy.levels import Levels
from controller.policy.periods import EARLY

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


class RuleCompiler:
    """Compiles the conditions of one policy. `levels` are of their comparisons; `min_samples`
    overrides the metrics' own; `guards` is for triggers, whose distance counts on the other side of
    the limit; `calendar` says when time counts."""

    def __init__(
        self,
        metrics: Mapping[str, MetricPlan],
        levels: Levels,
        *,
        min_samples: int | None = None,
        guards: bool = False,
        calendar: Calendar = ALWAYS,
    ) -> None:
        self._metrics = metrics
        self._levels = levels
        self._min_samples = min_samples
        self._side = -1.0 if guards else 1.0
        self._calendar = calendar

    def compile(self, condition: tree.Condition) -> Evaluate:
        """The closure of `condition`."""
        match condition:
            case tree.Compare(left=tree.Reference() as ref, right=tree.Number() as limit):
                return self._against_limit(condition.operator, ref, limit)
            case tree.Compare():
                return self._comparison(condition)
            case tree.Versus():
                return versus(condition, *self._needs(condition), self._levels.comparison)
            case tree.MannWhitney():
                return mann_whitney(condition, *self._needs(condition), self._unit(condition))
            case tree.SplitAsAsked():
                return split_as_asked(condition, self._min_samples, self._levels.split)
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

    def _unit(self, node: tree.MannWhitney) -> tree.Unit:
        return self._metrics[node.metric].unit

    def _needs(
        self, node: tree.Reference | tree.Versus | tree.MannWhitney
    ) -> tuple[int, timedelta | None]:
        """Samples that make the value count, and the age past which it is late."""
        if isinstance(node, tree.Reference):
            metric = metric_of(self._metrics, node.key)
        else:
            metric = self._metrics.get(node.metric)
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
            case tree.Elapsed():
                return self._elapsed(term)
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

    def _elapsed(self, node: tree.Elapsed) -> Value:
        """Inconclusive where so little has passed that nothing can be reckoned from it."""
        key, period, calendar = node.text, node.period, self._calendar

        def value(measurements: Measurements, now: datetime) -> Known:
            del measurements
            try:
                passed = elapsed(period, calendar, now)
            except ValueError as error:
                return Outcome.ERROR, 0.0, (Term(key, None, 0, 0, detail=str(error)),)
            if passed is None or passed < EARLY:
                detail = f"too early in the {period.unit}"
                return Outcome.INCONCLUSIVE, 0.0, (Term(key, passed, 0, 0, detail=detail),)
            return Outcome.PASS, passed, (Term(key, passed, 0, 0),)

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
