"""The schema's version: checked by one select, brought up to date by alembic when it is older.

A database with nothing in it gets today's tables directly; alembic is imported only for one that
an older program made.
"""

import secrets
from pathlib import Path

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import DatabaseError

from controller.store import tables
from controller.store.base import StoreError
from controller.store.database import Database

HEAD = "0002"
KNOWN = ("0001", "0002")
"""Every version that this program can read or bring up to date, oldest first."""

MIGRATIONS = Path(__file__).parent / "migrations"


def ensure_schema(database: Database, *, create: bool) -> None:
    """Make the database's schema today's. Raises StoreError for a newer one, for a database of
    another program, and for an empty one that is not to be created."""
    if _current(database) == HEAD:
        return
    with database.write() as connection:
        # Looked at again under the write lock: another process may have been faster.
        names = set(inspect(connection).get_table_names())
        if not names:
            if not create:
                raise StoreError(f"{database.where}: empty; `rollout run` fills it")
            _create(connection)
            return
        if tables.version.name not in names:
            raise StoreError(
                f"{database.where}: belongs to another program (it has a table "
                f"{min(names)!r} and no {tables.version.name!r}); name another file"
            )
        found = _version(connection)
        if found == HEAD:
            return
        if found not in KNOWN:
            raise StoreError(
                f"{database.where}: written by a newer version (its schema is {found!r}, this "
                f"program knows up to {HEAD!r}); upgrade rollout-controller"
            )
        upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _current(database: Database) -> str | None:
    """The version by one select; None if that cannot be said."""
    with database.errors(), database.engine.connect() as connection:
        try:
            return _version(connection)
        except DatabaseError as error:
            if "no such table" in str(error.orig):
                return None
            raise


def _version(connection: Connection) -> str | None:
    found: str | None = connection.scalar(select(tables.version.c.version_num))
    return found


def _create(connection: Connection) -> None:
    tables.metadata.create_all(connection)
    connection.execute(tables.version.insert().values(version_num=HEAD))
    connection.execute(tables.identity.insert().values(identity=secrets.token_hex(8)))
