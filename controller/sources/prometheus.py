"""Metrics as queries in PromQL, asked over the HTTP API of Prometheus or what speaks like it.

With `query` alone a metric is one instant query. With `value` beside it, the query is asked over
the window and `value` is the judge's aggregation of its points, the field being `value`.

- An answer without any series is no data: *stale* where the same query did give a number a while
  ago (`as_of` says when), *empty* where it did not. NaN and infinity are no data too.
- Several series, a label that is missing, an answer that is partial or late, an error of the
  server are errors, in its own words.
- The time of an instant answer is that of the look, except for a plain selector, where Prometheus
  knows the sample's own time, and where the metric has a query `as_of`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor, isfinite
from pathlib import Path

from msgspec.structs import replace

from controller.core.measurement import Measurement
from controller.judge.aggregate import measure
from controller.judge.window import Observation, Windows
from controller.policy.placeholders import PlaceholderError, Values, asks_for_version, fill_promql
from controller.policy.sampling import MOST_POINTS, points_of, step_of
from controller.policy.selector import is_selector
from controller.policy.source import PrometheusSource as Model
from controller.sources.base import Request, SourceError
from controller.sources.prometheus_api import Api, Found, Question, Series
from controller.sources.web import Web

LOOKED_BACK = timedelta(hours=1)
"""How far back an answer is looked for, at least, where there is none now."""
_LOOKS_BACK = 120
"""Points of that look."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One measurement, with the questions it needs; `error` where it cannot be asked."""

    request: Request
    main: Question
    samples: Question | None = None
    as_of: Question | None = None
    error: str = ""
    labelled: bool = False
    """Whether the answer is of all versions, told apart by the label."""

    @property
    def questions(self) -> list[Question]:
        return [q for q in (self.main, self.samples, self.as_of) if q is not None]


class PrometheusSource:
    """See `Source`. The same question is asked once in a look, whoever needs it."""

    def __init__(self, name: str, model: Model, base_dir: Path, web: Web | None = None) -> None:
        """Opens nothing yet."""
        self.name = name
        self._model = model
        self._api = Api(model, web or Web(name, model, base_dir))
        self._newest: datetime | None = None

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        deadline = self._api.deadline()
        wanted = [self._wanted(request) for request in requests]
        found = self._api.ask(
            [q for each in wanted if not each.error for q in each.questions], deadline
        )
        before = {
            each.main: _before(each)
            for each in wanted
            if not each.error and self._is_empty(found[each.main], each)
        }
        found |= self._api.ask(before.values(), deadline)
        measured = [self._measured(each, found, before) for each in wanted]
        for each in measured:
            if each.status == "ok" and each.as_of is not None:
                self._newest = max(self._newest or each.as_of, each.as_of)
        return measured

    def last_received(self) -> datetime | None:
        """Time of the newest number that any query has given."""
        return self._newest

    def check(self) -> str:
        """See `Source.check`. Its version where it tells, and whether its clock is ours."""
        try:
            return self._api.check()
        except SourceError as error:
            raise SourceError(f"{self.name}: {error}") from None

    def close(self) -> None:
        """See `Source.close`."""
        self._api.close()

    # Questions ----------------------------------------------------------------------------

    def _wanted(self, request: Request) -> _Wanted:
        values = Values(request.version, request.since, request.now)
        nothing = Question("", request.now)
        if values.window <= timedelta(0) and (
            "$window" in request.expression or request.beside.value is not None
        ):
            return _Wanted(request, nothing, error="empty")
        try:
            query = fill_promql(request.expression, values)
            samples = _filled(request.beside.samples, values)
            as_of = _filled(request.beside.as_of, values)
            over_window = request.beside.value is not None
            main = _over_window(query, request) if over_window else Question(query, request.now)
        except PlaceholderError as error:
            return _Wanted(request, nothing, error=f"{error}; {error.hint}")
        except SourceError as error:
            return _Wanted(request, nothing, error=str(error))
        if as_of is None and not over_window and is_selector(query):
            # Of a plain selector, Prometheus knows the sample's own time.
            as_of = f"timestamp({query})"
        return _Wanted(
            request,
            main,
            None if samples is None else Question(samples, request.now),
            None if as_of is None else Question(as_of, request.now),
            labelled=self._is_labelled(request.expression),
        )

    def _is_labelled(self, query: str) -> bool:
        names_label = re.search(rf"\b{re.escape(self._model.version_label)}\b", query) is not None
        return names_label and not asks_for_version(query)

    # Answers ------------------------------------------------------------------------------

    def _is_empty(self, found: Found, wanted: _Wanted) -> bool:
        return not found.error and not self._mine(found, wanted)[0]

    def _mine(self, found: Found, wanted: _Wanted) -> tuple[list[Series], str]:
        """The series that are meant, and what is wrong with them."""
        series = list(found.series)
        label = self._model.version_label
        if not asks_for_version(wanted.request.expression):
            told = [each for each in series if label in each.labels]
            if told:
                mine = [e for e in told if e.labels[label] == wanted.request.version]
                return mine, _too_many(mine)
            if series and wanted.labelled:
                return series, (
                    f"the answer has no label {label!r}: add `by ({label})`, or ask with "
                    f'{{{label}="$version"}}'
                )
        return series, _too_many(series)

    def _measured(
        self,
        wanted: _Wanted,
        found: Mapping[Question, Found],
        before: Mapping[Question, Question],
    ) -> Measurement:
        request = wanted.request
        if wanted.error == "empty":
            return Measurement(status="no_data", detail="empty: the window has only begun")
        if wanted.error:
            return Measurement(status="error", detail=wanted.error)
        main = found[wanted.main]
        series, wrong = self._mine(main, wanted)
        if main.error or wrong:
            return Measurement(status="error", detail=main.error or wrong)
        if not series:
            return self._nothing(wanted, main, found[before[wanted.main]])
        if request.beside.value is not None:
            return _aggregated(series[0], request, main.notes)
        try:
            samples = self._beside(wanted, wanted.samples, "samples", found)
            as_of = self._beside(wanted, wanted.as_of, "as_of", found)
        except SourceError as error:
            return Measurement(status="error", detail=str(error))
        at, value = series[0].points[-1]
        moment = _moment(at if as_of is None else as_of)
        counted = floor(samples) if samples is not None else 0
        if not isfinite(value):
            detail = f"the value is {value}"
            return Measurement(status="no_data", samples=counted, detail=detail, as_of=moment)
        value *= request.factor
        return Measurement(
            value=value, samples=counted, detail=main.notes, mean=value, as_of=moment
        )

    def _nothing(self, wanted: _Wanted, main: Found, before: Found) -> Measurement:
        """No data; whether it is stale or empty."""
        others = sorted(
            {label for e in main.series if (label := e.labels.get(self._model.version_label))}
        )
        there = f" (versions there: {', '.join(others)})" if others else ""
        if before.error:
            return Measurement(status="no_data", detail=f"nothing now{there}; {before.error}")
        mine, _ = self._mine(before, wanted)
        times = [at for each in mine for at, value in each.points if isfinite(value)]
        if not times:
            return Measurement(status="no_data", detail=f"empty: no series answers{there}")
        last = _moment(max(times))
        detail = f"stale: the last answer was about {last:%Y-%m-%d %H:%M:%S} UTC{there}"
        return Measurement(status="no_data", detail=detail, as_of=last)

    def _beside(
        self,
        wanted: _Wanted,
        question: Question | None,
        what: str,
        found: Mapping[Question, Found],
    ) -> float | None:
        """The number of a question beside; no series counts as 0 samples. Raises SourceError."""
        if question is None:
            return None
        answer = found[question]
        series, wrong = self._mine(answer, wanted)
        if answer.error or wrong:
            raise SourceError(f"{what}: {answer.error or wrong}")
        if not series:
            if what == "samples":
                return 0.0
            raise SourceError(f"{what}: the query gave nothing")
        number = series[0].points[-1][1]
        if not isfinite(number) or not 0 <= number < _FAR:
            raise SourceError(f"{what}: {number} is no number of {what}")
        if what == "as_of" and number > wanted.request.now.timestamp() + _AHEAD:
            raise SourceError(f"as_of: {_moment(number):%Y-%m-%d %H:%M:%S} UTC is yet to come")
        return number


