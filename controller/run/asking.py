"""What a source is asked of a metric, from when on, and what it says when it fails."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite

from msgspec.structs import replace

from controller.core.calendar import EPOCH, milliseconds
from controller.core.measurement import BASELINE, CANDIDATE, Measurement
from controller.core.period import period_bounds
from controller.core.plan import MetricPlan, Plan
from controller.core.state import State
from controller.judge.bars import bars_of, start_of_last
from controller.policy.periods import Period
from controller.policy.values import BarCount, Newest, OpenTime
from controller.sources.base import Request, Source

MICROSECOND = timedelta(microseconds=1)


def request(
    plan: Plan, metric: MetricPlan, subject: str, since: datetime, now: datetime
) -> Request:
    """One measurement wanted, of a version or of what a source says of its own data."""
    versions = {CANDIDATE: plan.candidate.name, BASELINE: plan.baseline.name}
    version = versions.pop(subject, "")
    other = next(iter(versions.values())) if version else None
    return Request(
        subject, metric.name, version, metric.expression, since, now, metric.capital,
        metric.unit.factor, metric.column, metric.beside, metric.max_age,
        metric.window.count if isinstance(metric.window, Newest) else None,
        other, metric.bar, plan.calendar,
        isinstance(metric.window, Period),
    )  # fmt: skip


def window_start(plan: Plan, state: State, metric: MetricPlan, now: datetime) -> datetime:
    """Start of a metric's window. Of a rollout that has not started: now, so that it is empty.
    Raises ValueError where the calendar does not reach."""
    window = metric.window
    if isinstance(window, timedelta):
        return now - window
    if isinstance(window, OpenTime):
        return plan.calendar.before_open_ms(now, milliseconds(window.length))
    if isinstance(window, Newest):
        return EPOCH
    if isinstance(window, BarCount):
        assert metric.bar is not None, "checked: a window of bars has a bar"
        return start_of_last(bars_of(plan.calendar, metric.bar), window.count, now)
    if isinstance(window, Period):
        # A window does not hold its start, and a day holds its first moment.
        return period_bounds(window, now)[0] - MICROSECOND
    if window == "session":
        return plan.calendar.session_start(now)
    if window == "stage":
        return state.entered_at or state.started_at or now
    return state.started_at or now


def answer(found: Measurement, metric: MetricPlan) -> Measurement:
    """What a source said, as it is decided on and journaled."""
    found = _finite(found)
    return _with_variance(found) if metric.proportion else found


def source_error(name: str, error: Exception, sources: Mapping[str, Source]) -> Measurement:
    """What a source that failed says of each of its measurements."""
    if name not in sources:
        return Measurement(status="error", detail=f"source {name} is not open")
    return Measurement(status="error", detail=f"{name}: {type(error).__name__}: {error}")


def _finite(found: Measurement) -> Measurement:
    """NaN and infinity are no data (rule 1), here already: the journal cannot hold them, and what
    it holds must be what was decided on."""
    if found.value is not None and not isfinite(found.value):
        detail = f"the value is {found.value}"
        return Measurement(
            status="no_data", samples=found.samples, detail=detail, as_of=found.as_of
        )
    moments = (found.mean, found.variance)
    if any(moment is not None and not isfinite(moment) for moment in moments):
        return replace(found, mean=None, variance=None)
    return found


def _with_variance(found: Measurement) -> Measurement:
    """A share p of observations has the variance p (1 - p) of one of them, whoever counted."""
    share = found.value
    if share is None or not found.samples or found.variance is not None or not 0 <= share <= 1:
        return found
    return replace(found, mean=share, variance=share * (1 - share))
