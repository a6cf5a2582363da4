"""The values of a policy file: how each kind is written, read and limited, and the base of every
model. What is made of them is in `policy.models`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from controller.policy.periods import (
    LONGEST_ZONE,
    PERIOD_PATTERN,
    ZONE_PATTERN,
    Period,
    parse_period,
    parse_zone,
)

NAME_PATTERN = r"^[a-z][a-z0-9_-]*$"
ATTRIBUTE_PATTERN = r"^[A-Za-z][A-Za-z0-9_]*$"
DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"
PERCENT_PATTERN = r"^\d+(\.\d+)?%$"
SHARE_PATTERN = r"^0*(100(\.0+)?|\d{1,2}(\.\d+)?)%$"
"""`PERCENT_PATTERN` up to the whole, for editors; a reader says which of both is wrong."""
RATE_PATTERN = r"^(?=[0.]*[1-9])\d+(\.\d+)?\s*(/|per )\s*(s|m|h|d)$"
BARS_PATTERN = r"^[1-9]\d{0,4} bars?$"
TIME_PATTERN = r"^\d{4}[-\dW]+.\d{2}.*(Z|[+-]\d{2}(:?\d{2}.*)?)$"
CLOCK_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"
CONFIRM_PATTERN = r"^(\d+ in a row|\d+ of \d+|\d+ in total)$"
WINDOWS = ("session", "stage", "rollout")
DEPENDENCES = ("hac", "independent")
OPEN_PATTERN = DURATION_PATTERN.replace("$", " open$")
NEWEST_PATTERN = r"^last [1-9]\d*(_\d+)*$"
TICKS_PATTERN = r"^[1-9]\d*(_\d+)* ticks?$"
MOST_TICKS = 100_000
MOST_NEWEST = 100_000
"""More observations than this are not held one by one."""
LONGEST = timedelta(days=3660)
"""Ten years: a longer duration is a mistake."""
LONGEST_TEXT = 40
"""Characters of a number or a duration, as written."""
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@dataclass(frozen=True, slots=True)
class OpenTime:
    """A window of so much open time of the calendar, back from now."""

    length: timedelta


@dataclass(frozen=True, slots=True)
class Newest:
    """A window of the newest so many observations that carry the field."""

    count: int


@dataclass(frozen=True, slots=True)
class BarCount:
    """So many of a metric's bars, the newest that are over, and what has come since."""

    count: int


def parse_duration(value: object) -> timedelta:
    """`15s`, `1h30m`, `5d`. Raises ValueError with the remedy."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and re.match(DURATION_PATTERN, value):
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", value)
        milliseconds = sum(float(number) * _UNIT_MS[unit] for number, unit in parts)
        if milliseconds <= LONGEST / timedelta(milliseconds=1):
            return timedelta(milliseconds=round(milliseconds))
        raise ValueError(f"{value!r} is longer than ten years; write a shorter duration")
    raise ValueError(f"{value!r} is not a duration; write a number and a unit: 15s, 1h30m, 5d")


def parse_percent(value: object) -> float:
    """`5%` -> 5.0, of 0% to 100%. Raises ValueError with the remedy."""
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and re.match(PERCENT_PATTERN, value):
        percent = float(value[:-1])
        if percent <= 100:
            return percent
        raise ValueError(f"{value!r} is more than the whole; a share is 0% to 100%")
    raise ValueError(f"{value!r} is not a share; write it in per cent, like 5% or 0.5%")


def parse_rate(value: object) -> float:
    """`2000/h` -> signals per second, more than 0. Raises ValueError with the remedy."""
    text = value if isinstance(value, str) and len(value) <= LONGEST_TEXT else ""
    match = re.match(r"^(\d+(?:\.\d+)?)\s*(?:/|per )\s*([smhd])$", text)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{value!r} is not a rate; write it like 2000/h or 5/s")
    return float(match[1]) / (_UNIT_MS[match[2]] / 1000)


def parse_window(value: object) -> Any:
    """`30m`, `30m open`, `last 100`, `60 bars`, `day`, `month in Europe/London`, or `session`,
    `stage`, `rollout`. Raises ValueError with the remedy."""
    if value in WINDOWS:
        return value
    if isinstance(value, str) and re.match(PERIOD_PATTERN, value):
        return parse_period(value)
    text = value if isinstance(value, str) and len(value) <= LONGEST_TEXT else ""
    if re.match(NEWEST_PATTERN, text):
        count = int(text.removeprefix("last "))
        if count <= MOST_NEWEST:
            return Newest(count)
        raise ValueError(f"{value!r} is too many; write last {MOST_NEWEST} or fewer, or a duration")
    if re.match(BARS_PATTERN, text):
        return BarCount(int(text.split()[0]))
    try:
        if text.endswith(" open"):
            return OpenTime(parse_duration(text.removesuffix(" open")))
        return parse_duration(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a window; write a duration (30m, or 30m open for open time), "
            "last 100, 60 bars, day, week, month, or session, stage, rollout"
        ) from None


@dataclass(frozen=True, slots=True)
class Ticks:
    """So many looks: the policy's `schedule.tick` each."""

    count: int


