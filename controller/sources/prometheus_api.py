"""The HTTP API of Prometheus: questions out, series or words of trouble in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import time
from urllib.parse import urlencode

import msgspec

from controller.policy.source import PrometheusSource as Model
from controller.sources.base import SourceError
from controller.sources.web import Ask, Reply, Web, status_in_words

SKEW = 5.0
"""Seconds that two clocks may differ."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query at `now`; with `start` at every `step` from there to `now`."""

    query: str
    now: datetime
    start: datetime | None = None
    step: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Series:
    """Labels, and points of (seconds since 1970, value)."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a question gave: series, or an error. `notes` are Prometheus's own warnings."""

    series: Sequence[Series] = ()
    error: str = ""
    notes: str = ""


class Api:
    """Asks one server for one source."""

    def __init__(self, model: Model, web: Web) -> None:
        self._model = model
        self._web = web

    def deadline(self) -> float:
        """See `Web.deadline`."""
        return self._web.deadline()

    def ask(self, questions: Iterable[Question], deadline: float) -> dict[Question, Found]:
        """Each different question once, all by `deadline`. Trouble is a `Found` too."""
        asks = {question: self._to_ask(question) for question in questions}
        replies = self._web.ask_all(asks.values(), deadline)
        return {question: self._found(question, replies[ask]) for question, ask in asks.items()}

    def _found(self, question: Question, reply: Reply | SourceError) -> Found:
        if isinstance(reply, SourceError):
            return Found(error=str(reply))
        return self._read(reply, ranged=question.start is not None)

    def _to_ask(self, question: Question) -> Ask:
        if question.start is None:
            return self._post("query", {"query": question.query, "time": _seconds(question.now)})
        return self._post(
            "query_range",
            {
                "query": question.query,
                "start": _seconds(question.start),
                "end": _seconds(question.now),
                "step": f"{question.step.total_seconds():g}",
            },
        )

    def _post(self, path: str, parameters: Mapping[str, str]) -> Ask:
        """By POST, which takes a query of any length. A store of many parts (Thanos) must not
        answer with some of them; the others do not know the parameter."""
        seconds = f"{self._model.timeout.total_seconds():g}s"
        form = urlencode({**parameters, "timeout": seconds, "partial_response": "false"})
        url = f"{self._model.url.rstrip('/')}/api/v1/{path}"
        return Ask(url, "application/json", form.encode(), "application/x-www-form-urlencoded")

    def check(self) -> str:
        """What the server is, in a few words. Raises SourceError where it cannot be asked, and
        where its clock is another."""
        before = time()
        found = self._read(self._web.ask(self._post("query", {"query": "time()"})))
        if found.error:
            raise SourceError(found.error)
        skew = found.series[0].points[-1][1] - (before + time()) / 2
        words = f"answers{self._program()}"
        if abs(skew) > SKEW:
            side = "ahead of" if skew > 0 else "behind"
            raise SourceError(
                f"{words}, and its clock is {abs(skew):.0f}s {side} ours; numbers of another "
                "moment would be decided on: put the clocks right"
            )
        return words

    def close(self) -> None:
        """Let go of the connections."""
        self._web.close()

    def _program(self) -> str:
        try:
            url = f"{self._model.url.rstrip('/')}/api/v1/status/buildinfo"
            reply = self._web.ask(Ask(url, "application/json"))
            told = msgspec.json.decode(reply.body, type=_Program)
        except (SourceError, msgspec.DecodeError):
            return ""  # only a nicety, which many that speak like Prometheus do not have
        return f": Prometheus {told.data.version}"

    def _read(self, reply: Reply, *, ranged: bool = False) -> Found:
        try:
            answer = msgspec.json.decode(reply.body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if reply.status // 100 != 2:
                return Found(error=status_in_words(reply))
            kind = reply.content_type or "no type"
            words = f"not an answer of Prometheus ({kind[:60]}); is the url right?"
            return Found(error=words)
        if answer.status != "success":
            said = answer.error or status_in_words(reply)
            return Found(error=self._web.redacted(f"{answer.errorType or 'error'}: {said}"))
        # A store that could not be reached is told as a warning; what the query itself is warned
        # of says so.
        parts = [said for said in answer.warnings if not said.startswith("PromQL ")]
        if parts:
            return Found(error=self._web.redacted(f"partial: {'; '.join(parts)}"))
        notes = self._web.redacted("; ".join((*answer.warnings, *answer.infos)))
        try:
            return Found(_series(answer.data, ranged=ranged), notes=notes)
        except (msgspec.DecodeError, ValueError) as error:
            return Found(error=self._web.redacted(str(error)), notes=notes)


def _seconds(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


# The API's own shapes -----------------------------------------------------------------------

_Point = tuple[float, str]


class _Sequence(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    value: _Point | None = None
    values: tuple[_Point, ...] = ()


class _Data(msgspec.Struct, frozen=True):
    resultType: str
    result: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True):
    status: str
    data: _Data | None = None
    errorType: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


class _Build(msgspec.Struct, frozen=True):
    version: str


class _Program(msgspec.Struct, frozen=True):
    data: _Build


def _series(data: _Data | None, *, ranged: bool) -> list[Series]:
    """Raises ValueError and DecodeError for what is no number over time."""
    if data is None:
        raise ValueError("the answer holds no data")
    if data.resultType == "scalar":
        at, value = msgspec.json.decode(data.result, type=_Point)
        return [Series({}, [(at, float(value))])]
    if data.resultType != ("matrix" if ranged else "vector"):
        hint = "; take avg_over_time() of it, or write `value:`" if not ranged else ""
        raise ValueError(f"the query gives a {data.resultType}, not a number{hint}")
    read = msgspec.json.decode(data.result, type=tuple[_Sequence, ...])
    if any(each.value is None and not each.values for each in read):
        raise ValueError("the query gives histograms; take histogram_quantile() of them")
    return [
        Series(
            each.metric,
            [(at, float(value)) for at, value in each.values or _one(each)],
        )
        for each in read
    ]


def _one(found: _Sequence) -> tuple[_Point, ...]:
    return () if found.value is None else (found.value,)
