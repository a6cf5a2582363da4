"""How one version passes into the other between the stages' shares: a policy's `transition`."""

from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta

from controller.policy.values import Duration, Model, Percent

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


class Transition(Model, frozen=True, kw_only=True):
    """What goes gradually while the share rises."""

    blend: Annotated[
        Blend | None, Meta(description="How signals become one. Without it: keys are routed only")
    ] = None
