"""The shape of a policy file. Every key here works; a key that is not here is an error.

Plain structs that import fast; `policy.shape` reads a file into them and `policy.schema` makes
the JSON Schema of them. What needs more than a shape (conditions, references between parts,
weights that must not fall) is checked in `policy.check`.

A field's description is what an editor shows and what `docs/language.md` says: it teaches.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from controller.policy.alerting import Alerts
from controller.policy.asking import Asked, Secret
from controller.policy.transition import Transition
from controller.policy.values import (
    AggregationText,
    AttributeName,
    Bounds,
    Capital,
    Column,
    ConditionText,
    ConfirmText,
    Dependence,
    Deviation,
    Duration,
    FieldName,
    Label,
    LabelName,
    Model,
    Moment,
    Name,
    Names,
    OptionText,
    Path,
    Percent,
    Percents,
    PinnedTexts,
    ProxyName,
    Query,
    Rate,
    Samples,
    Servers,
    Text,
    UnitText,
    Url,
    Weight,
    Window,
)


class Version(Model, frozen=True, kw_only=True):
    """A version of the algorithm: its name alone, or its name and its configuration."""

    shorthand: ClassVar[str] = "version"
    """A bare text stands for this field."""

    version: Annotated[Text, Meta(description="The version's own name, as observations carry it")]
    config: Annotated[
        Path | None,
        Meta(
            description="File with its configuration, beside the policy; `restore` brings it back"
        ),
    ] = None


class Freeze(Model, frozen=True, kw_only=True):
    """A window in which nothing advances. Rolling back is never frozen."""

    name: Annotated[Text, Meta(description="What the window is called in `rollout status`")]
    start: Annotated[Moment, Meta(description="First moment that is frozen, with its zone")] = (
        field(name="from")
    )
    end: Annotated[Moment, Meta(description="First moment that is not, with its zone")] = field(
        name="to"
    )


class Schedule(Model, frozen=True, kw_only=True):
    """When the rollout is looked at, and when time counts."""

    tick: Annotated[
        Duration, Meta(description="How often the rollout is looked at. Hard limits do not wait")
    ] = timedelta(seconds=15)
    calendar: Annotated[
        str,
        Meta(
            description="exchange_calendars code, such as XNYS. Holds, deadlines and silence count "
            "open time only"
        ),
    ] = "24/7"
    freeze: Annotated[
        tuple[Freeze, ...], Meta(description="Windows in which nothing advances", max_length=200)
    ] = ()


SERVERS = ("postgresql://", "postgres://")
"""How the URL of a database server begins."""


class Weights(Model, frozen=True, kw_only=True):
    """What breaking each rule takes from the score of an observation, which begins at 1 and does
    not fall below 0."""

    empty: Annotated[Weight, Meta(description="No field has a value")] = 0.5
    nulls: Annotated[
        Weight, Meta(description="More fields than `nulls` are null or out of their range")
    ] = 0.3
    types: Annotated[Weight, Meta(description="A value is of another type than its field's")] = 0.2
    stale: Annotated[Weight, Meta(description="It came in late")] = 0.2
    time: Annotated[Weight, Meta(description="Its time is before one that came in earlier")] = 0.1
    missing: Annotated[
        Weight, Meta(description="Required fields are missing: this, if all of them are")
    ] = 0.2


class Quality(Model, frozen=True, kw_only=True):
    """What good data of a source is. With it, conditions know SOURCE.quality and its parts, of
    both versions together, by time of arrival. An observation that is refused has the score 0."""

    required: Annotated[
        tuple[FieldName, ...],
        Meta(max_length=50, description="Fields that each observation must have"),
    ] = ()
    types: Annotated[
        dict[FieldName, Literal["number", "text", "boolean"]],
        Meta(description="Of which type the values of a field are: {symbol: text, strike: number}"),
    ] = {}
    nulls: Annotated[
        Percent, Meta(description="Share of its fields that may be null, NaN or infinite")
    ] = 5.0
    stale: Annotated[
        Duration, Meta(description="How long after its event an observation may come in")
    ] = timedelta(seconds=1)
    range: Annotated[
        dict[FieldName, Bounds],
        Meta(
            description="Smallest and largest value of a field: {price: [0, 100_000]}; a text is "
            "outside of it"
        ),
    ] = {}
    window: Annotated[Duration, Meta(description="What came in within this long counts")] = (
        timedelta(minutes=5)
    )
    min_samples: Annotated[
        Samples, Meta(description="With fewer observations the numbers say nothing")
    ] = 30
    weights: Annotated[Weights, Meta(description="What each rule is worth")] = Weights()


class PushSource(Model, frozen=True, kw_only=True, tag_field="type", tag="push"):
    """Observations come in over HTTP, by call, or as JSON Lines files dropped into `directory`."""

    type: ClassVar[Literal["push"]] = "push"

    directory: Annotated[
        Path | None,
        Meta(description="Directory that is watched for files of JSON Lines, beside the policy"),
    ] = None
    quality: Annotated[Quality | None, Meta(description="What good data of it is")] = None


class SqlSource(Model, frozen=True, kw_only=True, tag_field="type", tag="sql"):
    """Metrics are queries over files and databases."""

    type: ClassVar[Literal["sql"]] = "sql"

    database: Annotated[
        Path | None,
        Meta(
            description="A DuckDB or SQLite file to open, read-only; or a PostgreSQL server, "
            "postgresql://USER:PASSWORD@HOST/NAME, from a variable: ${OPS_DATABASE}"
        ),
    ] = None
    tables: Annotated[
        dict[Name, Path],
        Meta(description="Name of each table, and the CSV, Parquet or JSON file that it is"),
    ] = {}
    timeout: Annotated[
        Duration, Meta(description="How long one query may take before it counts as an error")
    ] = timedelta(seconds=10)

    @property
    def is_server(self) -> bool:
        """Whether `database` is a server's URL and not a file."""
        return self.database is not None and self.database.startswith(SERVERS)


