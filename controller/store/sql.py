"""The store on a SQL database: where each transaction begins and ends.

`journal`, `outbox` and `observations` hold what happens inside; `database` what is peculiar to
SQLite. Safe for several threads: each call takes a connection of its own.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update

from controller.core.state import State
from controller.store import codec, journal, observations, outbox
from controller.store.base import (
    HEARTBEATS_KEPT,
    Attempt,
    Commit,
    DamagedError,
    Delivery,
    Entry,
    Head,
    ObservationBatch,
    Rollout,
    StoreError,
)
from controller.store.database import Bulk, Database
from controller.store.tables import controllers, identity, policies, rollouts, sources
from controller.store.tables import outbox as outbox_table


class SqlStore:
    """`Store` on a database whose schema is today's; `open_store` makes sure of that."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.read() as connection:
            self._identity: str = connection.execute(select(identity.c.identity)).scalar_one()

    @property
    def identity(self) -> str:
        """See `Store`."""
        return self._identity

    @property
    def directory(self) -> Path | None:
        """See `Store`."""
        return self.database.directory

    # policies -----------------------------------------------------------------------------
    def save_policy(self, digest: str, path: str, text: str) -> None:
        """See `Store`. Raises StoreError for another text under a known hash."""
        with self.database.write() as connection:
            query = select(policies.c.path, policies.c.text).where(policies.c.digest == digest)
            known = connection.execute(query).first()
            if known is None:
                connection.execute(insert(policies).values(digest=digest, path=path, text=text))
            elif known.text != text:
                raise StoreError(
                    f"{self.database.where}: policy {digest} is kept with another text; the file "
                    f"was {known.path}"
                )
            elif known.path != path:
                connection.execute(
                    update(policies).where(policies.c.digest == digest).values(path=path)
                )

    def policy_text(self, digest: str) -> tuple[str, str]:
        """See `Store`."""
        query = select(policies.c.path, policies.c.text).where(policies.c.digest == digest)
        with self.database.read() as connection:
            known = connection.execute(query).first()
        if known is None:
            raise StoreError(f"{self.database.where}: no policy {digest} was ever saved here")
        return known.path, known.text

    # rollouts -----------------------------------------------------------------------------
    def create(self, state: State, policy_path: str, next_due: datetime | None = None) -> bool:
        """See `Store`. Raises ValueError for a state that is not a first one (seq 0)."""
        if state.seq != 0:
            raise ValueError(f"a rollout begins at seq 0, not {state.seq}")
        encoded = codec.encode_state(state)
        with self.database.write() as connection:
            query = select(rollouts.c.name).where(rollouts.c.name == state.rollout)
            if connection.execute(query).first() is not None:
                return False
            connection.execute(
                insert(rollouts).values(
                    name=state.rollout,
                    seq=0,
                    hash=codec.GENESIS,
                    policy_path=policy_path,
                    state=encoded,
                    initial=encoded,
                    next_due=None if next_due is None else codec.micros(next_due),
                )
            )
        return True

    def rollouts(self) -> list[Rollout]:
        """See `Store`."""
        with self.database.read() as connection:
            rows = connection.execute(select(*_ROLLOUT).order_by(rollouts.c.name)).all()
        return [self._rollout(*row) for row in rows]

    def rollout(self, name: str) -> Rollout | None:
        """See `Store`."""
        with self.database.read() as connection:
            row = connection.execute(select(*_ROLLOUT).where(rollouts.c.name == name)).first()
        return None if row is None else self._rollout(*row)

    def claim_due(
        self, now: datetime, owner: str, lease: timedelta, limit: int = 100_000
    ) -> list[Rollout]:
        """See `Store`."""
        at, until = codec.micros(now), codec.micros(now + lease)
        free = and_(
            rollouts.c.next_due <= at,
            or_(
                rollouts.c.lease_owner.is_(None),
                rollouts.c.lease_owner == owner,
                rollouts.c.lease_until <= at,
            ),
        )
        due = select(*_ROLLOUT).where(free).order_by(rollouts.c.next_due, rollouts.c.name)
        with self.database.write() as connection:
            rows = connection.execute(due.limit(limit).with_for_update(skip_locked=True)).all()
            if len(rows) < limit:
                # All that are free: the same condition again beats naming each one.
                lease_all = update(rollouts).where(free)
                connection.execute(lease_all.values(lease_owner=owner, lease_until=until))
            else:
                _LEASE.execute(connection, [(owner, until, row.name) for row in rows])
        return [self._rollout(*row) for row in rows]

    def reschedule(self, now: datetime) -> int:
        """See `Store`."""
        at = codec.micros(now)
        with self.database.write() as connection:
            for table in (rollouts, outbox_table):
                connection.execute(
                    update(table).where(table.c.lease_until > at).values(lease_until=at)
                )
            connection.execute(
                update(outbox_table)
                .where(outbox_table.c.settled.is_(None), outbox_table.c.not_before > at)
                .values(not_before=at)
            )
            late = update(rollouts).where(rollouts.c.next_due > at).values(next_due=at)
            return connection.execute(late).rowcount

    def commit(self, commits: Sequence[Commit]) -> list[bool]:
        """See `Store`."""
        prepared = [journal.prepare(commit) for commit in commits]
        if not prepared:
            return []
        with self.database.write() as connection:
            accepted = journal.append(connection, prepared)
            written = [item for item, took in zip(prepared, accepted, strict=True) if took]
            outbox.write(connection, written)
        return accepted

    # journal ------------------------------------------------------------------------------
    def journal(self, rollout: str, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """See `Store`."""
        return journal.entries(self.database, rollout, after, limit)

    def last_entry(self, rollout: str) -> Entry | None:
        """See `Store`."""
        return journal.last_entry(self.database, rollout)

    def head(self, rollout: str) -> Head | None:
        """See `Store`."""
        query = select(rollouts.c.seq, rollouts.c.hash, rollouts.c.state, rollouts.c.initial).where(
            rollouts.c.name == rollout
        )
        with self.database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        initial = self._state(rollout, row.initial)
        return Head(row.seq, row.hash.hex(), codec.digest(row.state), initial)

    # outbox -------------------------------------------------------------------------------
    def claim_outbox(
        self, now: datetime, owner: str, lease: timedelta, limit: int = 1000
    ) -> list[Delivery]:
        """See `Store`."""
        with self.database.write() as connection:
            return outbox.claim(connection, now, owner, lease, limit)

    def claim_messages(
        self,
        now: datetime,
        owner: str,
        lease: timedelta,
        rollout: str | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """See `Store`."""
        with self.database.write() as connection:
            return outbox.claim_messages(connection, now, owner, lease, rollout, limit)

    def delivered(self, key: str, at: datetime, detail: str) -> None:
        """See `Store`."""
        with self.database.write() as connection:
            outbox.settle(connection, key, at, detail)

    def failed(self, key: str, at: datetime, error: str, retry_at: datetime) -> None:
        """See `Store`."""
        with self.database.write() as connection:
            outbox.postpone(connection, key, at, error, retry_at)

    def settle(
        self,
        at: datetime,
        delivered: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str, datetime]],
    ) -> None:
        """See `Store`."""
        with self.database.write() as connection:
            for key, detail in delivered:
                outbox.settle(connection, key, at, detail)
            for key, error, retry_at in failed:
                outbox.postpone(connection, key, at, error, retry_at)

    def outbox(self, rollout: str) -> list[Delivery]:
        """See `Store`."""
        with self.database.read() as connection:
            return outbox.waiting(connection, rollout)

    def attempts(self, key: str) -> list[Attempt]:
        """See `Store`."""
        with self.database.read() as connection:
            return outbox.history(connection, key)

    def shown(self, rollout: str) -> dict[str, Attempt]:
        """See `Store`."""
        with self.database.read() as connection:
            return outbox.shown(connection, rollout)

    # observations -------------------------------------------------------------------------
    def append_observations(
        self, source: str, received: datetime, lines: bytes, keys: Sequence[str] = ()
    ) -> ObservationBatch | None:
        """See `Store`."""
        with self.database.write() as connection:
            return observations.append(connection, source, received, lines, keys)

    def observations(self, source: str, after: int = 0) -> Iterator[ObservationBatch]:
        """See `Store`."""
        return observations.batches(self.database, source, after, pruned=False)

    def observation_chain(self, source: str) -> Iterator[ObservationBatch]:
        """See `Store`."""
        return observations.batches(self.database, source, 0, pruned=True)

    def observation_head(self, source: str) -> tuple[int, str]:
        """See `Store`."""
        query = select(sources.c.number, sources.c.hash).where(sources.c.name == source)
        with self.database.read() as connection:
            row = connection.execute(query).first()
        return (0, codec.GENESIS.hex()) if row is None else (row.number, row.hash.hex())

    def observation_sources(self) -> list[str]:
        """See `Store`."""
        with self.database.read() as connection:
            return list(connection.scalars(select(sources.c.name).order_by(sources.c.name)))

    def prune_observations(self, source: str, before: datetime) -> int:
        """See `Store`."""
        with self.database.write() as connection:
            return observations.prune(connection, source, before)

    # the controller itself ----------------------------------------------------------------
    def beat(self, owner: str, at: datetime, note: str) -> None:
        """See `Store`."""
        row = {"at": codec.micros(at), "note": note}
        with self.database.write() as connection:
            known = update(controllers).where(controllers.c.owner == owner).values(row)
            if connection.execute(known).rowcount == 0:
                connection.execute(insert(controllers).values(owner=owner, **row))
                _forget_old_controllers(connection)

    def heartbeats(self) -> list[tuple[str, datetime, str]]:
        """See `Store`."""
        query = select(controllers).order_by(controllers.c.at.desc(), controllers.c.owner)
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        return [(row.owner, codec.moment(row.at), row.note) for row in rows]

    def close(self) -> None:
        """See `Store`."""
        self.database.close()

    def __enter__(self) -> "SqlStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rollout(self, state: bytes, path: str, next_due: int | None, name: str) -> Rollout:
        due = None if next_due is None else codec.moment(next_due)
        return Rollout(self._state(name, state), path, due)

    def _state(self, name: str, encoded: bytes) -> State:
        try:
            return codec.decode_state(encoded)
        except msgspec.MsgspecError as error:
            raise DamagedError(
                f"{self.database.where}: the state of {name!r} is damaged ({error}); keep a copy "
                "and restore a backup"
            ) from error


_LEASE = Bulk(
    update(rollouts)
    .where(rollouts.c.name == bindparam("of_name"))
    .values(lease_owner=bindparam("to"), lease_until=bindparam("until")),
    "to",
    "until",
    "of_name",
)
_ROLLOUT = (rollouts.c.state, rollouts.c.policy_path, rollouts.c.next_due, rollouts.c.name)


def _forget_old_controllers(connection: Connection) -> None:
    newest = select(controllers.c.owner).order_by(controllers.c.at.desc()).limit(HEARTBEATS_KEPT)
    connection.execute(delete(controllers).where(controllers.c.owner.not_in(newest)))
