"""The table of connect sessions, as revision 0001 makes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_integrations.backends.sqlalchemy.databases import Database


def create_connect_session(here: Database, /, *, unless_there: bool) -> None:
    """Create the table; with *unless_there*, where an upgrade that broke off has not."""
    op.create_table(
        "ci_connect_session",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("token_hash", here.key_bytes(32), nullable=False),
        sa.Column("actor_type", here.text(32), nullable=False),
        sa.Column("actor_id", here.text(255), nullable=False),
        sa.Column("providers", here.text(), nullable=False),
        sa.Column("slot", here.text(64), nullable=False),
        sa.Column("locale", here.text(64)),
        sa.Column("return_to", here.text()),
        sa.Column("origin", here.text()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("opened_at", sa.BigInteger),
        sa.Column("fingerprint", here.key_bytes(16), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", name="ci_connect_session_pk"),
        sa.UniqueConstraint("token_hash", name="ci_connect_session_token"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index(
        "ci_connect_session_expired", "ci_connect_session", ["expires_at", "tenant_id", "session_id"], if_not_exists=unless_there
    )
