"""Effects on their way: written with their decision, delivered at least once, in commit order."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.engine import Row

from controller.core.effect import Activate, Effect, Notify, SetParameters, SetShare
from controller.core.event import Acknowledgement
from controller.store import codec
from controller.store.base import ATTEMPTS_KEPT, Attempt, DamagedError, Delivery, StoreError
from controller.store.journal import Prepared
from controller.store.tables import attempts, outbox

DETAIL_KEPT = 2000
"""Characters kept of what a target said."""

DELIVERED = "delivered"
SHARE = SetShare.__struct_config__.tag
SUPERSEDED = "superseded"
MESSAGE = Notify.__struct_config__.tag

_waiting = outbox.c.settled.is_(None)


def write(connection: Connection, accepted: Sequence[Prepared]) -> None:
    """The effects of commits that were accepted: acknowledged ones leave, older ones for the
    same target make room, new ones enter."""
    for item in accepted:
        event = item.commit.event
        if isinstance(event, Acknowledgement) and event.ok:
            _acknowledge(connection, item.rollout, event, item.commit.decision.at)
    fresh = [(item, effect) for item in accepted for effect in item.commit.decision.effects]
    if not fresh:
        return
    rows: list[dict[str, object]] = []
    newest: dict[tuple[str, str, str], dict[str, object]] = {}
    for item, effect in fresh:
        row = _row(item, effect)
        if isinstance(effect, SetShare | Activate | SetParameters):
            place = (item.rollout, str(row["kind"]), effect.target)
            if place in newest:
                newest[place].update(_superseded(row))
            newest[place] = row
        rows.append(row)
    if newest:
        connection.execute(_SUPERSEDE, [_superseding(row) for row in newest.values()])
    connection.execute(insert(outbox), rows)


def _acknowledge(
    connection: Connection, rollout: str, event: Acknowledgement, at: datetime
) -> None:
    """An answer to a key that this rollout never sent is journaled, and moves nothing here."""
    sent = select(outbox.c.id).where(outbox.c.key == event.key, outbox.c.rollout == rollout)
    if connection.execute(sent).first() is not None:
        settle(connection, event.key, at, event.detail)


def _row(item: Prepared, effect: Effect) -> dict[str, object]:
    decision = item.commit.decision
    at = codec.micros(decision.at)
    return {
        "key": effect.key,
        "rollout": item.rollout,
        "seq": decision.state.seq,
        "kind": effect.__struct_config__.tag,
        "target": getattr(effect, "target", ""),
        "effect": codec.encode(effect),
        "created": at,
        "attempts": 0,
        "not_before": at,
        "last_error": "",
        "settled": None,
        "outcome": "",
    }


_SUPERSEDE = (
    update(outbox)
    .where(
        _waiting,
        outbox.c.rollout == bindparam("of_rollout"),
        outbox.c.kind == bindparam("of_kind"),
        outbox.c.target == bindparam("of_target"),
    )
    .values(settled=bindparam("at"), outcome=bindparam("word"))
)


def _superseding(row: dict[str, object]) -> dict[str, object]:
    return {
        "of_rollout": row["rollout"],
        "of_kind": row["kind"],
        "of_target": row["target"],
        "at": row["created"],
        "word": f"{SUPERSEDED} by {row['key']}",
    }


def _superseded(by: dict[str, object]) -> dict[str, object]:
    return {"settled": by["created"], "outcome": f"{SUPERSEDED} by {by['key']}"}


def claim(
    connection: Connection, now: datetime, owner: str, lease: timedelta, limit: int
) -> list[Delivery]:
    """See `Store.claim_outbox`. An effect that was never tried is due whatever the clock says:
    a clock that went back must not keep a rollback waiting."""
    due = _due(now, owner).where(outbox.c.kind != MESSAGE).order_by(outbox.c.id)
    return _leased(connection, due.limit(limit), now, owner, lease)


def claim_messages(
    connection: Connection,
    now: datetime,
    owner: str,
    lease: timedelta,
    rollout: str | None,
    limit: int,
) -> list[Delivery]:
    """See `Store.claim_messages`."""
    due = _due(now, owner).where(outbox.c.kind == MESSAGE)
    if rollout is not None:
        due = due.where(outbox.c.rollout == rollout)
    due = due.order_by(outbox.c.attempts > 0, outbox.c.id)
    return _leased(connection, due.limit(limit), now, owner, lease)


def _due(now: datetime, owner: str) -> Select[tuple[object, ...]]:
    at = codec.micros(now)
    return select(outbox).where(
        _waiting,
        or_(outbox.c.attempts == 0, outbox.c.not_before <= at),
        or_(
            outbox.c.lease_owner.is_(None),
            outbox.c.lease_owner == owner,
            outbox.c.lease_until <= at,
        ),
    )


def _leased(
    connection: Connection,
    due: Select[tuple[object, ...]],
    now: datetime,
    owner: str,
    lease: timedelta,
) -> list[Delivery]:
    until = codec.micros(now + lease)
    rows = connection.execute(due.with_for_update(skip_locked=True)).all()
    if rows:
        connection.execute(
            update(outbox)
            .where(outbox.c.id == bindparam("of_id"))
            .values(lease_owner=owner, lease_until=until),
            [{"of_id": row.id} for row in rows],
        )
    return [_delivery(row) for row in rows]


def waiting(connection: Connection, rollout: str) -> list[Delivery]:
    """Undelivered effects of one rollout, in commit order."""
    query = select(outbox).where(_waiting, outbox.c.rollout == rollout).order_by(outbox.c.id)
    return [_delivery(row) for row in connection.execute(query)]


def _delivery(row: Row[tuple[object, ...]]) -> Delivery:
    try:
        effect = codec.decode_effect(row.effect)
    except msgspec.MsgspecError as error:
        raise DamagedError(
            f"the effect {row.key!r} is damaged ({error}); keep a copy and restore a backup"
        ) from error
    return Delivery(
        rollout=row.rollout,
        effect=effect,
        attempts=row.attempts,
        not_before=codec.moment(row.not_before),
        created=codec.moment(row.created),
        last_error=row.last_error,
    )


def settle(connection: Connection, key: str, at: datetime, detail: str) -> None:
    """The effect arrived. Nothing more happens to one that is settled already."""
    count, settled = _state_of(connection, key)
    if settled:
        return
    connection.execute(
        update(outbox)
        .where(outbox.c.key == key)
        .values(settled=codec.micros(at), outcome=DELIVERED, attempts=count + 1)
    )
    _remember(connection, key, count + 1, at, True, detail)


def postpone(
    connection: Connection, key: str, at: datetime, error: str, retry_at: datetime
) -> None:
    """The effect did not arrive; it waits until `retry_at`, free for anybody."""
    count, settled = _state_of(connection, key)
    if settled:
        return
    connection.execute(
        update(outbox)
        .where(outbox.c.key == key)
        .values(
            attempts=count + 1,
            not_before=codec.micros(retry_at),
            lease_owner=None,
            lease_until=None,
            last_error=error[:DETAIL_KEPT],
        )
    )
    _remember(connection, key, count + 1, at, False, error)


def _state_of(connection: Connection, key: str) -> tuple[int, bool]:
    query = select(outbox.c.attempts, outbox.c.settled).where(outbox.c.key == key)
    row = connection.execute(query).first()
    if row is None:
        raise StoreError(f"no effect {key!r} was ever put in the outbox")
    return row.attempts, row.settled is not None


def _remember(
    connection: Connection, key: str, number: int, at: datetime, ok: bool, detail: str
) -> None:
    connection.execute(
        insert(attempts).values(
            key=key, number=number, at=codec.micros(at), ok=ok, detail=detail[:DETAIL_KEPT]
        )
    )
    if number > ATTEMPTS_KEPT:
        connection.execute(
            delete(attempts).where(
                attempts.c.key == key, attempts.c.number <= number - ATTEMPTS_KEPT
            )
        )


def history(connection: Connection, key: str) -> list[Attempt]:
    """See `Store.attempts`."""
    query = select(attempts).where(attempts.c.key == key).order_by(attempts.c.number)
    return [
        Attempt(row.number, codec.moment(row.at), row.ok, row.detail)
        for row in connection.execute(query)
    ]


def shown(connection: Connection, rollout: str) -> dict[str, Attempt]:
    """See `Store.shown`."""
    newest = (
        select(func.max(outbox.c.id))
        .where(
            outbox.c.rollout == rollout,
            outbox.c.kind == SHARE,
            outbox.c.outcome == DELIVERED,
        )
        .group_by(outbox.c.target)
    )
    query = (
        select(outbox.c.target, attempts)
        .join(attempts, attempts.c.key == outbox.c.key)
        .where(outbox.c.id.in_(newest), attempts.c.ok)
        .order_by(outbox.c.id)
    )
    return {
        row.target: Attempt(row.number, codec.moment(row.at), row.ok, row.detail)
        for row in connection.execute(query)
    }
