"""Observations of the versions of one rollout, in the order of their event times.

An observation may come in late, out of order, twice, or in parts: what came under one id is one
observation, credited to the version and the time of the part that came first (rule 10). Every
field is a column of its own, sorted by time, so that a look takes two bisections and no search.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from controller.judge.running import Running

Value = float | int | bool | str | None
Origin = tuple[float | None, datetime]
"""Capital and start of a window."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LIMIT = 100_000
"""Observations kept of one version."""
_SHED = 100
"""A full window sheds one part in so many at once: dropping them one by one would be slow."""
ORIGINS = 16
"""Starts of windows for which a column carries along what it drops."""
FIELDS = 1_000
"""Fields kept of one version; those that come later are left out, and counted."""
_ORDER_BITS = 40
_LAST = (1 << _ORDER_BITS) - 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one version at one moment (aware). `key` is shared by observations of
    both versions that answer the same question: those pair up."""

    version: str
    at: datetime
    fields: Mapping[str, Value]
    id: str | None = None
    key: str | None = None


@dataclass(slots=True, eq=False)
class Record:
    """An observation as kept. `place` orders by time, then by arrival."""

    window: "Window"
    place: int
    fields: dict[str, Value]
    id: str | None
    key: str | None


class Column:
    """Values of one field, sorted by place. (`lo`, `hi`, `breaks`) name a slice for good: values
    appended later leave it as it is, and whatever else changes counts as a break."""

    __slots__ = ("_asked", "breaks", "carried", "keys", "memo", "places", "values")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.values: list[float] = []
        self.keys: list[str | None] = []
        self.breaks = 0
        self.memo: dict[Any, Any] = {}
        """What was computed of a slice, by what was asked: the judge's own."""
        self.carried: dict[Origin, Running] = {}
        """What was dropped, by the start of the windows that still need it."""
        self._asked: dict[Origin, datetime] = {}

    def needs_all(self, origin: Origin, now: datetime) -> None:
        """A number is asked for that needs every value since a start, and all are there. From the
        second look on (a window that moves has no second one) what is dropped is carried along."""
        if origin in self.carried:
            return
        if self._asked.get(origin, now) != now:
            self.carried[origin] = Running(origin[0])
            while len(self.carried) > ORIGINS:
                del self.carried[next(iter(self.carried))]
        elif len(self._asked) >= ORIGINS:
            self._asked.clear()
        self._asked.setdefault(origin, now)

    def between(self, since: datetime, now: datetime) -> tuple[int, int]:
        """Slice of what was seen in (since, now]."""
        places = self.places
        lo = bisect_right(places, _until(since))
        return lo, bisect_right(places, _until(now), lo)

    def insert(self, place: int, value: float, key: str | None) -> None:
        """Put a value in its place."""
        if not self.places or place > self.places[-1]:
            self.places.append(place)
            self.values.append(value)
            self.keys.append(key)
            return
        index = bisect_right(self.places, place)
        self.places.insert(index, place)
        self.values.insert(index, value)
        self.keys.insert(index, key)
        self.breaks += 1

    def shed(self, place: int) -> None:
        """Drop everything up to `place`."""
        count = bisect_right(self.places, place)
        if count:
            for (_, since), running in self.carried.items():
                lo = bisect_right(self.places, _until(since), 0, count)
                if lo < count:
                    running.keep(self.values[lo:count], self.places[count - 1])
            del self.places[:count], self.values[:count], self.keys[:count]
            self.breaks += 1
            self.memo.clear()


