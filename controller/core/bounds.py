"""Bounds that hold at every look (`policy.precision`), of what the judge has measured.

Where observations depend on each other, the variance of the mean holds what they share, and the set
counts as so many independent ones as would be as precise.
"""

from dataclasses import dataclass
from math import inf, isfinite

from controller.core.measurement import Contrast, Pairs, Side
from controller.policy.precision import half_width


@dataclass(frozen=True, slots=True)
class Bounds:
    """`value` with its bounds, None where nothing bounds it. `samples` of the set, `independent`
    that would be as precise; `method` and `detail` are words."""

    value: float
    lower: float | None
    upper: float | None
    samples: int
    independent: float
    method: str
    detail: str = ""


def bounds(contrast: Contrast, ratio: float, alpha: float) -> Bounds | None:
    """Candidate minus `ratio` times baseline, bounded with error `alpha` over all looks. A `ratio`
    of 0 is the candidate alone. None where a side that is needed is missing.

    A limit on the quotient of the means is one on this difference, which needs no division
    (Fieller, 1954) and keeps the bounds valid. One observation has the variance s^2 of its side, or
    both sides' together; the error e^2 is that of the difference of the means; s^2 / e^2 is the
    number of independent observations, which is the time of the sequence. It grows with both sides
    and also when only one of them grows, so the bounds hold against a baseline that is frozen."""
    if ratio and contrast.pairs is not None:
        return _paired(contrast.pairs, ratio, alpha, contrast.detail)
    if contrast.candidate is None or (ratio and contrast.baseline is None):
        return None
    candidate, baseline = contrast.candidate, contrast.baseline if ratio else None
    value, samples = candidate.mean, candidate.samples
    variance, error = _floored(candidate)
    method = "alone"
    if baseline is not None:
        value -= ratio * baseline.mean
        samples = min(samples, baseline.samples)
        more, and_more = _floored(baseline)
        variance += ratio * ratio * more
        error += ratio * ratio * and_more
        method = "unpaired"
    return _bounded(value, variance, error, samples, alpha, method, contrast.detail)


def _floored(side: Side) -> tuple[float, float]:
    """Dependence never makes a mean more precise."""
    return side.variance, max(side.error, side.variance / side.samples)


def _paired(pairs: Pairs, ratio: float, alpha: float, detail: str) -> Bounds:
    variance = _of_difference(pairs.variance, ratio)
    error = max(_of_difference(pairs.error, ratio), variance / pairs.count)
    value = pairs.candidate - ratio * pairs.baseline
    method = "paired" if pairs.unit == "pairs" else "by bar"
    return _bounded(value, variance, error, pairs.count, alpha, method, detail)


def _of_difference(form: tuple[float, float, float], ratio: float) -> float:
    candidate, baseline, together = form
    return max(candidate - 2 * ratio * together + ratio * ratio * baseline, 0.0)


def _bounded(
    value: float,
    variance: float,
    error: float,
    samples: int,
    alpha: float,
    method: str,
    detail: str,
) -> Bounds:
    if not (variance > 0 and isfinite(variance) and 0 < error < inf):
        detail = detail or "all observations are alike"
        return Bounds(value, None, None, samples, 0.0, method, detail)
    half = half_width(variance, error, alpha)
    return Bounds(value, value - half, value + half, samples, variance / error, method, detail)
