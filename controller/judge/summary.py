"""What a row of values comes to, in pieces that can be put together again.

A row is cut into parts in the order of time. A part whose values are held (`Values`) works out
what is asked for when it is asked; of a part whose values are gone there is a `Summary`; several
are `Joined`. The aggregations read all of them alike: one definition of each, whatever is held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import dist, fsum, inf, isfinite
from typing import ClassVar

from controller.judge.sketch import Sketch, merged

FALLS = 16
"""Falls remembered of one part, the deepest. More would matter only to an equity so small that a
shallow fall of its lower heights is the largest fraction."""

Fall = tuple[float, float]
"""Height of a peak, and the lowest height after it up to the next higher peak."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where a running sum goes that begins at 0, the beginning counted: its end, its highest and
    lowest height, and its falls. Peaks rise, and so do depths: any other fall is never the largest,
    in amount or as a fraction of its peak, whatever equity the part begins with. Once that is below
    0, more than everything is lost, and of a fraction only that is right."""

    end: float = 0.0
    high: float = 0.0
    low: float = 0.0
    falls: tuple[Fall, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """A part whose values are gone. `sums` add up to its sum without any rounding; `spread` is
    the sum of squares about its mean; `nonzero` how many values are not 0; `losses` how many of
    its newest values in a row are below 0; `newest` the place of the newest value."""

    count: int
    sums: tuple[float, ...]
    spread: float
    low: float
    high: float
    nonzero: int
    last: float
    losses: int
    course: Course
    sketch: Sketch
    newest: int
    held: ClassVar[bool] = False


class Values:
    """A part whose values, at least one, are held. See `Summary` for what it comes to."""

    def __init__(self, values: list[float], newest: int) -> None:
        self.values = values
        self.count = len(values)
        self.last = values[-1]
        self.newest = newest
        self.held = True

    @cached_property
    def sums(self) -> tuple[float, ...]:
        """See `Summary`."""
        return exact_sum(self.values)

    @cached_property
    def spread(self) -> float:
        """See `Summary`. `dist` sums the squares in C, with one rounding."""
        mean = total(self.sums) / self.count
        return dist(self.values, (mean,) * self.count) ** 2 if isfinite(mean) else inf

    @cached_property
    def low(self) -> float:
        """See `Summary`."""
        return min(self.values)

    @cached_property
    def high(self) -> float:
        """See `Summary`."""
        return max(self.values)

    @cached_property
    def nonzero(self) -> int:
        """See `Summary`."""
        return self.count - self.values.count(0.0)

    @cached_property
    def losses(self) -> int:
        """See `Summary`. A value of 0 ends the row."""
        row = 0
        for value in reversed(self.values):
            if value >= 0:
                break
            row += 1
        return row

    @cached_property
    def course(self) -> Course:
        """See `Summary`."""
        height = high = low = after = 0.0
        falls: list[Fall] = []
        for value in self.values:
            height += value
            if height > high:
                if after < high:
                    falls.append((high, after))
                high = after = height
            elif height < after:
                after = height
                low = min(low, height)
        if after < high:
            falls.append((high, after))
        return Course(height, high, low, _deepest(falls))

    @cached_property
    def ordered(self) -> list[float]:
        """Its values, rising."""
        return sorted(self.values)

    @cached_property
    def sketch(self) -> Sketch:
        """See `Summary`."""
        return Sketch.of(self.values)


class Joined:
    """Several parts, at least one, that follow each other. See `Summary` for what they come to."""

    def __init__(self, parts: "Sequence[Part]") -> None:
        self.parts = parts
        self.count: int = sum([part.count for part in parts])
        self.last: float = parts[-1].last
        self.held: bool = all(part.held for part in parts)

    @cached_property
    def newest(self) -> int:
        """See `Summary`."""
        return max([part.newest for part in self.parts])

    @cached_property
    def sums(self) -> tuple[float, ...]:
        """See `Summary`."""
        return exact_sum([each for part in self.parts for each in part.sums])

    @cached_property
    def spread(self) -> float:
        """See `Summary`. Of the parts and of their means (Chan, Golub and LeVeque, 1983)."""
        mean = total(self.sums) / self.count
        if not isfinite(mean):
            return inf
        squares = []
        for part in self.parts:
            apart = total(part.sums) / part.count - mean
            squares.append(part.spread + part.count * apart * apart)
        return total(squares)

    @cached_property
    def low(self) -> float:
        """See `Summary`."""
        return min([part.low for part in self.parts])

    @cached_property
    def high(self) -> float:
        """See `Summary`."""
        return max([part.high for part in self.parts])

    @cached_property
    def nonzero(self) -> int:
        """See `Summary`."""
        return sum([part.nonzero for part in self.parts])

    @cached_property
    def losses(self) -> int:
        """See `Summary`."""
        row = 0
        for part in reversed(self.parts):
            row += part.losses
            if part.losses < part.count:
                break
        return row

    @cached_property
    def course(self) -> Course:
        """See `Summary`."""
        height = high = low = 0.0
        falls: list[Fall] = []
        for part in self.parts:
            course = part.course
            falls.append((high, height + course.low))
            # Below what was reached before, the fall from there is the deeper one.
            falls += [
                (height + peak, height + after)
                for peak, after in course.falls
                if height + peak > high
            ]
            high, low = max(high, height + course.high), min(low, height + course.low)
            height += course.end
        return Course(height, high, low, _deepest(falls))

    @cached_property
    def ordered(self) -> list[float]:
        """See `Values`; of parts that are held."""
        return sorted([value for part in self.parts for value in ordered(part)])

    @cached_property
    def sketch(self) -> Sketch:
        """See `Summary`."""
        return merged([part.sketch for part in self.parts])


Part = Values | Joined | Summary


def joined(parts: Sequence[Part]) -> Part:
    """One part of several, at least one."""
    return parts[0] if len(parts) == 1 else Joined(parts)


def summed_up(part: Part) -> Summary:
    """What is kept of a part."""
    return Summary(
        count=part.count,
        sums=part.sums,
        spread=part.spread,
        low=part.low,
        high=part.high,
        nonzero=part.nonzero,
        last=part.last,
        losses=part.losses,
        course=part.course,
        sketch=part.sketch,
        newest=part.newest,
    )


def ordered(part: Part) -> list[float]:
    """The values of a part that is held, rising."""
    assert not isinstance(part, Summary)
    return part.ordered


def exact_sum(values: list[float]) -> tuple[float, ...]:
    """A few numbers that add up to the same, each the rounded rest of those before (an expansion,
    Shewchuk 1997); infinity where they are too large."""
    found: list[float] = []
    rest = total(values)
    while rest:
        found.append(rest)
        if not isfinite(rest):
            return (inf,)
        rest = total(chain(values, (-each for each in found)))
    return tuple(found)


def total(values: Iterable[float]) -> float:
    """Sum, rounded once; infinity where it is too large to be told."""
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        return inf


def _deepest(falls: list[Fall]) -> tuple[Fall, ...]:
    """Those that can be the largest: of two, one from a peak not higher and not shallower
    makes the other superfluous."""
    kept: list[Fall] = []
    deepest = 0.0
    for peak, after in sorted(falls):
        if peak - after > deepest:
            deepest = peak - after
            kept.append((peak, after))
    return tuple(kept[-FALLS:])
