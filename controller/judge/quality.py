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
from controller.policy.models import Quality

SLICES = 60
"""Parts of a window that are counted by themselves: it is that exact."""


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
        self._rules = rules
        self._length = milliseconds(rules.window)
        self._size = max(1, self._length // SLICES)
        self._slices: deque[_Slice] = deque(maxlen=self._length // self._size + 2)
        self._newest: dict[str, datetime] = {}
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
        """The score, and counts of the rules that it breaks."""
        rules, weights, fields = self._rules, self._rules.weights, observation.fields
        nulls = sum(1 for value in fields.values() if _is_null(value))
        outside = 0
        for name, (low, high) in self._limits.items():
            value = fields.get(name)
            if value is not None and not _is_null(value) and not isinstance(value, str):
                outside += not low <= value <= high
        now.values += len(fields)
        broken = 0.0
        if nulls:
            now.count("nulls", nulls)
        if outside:
            now.count("out_of_range")
        if nulls == len(fields):
            broken += weights.empty
        elif (nulls + outside) * 100 > rules.nulls * len(fields):
            broken += weights.nulls
        missing = sum(1 for name in rules.required if _is_null(fields.get(name)))
        if missing:
            now.count("missing")
            broken += weights.missing * missing / len(rules.required)
        if received - observation.at > rules.stale:
            now.count("stale")
            broken += weights.stale
        newest = self._newest.get(observation.version)
        if newest is not None and observation.at < newest:
            now.count("out_of_order")
            broken += weights.time
        else:
            self._newest[observation.version] = observation.at
        return max(0.0, 1.0 - broken)

    def _slice(self, received: datetime) -> _Slice:
        number = _since_1970(received) // self._size
        if not self._slices or self._slices[-1].number < number:
            self._slices.append(_Slice(number))
        return self._slices[-1]


def _since_1970(at: datetime) -> int:
    return (at - EPOCH) // MILLISECOND


def _is_null(value: Value) -> bool:
    return value is None or (isinstance(value, float) and not isfinite(value))
