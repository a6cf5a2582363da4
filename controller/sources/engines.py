"""Databases as the SQL source asks them: DuckDB over files, and a DuckDB or SQLite file.

Each look opens its files anew and never writes to them: a file that was replaced is read as it is
now. A server is another file (`postgresql`), with the same interface.
"""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from controller.policy.source import SqlSource as SqlModel
from controller.sources.base import SourceError

ROWS = 1000
"""Rows that one query may give: one for each version."""
DUCKDB = "pip install 'rollout-controller[sql]'"
ONLY_READS = "not one `select`; a metric only reads"

_READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}

Given = Mapping[str, str | datetime]
"""What a query's parameters stand for, by name."""


class QueryError(Exception):
    """One query has no answer; the message says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a query gave: names of columns in small letters, and at most `ROWS` + 1 rows."""

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Engine(Protocol):
    """One database, open."""

    def ask(self, query: str, given: Given, seconds: float) -> Table:
        """The answer to one `select`, within `seconds`. Raises QueryError."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_files(name: str, model: SqlModel, base_dir: Path) -> Engine:
    """The files of a source, open to be read. Raises SourceError."""
    if model.database is not None:
        file = _existing(name, base_dir / model.database)
        if _is_sqlite(file):
            return Sqlite(file)
    try:
        engine = DuckDb()
    except ImportError:
        raise SourceError(f"{name}: DuckDB is missing; install it: {DUCKDB}") from None
    try:
        engine.attach(name, model, base_dir)
    except BaseException:
        engine.close()
        raise
    return engine


class DuckDb:
    """In memory; files are read where they are. Times are bound as they are."""

    def __init__(self) -> None:
        import duckdb

        self._duckdb = duckdb
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("set timezone = 'UTC'")

    def attach(self, name: str, model: SqlModel, base_dir: Path) -> None:
        """Make the model's database or tables known. Raises SourceError."""
        try:
            if model.database is not None:
                file = _quoted(base_dir / model.database)
                self._connection.execute(f"attach '{file}' as source (read_only)")
                self._connection.execute("use source")
            for table, place in model.tables.items():
                read = _reader(name, place, base_dir)
                self._connection.execute(f'create temp view "{table}" as {read}')
        except self._duckdb.Error as error:
            raise SourceError(f"{name}: {first_line(error)}") from error

    def ask(self, query: str, given: Given, seconds: float) -> Table:
        """See `Engine.ask`. A database is attached read-only, but `copy ... to` could still write
        a file: so nothing else than one `select` is run."""
        with _Interrupted(self._connection.interrupt, seconds) as late:
            try:
                kinds = [found.type for found in self._connection.extract_statements(query)]
                if kinds != [self._duckdb.StatementType.SELECT]:
                    raise QueryError(ONLY_READS)
                return _table(self._connection.execute(query, dict(given)))
            except self._duckdb.Error as error:
                raise QueryError(late.words or first_line(error)) from error

    def close(self) -> None:
        """See `Engine.close`."""
        self._connection.close()


class Sqlite:
    """Read-only. Times are bound as SQLite writes them: `2026-03-02 15:00:00`, in UTC."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)

    def ask(self, query: str, given: Given, seconds: float) -> Table:
        """See `Engine.ask`. The driver takes one statement, and the file is open read-only."""
        bound = {name: _as_sqlite(value) for name, value in given.items()}
        with _Interrupted(self._connection.interrupt, seconds) as late:
            try:
                return _table(self._connection.execute(query, bound))
            except (sqlite3.Error, sqlite3.Warning) as error:
                raise QueryError(late.words or first_line(error)) from error

    def close(self) -> None:
        """See `Engine.close`."""
        self._connection.close()


class _Interrupted:
    """Interrupts what runs inside once `seconds` have passed; never what comes after it."""

    def __init__(self, interrupt: Callable[[], None], seconds: float) -> None:
        self.words = ""
        """Why there is no answer, once it was interrupted."""
        self._interrupt, self._seconds = interrupt, seconds
        self._asking = threading.Lock()
        self._timer = threading.Timer(seconds, self._late)

    def __enter__(self) -> "_Interrupted":
        self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._asking:
            self._timer.cancel()

    def _late(self) -> None:
        with self._asking:
            if not self._timer.finished.is_set():
                self.words = no_answer(self._seconds)
                self._interrupt()


def no_answer(seconds: float) -> str:
    """What is said of a query that took too long."""
    return f"no answer within {seconds:g}s"


def first_line(error: Exception) -> str:
    """Of what a driver says, the part that helps."""
    return str(error).strip().split("\n")[0][:300]


def _table(found: Any) -> Table:
    names = tuple(column[0].lower() for column in found.description or ())
    return Table(names, tuple(found.fetchmany(ROWS + 1)))


def _reader(name: str, place: str, base_dir: Path) -> str:
    reader = _READERS.get((base_dir / place).suffix)
    if reader is None:
        raise SourceError(
            f"{name}: {place} is not a file this source reads "
            f"({', '.join(_READERS)}; a database goes into `database`)"
        )
    if "*" not in place:
        _existing(name, base_dir / place)
    return f"select * from {reader}('{_quoted(base_dir / place)}')"


def _existing(name: str, path: Path) -> Path:
    if not path.is_file():
        raise SourceError(f"{name}: there is no file {path}")
    return path


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _as_sqlite(value: str | datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
