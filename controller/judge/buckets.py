"""Numbers from the buckets of a histogram, which only tell how many values lay below each bound."""

from collections.abc import Mapping
from math import inf


def bucket_quantile(counts: Mapping[float, float], share: float) -> float | None:
    """The value below which `share` (0 to 1) of the observations lie, in the unit of the bounds.

    `counts` is cumulative: observations up to each upper bound, infinity among them. Within a
    bucket they are taken as spread evenly, the lowest bucket beginning at 0 if its bound is above
    0; in the last one, which has no upper bound, the answer is its lower one. That is
    `histogram_quantile` of Prometheus (promql/quantile.go, bucketQuantile). None where there are
    no observations, or not two buckets of which the last is infinite. A count that falls towards
    higher bounds (buckets read at different moments) is raised to the one before."""
    bounds = sorted(counts)
    if len(bounds) < 2 or bounds[-1] != inf:
        return None
    risen: list[float] = []
    for bound in bounds:
        risen.append(max(counts[bound], risen[-1] if risen else 0.0))
    if risen[-1] <= 0:
        return None
    rank = share * risen[-1]
    number = next(n for n, count in enumerate(risen) if count >= rank)
    if number == len(bounds) - 1:
        return bounds[-2]
    if number == 0 and bounds[0] <= 0:
        return bounds[0]
    low = bounds[number - 1] if number else 0.0
    below = risen[number - 1] if number else 0.0
    held = risen[number] - below
    return low + (bounds[number] - low) * ((rank - below) / held if held else 0.0)
