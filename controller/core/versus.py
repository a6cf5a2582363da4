"""Comparisons with the baseline, or with a number, compiled to closures.

A comparison passes when all of its interval is on the good side of the margin, fails when all of it
is on the bad side, and is inconclusive as long as it straddles.
"""

from datetime import datetime, timedelta
from math import isfinite, log

from controller.core.bounds import Bounds, bounds
from controller.core.decision import Term
from controller.core.measurement import MISSING, Measurement, Measurements, Outcome, opposite
from controller.core.plan import Evaluate, Judgement
from controller.policy import expression as tree
from controller.policy.precision import LEAST_RANKED, least_assigned, split_evidence


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


def versus(node: tree.Versus, needed: int, max_age: timedelta | None, alpha: float) -> Evaluate:
    """Non-inferiority, superiority and harm, at the level `alpha` over all looks."""
    key, ratio, limit, sign = node.key, node.ratio, node.limit, node.sign
    shown = _Shown(node)

    def evaluate(measurements: Measurements, now: datetime) -> Judgement:
        found = measurements.get(key, MISSING)
        outcome, value, detail = usable(found, needed, max_age, now)
        bounded = None
        if value is not None and found.contrast is not None:
            bounded = bounds(found.contrast, ratio, alpha)
        if outcome is Outcome.PASS:
            outcome, detail = _verdict(node, found, bounded, sign, limit)
        return outcome, (shown.term(found, value, bounded, needed, alpha, detail),)

    return evaluate


def _verdict(
    node: tree.Versus, found: Measurement, bounded: Bounds | None, sign: float, limit: float
) -> tuple[Outcome, str]:
    if bounded is None:
        return Outcome.INCONCLUSIVE, "no bounds: too few observations, or no variance"
    if node.relative and not _baseline(found) > 0:
        text = f"{node.margin.text} of a baseline of {_baseline(found):.4g} is no margin"
        return Outcome.NO_DATA, text
    if bounded.lower is None or bounded.upper is None:
        return Outcome.INCONCLUSIVE, f"no bounds: {bounded.detail}"
    low, high = sorted((sign * bounded.lower, sign * bounded.upper))
    outcome = Outcome.INCONCLUSIVE
    if low > limit:
        outcome = Outcome.PASS
    elif high < limit:
        outcome = Outcome.FAIL
    return (opposite(outcome) if node.function == "worse" else outcome), bounded.detail


def _baseline(found: Measurement) -> float:
    """Mean of the baseline; 0 where it is not known."""
    contrast = found.contrast
    if contrast is None:
        return 0.0
    if contrast.pairs is not None:
        return contrast.pairs.baseline
    return contrast.baseline.mean if contrast.baseline is not None else 0.0


class _Shown:
    """How a comparison is told: as the candidate's improvement in the margin's unit (per cent of
    the baseline where the margin is a part of it), or as the candidate's own value."""

    def __init__(self, node: tree.Versus) -> None:
        self._node = node
        alone = node.than is not None
        unit = node.than.unit if node.than is not None else node.margin.unit
        self._unit, self._factor = unit.name, unit.factor
        self._sign = 1.0 if alone else node.sign
        self._limit = (node.sign * node.limit if alone else node.limit) / unit.factor
        above = (node.function != "worse") != (alone and node.lower_is_better)
        self._operator = ">" if above else "<"
        if node.relative:
            part = node.margin.value if node.function == "better" else -node.margin.value
            self._limit = part / unit.factor

    def term(
        self,
        found: Measurement,
        value: float | None,
        bounded: Bounds | None,
        needed: int,
        alpha: float,
        detail: str,
    ) -> Term:
        """For the explanation."""
        low = high = None
        rough = None if value is None else self._told(value, found)
        if bounded is not None:
            rough = self._told(bounded.value, found)
            if bounded.lower is not None and bounded.upper is not None:
                ends = (self._told(bounded.lower, found), self._told(bounded.upper, found))
                if ends[0] is not None and ends[1] is not None:
                    low, high = sorted((ends[0], ends[1]))
        distance = independent = None
        if bounded is not None and low is not None and high is not None:
            # How far the end that decides is from the limit, on the side where the rule is content.
            distance = low - self._limit if self._operator == ">" else self._limit - high
            if self._node.function == "worse":
                distance = high - self._limit if self._operator == "<" else self._limit - low
            independent = bounded.independent
            words = f"interval {low:.4g} to {high:.4g} {self._unit}".rstrip()
            words += f", {_method(bounded)}, {100 * (1 - alpha):.4g}% sure at every look"
            detail = f"{words}; {detail}" if detail else words
        return Term(
            self._node.key, rough, found.samples, needed, self._operator, self._limit, distance,
            self._unit, detail, low, high, independent,
        )  # fmt: skip

    def _told(self, value: float, found: Measurement) -> float | None:
        if not self._node.relative:
            return self._sign * value / self._factor
        base = _baseline(found)
        if not base > 0:
            return None
        return self._sign * value / base / self._factor + self._limit


