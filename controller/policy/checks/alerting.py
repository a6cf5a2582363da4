"""Who is told of what: channels, routes, escalations, quiet hours.

What a route takes is found by sending every alert that the policy can raise through the routes, as
they are when it runs: the first that fits has it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import get_args

from controller.policy.alerting import (
    LOG,
    AlertKind,
    Alerts,
    AppriseChannel,
    PagerDutyChannel,
    Route,
    SeverityWord,
    WebhookChannel,
)
from controller.policy.budgets import triggers_of
from controller.policy.checks.asked import secret_is_kept
from controller.policy.checks.context import Context, duration_text
from controller.policy.findings import Finding, did_you_mean
from controller.policy.models import Policy

_SEVERITIES: Mapping[AlertKind, tuple[SeverityWord, ...]] = {
    "rollback": ("critical", "high"),
    "step_failed": ("critical",),
    "partial": ("critical",),
    "locked": ("critical",),
    "parameters": ("critical",),
    "target": ("high",),
    "drift": ("high",),
    "channel": ("high",),
    "approval": ("medium",),
    "held": ("medium",),
    "paused": ("medium",),
    "rolled_back": ("medium",),
    "stage": ("low",),
    "completed": ("low",),
    "handover": ("low",),
}
"""Of each kind that every policy has; those of triggers are their own."""
RESERVED = frozenset({"kind", "trigger", "severity", "rollout", "alertname"})
"""Labels that alerts have without being told."""

At = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Possible:
    """An alert that the policy can raise."""

    severity: SeverityWord
    labels: Mapping[str, str]

    @property
    def words(self) -> str:
        """For people."""
        name = self.labels.get("trigger")
        return f"trigger {name}" if name else self.labels["kind"]

    def fits(self, route: Route) -> bool:
        """Whether a route takes it."""
        return (route.severity is None or self.severity in route.severity) and all(
            self.labels.get(name) in values for name, values in route.labels.items()
        )


def possible(policy: Policy) -> Iterator[Possible]:
    """Every alert that a policy can raise."""
    for trigger in (*policy.triggers, *triggers_of(policy)):
        labels = {"kind": "trigger", "trigger": trigger.name, **trigger.labels}
        yield Possible(trigger.severity, labels)
    for kind, severities in _SEVERITIES.items():
        for severity in severities:
            yield Possible(severity, {"kind": kind})


def _taker(routes: Sequence[Route], alert: Possible) -> int | None:
    return next((number for number, route in enumerate(routes) if alert.fits(route)), None)


def _told(context: Context) -> Alerts:
    """What the policy says of alerts; nothing to find where it says nothing."""
    return context.policy.alerts or Alerts(routes=())


def _named(route: Route) -> Iterator[tuple[At, str]]:
    """Every channel that a route names, and where in it."""
    yield from ((("to", index), name) for index, name in enumerate(route.to))
    yield from ((("else", index), name) for index, name in enumerate(route.otherwise or ()))
    for number, rung in enumerate(route.escalate):
        for index, name in enumerate(rung.to):
            yield ("escalate", number, "to", index), name


# Channels -----------------------------------------------------------------------------------


def channels_are_there(context: Context) -> Iterator[Finding]:
    """Every channel that a route names."""
    told = _told(context)
    known = {*told.channels, LOG}
    for number, route in enumerate(told.routes):
        for where, name in _named(route):
            if name not in known:
                hint = did_you_mean(name, known, f"channels are: {', '.join(sorted(known))}")
                at = ("alerts", "routes", number, *where)
                yield context.places.at(at, "P421", f"unknown channel {name!r}", hint)
    if LOG in told.channels:
        message = f"{LOG} is there already: the controller's own log, which has every alert"
        yield context.places.at_key(
            ("alerts", "channels", LOG), "P303", message, "give the channel another name"
        )


def channels_are_used(context: Context) -> Iterator[Finding]:
    """A channel that nobody is told by is a mistake."""
    told = _told(context)
    used = {name for route in told.routes for _, name in _named(route)}
    for name in told.channels:
        if name not in used and name != LOG:
            hint = f"write `to: {name}` in a route, or leave the channel out"
            at = ("alerts", "channels", name)
            yield context.places.at_key(at, "P425", f"no route uses channel {name}", hint)


def channels_can_be_asked(context: Context) -> Iterator[Finding]:
    """Their secrets are set, and what they need is installed; their urls are looked at with all
    others."""
    for name, channel in _told(context).channels.items():
        where = ("alerts", "channels", name)
        match channel:
            case AppriseChannel():
                yield from secret_is_kept(context, (*where, "url"), channel.url)
                if context.environment is not None and find_spec("apprise") is None:
                    hint = "pip install 'rollout-controller[alerts]' where the controller runs"
                    at = (*where, "type")
                    yield context.places.at(at, "P301", "apprise is not installed", hint)
            case PagerDutyChannel():
                yield from secret_is_kept(context, (*where, "key"), channel.key)
            case WebhookChannel():
                yield from secret_is_kept(context, (*where, "secret"), channel.secret)


# Routes -------------------------------------------------------------------------------------


def labels_are_known(context: Context) -> Iterator[Finding]:
    """Labels of routes are those of alerts; labels of one's own are no others'."""
    values = _label_values(context.policy)
    for number, route in enumerate(_told(context).routes):
        where = ("alerts", "routes", number, "labels")
        for name, wanted in route.labels.items():
            if name not in values:
                hint = did_you_mean(name, values, "write it under `labels` of a trigger as well")
                message = f"no alert has a label {name!r}"
                yield context.places.at_key((*where, name), "P423", message, hint)
                continue
            for index, value in enumerate(wanted):
                if value not in values[name]:
                    hint = did_you_mean(value, values[name])
                    at = (*where, name, index)
                    yield context.places.at(at, "P423", f"no alert has {name}: {value!r}", hint)
    own: list[tuple[At, Mapping[str, str]]] = [
        (("triggers", number, "labels"), trigger.labels)
        for number, trigger in enumerate(context.policy.triggers)
    ]
    for at_all, labels in [*own, (("alerts", "labels"), _told(context).labels)]:
        for name in sorted(RESERVED & labels.keys()):
            message = f"alerts have a label {name} of their own"
            hint = "give yours another name"
            yield context.places.at_key((*at_all, name), "P303", message, hint)


def _label_values(policy: Policy) -> Mapping[str, set[str]]:
    values: dict[str, set[str]] = {"kind": set(get_args(AlertKind)), "trigger": set()}
    for alert in possible(policy):
        for name, value in alert.labels.items():
            values.setdefault(name, set()).add(value)
    return values


def routes_are_reached(context: Context) -> Iterator[Finding]:
    """Each route takes an alert that no earlier one takes."""
    routes = _told(context).routes
    alerts = list(possible(context.policy))
    taken = {_taker(routes, alert) for alert in alerts}
    values = _label_values(context.policy)
    for number, route in enumerate(routes):
        known = all(values.get(name, set()) >= set(v) for name, v in route.labels.items())
        if number in taken or not known:
            continue
        earlier = sorted({_taker(routes, alert) or 0 for alert in alerts if alert.fits(route)})
        if earlier:
            names = " and ".join(f"routes[{each}]" for each in earlier)
            message = f"{names} before it takes every alert that it would take"
            hint = "move it up, or leave it out"
        else:
            message = "no alert of this policy fits it"
            hint = "leave out `severity` or `labels`, or leave out the route"
        yield context.places.at(("alerts", "routes", number), "P423", message, hint)


def grave_alerts_are_told(context: Context) -> Iterator[Finding]:
    """A critical alert reaches somebody, a high one should; the log alone is nobody."""
    told = _told(context)
    if not told.routes:
        return
    for severity in ("critical", "high"):
        untold = [
            alert.words
            for alert in possible(context.policy)
            if alert.severity == severity and not _reaches(told.routes, alert)
        ]
        if untold:
            names = ", ".join(dict.fromkeys(untold))
            message = f"nobody is told of alerts that are {severity}: {names}"
            hint = "add a route: `{severity: " + severity + ", to: CHANNEL}`"
            grave = "error" if severity == "critical" else "warning"
            yield context.places.at(("alerts", "routes"), "P422", message, hint, grave)  # type: ignore[arg-type]


def _reaches(routes: Sequence[Route], alert: Possible) -> bool:
    number = _taker(routes, alert)
    return number is not None and set(routes[number].to) != {LOG}


def escalations_reach_others(context: Context) -> Iterator[Finding]:
    """Neither an escalation nor an `else` ends in the log, where every alert is already."""
    for number, route in enumerate(_told(context).routes):
        where = ("alerts", "routes", number)
        lists: list[tuple[At, tuple[str, ...]]] = [
            ((*where, "escalate", n, "to"), rung.to) for n, rung in enumerate(route.escalate)
        ]
        if route.otherwise is not None:
            lists.append(((*where, "else"), route.otherwise))
            if set(route.otherwise) <= set(route.to):
                message = "these channels are told already"
                hint = "name others, or leave it out"
                yield context.places.at((*where, "else"), "P424", message, hint)
        for at, names in lists:
            if set(names) <= {LOG}:
                message = "the log is nobody: every alert is there already"
                hint = "name a channel that reaches a person"
                yield context.places.at(at, "P424", message, hint)


def times_go_together(context: Context) -> Iterator[Finding]:
    """Nothing is told again before it is told, and nothing without an end at once."""
    for number, route in enumerate(_told(context).routes):
        where = ("alerts", "routes", number)
        if set(route.to) == {LOG}:
            yield from _without_effect(context, where, route)
            continue
        times: list[tuple[At, timedelta]] = [((*where, "repeat"), route.repeat)]
        times += [((*where, "escalate", n, "after"), r.after) for n, r in enumerate(route.escalate)]
        for at, time in times:
            if not time:
                hint = "write how long to wait, such as 5m"
                yield context.places.at(at, "P345", "it would be told without end", hint)
            elif time <= route.wait and route.wait:
                message = f"{duration_text(time)} is over before it was told for the first time"
                hint = f"`wait` is {duration_text(route.wait)}; write a longer time, or wait less"
                yield context.places.at(at, "P426", message, hint)


def _without_effect(context: Context, where: At, route: Route) -> Iterator[Finding]:
    plain = Route(to=route.to)
    for key in ("otherwise", "wait", "repeat", "resolved", "escalate"):
        if getattr(route, key) != getattr(plain, key):
            written = "else" if key == "otherwise" else key
            message = f"{written} changes nothing of alerts that are only in the log"
            hint = "leave it out, or name a channel in `to`"
            yield context.places.at_key((*where, written), "P344", message, hint)


def quiet_hours_end(context: Context) -> Iterator[Finding]:
    """They have a zone that there is, and an end."""
    import zoneinfo  # looks at files: only where it is needed

    for number, quiet in enumerate(_told(context).quiet):
        where = ("alerts", "quiet", number)
        if quiet.start == quiet.end:
            message = "quiet hours that begin when they end"
            hint = 'write another time, such as "07:00"; a silence is for a person to ask for'
            yield context.places.at((*where, "to"), "P427", message, hint)
        zones = zoneinfo.available_timezones()
        if quiet.zone not in zones:
            hint = did_you_mean(quiet.zone, zones, "write it like Europe/Berlin")
            at = (*where, "zone")
            yield context.places.at(at, "P427", f"unknown time zone {quiet.zone!r}", hint)
