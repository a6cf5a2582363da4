"""The observations that a rule will have at each step, and when there are enough of them: reckoned
from `policy.evidence`, before the start.

Time is open time since the step was entered. The share is taken as given at once and exactly, and
the work as even.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Literal

from controller.policy.aggregation import counts_bars
from controller.policy.checks.context import deadline, weights
from controller.policy.evidence import Evidence
from controller.policy.expression import Condition, references
from controller.policy.models import Metric, Policy, Stage
from controller.policy.precision import (
    LEAST,
    LEAST_DEPENDENT,
    LEAST_RANKED,
    NEWEST_RANKED,
    least_assigned,
)
from controller.policy.sampling import counted, judged_time, needed_samples
from controller.policy.values import BarCount, Newest

SESSION = timedelta(days=1)
"""A session is no longer than this."""
ROUNDING = 1e-9
"""Part of a sample that reckoning with floats may lose."""
BOTH = ("candidate", "baseline")
_SIDES: Mapping[str, tuple[str, ...]] = {
    "candidate": BOTH[:1], "estimate": BOTH[:1], "baseline": BOTH[1:],
}  # fmt: skip
"""Of which versions a measurement is, by its subject; of both where it is not here."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The observations behind one measurement of a rule: of the side that has fewer, or bars, or
    assignments. `within` is how long they add up, `rate` how many come in a second, `reached` when
    there are enough (None: never by then)."""

    key: str
    needed: int
    rate: float
    within: timedelta
    by_hold: float
    by_deadline: float
    reached: timedelta | None
    kind: Literal["samples", "bars", "assignments"] = "samples"

    @property
    def enough(self) -> bool:
        """Whether there are as many as needed when it must be decided."""
        return self.by_deadline >= self.needed * (1 - ROUNDING)


@dataclass(frozen=True, slots=True)
class Step:
    """One weight of one stage, and what is known of the work there."""

    policy: Policy
    evidence: Evidence
    number: int
    weight: float

    @property
    def stage(self) -> Stage:
        """The stage."""
        return self.policy.stages[self.number]

    @property
    def hold(self) -> float:
        """Seconds."""
        return self.stage.hold.total_seconds()

    @property
    def deadline(self) -> float:
        """Seconds; 0 for none."""
        return deadline(self.stage).total_seconds()

    def before(self) -> Iterator["Step"]:
        """The steps that come before it, in order."""
        for number, stage in enumerate(self.policy.stages[: self.number + 1]):
            for weight in weights(stage):
                if (number, weight) < (self.number, self.weight):
                    yield Step(self.policy, self.evidence, number, weight)

    def share(self, side: str) -> float | None:
        """The share of all observations that a side gets; None if it is frozen."""
        if side == "candidate":
            return 1.0 if self.stage.mirror else self.weight / 100
        if self.stage.against == "frozen_baseline":
            return None
        return 1.0 if self.stage.against == "shadow_baseline" else 1 - self.weight / 100


def steps_of(policy: Policy, evidence: Evidence) -> Iterator[Step]:
    """Every step, in order."""
    for number, stage in enumerate(policy.stages):
        for weight in weights(stage):
            yield Step(policy, evidence, number, weight)


def samples_of(
    step: Step, condition: Condition, min_samples: int | None = None
) -> Iterator[Samples]:
    """What a condition needs to be measured. `min_samples` is a trigger's own. Nothing of what
    nobody counts or knows the traffic of, and of sides that have no work at all."""
    needs = dict.fromkeys(references(condition))
    for key in needs:
        subject, _, name = key.partition(".")
        if subject == "split":
            yield from _assignments(step, key, name, min_samples)
            continue
        metric = step.policy.metrics.get(name)
        if metric is None or subject in step.policy.sources:
            continue
        source = step.policy.sources.get(metric.source)
        rate = step.evidence.rate("metric", name)
        if rate is None or counted(metric, source) != "observations" or counts_bars(metric):
            continue
        needed = needed_by(step.policy, metric, subject, min_samples)
        found = _side_samples(step, key, metric, rate, needed)
        if found is not None:
            yield found
        if subject in ("difference", "estimate") and isinstance(metric.dependence, timedelta):
            yield from _bars(step, key, metric.dependence)


def needed_by(policy: Policy, metric: Metric, subject: str, min_samples: int | None) -> int:
    """Observations that a measurement of a `subject` must have. `min_samples` is a trigger's."""
    needed = min_samples
    if needed is None:
        needed = needed_samples(metric, policy.sources.get(metric.source))
    if subject in ("difference", "estimate"):
        return max(needed, _least(metric))
    return max(needed, LEAST_RANKED) if subject == "shift" else needed