def parse_patience(value: object) -> Any:
    """`20 ticks` or a duration. Raises ValueError with the remedy."""
    text = value if isinstance(value, str) and len(value) <= LONGEST_TEXT else ""
    if re.match(TICKS_PATTERN, text):
        count = int(text.split()[0])
        if count <= MOST_TICKS:
            return Ticks(count)
        raise ValueError(f"{value!r} is too many; write {MOST_TICKS} ticks or fewer, or a duration")
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(f"{value!r} is no span; write 20 ticks, or a duration (5m)") from None


def parse_dependence(value: object) -> Any:
    """A duration, or `hac`, `independent`. Raises ValueError with the remedy."""
    if value in DEPENDENCES:
        return value
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is no dependence; write hac, independent, or the length of a bar (5m)"
        ) from None


def window_length(window: "Window") -> timedelta | None:
    """How long a window is, in time of the clock or in open time; None if it has no length, or
    one of bars."""
    if isinstance(window, OpenTime):
        return window.length
    return window if isinstance(window, timedelta) else None


def parse_time(value: object) -> datetime:
    """`2026-03-18T17:30Z` -> aware UTC. Raises ValueError with the remedy."""
    remedy = "write date, time and zone: 2026-03-18T17:30Z"
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{value!r} is not a time; {remedy}")
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; {remedy}")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value!r} is out of range; {remedy}") from None


def parse_clock_time(value: object) -> time:
    """`22:00`. Raises ValueError with the remedy."""
    text = value if isinstance(value, str) else ""
    found = re.match(CLOCK_PATTERN, text)
    if found is None:
        raise ValueError(f'{value!r} is not a time of day; write it like "22:00"')
    return time(int(text[:2]), int(text[3:]))


def text_schema(pattern: str, *examples: str) -> dict[str, Any]:
    """What an editor is told of a short text."""
    shape = {"type": "string", "pattern": pattern, "maxLength": LONGEST_TEXT}
    return shape | {"examples": list(examples)}


