"""Periods of the calendar: days, weeks and months that begin anew at midnight in a time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal, cast

PERIODS = ("day", "week", "month")
PERIOD_PATTERN = r"^(day|week|month)( in [A-Za-z][A-Za-z0-9_+/-]*)?$"
ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+/-]*$"
EARLY = 0.05
"""Before this part of a period has passed, nothing is reckoned from how much has."""
LONGEST_ZONE = 60
"""Characters of the name of a time zone."""
_NOT_OF_THE_WORLD = ("localtime", "posixrules", "posix/", "right/")
"""What a machine's own files of time zones have beside those of the database."""


@dataclass(frozen=True, slots=True)
class Period:
    """A window since the present day, week (from Monday on) or month began in a time zone."""

    unit: Literal["day", "week", "month"]
    zone: tzinfo = UTC

    def __str__(self) -> str:
        return self.unit if self.zone is UTC else f"{self.unit} in {self.zone}"


def parse_zone(value: object) -> str:
    """`America/New_York`: the name of a time zone that exists. Raises ValueError with the
    remedy."""
    find_zone(value)
    return cast(str, value)


def find_zone(value: object) -> tzinfo:
    """The rules of a time zone, by its name. Raises ValueError with the remedy."""
    if value == "UTC":
        return UTC
    # Most policies name none.
    from zoneinfo import ZoneInfo

    good = isinstance(value, str) and len(value) <= LONGEST_ZONE and re.match(ZONE_PATTERN, value)
    try:
        if good and not str(value).startswith(_NOT_OF_THE_WORLD):
            return ZoneInfo(str(value))
    except (KeyError, ValueError, OSError):
        pass
    raise ValueError(f"{value!r} is not a time zone; {_zone_hint(value)}")


def _zone_hint(value: object) -> str:
    from zoneinfo import available_timezones

    from controller.policy.findings import did_you_mean

    otherwise = "write one of the tz database, such as America/New_York, or UTC"
    known = (zone for zone in available_timezones() if not zone.startswith(_NOT_OF_THE_WORLD))
    return did_you_mean(str(value), known, otherwise)


def parse_period(text: str) -> Period:
    """`day`, `week in Europe/London`; `text` fits `PERIOD_PATTERN`. Raises ValueError with the
    remedy."""
    unit, _, zone = text.partition(" in ")
    assert unit in PERIODS
    return Period(cast(Literal["day", "week", "month"], unit), find_zone(zone or "UTC"))