def _least(metric: Metric) -> int:
    """Observations below which the judge bounds nothing."""
    measured = metric.value is not None and metric.dependence in (None, "hac")
    return LEAST_DEPENDENT if measured else LEAST


def _side_samples(step: Step, key: str, metric: Metric, rate: float, needed: int) -> Samples | None:
    subject = key.partition(".")[0]
    shares = [step.share(side) for side in _SIDES.get(subject, BOTH)]
    known = [share for share in shares if share is not None]
    within = within_of(step, metric, subject)
    # A side without any work is reported by the rules about idle sides.
    if not known or within is None or not min(known):
        return None
    each = rate * min(known)
    most = NEWEST_RANKED if subject == "shift" else inf
    soon = late = 0.0
    if metric.window == "rollout":
        soon = earlier(step, rate, subject, _hold)
        late = earlier(step, rate, subject, _deadline)
    span = within.total_seconds()
    reached = max(0.0, needed - soon) / each if each else inf
    in_time = reached <= span * (1 + ROUNDING)
    return Samples(
        key,
        needed,
        each,
        within,
        by_hold=min(most, soon + each * min(step.hold, span)),
        by_deadline=min(most, late + each * span),
        reached=timedelta(seconds=reached) if needed <= most and in_time else None,
    )


def earlier(step: Step, rate: float, subject: str, span: Callable[[Step], float]) -> float:
    """Observations of the steps before, where each takes its `span`; of the smaller side."""
    return min(
        sum(rate * (before.share(side) or 0.0) * span(before) for before in step.before())
        for side in _SIDES.get(subject, BOTH)
    )


def _hold(step: Step) -> float:
    return step.hold


def _deadline(step: Step) -> float:
    return step.deadline


def within_of(step: Step, metric: Metric, subject: str) -> timedelta | None:
    """How long observations add up before the step must be done; None if nobody can say. What is
    compared adds up since the step was entered."""
    longest = deadline(step.stage)
    if subject in ("difference", "estimate") or metric.window in ("stage", "rollout"):
        return longest or None
    length = judged_time(step.policy, metric)
    if length is not None:
        return min(length, longest) if longest else length
    if isinstance(metric.window, Newest | BarCount):
        return longest or None
    return min(longest, SESSION) if longest else None


def _bars(step: Step, key: str, bar: timedelta) -> Iterator[Samples]:
    if not (bar and step.deadline):
        return
    rate = 1 / bar.total_seconds()
    reached = LEAST * bar
    yield Samples(
        key,
        LEAST,
        rate,
        timedelta(seconds=step.deadline),
        by_hold=rate * step.hold,
        by_deadline=rate * step.deadline,
        reached=reached if reached.total_seconds() <= step.deadline else None,
        kind="bars",
    )


def _assignments(step: Step, key: str, source: str, min_samples: int | None) -> Iterator[Samples]:
    """Those of both versions, from one tick after the step was entered."""
    rate, share = step.evidence.rate("source", source), step.weight / 100
    if rate is None or not 0 < share < 1 or step.stage.mirror or not step.deadline:
        return
    needed = least_assigned(share) if min_samples is None else min_samples
    late = step.policy.schedule.tick.total_seconds()
    reached = late + needed / rate if rate else inf
    yield Samples(
        key,
        needed,
        rate,
        timedelta(seconds=step.deadline),
        by_hold=rate * max(0.0, step.hold - late),
        by_deadline=rate * max(0.0, step.deadline - late),
        reached=timedelta(seconds=reached) if reached <= step.deadline else None,
        kind="assignments",
    )
