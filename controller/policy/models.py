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
from controller.policy.budgets import Budget, SharedRule
from controller.policy.publisher import (
    Publisher,
)
from controller.policy.source import (
    Source,
)
from controller.policy.transition import Transition
from controller.policy.values import (
    AggregationText,
    AttributeName,
    Capital,
    Column,
    ConditionText,
    ConfirmText,
    Dependence,
    Deviation,
    Duration,
    LabelName,
    Model,
    Moment,
    Name,
    Names,
    Path,
    Percent,
    Percents,
    PinnedTexts,
    Query,
    Rate,
    Samples,
    Text,
    UnitText,
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
            "day, week, month, session, stage or rollout began",
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
    shared: Annotated[
        SharedRule | None,
        Meta(
            description="Of a sum of a push source: whose observations of the version `shared` "
            "are, which a source takes then. `by_signals`: each version's in proportion to its own "
            "observations in the window; `equally`: half each; `baseline`: the baseline's, as if "
            "there were no candidate"
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
    budgets: Annotated[
        dict[Name, Budget], Meta(description="What the candidate may cost, by name")
    ] = {}
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
