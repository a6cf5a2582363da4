"""The decision: `decide(plan, state, event, now)`. No clock, no I/O, no randomness.

One event, one decision, one journal entry. The event is weighed (`assess`), the machine is asked
where that leads (`machine`), and entering the new state says what the world must be asked for
(`enter`). Rules by number are those of the design, "The rules of decision".
"""

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from controller.core import handover
from controller.core.acknowledging import on_word
from controller.core.alerting import attend
from controller.core.assess import Assessment, Judged, assess, severity_of, span
from controller.core.back import on_acknowledgement, on_drift, on_tick_of_return
from controller.core.clocks import advance_clocks
from controller.core.counting import NOTHING
from controller.core.decision import Decision, Explanation
from controller.core.effect import Severity
from controller.core.enter import Effects, enter, hand_over, set_parameters
from controller.core.event import Acknowledgement, Command, Drift, Event, PolicyEdit, Tick
from controller.core.explain import DONE, explanation, handover_waits
from controller.core.machine import Situation
from controller.core.measurement import BASELINE, Measurement, Measurements
from controller.core.parameters import due, silent
from controller.core.people import on_apply, on_command, on_policy_edit
from controller.core.plan import Plan, Step
from controller.core.state import APPROVAL, HELD, PAUSED, ROLLING_BACK, Counter, State


def decide(plan: Plan, state: State, event: Event, now: datetime) -> Decision:
    """What comes of `event` at `now` (aware, UTC), and who is told of it. `state` is unchanged by
    the call. Raises ValueError when the state is not one of this plan's (it needs `apply`)."""
    return attend(plan, event, _decide(plan, state, event, now), now)


def _decide(plan: Plan, state: State, event: Event, now: datetime) -> Decision:
    if isinstance(event, Command) and event.name == "apply":
        return on_apply(plan, state, event, now)
    if state.name not in plan.machine.known:
        raise ValueError(f"policy {plan.digest[:12]} has no state {state.name!r}: apply it first")
    match event:
        case Tick():
            return _on_tick(plan, state, event, now)
        case Command(name="ack" | "silence"):
            return on_word(plan, state, event, now)
        case Command():
            return on_command(plan, state, event, now)
        case Acknowledgement():
            return on_acknowledgement(plan, state, event, now)
        case Drift():
            return on_drift(plan, state, event, now)
        case PolicyEdit():
            return on_policy_edit(plan, state, event, now)
        case _:
            assert_never(event)


# Ticks ------------------------------------------------------------------------------------


def _on_tick(plan: Plan, before: State, event: Tick, now: datetime) -> Decision:
    clocked, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    step = plan.step(clocked.name)
    if step is None:
        return on_tick_of_return(plan, clocked, now, notes)
    found = assess(plan, step, clocked, event.measurements, now, only_hard=not event.scheduled)
    state, effects, rehearsed = _remember(clocked, found, now)
    if step.name in plan.baseline_kept:
        state = replace(state, frozen=_last_of_baseline(state, event.measurements))
    looked = state

    def explain() -> Explanation:
        return explanation(plan, looked, now, event.measurements, clocked, notes)

    mute = silent(plan, state) or handover.lapsed(plan, state)
    further = due(plan, step, state) if event.scheduled else None
    phase = handover.due(plan, step, state, now) if event.scheduled else None
    goes_on = further is not None or phase is not None
    stirs = mute or goes_on or not nothing_stirs(step, state, found)
    if effects is None and not stirs:
        return Decision(state, now, explain)
    situation = _situation(plan, step, state, found, event.scheduled)
    target = plan.machine.move("tick", situation) if calls_for_move(situation) else None
    if target is None:
        if goes_on:
            effects = effects or Effects(state.rollout, state.seq, now)
        if further is not None and effects is not None:
            state, keys = set_parameters(plan, state, further, effects)
            state = replace(state, unacknowledged=(*state.unacknowledged, *keys))
        if phase is not None and effects is not None:
            state = hand_over(plan, state, phase, effects)
        return Decision(state, now, explain, effects.done() if effects else (), "", rehearsed)
    reasons = _reasons(plan, step, before, state, found, target)
    effects = effects or Effects(state.rollout, state.seq, now)
    after = enter(plan, state, target, reasons, now, effects, severity_of(found.triggers))
    return Decision(after, now, explain, effects.done(), "tick", (*reasons, *rehearsed))


