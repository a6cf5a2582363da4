"""A name of the store's own, by which targets tell it from another."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    store = op.create_table("store", sa.Column("identity", sa.Text, primary_key=True))
    op.bulk_insert(store, [{"identity": secrets.token_hex(8)}])
