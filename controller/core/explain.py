"""Why, in one value: rules with values and limits, clocks, and what would have to happen.

Comes with every decision, worked out when it is asked for and never stored: the journal has the
state before and the event, so that any past explanation can be computed again.
"""

from datetime import datetime

from controller.core import handover
from controller.core.assess import Checked, Judged, freeze_ends, judge, look_at, span
from controller.core.calendar import Calendar, milliseconds
from controller.core.counting import held_ms, times
from controller.core.decision import Decision, Explanation, Progress, RuleResult, Spent, Term
from controller.core.effect import Phase
from controller.core.enter import Effects
from controller.core.measurement import Measurements, Outcome
from controller.core.parameters import awaited, holds_back
from controller.core.plan import Counting, Plan, Step
from controller.core.share import percent_text
from controller.core.spending import spent
from controller.core.state import (
    APPROVAL,
    AT_BASELINE,
    COMPLETED,
    COOLDOWN,
    HELD,
    ROLLING_BACK,
    Counter,
    State,
)

DONE = {"rollback": "rolled back", "hold": "held", "pause": "paused", "alert": "alerted"}
"""What a trigger has done, by what it does."""


def explanation(
    plan: Plan,
    state: State,
    now: datetime,
    measurements: Measurements | None = None,
    before: State | None = None,
    notes: tuple[str, ...] = (),
) -> Explanation:
    """Of `state`, which has its clocks at `now`. With `measurements`, the rules of its step are
    judged on them, counters taken from `before` (the state before the event)."""
    step = plan.step(state.name)
    if step is None:
        return Explanation(
            state=state.name,
            share=state.share,
            clocks=(*_return_clocks(plan, state), *_on_the_way(plan, state)),
            would_have=_would_have(plan, state),
            notes=notes,
        )
    following = _following(plan, step)
    checks: tuple[Checked, ...] = ()
    triggers: tuple[Judged, ...] = ()
    stands: tuple[str, ...] = ()
    budgets: tuple[Spent, ...] = ()
    if measurements is not None:
        counted = before or state
        checks = tuple(
            look_at(check, counted, measurements, now, plan.calendar) for check in step.checks
        )
        triggers = tuple(
            judge(trigger, counted, measurements, now, plan.calendar)
            for trigger in plan.guarding[step.name]
        )
        stands = _blockers(plan, step, state, checks, triggers, now)
        budgets = spent(plan, measurements, now)
    return Explanation(
        state=state.name,
        share=state.share,
        next_state=following.name if following else COMPLETED,
        next_share=following.share if following else None,
        checks=tuple(_check(checked, now, plan.calendar) for checked in checks),
        triggers=tuple(_trigger(judged, now, plan.calendar) for judged in triggers),
        clocks=(*_live_clocks(step, state), *_on_the_way(plan, state)),
        blockers=stands,
        would_have=_would_have(plan, state),
        budgets=budgets,
        notes=notes,
    )


def _would_have(plan: Plan, state: State) -> tuple[str, ...]:
    then = {trigger.name: DONE[trigger.then] for trigger in plan.triggers}
    return tuple(
        f"trigger {name} would have {then[name]} at {at:%Y-%m-%d %H:%M:%S} UTC"
        for name, at in state.would_have.items()
        if name in then
    )


# Rules ------------------------------------------------------------------------------------


def _check(checked: Checked, now: datetime, calendar: Calendar) -> RuleResult:
    check = checked.check
    words = _counted(check.counting, checked.counter, now, calendar)
    words = _unmeasured(checked, check.counting, now, calendar) or words
    return RuleResult(
        name=check.name,
        rule=check.rule,
        outcome=checked.outcome,
        terms=checked.terms,
        count=words,
        dry_run=check.dry_run,
    )


def _trigger(judged: Judged, now: datetime, calendar: Calendar) -> RuleResult:
    trigger = judged.trigger
    words = _counted(trigger.counting, judged.counter, now, calendar)
    words = _unmeasured(judged, trigger.counting, now, calendar) or words
    if judged.firing and trigger.clear is not None:
        words = f"{words} until {trigger.clear.rule}".lstrip()
    return RuleResult(
        name=trigger.name,
        rule=trigger.rule,
        outcome=judged.outcome,
        terms=judged.terms,
        firing=judged.firing,
        count=words,
        severity=trigger.severity.word,
        dry_run=trigger.dry_run,
    )