class WebSource(Asked, frozen=True, kw_only=True):
    """What all sources that are asked over HTTP have in common."""

    concurrency: Annotated[
        int, Meta(ge=1, le=32, description="Questions asked at the same time")
    ] = 4


class PrometheusSource(WebSource, frozen=True, kw_only=True, tag_field="type", tag="prometheus"):
    """Metrics are queries in PromQL, asked of a Prometheus or what speaks like one."""

    type: ClassVar[Literal["prometheus"]] = "prometheus"

    version_label: Annotated[
        Label,
        Meta(
            description="Label that holds the version in the answer to a query without $version, "
            "which then serves both versions"
        ),
    ] = "version"


class HttpSource(WebSource, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """Metrics are parts of a JSON document. $version, $window, $since and $now in `url` and `body`
    are filled in."""

    type: ClassVar[Literal["http"]] = "http"

    body: Annotated[
        Query | None,
        Meta(description="JSON to send by POST; without it the document is got by GET"),
    ] = None


class OpenMetricsSource(WebSource, frozen=True, kw_only=True, tag_field="type", tag="openmetrics"):
    """Metrics are series of a page of metrics, read at each look: the text format of Prometheus,
    or OpenMetrics. $version in `url` is filled in; where it stands, each version has its page."""

    type: ClassVar[Literal["openmetrics"]] = "openmetrics"


class PluginSource(Model, frozen=True, kw_only=True, tag_field="type", tag="plugin"):
    """Metrics are measured by an installed package, found by its entry point in the group
    `rollout.sources`."""

    type: ClassVar[Literal["plugin"]] = "plugin"

    name: Annotated[Text, Meta(description="Name of the entry point")]
    options: Annotated[
        dict[Name, OptionText],
        Meta(description="What the plugin is given; each value arrives as text"),
    ] = {}
    timeout: Annotated[
        Duration, Meta(description="How long one look may take before it counts as an error")
    ] = timedelta(seconds=10)


Source = PushSource | SqlSource | PrometheusSource | HttpSource | OpenMetricsSource | PluginSource


class Metric(Model, frozen=True, kw_only=True):
    """One definition of one number, measured for each version."""

    source: Annotated[Name, Meta(description="Name of the source that measures it")]
    value: Annotated[
        AggregationText | None,
        Meta(
            description="Of a push source: an aggregation of a field, such as mean(correct). Of a "
            "prometheus or openmetrics source: one of the points in the window, such as max(value)",
        ),
    ] = None
    query: Annotated[
        Query | None,
        Meta(
            description="Of a sql source: a query that gives `value` and, if it knows them, "
            "`samples`, `variance` and `as_of`; $version, $since and $now are bound. One that "
            "gives a row for each `version` answers for both at once, and for every metric of "
            "the same query. Of a prometheus source: PromQL, with $version, $window, $since and "
            "$now. Of an http source: JMESPath, with $version. Of an openmetrics source: a "
            "selector, with $version. Of a plugin: what it understands",
        ),
    ] = None
    column: Annotated[
        Column | None,
        Meta(
            description="Of a sql source: the column that holds the number, if it is not `value`; "
            "its variance is then COLUMN_variance",
        ),
    ] = None
    samples: Annotated[
        Query | None,
        Meta(
            description="How many observations are behind the number, asked like `query`; of "
            "prometheus and http sources, which otherwise cannot tell",
        ),
    ] = None
    as_of: Annotated[
        Query | None,
        Meta(
            description="When the newest observation was made, asked like `query`: seconds since "
            "1970, or a time with its zone; of prometheus and http sources. By default the moment "
            "of the answer",
        ),
    ] = None
    step: Annotated[
        Duration | None,
        Meta(
            description="Of a prometheus source, with `value`: from point to point in the window. "
            "By default 15s, or a thousandth of the window if that is longer",
        ),
    ] = None
    window: Annotated[
        Window,
        Meta(
            description="Which observations count: of this long, of this much open time, the "
            "newest so many, of so many bars that are over and what has come since, or since the "
            "session, stage or rollout began",
        ),
    ] = timedelta(minutes=30)
    bar: Annotated[
        Duration | None,
        Meta(
            description="Length of the bars that returns are made of, at most 1d: observations are "
            "summed, or the last one taken, by bar. On an exchange's calendar bars begin at each "
            "opening, and 1d is the whole session"
        ),
    ] = None
    max_age: Annotated[
        Duration | None,
        Meta(
            description="With nothing newer than this the metric says nothing. By default the "
            "length of its window, at least 4 bars where there are bars, and 1h where the window "
            "has no length",
        ),
    ] = None
    min_samples: Annotated[
        Samples | None,
        Meta(
            description="With fewer observations the metric says nothing, neither good nor bad",
        ),
    ] = None
    better: Annotated[
        Literal["higher", "lower"] | None,
        Meta(description="Which way is good; not_worse and better need to know"),
    ] = None
    dependence: Annotated[
        Dependence | None,
        Meta(
            description="How observations of one version depend on each other, in comparisons. "
            "`hac` (the default) measures it; `independent` takes each as news; a duration takes "
            "bars of that long as independent, and pairs both versions bar by bar",
        ),
    ] = None
    unit: Annotated[
        UnitText | None,
        Meta(
            description="Unit of the field or query: ms, s, USD, %, bps, ratio (0 to 1), count. "
            "Conditions must use one that compares",
        ),
    ] = None
    capital: Annotated[
        Capital | None,
        Meta(
            description="Makes a drawdown or turnover a fraction of this much capital, and profit "
            "and loss a return"
        ),
    ] = None
    sd: Annotated[
        Deviation | None,
        Meta(
            description="Standard deviation of one observation, in the metric's unit, as far as "
            "you know. Nothing is decided by it: `rollout validate` and `rollout plan` reckon with "
            "it what a comparison can show in time"
        ),
    ] = None
    dry_run: Annotated[
        bool,
        Meta(
            description="Checks and triggers that read it are judged, counted and shown, and never "
            "act, stand in the way or alert"
        ),
    ] = False
    description: Annotated[str, Meta(max_length=2000, description="What it means, for people")] = ""


class Unmeasured(Model, frozen=True, kw_only=True):
    """An outcome that says neither yes nor no: one word, or what it means at first and when it has
    lasted too long. Time counts from the first look that measured nothing, whatever the reason,
    while the market is open; the next measurement ends it."""

    shorthand: ClassVar[str] = "meanwhile"

    meanwhile: Annotated[
        Literal["hold", "ignore", "reset"],
        Meta(
            description="`hold`: what was counted stays as it is, and nothing advances. `ignore`: "
            "what was counted stays, and this rule does not stand in the way. `reset`: what was "
            "counted is forgotten, a trigger no longer fires, and nothing advances"
        ),
    ] = "hold"
    fail_after: Annotated[
        Duration | None,
        Meta(
            description="Unknown for this long it is a failure: a trigger fires, a check fails. "
            "Without it: never"
        ),
    ] = None


class Unknown(Model, frozen=True, kw_only=True):
    """What each outcome means that is no measurement, for one rule."""

    no_data: Annotated[
        Unmeasured, Meta(description="Nothing was measured: empty, late, NaN or infinite")
    ] = Unmeasured()
    error: Annotated[Unmeasured, Meta(description="The source failed")] = Unmeasured()
    inconclusive: Annotated[
        Unmeasured, Meta(description="Too few samples, or bounds that are still too wide")
    ] = Unmeasured()


class Check(Model, frozen=True, kw_only=True):
    """One line of a gate: its condition alone, or with how it counts."""

    shorthand: ClassVar[str] = "check"

    check: Annotated[ConditionText, Meta(description="The condition, as in candidate.errors <= 5%")]
    confirm: Annotated[
        ConfirmText | None,
        Meta(
            description="How often it must hold to pass: `3 in a row`, `3 of 5` looks, `5 in "
            "total`, counted from the start of the stage's step. It never passes on a look at "
            "which it does not hold"
        ),
    ] = None
    unknown: Annotated[
        Unknown | None,
        Meta(description="What it means when it is not measured. Without it: `hold`"),
    ] = None


class Deadline(Model, frozen=True, kw_only=True):
    """How long a stage may take, in open time, and what then."""

    after: Annotated[Duration, Meta(description="Open time since the stage was entered")]
    then: Annotated[
        Literal["rollback", "pause"], Meta(description="What happens when it is not done by then")
    ] = "rollback"


class Approval(Model, frozen=True, kw_only=True):
    """A person must agree before the stage is left; silence has an answer too. Asked when all else
    is met. The agreement is void, and asked for again, if a check fails before the stage is left.
    `within` counts all the time that the stage has waited for it, however often it was asked."""

    by: Annotated[Text, Meta(description="Who is asked: a person or a role")]
    within: Annotated[Duration, Meta(description="Open time for the answer")]
    otherwise: Annotated[Literal["rollback", "pause"], Meta(description="What silence means")] = (
        field(name="else", default="rollback")
    )


class Stage(Model, frozen=True, kw_only=True):
    """A share of the work, and what must hold to go on."""

    name: Annotated[Name, Meta(description="Name of the state; `watch` is the one after promotion")]
    weight: Annotated[
        Percent | None, Meta(description="Share of the work that the candidate gets")
    ] = None
    weights: Annotated[
        Percents | None,
        Meta(
            description="Several shares, one step each: `ramp` with [25%, 50%] gives the states "
            "ramp-25 and ramp-50",
        ),
    ] = None
    mirror: Annotated[
        bool, Meta(description="The candidate sees all work and its answers are only compared")
    ] = False
    hold: Annotated[
        Duration, Meta(description="Open time to stay, with the share acknowledged and no trouble")
    ] = timedelta(0)
    advance: Annotated[
        tuple[Check, ...],
        Meta(max_length=100, description="Conditions that must all pass to go on"),
    ] = ()
    deadline: Annotated[
        Deadline | None, Meta(description="Without it: three times the hold, then rollback")
    ] = None
    approval: Annotated[
        Approval | None, Meta(description="A person must agree before the stage is left")
    ] = None
    against: Annotated[
        Literal["live", "frozen_baseline", "shadow_baseline"],
        Meta(
            description="What the baseline is: measured now; as it was before it lost its traffic "
            "(a stage at 100% has no live one); or measured now where it still computes all the "
            "work, but is not followed"
        ),
    ] = "live"


class Trigger(Model, frozen=True, kw_only=True):
    """A condition that must not come true while the candidate is live."""

    name: Annotated[Name, Meta(description="Name in reasons, alerts and the journal")]
    when: Annotated[ConditionText, Meta(description="The condition, such as candidate.errors > 5%")]
    severity: Annotated[
        Literal["low", "medium", "high", "critical"],
        Meta(
            description="critical without `confirm` and `for` is a hard limit: a single "
            "observation acts at once"
        ),
    ]
    then: Annotated[
        Literal["rollback", "hold", "pause", "alert"] | None,
        Meta(
            description="What it does. Without it: critical and high roll back, medium holds, "
            "low alerts"
        ),
    ] = None
    confirm: Annotated[
        ConfirmText | None,
        Meta(
            description="How often it must be seen to count: `3 of 5` ticks, `3 in a row`, "
            "`5 in total`"
        ),
    ] = None
    for_: Annotated[
        Duration | None, Meta(description="How long it must hold without a break to count")
    ] = field(name="for", default=None)
    clear: Annotated[
        ConditionText | None,
        Meta(
            description="Once it fires it goes on until this holds, such as candidate.errors < 3%; "
            "then what was counted is forgotten. Without it: until `when` no longer counts"
        ),
    ] = None
    unknown: Annotated[
        Unknown | None,
        Meta(description="What it means when it is not measured. Without it: `hold`"),
    ] = None
    min_samples: Annotated[
        Samples | None,
        Meta(description="Takes the place of its metrics' own `min_samples`"),
    ] = None
    escalate_after: Annotated[
        Duration | None,
        Meta(description="A `hold` that lasts this long, in open time, becomes a rollback"),
    ] = None
    stages: Annotated[
        Names | None,
        Meta(description="Where it applies. Without it: everywhere"),
    ] = None
    labels: Annotated[
        dict[LabelName, Text],
        Meta(description="On its alerts, for `alerts.routes` and for those who are told"),
    ] = {}


class Lock(Model, frozen=True, kw_only=True):
    """More than `after` rollbacks within `per` lock re-promotion, never the way back."""

    after: Annotated[int, Meta(ge=1, le=1000, description="Rollbacks that are still accepted")] = 3
    per: Annotated[Duration, Meta(description="The time in which they are counted")] = timedelta(
        hours=1
    )


class Rollback(Model, frozen=True, kw_only=True):
    """The way back. It outranks approvals, pauses, freeze windows and locks."""

    plan: Annotated[
        tuple[Literal["baseline_traffic", "restore", "verify"], ...],
        Meta(
            min_length=1,
            description="The steps in order: traffic to the baseline first, its configuration "
            "back, then a look whether it is so",
        ),
    ] = ("baseline_traffic", "restore", "verify")
    deadline: Annotated[
        Duration, Meta(description="For each step, on the wall clock; then it escalates")
    ] = timedelta(seconds=30)
    verify_after: Annotated[
        Duration, Meta(description="How long to wait before the share is read back")
    ] = timedelta(minutes=5)
    cooldown: Annotated[
        Duration, Meta(description="How long after a rollback nothing starts again")
    ] = timedelta(hours=1)
    restart: Annotated[
        Name | None, Meta(description="Stage to start again from. Without it: the first")
    ] = None
    lock: Annotated[Lock, Meta(description="When re-promotion is locked")] = Lock()


class FilePublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """The share as a small JSON file, replaced atomically and read back."""

    type: ClassVar[Literal["file"]] = "file"

    path: Annotated[Path, Meta(description="The file to write, beside the policy")]


class ConfigPublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="config"):
    """The effective configuration: the file of the version in charge, copied byte for byte."""

    type: ClassVar[Literal["config"]] = "config"

    path: Annotated[Path, Meta(description="The file to write, beside the policy")]


class FlagdPublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="flagd"):
    """The share as a flag definition for flagd and its OpenFeature providers, written like the
    file. The flag's key is the layer, its value the name of the version that acts."""

    type: ClassVar[Literal["flagd"]] = "flagd"

    path: Annotated[Path, Meta(description="The file to write, beside the policy")]


MOST_WEIGHT = 256
"""The weights of HAProxy's servers are whole numbers of 0 to this."""


class HaproxyPublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="haproxy"):
    """The share as weights of HAProxy's servers, set through its runtime API and read back from
    what HAProxy itself reports. At 0% the candidate's servers are in maintenance as well."""

    type: ClassVar[Literal["haproxy"]] = "haproxy"

    socket: Annotated[
        Path,
        Meta(
            description="Its `stats socket ... level admin`: a path, or HOST:PORT",
            examples=["/run/haproxy/admin.sock", "127.0.0.1:9999"],
        ),
    ]
    backend: Annotated[ProxyName, Meta(description="The backend that has the servers")]
    baseline: Annotated[Servers, Meta(description="Names of the baseline's servers")]
    candidate: Annotated[Servers, Meta(description="Names of the candidate's servers")]
    timeout: Annotated[
        Duration, Meta(description="How long one delivery may take, reading back included")
    ] = timedelta(seconds=2)


