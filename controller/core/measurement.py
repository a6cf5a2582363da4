"""A measurement: one metric of one subject at one moment, or the reason why there is none."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

CANDIDATE = "candidate"
BASELINE = "baseline"
DIFFERENCE = "difference"
"""Subject of a comparison of both versions, over a set that grows."""
ESTIMATE = "estimate"
"""Subject of a comparison of the candidate with a number, over a set that grows."""
SHIFT = "shift"
"""Subject of a Mann-Whitney comparison: how far the candidate is shifted, with its interval."""
SPLIT = "split"
"""Subject of the share of the work that the candidate was seen to get."""
COMPARISONS = (DIFFERENCE, ESTIMATE, SHIFT, SPLIT)
"""Subjects that are made of observations of both versions, or of more than a window of them."""


class Outcome(StrEnum):
    """What a check says. One order of severity everywhere: `SEVERITY_ORDER`."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"
    FAIL = "fail"


SEVERITY_ORDER: Mapping[Outcome, int] = {
    Outcome.PASS: 0,
    Outcome.INCONCLUSIVE: 1,
    Outcome.NO_DATA: 2,
    Outcome.ERROR: 3,
    Outcome.FAIL: 4,
}


class Side(Struct, frozen=True, omit_defaults=True):
    """One version in a comparison: `mean` of `samples` observations, `variance` of one of them,
    and `error`, the variance of the mean with what successive observations share."""

    mean: float
    samples: int
    variance: float
    error: float


class Pairs(Struct, frozen=True, omit_defaults=True):
    """Both versions in `count` pairs. `variance` is of one pair and `error` of the means, each as
    (candidate, baseline, covariance). `unit` is what pairs up: keys, or bars of time."""

    count: int
    candidate: float
    baseline: float
    variance: tuple[float, float, float]
    error: tuple[float, float, float]
    unit: Literal["pairs", "bars"] = "pairs"


class Contrast(Struct, frozen=True, omit_defaults=True):
    """What a comparison is judged on, in the metric's base unit: `pairs`, or else both sides. With
    a candidate alone it can be compared with a number only. `detail` says what is not as usual."""

    candidate: Side | None = None
    baseline: Side | None = None
    pairs: Pairs | None = None
    detail: str = ""


def opposite(outcome: Outcome) -> Outcome:
    """Pass and fail swapped; the unknown stays unknown."""
    if outcome is Outcome.PASS:
        return Outcome.FAIL
    return Outcome.PASS if outcome is Outcome.FAIL else outcome


class Measurement(Struct, frozen=True, omit_defaults=True):
    """`value` in the metric's base unit (seconds, fraction, count, currency), or None.

    `status` tells empty (`no_data`) from broken (`error`); `detail` says why. `samples` is the
    number of observations behind the value. `mean` and `variance` (of one observation) are what a
    comparison takes where a source gives no more; `side` is what is kept of a baseline for the
    time when it has no work. `contrast` is what a `difference` or `estimate` is judged on; `lower`
    and `upper` bound a `shift`, whose `mean` is the candidate's as a part of the baseline's (None
    where one is 0); of a `split` `mean` is the share asked for. `as_of` is the time of
    the newest observation; `through` the number of the last stored observation batch used.
    """

    value: float | None = None
    samples: int = 0
    status: Literal["ok", "no_data", "error"] = "ok"
    detail: str = ""
    mean: float | None = None
    variance: float | None = None
    lower: float | None = None
    upper: float | None = None
    as_of: datetime | None = None
    through: int | None = None
    side: Side | None = None
    contrast: Contrast | None = None


def reference(subject: str, metric: str) -> str:
    """The key of a measurement: `candidate.accuracy`, `difference.accuracy`, `signals.silent`."""
    return f"{subject}.{metric}"


Measurements = Mapping[str, Measurement]
"""By `reference`. A key that is absent reads as no data."""

MISSING = Measurement(status="no_data", detail="never measured")
