"""One observation as strangers write it: checked, bounded, and put into one shape.

    {"version": "v3", "ts": "2026-03-02T14:30:00Z", "id": "a17", "key": "NQ-0931",
     "correct": true, "pnl": -150.0}

`ts` (RFC 3339) may be left out: then it is the moment of arrival, which is also the latest it can
be. `id` binds the parts of one observation: a later part needs neither `version` nor `ts`. `key`
pairs observations of both versions that answer the same question. Everything else is a field:
number, boolean, text, null.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.judge.window import Observation, Value

FIELDS = 100
"""Fields of one observation."""
TEXT = 1_000
"""Characters of a text field."""
NAME = 200
"""Characters of a version, id, key or field name."""
LINE = 65_536
"""Bytes of one line."""
AHEAD = timedelta(minutes=1)
"""Clocks differ by less. What is ahead of ours by no more counts as seen now, so that it is
decided on at once; a time further ahead is a mistake of its writer."""

_JSON = msgspec.json.Decoder()
_BIGGEST = 1 << 63


class ObservationError(ValueError):
    """Not an observation; the message says what is wrong with it."""


class Part(Struct, frozen=True, gc=False):
    """An observation, or a later part of one. `at` is UTC. `ahead`: it was stamped ahead of our
    clock, by no more than `AHEAD`. `line` is how it came, where that is how it can be stored."""

    version: str | None
    at: datetime
    id: str | None
    key: str | None
    fields: dict[str, Value]
    ahead: bool = False
    line: bytes | None = None


def parse_lines(lines: Sequence[bytes], now: datetime) -> list[Part | ObservationError]:
    """A part of each line of JSON, or what is wrong with it."""
    return [_or_error(parse_line, line, now) for line in lines]


def parse_all(raws: Sequence[Any], now: datetime) -> list[Part | ObservationError]:
    """A part of each mapping, or what is wrong with it."""
    return [_or_error(parse, raw, now) for raw in raws]


def parse_line(line: bytes, now: datetime) -> Part:
    """A part from one line of JSON. Raises ObservationError."""
    if len(line) > LINE:
        raise ObservationError(f"{len(line)} bytes long; at most {LINE} are taken")
    return _part(decode(line), now, line)


def decode(text: bytes) -> Any:
    """What a text of JSON says; NaN, infinity and integers of any length, which JSON does not
    have, are read as Python's own JSON reads them. Raises ObservationError."""
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise ObservationError("not JSON that can be read: nested too deep") from None
    except msgspec.DecodeError:
        pass  # most often one of those; if not, Python says where it breaks
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ObservationError(f"not JSON: {error}") from None


def parse(raw: Any, now: datetime) -> Part:
    """A part from a mapping; `ts` may be a datetime. Raises ObservationError."""
    return _part(dict(raw) if isinstance(raw, Mapping) else raw, now, None)


def _or_error(
    read: Callable[[Any, datetime], Part], raw: Any, now: datetime
) -> Part | ObservationError:
    try:
        return read(raw, now)
    except ObservationError as error:
        return error


def _part(raw: Any, now: datetime, line: bytes | None) -> Part:
    """Of what JSON gives, which is used up."""
    if not isinstance(raw, dict):
        raise ObservationError(f"an observation is an object, not {type(raw).__name__}")
    if len(raw) > FIELDS + 4:
        raise ObservationError(f"{len(raw)} fields; at most {FIELDS} are taken")
    take = raw.pop
    version, ts, id, key = (
        take("version", None),
        take("ts", None),
        take("id", None),
        take("key", None),
    )
    if version is not None:
        _must_be_name("version", version)
    if id is not None:
        _must_be_name("id", id)
    if key is not None:
        _must_be_name("key", key)
    for name, value in raw.items():
        if type(name) is not str or not 0 < len(name) <= NAME:
            raise ObservationError(f"the name of a field is a text of 1 to {NAME} characters")
        kind = type(value)
        if kind is float or kind is bool or value is None:
            continue
        if not (kind is int and -_BIGGEST <= value < _BIGGEST):
            raw[name] = _value(name, value)
    at = now if ts is None else _moment(ts, now)
    return Part(version, min(at, now), id, key, raw, at > now, line)


def stored_line(observation: Observation, part: Part, marks: tuple[bytes, ...]) -> bytes:
    """One line, without the newline, that gives the observation again: as it came, where that says
    it all and does not begin like a line of another kind (`marks`)."""
    if (
        part.line is not None
        and part.at is observation.at
        and part.version == observation.version
        and part.key == observation.key
        and not part.line.startswith(marks)
    ):
        return part.line
    line: dict[str, Any] = {"version": observation.version, "ts": observation.at.isoformat()}
    if observation.id is not None:
        line["id"] = observation.id
    if observation.key is not None:
        line["key"] = observation.key
    return msgspec.json.encode({**line, **observation.fields})


def _must_be_name(what: str, value: Any) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= NAME:
        raise ObservationError(f"{what} is a text of 1 to {NAME} characters")


def _value(name: str, value: Any) -> Value:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_BIGGEST <= value < _BIGGEST else _as_float(value)
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ObservationError(f"{name} is a number, true, false, null or text, not {kind}")
    if len(value) > TEXT:
        raise ObservationError(f"{name} has {len(value)} characters; at most {TEXT} are taken")
    return value


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _moment(value: Any, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError
        if at.tzinfo is not UTC:
            at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        shown = str(value)[:40]
        message = f"ts {shown!r} is not a time with its zone, like 2026-03-02T14:30:00Z"
        raise ObservationError(message) from None
    if at - now > AHEAD:
        ahead = span(milliseconds(at - now))
        raise ObservationError(f"ts {at.isoformat()} is {ahead} ahead of the clock")
    return at
