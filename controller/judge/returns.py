"""Returns of bars, and what is made of them. `periods` is the number of bars in a year.

Sums are rounded once (`fsum`), so that the same returns give the same bits everywhere.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import dist, expm1, fsum, isfinite, log1p, sqrt

from controller.judge.undefined import Undefined

ALIKE = 1e-14
"""Returns whose deviation is below so much of the largest of them differ by rounding only."""


def of_levels(levels: Sequence[float]) -> list[float]:
    """E_t / E_(t-1) - 1 of equity or prices by bar, one fewer than there are levels."""
    if min(levels, default=1.0) <= 0:
        raise Undefined("a level that is not above 0; profit and loss is summed, with a capital")
    return [after / before - 1.0 for before, after in pairwise(levels)]


def of_pnl(pnl: Sequence[float], capital: float) -> list[float]:
    """Profit and loss of each bar for the equity before it; equity begins at `capital`."""
    equity, returns = capital, []
    for x in pnl:
        if equity <= 0:
            raise Undefined("the capital is used up")
        returns.append(x / equity)
        equity += x
    return returns


def volatility(returns: Sequence[float], periods: float) -> float:
    """sqrt(P) std(r), with n - 1."""
    return sqrt(periods) * _deviation(returns)


def sharpe(returns: Sequence[float], periods: float) -> float:
    """sqrt(P) mean(r) / std(r), with n - 1."""
    deviation = _deviation(returns)
    if deviation <= ALIKE * max(map(abs, returns)):
        raise Undefined("all returns are alike")
    return sqrt(periods) * (fsum(returns) / len(returns)) / deviation


def sortino(returns: Sequence[float], periods: float) -> float:
    """sqrt(P) mean(r) / sqrt(mean(min(r, 0)^2)), the mean over all returns."""
    _enough(returns)
    downward = fsum(r * r for r in returns if r < 0)
    if not downward:
        raise Undefined("no return below 0")
    return sqrt(periods) * (fsum(returns) / len(returns)) / sqrt(downward / len(returns))


def calmar(returns: Sequence[float], periods: float) -> float:
    """Compound growth of a year for the deepest fall, the start included."""
    _enough(returns)
    if min(returns) <= -1:
        raise Undefined("everything was lost")
    deepest = deepest_fall(returns)
    if deepest <= 0:
        raise Undefined("there was no drawdown")
    growth = fsum(log1p(r) for r in returns) * periods / len(returns)
    if growth > 700:
        raise Undefined("too few bars: their growth of a year is beyond numbers")
    return expm1(growth) / deepest


def deepest_fall(returns: Sequence[float]) -> float:
    """Deepest fall of compounded returns from their peak, as a fraction of it."""
    level = peak = 1.0
    deepest = 0.0
    for r in returns:
        level *= 1.0 + r
        peak = max(peak, level)
        deepest = max(deepest, 1.0 - level / peak)
    return deepest


def falls(pnl: Sequence[float]) -> tuple[list[tuple[int, int]], int | None]:
    """Where the running sum fell below a peak and came back, each as the places of the peak and
    of the recovery; and of the peak of a fall that lasts. The start counts as a peak, at the
    first value."""
    equity = peak = 0.0
    top, below = 0, False
    ended: list[tuple[int, int]] = []
    for index, x in enumerate(pnl):
        equity += x
        if equity < peak:
            below = True
            continue
        if below:
            ended.append((top, index))
        peak, top, below = equity, index, False
    return ended, top if below else None


def _deviation(returns: Sequence[float]) -> float:
    _enough(returns)
    mean = fsum(returns) / len(returns)
    deviation = dist(returns, (mean,) * len(returns)) / sqrt(len(returns) - 1)
    if not isfinite(deviation):
        raise Undefined("returns too large to be told")
    return deviation


def _enough(returns: Sequence[float]) -> None:
    if len(returns) < 2:
        raise Undefined(f"{len(returns)} returns of whole bars, and it takes 2")
