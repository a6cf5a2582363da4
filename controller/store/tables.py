"""The tables. Times are microseconds since 1970 UTC; hashes are their 32 bytes.

The migrations build the same schema; a test compares the two.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()

Identity = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is called INTEGER."""


class Bytes(TypeDecorator[bytes]):
    """Bytes as they are. Where somebody's hand left text, its bytes: the audit shall name such a
    row, not stumble over it."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, _dialect: Dialect) -> bytes | None:
        return value.encode() if isinstance(value, str) else value


version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), primary_key=True),
)

identity = Table(
    "store",
    metadata,
    Column("identity", Text, primary_key=True),
)
"""One row: the name of this store, drawn when it was made. A copy of it keeps the name."""

policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("text", Text, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("next_due", BigInteger),
    Column("lease_owner", Text),
    Column("lease_until", BigInteger),
    Column("hash", Bytes, nullable=False),
    Column("policy_path", Text, nullable=False),
    Column("state", Bytes, nullable=False),
    Column("initial", Bytes, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("rollout", Text, ForeignKey("rollouts.name"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("previous", Bytes, nullable=False),
    Column("hash", Bytes, nullable=False),
    Column("body", Bytes, nullable=False),
    UniqueConstraint("rollout", "seq", name="journal_rollout_seq"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("rollout", Text, ForeignKey("rollouts.name"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("effect", Bytes, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", BigInteger),
    Column("last_error", Text, nullable=False),
    Column("settled", BigInteger),
    Column("outcome", Text, nullable=False),
)
"""An effect stays after it is settled, so that its key is never used twice."""
_waiting = outbox.c.settled.is_(None)
for _name, _columns in (
    ("outbox_waiting", (outbox.c.rollout, outbox.c.id)),
    # The claim asks in this order; without it SQLite walks over everything ever settled.
    ("outbox_order", (outbox.c.settled, outbox.c.id)),
):
    Index(_name, *_columns, sqlite_where=_waiting, postgresql_where=_waiting)

attempts = Table(
    "attempts",
    metadata,
    Column("key", Text, ForeignKey("outbox.key"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", Bytes, nullable=False),
    Column("keys", BigInteger, nullable=False),
)
"""Per source: the newest batch's number and hash, and how many keys were ever recorded."""

observations = Table(
    "observations",
    metadata,
    Column("source", Text, ForeignKey("sources.name"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("digest", Bytes, nullable=False),
    Column("previous", Bytes, nullable=False),
    Column("hash", Bytes, nullable=False),
    Column("lines", Bytes),
)
"""`lines` is gone after pruning; `digest` of the lines stays, so the chain still verifies."""

observation_keys = Table(
    "observation_keys",
    metadata,
    Column("source", Text, ForeignKey("sources.name"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Index("observation_keys_position", "source", "position"),
)

controllers = Table(
    "controllers",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)
