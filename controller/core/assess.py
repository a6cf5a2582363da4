"""What one look says of a live rollout: rules judged and counted, what stands in the way.

How looks are counted is in `core.counting`. A rule that reads a metric on a dry run is judged and
counted like any other, and neither acts nor stands in the way.
"""

from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from controller.core import handover
from controller.core.calendar import Calendar
from controller.core.counting import NOTHING, Counted, count, missed
from controller.core.decision import Term
from controller.core.effect import Severity
from controller.core.measurement import Measurements, Outcome, opposite
from controller.core.parameters import holds_back
from controller.core.plan import Check, Plan, Step, TriggerPlan
from controller.core.state import Counter, State


class Checked(Struct, frozen=True):
    """One check of a gate at one look. What holds and is not confirmed yet is inconclusive; what
    was not measured for longer than it may be (`lapsed`) fails. `ignored`: it is unknown, and the
    policy says that this does not matter."""

    check: Check
    outcome: Outcome
    terms: tuple[Term, ...]
    counter: Counter = NOTHING
    ignored: bool = False
    lapsed: bool = False

    @property
    def blocks(self) -> bool:
        """Whether it keeps the rollout where it is."""
        return self.outcome is not Outcome.PASS and not (self.ignored or self.check.dry_run)

    @property
    def fails(self) -> bool:
        """Whether it is on the wrong side, and not merely unknown."""
        return self.outcome is Outcome.FAIL and not self.check.dry_run