def nothing_stirs(step: Step, state: State, found: Assessment) -> bool:
    """The look of most ticks: a plain live state, every trigger quiet, the gate still shut, the
    deadline still far. Held by a test: nothing would have moved."""
    return (
        state.name == step.name
        and not found.triggers
        and not found.earned
        and (state.waited_ms < step.deadline_ms or not step.deadline_ms)
    )


def _remember(
    state: State, found: Assessment, now: datetime
) -> tuple[State, Effects | None, tuple[str, ...]]:
    """Counters and firing triggers after this look; one alert per trigger that begins to fire
    (rule 5: the same trigger twice is one event), a line for one on a dry run. An approval was of
    what was seen then: it ends when the gate fails."""
    if not (found.triggers or found.checks or state.approved_by):
        return state, None, ()
    changed = {
        checked.check.name: checked.counter
        for checked in found.checks
        if checked.check.counting.remembers
    }
    if not found.triggers and not state.approved_by:
        return _counted(state, changed) if changed else state, None, ()
    effects = Effects(state.rollout, state.seq, now)
    if state.approved_by and found.something_fails:
        title = f"{state.rollout}: the approval of {state.name} is void, its gate fails"
        effects.alert(Severity.MEDIUM, "approval", title)
        state = replace(state, approved_by=())
    firing = set(state.firing)
    begun = [j for j in found.triggers if j.firing and j.trigger.name not in firing]
    for judged in found.triggers:
        changed[judged.trigger.name] = judged.counter
        (firing.add if judged.firing else firing.discard)(judged.trigger.name)
    for judged in begun:
        if judged.acts:
            title = f"{judged.trigger.name}: {_rule(judged)}"
            severity, name = judged.trigger.severity, judged.trigger.name
            effects.alert(severity, "trigger", title, state.name, subject=name)
    state = _counted(state, changed)
    now_firing = tuple(sorted(firing)) if firing else ()
    if now_firing != state.firing:
        state = replace(state, firing=now_firing)
    rehearsed = [judged for judged in begun if judged.trigger.dry_run]
    if not rehearsed:
        return state, effects, ()
    first = {j.trigger.name: state.would_have.get(j.trigger.name, now) for j in rehearsed}
    state = replace(state, would_have=state.would_have | first)
    told = (f"dry run: {_reason(j)} would have {DONE[j.then]}" for j in rehearsed)
    return state, effects, tuple(told)


def _counted(state: State, changed: dict[str, Counter]) -> State:
    """The counters after a look; what has nothing to remember is not kept."""
    counters = state.counters
    if all(counters.get(name, NOTHING) == counter for name, counter in changed.items()):
        return state
    kept = {name: c for name, c in (counters | changed).items() if c != NOTHING}
    return replace(state, counters=kept)


def _situation(
    plan: Plan, step: Step, state: State, found: Assessment, scheduled: bool
) -> Situation:
    """The guards of a live state."""
    side = state.name.partition(".")[2]
    lapsed = _lapsed(plan, step, state, side, found.earned) if scheduled else ""
    holds = bool(found.asking("hold"))
    return Situation(
        state=state.name,
        must_roll_back=bool(found.asking("rollback")) or lapsed == "rollback",
        must_pause=bool(found.asking("pause")) or lapsed == "pause",
        must_hold=holds,
        hold_is_over=scheduled and not holds,
        may_advance=found.may_advance,
        needs_approval=step.approval is not None and not state.approved_by,
        gate_is_lost=found.something_fails,
    )


