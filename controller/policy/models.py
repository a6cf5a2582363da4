"""The shape of a policy file. Every key here works; a key that is not here is an error.

Values that need more than a shape (conditions, references between parts, weights that must not
fall) are checked in `check`.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.json_schema import WithJsonSchema

DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"
PERCENT_PATTERN = r"^\d+(\.\d+)?%$"
RATE_PATTERN = r"^\d+(\.\d+)?\s*(/|per )\s*(s|m|h|d)$"
CONFIRM_PATTERN = r"^(\d+ in a row|\d+ of \d+|\d+ in total)$"
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_duration(value: object) -> timedelta:
    """`15s`, `1h30m`, `5d`. Raises ValueError with the remedy."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise ValueError(f"{value!r} is not a duration; write a number and a unit: 15s, 1h30m, 5d")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", value)
    return timedelta(milliseconds=round(sum(float(n) * _UNIT_MS[u] for n, u in parts)))


def parse_percent(value: object) -> float:
    """`5%` -> 5.0. Raises ValueError with the remedy."""
    if isinstance(value, str) and re.match(PERCENT_PATTERN, value):
        return float(value[:-1])
    raise ValueError(f"{value!r} is not a share; write it in per cent, like 5% or 0.5%")


def parse_rate(value: object) -> float:
    """`2000/h` -> signals per second. Raises ValueError with the remedy."""
    match = re.match(r"^(\d+(?:\.\d+)?)\s*(?:/|per )\s*([smhd])$", str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a rate; write it like 2000/h or 5/s")
    return float(match[1]) / (_UNIT_MS[match[2]] / 1000)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["15s", "1h30m"]}),
]
Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    Field(ge=0, le=100),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["5%", "0.5%"]}),
]
Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    WithJsonSchema({"type": "string", "pattern": RATE_PATTERN, "examples": ["2000/h"]}),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
ConditionText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500),
    Field(description="A condition, such as `candidate.accuracy >= 85%`"),
]


class Model(BaseModel):
    """Strict: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Version(Model):
    """A version of the algorithm. `config`: the file that holds its configuration."""

    version: Text
    config: str | None = None


def _version(value: Any) -> Any:
    return {"version": value} if isinstance(value, str) else value


VersionField = Annotated[
    Version,
    BeforeValidator(_version),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"version": {"type": "string"}, "config": {"type": "string"}},
                    "required": ["version"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class Freeze(Model):
    """A window in which nothing advances. Rolling back is never frozen."""

    name: Text
    start: datetime = Field(alias="from", strict=False)
    end: datetime = Field(alias="to", strict=False)


class Schedule(Model):
    """When the rollout is looked at and when time counts."""

    tick: Duration = timedelta(seconds=15)
    calendar: str = Field(default="24/7", description="exchange_calendars code, such as XNYS")
    freeze: tuple[Freeze, ...] = Field(default=(), strict=False)


class PushSource(Model):
    """Observations come in by call or as JSON Lines files dropped into `directory`."""

    type: Literal["push"]
    directory: str | None = None


class SqlSource(Model):
    """Metrics are queries. `tables` names files (CSV, Parquet, SQLite `file.db:table`)."""

    type: Literal["sql"]
    database: str | None = Field(default=None, description="A DuckDB or SQLite file to open")
    tables: dict[str, str] = {}
    timeout: Duration = timedelta(seconds=10)


Source = Annotated[PushSource | SqlSource, Field(discriminator="type")]

Window = Annotated[
    timedelta | Literal["session", "stage", "rollout"],
    BeforeValidator(
        lambda v: v if v in ("session", "stage", "rollout") else parse_duration(v)
    ),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION_PATTERN},
                {"enum": ["session", "stage", "rollout"]},
            ]
        }
    ),
]


class Metric(Model):
    """One definition of one number, measured for each version."""

    source: str
    value: str | None = Field(
        default=None, max_length=200, description="Of a push source: mean(field), ratio(field), ..."
    )
    query: str | None = Field(default=None, max_length=20_000, description="Of a sql source")
    window: Window = timedelta(minutes=30)
    min_samples: int | None = Field(default=None, ge=0, le=10_000_000)
    better: Literal["higher", "lower"] | None = None
    unit: str | None = Field(default=None, description="ms, s, USD, ratio, ...")
    capital: float | None = Field(default=None, gt=0, strict=False)
    description: str = ""


class Deadline(Model):
    """How long a stage may take, in open time, and what then."""

    after: Duration
    then: Literal["rollback", "pause"] = "rollback"


class Approval(Model):
    """A person must agree before the stage is left; silence has an answer too."""

    by: Text
    within: Duration
    otherwise: Literal["rollback", "pause"] = Field(default="rollback", alias="else")


class Stage(Model):
    """A share of the work and what must hold to go on. `weights` makes one step of each."""

    name: Name
    weight: Percent | None = None
    weights: tuple[Percent, ...] | None = Field(default=None, min_length=1, strict=False)
    mirror: bool = Field(default=False, description="The candidate sees all work, acts on none")
    hold: Duration = timedelta(0)
    advance: tuple[ConditionText, ...] = Field(default=(), strict=False)
    deadline: Deadline | None = None
    approval: Approval | None = None
    against: Literal["live", "frozen_baseline"] = "live"


class Trigger(Model):
    """A condition that must not come true while the candidate is live."""

    name: Name
    when: ConditionText
    severity: Literal["low", "medium", "high", "critical"]
    then: Literal["rollback", "hold", "pause", "alert"] | None = None
    confirm: str | None = Field(
        default=None, pattern=CONFIRM_PATTERN, examples=["3 of 5", "3 in a row", "5 in total"]
    )
    for_: Duration | None = Field(default=None, alias="for")
    min_samples: int | None = Field(default=None, ge=0, le=10_000_000)
    escalate_after: Duration | None = None
    stages: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)


class Lock(Model):
    """More than `after` rollbacks within `per` lock re-promotion, never the way back."""

    after: int = Field(default=3, ge=1, le=1000)
    per: Duration = timedelta(hours=1)


class Rollback(Model):
    """The way back. `deadline` is for each step, on the wall clock."""

    plan: tuple[Literal["baseline_traffic", "restore", "verify"], ...] = Field(
        default=("baseline_traffic", "restore", "verify"), strict=False
    )
    deadline: Duration = timedelta(seconds=30)
    verify_after: Duration = timedelta(minutes=5)
    cooldown: Duration = timedelta(hours=1)
    restart: str | None = Field(default=None, description="Stage to start again from")
    lock: Lock = Lock()


class FilePublisher(Model):
    """The share as a small JSON file, replaced atomically and read back."""

    type: Literal["file"]
    path: str


class ConfigPublisher(Model):
    """The effective configuration: the file of the version in charge, copied byte for byte."""

    type: Literal["config"]
    path: str


Publisher = Annotated[FilePublisher | ConfigPublisher, Field(discriminator="type")]


class Policy(Model):
    """One file, one rollout."""

    rollout: Name
    description: str = ""
    owner: str = ""
    baseline: VersionField
    candidate: VersionField
    schedule: Schedule = Schedule()
    traffic: Rate | None = Field(default=None, description="Signals of both versions together")
    sources: dict[Name, Source] = {}
    metrics: dict[Name, Metric] = {}
    publish: dict[Name, Publisher] = {}
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=50, strict=False)
    triggers: tuple[Trigger, ...] = Field(default=(), max_length=200, strict=False)
    rollback: Rollback = Rollback()
    false_alarm: float = Field(
        default=0.05, gt=0, lt=1, description="Level of comparisons, over all looks together"
    )
