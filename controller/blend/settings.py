"""What a policy says of blending, as it is published with the share."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Amount = Annotated[float, Meta(ge=0)]
Part = Annotated[float, Meta(ge=0, le=1)]


class Mode(StrEnum):
    """What the weights of the two legs come from, beside the share."""

    WEIGHTED = "weighted"
    CONFIDENCE = "confidence"
    PERFORMANCE = "performance"
    SWITCH = "switch"


class Conflict(StrEnum):
    """What is done where the legs point in opposite directions."""

    NET = "net"
    PREFER_OLD = "prefer_old"
    PREFER_NEW = "prefer_new"
    FLAT = "flat"
    MIN_ABS = "min_abs"
    MAX_CONFIDENCE = "max_confidence"


class WithoutBaseline(StrEnum):
    """What is done without the baseline's leg. Nothing here gives the candidate the whole."""

    HOLD = "hold"
    FLAT = "flat"
    CANDIDATE_SCALED = "candidate_scaled"


class WithoutCandidate(StrEnum):
    """What is done without the candidate's leg."""

    BASELINE_FULL = "baseline_full"
    BASELINE_SCALED = "baseline_scaled"
    HOLD = "hold"
    FLAT = "flat"


class Missing(Struct, frozen=True, omit_defaults=True):
    """What is done without a leg, and for how many seconds `hold` may last."""

    baseline: WithoutBaseline = WithoutBaseline.HOLD
    candidate: WithoutCandidate = WithoutCandidate.BASELINE_FULL
    hold_s: Amount = 60.0


class Limits(Struct, frozen=True, omit_defaults=True):
    """The largest exposure, long or short, of each leg and of what comes of both; None: any."""

    baseline: Amount | None = None
    candidate: Amount | None = 1.0
    account: Amount | None = None


class Performance(Struct, frozen=True, omit_defaults=True):
    """The forecaster of `learning.hedge`. `scale` and `cost` are fractions; weights are the
    candidate's."""

    learning_rate: Amount = 0.15
    sharing: Part = 0.01
    scale: Annotated[float, Meta(gt=0)] = 0.01
    cost: Amount = 0.0
    least: Part = 0.0
    most: Part = 1.0
    step: Part = 0.05
    every_s: Amount = 86_400.0


class Calibration(Struct, frozen=True, omit_defaults=True):
    """The worst Brier score that a confidence may have over about the last `samples` outcomes."""

    worst: Part = 0.25
    samples: Annotated[int, Meta(ge=1)] = 100


class Settings(Struct, frozen=True, omit_defaults=True):
    """How two target exposures become one. `deadband`: an exposure up to it has no direction;
    `band`: changes up to it are not traded; `enter` and `leave`: flat until the blend reaches the
    one, in the market until it falls below the other (0: no such thresholds); `min_hold_s`: no
    change follows another sooner; `max_age_s`: an older signal is none (0: any age)."""

    mode: Mode = Mode.WEIGHTED
    conflict: Conflict = Conflict.NET
    deadband: Amount = 0.0
    band: Amount = 0.0
    enter: Amount = 0.0
    leave: Amount = 0.0
    min_hold_s: Amount = 0.0
    max_age_s: Amount = 0.0
    missing: Missing = Missing()
    limits: Limits = Limits()
    performance: Performance = Performance()
    calibration: Calibration = Calibration()