Duration = Annotated[
    timedelta,
    Meta(
        extra={"read": parse_duration, "kind": "a duration (15s, 1h30m, 5d)"},
        extra_json_schema=text_schema(DURATION_PATTERN, "15s", "1h30m"),
    ),
]
Percent = Annotated[
    float,
    Meta(
        extra={"read": parse_percent, "kind": "a share (5%, 0.5%)"},
        extra_json_schema=text_schema(SHARE_PATTERN, "5%", "0.5%"),
    ),
]
Rate = Annotated[
    float,
    Meta(
        extra={"read": parse_rate, "kind": "a rate (2000/h)"},
        extra_json_schema=text_schema(RATE_PATTERN, "2000/h"),
    ),
]
Moment = Annotated[
    datetime,
    Meta(
        extra={"read": parse_time, "kind": "a time with its zone (2026-03-18T17:30Z)"},
        extra_json_schema=text_schema(TIME_PATTERN, "2026-03-18T17:30Z"),
    ),
]
ClockTime = Annotated[
    time,
    Meta(
        extra={"read": parse_clock_time, "kind": 'a time of day ("22:00")'},
        extra_json_schema=text_schema(CLOCK_PATTERN, "22:00"),
    ),
]
Window = Annotated[
    timedelta | OpenTime | Newest | BarCount | Period | Literal["session", "stage", "rollout"],
    Meta(
        extra={"read": parse_window, "kind": "[a window](#values)"},
        extra_json_schema={
            "anyOf": [
                text_schema(DURATION_PATTERN, "30m"),
                text_schema(OPEN_PATTERN, "30m open"),
                text_schema(NEWEST_PATTERN, "last 100"),
                text_schema(BARS_PATTERN, "60 bars"),
                text_schema(PERIOD_PATTERN, "day", "month in Europe/London")
                | {"maxLength": len("month in ") + LONGEST_ZONE},
                {"enum": list(WINDOWS)},
            ]
        },
    ),
]
Zone = Annotated[
    str,
    Meta(
        extra={"read": parse_zone, "kind": "a time zone (America/New_York)"},
        extra_json_schema=text_schema(ZONE_PATTERN, "America/New_York")
        | {"maxLength": LONGEST_ZONE},
    ),
]
Dependence = Annotated[
    timedelta | Literal["hac", "independent"],
    Meta(
        extra={"read": parse_dependence, "kind": "`hac`, `independent`, or a duration"},
        extra_json_schema={
            "anyOf": [text_schema(DURATION_PATTERN, "5m"), {"enum": list(DEPENDENCES)}]
        },
    ),
]
Patience = Annotated[
    timedelta | Ticks,
    Meta(
        extra={"read": parse_patience, "kind": "a number of looks (20 ticks), or a duration"},
        extra_json_schema={
            "anyOf": [text_schema(TICKS_PATTERN, "20 ticks"), text_schema(DURATION_PATTERN, "5m")]
        },
    ),
]
Name = Annotated[
    str,
    Meta(
        pattern=NAME_PATTERN,
        max_length=64,
        extra={"kind": "a name: a small letter, then small letters, digits, _ and -"},
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Path = Annotated[str, Meta(min_length=1, max_length=1000)]
ConditionText = Annotated[str, Meta(min_length=1, extra_json_schema={"maxLength": 500})]
"""A condition, such as `candidate.accuracy >= 85%`; parsed by `policy.condition`."""
AggregationText = Annotated[str, Meta(min_length=1, max_length=200)]
Query = Annotated[str, Meta(min_length=1, max_length=20_000)]
Column = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_][a-z0-9_]*$",
        max_length=63,
        extra={"kind": "a column: small letters, digits and _"},
    ),
]
Url = Annotated[str, Meta(min_length=1, max_length=2000, examples=["http://127.0.0.1:9090"])]
Header = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9-]+$")]
Label = Annotated[str, Meta(max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
LabelName = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[a-z_][a-z0-9_]*$",
        extra={"kind": "the name of a label: small letters, digits and _"},
    ),
]
Samples = Annotated[int, Meta(ge=0, le=10_000_000)]
UnitText = Annotated[str, Meta(min_length=1, max_length=8)]
Capital = Annotated[float, Meta(gt=0)]
Deviation = Annotated[float, Meta(gt=0)]
AttributeName = Annotated[
    str,
    Meta(
        pattern=ATTRIBUTE_PATTERN,
        max_length=64,
        extra={"kind": "the name of an attribute: a letter, then letters, digits and _"},
    ),
]
PinnedTexts = Annotated[
    tuple[Text, ...], Meta(min_length=1, max_length=5000, extra={"kind": "a list of texts"})
]
Weight = Annotated[float, Meta(ge=0, le=1)]
FieldName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=200,
        extra={"kind": "the name of a field: a letter, then letters, digits and _"},
    ),
]
Bounds = Annotated[
    tuple[float, ...],
    Meta(min_length=2, max_length=2, extra={"kind": "two numbers, [low, high]"}),
]
ProxyName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.:-]+$",
        max_length=100,
        extra={"kind": "a name of HAProxy: letters, digits, `_`, `.`, `:` and `-`"},
    ),
]
Servers = Annotated[tuple[ProxyName, ...], Meta(min_length=1, max_length=64)]
Percents = Annotated[tuple[Percent, ...], Meta(min_length=1, max_length=50)]
OptionText = Annotated[
    str,
    Meta(
        extra={"read": lambda text: text, "kind": "a text, a number, true or false"},
        extra_json_schema={"type": ["string", "number", "boolean"]},
    ),
]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=50)]
ConfirmText = Annotated[
    str,
    Meta(
        pattern=CONFIRM_PATTERN,
        max_length=40,
        extra={"kind": "written like `3 of 5`, `3 in a row` or `5 in total`"},
        examples=["3 of 5", "3 in a row", "5 in total"],
    ),
]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown keys and wrong types are errors."""