def _method(bounded: Bounds) -> str:
    """`paired, 1,204 worth 310 independent ones`."""
    words = f"{bounded.method}, {bounded.samples:,}"
    if bounded.method == "unpaired":
        words += " on the smaller side"
    if bounded.independent < 0.95 * bounded.samples:
        words += f" worth {bounded.independent:,.0f} independent ones"
    return words


def mann_whitney(
    node: tree.MannWhitney, needed: int, max_age: timedelta | None, unit: tree.Unit
) -> Evaluate:
    """Kayenta's verdict on one metric: fails when the whole interval of the shift is beyond
    `tolerance` of the shift, in the direction that is looked at, and the effect size, its ratio of
    means, is not within what is allowed; else it passes. Where a mean is 0 there is no ratio, and
    the size is not asked for, as Kayenta has it."""
    key, part, factor = node.key, node.tolerance.value, unit.factor
    least = max(needed, LEAST_RANKED)

    def evaluate(measurements: Measurements, now: datetime) -> Judgement:
        found = measurements.get(key, MISSING)
        outcome, value, detail = usable(found, least, max_age, now)
        if value is None or found.lower is None or found.upper is None:
            return outcome, (Term(key, None, found.samples, least, unit=unit.name, detail=detail),)
        allowed = part * abs(value)
        more = node.direction != "decrease" and found.lower > allowed
        less = node.direction != "increase" and found.upper < -allowed
        effect = found.mean
        if effect is not None and node.allowed.value:
            more = more and effect >= 1 + node.allowed.value
            less = less and effect <= 1 - node.allowed.value
        if outcome is Outcome.PASS and (more or less):
            outcome = Outcome.FAIL
        low, high = found.lower / factor, found.upper / factor
        words = f"shift of {low:.4g} to {high:.4g} {unit.name}".rstrip()
        if effect is not None:
            words += f", mean {effect:.4g} times the baseline's"
        detail = f"{words}; within {allowed / factor:.4g} it says nothing; valid at one look only"
        return outcome, (
            Term(key, value / factor, found.samples, least, unit=unit.name, detail=detail,
                 lower=low, upper=high),
        )  # fmt: skip

    return evaluate


def split_as_asked(node: tree.SplitAsAsked, min_samples: int | None, alpha: float) -> Evaluate:
    """Whether the candidate's share of the work is the one that was asked for."""
    key, threshold = node.key, log(1 / alpha)

    def evaluate(measurements: Measurements, now: datetime) -> Judgement:
        found = measurements.get(key, MISSING)
        asked = found.mean
        if asked is None or not 0 < asked < 1:
            outcome, _, detail = usable(found, 0, None, now)
            outcome = Outcome.NO_DATA if outcome is Outcome.PASS else outcome
            return outcome, (Term(key, None, found.samples, 0, detail=detail),)
        least = least_assigned(asked) if min_samples is None else min_samples
        outcome, value, detail = usable(found, least, None, now)
        if value is not None:
            detail = f"{100 * value:.4g}% of {found.samples:,} seen, {100 * asked:.5g}% asked for"
            off = split_evidence(round(value * found.samples), found.samples, asked) >= threshold
            if off:  # evidence enough is never too few
                outcome = Outcome.FAIL
        shown = None if value is None else 100 * value
        return outcome, (
            Term(key, shown, found.samples, least, "==", 100 * asked, unit="%", detail=detail),
        )

    return evaluate