def _lapsed(plan: Plan, step: Step, state: State, side: str, earned: bool) -> str:
    """What a deadline that has passed asks for: of the step (not while a person has it paused,
    nor when only a freeze window keeps it from advancing), of an approval nobody gave, of
    parameters that nobody acknowledged, or of a handover that is stuck."""
    if plan.parameters is not None and silent(plan, state):
        return plan.parameters.otherwise
    if handover.lapsed(plan, state):
        return "rollback"
    if side == PAUSED or (earned and side == ""):
        return ""
    if side == APPROVAL:
        approval = step.approval
        return approval.otherwise if approval and state.asked_ms >= approval.within_ms else ""
    if state.waited_ms >= step.deadline_ms > 0:
        return step.deadline_then
    return ""


def calls_for_move(situation: Situation) -> bool:
    """Most looks move nothing, and then the machine is left alone. Held by a test: this says
    no only where the machine would stay."""
    if situation.must_roll_back or situation.must_pause:
        return True
    side = situation.state.partition(".")[2]
    if side == HELD:
        return situation.hold_is_over
    if side == PAUSED:
        return False
    if side == APPROVAL:
        return situation.must_hold or situation.gate_is_lost
    return situation.must_hold or situation.may_advance


def _reasons(
    plan: Plan, step: Step, before: State, state: State, found: Assessment, target: str
) -> tuple[str, ...]:
    """Why the machine moved: every trigger that asked for it, or the clock that ran out."""
    side = target.partition(".")[2]
    kind = {PAUSED: "pause", HELD: "hold"}.get(side, "rollback")
    if target.startswith(ROLLING_BACK) or side in (PAUSED, HELD):
        asked = tuple(
            _reason(judged) for judged in (*found.asking(kind), *_others_firing(found, kind))
        )
        if found.asking(kind):
            return asked
        if plan.parameters is not None and silent(plan, state):
            waited = span(plan.parameters.within_ms or 0)
            return (f"parameters: not acknowledged within {waited}", *asked)
        if handover.lapsed(plan, state):
            return (f"handover: {handover_waits(plan, state)}", *asked)
        if before.name.endswith(f".{APPROVAL}"):
            return ("approval: nobody approved in time", *asked)
        return ("deadline: the stage took too long", *asked)
    if side == APPROVAL:
        told = state.told_to_advance
        passed = f"{told} said so" if told else f"gate of {step.name} passed"
        return (f"{passed}; approval is needed",)
    if before.name.endswith(f".{HELD}"):
        return ("hold is over: no trigger asks for it any more",)
    if before.name.endswith(f".{APPROVAL}"):
        return (f"the gate of {step.name} no longer passes",)
    approved = tuple(f"approved by {name}" for name in state.approved_by)
    if state.told_to_advance:
        return (f"{state.told_to_advance} said so", *approved)
    return (f"gate of {step.name} passed", *approved)


def _others_firing(found: Assessment, kind: str) -> tuple[Judged, ...]:
    return tuple(j for j in found.triggers if j.acts and j.then != kind)


def _reason(judged: Judged) -> str:
    trigger = judged.trigger
    return f"trigger {trigger.name} ({trigger.severity.word}): {_rule(judged)}"


def _rule(judged: Judged) -> str:
    """A trigger's rule, and that it fires for want of a measurement where that is so."""
    means = judged.trigger.counting.means(judged.outcome)
    if not judged.lapsed or means is None or means.fail_ms is None:
        return judged.trigger.rule
    return f"{judged.trigger.rule}, not measured for {span(means.fail_ms)}"


def _last_of_baseline(state: State, measurements: Measurements) -> dict[str, Measurement]:
    """What was last known of the baseline, for the steps that compare with it when it has no
    work any more (rule 4)."""
    found = {
        key: measured
        for key, measured in measurements.items()
        if key.startswith(f"{BASELINE}.") and measured.status == "ok"
    }
    return dict(sorted((state.frozen | found).items()))
