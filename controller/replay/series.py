"""Series: what is measured when, told instead of recorded. Pure functions of scenario time."""

import random
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.core.measurement import Measurement

SAMPLES = 1000
"""Observations behind a value whose series does not say."""
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value."""

    value: float

    def at(self, since: timedelta) -> float | None:
        """The value `since` after the piece began; None where there is none."""
        del since
        return self.value


@dataclass(frozen=True, slots=True)
class Ramp:
    """From one value to another, straight, and on at the second."""

    first: float
    last: float
    over: timedelta

    def at(self, since: timedelta) -> float | None:
        """See `Constant.at`."""
        return self.first + (self.last - self.first) * min(1.0, since / self.over)


@dataclass(frozen=True, slots=True)
class Noise:
    """Normal noise. The value at a moment depends on seed and moment alone."""

    mean: float
    sd: float
    seed: int

    def at(self, since: timedelta) -> float | None:
        """See `Constant.at`."""
        return random.Random(f"{self.seed}/{since // _MS}").gauss(self.mean, self.sd)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Values read from a file: the latest one that is not later than the moment."""

    times: tuple[timedelta, ...]
    values: tuple[float | None, ...]

    def at(self, since: timedelta) -> float | None:
        """See `Constant.at`."""
        index = bisect_right(self.times, since)
        return self.values[index - 1] if index else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing is measured."""

    def at(self, since: timedelta) -> float | None:
        """See `Constant.at`."""
        del since
        return None


Shape = Constant | Ramp | Noise | Recorded | Gap


@dataclass(frozen=True, slots=True)
class Piece:
    """A shape from `begins` on. `until`: it ends there, and the piece before goes on."""

    begins: timedelta
    shape: Shape
    samples: int = SAMPLES
    sd: float | None = None
    until: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Pieces in order of time. `ratio`: values are shares, whose variance follows from them."""

    pieces: tuple[Piece, ...]
    ratio: bool = False

    def value(self, at: timedelta) -> tuple[float | None, Piece | None]:
        """Value and piece in force `at` a time since the scenario's start."""
        for piece in reversed(self.pieces):
            if piece.begins <= at and (piece.until is None or at < piece.until):
                return piece.shape.at(at - piece.begins), piece
        return None, None

    def measurement(self, at: timedelta, now: datetime) -> Measurement:
        """What a source would say `at` a scenario time, which is `now` on the wall."""
        value, piece = self.value(at)
        if value is None or piece is None:
            return Measurement(status="no_data", detail="a gap in the series")
        variance = piece.sd**2 if piece.sd is not None else None
        if variance is None and self.ratio and 0 <= value <= 1:
            variance = value * (1 - value)
        return Measurement(
            value=value, samples=piece.samples, mean=value, variance=variance, as_of=now
        )