class ReadBack(Model, frozen=True, kw_only=True):
    """Where and how a receiver shows the share that it serves. Nothing is acknowledged before it
    shows the one that was asked for."""

    url: Annotated[Url, Meta(description="Got by GET; JSON. Headers and auth are the webhook's")]
    share: Annotated[
        Query, Meta(description="JMESPath of the candidate's share in it: a number")
    ] = "share"
    whole: Annotated[
        float, Meta(gt=0, le=1e9, description="That number when the candidate has all the work")
    ] = 100
    within: Annotated[
        Percent | None,
        Meta(
            description="How far it may be from what was asked for, where the receiver is coarse. "
            "0% and 100% are exact all the same"
        ),
    ] = None
    mirror: Annotated[
        Query | None,
        Meta(
            description="JMESPath of whether the candidate sees all work: true or false. Without "
            "it this target mirrors nothing"
        ),
    ] = None


class WebhookPublisher(Asked, frozen=True, kw_only=True, tag_field="type", tag="webhook"):
    """The share as a signed CloudEvent, sent by POST, to whatever routes the work; read back from
    what it reports. Sent again under the same id until it is."""

    type: ClassVar[Literal["webhook"]] = "webhook"

    secret: Annotated[Secret, Meta(description="What the event is signed with (HMAC-SHA256)")]
    read: Annotated[ReadBack, Meta(description="How the share is read back")]
    timeout: Annotated[
        Duration,
        Meta(description="How long one delivery may take, retries and reading back included"),
    ] = timedelta(seconds=10)


