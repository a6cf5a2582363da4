"""The compiled policy: steps, rules as closures, clocks and targets. Built once, never changed.

`core.compiler.compile_plan` makes it from a checked policy; `decide` reads nothing else of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from controller.core.calendar import Calendar
from controller.core.decision import Term
from controller.core.effect import Severity
from controller.core.measurement import (
    BASELINE,
    CANDIDATE,
    DIFFERENCE,
    Measurements,
    Outcome,
)
from controller.core.share import Share
from controller.core.state import stage_step
from controller.policy.expression import Unit
from controller.policy.models import BarCount, Quality

if TYPE_CHECKING:
    from controller.core.machine import RolloutMachine

WATCH = "watch"
"""Name of the stage after promotion: last, at 100%, still one step from the way back."""

Judgement = tuple[Outcome, tuple[Term, ...]]
Quiet = Callable[[Measurements, datetime], bool]
"""Quick look at one condition: true only if it is measured and does not hold."""
Evaluate = Callable[[Measurements, datetime], Judgement]
"""Closure of one condition: outcome of the *condition* (pass: it holds, fail: it does not)."""


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One metric. `window` of a duration, of so many bars, or since the start of the session,
    stage, rollout. `bar` is the length of the bars that returns are made of.
    With nothing newer than `max_age` it says nothing."""

    name: str
    source: str
    expression: str
    window: timedelta | BarCount | Literal["session", "stage", "rollout"]
    max_age: timedelta
    min_samples: int
    lower_is_better: bool
    unit: Unit
    capital: float | None
    bar: timedelta | None = None


def metric_of(metrics: Mapping[str, MetricPlan], key: str) -> MetricPlan | None:
    """The same, of the metrics of a plan."""
    subject, _, name = key.partition(".")
    return metrics.get(name if subject in (CANDIDATE, BASELINE, DIFFERENCE) else key)


@dataclass(frozen=True, slots=True)
class Confirm:
    """`k of n` (in a row: k == n); `n` 0: k in total."""

    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule of the shape `reference operator number`: what nearly every rule is. Held as data as
    well, so that whole columns of recorded measurements can be judged at once."""

    reference: str
    operator: str
    bound: float
    min_samples: int
    max_age: timedelta | None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a stage's `advance`."""

    name: str
    rule: str
    evaluate: Evaluate
    limit: Limit | None


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """One trigger. `hard`: acts at once on a single observation, between ticks too."""

    name: str
    rule: str
    evaluate: Evaluate
    quiet: Quiet
    limit: Limit | None
    severity: Severity
    then: Literal["rollback", "hold", "pause", "alert"]
    confirm: Confirm
    for_ms: int
    escalate_ms: int | None
    hard: bool
    stages: frozenset[str]
    about_candidate: bool
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApprovalPlan:
    """Who must agree, by when, and what silence means."""

    by: str
    within_ms: int
    otherwise: Literal["rollback", "pause"]


@dataclass(frozen=True, slots=True)
class Step:
    """One live state of the machine: a stage, or one weight of a stage with several."""

    name: str
    stage: str
    share: Share
    mirror: bool
    hold_ms: int
    deadline_ms: int
    deadline_then: Literal["rollback", "pause"]
    approval: ApprovalPlan | None
    frozen_baseline: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """The way back. `restart` is the name of the step to start from again."""

    steps: tuple[str, ...]
    deadline: timedelta
    verify_after: timedelta
    cooldown: timedelta
    restart: str
    lock_after: int
    lock_per: timedelta


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """A version's name and, where it has one, the file of its configuration."""

    name: str
    config: str | None


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """No advance in [start, end)."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `decide` knows of the policy. `targets` is by kind of effect:
    `set_share` and `activate`."""

    rollout: str
    digest: str
    owner: str
    baseline: VersionPlan
    candidate: VersionPlan
    tick: timedelta
    tick_ms: int
    calendar: Calendar
    freeze: tuple[FreezeWindow, ...]
    false_alarm: float
    metrics: Mapping[str, MetricPlan]
    """By name; what a source says of its own data by its key, `signals.quality`."""
    sources: tuple[str, ...]
    references: tuple[str, ...]
    """Every measurement that a check or trigger reads, sorted: what to collect."""
    quality: Mapping[str, Quality]
    """What good data is, by source that says it."""
    compared: tuple[str, ...]
    """Metrics that `not_worse` or `better` compare."""
    share_targets: tuple[str, ...]
    config_targets: tuple[str, ...]
    steps: tuple[Step, ...]
    triggers: tuple[TriggerPlan, ...]
    rollback: RollbackPlan
    baseline_kept: frozenset[str]
    """Steps after which the baseline is frozen: its last good measurements are kept there."""
    machine: "RolloutMachine"
    by_name: Mapping[str, Step]
    guarding: Mapping[str, tuple[TriggerPlan, ...]]
    """By step name: the triggers that apply there."""

    def metric(self, key: str) -> MetricPlan | None:
        """The metric behind a measurement; None of how long a source has been silent."""
        return metric_of(self.metrics, key)

    def step(self, name: str) -> Step | None:
        """The step of a live state's name (`ramp-25.paused` -> `ramp-25`), else None."""
        return self.by_name.get(name) or self.by_name.get(stage_step(name))
