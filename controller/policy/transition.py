"""The shape of `transition:`: how the work goes over from one version to the other."""

from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta
from msgspec import field as key

from controller.policy.values import ConditionText, Duration, Model, Names, Path, Percent

SettingPath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        extra={"kind": "a path: keys with points between, items of lists as [0]"},
        examples=["flow.lookback", "flow.windows[0]"],
    ),
]
Tick = Annotated[float, Meta(gt=0)]
STEEPNESS = 6.0
CHANGES = 20


class ParameterRule(Model, frozen=True, kw_only=True):
    """How one parameter gets from the baseline's value to the candidate's: a number by its
    `curve`, anything else by `switch_at`."""

    path: Annotated[
        SettingPath,
        Meta(description="Where it is in both configurations: flow.lookback, flow.windows[0]"),
    ]
    curve: Annotated[
        Literal["linear", "log", "smoothstep", "logistic", "steps"] | None,
        Meta(
            description="`linear`; `log` in equal ratios, for numbers above 0; `smoothstep` and "
            "`logistic` begin and end slowly; `steps` in equal steps"
        ),
    ] = None
    switch_at: Annotated[
        Percent | None,
        Meta(
            description="Progress from which on the candidate's value holds: for categories, flags "
            "and texts, also for a whole table, and for what only one of both has"
        ),
    ] = None
    tick: Annotated[
        Tick | None,
        Meta(description="The values lie on multiples of this, such as 0.25; both ends must"),
    ] = None
    steps: Annotated[
        int | None,
        Meta(ge=2, le=1000, description="How many, with `curve: steps`"),
    ] = None
    steepness: Annotated[
        float | None,
        Meta(
            ge=1,
            le=50,
            description="Of `curve: logistic`: the higher, the steeper in the middle. Without "
            f"it: {STEEPNESS:g}",
        ),
    ] = None


class ParameterRest(Model, frozen=True, kw_only=True):
    """What holds for parameters that differ and that no rule names."""

    switch_at: Annotated[
        Percent, Meta(description="Progress from which on they are the candidate's")
    ]


class Acknowledge(Model, frozen=True, kw_only=True):
    """The processes that must say with which parameters they run, before anything goes on."""

    directory: Annotated[
        Path,
        Meta(description="Where each process says so in a file NAME.json, beside the policy"),
    ]
    by: Annotated[Names, Meta(description="The processes, by name; all of them must")]
    within: Annotated[
        Duration, Meta(description="Open time for the answer of all; then `else`")
    ] = timedelta(minutes=1)
    otherwise: Annotated[Literal["rollback", "pause"], Meta(description="What silence means")] = (
        key(name="else", default="rollback")
    )


class RampBack(Model, frozen=True, kw_only=True):
    """After a rollback the parameters go back through the points that they came by. The work
    itself is back before that, at once."""

    over: Annotated[Duration, Meta(description="Time for the whole way, on the wall clock")]
    at_once_from: Annotated[
        Literal["medium", "high", "critical"],
        Meta(
            description="Rollbacks of this severity and above restore the baseline's file at once. "
            "A person's rollback is high"
        ),
    ] = "high"


class Parameters(Model, frozen=True, kw_only=True):
    """The way from the baseline's configuration to the candidate's. Each publisher of `type:
    config` holds the parameters as they are now; at both ends that is the version's file, byte for
    byte."""

    rules: Annotated[
        tuple[ParameterRule, ...],
        Meta(max_length=500, description="One for each parameter that differs"),
    ] = ()
    rest: Annotated[
        ParameterRest | None,
        Meta(description="For what differs and has no rule. Without it that is an error"),
    ] = None
    constraints: Annotated[
        tuple[ConditionText, ...],
        Meta(
            max_length=100,
            description="What must hold of the parameters, as in flow.fast < flow.slow; proven for "
            "every point of the way before anything starts",
        ),
    ] = ()
    over: Annotated[
        Duration | None,
        Meta(
            description="Time for the whole way, in `stages`; counts like a hold, so not while "
            "paused, held or not acknowledged. Without it progress is the candidate's share"
        ),
    ] = None
    stages: Annotated[
        Names | None,
        Meta(description="Where the time of `over` runs; the last is not left before it is over"),
    ] = None
    changes: Annotated[
        int | None,
        Meta(
            ge=1,
            le=1000,
            description=f"With `over`: in how many changes. Without it: {CHANGES}",
        ),
    ] = None
    acknowledge: Annotated[
        Acknowledge | None,
        Meta(
            description="Who must confirm what they run with. Without it a published vector is "
            "only read back from its file"
        ),
    ] = None
    back: Annotated[
        RampBack | None,
        Meta(description="How they go back. Without it: at once, whatever the severity"),
    ] = None


class Transition(Model, frozen=True, kw_only=True):
    """How the work goes over from one version to the other, beside its share."""

    parameters: Annotated[
        Parameters | None,
        Meta(description="The way from one configuration to the other"),
    ] = None
