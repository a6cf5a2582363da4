"""What a selector saw on a page of metrics, look by look, and what can be said of it.

Counters are added up over their series, each one's rises only: a fall is a new beginning at 0.
Memory is bounded by looks, whatever the window: of a longer one the newest part is judged, and
the detail says so.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite, isnan

from msgspec.structs import replace

from controller.core.measurement import Measurement
from controller.judge.aggregate import measure, parse
from controller.judge.buckets import bucket_quantile
from controller.judge.window import Observation, Windows
from controller.policy.aggregation import AggregationError
from controller.sources.base import Request

LOOKS = 10_000
"""Looks kept."""
_DROPPED = LOOKS // 100
AHEAD = timedelta(minutes=1)
"""A page may be newer than our clock by this."""
_ONE = ""
"""A track holds one version only."""


class TrackError(ValueError):
    """What was asked for cannot be said of these series; the words say why."""


@dataclass(frozen=True, slots=True)
class Point:
    """One series at one look; `at` is its own time where the page tells."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    at: datetime


class Track:
    """The looks of one selector. `Track` is not for several threads."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._newest: datetime | None = None
        self._there = False
        self._begin()

    def _begin(self) -> None:
        self._gauge = Windows(LOOKS)
        self._now: Point | None = None
        self._last: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._totals: dict[str, float] = {}
        self._times: list[datetime] = []
        self._risen: list[dict[str, float]] = []
        self._looked = False

    def feed(self, kind: str | None, points: Sequence[Point], now: datetime) -> None:
        """Take in what a look saw; `kind` is None where nothing matched. Raises TrackError."""
        if kind is not None and kind != self._kind:
            looked = self._looked and self._kind is None
            self._kind = kind
            self._begin()
            self._looked = looked
        self._there = bool(points)
        if kind == "gauge":
            self._feed_gauge(points, now)
        elif points:
            self._feed_counters(points, now)
        self._looked = True

    def measure(self, request: Request) -> Measurement:
        """What the metric declares, over the window of `request`. Raises TrackError."""
        if self._kind is None:
            return Measurement(status="no_data", detail="empty: no series matches")
        if not self._there:
            detail = "stale: no series matches any more"
            return Measurement(status="no_data", detail=detail, as_of=self._newest)
        if self._kind == "gauge":
            return self._gauge_now(request)
        return self._rate(request) if self._kind == "counter" else self._histogram(request)

    # Gauges -------------------------------------------------------------------------------

    def _feed_gauge(self, points: Sequence[Point], now: datetime) -> None:
        if len(points) > 1:
            shown = " and ".join(_shown(point) for point in points[:2])
            raise TrackError(f"{len(points)} series: {shown[:160]}; say which one")
        point = self._now = points[0]
        if point.at > now + AHEAD:
            raise TrackError(f"its time, {point.at:%Y-%m-%d %H:%M:%S} UTC, is yet to come")
        if isfinite(point.value) and point.at != self._newest:
            self._gauge.add(Observation(_ONE, point.at, {"value": point.value}))
            self._newest = point.at

    def _gauge_now(self, request: Request) -> Measurement:
        point = self._now
        assert point is not None
        if request.beside.value is not None:
            return measure(
                self._gauge.window(_ONE),
                request.beside.value,
                request.since,
                request.now,
                capital=request.capital,
                factor=request.factor,
                bar=request.bar,
                calendar=request.calendar,
            )
        if not isfinite(point.value):
            detail = f"the value is {point.value}"
            return Measurement(status="no_data", detail=detail, as_of=point.at)
        value = point.value * request.factor
        return Measurement(value=value, samples=1, mean=value, as_of=point.at)

    # Counters and histograms -------------------------------------------------------------------

    def _feed_counters(self, points: Sequence[Point], now: datetime) -> None:
        if self._times and now <= self._times[-1]:
            return
        for point in points:
            if isnan(point.value):
                continue
            key = (point.name, point.labels)
            before = self._last.get(key)
            if before is None:
                rise = point.value if self._looked else 0.0
            else:
                rise = point.value - before if point.value >= before else point.value
            self._last[key] = point.value
            part = _part(point)
            self._totals[part] = self._totals.get(part, 0.0) + rise
        gone = self._last.keys() - {(point.name, point.labels) for point in points}
        for key in gone:
            del self._last[key]
        self._newest = now
        self._times.append(now)
        self._risen.append(dict(self._totals))
        if len(self._times) > LOOKS:
            del self._times[:_DROPPED], self._risen[:_DROPPED]

    def _rises(self, request: Request) -> tuple[dict[str, float], float, int, str] | None:
        """By part what rose over the window, in how many seconds and looks, and what is to be
        said of it; None with less than two looks. It begins with the look at or before the
        window's start, so that windows that follow each other miss nothing."""
        high = bisect_right(self._times, request.now) - 1
        low = max(0, bisect_right(self._times, request.since) - 1)
        if high <= low:
            return None
        seconds = (self._times[high] - self._times[low]).total_seconds()
        first, last = self._risen[low], self._risen[high]
        risen = {part: total - first.get(part, 0.0) for part, total in last.items()}
        begin = self._times[low]
        late = begin > request.since
        detail = f"of the time since {begin:%Y-%m-%d %H:%M:%S} UTC" if late else ""
        return risen, seconds, high - low, detail

    def _rate(self, request: Request) -> Measurement:
        if request.beside.value is not None:
            raise TrackError("a counter gives its rate a second; leave `value` out")
        found = self._rises(request)
        if found is None:
            return self._too_early()
        risen, seconds, looks, detail = found
        value = sum(risen.values()) / seconds * request.factor
        return Measurement(
            value=value, samples=looks, detail=detail, mean=value, as_of=self._newest
        )

    def _histogram(self, request: Request) -> Measurement:
        text = request.beside.value or ""
        try:
            aggregation = parse(text)
        except AggregationError:
            aggregation = None
        if aggregation is None or aggregation.name not in ("mean", "quantile"):
            raise TrackError(
                f"a {self._kind} needs `value: mean(value)` or `value: quantile(value, 95%)`"
            )
        found = self._rises(request)
        if found is None:
            return self._too_early()
        risen, _, _, detail = found
        count = risen.get(_COUNT, 0.0)
        if count <= 0:
            detail = "empty: nothing was observed in the window"
            return Measurement(status="no_data", detail=detail, as_of=self._newest)
        if aggregation.name == "mean":
            value: float | None = risen.get(_SUM, 0.0) / count
        else:
            buckets = {
                float(part.removeprefix(_BUCKET)): rise
                for part, rise in risen.items()
                if part.startswith(_BUCKET)
            }
            value = bucket_quantile(buckets, aggregation.argument or 0.0)
        if value is None:
            raise TrackError(f"this {self._kind} has no buckets to tell a quantile from")
        value *= request.factor
        measured = Measurement(value=value, samples=int(count), mean=value, as_of=self._newest)
        return replace(measured, detail=detail)

    def _too_early(self) -> Measurement:
        detail = "empty: one look so far, and a rate needs two"
        return Measurement(status="no_data", detail=detail, as_of=self._newest)


_COUNT, _SUM, _BUCKET = "_count", "_sum", "_bucket:"


def _part(point: Point) -> str:
    """Which total a series belongs to."""
    if point.name.endswith("_bucket"):
        return _BUCKET + dict(point.labels).get("le", "nan")
    for part in (_COUNT, _SUM):
        if point.name.endswith(part):
            return part
    return _ONE


def _shown(point: Point) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in point.labels) + "}"
