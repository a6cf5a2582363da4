"""Metrics as queries: PostgreSQL, DuckDB over CSV, Parquet and JSON files, a DuckDB or SQLite file.

A query gives a row with the metric's column (`value`, if it names no other) and, where it knows
them, `samples`, `variance` and `as_of` (the newest observation). `$version`, `$since` and `$now`
are bound as parameters. Metrics that share a query are asked with one question; a query without
`$version` that gives a `version` column, one row each, answers for both versions at once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from controller.core.measurement import Measurement
from controller.policy.source import SqlSource as SqlModel
from controller.sources.base import Request, SourceError
from controller.sources.engines import ROWS, Engine, Given, QueryError, Table, open_files

VERSION = "version"
_PARAMETER = re.compile(r"\$(version|since|now)\b")

Question = tuple[str, tuple[tuple[str, str | datetime], ...]]
"""A query and what its parameters stand for: asked once for all who ask the same."""


class SqlSource:
    """Asks one database, read-only. No row or a null value is no data; an error, or an answer
    that takes longer than `timeout`, is an error. Safe for several threads."""

    def __init__(self, name: str, model: SqlModel, base_dir: Path) -> None:
        """Opens nothing yet: what is not there today may be there at the next tick."""
        self.name = name
        self._model = model
        self._base = base_dir
        self._newest: datetime | None = None
        self._asking = Lock()
        self._server: Engine | None = None

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        asked: dict[Question, list[int]] = {}
        for index, request in enumerate(requests):
            asked.setdefault(_question(request), []).append(index)
        found: dict[int, Measurement] = {}
        try:
            with self._opened() as engine:
                for question, indexes in asked.items():
                    wanted = [requests[index] for index in indexes]
                    answers = self._ask(engine, question, wanted)
                    found.update(zip(indexes, answers, strict=True))
        except SourceError as error:
            broken = Measurement(status="error", detail=str(error))
            return [found.get(index, broken) for index in range(len(requests))]
        return [found[index] for index in range(len(requests))]

    def last_received(self) -> datetime | None:
        """Newest `as_of` that any query has given."""
        return self._newest

    def check(self) -> str:
        """See `Source.check`."""
        seconds = self._model.timeout.total_seconds()
        with self._opened() as engine:
            try:
                engine.ask("select 1 as value", {}, seconds)
            except QueryError as error:
                raise SourceError(f"{self.name}: {error}") from None
            place = getattr(engine, "place", None) or self._model.database
            return f"reads {', '.join(self._model.tables) or place or 'no tables'}"

    def close(self) -> None:
        """Hang up on a server; files do not stay open between two looks."""
        with self._asking:
            server, self._server = self._server, None
            if server is not None:
                server.close()

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        """The files, opened for this look; or the server, one at a time."""
        if self._model.is_server:
            with self._asking:
                yield self._connected(self._model.database or "")
            return
        engine = open_files(self.name, self._model, self._base)
        try:
            yield engine
        finally:
            engine.close()

    def _connected(self, url: str) -> Engine:
        if self._server is None:
            from controller.sources.postgresql import PostgreSql

            self._server = PostgreSql(self.name, url)
        return self._server

    def _ask(
        self, engine: Engine, question: Question, requests: Sequence[Request]
    ) -> list[Measurement]:
        query, given = question
        try:
            table = engine.ask(query, dict(given), self._model.timeout.total_seconds())
            by_version = _rows(table, dict(given), requests)
        except QueryError as error:
            return [Measurement(status="error", detail=str(error)) for _ in requests]
        return [
            self._measurement(table.names, by_version.get(request.version), request)
            for request in requests
        ]

    def _measurement(
        self, names: Sequence[str], values: tuple[Any, ...] | None, request: Request
    ) -> Measurement:
        if request.column not in names:
            detail = f"no column `{request.column}` among: {', '.join(names)}"
            return Measurement(status="error", detail=detail)
        row = dict(zip(names, values, strict=True)) if values is not None else {}
        newest = _moment(row.get("as_of"))
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest
        if row.get(request.column) is None:
            return Measurement(status="no_data", detail="the query gave nothing", as_of=newest)
        try:
            value = float(row[request.column]) * request.factor
            variance = row.get(_variance(request.column))
            spread = None if variance is None else float(variance) * request.factor**2
            samples = int(row.get("samples", 0) or 0)
        except (TypeError, ValueError, OverflowError) as error:
            return Measurement(status="error", detail=f"not a number: {error}")
        detail = "" if "samples" in names else "no column `samples`: nobody knows of how many"
        return Measurement(
            value=value, samples=samples, detail=detail, mean=value, variance=spread, as_of=newest
        )


def _question(request: Request) -> Question:
    """Only what a query names is bound: so those that name no version ask the same."""
    values: Given = {VERSION: request.version, "since": request.since, "now": request.now}
    names: dict[str, None] = dict.fromkeys(_PARAMETER.findall(request.expression))
    return request.expression, tuple((name, values[name]) for name in names)


def _rows(table: Table, given: Given, requests: Sequence[Request]) -> Mapping[str, tuple[Any, ...]]:
    """The row of each version that is asked for. Raises QueryError."""
    versions = dict.fromkeys(request.version for request in requests)
    if VERSION in given or VERSION not in table.names:
        if VERSION not in given and len(versions) > 1:
            raise QueryError(
                "asked for both versions and tells them not apart: "
                "select a column `version`, or add `where version = $version`"
            )
        if len(table.rows) > 1:
            raise QueryError("more than one row; a metric is one number")
        return dict.fromkeys(versions, table.rows[0]) if table.rows else {}
    if len(table.rows) > ROWS:
        raise QueryError(f"more than {ROWS} rows; give one for each version")
    at = table.names.index(VERSION)
    found: dict[str, tuple[Any, ...]] = {}
    for row in table.rows:
        version = str(row[at])
        if version in versions and version in found:
            raise QueryError(f"more than one row of version {version}; a metric is one number")
        found[version] = row
    return found


def _variance(column: str) -> str:
    """Column of the variance of one observation of `column`."""
    return "variance" if column == "value" else f"{column}_variance"


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
