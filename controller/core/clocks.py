"""Clocks of a rollout, brought forward from one event to the next.

Dwell is time that was watched: it counts while the market is open, the share is acknowledged and
nothing holds or pauses the rollout. A gap of more than two ticks was not watched and counts as
one tick; so does the time for which a rule has held or could not be measured. The stage's deadline
counts all open time except a pause and the waiting for an approval, which has a limit of its own. A
clock that went back counts nothing, and what was running goes on from where it was.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from controller.core import handover
from controller.core.assess import span
from controller.core.calendar import MILLISECOND, milliseconds
from controller.core.parameters import on_time
from controller.core.plan import Plan
from controller.core.state import APPROVAL, AT_REST, PAUSED, ROLLING_BACK, State
from controller.core.telling import next_telling

MISSED_TICKS = 2
"""A gap longer than this many ticks is a gap in the watch."""


def advance_clocks(
    plan: Plan, state: State, now: datetime, *, acknowledged: bool
) -> tuple[State, tuple[str, ...]]:
    """`state` at `now` under the next number, and notes on what was unusual. `acknowledged`:
    every share target has answered by now."""
    seq = state.seq + 1
    if state.at is None or state.name in AT_REST:
        return replace(state, seq=seq, at=now), ()
    before = state.at
    elapsed = milliseconds(now - before)
    if elapsed <= 0:
        note = f"clock went back by {span(-elapsed)}: counts nothing"
        state = _moved(state, now - before) if elapsed else state
        return replace(state, seq=seq, at=now), (note,) if elapsed else ()
    notes: tuple[str, ...] = ()
    opened = plan.calendar.open_ms(before, now)
    watched, tick = opened, plan.tick_ms
    if elapsed > MISSED_TICKS * tick:
        watched = min(opened, tick)
        missed = elapsed // tick - 1
        notes = (f"{missed} ticks missed in {span(elapsed)}: dwell counts {span(watched)}",)
        state = _unwatched(state, timedelta(milliseconds=elapsed) - plan.tick)
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
            waited_ms=state.waited_ms + (0 if side in (PAUSED, APPROVAL) else opened),
            side_ms=state.side_ms + (opened if side else 0),
            asked_ms=state.asked_ms + (opened if side == APPROVAL else 0),
            parameters=on_time(plan, state, watched, dwells=dwells),
            handover=handover.on_time(state, watched),
        ),
        notes,
    )


def _moved(state: State, by: timedelta) -> State:
    """What runs from a moment goes on from where it was when the clock itself is moved."""
    counters = {
        name: replace(
            counter,
            since=counter.since and counter.since + by,
            unmeasured=counter.unmeasured and counter.unmeasured + by,
            firing=counter.firing and counter.firing + by,
        )
        for name, counter in state.counters.items()
    }
    return replace(
        state,
        counters=counters,
        step_since=state.step_since and state.step_since + by,
        verify_due=state.verify_due and state.verify_due + by,
        parameters=state.parameters
        and replace(
            state.parameters,
            stepped_at=state.parameters.stepped_at and state.parameters.stepped_at + by,
        ),
    )


def _unwatched(state: State, gap: timedelta) -> State:
    """Nobody saw that a rule went on holding in the gap, or was not measured: it counts as one
    tick, like dwell."""
    counters = {
        name: replace(
            counter,
            since=counter.since and counter.since + gap,
            unmeasured=counter.unmeasured and counter.unmeasured + gap,
        )
        for name, counter in state.counters.items()
    }
    return replace(state, counters=counters)


def next_due(plan: Plan, state: State, now: datetime) -> datetime | None:
    """When to look next: start + k ticks after `now`, without drift (k falls below 0 when the
    clock went back before the start); on the way back already when a step's own clock runs out.
    Where only an event can move it: when people have to be told of something, None for never."""
    if state.name in AT_REST or state.started_at is None:
        return next_telling(plan, state, now)
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
