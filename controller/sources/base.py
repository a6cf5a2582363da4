"""The one interface of a source: requests in, measurements out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from controller.core.calendar import ALWAYS, Calendar
from controller.core.measurement import Contrast, Measurement
from controller.core.plan import NOTHING_BESIDE, Beside
from controller.judge.growing import Dependence


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
    column: str = "value"
    """Of a query: the column that holds the number."""
    beside: Beside = NOTHING_BESIDE
    """What the metric declares beside its query."""
    max_age: timedelta | None = None
    """Older than this is late."""
    newest: int | None = None
    """Of what is in the window, only the newest so many that carry the field."""
    other: str | None = None
    """Name of the other version, for metrics that are about both."""
    bar: timedelta | None = None
    calendar: Calendar = ALWAYS
    """For what is made of bars, and for ages in open time."""
    resets: bool = False
    """The window is a period of the calendar: its totals begin at 0."""


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


@runtime_checkable
class Comparing(Protocol):
    """A source that knows single observations, and so can compare both versions by them. The
    requests are of the same metric; what grows begins at their `since`."""

    def contrast(
        self, candidate: Request, baseline: Request, dependence: Dependence
    ) -> Contrast | None:
        """Both versions over a set that grows; None where it does not know single observations of
        this metric."""
        ...

    def shift(self, candidate: Request, baseline: Request) -> Measurement:
        """How far the candidate's newest observations lie from the baseline's, by their ranks."""
        ...

    def split(self, versions: tuple[str, str], since: datetime, now: datetime) -> Measurement:
        """The candidate's share of what (candidate, baseline) got in (since, now]."""
        ...


class SourceError(Exception):
    """A source cannot be opened or asked: the message says what and what to do."""


class UnknownSource(SourceError):
    """There is no such source to push to: the message says which there are."""


class TooManyError(SourceError):
    """More at once than one push may bring: the message says how many that is."""


class ClosedError(SourceError):
    """The source was closed, and another has taken its place: ask for that one."""


DEFAULT_TIMEOUT = timedelta(seconds=10)


class Absent:
    """A source that cannot be asked, such as one that wants for environment variables: an error
    of the source."""

    def __init__(self, why: str) -> None:
        """`why`, in words."""
        self._words = why

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
