"""Observations of the versions of one rollout, in the order of their event times.

An observation may come in late, out of order, twice, or in parts: what came under one id is one
observation, credited to the version and the time of the part that came first (rule 10). The newest
observations are held as they are, each field as a column sorted by time; what is older is folded
into sums of slices of time. Both depend on what came in and in which order, and on nothing else:
not on when anybody looked, nor on how the observations were batched.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from math import isfinite
from typing import Any

from msgspec import Struct

from controller.judge.column import MICROSECOND, ORDER_BITS, Column, micros, moment, place_after
from controller.judge.folded import OBSERVATIONS, Folded, Key

Value = float | int | bool | str | None

LIMIT = 100_000
"""Observations of one version held as they are, and ids by which their later parts are known."""
_SHED = 100
"""A full window folds one part in so many at once: one by one would be slow."""
FIELDS = 1_000
"""Fields kept of one version; those that come later are left out, and counted."""


class Observation(Struct, frozen=True, gc=False):
    """What was seen of one version at one moment (aware). `key` is shared by observations of
    both versions that answer the same question: those pair up."""

    version: str
    at: datetime
    fields: Mapping[str, Value]
    id: str | None = None
    key: str | None = None


class Record(Struct, eq=False, gc=False):
    """What is known under an id. `place` orders by time, then by arrival."""

    window: "Window"
    place: int
    fields: dict[str, Value]
    key: str | None


class Window:
    """The observations of one version: the newest, at most `limit`, as they are."""

    def __init__(self, version: str, limit: int = LIMIT, reach: timedelta | None = None) -> None:
        """`reach`: no look goes further back, so what is older need not be held. Raises ValueError
        when `limit` is below 1."""
        if limit < 1:
            raise ValueError(f"a window holds at least one observation, not {limit}")
        self.version = version
        self.limit = limit
        self.all = Column()
        """Every observation, with the value 1."""
        self.numbers: dict[str, Column] = {}
        self.texts: dict[str, Column] = {}
        """Fields that hold text: they can be counted."""
        self.folded = Folded()
        self.ids: deque[str] = deque()
        """In the order in which they came."""
        self.ignored: dict[str, int] = {}
        """By field: values that were null, NaN or infinite."""
        self.received: datetime | None = None
        """When anything last came in, whatever its event time; None where nobody told."""
        self.crowded = 0
        """Values left out because there were too many fields."""
        self._reach = None if reach is None else reach // MICROSECOND
        self._few = max(1, limit // _SHED)
        self._fold_at = limit if reach is None else min(limit, self._few)

    def __len__(self) -> int:
        return len(self.all.places)

    def add(self, place: int, fields: Mapping[str, Value], key: str | None) -> None:
        """Take in an observation that was not there before."""
        places = self.all.places
        late = bool(places) and place < places[-1]
        if late and place <= self.folded.until:
            self._add_to_folded(place, fields)
            return
        if late:
            self.all.insert(place, 1.0, key)
        else:
            self.all.append(place, 1.0, key)
        for name, value in fields.items():
            column, number = self._column(name, value)
            if column is None:
                continue
            if late:
                column.insert(place, number, key)
            else:
                # The newest of all is the newest of each column.
                column.append(place, number, key)
        if len(places) > self._fold_at:
            self._fold()

    def lacks_since(self, since: datetime) -> bool:
        """Whether observations after `since` are no longer held one by one."""
        return self.folded.until > place_after(since)

    def complete(self, place: int, name: str, value: Value, key: str | None) -> None:
        """Put in a field of an observation that is there already."""
        column, number = self._column(name, value)
        if column is None:
            return
        if place <= self.folded.until:
            key_of = (name,) if isinstance(value, str) else name
            self.folded.add(place, {key_of: number}, self.all.places[-1], len(self))
        else:
            column.insert(place, number, key)

    def _column(self, name: str, value: Value) -> tuple[Column | None, float]:
        """Where a value goes, and as which number: a text counts as 1. What is no number, or a
        field too many, is left out and counted."""
        columns = self.numbers
        kind = type(value)
        if kind is float and isfinite(value):  # type: ignore[arg-type]
            number: float = value  # type: ignore[assignment]
        elif kind is str:
            columns, number = self.texts, 1.0
        else:
            found = _number(value)
            if found is None:
                if name in self.ignored or len(self.ignored) < FIELDS:
                    self.ignored[name] = self.ignored.get(name, 0) + 1
                return None, 0.0
            number = found
        column = columns.get(name)
        if column is None:
            if len(self.numbers) + len(self.texts) >= FIELDS:
                self.crowded += 1
                return None, 0.0
            column = columns[name] = Column()
        return column, number

    # What is no longer held ----------------------------------------------------------------

    def _add_to_folded(self, place: int, fields: Mapping[str, Value]) -> None:
        values: dict[Key, float] = {OBSERVATIONS: 1.0}
        for name, value in fields.items():
            column, number = self._column(name, value)
            if column is not None:
                values[(name,) if isinstance(value, str) else name] = number
        self.folded.add(place, values, self.all.places[-1], len(self))
        self._join()

    def _fold(self) -> None:
        """Fold the oldest of too many, and what no look reaches; never a few at a time."""
        places, few = self.all.places, self._few
        count = len(places) - self.limit + few - 1 if len(places) > self.limit else 0
        if self._reach is not None:
            seen = (places[-1] >> ORDER_BITS) - self._reach
            count = max(count, bisect_right(places, seen << ORDER_BITS))
        while count >= few:
            self._fold_oldest(few)
            count -= few
        if self._reach is not None:
            self._fold_at = min(self.limit, len(places) + few)
        self._join()

    def _fold_oldest(self, count: int) -> None:
        """In two slices where a long time lies between, so that the start of a session or of a
        stage is the start of a slice."""
        places = self.all.places
        columns: dict[Key, Column] = {(name,): column for name, column in self.texts.items()}
        columns.update(self.numbers)
        columns[OBSERVATIONS] = self.all
        for last in (*_before_gap(places[:count]), places[count - 1]):
            first = places[0]
            gone = {key: column.shed(last) for key, column in columns.items()}
            self.folded.fold(first, last, {k: v for k, v in gone.items() if v is not None})

    def _join(self) -> None:
        places = self.all.places
        self.folded.join(places[-1], len(places), self._reach)


class Windows:
    """The windows of every version that one source told of, and the ids that bind parts."""

    def __init__(self, limit: int = LIMIT, reach: timedelta | None = None) -> None:
        """`limit` and `reach` as of `Window`, for each version."""
        self.limit = limit
        self.reach = reach
        self.by_version: dict[str, Window] = {}
        self.forgotten = 0
        """Ids let go of: later parts under them are not known any more."""
        self._by_id: dict[str, Record] = {}
        self._arrivals = 0

    def __iter__(self) -> Iterator[Window]:
        return iter(self.by_version.values())

    def window(self, version: str) -> Window | None:
        """The window of a version, if anything was ever seen of it."""
        return self.by_version.get(version)

    def first(self, id: str) -> Observation | None:
        """What is known under an id: version, time and key of the part that came first."""
        record = self._by_id.get(id)
        if record is None:
            return None
        return Observation(
            record.window.version, moment(record.place), record.fields, id, record.key
        )

    def add(self, observation: Observation, received: datetime | None = None) -> list[str]:
        """Take in an observation, or another part of one, that came in at a moment that does not
        fall. The same again changes nothing. Returns the fields that contradict what is known
        already: the first value stays."""
        id = observation.id
        if id is not None:
            known = self._by_id.get(id)
            if known is not None:
                known.window.received = received
                return _complete(known, observation.fields)
        window = self.by_version.get(observation.version)
        if window is None:
            window = self.by_version[observation.version] = Window(
                observation.version, self.limit, self.reach
            )
        window.received = received
        self._arrivals += 1
        place = (micros(observation.at) << ORDER_BITS) | self._arrivals
        window.add(place, observation.fields, observation.key)
        if id is not None:
            self._by_id[id] = Record(window, place, dict(observation.fields), observation.key)
            window.ids.append(id)
            if len(window.ids) > self.limit:
                self.forgotten += 1
                del self._by_id[window.ids.popleft()]
        return []


def _complete(record: Record, fields: Mapping[str, Value]) -> list[str]:
    """Merge fields into a record. What is known stays: names of those that say otherwise."""
    contradicted = []
    for name, value in fields.items():
        known = record.fields.get(name)
        if _is_value(known):
            if known != value and value is not None:
                contradicted.append(name)
        elif name not in record.fields or _is_value(value):
            record.fields[name] = value
            record.window.complete(record.place, name, value, record.key)
    return contradicted


def _before_gap(places: list[int]) -> list[int]:
    """The last place before a time in which nothing was seen, if that was more than half of the
    time of all these places."""
    half = (places[-1] - places[0]) / 2
    return [a for a, b in pairwise(places) if b - a > half]


def _is_value(value: Value) -> bool:
    return isinstance(value, str) or _number(value) is not None


def _number(value: Any) -> float | None:
    """A finite number of it, if there is one."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None
