"""What one look says of a live rollout: rules judged, failures counted, what stands in the way.

Counting (rule 2): only a measured outcome moves a counter. No data, errors and too few samples
neither confirm a failure nor clear one.
"""

from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from controller.core.calendar import Calendar
from controller.core.decision import RuleResult, Term
from controller.core.effect import Severity
from controller.core.measurement import Measurements, Outcome
from controller.core.plan import Confirm, Plan, Step, TriggerPlan
from controller.core.state import Counter, State

_NOTHING = Counter()


@dataclass(frozen=True, slots=True)
class Judged:
    """One trigger at one look. `firing`: confirmed; `escalated`: a hold that lasted too long."""

    trigger: TriggerPlan
    outcome: Outcome
    terms: tuple[Term, ...]
    counter: Counter
    firing: bool
    escalated: bool

    @property
    def then(self) -> str:
        """What it asks for now."""
        return "rollback" if self.escalated else self.trigger.then

    @property
    def stops(self) -> bool:
        """Whether it keeps the rollout from advancing: one that only alerts does not."""
        return self.trigger.then != "alert"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a look at a live rollout found that matters for a move: triggers that are not quiet,
    and, once the dwell is over, the checks. `earned`: the evidence is there; `may_advance`: and
    no freeze window or closed market forbids it."""

    triggers: tuple[Judged, ...]
    checks: tuple[Outcome, ...]
    earned: bool
    may_advance: bool

    @property
    def something_fails(self) -> bool:
        """A check or trigger is measured and on the wrong side (not merely unknown)."""
        return Outcome.FAIL in self.checks or any(
            judged.outcome is Outcome.FAIL for judged in self.triggers if judged.stops
        )

    def asking(self, then: str) -> tuple[Judged, ...]:
        """Firing triggers that ask for `then`, highest severity first (rule 5)."""
        found = [j for j in self.triggers if j.firing and j.then == then]
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
    checks: tuple[Outcome, ...] = ()
    dwelt = state.dwell_ms >= step.hold_ms
    told = bool(state.told_to_advance)
    if not only_hard and not told and (dwelt or state.name != step.name):
        checks = tuple(check.evaluate(measurements, now)[0] for check in step.checks)
    earned = (
        not only_hard
        and (told or (dwelt and all(outcome is Outcome.PASS for outcome in checks)))
        and all(j.outcome is Outcome.PASS and not j.firing for j in triggers if j.stops)
        and not state.unacknowledged
    )
    may_advance = earned and not frozen_by(plan, now) and plan.calendar.is_open(now)
    return Assessment(triggers, checks, earned, may_advance)


def judge(
    trigger: TriggerPlan,
    state: State,
    measurements: Measurements,
    now: datetime,
    calendar: Calendar,
) -> Judged:
    """One trigger at one look, with its counter moved on."""
    holds, terms = trigger.evaluate(measurements, now)
    before = state.counters.get(trigger.name, _NOTHING)
    if holds is Outcome.FAIL:
        outcome, counter = Outcome.PASS, _cleared(before, trigger.confirm)
    elif holds is Outcome.PASS:
        outcome = Outcome.FAIL
        counter = _failed(before, trigger.confirm, now)
    else:
        firing = trigger.name in state.firing
        escalated = firing and _too_long(trigger, before, now, calendar)
        return Judged(trigger, holds, terms, before, firing, escalated)
    firing = _confirmed(trigger, counter, now, calendar)
    if firing:
        counter = replace(counter, firing=before.firing or now)
    escalated = firing and _too_long(trigger, counter, now, calendar)
    return Judged(trigger, outcome, terms, counter, firing, escalated)


def _failed(before: Counter, confirm: Confirm, now: datetime) -> Counter:
    """After a failure. Only what the rule asks for is remembered: its last n looks, or a total."""
    since = before.since or now
    if confirm.n == 0:
        return Counter(total=before.total + 1, since=since)
    return Counter(recent=(before.recent << 1 | 1) & ((1 << confirm.n) - 1), since=since)


def _cleared(before: Counter, confirm: Confirm) -> Counter:
    """After a success: the run is broken; what is counted `of n` or in total stays."""
    if confirm.n == 0:
        return Counter(total=before.total) if before.total else _NOTHING
    recent = before.recent << 1 & ((1 << confirm.n) - 1)
    return Counter(recent=recent) if recent else _NOTHING


def failures(confirm: Confirm, counter: Counter) -> int:
    """Failures that count towards `confirm`."""
    return counter.total if confirm.n == 0 else counter.recent.bit_count()


def _confirmed(trigger: TriggerPlan, counter: Counter, now: datetime, calendar: Calendar) -> bool:
    if failures(trigger.confirm, counter) < trigger.confirm.k:
        return False
    if trigger.for_ms == 0:
        return True
    return counter.since is not None and calendar.open_ms(counter.since, now) >= trigger.for_ms


def _too_long(trigger: TriggerPlan, counter: Counter, now: datetime, calendar: Calendar) -> bool:
    """Since it began to fire: a success in between that leaves it firing clears nothing."""
    if trigger.escalate_ms is None or counter.firing is None:
        return False
    return calendar.open_ms(counter.firing, now) >= trigger.escalate_ms


def blockers(
    plan: Plan,
    step: Step,
    state: State,
    checks: tuple[tuple[Outcome, tuple[Term, ...]], ...],
    triggers: tuple[Judged, ...],
    now: datetime,
) -> tuple[str, ...]:
    """What has to change before the rollout may advance, in words; none when it may."""
    found: list[str] = []
    if state.unacknowledged:
        found.append(f"share: {len(state.unacknowledged)} target(s) have not acknowledged it")
    if not state.told_to_advance:
        if state.dwell_ms < step.hold_ms:
            left = step.hold_ms - state.dwell_ms
            found.append(f"dwell: {span(left)} of {span(step.hold_ms)} to go")
        for check, (outcome, terms) in zip(step.checks, checks, strict=True):
            if outcome is not Outcome.PASS:
                found.append(f"check {check.rule}: {why(outcome, terms)}")
    for judged in triggers:
        if judged.stops and (judged.outcome is not Outcome.PASS or judged.firing):
            state_word = "firing" if judged.firing else why(judged.outcome, judged.terms)
            found.append(f"trigger {judged.trigger.name}: {state_word}")
    window = frozen_by(plan, now)
    if window:
        found.append(f"freeze: {window} until {_end_of(plan, now)}")
    if not plan.calendar.is_open(now):
        found.append(f"calendar: {plan.calendar.name} is closed")
    return tuple(found)


def why(outcome: Outcome, terms: tuple[Term, ...]) -> str:
    """An outcome in words, with the samples or the reason behind it."""
    word = outcome.value.replace("_", " ")
    if outcome is Outcome.INCONCLUSIVE:
        short = [t for t in terms if t.samples < t.min_samples]
        if short:
            return f"{word}, samples {short[0].samples} of {short[0].min_samples}"
    details = [t.detail for t in terms if t.detail]
    return f"{word}, {details[0]}" if details else word


def frozen_by(plan: Plan, now: datetime) -> str:
    """Name of the freeze window at `now`, or empty."""
    for window in plan.freeze:
        if window.start <= now < window.end:
            return window.name
    return ""


def _end_of(plan: Plan, now: datetime) -> str:
    end = max(f.end for f in plan.freeze if f.start <= now < f.end)
    return f"{end:%Y-%m-%d %H:%M} UTC"


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
    """The highest of those that fire, LOW of none."""
    return max((j.trigger.severity for j in judged if j.firing), default=Severity.LOW)


def result_of(judged: Judged) -> RuleResult:
    """A trigger for the explanation."""
    trigger, confirm = judged.trigger, judged.trigger.confirm
    counted = failures(confirm, judged.counter)
    count = ""
    if confirm.n == 0:
        count = f"{counted} of {confirm.k} in total"
    elif confirm.k > 1:
        count = f"{counted} of {confirm.k} in {confirm.n}"
    if trigger.for_ms and judged.counter.since is not None:
        count = f"{count} for {span(trigger.for_ms)} since {judged.counter.since:%H:%M:%S}".strip()
    return RuleResult(
        name=trigger.name,
        rule=trigger.rule,
        outcome=judged.outcome,
        terms=judged.terms,
        firing=judged.firing,
        count=count,
        severity=trigger.severity.word,
    )