def _counted(rule: Counting, counter: Counter, now: datetime, calendar: Calendar) -> str:
    """`2 of 3 in a row`, `1m of 5m`: how far it has come; empty where nothing is counted."""
    confirm, seen = rule.confirm, times(rule.confirm, counter)
    words = ""
    if confirm.n == 0:
        words = f"{seen} of {confirm.k} in total"
    elif confirm.k > 1:
        whole = "a row" if confirm.k == confirm.n else confirm.n
        words = f"{seen} of {confirm.k} in {whole}"
    if rule.for_ms and (counter.since is not None or counter.held_ms):
        held = span(held_ms(counter, now, calendar))
        words = f"{words} {held} of {span(rule.for_ms)}".lstrip()
    return words


def _unmeasured(
    rule: Checked | Judged, counting: Counting, now: datetime, calendar: Calendar
) -> str:
    """`ignored`, or how long it may go unmeasured; empty where neither is said."""
    since = rule.counter.unmeasured
    if since is None:
        return "ignored" if rule.ignored else ""
    lasted = span(calendar.open_ms(since, now))
    if rule.lapsed:
        return f"not measured for {lasted}"
    means = counting.means(rule.outcome)
    fails = "ignored" if rule.ignored else ""
    if means is not None and means.fail_ms is not None:
        fails = f"fails at {span(means.fail_ms)}"
    return f"not measured for {lasted}, {fails}".removesuffix(", ")


def _blockers(
    plan: Plan,
    step: Step,
    state: State,
    checks: tuple[Checked, ...],
    triggers: tuple[Judged, ...],
    now: datetime,
) -> tuple[str, ...]:
    """What has to change before the rollout may advance, in words; none when it may."""
    found: list[str] = []
    shares = len(state.unacknowledged) - len(awaited(state))
    if shares:
        found.append(f"share: {shares} target(s) have not acknowledged it")
    found += _parameters_wait(plan, step, state)
    if handover.holds_back(plan, step, state):
        found.append(f"handover: {handover_waits(plan, state)}")
    if not state.told_to_advance:
        if state.dwell_ms < step.hold_ms:
            left = step.hold_ms - state.dwell_ms
            found.append(f"dwell: {span(left)} of {span(step.hold_ms)} to go")
        for checked in checks:
            if checked.blocks:
                count = _check(checked, now, plan.calendar).count
                words = _why(checked.outcome, checked.terms, count)
                found.append(f"check {checked.check.rule}: {words}")
    for judged in triggers:
        if judged.blocks:
            waits = _unmeasured(judged, judged.trigger.counting, now, plan.calendar)
            words = "firing" if judged.firing else _why(judged.outcome, judged.terms, waits)
            found.append(f"trigger {judged.trigger.name}: {words}")
    window = plan.frozen_by(now)
    if window:
        found.append(f"freeze: {window} until {freeze_ends(plan, now):%Y-%m-%d %H:%M} UTC")
    if not plan.calendar.is_open(now):
        found.append(f"calendar: {plan.calendar.name} is closed")
    return tuple(found)


def _parameters_wait(plan: Plan, step: Step, state: State) -> list[str]:
    """What the advance waits for of the parameters."""
    way, vector = plan.parameters, state.parameters
    if way is None or vector is None:
        return []
    found = []
    if awaited(state):
        waits = span(vector.unanswered_ms)
        limit = f" of {span(way.within_ms)}" if way.within_ms is not None else ""
        told = percent_text(vector.progress)
        found.append(f"parameters: {told} of the way is not acknowledged, for {waits}{limit}")
    if holds_back(plan, step, state) and vector.spent_ms < way.over_ms:
        left = span(way.over_ms - vector.spent_ms)
        found.append(f"parameters: {left} of {span(way.over_ms)} to go")
    return found


_DOES = {
    Phase.WARM: "{candidate} is warming up",
    Phase.COPY: "{candidate} takes a copy of what {baseline} holds, and has to reproduce it",
    Phase.AGREE: "both targets have to agree",
    Phase.DRAIN: "{baseline} only reduces its position, until it is flat",
    Phase.FLATTEN: "{baseline} closes its position",
    Phase.FENCE: "{baseline} writes no more, {candidate} takes over what it holds",
    Phase.WRITE: "{candidate} writes",
    Phase.RETIRE: "{candidate} writes, {baseline} may stop",
    Phase.BACK: "{baseline} writes",
}


def handover_words(state: State) -> str:
    """What the phase is about; empty without a handover."""
    here = state.handover
    if here is None:
        return ""
    return _DOES[here.phase].format(baseline=here.place[1], candidate=here.place[2])


