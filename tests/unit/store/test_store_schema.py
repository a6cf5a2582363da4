"""Opening: one schema however it was made, and a clear word for what is not a store."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL
from support.commits import created

from controller.store import open_store
from controller.store.base import StoreError
from controller.store.database import open_database
from controller.store.migrate import HEAD, KNOWN, MIGRATIONS, upgrade
from controller.store.tables import metadata


def _schema(path: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master").fetchall()
    connection.close()
    return {(name, " ".join(sql.replace('"', "").split())) for name, sql in rows}


def test_the_migrations_build_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    migrated, fresh = tmp_path / "migrated.db", tmp_path / "fresh.db"
    database = open_database(URL.create("sqlite", database=str(migrated)), create=True)
    with database.write() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()
    with open_store(str(migrated)) as store:
        created(store)
    open_store(str(fresh)).close()
    names = {name for name, _ in _schema(fresh)}
    assert {name for name, _ in _schema(migrated)} == names
    assert {"journal", "journal_rollout_seq", "outbox_waiting"} - names == {"journal_rollout_seq"}


def test_every_migration_is_known_and_the_last_one_is_the_head() -> None:
    files = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("*.py"))
    assert tuple(files) == KNOWN and KNOWN[-1] == HEAD


def test_an_older_schema_is_brought_up_to_date_in_place(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(str(path)) as store:
        created(store)
    _execute(path, "UPDATE alembic_version SET version_num = '0001'")
    _execute(path, "DROP TABLE store")
    with open_store(str(path)) as store:
        assert [r.state.rollout for r in store.rollouts()] == ["r"]
        drawn = store.identity
    with open_store(str(path)) as store:
        assert len(drawn) == 16 and store.identity == drawn


def test_every_store_has_a_name_of_its_own_and_a_copy_keeps_it(tmp_path: Path) -> None:
    here, there, copy = (tmp_path / f"{name}.db" for name in ("here", "there", "copy"))
    with open_store(str(here)) as one, open_store(str(there)) as another:
        assert one.identity != another.identity
        assert one.directory == tmp_path
        _execute(here, f"VACUUM INTO '{copy}'")
        with open_store(str(copy)) as restored:
            assert restored.identity == one.identity
    with open_store("sqlite://") as in_memory:
        assert in_memory.directory is None


def test_a_store_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(str(path)).close()
    _execute(path, "UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(StoreError, match=r"store\.db: written by a newer version .*upgrade"):
        open_store(str(path))


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    _execute(path, "CREATE TABLE customers (name TEXT)")
    with pytest.raises(StoreError, match=r"belongs to another program .*'customers'"):
        open_store(str(path))
    assert {name for name, _ in _schema(path)} == {"customers"}


def test_a_store_is_made_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    with pytest.raises(StoreError, match=r"there is none; `rollout run` makes it"):
        open_store(str(path), create=False)
    assert not path.parent.exists()
    open_store(str(path)).close()
    open_store(str(path), create=False).close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="empty"):
        open_store(str(tmp_path / "empty.db"), create=False)


def test_a_path_that_cannot_be_a_store_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="that is a directory"):
        open_store(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="its directory cannot be made"):
        open_store(str(tmp_path / "file" / "deeper" / "store.db"))


def test_a_url_that_is_not_supported_is_refused_without_its_password() -> None:
    with pytest.raises(StoreError, match="'postgresql' is not supported") as refused:
        open_store("postgresql://me:secret@host/db")
    with pytest.raises(StoreError, match="cannot be read") as unreadable:
        open_store("sqlite://:secret:many:ports@/")
    assert "secret" not in f"{refused.value}{unreadable.value}"


def test_a_timeout_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="timeout=soon: write seconds"):
        open_store(f"sqlite:///{tmp_path}/store.db?timeout=soon")


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db?timeout=0.5"
    with open_store(url) as store:
        created(store)
    with open_store(url) as store:
        assert [r.state.rollout for r in store.rollouts()] == ["r"]


def test_decisions_are_written_with_full_durability(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store.db")) as store, store.database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_the_interface_is_imported_without_a_database_library() -> None:
    code = "import sys, controller.store.base; print({'sqlalchemy', 'alembic'} & set(sys.modules))"
    assert _printed(code) == "set()"


def test_opening_a_store_of_today_imports_no_migration_tool(tmp_path: Path) -> None:
    code = (
        "import sys; from controller.store import open_store; "
        f"open_store({str(tmp_path / 's.db')!r}).close(); print('alembic' in sys.modules)"
    )
    assert _printed(code) == "False"


def _printed(code: str) -> str:
    """What a process of its own prints."""
    paths = {"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **paths}
    )
    return done.stdout.strip()


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
