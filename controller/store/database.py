"""The database behind the store: SQLite, and all that is peculiar to it.

Everything else of the store speaks SQLAlchemy Core. Another database needs its own `open_engine`
and its own words for what went wrong.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, Insert, Update, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from controller.store.base import DamagedError, StoreError

BUSY_SECONDS = 5.0
"""How long a call waits for another process's transaction, unless the URL says `?timeout=`."""
LOOK_AGAIN_SECONDS = 0.01
CHECKPOINT_PAGES = 4000
"""Pages in the write-ahead log before they are copied into the database: 16 MB."""
_WRITES = "writes"
_Row = tuple[str | int | bytes | None, ...]


class Database:
    """Transactions on one database. `write` takes the write lock at once, so what a transaction
    has read still holds when it writes. Whatever the database cannot do is a StoreError."""

    def __init__(self, engine: Engine, where: str, file: Path | None) -> None:
        """`file`: where it is kept; None without one."""
        self.engine = engine
        self.where = where
        self.directory = file.parent if file is not None else None
        self._file = file
        self._opened: tuple[int, int] | None = None

    def is_open(self) -> None:
        """The file that is there now is the one to stay with."""
        if self._file is not None:
            self._opened = _identity(self._file)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view."""
        self._must_be_there()
        with self.errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing, durable on leaving."""
        self._must_be_there()
        with self.errors(), self.engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns the driver's errors into StoreErrors that say what to do."""
        try:
            yield
        except DBAPIError as error:
            raise _explained(error.orig, self.where) from error
        except sqlite3.Error as error:
            raise _explained(error, self.where) from error
        except (PoolTimeout, DisconnectionError) as error:
            raise StoreError(
                f"{self.where}: every connection is in use; try again, or run fewer at once"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _must_be_there(self) -> None:
        """An open file can be removed or replaced, and SQLite goes on with what nobody will ever
        find again."""
        if self._file is not None and self._opened != _identity(self._file):
            raise StoreError(
                f"{self.where}: the file was removed or replaced while it was in use; nothing more "
                "is written to it: put it back, or start this program again with what is there now"
            )


def _identity(file: Path) -> tuple[int, int] | None:
    """Of a file, whatever its name; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Bulk:
    """A statement for thousands of rows: compiled once, then handed to the driver as it is.
    SQLAlchemy's own handling of each parameter costs three times what SQLite does with it.

    Rows are tuples in the order of `names`; values must be what the driver takes: str, int,
    bytes, None. Name them in the order of the statement's text, and rows pass untouched."""

    def __init__(self, statement: Insert | Update, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._compiled: tuple[str, Callable[[Sequence[_Row]], Sequence[Any]]] | None = None

    def execute(self, connection: Connection, rows: Sequence[_Row]) -> int:
        """Run it for every row. Returns how many rows of the table it touched."""
        if self._compiled is None:
            self._compiled = self._compile(connection)
        text, arranged = self._compiled
        return connection.exec_driver_sql(text, arranged(rows)).rowcount

    def _compile(
        self, connection: Connection
    ) -> tuple[str, Callable[[Sequence[_Row]], Sequence[Any]]]:
        names = self._names
        compiled = self._statement.compile(dialect=connection.dialect, column_keys=list(names))
        positions = compiled.positiontup
        if positions is None:
            return str(compiled), lambda rows: [dict(zip(names, row, strict=True)) for row in rows]
        if tuple(positions) == names:
            return str(compiled), lambda rows: rows
        pick = itemgetter(*(names.index(name) for name in positions))
        return str(compiled), lambda rows: [pick(row) for row in rows]


def open_database(url: URL, *, create: bool) -> Database:
    """The database of a `sqlite://` URL. Raises StoreError if it is not there and not to be
    created, or cannot be opened."""
    in_memory = url.database in (None, "", ":memory:")
    no_file = in_memory or "uri" in url.query
    where = "database in memory" if in_memory else f"database {url.database}"
    if not no_file:
        _check_path(Path(str(url.database)), where, create=create)
    patience = _patience(url)
    arguments: dict[str, Any] = {"check_same_thread": False, "timeout": patience}
    # A database in memory lives in its one connection: everybody takes turns on it.
    pool = {"pool_size": 1, "max_overflow": 0} if in_memory else {"pool_size": 5}
    engine = create_engine(url, poolclass=QueuePool, connect_args=arguments, **pool)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    file = None if no_file else Path(str(url.database)).absolute()
    database = Database(engine, where, file)
    try:
        with database.errors(), engine.connect() as connection:
            _use_write_ahead_log(connection, patience)
        database.is_open()
    except StoreError:
        database.close()
        raise
    return database


def _patience(url: URL) -> float:
    given = url.query.get("timeout", str(BUSY_SECONDS))
    try:
        return float(str(given))
    except ValueError:
        raise StoreError(f"the store's URL says timeout={given}: write seconds") from None


def _check_path(path: Path, where: str, *, create: bool) -> None:
    if path.is_dir():
        raise StoreError(f"{where}: that is a directory; name a file in it")
    if path.exists():
        return
    if not create:
        raise StoreError(f"{where}: there is none; `rollout run` makes it, or name another one")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{where}: its directory cannot be made ({error.strerror}); name another place"
        ) from error


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says, nowhere else
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_write_ahead_log(connection: Connection, patience: float) -> None:
    """The mode is a property of the file: asked for once, when it is not yet so. The driver's own
    cursor is used, for the mode cannot change within a transaction; and SQLite does not wait here
    by itself when several programs meet on a new file."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    until = monotonic() + patience
    while driver.execute("PRAGMA journal_mode").fetchone() == ("delete",):
        try:
            driver.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(LOOK_AGAIN_SECONDS)


_ADVICE: dict[int, str] = {
    sqlite3.SQLITE_BUSY: "locked by another program; it is tried again at the next call, and if "
    "it stays locked look for one that holds a transaction open (a backup, a shell)",
    sqlite3.SQLITE_LOCKED: "locked within this program; try again",
    sqlite3.SQLITE_READONLY: "read-only; give this user the right to write the file and its "
    "directory",
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was written: free some space, and the "
    "next call goes on",
    sqlite3.SQLITE_IOERR: "the disk reported an error; nothing of this was written: look at the "
    "disk and the system's log",
    sqlite3.SQLITE_CORRUPT: "damaged; stop, keep a copy of the file, its -wal and -shm, and "
    "restore a backup",
    sqlite3.SQLITE_NOTADB: "not a database; name the right file",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the path and this user's rights to it",
    sqlite3.SQLITE_PERM: "no right to it; give this user the right to read and write the file",
    sqlite3.SQLITE_CONSTRAINT: "refused, the rows contradict each other; nothing of this was "
    "written",
}


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _explained(error: BaseException | None, where: str) -> StoreError:
    """What, where, what to do. Extended codes hold the plain one in their low byte."""
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    advice = _ADVICE.get(code, "the database refused; `rollout audit verify` says if it is whole")
    kind = DamagedError if code in _DAMAGED else StoreError
    return kind(f"{where}: {advice} ({error})")
