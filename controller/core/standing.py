"""What is remembered of alerts: those that stand, what is on its way to people, silences; and the
compiled routes. What is decided of it is in `core.alerting`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from msgspec import Struct

from controller.core.effect import Severity, Status


class Acknowledged(Struct, frozen=True, omit_defaults=True):
    """A person has taken an alert on. Void at `until`, if it still lasts then. `told`: those who
    were told of the alert know."""

    by: str
    at: datetime
    until: datetime | None = None
    reason: str = ""
    told: bool = False


class Standing(Struct, frozen=True, omit_defaults=True):
    """One alert from the moment it was raised until it is over and nobody has to hear of it any
    more. `times` it was raised; `over` since when it no longer lasts; `first_told`, `last_told`
    when, `told_to` which channels; `climbed` so many escalations, the last at `climbed_at`;
    `closed`: that it is over was told as well."""

    severity: Severity
    kind: str
    title: str
    since: datetime
    subject: str = ""
    reasons: tuple[str, ...] = ()
    times: int = 1
    over: datetime | None = None
    first_told: datetime | None = None
    last_told: datetime | None = None
    told_to: tuple[str, ...] = ()
    climbed: int = 0
    climbed_at: datetime | None = None
    acknowledged: Acknowledged | None = None
    closed: bool = False


class Sent(Struct, frozen=True, omit_defaults=True):
    """A message that a channel has not taken yet: what it says, by alert. `failed`: it was tried,
    and others were told in its place."""

    channel: str
    says: dict[str, Status]
    failed: bool = False


class Silence(Struct, frozen=True, omit_defaults=True):
    """Alerts that are told to nobody until then: one of that name, or all of that kind; empty:
    all."""

    alert: str
    by: str
    until: datetime
    reason: str = ""


class Alerting(Struct, frozen=True, omit_defaults=True):
    """Alerts of one rollout, by name (`kind`, or `kind/subject`), and messages by effect key."""

    standing: dict[str, Standing] = {}
    sent: dict[str, Sent] = {}
    silences: tuple[Silence, ...] = ()


@dataclass(frozen=True, slots=True)
class EscalationPlan:
    """Who is told `after` the telling or the escalation before."""

    after: timedelta
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One route; `log` is in none of its lists, for all alerts are there. `fallback` in order."""

    severities: frozenset[Severity]
    labels: Mapping[str, frozenset[str]]
    to: tuple[str, ...]
    fallback: tuple[str, ...]
    wait: timedelta
    repeat: timedelta
    tells_end: bool
    escalations: tuple[EscalationPlan, ...]

    def takes(self, severity: Severity, labels: Mapping[str, str]) -> bool:
        """Whether it fits an alert."""
        return severity in self.severities and all(
            labels.get(name) in values for name, values in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class QuietPlan:
    """Quiet from `start` to `end` by the clock of `zone`, beginning on these `days` (Monday 0)."""

    start: time
    end: time
    zone: tzinfo
    days: frozenset[int]

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that `now` is in end; None if it is in none."""
        here = now.astimezone(self.zone)
        for back in (timedelta(0), timedelta(days=1)):
            day = (here - back).date()
            begin = datetime.combine(day, self.start, self.zone)
            last = day if self.end > self.start else day + timedelta(days=1)
            end = datetime.combine(last, self.end, self.zone)
            if (
                day.weekday() in self.days
                and begin.timestamp() <= now.timestamp() < end.timestamp()
            ):
                return end.astimezone(now.tzinfo)
        return None


@dataclass(frozen=True, slots=True)
class AlertsPlan:
    """Who is told of what. `of_triggers`: the labels of each trigger's alerts."""

    channels: frozenset[str]
    routes: tuple[RoutePlan, ...]
    quiet: tuple[QuietPlan, ...]
    labels: Mapping[str, str]
    of_triggers: Mapping[str, Mapping[str, str]]
