"""The one interface of a source: requests in, measurements out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from controller.core.calendar import ALWAYS, Calendar
from controller.core.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Request:
    """One measurement wanted. `subject` is `candidate`, `baseline` or, for what a source says of
    its own data, the source; then `expression` is one of `policy.quality`.

    `since` and `now` bound the window [since, now] (UTC). `version` is the version's own name.
    `expression` is what the metric declares: an aggregation of a push source or a query."""

    subject: str
    metric: str
    version: str
    expression: str
    since: datetime
    now: datetime
    capital: float | None = None
    factor: float = 1.0
    """Takes one of the metric's declared unit to the base unit."""
    other: str | None = None
    """Name of the other version, for metrics that are about both."""
    bar: timedelta | None = None
    calendar: Calendar = ALWAYS
    """For what is made of bars, and for ages in open time."""


class Source(Protocol):
    """Where measurements come from. Add one: a file here, a model in `policy.models`, a line in
    `sources.open_source`."""

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """One answer per request, in order. Never raises for what a request did: a broken
        request is a measurement with status `error`, an empty one `no_data`."""
        ...

    def last_received(self) -> datetime | None:
        """When anything last came in; None if never. Feeds `<source>.silent`."""
        ...

    def check(self) -> str:
        """Ask the source once. Returns what it said in a few words; raises `SourceError`."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class SourceError(Exception):
    """A source cannot be opened or asked: the message says what and what to do."""


DEFAULT_TIMEOUT = timedelta(seconds=10)


class Unset:
    """A source that cannot be opened for want of environment variables: an error of the source."""

    def __init__(self, variables: str) -> None:
        """`variables`: their names."""
        self._words = f"environment variable {variables} is not set"

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        return [Measurement(status="error", detail=self._words) for _ in requests]

    def last_received(self) -> datetime | None:
        """See `Source.last_received`."""
        return None

    def check(self) -> str:
        """See `Source.check`."""
        raise SourceError(self._words)

    def close(self) -> None:
        """See `Source.close`."""
