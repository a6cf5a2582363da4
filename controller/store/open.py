"""`open_store`: the one way to get a store. SQLAlchemy is imported when it is called."""

from typing import TYPE_CHECKING

from controller.store.base import StoreError

if TYPE_CHECKING:
    from controller.store.sql import SqlStore


def open_store(url_or_path: str, *, create: bool = True) -> "SqlStore":
    """Open the store at a path, or at a `sqlite:///path` URL (`sqlite://` is one in memory,
    `?timeout=SECONDS` how long to wait for a lock), and bring its schema up to date.

    `create` makes it, and its directory, if there is none. Raises StoreError: not there, not
    ours, newer than this program, locked, read-only, full or damaged."""
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    from controller.store.database import open_database
    from controller.store.migrate import ensure_schema
    from controller.store.sql import SqlStore

    try:
        url = (
            make_url(url_or_path)
            if "://" in url_or_path
            else URL.create("sqlite", database=url_or_path)
        )
        if url.drivername not in ("sqlite", "sqlite+pysqlite"):
            raise StoreError(
                f"a store on {url.drivername!r} is not supported; name a file or a sqlite:/// URL"
            )
        database = open_database(url, create=create)
    except ArgumentError:
        # Its words would show the URL, and with it a password.
        raise StoreError(
            "the store's URL cannot be read; write a path, or sqlite:///path"
        ) from None
    try:
        ensure_schema(database, create=create)
    except BaseException:
        database.close()
        raise
    return SqlStore(database)