Publisher = FilePublisher | ConfigPublisher | FlagdPublisher | HaproxyPublisher | WebhookPublisher
FILE_PUBLISHERS = (FilePublisher, ConfigPublisher, FlagdPublisher)
"""Those that write to a `path`."""
SHARE_PUBLISHERS = (FilePublisher, FlagdPublisher, HaproxyPublisher, WebhookPublisher)
"""Those that are told the share."""
LIVE_PUBLISHERS = (HaproxyPublisher, WebhookPublisher)
"""Those that others may change or restart: what they serve is read back at every look."""


class Pin(Model, frozen=True, kw_only=True):
    """Keys that do not follow the share while there is one. The baseline's outrank the
    candidate's, and where a call leaves out an attribute that the baseline's pins read, the
    baseline acts. At a share of 0, so after every rollback, nobody is the candidate's."""

    baseline: Annotated[
        dict[AttributeName, PinnedTexts],
        Meta(
            description="Never the candidate's, not even at 100%: by attribute, the values; `key` "
            "is the key itself"
        ),
    ] = {}
    candidate: Annotated[
        dict[AttributeName, PinnedTexts],
        Meta(description="The candidate's as soon as there is a share: by attribute, the values"),
    ] = {}


class Routing(Model, frozen=True, kw_only=True):
    """How keys are told apart, wherever the share is read: by `controller.client`, by flagd."""

    layer: Annotated[
        Name | None,
        Meta(
            description="Rollouts in different layers do not correlate; in the same one they "
            "begin with the same keys. Without it: the rollout's name"
        ),
    ] = None
    max_age: Annotated[
        Duration | None,
        Meta(
            description="Clients that see no sign of life from the controller for this long give "
            "all work to the baseline, until the rollout is completed. Without it they keep the "
            "last state"
        ),
    ] = None
    pin: Annotated[Pin, Meta(description="Keys that do not follow the share")] = Pin()


