"""Who is told of what: channels, routes, escalation, quiet hours."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from controller.policy.asking import Asked, Secret
from controller.policy.values import ClockTime, Duration, LabelName, Model, Name, Text, Url

SeverityWord = Literal["low", "medium", "high", "critical"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
AlertKind = Literal[
    "trigger", "rollback", "step_failed", "partial", "locked", "rolled_back", "parameters",
    "target", "drift", "approval", "held", "paused", "stage", "completed", "handover", "channel",
]  # fmt: skip
"""What an alert is of: its label `kind`."""
LOG = "log"
"""The channel that is always there: the controller's own log of alerts."""

ONE: dict[str, Any] = {"single": True}
"""Of a list that may be written as its only entry."""
ChannelNames = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=20, extra=ONE)]
LabelTexts = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=100, extra=ONE)]

TIMEOUT = timedelta(seconds=5)


class AppriseChannel(Model, frozen=True, kw_only=True, tag_field="type", tag="apprise"):
    """Any service that Apprise knows (Slack, Telegram, mail, SMS, ...), by its URL. Needs the extra
    `alerts` to be installed."""

    type: ClassVar[Literal["apprise"]] = "apprise"

    url: Annotated[
        Secret, Meta(description="Where Apprise's URL is kept, which is a secret as a whole")
    ]


class Told(Asked, frozen=True, kw_only=True):
    """What channels over HTTP have in common."""

    timeout: Annotated[
        Duration, Meta(description="How long one attempt may take; nothing else waits for it")
    ] = TIMEOUT
    retries: Annotated[
        int,
        Meta(ge=0, le=10, description="How often an attempt asks again before it has failed; what "
             "has failed is tried again all the same, later and later"),
    ] = 0  # fmt: skip


class AlertmanagerChannel(Told, frozen=True, kw_only=True, tag_field="type", tag="alertmanager"):
    """A Prometheus Alertmanager (API v2), which groups, silences and tells by its own rules."""

    type: ClassVar[Literal["alertmanager"]] = "alertmanager"


class PagerDutyChannel(Told, frozen=True, kw_only=True, tag_field="type", tag="pagerduty"):
    """PagerDuty (Events API v2): an alert is one incident, acknowledged and resolved with it."""

    type: ClassVar[Literal["pagerduty"]] = "pagerduty"

    key: Annotated[Secret, Meta(description="The integration's routing key")]
    url: Annotated[
        Url, Meta(description="Its address; another in the EU: https://events.eu.pagerduty.com")
    ] = "https://events.pagerduty.com"


class WebhookChannel(Told, frozen=True, kw_only=True, tag_field="type", tag="webhook"):
    """A CloudEvent by POST, signed as Standard Webhooks has it; a 2xx says that it came."""

    type: ClassVar[Literal["webhook"]] = "webhook"

    secret: Annotated[Secret, Meta(description="What the event is signed with (HMAC-SHA256)")]


Channel = AppriseChannel | AlertmanagerChannel | PagerDutyChannel | WebhookChannel


class Escalation(Model, frozen=True, kw_only=True):
    """Who is told as well while nobody has acknowledged."""

    after: Annotated[
        Duration, Meta(description="Since the alert was told, or since the escalation before")
    ]
    to: Annotated[ChannelNames, Meta(description="Channels that are told")]


class Route(Model, frozen=True, kw_only=True):
    """Alerts that go one way. The first route that fits has the alert."""

    severity: Annotated[
        tuple[SeverityWord, ...] | None,
        Meta(min_length=1, extra=ONE, description="Which it takes. Without it: all"),
    ] = None
    labels: Annotated[
        dict[LabelName, LabelTexts],
        Meta(
            description="Which it takes, by label: one of these values each. Every alert has "
            "`kind`; one of a trigger has `trigger` and the trigger's own labels"
        ),
    ] = {}
    to: Annotated[ChannelNames, Meta(description="Channels that are told, all of them")]
    otherwise: Annotated[
        ChannelNames | None,
        Meta(
            description="When one of `to` cannot be reached: the first of these that can; after "
            "them those of `escalate`"
        ),
    ] = field(name="else", default=None)
    wait: Annotated[
        Duration,
        Meta(description="How long to wait for more, which is then told in the same message"),
    ] = timedelta(0)
    repeat: Annotated[
        Duration,
        Meta(description="How often it is told again while it lasts and nobody acknowledges it"),
    ] = timedelta(hours=4)
    resolved: Annotated[bool, Meta(description="Whether it is told when it is over")] = True
    escalate: Annotated[
        tuple[Escalation, ...],
        Meta(
            max_length=10,
            extra=ONE,
            description="One after another, the last again and again, until a person "
            "acknowledges: that it is over does not end it",
        ),
    ] = ()


class Quiet(Model, frozen=True, kw_only=True):
    """Hours in which only critical alerts are told; all others when they end."""

    start: Annotated[ClockTime, Meta(description='When they begin, such as "22:00"')] = field(
        name="from"
    )
    end: Annotated[ClockTime, Meta(description="When they end; the next day, if it is earlier")] = (
        field(name="to")
    )
    zone: Annotated[Text, Meta(description="Time zone of the clock, such as America/New_York")] = (
        "UTC"
    )
    days: Annotated[
        tuple[Day, ...],
        Meta(min_length=1, max_length=7, extra=ONE, description="Days on which they begin"),
    ] = DAYS


class Alerts(Model, frozen=True, kw_only=True):
    """Who is told. Without it, the controller's own log alone, which has every alert always."""

    channels: Annotated[
        dict[Name, Channel],
        Meta(description="How people are reached, by name; `log` is there always"),
    ] = {}
    routes: Annotated[
        tuple[Route, ...],
        Meta(min_length=1, max_length=100, description="Who is told of what; the first that fits"),
    ]
    quiet: Annotated[
        tuple[Quiet, ...],
        Meta(max_length=20, extra=ONE, description="When only critical alerts are told"),
    ] = ()
    labels: Annotated[
        dict[LabelName, Text],
        Meta(description="On everything that is told, for those who receive it"),
    ] = {}