def handover_waits(plan: Plan, state: State) -> str:
    """What the handover waits for, for how long, and what comes of it."""
    way, here = plan.handover, state.handover
    if way is None or here is None:
        return "not begun"
    if not here.key:
        return f"goes on in {way.stage} where nothing holds it up"
    limit = handover.limit_ms(way, here.phase)
    waits = f", for {span(here.waited_ms)}" if here.waited_ms or limit is not None else ""
    if limit is not None:
        waits += f" of {span(limit)}, then {handover.otherwise(way, here.phase)}"
    return f"{handover_words(state)}{waits}"


def _why(outcome: Outcome, terms: tuple[Term, ...], count: str) -> str:
    """An outcome in words, with the samples, the count or the reason behind it."""
    word = outcome.value.replace("_", " ")
    if outcome is Outcome.INCONCLUSIVE:
        short = [t for t in terms if t.samples < t.min_samples]
        if short:
            return f"{word}, samples {short[0].samples} of {short[0].min_samples}"
    details = [t.detail for t in terms if t.detail][:1]
    return ", ".join([word, *([count] if count else []), *details])


# Steps and clocks -------------------------------------------------------------------------


def _following(plan: Plan, step: Step) -> Step | None:
    index = plan.steps.index(step) + 1
    return plan.steps[index] if index < len(plan.steps) else None


def _live_clocks(step: Step, state: State) -> tuple[Progress, ...]:
    clocks = [Progress("dwell", state.dwell_ms, step.hold_ms)]
    if step.deadline_ms:
        note = f"then {step.deadline_then}"
        clocks.append(Progress("deadline", state.waited_ms, step.deadline_ms, note))
    side = state.name.partition(".")[2]
    if side == APPROVAL and step.approval:
        note = f"by {step.approval.by}, else {step.approval.otherwise}"
        clocks.append(Progress("approval", state.side_ms, step.approval.within_ms, note))
    elif side == HELD:
        clocks.append(Progress("held", state.side_ms, 0))
    return tuple(clocks)


def _on_the_way(plan: Plan, state: State) -> tuple[Progress, ...]:
    """How far the parameters and the handover are, and when they go further."""
    at_rest = state.name.partition(".")[0] in (*AT_BASELINE, COMPLETED)
    return () if at_rest else (*_parameters_clock(plan, state), *_handover_clock(plan, state))


def _handover_clock(plan: Plan, state: State) -> tuple[Progress, ...]:
    way, here = plan.handover, state.handover
    limit = handover.limit_ms(way, here.phase) if way is not None and here is not None else None
    if way is None or here is None or not here.key or limit is None:
        return ()
    note = f"{handover_words(state)}; then {handover.otherwise(way, here.phase)}"
    return (Progress("handover", here.waited_ms, limit, note),)


def _parameters_clock(plan: Plan, state: State) -> tuple[Progress, ...]:
    way, vector = plan.parameters, state.parameters
    if way is None or vector is None or not way.over_ms:
        return ()
    note = f"at {percent_text(vector.progress)}"
    following = next((point for point in way.grid if point > vector.progress), None)
    if plan.step(state.name) is not None and following is not None:
        at = -(-way.grid.index(following) * way.over_ms // (len(way.grid) - 1))
        left = span(max(0, at - vector.spent_ms))
        note += f", {percent_text(following)} in {left}"
    return (Progress("parameters", vector.spent_ms, way.over_ms, note),)


def _return_clocks(plan: Plan, state: State) -> tuple[Progress, ...]:
    if state.step_since is None or state.at is None:
        return ()
    elapsed = milliseconds(state.at - state.step_since)
    rollback = plan.rollback
    if state.name == COOLDOWN:
        return (Progress("cooldown", elapsed, milliseconds(rollback.cooldown)),)
    if state.name == f"{ROLLING_BACK}.verify":
        return (Progress("verify", elapsed, milliseconds(rollback.verify_after)),)
    if state.name.startswith(ROLLING_BACK):
        return (Progress("step", elapsed, milliseconds(rollback.deadline), "then failed"),)
    return ()


def told(
    plan: Plan,
    state: State,
    now: datetime,
    effects: Effects,
    move: str = "",
    reasons: tuple[str, ...] = (),
    refused: str = "",
    notes: tuple[str, ...] = (),
) -> Decision:
    """A decision on an event that carries no measurements."""

    def explain() -> Explanation:
        return explanation(plan, state, now, notes=notes)

    return Decision(state, now, explain, effects.done(), move, reasons, refused)
