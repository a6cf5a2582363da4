"""The compiled policy: steps, rules as closures, clocks and targets. Built once, never changed.

`core.compiler.compile_plan` makes it from a checked policy; `decide` reads nothing else of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from controller.core.calendar import Calendar
from controller.core.decision import Term
from controller.core.effect import Phase, Severity
from controller.core.measurement import (
    BASELINE,
    CANDIDATE,
    COMPARISONS,
    Measurements,
    Outcome,
)
from controller.core.share import Share
from controller.core.standing import AlertsPlan
from controller.core.state import stage_step
from controller.policy.budgets import SHARED, SharedRule, Spending
from controller.policy.expression import Unit
from controller.policy.source import Quality
from controller.policy.values import Window

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
class Beside:
    """What a metric says beside its query: the aggregation of the points of a window (`value`)
    and the `step` between them; the questions that tell `samples` and `as_of`."""

    value: str | None = None
    step: timedelta | None = None
    samples: str | None = None
    as_of: str | None = None


NOTHING_BESIDE = Beside()


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One metric. `window` of time, of the newest so many, of so many bars, or since the start of
    the session, stage, rollout. With nothing newer than `max_age` it says nothing. `proportion`: a
    query that gives a share of its samples. `bar`: the length of its bars, if it is made of any."""

    name: str
    source: str
    expression: str
    window: Window
    max_age: timedelta
    min_samples: int
    lower_is_better: bool
    unit: Unit
    capital: float | None
    dependence: timedelta | Literal["hac", "independent"] = "hac"
    column: str = "value"
    """Of a query: the column that holds the number."""
    beside: Beside = NOTHING_BESIDE
    proportion: bool = False
    bar: timedelta | None = None
    shared: SharedRule | None = None
    """Whose the observations of the version `shared` are."""


def metric_of(metrics: Mapping[str, MetricPlan], key: str) -> MetricPlan | None:
    """The metric behind a measurement, of the metrics of a plan; None of how long a source has
    been silent, and of a split."""
    subject, _, name = key.partition(".")
    return metrics.get(name if subject in (CANDIDATE, BASELINE, *COMPARISONS) else key)


@dataclass(frozen=True, slots=True)
class Confirm:
    """`k of n` (in a row: k == n); `n` 0: k in total."""

    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """What an outcome that is no measurement means: `meanwhile`, and that it is a failure after
    `fail_ms` of open time without a measurement (None: never)."""

    meanwhile: Literal["hold", "ignore", "reset"] = "hold"
    fail_ms: int | None = None


HOLD = Unmeasured()
"""What it means where the policy says nothing."""


@dataclass(frozen=True, slots=True)
class Counting:
    """How a rule counts (`core.counting`): how often and for how long its condition must hold,
    and what outcomes mean that are no measurement, where that is not `HOLD`. `remembers`: whether
    there is anything that a look must leave to the next."""

    confirm: Confirm
    for_ms: int
    unknown: Mapping[Outcome, Unmeasured]
    may_fail_unmeasured: bool
    remembers: bool

    def means(self, holds: Outcome) -> Unmeasured | None:
        """What an outcome means that is no measurement; None of one that is."""
        if holds is Outcome.PASS or holds is Outcome.FAIL:
            return None
        return self.unknown.get(holds, HOLD) if self.unknown else HOLD


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
    """One line of a stage's `advance`. `dry_run`: shown, and never in the way."""

    name: str
    rule: str
    evaluate: Evaluate
    limit: Limit | None
    counting: Counting
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Clear:
    """When a trigger that fires is over."""

    rule: str
    evaluate: Evaluate
    limit: Limit | None


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """One trigger. `hard`: acts at once on a single observation, between ticks too. `dry_run`:
    judged and shown, and never acts."""

    name: str
    rule: str
    evaluate: Evaluate
    quiet: Quiet
    limit: Limit | None
    severity: Severity
    then: Literal["rollback", "hold", "pause", "alert"]
    counting: Counting
    clear: Clear | None
    escalate_ms: int | None
    hard: bool
    dry_run: bool
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
    counted: tuple[Check, ...]
    """Checks that every look counts, long before the step can be left."""


@dataclass(frozen=True, slots=True)
class ParametersPlan:
    """How the parameters get from the baseline's to the candidate's. `grid`: every progress at
    which they are published, from 0 to the whole; `over_ms` of open time in the `stages`, or 0
    where progress is the candidate's share; `last`: the step that is not left before they have
    arrived. Unacknowledged for `within_ms` (None: nobody is asked), `otherwise`. Back over
    `back` (None: at once), for rollbacks below the severity `at_once_from`."""

    grid: tuple[Share, ...]
    over_ms: int
    stages: frozenset[str]
    last: str
    within_ms: int | None
    otherwise: Literal["rollback", "pause"]
    back: timedelta | None
    at_once_from: Severity


@dataclass(frozen=True, slots=True)
class HandoverPlan:
    """How the writing of orders passes to the candidate's process. `phases` forward, in order; from
    the second on in `stage`, which is not left before the last. Unanswered for `answer_ms` it goes
    back; not agreed on a target within `agree_ms`, `otherwise`; the position not closed within
    `close_ms`, `close_otherwise`. `converges`: always by a ramp. `place`: see `State`."""

    stage: str
    phases: tuple[Phase, ...]
    answer_ms: int
    agree_ms: int
    otherwise: Literal["ramp", "rollback"]
    close_ms: int
    close_otherwise: Literal["flatten", "rollback"]
    converges: bool
    place: tuple[str, str, str]


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
    trigger_level: float
    """The part of `false_alarm` that each comparison of a trigger has."""
    metrics: Mapping[str, MetricPlan]
    """By name; what a source says of its own data by its key, `signals.quality`."""
    sources: tuple[str, ...]
    references: tuple[str, ...]
    """Every measurement that a check or trigger reads, sorted: what to collect."""
    quality: Mapping[str, Quality]
    """What good data is, by source that says it."""
    compared: tuple[str, ...]
    """Metrics that are compared with the baseline by their bounds."""
    share_targets: tuple[str, ...]
    live_targets: tuple[str, ...]
    """Those of the share targets that are read back at every look."""
    renewed: bool
    """Whether a published share grows old without a sign of life at every tick."""
    config_targets: tuple[str, ...]
    steps: tuple[Step, ...]
    triggers: tuple[TriggerPlan, ...]
    budgets: tuple[Spending, ...]
    """What their levels do are triggers."""
    rollback: RollbackPlan
    parameters: ParametersPlan | None
    handover: HandoverPlan | None
    alerts: AlertsPlan | None
    """None: they go into the log, and nowhere else."""
    baseline_kept: frozenset[str]
    """Steps after which the baseline is frozen: its last good measurements are kept there."""
    machine: "RolloutMachine"
    by_name: Mapping[str, Step]
    guarding: Mapping[str, tuple[TriggerPlan, ...]]
    """By step name: the triggers that apply there."""

    def metric(self, key: str) -> MetricPlan | None:
        """See `metric_of`."""
        return metric_of(self.metrics, key)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions whose observations are taken."""
        both = (self.baseline.name, self.candidate.name)
        return (*both, SHARED) if any(m.shared for m in self.metrics.values()) else both

    def frozen_by(self, now: datetime) -> str:
        """Name of the freeze window at `now`, or empty."""
        for window in self.freeze:
            if window.start <= now < window.end:
                return window.name
        return ""

    def step(self, name: str) -> Step | None:
        """The step of a live state's name (`ramp-25.paused` -> `ramp-25`), else None."""
        return self.by_name.get(name) or self.by_name.get(stage_step(name))
