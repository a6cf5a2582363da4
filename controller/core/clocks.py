"""Clocks of a rollout, brought forward from one event to the next.

Dwell is time that was watched: it counts while the market is open, the share is acknowledged and
nothing holds or pauses the rollout. A gap of more than two ticks was not watched and counts as
one tick. The stage's deadline counts all open time except a pause. A clock that went back
counts nothing.
"""

from datetime import datetime

from msgspec.structs import replace

from controller.core.assess import span
from controller.core.calendar import MILLISECOND, milliseconds
from controller.core.plan import Plan
from controller.core.state import (
    APPROVAL,
    COMPLETED,
    LOCKED,
    PAUSED,
    PENDING,
    ROLLED_BACK,
    ROLLING_BACK,
    State,
)

MISSED_TICKS = 2
"""A gap longer than this many ticks is a gap in the watch."""
_AT_REST = frozenset({PENDING, COMPLETED, ROLLED_BACK, LOCKED})


def advance_clocks(
    plan: Plan, state: State, now: datetime, *, acknowledged: bool
) -> tuple[State, tuple[str, ...]]:
    """`state` at `now` under the next number, and notes on what was unusual. `acknowledged`:
    every share target has answered by now."""
    seq = state.seq + 1
    if state.at is None or state.name in _AT_REST:
        return replace(state, seq=seq, at=now), ()
    elapsed = milliseconds(now - state.at)
    if elapsed <= 0:
        note = f"clock went back by {span(-elapsed)}: counts nothing"
        return replace(state, seq=seq, at=now), (note,) if elapsed else ()
    notes: tuple[str, ...] = ()
    opened = plan.calendar.open_ms(state.at, now)
    watched, tick = opened, plan.tick_ms
    if elapsed > MISSED_TICKS * tick:
        watched = min(opened, tick)
        missed = elapsed // tick - 1
        notes = (f"{missed} ticks missed in {span(elapsed)}: dwell counts {span(watched)}",)
    if plan.step(state.name) is None:
        return replace(state, seq=seq, at=now), notes
    side = state.name.partition(".")[2]
    dwells = acknowledged and side in ("", APPROVAL)
    return (
        replace(
            state,
            seq=seq,
            at=now,
            dwell_ms=state.dwell_ms + (watched if dwells else 0),
            waited_ms=state.waited_ms + (0 if side == PAUSED else opened),
            side_ms=state.side_ms + (opened if side else 0),
        ),
        notes,
    )


def next_due(plan: Plan, state: State, now: datetime) -> datetime | None:
    """When to look next: start + k ticks after `now`, without drift (k falls below 0 when the
    clock went back before the start); on the way back already when a step's own clock runs out.
    None where only an event can move it."""
    if state.name in _AT_REST or state.started_at is None:
        return None
    passed = (now - state.started_at) // plan.tick
    due = state.started_at + (passed + 1) * plan.tick
    runs_out = _step_runs_out(plan, state)
    return runs_out if runs_out is not None and now < runs_out < due else due


def _step_runs_out(plan: Plan, state: State) -> datetime | None:
    """When a step of the way back is to be read back, or has failed for want of an answer: wall
    time, which need not wait for a slow tick."""
    if not state.name.startswith(ROLLING_BACK) or state.step_since is None:
        return None
    if state.verify_due is not None:
        return state.verify_due
    return state.step_since + plan.rollback.deadline + MILLISECOND
