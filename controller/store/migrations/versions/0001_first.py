"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "rollouts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("next_due", sa.BigInteger),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("policy_path", sa.Text, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("initial", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journal",
        sa.Column("id", IDENTITY, primary_key=True),
        sa.Column("rollout", sa.Text, sa.ForeignKey("rollouts.name"), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("rollout", "seq", name="journal_rollout_seq"),
    )
    _effects()
    _observations()
    op.create_table(
        "controllers",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def _effects() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", IDENTITY, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("rollout", sa.Text, sa.ForeignKey("rollouts.name"), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("effect", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("settled", sa.BigInteger),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    waiting = sa.text("settled IS NULL")
    for name, columns in (
        ("outbox_waiting", ["rollout", "id"]),
        ("outbox_order", ["settled", "id"]),
    ):
        op.create_index(name, "outbox", columns, sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "attempts",
        sa.Column("key", sa.Text, sa.ForeignKey("outbox.key"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )


def _observations() -> None:
    op.create_table(
        "sources",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("keys", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "observations",
        sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("lines", sa.LargeBinary),
    )
    op.create_table(
        "observation_keys",
        sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_index("observation_keys_position", "observation_keys", ["source", "position"])
