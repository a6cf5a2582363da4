"""A history of measurements: one row per moment, one column per reference of the policy.

Beside `candidate.errors` there may be `candidate.errors.samples` and `candidate.errors.variance`;
values are in the metric's declared unit. A tick sees the newest row of the tick interval before it;
where there is none, nothing was measured.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from controller.core.event import Tick
from controller.core.measurement import (
    BASELINE,
    CANDIDATE,
    COMPARISONS,
    DIFFERENCE,
    ESTIMATE,
    MISSING,
    Contrast,
    Measurement,
    reference,
)
from controller.core.plan import MetricPlan, Plan
from controller.core.state import State
from controller.judge.compare import compared, side_of
from controller.replay.columns import Column, Floats, Integers, replay_columns
from controller.replay.runner import Run, settle
from controller.run.collect import SILENT, from_before

SAMPLES, VARIANCE = "samples", "variance"
TELL_EVERY = 1000
ONE = timedelta(microseconds=1)


class MissingColumn(Exception):
    """The history lacks what the policy reads; the message says what."""


def wanted(plan: Plan) -> tuple[str, ...]:
    """The references that a history of measurements has as columns."""
    read = [key for key in plan.references if not key.endswith(f".{SILENT}")]
    return tuple(sorted(key for key in read if key.partition(".")[0] not in COMPARISONS))


def _metric(plan: Plan, key: str) -> MetricPlan:
    found = plan.metric(key)
    assert found is not None, "silence is not measured in a history"
    return found


def require(plan: Plan, names: Sequence[str]) -> None:
    """Raises MissingColumn for what would be missing at every tick."""
    for key in plan.references:
        subject, _, name = key.partition(".")
        if subject in COMPARISONS and subject not in (DIFFERENCE, ESTIMATE):
            raise MissingColumn(f"{subject} of {name} needs observations, not measurements")
    for key in wanted(plan):
        metric = _metric(plan, key)
        if key not in names:
            raise MissingColumn(f"no column {key}")
        if metric.min_samples and f"{key}.{SAMPLES}" not in names:
            raise MissingColumn(
                f"{key} counts with {metric.min_samples} samples or more: no column {key}.{SAMPLES}"
            )


def replay_measured(
    run: Run,
    times: Integers,
    found: Mapping[str, "np.ndarray[Any, Any]"],
    progress: Callable[[int], None],
    after: Callable[[Run], None],
) -> None:
    """Tick `run`, which stands one tick before the first row, to the last row. `times` are
    microseconds since 1970, rising; `after` is called after every tick that was decided."""
    plan = run.plan
    columns = _columns(plan, times, found)

    def look(state: State, row: int, now: datetime) -> State:
        run.state = state
        run.clock.elapsed = now - run.clock.start
        settle(run, Tick(_measurements(plan, columns, state, row)))
        after(run)
        return run.state

    start = run.clock.now
    for count, state in enumerate(replay_columns(plan, run.state, columns, start, look)):
        if state is not run.state:
            run.timeline.quiet += state.seq - run.state.seq
            run.state = state
        if count % TELL_EVERY == 0:
            progress((state.at - start) // plan.tick if state.at is not None else 0)


def _columns(
    plan: Plan, times: Integers, found: Mapping[str, "np.ndarray[Any, Any]"]
) -> dict[str, Column]:
    """The rows that the ticks see."""
    tick = plan.tick // ONE
    moments = np.arange(times[0], times[-1] + tick, tick, dtype=np.int64)
    newest = np.searchsorted(times, moments, side="right") - 1
    here = moments - times[newest] < tick

    def seen(name: str, otherwise: float) -> Floats:
        if name not in found:
            return np.full(len(moments), otherwise)
        return np.where(here, np.ma.filled(found[name][newest], np.nan), np.nan)

    columns = {}
    for key in wanted(plan):
        factor = _metric(plan, key).unit.factor
        values = seen(key, np.nan) * factor
        values[~np.isfinite(values)] = np.nan
        samples = np.nan_to_num(seen(f"{key}.{SAMPLES}", 0.0)).astype(np.int64)
        name = f"{key}.{VARIANCE}"
        variances = seen(name, np.nan) * factor**2 if name in found else None
        columns[key] = Column(values, samples, variances)
    silent = Column((moments - times[newest]) / 1e6, np.ones(len(moments), dtype=np.int64))
    for key in plan.references:
        if key.endswith(f".{SILENT}"):
            columns[key] = silent
    return columns


def _measurements(
    plan: Plan, columns: Mapping[str, Column], state: State, row: int
) -> dict[str, Measurement]:
    found = {key: column.measurement(row) for key, column in columns.items()}
    step = plan.step(state.name)
    if step is not None and step.frozen_baseline:
        for key in found:
            if key.startswith(f"{BASELINE}."):
                found[key] = from_before(state.frozen.get(key))
    for key in plan.references:
        subject, _, name = key.partition(".")
        if subject not in (DIFFERENCE, ESTIMATE):
            continue
        candidate = found.get(reference(CANDIDATE, name), MISSING)
        baseline = found.get(reference(BASELINE, name), MISSING)
        if subject == DIFFERENCE:
            contrast = Contrast(side_of(candidate), side_of(baseline))
            found[key] = compared(candidate, baseline, contrast)
        else:
            found[key] = compared(candidate, None, Contrast(side_of(candidate)))
    return found
