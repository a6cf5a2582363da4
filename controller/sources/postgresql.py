"""PostgreSQL as the SQL source asks it: one connection, kept, made anew when it was lost.

Every query runs in a transaction of its own that cannot write, through a cursor, so that the
server takes one `select` only and never sends more rows than are wanted. The server's own
`statement_timeout` ends what takes too long; a server that does not even say that is hung up on.
The password in the URL is never shown.
"""

import re
import socket
import threading
from contextlib import suppress
from datetime import datetime
from math import ceil
from os import dup
from typing import Any

from controller.sources.base import SourceError
from controller.sources.engines import ONLY_READS, ROWS, Given, QueryError, Table, no_answer

POSTGRESQL = "pip install 'rollout-controller[postgresql]'"
GRACE_SECONDS = 1.0
"""How much longer than the timeout the server's own word for it is waited for."""
_PARAMETER = re.compile(r"\$(version|since|now)\b")
_READS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*+(select|with|values|table)\b", re.IGNORECASE | re.DOTALL
)
_SETTINGS = "set local statement_timeout = {ms}; set local timezone = 'UTC'"


class PostgreSql:
    """One server. Not for several threads at once: its source takes turns."""

    def __init__(self, name: str, url: str) -> None:
        """Connects at the first question. Raises SourceError where the driver is missing or the
        URL cannot be read."""
        try:
            import psycopg
        except ImportError:
            raise SourceError(f"{name}: psycopg is missing; install it: {POSTGRESQL}") from None
        self._psycopg = psycopg
        self._name = name
        try:
            self._parameters: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            # Its words would show the URL, and with it a password.
            raise SourceError(
                f"{name}: the database's URL cannot be read; "
                "write postgresql://USER:PASSWORD@HOST:PORT/NAME"
            ) from None
        self._connection: Any = None

    @property
    def place(self) -> str:
        """Where it is, without what is secret."""
        given = self._parameters
        user = f"{given['user']}@" if "user" in given else ""
        port = f":{given['port']}" if "port" in given else ""
        host = given.get("host", "localhost")
        return f"postgresql://{user}{host}{port}/{given.get('dbname', '')}"

    def ask(self, query: str, given: Given, seconds: float) -> Table:
        """See `Engine.ask`. A connection that was lost since the last look is made anew, once.
        Raises SourceError when the server cannot be reached."""
        kept = self._connection is not None
        try:
            return self._ask(query, given, seconds)
        except _LostError:
            if not kept:
                raise
        return self._ask(query, given, seconds)

    def close(self) -> None:
        """See `Engine.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ask(self, query: str, given: Given, seconds: float) -> Table:
        psycopg = self._psycopg
        if not _READS.match(query):
            raise QueryError(ONLY_READS)
        connection = self._connected(seconds)
        text, values = _bound(query, given)
        hung = _HangUp(connection, seconds + GRACE_SECONDS)
        try:
            with hung, connection.transaction():
                connection.execute(_SETTINGS.format(ms=ceil(seconds * 1000)))
                with psycopg.RawServerCursor(connection, "metric") as cursor:
                    cursor.execute(text, values)
                    rows = cursor.fetchmany(ROWS + 1)
                    names = tuple(column.name.lower() for column in cursor.description or ())
                    return Table(names, tuple(rows))
        except psycopg.errors.QueryCanceled:
            raise QueryError(no_answer(seconds)) from None
        except psycopg.Error as error:
            if not connection.closed and not hung.happened:
                raise QueryError(self._words(error)) from None
            self.close()
            if hung.happened:
                raise QueryError(no_answer(seconds)) from None
            raise _LostError(f"{self._name}: {self._words(error)}") from None

    def _connected(self, seconds: float) -> Any:
        if self._connection is None:
            wanted: dict[str, Any] = {
                "connect_timeout": ceil(seconds),
                "application_name": "rollout",
            }
            try:
                self._connection = self._psycopg.connect(
                    **(wanted | self._parameters), autocommit=True
                )
            except self._psycopg.Error as error:
                raise SourceError(f"{self._name}: {self.place}: {self._words(error)}") from None
            self._connection.read_only = True
        return self._connection

    def _words(self, error: Exception) -> str:
        """What the server says, without the password."""
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        words = " ".join(str(primary or error).split())[:300]
        password = self._parameters.get("password")
        return words.replace(str(password), "***") if password else words


class _LostError(SourceError):
    """The connection broke while it was used."""


class _HangUp:
    """Shuts the line to a server that says nothing for `seconds`, not even that it gave up."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self.happened = False
        self._connection = connection
        self._asking = threading.Lock()
        self._timer = threading.Timer(seconds, self._late)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_error: object) -> None:
        with self._asking:
            self._timer.cancel()

    def _late(self) -> None:
        with self._asking:
            if self._timer.finished.is_set() or self._connection.closed:
                return
            self.happened = True
            with suppress(OSError), socket.socket(fileno=dup(self._connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)


def _bound(query: str, given: Given) -> tuple[str, list[str | datetime]]:
    """The query with `$1`, `$2` for its named parameters, and their values in that order."""
    names = list(given)
    text = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", query)
    return text.strip().rstrip(";"), [given[name] for name in names]
