"""The decision: `decide(plan, state, event, now)`. No clock, no I/O, no randomness.

One event, one decision, one journal entry. The event is weighed (`assess`), the machine is asked
where that leads (`machine`), and entering the new state says what the world must be asked for
(`enter`). Rules by number are those of the design, "The rules of decision".
"""

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from controller.core.assess import Assessment, Judged, assess, frozen_by, severity_of, span
from controller.core.calendar import milliseconds
from controller.core.clocks import advance_clocks
from controller.core.decision import Decision, Explanation
from controller.core.effect import Severity
from controller.core.enter import Effects, enter
from controller.core.event import Acknowledgement, Command, Event, PolicyEdit, Tick
from controller.core.explain import explanation
from controller.core.machine import Situation
from controller.core.measurement import BASELINE, Measurement, Measurements
from controller.core.plan import Plan, Step
from controller.core.state import (
    APPROVAL,
    COMPLETED,
    COOLDOWN,
    HELD,
    PARTIAL,
    PAUSED,
    PENDING,
    ROLLING_BACK,
    Counter,
    State,
)


def decide(plan: Plan, state: State, event: Event, now: datetime) -> Decision:
    """What comes of `event` at `now` (aware, UTC). `state` is unchanged by the call. Raises
    ValueError when the state is not one of this plan's (it needs `apply`)."""
    if isinstance(event, Command) and event.name == "apply":
        return _on_apply(plan, state, event, now)
    if state.name not in plan.machine.known:
        raise ValueError(f"policy {plan.digest[:12]} has no state {state.name!r}: apply it first")
    match event:
        case Tick():
            return _on_tick(plan, state, event, now)
        case Command():
            return _on_command(plan, state, event, now)
        case Acknowledgement():
            return _on_acknowledgement(plan, state, event, now)
        case PolicyEdit():
            return _on_policy_edit(plan, state, event, now)
        case _:
            assert_never(event)


# Ticks ------------------------------------------------------------------------------------


def _on_tick(plan: Plan, before: State, event: Tick, now: datetime) -> Decision:
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    step = plan.step(state.name)
    if step is None:
        return _on_tick_of_return(plan, state, now, notes)
    found = assess(plan, step, state, event.measurements, now, only_hard=not event.scheduled)
    state, effects = _remember(state, found, now)
    looked = state

    def explain() -> Explanation:
        return explanation(plan, looked, now, event.measurements, before, notes)

    if nothing_stirs(step, state, found):
        return Decision(state, now, explain)
    situation = _situation(step, state, found, event.scheduled)
    target = plan.machine.move("tick", situation) if calls_for_move(situation) else None
    if target is None:
        return Decision(state, now, explain, effects.done() if effects else ())
    reasons = _reasons(step, before, state, found, target)
    state = _freeze_baseline(plan, state, target, event.measurements)
    effects = effects or Effects(state.rollout, state.seq, now)
    after = enter(plan, state, target, reasons, now, effects, severity_of(found.triggers))
    return Decision(after, now, explain, effects.done(), "tick", reasons)


def nothing_stirs(step: Step, state: State, found: Assessment) -> bool:
    """The look of most ticks: a plain live state, every trigger quiet, the gate still shut, the
    deadline still far. Held by a test: nothing would have moved."""
    return (
        state.name == step.name
        and not found.triggers
        and not found.earned
        and (state.waited_ms < step.deadline_ms or not step.deadline_ms)
    )


def _remember(state: State, found: Assessment, now: datetime) -> tuple[State, Effects | None]:
    """Counters and firing triggers after this look; one alert per trigger that begins to fire
    (rule 5: the same trigger twice is one event)."""
    if not found.triggers:
        return state, None
    effects = Effects(state.rollout, state.seq, now)
    counters, firing = state.counters, set(state.firing)
    changed: dict[str, Counter] = {}
    for judged in found.triggers:
        name = judged.trigger.name
        if counters.get(name, _NO_FAILURES) != judged.counter:
            changed[name] = judged.counter
        if judged.firing and name not in firing:
            firing.add(name)
            effects.alert(
                judged.trigger.severity, "trigger", f"{name}: {judged.trigger.rule}", state.name
            )
        elif not judged.firing:
            firing.discard(name)
    if changed:
        kept = {k: v for k, v in (counters | changed).items() if v != _NO_FAILURES}
        state = replace(state, counters=kept)
    now_firing = tuple(sorted(firing)) if firing else ()
    if now_firing != state.firing:
        state = replace(state, firing=now_firing)
    return state, effects


_NO_FAILURES = Counter()


def _situation(step: Step, state: State, found: Assessment, scheduled: bool) -> Situation:
    """The guards of a live state."""
    side = state.name.partition(".")[2]
    lapsed = _lapsed(step, state, side, found.earned) if scheduled else ""
    holds = bool(found.asking("hold"))
    return Situation(
        state=state.name,
        must_roll_back=bool(found.asking("rollback")) or lapsed == "rollback",
        must_pause=bool(found.asking("pause")) or lapsed == "pause",
        must_hold=holds,
        hold_is_over=scheduled and not holds,
        may_advance=found.may_advance,
        needs_approval=step.approval is not None
        and not state.approved_by
        and not state.told_to_advance,
        gate_is_lost=found.something_fails,
    )