class Policy(Model, frozen=True, kw_only=True):
    """One file, one rollout."""

    rollout: Annotated[Name, Meta(description="Name of the rollout, in every command")]
    description: Annotated[str, Meta(max_length=2000, description="What it is, for people")] = ""
    owner: Annotated[str, Meta(max_length=2000, description="Whose it is, for people")] = ""
    baseline: Annotated[Version, Meta(description="The version in charge, and the way back")]
    candidate: Annotated[Version, Meta(description="The version to roll out")]
    schedule: Annotated[
        Schedule, Meta(description="When it is looked at, and when time counts")
    ] = Schedule()
    traffic: Annotated[
        Rate | None,
        Meta(
            description="Observations of both versions together, in open time of the calendar; "
            "mirrored work counts once. With it, what cannot be reached or decided in time is an "
            "error, and `rollout plan` says what each stage can show"
        ),
    ] = None
    sources: Annotated[
        dict[Name, Source], Meta(description="Where measurements come from, by name")
    ] = {}
    metrics: Annotated[
        dict[Name, Metric], Meta(description="The numbers that conditions speak of, by name")
    ] = {}
    publish: Annotated[
        dict[Name, Publisher],
        Meta(description="Where the share and the configuration are written, by name"),
    ] = {}
    routing: Annotated[Routing, Meta(description="How keys are told apart")] = Routing()
    stages: Annotated[
        tuple[Stage, ...],
        Meta(min_length=1, max_length=50, description="The way forward, with weights that rise"),
    ]
    triggers: Annotated[
        tuple[Trigger, ...],
        Meta(max_length=200, description="What must not come true while the candidate is live"),
    ] = ()
    transition: Annotated[
        Transition, Meta(description="What goes gradually while the share rises")
    ] = Transition()
    rollback: Annotated[Rollback, Meta(description="The way back")] = Rollback()
    alerts: Annotated[
        Alerts | None,
        Meta(description="Who is told, beside the controller's own log, which has every alert"),
    ] = None
    false_alarm: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="Chance that comparisons set off any trigger wrongly in a whole rollout, "
            "over all looks and steps; and that a gate lets pass what it should not",
        ),
    ] = 0.05
    correction: Annotated[
        Literal["bonferroni", "none"],
        Meta(
            description="How triggers share `false_alarm`: in equal parts, or each has it whole",
        ),
    ] = "bonferroni"
