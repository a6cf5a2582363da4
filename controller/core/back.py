"""The way back: its steps, what the targets answer, and the lock on starting again."""

from datetime import datetime

from msgspec.structs import replace

from controller.core import handover
from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.clocks import advance_clocks
from controller.core.decision import Decision
from controller.core.effect import Severity
from controller.core.enter import (
    Effects,
    enter,
    hand_back,
    hand_over,
    publish_again,
    restore,
    verify,
)
from controller.core.event import Acknowledgement, Drift
from controller.core.explain import told
from controller.core.machine import Situation
from controller.core.plan import Plan
from controller.core.share import percent_text
from controller.core.state import COOLDOWN, PARTIAL, ROLLING_BACK, State

VERIFYING = f"{ROLLING_BACK}.verify"
RESTORING = f"{ROLLING_BACK}.restore"


def on_tick_of_return(plan: Plan, state: State, now: datetime, notes: tuple[str, ...]) -> Decision:
    """Steps of the way back run on the wall clock, in or out of market hours (rule 8)."""
    effects = Effects(state.rollout, state.seq, now)
    since = state.step_since or now
    if state.verify_due is not None and now >= state.verify_due:
        state = replace(verify(plan, state, effects), verify_due=None, step_since=now)
        since = now
    allowed = plan.rollback.deadline
    if _ramps(state):
        state = _ramp(plan, state, now, effects, late=now - since > allowed)
        return told(plan, state, now, effects, notes=notes)
    situation = Situation(
        state=state.name,
        step_is_overdue=state.name.startswith(ROLLING_BACK)
        and state.verify_due is None
        and now - since > allowed,
        cooldown_is_over=state.name == COOLDOWN and now - since >= plan.rollback.cooldown,
    )
    target = plan.machine.move("tick", situation)
    if target is None:
        return told(plan, state, now, effects, notes=notes)
    reasons: tuple[str, ...] = (
        f"cooldown of {span(milliseconds(plan.rollback.cooldown))} is over",
    )
    if situation.step_is_overdue:
        failed = state.name.partition(".")[2]
        reasons = (f"step {failed} was not acknowledged within {span(milliseconds(allowed))}",)
        title = f"rollback step {failed} failed"
        effects.alert(Severity.CRITICAL, "step_failed", title, *reasons, subject=failed)
        state = replace(
            state,
            failed_steps=(*state.failed_steps, failed),
            overdue=(*state.overdue, *state.unacknowledged),
            unacknowledged=(),
        )
    after = enter(plan, state, target, reasons, now, effects, Severity.CRITICAL)
    return told(plan, after, now, effects, "tick", reasons, notes=notes)


def _ramps(state: State) -> bool:
    """Whether the parameters are on their way back."""
    vector = state.parameters
    return state.name == RESTORING and vector is not None and vector.ramps


def _ramp(plan: Plan, state: State, now: datetime, effects: Effects, *, late: bool) -> State:
    """The next point down; the baseline's file at once where nobody acknowledges one."""
    if not state.unacknowledged:
        return restore(plan, state, now, effects)
    if not late:
        return state
    title = f"{plan.rollout}: the parameters are restored at once"
    effects.alert(Severity.CRITICAL, "parameters", title, "a point was not acknowledged in time")
    return restore(plan, state, now, effects, at_once=True)


def on_acknowledgement(
    plan: Plan, before: State, event: Acknowledgement, now: datetime
) -> Decision:
    """A target has answered. A failure is told once and retried by the shell; only the step's
    own deadline gives up on it."""
    waiting = tuple(key for key in before.unacknowledged if key != event.key or not event.ok)
    overdue = tuple(key for key in before.overdue if key != event.key or not event.ok)
    state, notes = advance_clocks(plan, before, now, acknowledged=not waiting)
    state = replace(state, unacknowledged=waiting, overdue=overdue)
    if before.unacknowledged and not waiting and plan.step(state.name) is not None:
        state = replace(state, split_since=state.split_since or now)
    effects = Effects(state.rollout, state.seq, now)
    if not event.ok and state.undone(event.key):
        title = f"{event.key} not done"
        effects.alert(Severity.HIGH, "target", title, event.detail, subject=event.key)
        if state.name == VERIFYING and not state.put_right:
            state = _put_right(plan, state, effects)
    if event.ok and before.handover is not None and event.key == before.handover.key:
        state = _handed(plan, state, now, effects)
    known = event.key in (*before.unacknowledged, *before.overdue)
    target = None
    if event.ok and known and plan.step(state.name) is None:
        situation = Situation(
            state=state.name,
            step_is_done=not waiting and state.verify_due is None and not _ramps(state),
            some_step_failed=bool(overdue),
            must_lock=must_lock(plan, state, now),
            all_recovered=state.name == PARTIAL and not overdue and not waiting,
        )
        target = plan.machine.move("acknowledge", situation)
    if target is None:
        return told(plan, state, now, effects, notes=notes)
    reasons = (f"{state.name} acknowledged: {event.detail or 'done'}",)
    after = enter(plan, state, target, reasons, now, effects, Severity.HIGH)
    return told(plan, after, now, effects, "acknowledge", reasons, notes=notes)


def _handed(plan: Plan, state: State, now: datetime, effects: Effects) -> State:
    """A phase of the handover is acknowledged, and the next one follows at once where it may."""
    step = plan.step(state.name)
    state = handover.answered(plan, step, state, now)
    following = handover.due(plan, step, state, now) if step is not None else None
    return state if following is None else hand_over(plan, state, following, effects)


def is_settled(plan: Plan, state: State) -> bool:
    """Whether every target has said what it serves, and is to go on serving it: in a live step,
    and back at the baseline while the cooldown lasts."""
    there = plan.step(state.name) is not None or state.name == COOLDOWN
    return there and not state.unacknowledged and not state.overdue


def on_drift(plan: Plan, before: State, event: Drift, now: datetime) -> Decision:
    """A target no longer serves what it had acknowledged: told loudly, and published again. Late
    news, of a share that is no longer asked for, changes nothing."""
    waiting = bool(before.unacknowledged)
    state, notes = advance_clocks(plan, before, now, acknowledged=not waiting)
    effects = Effects(state.rollout, state.seq, now)
    same = (event.share, event.epoch) == (state.share, state.epoch)
    if not same or event.target not in plan.share_targets or not is_settled(plan, state):
        return told(plan, state, now, effects, notes=(*notes, "late: nothing is changed by it"))
    title = f"{event.target} no longer shows {percent_text(event.share)} of {state.rollout}"
    effects.alert(Severity.HIGH, "drift", f"{title}: published again", event.detail,
                  subject=event.target)  # fmt: skip
    state = publish_again(plan, state, event.target, effects)
    return told(plan, state, now, effects, notes=notes)


def _put_right(plan: Plan, state: State, effects: Effects) -> State:
    """Somebody has written over what was acknowledged: the baseline is published once more, and
    the read-back waits for it. Once in a rollback; a second hand at it is for people. It takes
    the place of what an earlier step still waits for, which no target is asked any more."""
    keys = effects.share(plan, state, mirror=False)
    keys += effects.activate(plan, state, plan.baseline.name)
    state, handed = hand_back(state, effects)
    keys += handed
    waiting = (*state.unacknowledged, *keys)
    return replace(state, put_right=True, unacknowledged=waiting, overdue=())


def must_lock(plan: Plan, state: State, now: datetime) -> bool:
    """More rollbacks than allowed in the period: re-promotion locks, the way back never does."""
    recent = [at for at in state.rollbacks if now - at <= plan.rollback.lock_per]
    return len(recent) > plan.rollback.lock_after