class Window:
    """The newest observations of one version, at most `limit`."""

    def __init__(self, version: str, limit: int = LIMIT) -> None:
        """Raises ValueError when `limit` is below 1."""
        if limit < 1:
            raise ValueError(f"a window holds at least one observation, not {limit}")
        self.version = version
        self.limit = limit
        self.records: list[Record] = []
        self.all = Column()
        """Every observation, with the value 1."""
        self.numbers: dict[str, Column] = {}
        self.texts: dict[str, Column] = {}
        """Fields that hold text: they can be counted."""
        self.ignored: dict[str, int] = {}
        """By field: values that were null, NaN or infinite."""
        self.crowded = 0
        """Values left out because there were too many fields."""
        self.dropped = 0
        self.dropped_until: datetime | None = None
        """Event time of the newest observation dropped."""

    def __len__(self) -> int:
        return len(self.records)

    def missing_since(self, since: datetime) -> bool:
        """Whether observations after `since` have been dropped."""
        return self.dropped_until is not None and since < self.dropped_until

    def take(self, record: Record) -> list[Record]:
        """Put a record in its place; those that had to make room."""
        records = self.records
        if not records or record.place > records[-1].place:
            records.append(record)
        else:
            records.insert(bisect_right(records, record.place, key=_place), record)
        self.all.insert(record.place, 1.0, record.key)
        fields, record.fields = record.fields, {}
        self.complete(record, fields)
        return self._shed() if len(records) > self.limit else []

    def complete(self, record: Record, fields: Mapping[str, Value]) -> list[str]:
        """Merge fields into a record. What is known stays: names of those that say otherwise."""
        contradicted = []
        for name, value in fields.items():
            known = record.fields.get(name)
            if known is not None:
                if known != value and value is not None:
                    contradicted.append(name)
                continue
            number = _number(value)
            if number is None:
                if name not in record.fields:
                    record.fields[name] = None
                    if name in self.ignored or len(self.ignored) < FIELDS:
                        self.ignored[name] = self.ignored.get(name, 0) + 1
                continue
            record.fields[name] = value
            columns = self.texts if isinstance(value, str) else self.numbers
            column = columns.get(name)
            if column is None:
                if len(self.numbers) + len(self.texts) >= FIELDS:
                    self.crowded += 1
                    continue
                column = columns[name] = Column()
            column.insert(record.place, number, record.key)
        return contradicted

    def _shed(self) -> list[Record]:
        count = len(self.records) - self.limit + self.limit // _SHED
        gone = self.records[:count]
        del self.records[:count]
        last = gone[-1].place
        for column in (self.all, *self.numbers.values(), *self.texts.values()):
            column.shed(last)
        self.dropped += count
        until = moment(last)
        if self.dropped_until is None or until > self.dropped_until:
            self.dropped_until = until
        return gone


class Windows:
    """The windows of every version that one source told of, and the ids that bind parts."""

    def __init__(self, limit: int = LIMIT) -> None:
        """`limit` is per version."""
        self.limit = limit
        self.by_version: dict[str, Window] = {}
        self._by_id: dict[str, Record] = {}
        self._arrivals = 0

    def __iter__(self) -> Iterator[Window]:
        return iter(self.by_version.values())

    def window(self, version: str) -> Window | None:
        """The window of a version, if anything was ever seen of it."""
        return self.by_version.get(version)

    def first(self, id: str) -> Observation | None:
        """What is held under an id: version, time and key of the part that came first."""
        record = self._by_id.get(id)
        if record is None:
            return None
        at = moment(record.place)
        return Observation(record.window.version, at, record.fields, record.id, record.key)

    def add(self, observation: Observation) -> list[str]:
        """Take in an observation, or another part of one. The same again changes nothing.
        Returns the fields that contradict what is known already: the first value stays."""
        known = self._by_id.get(observation.id) if observation.id is not None else None
        if known is not None:
            return known.window.complete(known, observation.fields)
        window = self.by_version.get(observation.version)
        if window is None:
            window = self.by_version[observation.version] = Window(observation.version, self.limit)
        self._arrivals += 1
        place = (micros(observation.at) << _ORDER_BITS) | self._arrivals
        record = Record(window, place, dict(observation.fields), observation.id, observation.key)
        if observation.id is not None:
            self._by_id[observation.id] = record
        for gone in window.take(record):
            if gone.id is not None:
                del self._by_id[gone.id]
        return []


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (at - EPOCH) // MICROSECOND


def moment(place: int) -> datetime:
    """Event time of a place."""
    return EPOCH + timedelta(microseconds=place >> _ORDER_BITS)


def stamp(place: int) -> int:
    """Event time of a place in microseconds since 1970."""
    return place >> _ORDER_BITS


def place_until(ms: int) -> int:
    """The last place that an observation can have at so many milliseconds since 1970."""
    return (1000 * ms << _ORDER_BITS) | _LAST


def arrival(place: int) -> int:
    """When the observation of a place came in, in the order of all."""
    return place & _LAST


def _until(at: datetime) -> int:
    """The last place that an observation of `at` can have."""
    return (micros(at) << _ORDER_BITS) | _LAST


def _number(value: Value) -> float | None:
    """What a column holds of a value: a text counts as 1; None is no value."""
    if value is None or isinstance(value, str):
        return None if value is None else 1.0
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _place(record: Record) -> int:
    return record.place
