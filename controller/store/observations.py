"""Observations as they came in: batches chained by hash per source, and their idempotency keys.

A batch's hash covers its number, its time and the digest of its lines, so that pruned lines leave
a chain that still verifies.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from controller.store import codec
from controller.store.base import KEYS_KEPT, ObservationBatch
from controller.store.database import Database
from controller.store.tables import observation_keys, observations, sources

PAGE = 100
"""Batches read at a time."""
_CHUNK = 500


class BatchBody(Struct, frozen=True):
    """What a batch's hash covers. `received` in microseconds since 1970 UTC."""

    source: str
    number: int
    received: int
    digest: str


def batch_body(source: str, number: int, received: datetime, digest: str) -> bytes:
    """What the hash of a batch covers, beside the hash before."""
    return codec.encode(BatchBody(source, number, codec.micros(received), digest))


def append(
    connection: Connection, source: str, received: datetime, lines: bytes, keys: Sequence[str]
) -> ObservationBatch | None:
    """See `Store.append_observations`."""
    fresh = list(dict.fromkeys(keys))
    if _any_known(connection, source, fresh):
        return None
    newest = connection.execute(select(sources).where(sources.c.name == source)).first()
    if newest is None:
        number, previous, recorded = 1, codec.GENESIS, 0
        connection.execute(
            insert(sources).values(name=source, number=0, hash=codec.GENESIS, keys=0)
        )
    else:
        number, previous, recorded = newest.number + 1, newest.hash, newest.keys
    at, digest = codec.micros(received), codec.digest(lines)
    link = codec.link(previous, batch_body(source, number, received, digest))
    connection.execute(
        insert(observations).values(
            source=source,
            number=number,
            received=at,
            digest=bytes.fromhex(digest),
            previous=previous,
            hash=link,
            lines=lines,
        )
    )
    connection.execute(
        update(sources)
        .where(sources.c.name == source)
        .values(number=number, hash=link, keys=recorded + len(fresh))
    )
    _remember(connection, source, fresh, recorded)
    return ObservationBatch(
        source, number, codec.moment(at), lines, digest, previous.hex(), link.hex()
    )


_KNOWN = (
    select(observation_keys.c.key)
    .where(
        observation_keys.c.source == bindparam("of_source"),
        observation_keys.c.key.in_(bindparam("keys", expanding=True)),
    )
    .limit(1)
)


def _any_known(connection: Connection, source: str, keys: list[str]) -> bool:
    for start in range(0, len(keys), _CHUNK):
        some = {"of_source": source, "keys": keys[start : start + _CHUNK]}
        if connection.execute(_KNOWN, some).first() is not None:
            return True
    return False


def _remember(connection: Connection, source: str, keys: list[str], recorded: int) -> None:
    if not keys:
        return
    connection.execute(
        insert(observation_keys),
        [
            {"source": source, "key": key, "position": recorded + place}
            for place, key in enumerate(keys, 1)
        ],
    )
    connection.execute(
        delete(observation_keys).where(
            observation_keys.c.source == source,
            observation_keys.c.position <= recorded + len(keys) - KEYS_KEPT,
        )
    )


def batches(
    database: Database, source: str, after: int, *, pruned: bool
) -> Iterator[ObservationBatch]:
    """Batches with number > after, a page at a time; those that were pruned only if asked for."""
    while True:
        query = (
            select(observations)
            .where(observations.c.source == source, observations.c.number > after)
            .order_by(observations.c.number)
            .limit(PAGE)
        )
        if not pruned:
            query = query.where(observations.c.lines.is_not(None))
        with database.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            after = row.number
            yield ObservationBatch(
                source=source,
                number=row.number,
                received=codec.moment(row.received),
                lines=row.lines or b"",
                digest=row.digest.hex(),
                previous=row.previous.hex(),
                hash=row.hash.hex(),
            )
        if len(rows) < PAGE:
            return


def prune(connection: Connection, source: str, before: datetime) -> int:
    """See `Store.prune_observations`."""
    return connection.execute(
        update(observations)
        .where(
            observations.c.source == source,
            observations.c.received < codec.micros(before),
            observations.c.lines.is_not(None),
        )
        .values(lines=None)
    ).rowcount