def _lapsed(step: Step, state: State, side: str, earned: bool) -> str:
    """What a deadline that has passed asks for: of the step (not while a person has it paused,
    nor when only a freeze window keeps it from advancing), or of an approval nobody gave."""
    if side == PAUSED or (earned and side == ""):
        return ""
    if side == APPROVAL:
        approval = step.approval
        return approval.otherwise if approval and state.side_ms >= approval.within_ms else ""
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
    step: Step, before: State, state: State, found: Assessment, target: str
) -> tuple[str, ...]:
    """Why the machine moved: every trigger that asked for it, or the clock that ran out."""
    side = target.partition(".")[2]
    kind = {PAUSED: "pause", HELD: "hold"}.get(side, "rollback")
    if target.startswith(ROLLING_BACK) or side in (PAUSED, HELD):
        asked = tuple(
            f"trigger {j.trigger.name} ({j.trigger.severity.word}): {j.trigger.rule}"
            for j in (*found.asking(kind), *_others_firing(found, kind))
        )
        if found.asking(kind):
            return asked
        if before.name.endswith(f".{APPROVAL}"):
            return ("approval: nobody approved in time", *asked)
        return ("deadline: the stage took too long", *asked)
    if side == APPROVAL:
        return (f"gate of {step.name} passed; approval is needed",)
    if before.name.endswith(f".{HELD}"):
        return ("hold is over: no trigger asks for it any more",)
    if before.name.endswith(f".{APPROVAL}"):
        return (f"the gate of {step.name} no longer passes",)
    if state.told_to_advance:
        return (f"{state.told_to_advance} said so",)
    approved = tuple(f"approved by {name}" for name in state.approved_by)
    return (f"gate of {step.name} passed", *approved)


def _others_firing(found: Assessment, kind: str) -> tuple[Judged, ...]:
    return tuple(j for j in found.triggers if j.firing and j.then != kind)


def _freeze_baseline(plan: Plan, state: State, target: str, measurements: Measurements) -> State:
    """Entering the first step that compares with the frozen baseline keeps what was last known
    of the baseline (rule 4)."""
    here, there = plan.step(state.name), plan.step(target)
    if here is None or there is None or here.frozen_baseline or not there.frozen_baseline:
        return state
    frozen: dict[str, Measurement] = {
        key: found
        for key, found in sorted(measurements.items())
        if key.startswith(f"{BASELINE}.") and found.status == "ok"
    }
    return replace(state, frozen=frozen)


# The way back -----------------------------------------------------------------------------


def _on_tick_of_return(plan: Plan, state: State, now: datetime, notes: tuple[str, ...]) -> Decision:
    """Steps of the way back run on the wall clock, in or out of market hours (rule 8)."""
    effects = Effects(state.rollout, state.seq, now)
    since = state.step_since or now
    if state.verify_due is not None and now >= state.verify_due:
        keys = effects.verify(plan)
        state = replace(state, verify_due=None, unacknowledged=keys, step_since=now)
        since = now
    allowed = plan.rollback.deadline
    situation = Situation(
        state=state.name,
        step_is_overdue=state.name.startswith(ROLLING_BACK)
        and state.verify_due is None
        and now - since > allowed,
        cooldown_is_over=state.name == COOLDOWN and now - since >= plan.rollback.cooldown,
    )
    target = plan.machine.move("tick", situation)
    if target is None:
        return _told(plan, state, now, effects, notes=notes)
    reasons: tuple[str, ...] = (
        f"cooldown of {span(milliseconds(plan.rollback.cooldown))} is over",
    )
    if situation.step_is_overdue:
        failed = state.name.partition(".")[2]
        reasons = (f"step {failed} was not acknowledged within {span(milliseconds(allowed))}",)
        effects.alert(Severity.CRITICAL, "step_failed", f"rollback step {failed} failed", *reasons)
        state = replace(
            state,
            failed_steps=(*state.failed_steps, failed),
            overdue=(*state.overdue, *state.unacknowledged),
            unacknowledged=(),
        )
    after = enter(plan, state, target, reasons, now, effects, Severity.CRITICAL)
    return _told(plan, after, now, effects, "tick", reasons, notes=notes)


