"""What a source is asked of a metric, from when on, and what it says when it fails."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from controller.core.measurement import Measurement
from controller.core.plan import MetricPlan, Plan
from controller.core.state import State
from controller.sources.base import Request, Source


def request(
    metric: MetricPlan, subject: str, version: str, since: datetime, now: datetime
) -> Request:
    """One measurement wanted."""
    return Request(
        subject, metric.name, version, metric.expression, since, now, metric.capital,
        metric.unit.factor, metric.column, metric.beside, metric.max_age,
    )  # fmt: skip


def window_start(plan: Plan, state: State, metric: MetricPlan, now: datetime) -> datetime:
    """Start of a metric's window. Of a rollout that has not started: now, so that it is empty.
    Raises ValueError where the calendar does not reach."""
    window = metric.window
    if isinstance(window, timedelta):
        return now - window
    if window == "session":
        return plan.calendar.session_start(now)
    if window == "stage":
        return state.entered_at or state.started_at or now
    return state.started_at or now


def source_error(name: str, error: Exception, sources: Mapping[str, Source]) -> Measurement:
    """What a source that failed says of each of its measurements."""
    if name not in sources:
        return Measurement(status="error", detail=f"source {name} is not open")
    return Measurement(status="error", detail=f"{name}: {type(error).__name__}: {error}")
