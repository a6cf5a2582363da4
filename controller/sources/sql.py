"""Metrics as queries: DuckDB over CSV, Parquet and JSON files, or a DuckDB or SQLite database."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from controller.core.measurement import Measurement
from controller.policy.models import SqlSource as SqlModel
from controller.sources.base import Request, SourceError

INSTALL = "pip install 'rollout-controller[sql]'"

_READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}


class _Engine(Protocol):
    """A connection of either engine, and how it speaks of time and of trouble."""

    errors: tuple[type[Exception], ...]
    connection: Any

    def moment(self, at: datetime) -> Any:
        """`at` as the engine compares it."""
        ...

    def only_reads(self, query: str) -> bool:
        """Whether `query` is one statement that writes nothing. Raises one of `errors`."""
        ...


class _DuckDb:
    """In memory; files are read where they are. Times are bound as they are."""

    def __init__(self) -> None:
        import duckdb

        self.errors: tuple[type[Exception], ...] = (duckdb.Error,)
        self.connection: Any = duckdb.connect(":memory:")
        self.connection.execute("set timezone = 'UTC'")

    def moment(self, at: datetime) -> Any:
        """See `_Engine.moment`."""
        return at

    def only_reads(self, query: str) -> bool:
        """See `_Engine.only_reads`. A database is attached read-only, but `copy ... to` could
        still write a file."""
        import duckdb

        found = self.connection.extract_statements(query)
        return [statement.type for statement in found] == [duckdb.StatementType.SELECT]


class _Sqlite:
    """Read-only. Times are bound as SQLite writes them: `2026-03-02 15:00:00`, in UTC."""

    def __init__(self, path: Path) -> None:
        self.errors: tuple[type[Exception], ...] = (sqlite3.Error, sqlite3.Warning)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self.connection: Any = sqlite3.connect(uri, uri=True, check_same_thread=False)

    def moment(self, at: datetime) -> Any:
        """See `_Engine.moment`."""
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    def only_reads(self, query: str) -> bool:
        """See `_Engine.only_reads`. The file is open read-only, and takes one statement."""
        return bool(query)


class SqlSource:
    """Asks DuckDB or SQLite; opens the files for each look and never writes to them.

    A query gives one row with `value` and, where it knows them, `samples`, `variance` and `as_of`
    (the newest observation). `$version`, `$since` and `$now` are bound as parameters. No row or a
    null value is no data; an error, or an answer that takes longer than `timeout`, is an error.
    """

    def __init__(self, name: str, model: SqlModel, base_dir: Path) -> None:
        """Opens nothing yet: a file that is not there today may be there at the next tick."""
        self.name = name
        self._model = model
        self._base = base_dir
        self._newest: datetime | None = None

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        try:
            with self._connected() as engine:
                return [self._ask(engine, request) for request in requests]
        except SourceError as error:
            return [Measurement(status="error", detail=str(error)) for _ in requests]

    def last_received(self) -> datetime | None:
        """Newest `as_of` that any query has given."""
        return self._newest

    def check(self) -> str:
        """See `Source.check`."""
        with self._connected() as engine:
            engine.connection.execute("select 1").fetchall()
            return f"reads {', '.join(self._model.tables) or self._model.database or 'no tables'}"

    def close(self) -> None:
        """Nothing stays open between two looks."""

    @contextmanager
    def _connected(self) -> Iterator[_Engine]:
        engine = self._open()
        try:
            try:
                self._attach(engine)
            except engine.errors as error:
                raise SourceError(f"{self.name}: {_first_line(error)}") from error
            yield engine
        finally:
            engine.connection.close()

    def _open(self) -> _Engine:
        if self._model.database is not None:
            file = self._existing(self._model.database)
            if _is_sqlite(file):
                return _Sqlite(file)
        try:
            return _DuckDb()
        except ImportError:
            raise SourceError(f"{self.name}: DuckDB is missing; install it: {INSTALL}") from None

    def _attach(self, engine: _Engine) -> None:
        if isinstance(engine, _Sqlite):
            return
        if self._model.database is not None:
            file = self._existing(self._model.database)
            engine.connection.execute(f"attach '{_quoted(file)}' as source (read_only)")
            engine.connection.execute("use source")
        for table, place in self._model.tables.items():
            engine.connection.execute(f'create temp view "{table}" as {self._reader(place)}')

    def _reader(self, place: str) -> str:
        reader = _READERS.get((self._base / place).suffix)
        if reader is None:
            raise SourceError(
                f"{self.name}: {place} is not a file this source reads "
                f"({', '.join(_READERS)}; a database goes into `database`)"
            )
        if "*" not in place:
            self._existing(place)
        return f"select * from {reader}('{_quoted(self._base / place)}')"

    def _existing(self, place: str) -> Path:
        path = self._base / place
        if not path.is_file():
            raise SourceError(f"{self.name}: there is no file {path}")
        return path

    def _ask(self, engine: _Engine, request: Request) -> Measurement:
        wanted = {
            "version": request.version,
            "since": engine.moment(request.since),
            "now": engine.moment(request.now),
        }
        given = {name: value for name, value in wanted.items() if f"${name}" in request.expression}
        seconds = self._model.timeout.total_seconds()
        asking, interrupted = threading.Lock(), threading.Event()

        def interrupt() -> None:
            # Not once the answer is there: that would hit the next query, or a closed connection.
            with asking:
                if not late.finished.is_set():
                    interrupted.set()
                    engine.connection.interrupt()

        late = threading.Timer(seconds, interrupt)
        late.start()
        try:
            if not engine.only_reads(request.expression):
                return Measurement(status="error", detail="not one `select`; a metric only reads")
            found = engine.connection.execute(request.expression, given)
            names = [column[0].lower() for column in found.description or ()]
            rows = found.fetchmany(2)
        except engine.errors as error:
            detail = (
                f"no answer within {seconds:g}s" if interrupted.is_set() else _first_line(error)
            )
            return Measurement(status="error", detail=detail)
        finally:
            with asking:
                late.cancel()
        return self._measurement(names, rows, request)

    def _measurement(
        self, names: list[str], rows: list[tuple[Any, ...]], request: Request
    ) -> Measurement:
        if "value" not in names:
            columns = ", ".join(names)
            return Measurement(status="error", detail=f"no column `value` among: {columns}")
        if len(rows) > 1:
            return Measurement(status="error", detail="more than one row; a metric is one number")
        row = dict(zip(names, rows[0], strict=True)) if rows else {}
        newest = _moment(row.get("as_of"))
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest
        if row.get("value") is None:
            return Measurement(status="no_data", detail="the query gave nothing", as_of=newest)
        try:
            value = float(row["value"]) * request.factor
            variance = row.get("variance")
            spread = None if variance is None else float(variance) * request.factor**2
            samples = int(row.get("samples", 0) or 0)
        except (TypeError, ValueError, OverflowError) as error:
            return Measurement(status="error", detail=f"not a number: {error}")
        detail = "" if "samples" in names else "no column `samples`: nobody knows of how many"
        return Measurement(
            value=value, samples=samples, detail=detail, mean=value, variance=spread, as_of=newest
        )


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
