"""Replay of recorded columns: whole stretches in which nothing can move are taken at once.

Everything that could move a rollout is decided by `decide`, tick by tick. In between lie long
stretches in which a plain live state has every trigger quiet and its gate shut; there a tick only
brings clocks and number forward, which has a closed form. Where such stretches lie is found by
judging columns of measurements as arrays. A test holds that both ways give the same states.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from msgspec.structs import replace

from controller.core.calendar import AlwaysOpen
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.event import Tick
from controller.core.measurement import Measurement
from controller.core.plan import Limit, Plan, Step
from controller.core.state import State

_COMPARE: Mapping[str, Callable[[Any, float], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One reference over the ticks: `values` (float, NaN where there is none) and `samples`
    (int), both of the same length."""

    values: "np.ndarray[Any, np.dtype[np.float64]]"
    samples: "np.ndarray[Any, np.dtype[np.int64]]"


def replay_columns(
    plan: Plan, state: State, columns: Mapping[str, Column], start: datetime
) -> Iterator[Decision | State]:
    """Tick `state` once per row, the first at `start + tick`. Yields the decision of every tick
    that was decided, and the bare state after every stretch that was taken at once."""
    rows = min((len(column.values) for column in columns.values()), default=0)
    stretches = {step.name: _Stretches(plan, step, columns, rows) for step in plan.steps}
    row = 0
    while row < rows:
        here = stretches.get(state.name)
        length = here.length(state, row) if here is not None else 0
        if length > 0:
            state = _forward(plan, state, length, start + (row + length) * plan.tick)
            row += length
            yield state
            continue
        decision = decide(plan, state, _tick(columns, row), start + (row + 1) * plan.tick)
        state = decision.state
        row += 1
        yield decision


def _forward(plan: Plan, state: State, ticks: int, now: datetime) -> State:
    """`ticks` quiet ticks at once."""
    passed = ticks * plan.tick_ms
    return replace(
        state,
        seq=state.seq + ticks,
        at=now,
        dwell_ms=state.dwell_ms + passed,
        waited_ms=state.waited_ms + passed,
    )


def _tick(columns: Mapping[str, Column], row: int) -> Tick:
    measurements = {}
    for reference, column in columns.items():
        value = float(column.values[row])
        measurements[reference] = Measurement(value=value, samples=int(column.samples[row]))
    return Tick(measurements)


class _Stretches:
    """Where, over the rows, a step can stand still."""

    def __init__(self, plan: Plan, step: Step, columns: Mapping[str, Column], rows: int) -> None:
        self._plan, self._step = plan, step
        self._possible = isinstance(plan.calendar, AlwaysOpen)
        quiet = np.ones(rows, dtype=bool)
        for trigger in plan.guarding[step.name]:
            quiet &= _misses(trigger.limit, columns, rows)
        shut = np.zeros(rows, dtype=bool)
        for check in step.checks:
            shut |= _misses(check.limit, columns, rows)
        self._quiet_until = _run_ends(quiet)
        self._shut_until = _run_ends(quiet & shut)

    def length(self, state: State, row: int) -> int:
        """Ticks from `row` on that only bring the clocks forward; 0 when the next must be
        decided."""
        if not self._possible or state.counters or state.firing or state.unacknowledged:
            return 0
        step, tick = self._step, self._plan.tick_ms
        before_dwell = -(-(step.hold_ms - state.dwell_ms) // tick) - 1
        if before_dwell > 0 and not state.told_to_advance:
            length = min(int(self._quiet_until[row]) - row, before_dwell)
        elif state.told_to_advance:
            return 0
        else:
            length = int(self._shut_until[row]) - row
        if step.deadline_ms:
            length = min(length, -(-(step.deadline_ms - state.waited_ms) // tick) - 1)
        return length


def _misses(
    limit: Limit | None, columns: Mapping[str, Column], rows: int
) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Rows in which a rule is measured and does not hold; none for rules that are not of the
    simple shape or not in the columns."""
    column = columns.get(limit.reference) if limit is not None else None
    if limit is None or column is None:
        return np.zeros(rows, dtype=bool)
    values = column.values[:rows]
    holds = _COMPARE[limit.operator](values, limit.bound)
    known = np.isfinite(values) & (column.samples[:rows] >= limit.min_samples)
    return np.asarray(known & ~holds, dtype=bool)


def _run_ends(
    rows: "np.ndarray[Any, np.dtype[np.bool_]]",
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """For each row, the first row from it on that is false (the length when none is)."""
    size = len(rows)
    ends = np.where(rows, size, np.arange(size))
    return np.minimum.accumulate(ends[::-1])[::-1].astype(np.int64)
