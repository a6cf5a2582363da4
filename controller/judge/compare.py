"""How far the candidate is from the baseline, with bounds that hold at every look.

The bounds are the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas ("Time-uniform central limit theory and asymptotic confidence sequences", 2021): looking
after every observation, and stopping when one likes, errs with probability `alpha` at most, as
long as the looks are at one growing set of independent observations: a window of the stage or
the rollout. Of a window that slides, they hold for the observations of each window.
"""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite, log, sqrt
from typing import Literal

from controller.core.measurement import Measurement
from controller.judge.aggregate import parse
from controller.judge.column import Column
from controller.judge.window import Window

TUNED_FOR = 1000
"""N*: the number of observations at which the bounds are tightest."""
LEAST = 5
"""Below so many observations a side there are no bounds: a variance of so few says nothing."""

Pairs = tuple[int, float, float]
"""Number of paired differences (candidate minus baseline), their mean and variance."""


def difference(
    candidate: Measurement, baseline: Measurement, alpha: float, pairs: Pairs | None = None
) -> Measurement:
    """Mean of the candidate minus mean of the baseline, in the metric's base unit.

    `lower` and `upper` bound it with error probability `alpha` (in (0, 1)) over all looks;
    they are None where a side has fewer than 5 observations or no variance. With `pairs` the
    differences themselves are judged, which takes out what both sides share. `samples` is the
    smaller side's. Status is the worse of the two. Raises ValueError for another `alpha`."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is between 0 and 1, not {alpha}")
    samples = min(candidate.samples, baseline.samples)
    status = _worse(candidate, baseline)
    if status != "ok":
        return Measurement(samples=samples, status=status, detail=_why(candidate, baseline))
    first, second = _mean(candidate), _mean(baseline)
    if first is None or second is None:
        return Measurement(samples=samples, status="no_data", detail="a side has no value")
    value, detail = first - second, "unpaired"
    half = _unpaired(candidate, baseline, first, second, alpha)
    if pairs is not None and pairs[0] >= LEAST and pairs[2] > 0:
        count, value, variance = pairs
        detail = f"{count} pairs"
        half = sqrt(variance) * radius(count, alpha)
    has_bounds = half is not None and isfinite(half)
    return Measurement(
        value=value,
        samples=samples,
        detail=detail if has_bounds else "no bounds: too few observations, or no variance",
        lower=value - half if half is not None and has_bounds else None,
        upper=value + half if half is not None and has_bounds else None,
        as_of=_earlier(candidate.as_of, baseline.as_of),
        through=max((m.through for m in (candidate, baseline) if m.through), default=None),
    )


def radius(count: int, alpha: float, tuned_for: int = TUNED_FOR) -> float:
    """Half the width of the sequence in standard deviations of one observation after `count`:
    sqrt(2 (n r^2 + 1) / (n r)^2 ln(sqrt(n r^2 + 1) / alpha)), where
    r = sqrt((-2 ln alpha + ln(-2 ln alpha + 1)) / N*)."""
    squared = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuned_for
    grown = count * squared + 1
    return sqrt(2 * grown / (count * count * squared) * log(sqrt(grown) / alpha))


def _unpaired(
    candidate: Measurement, baseline: Measurement, first: float, second: float, alpha: float
) -> float | None:
    """s radius(n) with n = both sides' samples and s^2 = n (s1^2 / n1 + s2^2 / n2) (Welch)."""
    if min(candidate.samples, baseline.samples) < LEAST:
        return None
    spread, other = _variance(candidate, first), _variance(baseline, second)
    if spread is None or other is None:
        return None
    total = candidate.samples + baseline.samples
    error = spread / candidate.samples + other / baseline.samples
    return sqrt(error * total) * radius(total, alpha)


def _variance(side: Measurement, mean: float) -> float | None:
    """Of one observation. All alike proves no certainty: what looks like a fraction is taken as
    if one of two more observations had differed (Laplace's rule), anything else has none."""
    if side.variance is None or side.variance > 0:
        return side.variance
    if not 0 <= mean <= 1:
        return None
    share = (side.samples * mean + 1) / (side.samples + 2)
    return share * (1 - share)


def _worse(a: Measurement, b: Measurement) -> Literal["ok", "no_data", "error"]:
    if "error" in (a.status, b.status):
        return "error"
    return "no_data" if "no_data" in (a.status, b.status) else "ok"


def _why(candidate: Measurement, baseline: Measurement) -> str:
    sides = (("candidate", candidate), ("baseline", baseline))
    return "; ".join(f"{name}: {m.detail or m.status}" for name, m in sides if m.status != "ok")


def _mean(side: Measurement) -> float | None:
    found = side.value if side.mean is None else side.mean
    return found if found is not None and isfinite(found) else None


def _earlier(a: datetime | None, b: datetime | None) -> datetime | None:
    """As old as the older side."""
    known = [at for at in (a, b) if at is not None]
    return min(known) if known else None


# Pairs ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sum:
    total: float = 0.0
    count: int = 0


def pair_up(
    candidate: Window | None,
    baseline: Window | None,
    expression: str,
    since: datetime,
    now: datetime,
    factor: float = 1.0,
    newest: int | None = None,
) -> Pairs | None:
    """Differences by key over (since, now], of each side's `newest` so many, for a mean
    or a ratio. Several observations of one key count as their mean. None unless at least half of
    the smaller side pairs up: then the keys are not there to compare by. Raises
    AggregationError."""
    aggregation = parse(expression)
    if candidate is None or baseline is None or aggregation.field is None:
        return None
    first = candidate.numbers.get(aggregation.field)
    second = baseline.numbers.get(aggregation.field)
    if first is None or second is None:
        return None
    is_ratio = aggregation.name == "ratio"
    scale = 1.0 if is_ratio else factor
    lo, hi = first.between(since, now, newest)
    other_lo, other_hi = second.between(since, now, newest)
    state = (lo, hi, first.breaks, other_lo, other_hi, second.breaks)
    asked = ("pairs", is_ratio, factor, baseline.version)
    known = first.memo.get(asked)
    if known is not None and known[0] == state:
        remembered: Pairs | None = known[1]
        return remembered
    found = _pairs(_by_key(first, lo, hi, is_ratio), _by_key(second, other_lo, other_hi, is_ratio))
    smaller = min(hi - lo, other_hi - other_lo)
    if found is not None:
        count, mean, variance = found
        found = (count, mean * scale, variance * scale * scale) if 2 * count >= smaller else None
    first.memo[asked] = (state, found)
    return found


def _by_key(column: Column, lo: int, hi: int, is_ratio: bool) -> dict[str, _Sum]:
    sums: dict[str, _Sum] = {}
    for index in range(lo, hi):
        key = column.keys[index]
        if key is not None:
            held = sums.get(key)
            if held is None:
                held = sums[key] = _Sum()
            value = column.values[index]
            held.total += float(value != 0.0) if is_ratio else value
            held.count += 1
    return sums


def _pairs(first: dict[str, _Sum], second: dict[str, _Sum]) -> Pairs | None:
    """Sums in the order of the first, so that the same observations give the same bits."""
    differences = [
        mine.total / mine.count - other.total / other.count
        for key, mine in first.items()
        if (other := second.get(key)) is not None
    ]
    count = len(differences)
    if count < LEAST:
        return None
    mean = sum(differences) / count
    variance = sum((d - mean) ** 2 for d in differences) / (count - 1)
    return (count, mean, variance) if isfinite(mean) and isfinite(variance) else None
