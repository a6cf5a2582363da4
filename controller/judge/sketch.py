"""Quantiles of values that are not kept: counts in bins whose widths grow with the values.

DDSketch (Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019), for both signs and zero: a value x lies in bin
ceil(log |x| / log g), g = (1 + a) / (1 - a), and the middle of a bin is within `a` of every value
in it, relative to the value. Counts are integers, so merging is exact: associative, commutative,
and the same in whatever order values come. Past `BINS` bins neighbours are joined (Epicoco et al.,
"UDDSketch", 2020), which takes g to its square.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import ceil, exp, log

ERROR = 0.01
"""Relative error of a value told by a sketch of level 0."""
BINS = 2048
"""Bins of one sketch: at level 0 values may span 17 orders of magnitude."""
_LOG_GROWTH = log((1 + ERROR) / (1 - ERROR))
_SCALE = 1 / _LOG_GROWTH
_SHIFT = 1 << 16
"""Added to the bin number, so that keys of positive values are positive, of 0 zero, and of
negative ones negative: keys are in the order of the values."""


class Sketch:
    """How many values there are up to each key: `keys` rise, and `upto[i]` is how many lie in the
    first i bins. `level` is how often neighbours were joined."""

    __slots__ = ("keys", "level", "upto")

    def __init__(self, counts: dict[int, int], level: int) -> None:
        while len(counts) > BINS:
            counts, level = _joined(counts), level + 1
        keys = sorted(counts)
        self.keys = array("i", keys)
        self.upto = array("q", accumulate(map(counts.__getitem__, keys), initial=0))
        self.level = level

    @classmethod
    def of(cls, values: Iterable[float]) -> "Sketch":
        """Of finite values."""
        counts: dict[int, int] = {}
        for value, count in Counter(values).items():
            key = _key(value)
            counts[key] = counts.get(key, 0) + count
        return cls(counts, 0)

    def at(self, level: int) -> "Sketch":
        """The same at a level not below its own."""
        return self if level == self.level else Sketch(self._counts(level), level)

    def _counts(self, level: int) -> dict[int, int]:
        counts = {key: n - m for key, (m, n) in zip(self.keys, pairwise(self.upto), strict=True)}
        for _ in range(level - self.level):
            counts = _joined(counts)
        return counts


def merged(sketches: Sequence[Sketch]) -> Sketch:
    """All their values together."""
    level = max(sketch.level for sketch in sketches)
    together: dict[int, int] = {}
    for sketch in sketches:
        for key, count in sketch._counts(level).items():
            together[key] = together.get(key, 0) + count
    return Sketch(together, level)


def error_at(level: int) -> float:
    """Relative error of values told at a level."""
    growth = exp(_LOG_GROWTH * (1 << level))
    return (growth - 1) / (growth + 1)


def edge(key: int, level: int) -> tuple[float, bool]:
    """The end of a bin towards larger values, and whether the bin holds that value itself."""
    if key == 0:
        return 0.0, True
    width = _LOG_GROWTH * (1 << level)
    if key > 0:
        return _power((key - _SHIFT) * width), True
    return -_power((-key - _SHIFT - 1) * width), False


def middle(key: int, level: int) -> float:
    """The value that stands for a bin: 2 g^i / (g + 1)."""
    if key == 0:
        return 0.0
    width = _LOG_GROWTH * (1 << level)
    value = _power((abs(key) - _SHIFT) * width) * (1 - error_at(level))
    return value if key > 0 else -value


def key_at(value: float, level: int) -> int:
    """The key of the bin that holds a finite value."""
    key = _key(value)
    for _ in range(level):
        key = _join(key)
    return key


def _key(value: float) -> int:
    if value > 0:
        return ceil(log(value) * _SCALE) + _SHIFT
    if value < 0:
        return -ceil(log(-value) * _SCALE) - _SHIFT
    return 0


def _join(key: int) -> int:
    """Of the bin twice as wide: i -> ceil(i / 2)."""
    if key == 0:
        return 0
    number = -((_SHIFT - abs(key)) // 2) + _SHIFT
    return number if key > 0 else -number


def _joined(counts: dict[int, int]) -> dict[int, int]:
    joined: dict[int, int] = {}
    for key, count in counts.items():
        wide = _join(key)
        joined[wide] = joined.get(wide, 0) + count
    return joined


def _power(exponent: float) -> float:
    """The largest and smallest bins reach past what a float can hold."""
    try:
        return exp(exponent)
    except OverflowError:
        return float("inf")
