"""Replay of recorded columns: whole stretches in which nothing can move are taken at once.

Everything that could move a rollout is decided by `decide`, tick by tick. In between lie long
stretches in which a tick only brings clocks and number forward, which has a closed form: a plain
live state with every trigger quiet and its gate shut, and ticks that find every rule as the tick
before found it, when that one moved nothing but clocks. Where they lie is found by judging columns
of measurements as arrays. A test holds that both ways give the same states.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan, nan
from typing import Any

import numpy as np
from msgspec.structs import replace

from controller.core import handover
from controller.core.calendar import AlwaysOpen
from controller.core.measurement import BASELINE, Measurement
from controller.core.parameters import moves
from controller.core.plan import Limit, Plan, Step
from controller.core.state import State, stage_step

_COMPARE: Mapping[str, Callable[[Any, float], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


MILLISECOND = timedelta(milliseconds=1)
Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]
Look = Callable[[State, int, datetime], State]
"""One tick decided: the state before, the number of the row, the time; the state after, with all
that followed from the decision."""


@dataclass(frozen=True, slots=True)
class Column:
    """One reference over the ticks: `values` (float, NaN where there is none), `samples` (int) and
    the `variances` of one observation (float, NaN where unknown), all of the same length."""

    values: Floats
    samples: Integers
    variances: Floats | None = None

    def measurement(self, row: int) -> Measurement:
        """What was measured at a row."""
        value, samples = self.values.item(row), self.samples.item(row)
        if isnan(value):
            return Measurement(status="no_data", detail="nothing recorded")
        variance = nan if self.variances is None else self.variances.item(row)
        if isnan(variance):
            return Measurement(value=value, samples=samples)
        return Measurement(value=value, samples=samples, mean=value, variance=variance)


def replay_columns(
    plan: Plan, state: State, columns: Mapping[str, Column], start: datetime, look: Look
) -> Iterator[State]:
    """Tick `state` once per row, the first at `start + tick`. Yields the state after every tick
    that `look` decided, and after every stretch that was taken at once."""
    rows = min((len(column.values) for column in columns.values()), default=0)
    stretches = {step.name: _Stretches(plan, step, columns, rows) for step in plan.steps}
    row = 0
    while row < rows:
        here = stretches.get(state.name)
        length = here.length(state, row) if here is not None else 0
        if length == 0:
            before, state = state, look(state, row, start + (row + 1) * plan.tick)
            row += 1
            yield state
            length = here.repeats(before, state, row) if here is not None else 0
            if length == 0:
                continue
            dwell, waited = state.dwell_ms - before.dwell_ms, state.waited_ms - before.waited_ms
        else:
            dwell = waited = plan.tick_ms
        if stage_step(state.name) in plan.baseline_kept:
            state = replace(state, frozen=_last_of_baseline(state, columns, row, row + length))
        row += length
        state = replace(
            state,
            seq=state.seq + length,
            at=start + row * plan.tick,
            dwell_ms=state.dwell_ms + length * dwell,
            waited_ms=state.waited_ms + length * waited,
        )
        yield state


class _Stretches:
    """Where, over the rows, a step can stand still."""

    def __init__(self, plan: Plan, step: Step, columns: Mapping[str, Column], rows: int) -> None:
        self._plan, self._step = plan, step
        self._possible = isinstance(plan.calendar, AlwaysOpen) and not step.frozen_baseline
        guarding = plan.guarding[step.name]
        triggers = [_judged(trigger.limit, columns, rows) for trigger in guarding]
        clears = [_judged(t.clear.limit, columns, rows) for t in guarding if t.clear is not None]
        checks = {check.name: _judged(check.limit, columns, rows) for check in step.checks}
        acting = [checks[check.name] for check in step.checks if not check.dry_run]
        uncounted = _all((checks[check.name] == MISSES for check in step.counted), rows)
        quiet = _all((judged == MISSES for judged in triggers), rows) & uncounted
        shut = ~_all((judged != MISSES for judged in acting), rows)
        every = [*triggers, *clears, *checks.values()]
        same = _all((np.diff(judged, prepend=UNKNOWN) == 0 for judged in every), rows)
        known = _all((judged != UNKNOWN for judged in every), rows)
        self._same_until = _run_ends(same & known)
        self._quiet_until = _run_ends(quiet)
        self._shut_until = _run_ends(quiet & shut)

    def length(self, state: State, row: int) -> int:
        """Ticks from `row` on that only bring the clocks forward; 0 when the next must be
        decided."""
        if not self._possible or state.counters or state.firing or state.unacknowledged:
            return 0
        if state.alerts is not None:
            return 0
        step = self._step
        if moves(self._plan, step, state) or handover.moves(self._plan, state):
            return 0
        before_dwell = self._before(step.hold_ms - state.dwell_ms)
        if before_dwell > 0 and not state.told_to_advance:
            length = min(int(self._quiet_until[row]) - row, before_dwell)
        elif state.told_to_advance:
            return 0
        else:
            length = int(self._shut_until[row]) - row
        if step.deadline_ms:
            length = min(length, self._before(step.deadline_ms - state.waited_ms))
        return max(length, 0)

    def repeats(self, before: State, state: State, row: int) -> int:
        """Ticks from `row` on that find what the tick before found, which led from `before` to
        `state` and moved only clocks."""
        step, plan = self._step, self._plan
        if not self._possible or plan.freeze or row >= len(self._same_until):
            return 0
        if state.name != step.name or state.unacknowledged or state.told_to_advance:
            return 0
        if state.alerts is not None:
            return 0
        if moves(plan, step, state) or handover.moves(plan, state):
            return 0
        clocks = replace(
            before,
            seq=state.seq,
            at=state.at,
            dwell_ms=state.dwell_ms,
            waited_ms=state.waited_ms,
            frozen=state.frozen,
        )
        if clocks != state or state.seq != before.seq + 1 or state.at is None:
            return 0
        length = int(self._same_until[row]) - row
        for left in (step.hold_ms - state.dwell_ms, step.deadline_ms - state.waited_ms):
            if left > 0:
                length = min(length, self._before(left))
        for trigger in plan.guarding[step.name]:
            counter = state.counters.get(trigger.name)
            if counter is None:
                continue
            for since, limit in (
                (counter.since, trigger.counting.for_ms - counter.held_ms),
                (counter.firing, trigger.escalate_ms or 0),
            ):
                if since is not None and since + limit * MILLISECOND > state.at:
                    left = limit - (state.at - since) // MILLISECOND
                    length = min(length, self._before(left))
        return max(length, 0)

    def _before(self, left_ms: int) -> int:
        """Ticks that end before `left_ms` are over."""
        return -(-left_ms // self._plan.tick_ms) - 1


def _last_of_baseline(
    state: State, columns: Mapping[str, Column], first: int, end: int
) -> dict[str, Measurement]:
    """What a stretch leaves known of the baseline (`Plan.baseline_kept`)."""
    kept = dict(state.frozen)
    for key, column in columns.items():
        known = np.flatnonzero(np.isfinite(column.values[first:end]))
        if key.startswith(f"{BASELINE}.") and len(known):
            kept[key] = column.measurement(first + int(known[-1]))
    return dict(sorted(kept.items()))


MISSES, HOLDS, UNKNOWN = 0, 1, 2
"""What a rule says at a row. Rules that are not of the simple shape are never known."""


def _judged(limit: Limit | None, columns: Mapping[str, Column], rows: int) -> Integers:
    column = columns.get(limit.reference) if limit is not None else None
    if limit is None or column is None:
        return np.full(rows, UNKNOWN)
    values = column.values[:rows]
    holds = _COMPARE[limit.operator](values, limit.bound)
    known = np.isfinite(values) & (column.samples[:rows] >= limit.min_samples)
    return np.where(known, np.where(holds, HOLDS, MISSES), UNKNOWN)


def _all(found: Iterable[Booleans], rows: int) -> Booleans:
    """Rows in which all are true."""
    every = np.ones(rows, dtype=bool)
    for each in found:
        every &= each
    return every


def _run_ends(rows: Booleans) -> Integers:
    """For each row, the first row from it on that is false (the length when none is)."""
    size = len(rows)
    ends = np.where(rows, size, np.arange(size))
    return np.minimum.accumulate(ends[::-1])[::-1].astype(np.int64)