class Judged(Struct, frozen=True):
    """One trigger at one look. `outcome` fails where its condition holds. `firing`: confirmed, or
    not measured for longer than it may be (`lapsed`), and not cleared since; `escalated`: a hold
    that lasted too long; `ignored`: it is unknown, and that does not matter."""

    trigger: TriggerPlan
    outcome: Outcome
    terms: tuple[Term, ...]
    counter: Counter
    firing: bool
    escalated: bool
    ignored: bool = False
    lapsed: bool = False

    @property
    def then(self) -> str:
        """What it asks for now."""
        return "rollback" if self.escalated else self.trigger.then

    @property
    def acts(self) -> bool:
        """Whether it asks for anything."""
        return self.firing and not self.trigger.dry_run

    @property
    def stops(self) -> bool:
        """Whether it can keep the rollout from advancing: one that only alerts does not."""
        return self.trigger.then != "alert" and not self.trigger.dry_run

    @property
    def blocks(self) -> bool:
        """Whether it keeps the rollout from advancing."""
        unclear = self.outcome is not Outcome.PASS and not self.ignored
        return (self.firing or unclear) and self.stops

    @property
    def fails(self) -> bool:
        """Whether it is on the wrong side, and not merely unknown."""
        return (self.outcome is Outcome.FAIL or self.lapsed) and self.stops


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a look at a live rollout found that matters for a move: triggers that are not quiet;
    once the dwell is over the checks, before that those that count looks. `earned`: the evidence
    is there; `may_advance`: and no freeze window or closed market forbids it."""

    triggers: tuple[Judged, ...]
    checks: tuple[Checked, ...]
    earned: bool
    may_advance: bool

    @property
    def something_fails(self) -> bool:
        """A check or trigger is on the wrong side (not merely unknown)."""
        return any(checked.fails for checked in self.checks) or any(
            judged.fails for judged in self.triggers
        )

    def asking(self, then: str) -> tuple[Judged, ...]:
        """Triggers that ask for `then`, highest severity first (rule 5)."""
        found = [j for j in self.triggers if j.acts and j.then == then]
        return tuple(sorted(found, key=lambda j: -j.trigger.severity))


def assess(
    plan: Plan,
    step: Step,
    state: State,
    measurements: Measurements,
    now: datetime,
    *,
    only_hard: bool = False,
) -> Assessment:
    """Judge what can move a rollout in `step`. `state` has its clocks brought up to `now`.
    `only_hard` is the look between ticks: other rules keep their counters."""
    triggers = tuple(
        judge(trigger, state, measurements, now, plan.calendar)
        for trigger in plan.guarding[step.name]
        if (trigger.hard or not only_hard)
        and (
            not trigger.quiet(measurements, now)
            or trigger.name in state.counters
            or trigger.name in state.firing
        )
    )
    checks: tuple[Checked, ...] = ()
    dwelt = state.dwell_ms >= step.hold_ms
    told = bool(state.told_to_advance)
    if not only_hard and not told:
        wanted = step.checks if dwelt or state.name != step.name else step.counted
        checks = tuple(look_at(check, state, measurements, now, plan.calendar) for check in wanted)
    earned = (
        not only_hard
        and (told or (dwelt and not any(checked.blocks for checked in checks)))
        and not any(judged.blocks for judged in triggers)
        and not state.unacknowledged
        and not holds_back(plan, step, state)
        and not handover.holds_back(plan, step, state)
    )
    may_advance = earned and not plan.frozen_by(now) and plan.calendar.is_open(now)
    return Assessment(triggers, checks, earned, may_advance)


def look_at(
    check: Check, state: State, measurements: Measurements, now: datetime, calendar: Calendar
) -> Checked:
    """One check at one look, with its counter moved on."""
    holds, terms = check.evaluate(measurements, now)
    if not check.counting.remembers:
        means = check.counting.means(holds)
        ignored = means is not None and means.meanwhile == "ignore"
        return Checked(check, holds, terms, ignored=ignored)
    before = state.counters.get(check.name, NOTHING)
    counted = count(check.counting, holds, before, now, calendar)
    counter, outcome = counted.counter, holds
    if counted.lapsed:
        outcome = Outcome.FAIL
        counter = replace(missed(counter, check.counting.confirm), unmeasured=counter.unmeasured)
    elif holds is Outcome.PASS and not counted.confirmed:
        outcome = Outcome.INCONCLUSIVE
    return Checked(check, outcome, terms, counter, _ignored(counted), counted.lapsed)


def judge(
    trigger: TriggerPlan,
    state: State,
    measurements: Measurements,
    now: datetime,
    calendar: Calendar,
) -> Judged:
    """One trigger at one look, with its counter moved on."""
    holds, terms = trigger.evaluate(measurements, now)
    before = state.counters.get(trigger.name, NOTHING)
    counted = count(trigger.counting, holds, before, now, calendar)
    counter = counted.counter
    firing = counted.confirmed or counted.lapsed
    if trigger.name in state.firing and not counted.lapsed:
        firing = _goes_on(trigger, counted, holds, measurements, now)
        if not firing and trigger.clear is not None:
            counter = Counter(unmeasured=counter.unmeasured)
    if firing and counter.firing is None:
        counter = replace(counter, firing=before.firing or now)
    escalated = firing and _too_long(trigger, counter, now, calendar)
    return Judged(
        trigger, opposite(holds), terms, counter, firing, escalated, _ignored(counted),
        counted.lapsed,
    )  # fmt: skip


def _ignored(counted: Counted) -> bool:
    return counted.meanwhile == "ignore" and not counted.lapsed


def _goes_on(
    trigger: TriggerPlan,
    counted: Counted,
    holds: Outcome,
    measurements: Measurements,
    now: datetime,
) -> bool:
    """Whether a trigger that fires still does: where nobody can say, it goes on. With `clear` it
    is over when that holds, and `when` does not."""
    if counted.meanwhile == "reset":
        return False
    if trigger.clear is not None:
        over = trigger.clear.evaluate(measurements, now)[0] is Outcome.PASS
        return holds is Outcome.PASS or not over
    return counted.confirmed or bool(counted.meanwhile)


def _too_long(trigger: TriggerPlan, counter: Counter, now: datetime, calendar: Calendar) -> bool:
    """Since it began to fire: a success in between that leaves it firing clears nothing."""
    if trigger.escalate_ms is None or counter.firing is None:
        return False
    return calendar.open_ms(counter.firing, now) >= trigger.escalate_ms


def freeze_ends(plan: Plan, now: datetime) -> datetime:
    """When no freeze window forbids an advance any more; `now` where none does."""
    while plan.frozen_by(now):
        now = max(window.end for window in plan.freeze if window.start <= now < window.end)
    return now


def span(ms: int) -> str:
    """`45s`, `59m 30s`, `1h`, `1h 05m`, `4d 2h`: a duration for people, in two units at most."""
    seconds, minutes, hours, days = ms // 1000, ms // 60_000, ms // 3_600_000, ms // 86_400_000
    if days:
        return f"{days}d {hours % 24}h" if hours % 24 else f"{days}d"
    if hours:
        return f"{hours}h {minutes % 60:02d}m" if minutes % 60 else f"{hours}h"
    if minutes:
        return f"{minutes}m {seconds % 60:02d}s" if seconds % 60 else f"{minutes}m"
    return f"{seconds}s" if seconds else f"{ms}ms" if ms else "0s"


def severity_of(judged: tuple[Judged, ...]) -> Severity:
    """The highest of those that act, LOW of none."""
    return max((j.trigger.severity for j in judged if j.acts), default=Severity.LOW)
