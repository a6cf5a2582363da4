"""The value at a rank among many parts: exactly where values are held, else by their sketches."""

from bisect import bisect_left, bisect_right
from itertools import chain, repeat
from operator import getitem

from controller.judge.sketch import Sketch, edge, error_at, key_at, middle
from controller.judge.summary import Joined, Part, ordered

FEW = 256
"""So many values that are left of a search are sorted."""


def quantile(whole: Part, share: float) -> float:
    """Linear between the two values around place (n - 1) share of the sorted ones (type 7 of
    Hyndman and Fan, 1996). Each of both is within `error` of what it stands for, relative to it."""
    parts = whole.parts if isinstance(whole, Joined) else (whole,)
    place = (whole.count - 1) * share
    rank = int(place)
    rows = [ordered(part) for part in parts if part.held]
    if whole.held:
        low, high = _held(rows, rank)
    else:
        bins = _Bins(rows, [part.sketch for part in parts if not part.held], whole.low, whole.high)
        low, high = bins.value(rank), bins.value(min(rank + 1, whole.count - 1))
    return low + (high - low) * (place - rank)


def error(whole: Part) -> float:
    """Relative error of the values that a quantile lies between: 0 where all values are held."""
    if whole.held:
        return 0.0
    parts = whole.parts if isinstance(whole, Joined) else (whole,)
    return error_at(max(part.sketch.level for part in parts if not part.held))


class _Bins:
    """Values by the bins that they lie in, some of them held and sorted, some sketched."""

    def __init__(
        self, rows: list[list[float]], sketches: list[Sketch], low: float, high: float
    ) -> None:
        self._rows, self._low, self._high = rows, low, high
        self._level = max(sketch.level for sketch in sketches)
        same = [sketch.at(self._level) for sketch in sketches]
        self._keys, self._upto = [s.keys for s in same], [s.upto for s in same]

    def value(self, rank: int) -> float:
        """The middle of the first bin up to which there are more than `rank` values."""
        first, last = key_at(self._low, self._level), key_at(self._high, self._level)
        while first < last:
            key = (first + last) // 2
            if self._count(key) > rank:
                last = key
            else:
                first = key + 1
        return min(max(middle(first, self._level), self._low), self._high)

    def _count(self, key: int) -> int:
        """How many values lie in the bins up to `key`."""
        end, inside = edge(key, self._level)
        held = map(bisect_right if inside else bisect_left, self._rows, repeat(end))
        places = map(bisect_right, self._keys, repeat(key))
        return sum(held) + sum(map(getitem, self._upto, places))


def _held(rows: list[list[float]], rank: int) -> tuple[float, float]:
    """Of sorted rows. A value from the row that has most left says which part of each is out of
    the question, until few are left."""
    lows, highs, below = [0] * len(rows), [len(row) for row in rows], 0
    while (rest := sum(highs) - sum(lows)) > FEW:
        sizes = [high - low for low, high in zip(lows, highs, strict=True)]
        longest = sizes.index(max(sizes))
        value = rows[longest][lows[longest] + sizes[longest] * (rank - below) // rest]
        after = list(map(bisect_right, rows, repeat(value), lows, highs))
        upto = below + sum(after) - sum(lows)
        if rank >= upto:
            lows, below = after, upto
            continue
        before = list(map(bisect_left, rows, repeat(value), lows, after))
        under = below + sum(before) - sum(lows)
        if rank >= under:
            return value, value if rank + 1 < upto else _least(rows, after, value)
        highs = before
    left = [row[low:high] for row, low, high in zip(rows, lows, highs, strict=True)]
    few = sorted(chain.from_iterable(left))
    value, following = few[rank - below], few[rank - below + 1 :]
    return value, following[0] if following else _least(rows, highs, value)


def _least(rows: list[list[float]], starts: list[int], otherwise: float) -> float:
    """The least value from these starts on."""
    first = [row[start] for row, start in zip(rows, starts, strict=True) if start < len(row)]
    return min(first, default=otherwise)
