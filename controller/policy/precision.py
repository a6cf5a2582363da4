"""How precisely so many observations tell: the formulas by which comparisons are judged, and by
which a policy is told beforehand what they could show.

The bounds of a mean are the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy
and Ramdas ("Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics, 2024): looking as often as one likes at one growing set, and stopping when one likes,
errs with probability `alpha` at most.

The test of a split is the mixture martingale of Lindon and Malek ("Anytime-valid inference for
multinomial count data", NeurIPS 2022).
"""

from math import inf, lgamma, log, sqrt

TUNED_FOR = 1000
"""N*: the number of independent observations at which the bounds are tightest."""
CONCENTRATION = 100.0
"""Weight of the share asked for in the mixture of shares that a split is tested against: tightest
for a share that is off by about a tenth of its standard deviation of one assignment."""
LEAST = 5
"""Below so many observations, pairs or bars there are no bounds."""
LEAST_DEPENDENT = 30
"""The same where it has to be measured what observations share."""
LEAST_RANKED = 5
"""Fewer observations a side than these cannot be told apart by their ranks."""
NEWEST_RANKED = 200
"""Observations of each side whose ranks are compared: the newest."""
LEAST_ASSIGNED = 10
"""Assignments that the smaller side of a split should have had before anybody says it is right."""


def radius(count: float, alpha: float, tuned_for: int = TUNED_FOR) -> float:
    """Half the width of the sequence in standard deviations of one observation after `count`
    independent ones: sqrt(2 (n r^2 + 1) / (n r)^2 ln(sqrt(n r^2 + 1) / alpha)), where
    r = sqrt((-2 ln alpha + ln(-2 ln alpha + 1)) / N*). Raises ValueError unless 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is between 0 and 1, not {alpha}")
    squared = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuned_for
    grown = count * squared + 1
    return sqrt(2 * grown / (count * count * squared) * log(sqrt(grown) / alpha))


def half_width(variance: float, error: float, alpha: float) -> float:
    """Half the width of the bounds of a mean: `variance` is of one observation, `error` of the mean
    (both above 0); their quotient is the number of independent observations."""
    return sqrt(variance) * radius(variance / error, alpha)


# What can be seen at all --------------------------------------------------------------------


def independent(candidate: float, baseline: float | None = None, *, worth: float = 1.0) -> float:
    """Independent observations that a comparison of so many has, of equal variances: n alone or in
    pairs, 2 n m / (n + m) of two sides. `worth` is what one of them is worth beside those before it
    (1 where they are independent, about (1 - r) / (1 + r) with autocorrelation r)."""
    if baseline is None:
        return candidate * worth
    total = candidate + baseline
    return 2 * candidate * baseline / total * worth if total else 0.0


def smallest_effect(deviation: float, count: float, alpha: float, power: float = 0.5) -> float:
    """The smallest true difference, in the unit of `deviation`, that `count` independent
    observations show with a chance of `power` at their last look. `deviation` is that of one
    observation of the difference: sqrt(2) times a side's where sides are not paired. The half
    width of the bounds at `power` 0.5."""
    from statistics import NormalDist

    if count <= 0:
        return inf
    return deviation * (radius(count, alpha) + NormalDist().inv_cdf(power) / sqrt(count))


def needed(deviation: float, effect: float, alpha: float, power: float = 0.5) -> float:
    """Independent observations until a true difference of `effect` is seen with a chance of
    `power`: the inverse of `smallest_effect`. Infinite for no effect."""
    if effect <= 0:
        return inf
    low, high = 1.0, 2.0
    while smallest_effect(deviation, high, alpha, power) > effect:
        low, high = high, high * 2
        if high > 1e15:
            return inf
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if smallest_effect(deviation, middle, alpha, power) > effect:
            low = middle
        else:
            high = middle
    return high


# Splits -------------------------------------------------------------------------------------


def least_assigned(share: float) -> int:
    """Assignments of which the smaller side should have `LEAST_ASSIGNED`; `share` in (0, 1)."""
    return round(LEAST_ASSIGNED / min(share, 1 - share))


def split_evidence(candidate: float, total: float, share: float) -> float:
    """Log of the evidence against `share` (in (0, 1)) after `candidate` of `total` assignments: the
    likelihood of a Beta mixture of shares around it over that of itself. At or above ln(1 / alpha)
    the share is not what was asked, wrongly so with probability `alpha` at most over all looks."""
    ahead, behind = CONCENTRATION * share, CONCENTRATION * (1 - share)
    rest = total - candidate
    mixture = _log_beta(ahead + candidate, behind + rest) - _log_beta(ahead, behind)
    return mixture - candidate * log(share) - rest * log(1 - share)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
