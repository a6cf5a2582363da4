"""How one version passes into the other between the stages' shares: a policy's `transition`."""

from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta
from msgspec import field as key

from controller.policy.handover import Handover
from controller.policy.values import ConditionText, Duration, Model, Names, Path, Percent

Exposure = Annotated[float, Meta(ge=0, le=1e12)]
"""How far from flat, long or short: a fraction of what the account may hold, or a quantity."""


class Hysteresis(Model, frozen=True, kw_only=True):
    """Two thresholds for the blend, so that it does not flicker around one."""

    enter: Annotated[
        Exposure, Meta(description="From flat, or to the other side, only from this exposure on")
    ]
    leave: Annotated[Exposure, Meta(description="In the market until it falls below; then flat")]


class MissingLeg(Model, frozen=True, kw_only=True):
    """What is held where one of the two signals is missing, stale, warming up or no number."""

    baseline: Annotated[
        Literal["hold", "flat", "candidate_scaled"],
        Meta(
            description="Without the baseline's: what was held for `hold_for`, then nothing; "
            "nothing at once; or the candidate's at its weight, never at the whole"
        ),
    ] = "hold"
    candidate: Annotated[
        Literal["baseline_full", "baseline_scaled", "hold", "flat"],
        Meta(
            description="Without the candidate's: the baseline's in its place; the baseline's at "
            "its weight alone; what was held for `hold_for`, then the baseline's; nothing"
        ),
    ] = "baseline_full"
    hold_for: Annotated[
        Duration | None, Meta(description="How long `hold` may last. Without it: 1m")
    ] = None


class ExposureLimits(Model, frozen=True, kw_only=True):
    """The largest exposure, long or short. They hold at every share."""

    baseline: Annotated[
        Exposure | None, Meta(description="Of the baseline's signal. Without it: any")
    ] = None
    candidate: Annotated[
        Exposure, Meta(description="Of the candidate's signal, before it is weighted")
    ] = 1.0
    account: Annotated[Exposure | None, Meta(description="Of what is held. Without it: any")] = None


class PerformanceBlend(Model, frozen=True, kw_only=True):
    """How the weight follows what both earned: Hedge with fixed share, never above the share."""

    learning_rate: Annotated[
        float,
        Meta(gt=0, le=100, description="How fast it follows: sqrt(8 ln 2 / updates) is a start"),
    ] = 0.15
    sharing: Annotated[
        Percent, Meta(description="What is shared out evenly at each update, so that none is lost")
    ] = 1.0
    scale: Annotated[
        Percent, Meta(description="The net return between two updates that is a full win or loss")
    ] = 1.0
    cost: Annotated[
        Percent, Meta(description="What a change of exposure by 1 costs, such as 0.02% for 2 bps")
    ] = 0.0
    least: Annotated[
        Percent, Meta(description="The candidate's least weight, within its share")
    ] = 0.0
    most: Annotated[Percent, Meta(description="The candidate's largest weight")] = 100.0
    step: Annotated[Percent, Meta(description="The most that it moves at one update")] = 5.0
    every: Annotated[
        Duration, Meta(description="How long returns are added up between updates")
    ] = (  # fmt: skip
        timedelta(days=1)
    )


class Calibration(Model, frozen=True, kw_only=True):
    """When the candidate's confidence is believed: its Brier score, the mean of (confidence -
    outcome)^2, where the outcome is 1 if the price went the way of its signal, else 0."""

    worst: Annotated[
        float,
        Meta(ge=0, le=1, description="Above it, the candidate has no signal; 0.25 is a coin's"),
    ] = 0.25
    samples: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Outcomes before it counts, and about as many it is"),
    ] = 100


class Blend(Model, frozen=True, kw_only=True):
    """How the target exposures of both versions become one, in `Client.blend`: see
    [blending](blending.md). The share of the work is the candidate's weight. At 0%, so after every
    rollback, the baseline's exposure is held as it is, at 100% the candidate's."""

    mode: Annotated[
        Literal["weighted", "confidence", "performance", "switch"],
        Meta(
            description="The weights: the share alone; times each signal's confidence; the share, "
            "capped by what was earned; or one version alone for each instrument, by its key"
        ),
    ] = "weighted"
    conflict: Annotated[
        Literal["net", "prefer_old", "prefer_new", "flat", "min_abs", "max_confidence"],
        Meta(
            description="Where both point in opposite directions: their weighted sum; the "
            "baseline's; the candidate's at its weight; nothing; nothing, and where they agree the "
            "smaller of both; that of the surer one"
        ),
    ] = "net"
    deadband: Annotated[
        Exposure, Meta(description="An exposure up to this has no direction, so no conflict either")
    ] = 0.0
    band: Annotated[
        Exposure,
        Meta(description="What is held stays until it is further than this from the blend"),
    ] = 0.0
    hysteresis: Annotated[
        Hysteresis | None, Meta(description="Thresholds to enter and leave. Without it: none")
    ] = None
    min_hold: Annotated[
        Duration | None,
        Meta(description="No change of what is held follows another sooner. Without it: any time"),
    ] = None
    max_age: Annotated[
        Duration | None,
        Meta(
            description="An older signal is none, nor is one that does not say when it was made. "
            "Without it: any age"
        ),
    ] = None
    missing: Annotated[MissingLeg, Meta(description="What is held without one of both")] = (
        MissingLeg()
    )
    limits: Annotated[ExposureLimits, Meta(description="The largest exposures")] = ExposureLimits()
    performance: Annotated[
        PerformanceBlend | None,
        Meta(description="For `mode: performance`. Without it: its defaults"),
    ] = None
    calibration: Annotated[
        Calibration | None,
        Meta(
            description="For `mode: confidence` and `conflict: max_confidence`. Without it: its "
            "defaults"
        ),
    ] = None


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
    """What goes over gradually while the share rises."""

    blend: Annotated[
        Blend | None, Meta(description="How signals become one. Without it: keys are routed only")
    ] = None
    parameters: Annotated[
        Parameters | None,
        Meta(description="The way from one configuration to the other. Without it: one switch"),
    ] = None
    handover: Annotated[
        Handover | None,
        Meta(
            description="How the writing of orders passes to the candidate's process. Without it "
            "nobody is told who writes"
        ),
    ] = None
