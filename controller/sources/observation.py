"""One observation as strangers write it: checked, bounded, and put into one shape.

    {"version": "v3", "ts": "2026-03-02T14:30:00Z", "id": "a17", "key": "NQ-0931",
     "correct": true, "pnl": -150.0}

`ts` (RFC 3339) may be left out: then it is the moment of arrival, which is also the latest it can
be. `id` binds the parts of one observation: a later part needs neither `version` nor `ts`. `key`
pairs observations of both versions that answer the same question. Everything else is a field:
number, boolean, text, null.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

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

_RESERVED = frozenset({"version", "ts", "id", "key"})
_BIGGEST = 1 << 63


class ObservationError(ValueError):
    """Not an observation; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Part:
    """An observation, or a later part of one. `at` is UTC. `ahead`: it was stamped ahead of our
    clock, by no more than `AHEAD`."""

    version: str | None
    at: datetime
    id: str | None
    key: str | None
    fields: dict[str, Value]
    ahead: bool = False


def parse_line(line: bytes, now: datetime) -> Part:
    """A part from one line of JSON. Raises ObservationError."""
    if len(line) > LINE:
        raise ObservationError(f"{len(line)} bytes long; at most {LINE} are taken")
    return parse(decode(line), now)


def decode(text: bytes) -> Any:
    """What a text of JSON says; NaN, infinity and integers of any length, which JSON does not
    have, are read as Python's own JSON reads them. Raises ObservationError."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise ObservationError("not JSON that can be read: nested too deep") from None
    except msgspec.DecodeError:
        pass  # most often one of those; if not, Python says where it breaks
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ObservationError(f"not JSON: {error}") from None


def parse(raw: Any, now: datetime) -> Part:
    """A part from what JSON gives; `ts` may be a datetime. Raises ObservationError."""
    if not isinstance(raw, Mapping):
        raise ObservationError(f"an observation is an object, not {type(raw).__name__}")
    if len(raw) > FIELDS + len(_RESERVED):
        raise ObservationError(f"{len(raw)} fields; at most {FIELDS} are taken")
    at = _moment(raw.get("ts"), now)
    return Part(
        version=_name(raw, "version"),
        at=min(at, now),
        id=_name(raw, "id"),
        key=_name(raw, "key"),
        fields={
            _field(name): _value(name, value) for name, value in raw.items()
            if name not in _RESERVED
        },
        ahead=at > now,
    )  # fmt: skip


def encode(observation: Observation) -> bytes:
    """One line, without the newline: the shape that is stored."""
    line: dict[str, Any] = {"version": observation.version, "ts": observation.at.isoformat()}
    if observation.id is not None:
        line["id"] = observation.id
    if observation.key is not None:
        line["key"] = observation.key
    return msgspec.json.encode({**line, **observation.fields})


def _name(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= NAME:
        raise ObservationError(f"{name} is a text of 1 to {NAME} characters")
    return value


def _field(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= NAME:
        raise ObservationError(f"the name of a field is a text of 1 to {NAME} characters")
    return name


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
    if value is None:
        return now
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        shown = str(value)[:40]
        message = f"ts {shown!r} is not a time with its zone, like 2026-03-02T14:30:00Z"
        raise ObservationError(message) from None
    if at - now > AHEAD:
        ahead = span(milliseconds(at - now))
        raise ObservationError(f"ts {at.isoformat()} is {ahead} ahead of the clock")
    return at
