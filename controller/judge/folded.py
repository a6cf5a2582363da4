"""What became of observations that are no longer held: sums of slices of time.

The older a slice, the wider it may be (an exponential histogram: Datar, Gionis, Indyk and Motwani,
"Maintaining stream statistics over sliding windows", 2002): neighbours are joined while together
they hold at most `SHARE` of the number of observations newer than they are, and span at most
`SHARE` of their own age. So the number of slices grows with the logarithm of the traffic, and a
window that begins within a slice holds at most that share too much.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.judge.column import ORDER_BITS
from controller.judge.summary import Joined, Part, Summary, Values, joined, summed_up

SHARE = 0.02
"""Of a window, what may have been seen before its start."""
_APART = 8
"""Slices are joined when there are one in so many more than there were after the last time."""

Key = str | tuple[str]
"""Name of a field that holds numbers; in a tuple, of one that holds text."""
GROUP = 16
"""Slices whose sum is remembered."""

OBSERVATIONS = ""
"""Under this key a slice has the observations themselves: no field is called so."""


@dataclass(slots=True)
class Slice:
    """Observations from the place `first` to the place `last`, by field."""

    first: int
    last: int
    fields: dict[Key, Summary] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Observations in it."""
        return self.fields[OBSERVATIONS].count


class Folded:
    """The slices of one version, oldest first, none of them overlapping."""

    __slots__ = ("_groups", "_join_at", "changes", "late", "slices", "until")

    def __init__(self) -> None:
        self.slices: list[Slice] = []
        self.until = -1
        """Everything up to this place is folded."""
        self.late = 0
        """Values that came after their slice of time had been folded."""
        self.changes = 0
        """How often anything but appending has changed the slices."""
        self._join_at = _APART
        self._groups: dict[tuple[Key, int], Part | None] = {}
        """What every `GROUP` slices come to, by field and number."""

    def __len__(self) -> int:
        return sum(each.count for each in self.slices)

    def fold(self, first: int, last: int, columns: Mapping[Key, Part]) -> None:
        """Take in what follows: values from the place `first` to `last`."""
        fields = {key: summed_up(values) for key, values in columns.items()}
        self.slices.append(Slice(first, last, fields))
        self.until = last

    def add(self, place: int, values: dict[Key, float]) -> None:
        """Values of a time that is folded already. Within their slice they stand at its start."""
        self.late += len(values)
        self._groups.clear()
        self.changes += 1
        index = bisect_left(self.slices, place, key=_last)
        if index == len(self.slices) or self.slices[index].first > place:
            self.slices.insert(index, Slice(place, place))
        fields = self.slices[index].fields
        for key, value in values.items():
            late, known = Values([value], place), fields.get(key)
            fields[key] = summed_up(late if known is None else Joined([late, known]))

    def join(self, newest: int, held: int, reach: int | None) -> None:
        """Make slices wider where they may be. `newest`: the newest place; `held`: observations
        newer than all slices; `reach`: microseconds before the newest that no window looks past.
        Does nothing until enough slices have come."""
        if len(self.slices) < self._join_at:
            return
        now, newer = newest >> ORDER_BITS, held
        kept: list[Slice] = []
        group = [self.slices[-1]]
        count = group[0].count
        for older in reversed(self.slices[:-1]):
            last = group[0].last >> ORDER_BITS
            unseen = reach is not None and now - last > reach
            fits = (
                count + older.count <= SHARE * newer
                and last - (older.first >> ORDER_BITS) <= SHARE * (now - last)
            )  # fmt: skip
            if unseen or fits:
                group.append(older)
                count += older.count
                continue
            kept.append(_joined(group))
            newer += count
            group, count = [older], older.count
        kept.append(_joined(group))
        self.slices = kept[::-1]
        self._groups.clear()
        self.changes += 1
        self._join_at = len(kept) + max(_APART, len(kept) // _APART)

    def between(self, place: int, until: int) -> tuple[int, int]:
        """Which slices have anything in (place, until]."""
        lo = bisect_right(self.slices, place, key=_last)
        return lo, bisect_right(self.slices, until, lo, key=_first)

    def newest(self, key: Key, lo: int, hi: int, count: int) -> int:
        """Where to begin in [lo, hi) to have the newest `count` values of a field."""
        while hi > lo and count > 0:
            hi -= 1
            found = self.slices[hi].fields.get(key)
            count -= found.count if found is not None else 0
        return hi

    def parts(self, key: Key, lo: int, hi: int) -> list[Part]:
        """What the slices [lo, hi) have of a field, as few parts as may be."""
        first, after = -(-lo // GROUP), hi // GROUP
        if after <= first:
            return self._parts(key, lo, hi)
        middle = [self._group(key, number) for number in range(first, after)]
        return [
            *self._parts(key, lo, first * GROUP),
            *[part for part in middle if part is not None],
            *self._parts(key, after * GROUP, hi),
        ]

    def _parts(self, key: Key, lo: int, hi: int) -> list[Part]:
        found = [each.fields.get(key) for each in self.slices[lo:hi]]
        return [part for part in found if part is not None]

    def _group(self, key: Key, number: int) -> Part | None:
        if (key, number) not in self._groups:
            parts = self._parts(key, number * GROUP, (number + 1) * GROUP)
            self._groups[key, number] = joined(parts) if parts else None
        return self._groups[key, number]


def _joined(newest_first: list[Slice]) -> Slice:
    if len(newest_first) == 1:
        return newest_first[0]
    parts: dict[Key, list[Part]] = {}
    for each in reversed(newest_first):
        for key, part in each.fields.items():
            parts.setdefault(key, []).append(part)
    fields = {key: summed_up(joined(found)) for key, found in parts.items()}
    return Slice(newest_first[-1].first, newest_first[0].last, fields)


def _first(each: Slice) -> int:
    return each.first


def _last(each: Slice) -> int:
    return each.last