_FAR = 1e11
"""Neither seconds since 1970 nor samples are so many."""
_AHEAD = 60.0
"""Seconds by which a time may be ahead of ours."""


def _filled(query: str | None, values: Values) -> str | None:
    return None if query is None else fill_promql(query, values)


def _over_window(query: str, request: Request) -> Question:
    """Points in (since, now], the last one now. Raises SourceError where they are too many."""
    window = request.now - request.since
    step = step_of(request.beside.step, window)
    count = points_of(request.beside.step, window)
    if count > MOST_POINTS:
        raise SourceError(
            f"{count:,} points, and Prometheus gives {MOST_POINTS:,}: write a longer step, or "
            "leave it out"
        )
    return Question(query, request.now, request.now - (count - 1) * step, step)


def _before(wanted: _Wanted) -> Question:
    """The same query over a while that ends now, to see whether it ever gave an answer."""
    request = wanted.request
    span = max(LOOKED_BACK, 2 * (request.max_age or timedelta(0)))
    step = timedelta(seconds=max(1, round(span.total_seconds() / _LOOKS_BACK)))
    return Question(wanted.main.query, request.now, request.now - span, step)


def _aggregated(series: Series, request: Request, notes: str) -> Measurement:
    """The judge's aggregation of the points: the same formulas as for pushed observations."""
    windows = Windows(MOST_POINTS)
    for at, value in series.points:
        if isfinite(value):
            windows.add(Observation(request.version, _moment(at), {"value": value}))
    measured = measure(
        windows.window(request.version),
        request.beside.value or "",
        request.since,
        request.now,
        capital=request.capital,
        factor=request.factor,
        bar=request.bar,
        calendar=request.calendar,
    )
    if notes and not measured.detail:
        return replace(measured, detail=notes)
    return measured


def _too_many(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    shown = " and ".join(
        "{" + ", ".join(f'{k}="{v}"' for k, v in sorted(each.labels.items())) + "}"
        for each in series[:2]
    )
    more = f", and {len(series) - 2} more" if len(series) > 2 else ""
    return f"{len(series)} series: {shown[:160]}{more}; say which one, or add them up with sum()"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
