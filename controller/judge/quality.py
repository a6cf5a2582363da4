"""How good the data of a source is: every observation judged as it comes in, counted by time.

The judgement is made once, on arrival, and only its counts are kept: memory is bounded by the
window, whatever the traffic. What each measure means is in `policy.quality`.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import fsum, isfinite

from controller.core.calendar import EPOCH, MILLISECOND, milliseconds
from controller.core.measurement import Measurement
from controller.judge.window import Observation, Value
from controller.policy.source import Quality

SLICES = 60
"""Parts of a window that are counted by themselves: it is that exact."""
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "number": (int, float), "text": str, "boolean": bool,
}  # fmt: skip


@dataclass(slots=True)
class _Slice:
    """Counts of what came in during one part of the window."""

    number: int
    counts: dict[str, int] = field(default_factory=dict)
    scores: float = 0.0
    seen: int = 0
    values: int = 0

    def count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more


class Tally:
    """The counts of one source. Moments of arrival do not fall; one that does counts as the
    newest."""

    def __init__(self, rules: Quality) -> None:
        self._rules, self._weights = rules, rules.weights
        self._required, self._stale = rules.required, rules.stale
        self._received: datetime | None = None
        self._length = milliseconds(rules.window)
        self._size = max(1, self._length // SLICES)
        self._slices: deque[_Slice] = deque(maxlen=self._length // self._size + 2)
        self._newest: dict[str, datetime] = {}
        self._types = rules.types
        self._limits = {name: (bounds[0], bounds[1]) for name, bounds in rules.range.items()}

    def take(
        self, observation: Observation, known: Mapping[str, Value] | None, received: datetime
    ) -> None:
        """An observation came in. `known` are the fields held under its id, if there are any: a
        later part is not judged by itself, and one that says nothing new is a duplicate."""
        now = self._slice(received)
        if known is not None:
            if all(name in known and known[name] == v for name, v in observation.fields.items()):
                now.seen += 1
                now.scores += 1.0
                now.count("duplicates")
            return
        now.seen += 1
        score = self._judge(observation, received, now)
        now.scores += score
        if score < 1.0:
            now.count("bad")

    def refuse(self, count: int, received: datetime) -> None:
        """So many observations could not be taken in: they are worth nothing."""
        if count:
            now = self._slice(received)
            now.seen += count
            now.count("refused", count)
            now.count("bad", count)

    def measure(self, name: str, now: datetime) -> Measurement:
        """One of the measures at `now`. No data while nothing came in."""
        oldest = (_since_1970(now) - self._length) // self._size
        slices = [each for each in self._slices if each.number >= oldest]
        seen = sum(each.seen for each in slices)
        if not seen:
            return Measurement(status="no_data", detail="nothing came in within the window")
        if name == "quality":
            return Measurement(value=fsum(each.scores for each in slices) / seen, samples=seen)
        part = sum(each.counts.get(name, 0) for each in slices)
        whole = sum(each.values for each in slices) if name == "nulls" else seen
        return Measurement(value=part / whole if whole else 0.0, samples=seen)

    def _judge(self, observation: Observation, received: datetime, now: _Slice) -> float:
        """The score, and counts of the rules that it breaks. Written out, for it is done for
        each observation that comes in."""
        fields, weights = observation.fields, self._weights
        nulls = 0
        for value in fields.values():
            if value is None or (value.__class__ is float and not isfinite(value)):
                nulls += 1
        now.values += len(fields)
        broken = 0.0
        outside = self._outside(fields) if self._limits else 0
        if nulls or outside or not fields:
            now.count("nulls", nulls)
            now.count("out_of_range", bool(outside))
            if nulls == len(fields):
                broken += weights.empty
            elif (nulls + outside) * 100 > self._rules.nulls * len(fields):
                broken += weights.nulls
        missing = 0
        for name in self._required:
            value = fields.get(name)
            if value is None or (value.__class__ is float and not isfinite(value)):
                missing += 1
        if missing:
            now.count("missing")
            broken += weights.missing * missing / len(self._required)
        if self._types and self._mistyped(fields):
            now.count("mistyped")
            broken += weights.types
        at = observation.at
        if received - at > self._stale:
            now.count("stale")
            broken += weights.stale
        newest = self._newest.get(observation.version)
        if newest is not None and at < newest:
            now.count("out_of_order")
            broken += weights.time
        else:
            self._newest[observation.version] = at
        return max(0.0, 1.0 - broken)

    def _mistyped(self, fields: Mapping[str, Value]) -> bool:
        """Whether a value is of another type than its field's. Nulls have none."""
        return any(
            ((value := fields.get(name)) is not None and not isinstance(value, _TYPES[kind]))
            or (kind == "number" and isinstance(value, bool))
            for name, kind in self._types.items()
        )  # fmt: skip

    def _outside(self, fields: Mapping[str, Value]) -> int:
        """Values that are not in their range."""
        outside = 0
        for name, (low, high) in self._limits.items():
            value = fields.get(name)
            if isinstance(value, str):
                outside += 1
            elif value is not None and isfinite(value):
                outside += not low <= value <= high
        return outside

    def _slice(self, received: datetime) -> _Slice:
        """Most of what comes in has come in a batch, at one moment."""
        if self._slices and received == self._received:
            return self._slices[-1]
        self._received = received
        number = _since_1970(received) // self._size
        if not self._slices or self._slices[-1].number < number:
            self._slices.append(_Slice(number))
        return self._slices[-1]


def _since_1970(at: datetime) -> int:
    return (at - EPOCH) // MILLISECOND
