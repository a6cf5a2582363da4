"""When alerts are told and to whom: what the routes, the silences and the quiet hours say."""

from datetime import datetime, timedelta

from controller.core.effect import Severity
from controller.core.plan import Plan
from controller.core.standing import AlertsPlan, EscalationPlan, RoutePlan, Silence, Standing
from controller.core.state import State

NEWS = frozenset({"stage", "completed", "handover", "rolled_back"})
"""Kinds that are mere news: nobody has to acknowledge them."""
SOON = timedelta(seconds=1)


def labels(told: AlertsPlan, one: Standing) -> dict[str, str]:
    """What routes and receivers know an alert by."""
    found = {"kind": one.kind}
    if one.kind == "trigger":
        found["trigger"] = one.subject
        found.update(told.of_triggers.get(one.subject, {}))
    return found


def route_of(told: AlertsPlan, one: Standing) -> RoutePlan | None:
    """The first route that fits; None: it is in the log, and nobody is told."""
    known = labels(told, one)
    return next((route for route in told.routes if route.takes(one.severity, known)), None)


def repeats_at(one: Standing, route: RoutePlan) -> datetime | None:
    """When an alert that lasts is told again; None: never."""
    if one.over or one.acknowledged or one.last_told is None:
        return None
    return one.last_told + route.repeat


def rung(one: Standing, route: RoutePlan) -> EscalationPlan | None:
    """Who is told next, if nobody acknowledges."""
    if one.acknowledged or one.first_told is None or one.kind in NEWS or not route.escalations:
        return None
    return route.escalations[min(one.climbed, len(route.escalations) - 1)]


def escalates_at(one: Standing, route: RoutePlan) -> datetime | None:
    """When that is."""
    found, since = rung(one, route), one.climbed_at or one.first_told
    return None if found is None or since is None else since + found.after


def come(at: datetime | None, now: datetime, one: Standing) -> bool:
    """Whether a time has come. By a clock that went back behind the last word it has as well."""
    if at is None:
        return False
    return now >= at or (one.last_told is not None and now < one.last_told)


def held_until(
    told: AlertsPlan, silences: tuple[Silence, ...], name: str, one: Standing, now: datetime
) -> datetime | None:
    """Until when an alert is told to nobody: by a silence, or by quiet hours unless it is
    critical."""
    ends = [each.until for each in silences if now < each.until and matches(each.alert, name)]
    if one.severity < Severity.CRITICAL:
        ends += [end for quiet in told.quiet if (end := quiet.until(now)) is not None]
    return max(ends, default=None)


def matches(wanted: str, name: str) -> bool:
    """Whether `wanted` speaks of the alert: its name, its kind, or empty for all."""
    return not wanted or wanted == name or wanted == name.partition("/")[0]


def next_telling(plan: Plan, state: State, now: datetime) -> datetime | None:
    """When somebody has to be told something though nothing happens; None: never."""
    told, alerting = plan.alerts, state.alerts
    if told is None or alerting is None:
        return None
    times: list[datetime | None] = []
    for name, one in alerting.standing.items():
        route = route_of(told, one)
        if route is None:
            continue
        held = held_until(told, alerting.silences, name, one, now)
        until = one.acknowledged.until if one.acknowledged and not one.over else None
        if held is not None:
            times += [held, until]
        elif one.first_told is None and one.acknowledged is None:
            times.append(one.since + route.wait)
        else:
            times += [repeats_at(one, route), escalates_at(one, route), until]
    found = min((at for at in times if at is not None), default=None)
    return None if found is None else max(found, now + SOON)
