"""How precise a mean is when successive observations depend on each other.

A row of observations is held as sums over blocks of time: as many blocks as there are observations
while they are few, never more than `BLOCKS` (neighbours are merged and their span doubled). What is
computed of them is the long-run variance of Newey and West (1987), prewhitened by a first-order
autoregression (Andrews and Monahan, 1992), whose coefficient is corrected for its bias (Kendall,
1954). Blocks without an observation do not count: a closed market is no time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from operator import mul, sub

BLOCKS = 256
"""Most blocks of a row."""
CLOSEST = 0.97
"""Largest coefficient of the autoregression: beyond it, a mean says next to nothing."""

Form = tuple[float, float, float]
"""Variances of two sums or means, and their covariance."""
Block = list[float]
"""Number of observations, sum of the first values, sum of the second."""
_NOTHING = (0.0, 0.0, 0.0)


@dataclass(slots=True)
class Row:
    """Sums of pairs of values over time. `span` is the length of a block in microseconds; values
    are taken from an `origin` so that squares of large numbers keep their digits. The order of
    arrival does not matter, but for the last bits."""

    span: int = 1
    count: int = 0
    sums: tuple[float, float] = (0.0, 0.0)
    squares: Form = _NOTHING
    blocks: dict[int, Block] = field(default_factory=dict)
    origin: tuple[float, float] | None = None

    def add(self, at: int, first: float, second: float = 0.0, times: int = 1) -> None:
        """Take in a pair of values seen at `at` (microseconds); `times` -1 takes one out again."""
        if self.origin is None:
            self.origin = (first, second)
        x, y = first - self.origin[0], second - self.origin[1]
        self.count += times
        self.sums = (self.sums[0] + times * x, self.sums[1] + times * y)
        xx, yy, xy = self.squares
        self.squares = (xx + times * x * x, yy + times * y * y, xy + times * x * y)
        index = at // self.span
        block = self.blocks.get(index)
        if block is None:
            block = self.blocks[index] = [0, 0.0, 0.0]
        block[0] += times
        block[1] += times * x
        block[2] += times * y
        if not block[0]:
            del self.blocks[index]
        elif len(self.blocks) > BLOCKS:
            self._merge()

    def _merge(self) -> None:
        while len(self.blocks) > BLOCKS:
            self.span *= 2
            merged: dict[int, Block] = {}
            for index, block in self.blocks.items():
                held = merged.setdefault(index // 2, [0, 0.0, 0.0])
                for place in range(3):
                    held[place] += block[place]
            self.blocks = merged

    @property
    def means(self) -> tuple[float, float]:
        """Of at least one pair."""
        assert self.origin is not None and self.count
        return (
            self.origin[0] + self.sums[0] / self.count,
            self.origin[1] + self.sums[1] / self.count,
        )

    @property
    def variances(self) -> Form:
        """Of one pair, n - 1; of at least two."""
        count = self.count
        x, y = self.sums
        xx, yy, xy = self.squares
        below = count - 1
        return (
            max(0.0, xx - x * x / count) / below,
            max(0.0, yy - y * y / count) / below,
            (xy - x * y / count) / below,
        )

    def residuals(self) -> tuple[list[float], list[float]]:
        """By block in order of time: how far its sums are from what the means make of them."""
        x, y = self.sums[0] / self.count, self.sums[1] / self.count
        blocks = [block for _, block in sorted(self.blocks.items())]
        return (
            [block[1] - x * block[0] for block in blocks],
            [block[2] - y * block[0] for block in blocks],
        )


def error_of_means(row: Row) -> Form:
    """Variances and covariance of both means of a row, dependence included; of at least two
    blocks. The whole form has one filter and one lag, chosen on the difference of both."""
    first, second = row.residuals()
    if len(first) < 2:
        return _NOTHING
    difference = list(map(sub, first, second))
    coefficient = _autoregression(difference)
    x, y = _filtered(first, coefficient), _filtered(second, coefficient)
    lags = min(int(4 * (len(x) / 100) ** (2 / 9)), len(x) - 1)
    blocks = len(first)
    scale = (blocks / (blocks - 1)) ** 2 / (1 - coefficient) ** 2 / row.count**2
    return (
        max(0.0, _long_run(x, x, lags)) * scale,
        max(0.0, _long_run(y, y, lags)) * scale,
        _long_run(x, y, lags) * scale,
    )


def error_of_bars(candidate: Row, baseline: Row) -> tuple[int, Form]:
    """Number of blocks in which anything was seen, and the form of both means when blocks are
    independent of each other, and what happens in one may touch both rows. The spans of both must
    be the same times a power of two."""
    span = max(candidate.span, baseline.span)
    mine, other = _by_bar(candidate, span), _by_bar(baseline, span)
    bars = sorted({*mine, *other})
    count = len(bars)
    if count < 2:
        return count, _NOTHING
    x = [mine.get(bar, 0.0) / candidate.count for bar in bars]
    y = [other.get(bar, 0.0) / baseline.count if baseline.count else 0.0 for bar in bars]
    scale = count / (count - 1)
    return count, (sum(map(mul, x, x)) * scale, sum(map(mul, y, y)) * scale,
                   sum(map(mul, x, y)) * scale)  # fmt: skip


def bars_of_pairs(row: Row) -> tuple[int, Form]:
    """The same of a row of pairs."""
    first, second = row.residuals()
    count = len(first)
    if count < 2:
        return count, _NOTHING
    scale = count / (count - 1) / row.count**2
    return count, (sum(map(mul, first, first)) * scale, sum(map(mul, second, second)) * scale,
                   sum(map(mul, first, second)) * scale)  # fmt: skip


def _by_bar(row: Row, span: int) -> dict[int, float]:
    if not row.count:
        return {}
    mean, wider = row.sums[0] / row.count, span // row.span
    found: dict[int, float] = {}
    for index, block in row.blocks.items():
        bar = index // wider
        found[bar] = found.get(bar, 0.0) + block[1] - mean * block[0]
    return found


def _autoregression(values: Sequence[float]) -> float:
    """Coefficient on the value before, corrected by (1 + 3 r) / n; not below 0."""
    squares: float = sum(map(mul, values[:-1], values[:-1]))
    if not (squares > 0 and isfinite(squares)):
        return 0.0
    found: float = sum(map(mul, values[1:], values[:-1])) / squares
    return min(max(found + (1 + 3 * found) / len(values), 0.0), CLOSEST)


def _filtered(values: Sequence[float], coefficient: float) -> list[float]:
    return [after - coefficient * before for before, after in pairwise(values)]


def _long_run(first: Sequence[float], second: Sequence[float], lags: int) -> float:
    """Sum of the products at all lags, with the weights of Bartlett."""
    total: float = sum(map(mul, first, second))
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        both = sum(map(mul, first[lag:], second[:-lag])) + sum(map(mul, second[lag:], first[:-lag]))
        total += weight * both
    return total
