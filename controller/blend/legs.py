"""One version's signal, and what of it may be used.

A signal is a target exposure: what the version wants to hold, long or short, as a fraction of what
its account may hold (or a quantity, with limits to match). Prices and strikes are never blended.
"""

from datetime import datetime
from enum import StrEnum
from typing import SupportsFloat

from msgspec import Struct

from controller.blend.settings import Settings

LARGEST = 1e12
"""An exposure beyond it is a mistake of its writer."""
Number = SupportsFloat
"""A number of whatever library."""


class Signal(Struct, frozen=True):
    """What a version wants. `confidence`: its probability to be right, 0 to 1; `at`: when it was
    made, `valid_until`: when it lapses, both with a zone; `ready`: false while it warms up or only
    repeats itself; `instrument`: what it speaks of, if that is to be checked."""

    exposure: Number | None
    confidence: Number | None = None
    at: datetime | None = None
    valid_until: datetime | None = None
    ready: bool = True
    instrument: str = ""


class Status(StrEnum):
    """Whether a leg is used, or why not."""

    USED = "used"
    MISSING = "missing"
    NOT_A_NUMBER = "not_a_number"
    OTHER_INSTRUMENT = "other_instrument"
    WARMING = "warming"
    UNDATED = "undated"
    STALE = "stale"
    NO_CONFIDENCE = "no_confidence"
    UNCALIBRATED = "uncalibrated"


class Leg(Struct, frozen=True):
    """A signal as it was read: its exposure within the version's limit, and its confidence; None
    if there is none. `weight`: what the exposure was multiplied by, before limits of the sum."""

    status: Status
    exposure: float | None = None
    confidence: float | None = None
    limited: bool = False
    weight: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether it has an exposure that may be blended."""
        return self.status is Status.USED


def read(
    signal: Signal | Number | None,
    settings: Settings,
    limit: float | None,
    instrument: str,
    now: datetime,
) -> Leg:
    """What may be used of a signal, or of a bare exposure. Raises nothing for what it is given."""
    if not isinstance(signal, Signal):
        signal = Signal(signal)
    exposure = number(signal.exposure)
    if exposure is None:
        status = Status.MISSING if signal.exposure is None else Status.NOT_A_NUMBER
    elif signal.instrument and signal.instrument != instrument:
        status = Status.OTHER_INSTRUMENT
    elif signal.ready is not True:
        status = Status.WARMING
    else:
        status = _age(signal, settings.max_age_s, now)
    if exposure is None or status is not Status.USED:
        return Leg(status)
    kept = within(exposure, limit)
    return Leg(status, kept, _confidence(signal.confidence), kept != exposure)


def number(value: object) -> float | None:
    """A number up to `LARGEST` either way, or None. Text, true and false are no numbers."""
    if type(value) is not float:
        if value is None or isinstance(value, str | bytes | bytearray | bool):
            return None
        try:
            value = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return None
    return value if -LARGEST <= value <= LARGEST else None


def within(exposure: float, limit: float | None) -> float:
    """`exposure`, no further from 0 than `limit`."""
    if limit is None or -limit <= exposure <= limit:
        return exposure
    return limit if exposure > 0 else -limit


def _age(signal: Signal, max_age_s: float, now: datetime) -> Status:
    """A signal that was made too far ahead was made by another clock: its age is not known."""
    until, at = signal.valid_until, signal.at
    if (until is not None and not _zoned(until)) or (at is not None and not _zoned(at)):
        return Status.UNDATED
    if until is not None and until < now:
        return Status.STALE
    if not max_age_s:
        return Status.USED
    if at is None:
        return Status.UNDATED
    return Status.USED if abs((now - at).total_seconds()) <= max_age_s else Status.STALE


def _zoned(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.tzinfo is not None


def _confidence(value: object) -> float | None:
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None
