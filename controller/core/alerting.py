"""Who is told of which alert, and when: decided after every event, with time as an argument.

An alert stands from the moment it is raised until it is over; the same thing raised again while it
stands is the same alert. The first route that fits has it. What is told is an effect like any
other: in the outbox with its decision, tried until the channel takes it, answered by an
`Acknowledgement`. While a channel does not answer, the next in line is told in its place, and that
it does not answer is an alert itself.

Rather twice than not at all: nothing here takes silence for success. Escalation ends by a person's
word only; that an alert is over ends its repeats.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace as replace_in
from datetime import datetime

from msgspec.structs import replace

from controller.core.decision import Decision
from controller.core.effect import Alert, Effect, News, Notify, Severity, Status
from controller.core.event import Acknowledgement, Event
from controller.core.plan import Plan
from controller.core.standing import Alerting, AlertsPlan, RoutePlan, Sent, Standing
from controller.core.state import PARTIAL, ROLLING_BACK, State
from controller.core.telling import (
    NEWS,
    come,
    escalates_at,
    held_until,
    labels,
    repeats_at,
    route_of,
    rung,
)

MOST_STANDING = 300
"""Alerts of one rollout that are remembered; what is over and mild is forgotten first."""
MOST_SENT = 500
"""Messages of one rollout that wait for a channel; the oldest is given up first."""
EMPTY = Alerting()


def _lasts(plan: Plan, state: State, one: Standing) -> bool:
    """Whether what an alert is about is still so; of any other kind it never was."""
    subject, side = one.subject, state.name.partition(".")[2]
    returns = state.name.startswith(ROLLING_BACK)
    match one.kind:
        case "trigger":
            return subject in state.firing and (returns or plan.step(state.name) is not None)
        case "rollback":
            return returns
        case "approval" | "held" | "paused":
            return side == one.kind
        case "partial" | "locked":
            return state.name == one.kind
        case "step_failed":
            return subject in state.failed_steps and (returns or state.name == PARTIAL)
        case "target":
            return state.undone(subject)
        case "drift":
            return bool(state.unacknowledged)
        case "channel":
            return subject in _failing(state.alerts or EMPTY)
        case _:
            return False


def _number(key: str) -> tuple[int, int]:
    """When an effect was asked for, from its key."""
    _, seq, number = key.rsplit("/", 2)
    return int(seq), int(number)


def _failing(alerting: Alerting) -> frozenset[str]:
    """Channels that have been tried and have not answered since."""
    return frozenset(sent.channel for sent in alerting.sent.values() if sent.failed)


def attend(plan: Plan, event: Event, decision: Decision, now: datetime) -> Decision:
    """`decision` with what people are told of it, and of what stood before."""
    told, state = plan.alerts, decision.state
    if told is None:
        return decision if state.alerts is None else _without(decision)
    if state.alerts is None and not any(isinstance(e, Alert) for e in decision.effects):
        return decision
    desk = _Desk(plan, told, decision, now)
    desk.hear(event)
    desk.raise_all()
    desk.close_what_is_over()
    desk.tell()
    return desk.decided()


def _without(decision: Decision) -> Decision:
    return replace_in(decision, state=replace(decision.state, alerts=None))


class _Desk:
    """The alerts of one rollout during one decision."""

    def __init__(self, plan: Plan, told: AlertsPlan, decision: Decision, now: datetime) -> None:
        self._plan, self._told, self._now, self._decision = plan, told, now, decision
        before = decision.state.alerts or EMPTY
        self._standing = dict(before.standing)
        self._sent = {
            key: sent for key, sent in before.sent.items() if sent.channel in told.channels
        }
        self._silences = tuple(one for one in before.silences if now < one.until)
        self._effects: list[Effect] = list(decision.effects)
        self._says: dict[str, dict[str, News]] = {}

    # What happened ------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """A channel's answer. One that fails for the first time is told of, and what it should
        have said goes to the next in line."""
        if not isinstance(event, Acknowledgement) or event.key not in self._sent:
            return
        sent = self._sent[event.key]
        if event.ok:
            del self._sent[event.key]
            # It is reached again: what it still has to take is on its way.
            for key, other in self._sent.items():
                if other.channel == sent.channel:
                    self._sent[key] = replace(other, failed=False)
            return
        known = sent.channel in _failing(self._alerting())
        self._sent[event.key] = replace(sent, failed=True)
        for name, status in sorted(sent.says.items()):
            one = self._standing.get(name)
            route = self._route(one) if one is not None else None
            if one is not None and route is not None:
                self._say(name, one, status, self._next_in_line(route))
        if not known:
            title = f"{self._plan.rollout}: alerts do not reach {sent.channel}"
            self._raise("channel", Severity.HIGH, title, (event.detail,), sent.channel)

    def _raise(
        self, kind: str, severity: Severity, title: str, reasons: tuple[str, ...], subject: str
    ) -> None:
        state = self._decision.state
        key = f"{state.rollout}/{state.seq}/{len(self._effects)}"
        self._effects.append(Alert(key, severity, kind, title, reasons, self._now, subject))

    def raise_all(self) -> None:
        """Alerts of this decision: new ones stand, those that stand already are the same."""
        for alert in self._effects:
            if not isinstance(alert, Alert):
                continue
            before = self._standing.get(alert.name)
            fresh = Standing(
                severity=alert.severity, kind=alert.kind, title=alert.title, since=self._now,
                subject=alert.subject, reasons=alert.reasons,
            )  # fmt: skip
            route = self._route(fresh)
            if route is None or not route.to:
                self._standing.pop(alert.name, None)  # it is in the log, and that is all
            elif before is None or before.over is not None or alert.severity > before.severity:
                self._standing[alert.name] = fresh
            else:
                self._standing[alert.name] = replace(
                    before, title=alert.title, reasons=alert.reasons, times=before.times + 1
                )

    def close_what_is_over(self) -> None:
        """What does not last any more; an acknowledgement whose time is up."""
        state = replace(self._decision.state, alerts=self._alerting())
        for name, one in self._standing.items():
            if one.over is None and not _lasts(self._plan, state, one):
                one = replace(one, over=self._now)
            acknowledged = one.acknowledged
            until = acknowledged.until if acknowledged is not None else None
            if until is not None and self._now >= until and one.over is None:
                one = replace(
                    one, acknowledged=None, first_told=None, last_told=None, climbed=0,
                    climbed_at=None,
                )  # fmt: skip
            self._standing[name] = one

    # Who is told --------------------------------------------------------------------------

    def tell(self) -> None:
        """Everything whose time has come; then what nobody has to hear of is forgotten."""
        ripe = {
            id(route)
            for name, one, route in self._routed()
            if self._is_new(name, one) and self._now >= one.since + route.wait
        }
        for name, one, route in list(self._routed()):
            if held_until(self._told, self._silences, name, one, self._now) is not None:
                continue
            if self._is_new(name, one):
                if id(route) in ripe:
                    self._tell_first(name, one, route)
            else:
                self._tell_more(name, one, route)
        for name, one in list(self._standing.items()):
            if self._is_done(one):
                del self._standing[name]

    def _routed(self) -> Iterator[tuple[str, Standing, RoutePlan]]:
        """The gravest first, then the oldest, causes before what came of them. What order they are
        kept in says nothing: it is another one in the store."""

        def rank(item: tuple[str, Standing]) -> tuple[int, datetime, bool, str]:
            return -item[1].severity, item[1].since, item[1].kind != "trigger", item[0]

        for name, one in sorted(self._standing.items(), key=rank):
            route = self._route(one)
            if route is not None:
                yield name, one, route

    def _is_new(self, name: str, one: Standing) -> bool:
        """Whether nobody was told yet, and it is not held back."""
        held = held_until(self._told, self._silences, name, one, self._now)
        return one.first_told is None and one.acknowledged is None and held is None

    def _tell_first(self, name: str, one: Standing, route: RoutePlan) -> None:
        """What is over by now is told all the same, once."""
        happened = one.over is not None
        told = self._say(name, one, "happened" if happened else "firing", self._reach(route))
        self._standing[name] = replace(
            told, first_told=self._now, last_told=self._now, closed=happened
        )

    def _tell_more(self, name: str, one: Standing, route: RoutePlan) -> None:
        now = self._now
        if one.acknowledged is not None and not one.acknowledged.told:
            one = self._say(name, one, "acknowledged", one.told_to)
            assert one.acknowledged is not None, "saying changes no word of it"
            one = replace(one, acknowledged=replace(one.acknowledged, told=True))
        if one.over is not None and not one.closed:
            if route.tells_end:
                one = self._say(name, one, "over", one.told_to)
            one = replace(one, closed=True)
        elif come(repeats_at(one, route), now, one):
            one = replace(self._say(name, one, "again", self._reach(route)), last_told=now)
        others = rung(one, route)
        if others is not None and come(escalates_at(one, route), now, one):
            one = self._say(name, one, "escalated", others.to)
            one = replace(one, climbed=one.climbed + 1, climbed_at=now)
        self._standing[name] = one

    def _reach(self, route: RoutePlan) -> tuple[str, ...]:
        """The route's channels, and the next in line for those that do not answer."""
        if _failing(self._alerting()).isdisjoint(route.to):
            return route.to
        return (*route.to, *self._next_in_line(route))

    def _next_in_line(self, route: RoutePlan) -> tuple[str, ...]:
        failing = _failing(self._alerting())
        return tuple(name for name in route.fallback if name not in failing)[:1]

    def _say(self, name: str, one: Standing, status: Status, channels: tuple[str, ...]) -> Standing:
        """Put it into this decision's message to each channel. One that has still to take word of
        an alert that lasts needs no other."""
        for channel in channels:
            waits = any(
                sent.channel == channel and sent.says.get(name) in ("firing", "again")
                for sent in self._sent.values()
            )
            if not (waits and status == "again"):
                self._says.setdefault(channel, {})[name] = self._news(name, one, status)
        return replace(one, told_to=tuple(dict.fromkeys((*one.told_to, *channels))))

    def _is_done(self, one: Standing) -> bool:
        """Whether it is over, told, and taken on by a person where the route asks for one."""
        route = self._route(one)
        if route is None:
            return True
        waits = route.escalations and one.kind not in NEWS and one.acknowledged is None
        unheard = one.acknowledged is not None and not one.acknowledged.told
        told = one.closed or (one.first_told is None and one.acknowledged is not None)
        return one.over is not None and told and not waits and not (unheard and one.told_to)

    def _route(self, one: Standing) -> RoutePlan | None:
        return route_of(self._told, one)

    # What comes of it ---------------------------------------------------------------------

    def decided(self) -> Decision:
        """The decision, with state and effects as they are now."""
        state = self._decision.state
        for channel, says in self._says.items():
            key = f"{state.rollout}/{state.seq}/{len(self._effects)}"
            news = tuple(says.values())
            self._effects.append(
                Notify(key, channel, state.rollout, self._now, news, self._again(says))
            )
            self._sent[key] = Sent(channel, {name: one.status for name, one in says.items()})
        alerting = self._alerting()
        state = replace(state, alerts=alerting if alerting != EMPTY else None)
        return replace_in(self._decision, state=state, effects=tuple(self._effects))

    def _alerting(self) -> Alerting:
        standing = self._standing
        if len(standing) > MOST_STANDING:
            worth = sorted(
                standing, key=lambda n: (standing[n].over is None, standing[n].severity, n)
            )
            kept = set(worth[-MOST_STANDING:])
            standing = {name: one for name, one in standing.items() if name in kept}
        newest = sorted(self._sent, key=_number)[-MOST_SENT:]
        sent = {key: self._sent[key] for key in newest}
        return Alerting(standing, sent, self._silences)

    def _again(self, names: Iterable[str]) -> datetime | None:
        """When the first of these alerts is told again."""
        found = [self._standing[name] for name in names if name in self._standing]
        routed = [(one, route) for one in found if (route := self._route(one)) is not None]
        return min(filter(None, (repeats_at(one, route) for one, route in routed)), default=None)

    def _news(self, name: str, one: Standing, status: Status) -> News:
        return News(
            name=name, status=status, severity=one.severity, kind=one.kind, title=one.title,
            since=one.since, reasons=one.reasons, times=one.times, over=one.over,
            labels={**self._told.labels, **labels(self._told, one)},
            people=one.acknowledged.by if one.acknowledged is not None else "",
        )  # fmt: skip
