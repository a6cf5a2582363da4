"""Metrics as parts of a JSON document that is got over HTTP, found by JMESPath.

`query` gives the number: a number, or true and false as 1 and 0. Null, and what is not there, is no
data; anything else is an error. `samples` and `as_of` are found the same way. Metrics that ask for
the same document share one request.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError

from controller.core.measurement import Measurement
from controller.policy.placeholders import (
    PlaceholderError,
    Values,
    fill_jmespath,
    fill_json,
    fill_url,
)
from controller.policy.source import HttpSource as Model
from controller.sources.base import Request, SourceError
from controller.sources.web import Ask, Reply, Web, status_in_words

AHEAD = timedelta(minutes=1)
"""A document may be newer than our clock by this."""
_FAR = 1e11
"""Seconds since 1970 are not so many: those are milliseconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HttpSource:
    """See `Source`."""

    def __init__(self, name: str, model: Model, base_dir: Path, web: Web | None = None) -> None:
        """Opens nothing yet."""
        self.name = name
        self._model = model
        self._web = web or Web(name, model, base_dir)
        self._newest: datetime | None = None

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        asks = [self._to_ask(_values(request)) for request in requests]
        replies = self._web.ask_all(asks, self._web.deadline())
        documents: dict[Ask, Any] = {}
        measured = []
        for request, ask in zip(requests, asks, strict=True):
            try:
                if ask not in documents:
                    documents[ask] = self._document(replies[ask])
                measured.append(self._measured(request, documents[ask]))
            except SourceError as error:
                detail = self._web.redacted(str(error))
                measured.append(Measurement(status="error", detail=detail))
        return measured

    def last_received(self) -> datetime | None:
        """Time of the newest number that any document has given."""
        return self._newest

    def check(self) -> str:
        """See `Source.check`. A version is not known here: if the url asks for one, any answer
        shows that the server is there."""
        now = datetime.now(UTC)
        url = self._model.url
        reply = self._web.ask(self._to_ask(Values("none", now - AHEAD, now)))
        if reply.status // 100 != 2 and "$version" in f"{url}{self._model.body or ''}":
            return f"answers (HTTP {reply.status} to a version that does not exist)"
        try:
            document = self._document(reply)
        except SourceError as error:
            raise SourceError(f"{self.name}: {error}") from None
        keys = ", ".join(list(document)[:8]) if isinstance(document, dict) else "no object"
        return f"answers with JSON: {keys or 'an empty object'}"

    def close(self) -> None:
        """See `Source.close`."""
        self._web.close()

    def _to_ask(self, values: Values) -> Ask:
        body = self._model.body
        return Ask(
            fill_url(self._model.url, values),
            "application/json",
            None if body is None else fill_json(body, values).encode(),
        )

    def _document(self, reply: Reply | SourceError) -> Any:
        """Raises SourceError."""
        if isinstance(reply, SourceError):
            raise reply
        if reply.status // 100 != 2:
            raise SourceError(status_in_words(reply))
        try:
            return msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _lenient(reply)

    def _measured(self, request: Request, document: Any) -> Measurement:
        """Raises SourceError."""
        beside, now = request.beside, request.now
        as_of = now
        if beside.as_of is not None:
            as_of = _moment(_found("as_of", beside.as_of, request, document), now)
        samples = 0
        if beside.samples is not None:
            samples = _count(_found("samples", beside.samples, request, document))
        value = _found("query", request.expression, request, document)
        if value is None:
            detail = f"empty: nothing at {request.expression[:100]}"
            return Measurement(status="no_data", samples=samples, detail=detail)
        number = _number("query", value)
        if not isfinite(number):
            detail = f"the value is {number}"
            return Measurement(status="no_data", samples=samples, detail=detail, as_of=as_of)
        self._newest = max(self._newest or as_of, as_of)
        number *= request.factor
        return Measurement(value=number, samples=samples, mean=number, as_of=as_of)


def _values(request: Request) -> Values:
    return Values(request.version, request.since, request.now)


def _lenient(reply: Reply) -> Any:
    """Python's own JSON also knows NaN and Infinity, which many writers write."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        kind = reply.content_type[:60] or "no type"
        raise SourceError(f"the answer is not JSON ({kind}); is the url right?") from None


def _found(what: str, expression: str, request: Request, document: Any) -> Any:
    """Raises SourceError."""
    try:
        return jmespath.search(fill_jmespath(expression, _values(request)), document)
    except PlaceholderError as error:
        raise SourceError(f"{what}: {error}; {error.hint}") from None
    except (JMESPathError, RecursionError, ArithmeticError, TypeError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise SourceError(f"{what}: {lines[0]}") from None


def _number(what: str, value: Any) -> float:
    """Raises SourceError."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    if isinstance(value, str):
        raise SourceError(f"{what} gives the text {value[:40]!r}; write to_number(...) around it")
    kind = "an object" if isinstance(value, dict) else "a list"
    raise SourceError(f"{what} gives {kind}, not a number; say which part of it is meant")


def _count(value: Any) -> int:
    """Raises SourceError. What is not there counts as none."""
    number = 0.0 if value is None else _number("samples", value)
    if not 0 <= number < _FAR:
        raise SourceError(f"samples gives {number:g}, not a number of observations")
    return int(number)


def _moment(value: Any, now: datetime) -> datetime:
    """Raises SourceError."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            if at.tzinfo is None:
                raise SourceError(f"as_of gives {value[:40]!r}, which has no time zone")
            at = at.astimezone(UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if not 0 <= value < _FAR:
                raise SourceError(f"as_of gives {value:g}; it takes seconds since 1970")
            at = _EPOCH + timedelta(seconds=value)
        else:
            raise SourceError("as_of gives nothing that is a time")
    except (ValueError, OverflowError):
        raise SourceError(f"as_of gives {str(value)[:40]!r}, which is no time") from None
    if at > now + AHEAD:
        raise SourceError(f"as_of: {at:%Y-%m-%d %H:%M:%S} UTC is yet to come")
    return at
