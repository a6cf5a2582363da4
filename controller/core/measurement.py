"""A measurement: one metric of one subject at one moment, or the reason why there is none."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

CANDIDATE = "candidate"
BASELINE = "baseline"
DIFFERENCE = "difference"
"""Subject of a comparison: candidate minus baseline, with its confidence bounds."""


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


class Measurement(Struct, frozen=True, omit_defaults=True):
    """`value` in the metric's base unit (seconds, fraction, count, currency), or None.

    `status` tells empty (`no_data`) from broken (`error`); `detail` says why. `samples` is the
    number of observations behind the value. `mean` and `variance` (of one observation) feed
    comparisons; `lower` and `upper` bound a `difference`. `as_of` is the time of the newest
    observation; `through` the number of the last stored observation batch that was used.
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


def reference(subject: str, metric: str) -> str:
    """The key of a measurement: `candidate.accuracy`, `difference.accuracy`, `signals.silent`."""
    return f"{subject}.{metric}"


Measurements = Mapping[str, Measurement]
"""By `reference`. A key that is absent reads as no data."""

MISSING = Measurement(status="no_data", detail="never measured")