def _on_acknowledgement(
    plan: Plan, before: State, event: Acknowledgement, now: datetime
) -> Decision:
    """A target has answered. A failure is told once and retried by the shell; only the step's
    own deadline gives up on it."""
    waiting = tuple(key for key in before.unacknowledged if key != event.key or not event.ok)
    overdue = tuple(key for key in before.overdue if key != event.key or not event.ok)
    state, notes = advance_clocks(plan, before, now, acknowledged=not waiting)
    state = replace(state, unacknowledged=waiting, overdue=overdue)
    effects = Effects(state.rollout, state.seq, now)
    if not event.ok and event.key in (*waiting, *overdue):
        effects.alert(Severity.HIGH, "target", f"{event.key} not done", event.detail)
    known = event.key in (*before.unacknowledged, *before.overdue)
    target = None
    if event.ok and known and plan.step(state.name) is None:
        situation = Situation(
            state=state.name,
            step_is_done=not waiting and state.verify_due is None,
            some_step_failed=bool(overdue),
            must_lock=_must_lock(plan, state, now),
            all_recovered=state.name == PARTIAL and not overdue and not waiting,
        )
        target = plan.machine.move("acknowledge", situation)
    if target is None:
        return _told(plan, state, now, effects, notes=notes)
    reasons = (f"{state.name} acknowledged: {event.detail or 'done'}",)
    after = enter(plan, state, target, reasons, now, effects, Severity.HIGH)
    return _told(plan, after, now, effects, "acknowledge", reasons, notes=notes)


def _must_lock(plan: Plan, state: State, now: datetime) -> bool:
    """More rollbacks than allowed in the period: re-promotion locks, the way back never does."""
    recent = [at for at in state.rollbacks if now - at <= plan.rollback.lock_per]
    return len(recent) > plan.rollback.lock_after


# People -----------------------------------------------------------------------------------


def _on_command(plan: Plan, before: State, event: Command, now: datetime) -> Decision:
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    effects = Effects(state.rollout, state.seq, now)
    refused = _refusal(plan, state, event, now)
    reasons = _by(event)
    if refused:
        return _told(plan, state, now, effects, "", reasons, refused, notes)
    if event.name == "advance":
        # Taken up by the next tick, on measurements of that moment and after the triggers.
        state = replace(state, told_to_advance=event.by)
        return _told(plan, state, now, effects, "", reasons, notes=notes)
    if event.name == "approve":
        state = replace(state, approved_by=(*state.approved_by, event.by))
    target = plan.machine.move(event.name, Situation(state=state.name))
    assert target is not None, "a command that is not refused has its edge"
    severity = Severity.HIGH if event.name == "rollback" else Severity.LOW
    after = enter(plan, state, target, reasons, now, effects, severity)
    return _told(plan, after, now, effects, event.name, reasons, notes=notes)


def _by(event: Command) -> tuple[str, ...]:
    return (f"{event.name} by {event.by}" + (f": {event.reason}" if event.reason else ""),)


def _refusal(plan: Plan, state: State, event: Command, now: datetime) -> str:
    """Why a command cannot be carried out, with what can be done; empty: it can."""
    name = event.name
    live = plan.step(state.name) is not None
    if name == "rollback" and not live and state.name != COMPLETED:
        if state.name == PENDING:
            return "not started: the baseline has all the work"
        return f"already on the way back or there ({state.name})"
    if name == "advance":
        if not live or state.name.endswith((f".{PAUSED}", f".{HELD}")):
            remedy = ": resume first" if state.name.endswith(PAUSED) else ""
            return f"cannot advance from {state.name}{remedy}"
    elif name not in plan.machine.triggers(state.name):
        can = ", ".join(t for t in plan.machine.triggers(state.name) if t in _PEOPLE) or "wait"
        until = ""
        if state.name == COOLDOWN and state.step_since:
            until = f" until {state.step_since + plan.rollback.cooldown:%Y-%m-%d %H:%M:%S} UTC"
        return f"{name} is not possible in {state.name}{until}; possible: {can}"
    window = frozen_by(plan, now) if name in ("start", "advance") else ""
    return f"freeze window {window}: nothing advances now" if window else ""


_PEOPLE = frozenset({"start", "approve", "pause", "resume", "rollback", "reset"})


# Policies ---------------------------------------------------------------------------------


def _on_policy_edit(plan: Plan, before: State, event: PolicyEdit, now: datetime) -> Decision:
    """Safe changes take over where the rollout stands (rule 14)."""
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    names = {trigger.name for trigger in plan.triggers}
    state = replace(
        state,
        policy=event.policy,
        counters={k: v for k, v in state.counters.items() if k in names},
        firing=tuple(name for name in state.firing if name in names),
    )
    reasons = tuple(f"policy: {change}" for change in event.changes)
    return _told(plan, state, now, Effects(state.rollout, state.seq, now), "", reasons, notes=notes)


def _on_apply(plan: Plan, before: State, event: Command, now: datetime) -> Decision:
    """A named person puts a running rollout under a changed policy and says where it stands."""
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    effects = Effects(state.rollout, state.seq, now)
    where = event.state or state.name
    if where not in plan.machine.known or (where != state.name and plan.step(where) is None):
        names = ", ".join(step.name for step in plan.steps)
        refused = f"{where} is not a stage step of the new policy; it has: {names}"
        return _told(plan, state, now, effects, "", _by(event), refused, notes)
    state = replace(state, policy=event.policy, counters={}, firing=())
    if where == state.name:
        return _told(plan, state, now, effects, "", _by(event), notes=notes)
    after = enter(plan, state, where, _by(event), now, effects, Severity.MEDIUM)
    return _told(plan, after, now, effects, "apply", _by(event), notes=notes)


def _told(
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
