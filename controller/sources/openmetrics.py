"""Metrics read from a page of metrics at each look: the text format of Prometheus (0.0.4) and
OpenMetrics 1.0.

A gauge is what the page says, or with `value` an aggregation over the looks in the window. A
counter is its rate a second over the window, a histogram or summary what `value` makes of what it
counted there. What was seen before is kept in memory, so a rate needs two looks after a start. The
page is taken for that of one process: a counter that fell began again at 0, and a series that was
not on the page before began since.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from controller.core.measurement import Measurement
from controller.policy.placeholders import PlaceholderError, Values, fill_promql, fill_url
from controller.policy.selector import Selector, SelectorError, parse_selector
from controller.policy.source import OpenMetricsSource as Model
from controller.sources.base import Request, SourceError
from controller.sources.track import Point, Track, TrackError
from controller.sources.web import Ask, Reply, Web, status_in_words

ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
SERIES = 1000
"""Series that one selector may match."""


class OpenMetricsSource:
    """See `Source`. A page is read once in a look, whoever needs it."""

    def __init__(self, name: str, model: Model, base_dir: Path, web: Web | None = None) -> None:
        """Opens nothing yet."""
        self.name = name
        self._model = model
        self._web = web or Web(name, model, base_dir)
        self._tracks: dict[tuple[str, str], Track] = {}
        self._lock = Lock()
        self._newest: datetime | None = None

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        asks = [self._to_ask(_values(request)) for request in requests]
        replies = self._web.ask_all(asks, self._web.deadline())
        pages: dict[Ask, list[Any] | SourceError] = {}
        with self._lock:
            fed: dict[tuple[str, str], str] = {}
            return [
                self._measured(request, ask, self._page(ask, replies, pages), fed)
                for request, ask in zip(requests, asks, strict=True)
            ]

    def last_received(self) -> datetime | None:
        """Time of the newest number that any page has given."""
        return self._newest

    def check(self) -> str:
        """See `Source.check`. A version is not known here: if the url asks for one, any answer
        shows that the server is there."""
        now = datetime.now(UTC)
        reply = self._web.ask(self._to_ask(Values("none", now, now)))
        if reply.status // 100 != 2 and "$version" in self._model.url:
            return f"answers (HTTP {reply.status} to a version that does not exist)"
        try:
            families = _families(reply)
        except SourceError as error:
            raise SourceError(f"{self.name}: {error}") from None
        series = sum(len(family.samples) for family in families)
        return f"answers with {series} series of {len(families)} metrics"

    def close(self) -> None:
        """See `Source.close`."""
        self._web.close()

    def _to_ask(self, values: Values) -> Ask:
        return Ask(fill_url(self._model.url, values), ACCEPT)

    def _page(
        self,
        ask: Ask,
        replies: Mapping[Ask, Reply | SourceError],
        pages: dict[Ask, list[Any] | SourceError],
    ) -> list[Any] | SourceError:
        if ask not in pages:
            reply = replies[ask]
            try:
                pages[ask] = reply if isinstance(reply, SourceError) else _families(reply)
            except SourceError as error:
                pages[ask] = SourceError(self._web.redacted(str(error)))
        return pages[ask]

    def _measured(
        self,
        request: Request,
        ask: Ask,
        page: list[Any] | SourceError,
        fed: dict[tuple[str, str], str],
    ) -> Measurement:
        """`fed` are the selectors that this look has taken in, with what was wrong."""
        if isinstance(page, SourceError):
            return Measurement(status="error", detail=str(page))
        try:
            text = fill_promql(request.expression, _values(request))
            key = (ask.url, text)
            track = self._tracks.setdefault(key, Track())
            if key not in fed:
                fed[key] = _feed(track, parse_selector(text), page, request.now)
            if fed[key]:
                return Measurement(status="error", detail=fed[key])
            measured = track.measure(request)
        except (PlaceholderError, SelectorError) as error:
            return Measurement(status="error", detail=f"{error}; {error.hint}")
        except TrackError as error:
            return Measurement(status="error", detail=str(error))
        if measured.status == "ok" and measured.as_of is not None:
            self._newest = max(self._newest or measured.as_of, measured.as_of)
        return measured


def _values(request: Request) -> Values:
    return Values(request.version, request.since, request.now)


def _families(reply: Reply) -> list[Any]:
    """Raises SourceError."""
    if reply.status // 100 != 2:
        raise SourceError(status_in_words(reply))
    read = openmetrics if "openmetrics" in reply.content_type else plain_text
    try:
        return list(read(reply.body.decode("utf-8")))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        kind = reply.content_type[:60] or "no type"
        words = str(error).splitlines()[:1] or [type(error).__name__]
        raise SourceError(f"not a page of metrics ({kind}): {words[0][:120]}") from None


def _feed(track: Track, selector: Selector, page: Iterable[Any], now: datetime) -> str:
    """Take in what a look saw; what is wrong with it."""
    try:
        kind, points = _matching(selector, page, now)
        track.feed(kind, points, now)
    except TrackError as error:
        return str(error)
    return ""


def _matching(
    selector: Selector, page: Iterable[Any], now: datetime
) -> tuple[str | None, list[Point]]:
    """Kind and points of the series that a selector means. Raises TrackError."""
    kind: str | None = None
    points: list[Point] = []
    for family in page:
        if not selector.name.startswith(family.name):
            continue
        for sample_kind, sample in _samples(family, selector):
            kind = sample_kind
            points.append(_point(sample, now))
            if len(points) > SERIES:
                raise TrackError(f"more than {SERIES} series match; say more of their labels")
    return kind, points


def _samples(family: Any, selector: Selector) -> Iterator[tuple[str, Any]]:
    """Of a histogram or summary named as a whole: its buckets, sum and count."""
    whole = family.type in ("histogram", "summary") and selector.name == family.name
    for sample in family.samples:
        if not selector.matches(sample.labels):
            continue
        if whole and sample.name.removeprefix(family.name) in ("_bucket", "_sum", "_count"):
            yield family.type, sample
        elif sample.name == selector.name or (
            family.type == "counter" and sample.name == f"{selector.name}_total"
        ):
            yield ("counter" if _counts(family.type, sample.name) else "gauge"), sample


def _counts(kind: str, name: str) -> bool:
    """Whether a sample only rises."""
    if kind == "counter":
        return name.endswith("_total")
    return kind in ("histogram", "summary") and name.endswith(("_bucket", "_sum", "_count"))


def _point(sample: Any, now: datetime) -> Point:
    at = now
    if sample.timestamp is not None:
        at = datetime.fromtimestamp(float(sample.timestamp), UTC)
    return Point(sample.name, tuple(sorted(sample.labels.items())), float(sample.value), at)
