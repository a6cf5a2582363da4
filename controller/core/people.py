"""What people do: commands, and edits of the policy."""

from datetime import datetime

from msgspec.structs import replace

from controller.core.back import must_lock
from controller.core.clocks import advance_clocks
from controller.core.decision import Decision
from controller.core.effect import Severity
from controller.core.enter import Effects, enter, of_triggers, stay
from controller.core.event import Command, PolicyEdit
from controller.core.explain import told
from controller.core.machine import Situation
from controller.core.plan import Plan
from controller.core.share import percent_text
from controller.core.state import (
    APPROVAL,
    COMPLETED,
    COOLDOWN,
    HELD,
    PAUSED,
    PENDING,
    RESERVED,
    ROLLING_BACK,
    State,
    stage_step,
)


def on_command(plan: Plan, before: State, event: Command, now: datetime) -> Decision:
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    effects = Effects(state.rollout, state.seq, now)
    refused = _refusal(plan, state, event, now)
    reasons = _by(event)
    if refused:
        return told(plan, state, now, effects, "", reasons, refused, notes)
    if event.name == "advance":
        # Taken up by the next tick, on measurements of that moment and after the triggers.
        state = replace(state, told_to_advance=event.by)
        return told(plan, state, now, effects, "", reasons, notes=notes)
    if event.name == "approve":
        state = replace(state, approved_by=(*state.approved_by, event.by))
    if event.name == "resume":
        state = _seen_by_a_person(plan, state)
    locks = must_lock(plan, state, now)
    target = plan.machine.move(event.name, Situation(state=state.name, must_lock=locks))
    assert target is not None, "a command that is not refused has its edge"
    severity = Severity.HIGH if event.name == "rollback" else Severity.LOW
    after = enter(plan, state, target, reasons, now, effects, severity)
    return told(plan, after, now, effects, event.name, reasons, notes=notes)


def _seen_by_a_person(plan: Plan, state: State) -> State:
    """Who resumes has seen why it stood still: what asked for that counts from the beginning."""
    seen = {t.name for t in plan.triggers if t.then in ("hold", "pause")}
    return replace(
        state,
        counters={name: c for name, c in state.counters.items() if name not in seen},
        firing=tuple(name for name in state.firing if name not in seen),
    )


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
        side = state.name.partition(".")[2]
        if not live or side:
            remedy = {PAUSED: ": resume first", HELD: ": resume first", APPROVAL: ": approve it"}
            return f"cannot advance from {state.name}{remedy.get(side, '')}"
    elif name not in plan.machine.triggers(state.name):
        able = [t for t in plan.machine.triggers(state.name) if t in _PEOPLE]
        if live and "." not in state.name:
            able.append("advance")
        can = ", ".join(able) or "wait"
        until = ""
        if state.name == COOLDOWN and state.step_since:
            until = f" until {state.step_since + plan.rollback.cooldown:%Y-%m-%d %H:%M:%S} UTC"
        return f"{name} is not possible in {state.name}{until}; possible: {can}"
    window = plan.frozen_by(now) if name in ("start", "advance") else ""
    return f"freeze window {window}: nothing advances now" if window else ""


_PEOPLE = frozenset({"start", "approve", "pause", "resume", "rollback", "reset"})


def on_policy_edit(plan: Plan, before: State, event: PolicyEdit, now: datetime) -> Decision:
    """Safe changes take over where the rollout stands (rule 14)."""
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    names = {trigger.name for trigger in plan.triggers}
    state = replace(
        state,
        policy=event.policy,
        counters=of_triggers(plan, state.counters),
        firing=tuple(name for name in state.firing if name in names),
        would_have=of_triggers(plan, state.would_have),
    )
    effects = Effects(state.rollout, state.seq, now)
    if event.published and (state.name == COMPLETED or _is_live(state)):
        step = plan.step(state.name) or plan.steps[-1]
        keys = effects.share(plan, state, mirror=step.mirror)
        state = replace(state, unacknowledged=state.unacknowledged + keys)
    reasons = tuple(f"policy: {change}" for change in event.changes)
    return told(plan, state, now, effects, "", reasons, notes=notes)


def on_apply(plan: Plan, before: State, event: Command, now: datetime) -> Decision:
    """A named person puts a running rollout under a changed policy and says where it stands."""
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    effects = Effects(state.rollout, state.seq, now)
    where = event.state or state.name
    refused = _not_applicable(plan, state, where, now)
    if refused:
        return told(plan, state, now, effects, "", _by(event), refused, notes)
    refused = _handover_moves(plan, state)
    if refused:
        return told(plan, state, now, effects, "", _by(event), refused, notes)
    state = replace(
        state,
        policy=event.policy,
        counters={},
        firing=(),
        would_have=of_triggers(plan, state.would_have),
    )
    if state.name != COMPLETED and not _is_live(state):
        return told(plan, state, now, effects, "", _by(event), notes=notes)
    state = replace(state, epoch=state.epoch + 1)
    if where == state.name:
        return told(plan, stay(plan, state, effects), now, effects, "", _by(event), notes=notes)
    after = enter(plan, state, where, _by(event), now, effects, Severity.MEDIUM, anew=True)
    return told(plan, after, now, effects, "apply", _by(event), notes=notes)


def _handover_moves(plan: Plan, state: State) -> str:
    """Why a policy cannot be applied whose processes are not those that are told who writes; empty:
    it can."""
    here = state.handover
    place = plan.handover.place if plan.handover is not None else None
    if here is None or here.place == place or not (_is_live(state) or state.name == COMPLETED):
        return ""
    directory, baseline, candidate = here.place
    return (
        f"{baseline} and {candidate} are told in {directory} who writes orders; roll back, or keep "
        "the handover's processes as they are"
    )


def _is_live(state: State) -> bool:
    """Whether work is in the candidate's reach, by name alone: the policy may be another one."""
    return stage_step(state.name) not in RESERVED


def _not_applicable(plan: Plan, state: State, where: str, now: datetime) -> str:
    """Why a policy cannot be applied with the rollout at `where`; empty: it can."""
    if state.name.startswith(ROLLING_BACK):
        return f"on the way back ({state.name}): apply it when that is over"
    if not _is_live(state):
        if where == state.name:
            return ""
        return f"in {state.name} a policy can be applied, but not with a move to {where}: start it"
    if where not in plan.by_name and (where != state.name or where not in plan.machine.known):
        names = ", ".join(step.name for step in plan.steps)
        return f"{where} is not a stage step of the new policy; it has: {names}"
    step = plan.step(where)
    assert step is not None, where
    if step.share <= state.share:
        return ""
    if "." in state.name:
        return (
            f"the share does not rise to {percent_text(step.share)} from {state.name}: resume first"
        )
    window = plan.frozen_by(now)
    return f"freeze window {window}: the share does not rise now" if window else ""
