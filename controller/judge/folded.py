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
from controller.judge.summary import Joined, Part, Values, joined, summed_up

SHARE = 0.02
"""Of a window, what may have been seen before its start."""
_APART = 8
"""Slices are joined when there are one in so many more than there were after the last time."""

Key = str | tuple[str]
"""Name of a field that holds numbers; in a tuple, of one that holds text."""
LATE = 128
"""Late values of a slice that are held."""
GROUP = 16
"""Slices whose sum is remembered."""

OBSERVATIONS = ""
"""Under this key a slice has the observations themselves: no field is called so."""


@dataclass(slots=True)
class Slice:
    """Observations from the place `first` to the place `last`, by field. `late` are values that
    came after the slice was made: they stand at its start."""

    first: int
    last: int
    fields: dict[Key, Part] = field(default_factory=dict)
    late: dict[Key, list[float]] = field(default_factory=dict)

    def part(self, key: Key) -> Part | None:
        """What it has of a field."""
        known, late = self.fields.get(key), self.late.get(key)
        if not late:
            return known
        values = Values(late, self.first)
        return values if known is None else Joined([values, known])

    def parts(self) -> dict[Key, Part]:
        """What it has of every field."""
        found = {key: self.part(key) for key in (*self.fields, *self.late)}
        return {key: part for key, part in found.items() if part is not None}

    def add(self, key: Key, value: float) -> None:
        """One more value; of many, only their sum is kept."""
        late = self.late.setdefault(key, [])
        late.append(value)
        if len(late) >= LATE:
            part = self.part(key)
            assert part is not None
            self.fields[key], self.late[key] = summed_up(part), []

    def count(self, key: Key) -> int:
        """Values of a field."""
        known = self.fields.get(key)
        return len(self.late.get(key, ())) + (known.count if known is not None else 0)


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
        return sum(each.count(OBSERVATIONS) for each in self.slices)

    def fold(self, first: int, last: int, columns: Mapping[Key, Part]) -> None:
        """Take in what follows: values from the place `first` to `last`."""
        fields: dict[Key, Part] = {key: summed_up(values) for key, values in columns.items()}
        self.slices.append(Slice(first, last, fields))
        self.until = last

    def add(self, place: int, values: Mapping[Key, float], newest: int, held: int) -> None:
        """Values of a time that is folded already; `newest` and `held` as for `join`."""
        self.late += len(values)
        self._changed()
        index = bisect_left(self.slices, place, key=_last)
        if index == len(self.slices) or self.slices[index].first > place:
            before = self.slices[index - 1] if index else None
            if before is not None and _fits(before, place, newest, held):
                before.last = place
                index -= 1
            else:
                self.slices.insert(index, Slice(place, place))
        for key, value in values.items():
            self.slices[index].add(key, value)

    def join(self, newest: int, held: int, reach: int | None) -> None:
        """Make slices wider where they may be. `newest`: the newest place; `held`: observations
        newer than all slices; `reach`: microseconds before the newest that no window looks past.
        Does nothing until enough slices have come."""
        if len(self.slices) < self._join_at:
            return
        now, newer = newest >> ORDER_BITS, held
        kept: list[Slice] = []
        group = [self.slices[-1]]
        count = group[0].count(OBSERVATIONS)
        for older in reversed(self.slices[:-1]):
            last = group[0].last >> ORDER_BITS
            unseen = reach is not None and now - last > reach
            more = older.count(OBSERVATIONS)
            fits = (
                count + more <= SHARE * newer
                and last - (older.first >> ORDER_BITS) <= SHARE * (now - last)
            )  # fmt: skip
            if unseen or fits:
                group.append(older)
                count += more
                continue
            kept.append(_joined(group))
            newer += count
            group, count = [older], more
        kept.append(_joined(group))
        self.slices = kept[::-1]
        self._changed()
        self._join_at = len(kept) + max(_APART, len(kept) // _APART)

    def between(self, place: int, until: int) -> tuple[int, int]:
        """Which slices have anything in (place, until]."""
        lo = bisect_right(self.slices, place, key=_last)
        return lo, bisect_right(self.slices, until, lo, key=_first)

    def newest(self, key: Key, lo: int, hi: int, count: int) -> int:
        """Where to begin in [lo, hi) to have the newest `count` values of a field."""
        while hi > lo and count > 0:
            hi -= 1
            count -= self.slices[hi].count(key)
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
        found = [each.part(key) for each in self.slices[lo:hi]]
        return [part for part in found if part is not None]

    def _changed(self) -> None:
        self._groups.clear()
        self.changes += 1

    def _group(self, key: Key, number: int) -> Part | None:
        if (key, number) not in self._groups:
            parts = self._parts(key, number * GROUP, (number + 1) * GROUP)
            self._groups[key, number] = joined(parts) if parts else None
        return self._groups[key, number]


def _fits(before: Slice, place: int, newest: int, held: int) -> bool:
    """Whether a slice may be made longer, up to `place`, and hold one more."""
    at, now = place >> ORDER_BITS, newest >> ORDER_BITS
    short = at - (before.first >> ORDER_BITS) <= SHARE * (now - at)
    return short and before.count(OBSERVATIONS) < SHARE * held


def _joined(newest_first: list[Slice]) -> Slice:
    if len(newest_first) == 1:
        return newest_first[0]
    parts: dict[Key, list[Part]] = {}
    for each in reversed(newest_first):
        for key, part in each.parts().items():
            parts.setdefault(key, []).append(part)
    fields: dict[Key, Part] = {key: summed_up(joined(found)) for key, found in parts.items()}
    return Slice(newest_first[-1].first, newest_first[0].last, fields)


def _first(each: Slice) -> int:
    return each.first


def _last(each: Slice) -> int:
    return each.last
