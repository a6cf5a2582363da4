"""The routes of a policy's alerts, compiled."""

from zoneinfo import ZoneInfo

from controller.core.effect import Severity
from controller.core.standing import AlertsPlan, EscalationPlan, QuietPlan, RoutePlan
from controller.policy.alerting import DAYS, LOG, Quiet, Route
from controller.policy.models import Policy


def compile_alerts(policy: Policy) -> AlertsPlan | None:
    """Who is told of what; None where the policy does not say."""
    told = policy.alerts
    if told is None:
        return None
    return AlertsPlan(
        channels=frozenset(told.channels),
        routes=tuple(_route(route) for route in told.routes),
        quiet=tuple(_quiet(quiet) for quiet in told.quiet),
        labels=told.labels,
        of_triggers={trigger.name: trigger.labels for trigger in policy.triggers},
    )


def _route(route: Route) -> RoutePlan:
    to = _beside_the_log(route.to)
    rungs = (EscalationPlan(rung.after, _beside_the_log(rung.to)) for rung in route.escalate)
    escalations = tuple(rung for rung in rungs if rung.to)
    after = [*(route.otherwise or ()), *(name for rung in escalations for name in rung.to)]
    return RoutePlan(
        severities=frozenset(
            Severity if route.severity is None else (Severity[w.upper()] for w in route.severity)
        ),
        labels={name: frozenset(values) for name, values in route.labels.items()},
        to=to,
        fallback=tuple(name for name in _beside_the_log(tuple(after)) if name not in to),
        wait=route.wait,
        repeat=route.repeat,
        tells_end=route.resolved,
        escalations=escalations,
    )


def _beside_the_log(names: tuple[str, ...]) -> tuple[str, ...]:
    """The log has every alert without being told."""
    return tuple(dict.fromkeys(name for name in names if name != LOG))


def _quiet(quiet: Quiet) -> QuietPlan:
    days = frozenset(DAYS.index(day) for day in quiet.days)
    return QuietPlan(quiet.start, quiet.end, ZoneInfo(quiet.zone), days)
