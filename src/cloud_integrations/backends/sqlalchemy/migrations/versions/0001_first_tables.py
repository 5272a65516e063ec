"""The first tables.

Revision 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_integrations.backends.sqlalchemy.databases import database_of

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_SEALED = sa.LargeBinary(65535)


def upgrade() -> None:
    """Create the tables."""
    here = database_of(op.get_context())
    long_text = here.text()
    # If every CREATE commits at once, an upgrade that broke off has left some tables, and the next upgrade creates the others.
    unless_there = not here.undoes_ddl
    op.create_table(
        "ci_integration",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("integration_id", sa.Uuid, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("slot", here.text(64), nullable=False),
        sa.Column("name", here.text(50), nullable=False),
        sa.Column("auth_type", here.text(16), nullable=False),
        sa.Column("method_id", here.text(64), nullable=False),
        sa.Column("context_id", sa.Uuid),
        sa.Column("state", here.text(16), nullable=False),
        sa.Column("state_since", sa.BigInteger, nullable=False),
        sa.Column("reason", here.text(255)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("scopes", long_text, nullable=False),
        sa.Column("requested_scopes", long_text, nullable=False),
        sa.Column("missing_scopes", long_text, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("granted_at", sa.BigInteger),
        sa.Column("reconnect_before", sa.BigInteger),
        sa.Column("account_id", long_text),
        sa.Column("account_label", long_text),
        sa.Column("variables", long_text, nullable=False),
        sa.Column("renewal_rule", here.text(16), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Uuid, nullable=False),
        sa.Column("presented", here.many_bytes(), nullable=False),
        sa.Column("renewal", here.many_bytes()),
        sa.Column("presented_fingerprint", here.key_bytes(16)),
        sa.Column("renewal_fingerprint", here.key_bytes(16)),
        sa.Column("account_fingerprint", here.key_bytes(16)),
        sa.Column("writer_lease", sa.BigInteger, nullable=False),
        sa.Column("lease_token", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("lease_owner", here.text(255)),
        sa.Column("phase", here.text(16), nullable=False),
        sa.Column("attempt_id", here.text(64)),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger),
        sa.Column("last_error", here.text(255)),
        sa.Column("failed_at", sa.BigInteger),
        sa.Column("refused_since", sa.BigInteger),
        sa.Column("refreshed_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant_id", "integration_id", name="ci_integration_pk"),
        sa.UniqueConstraint("tenant_id", "provider_id", "slot", name="ci_integration_one_per_slot"),
        sa.CheckConstraint(
            "(renewal_rule IN ('refresh', 'mint') AND renewal IS NOT NULL) OR (renewal_rule IN ('keep', 'reconnect') AND renewal IS NULL)",
            name="ci_integration_renewal_fits",
        ),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index(
        "ci_integration_due",
        "ci_integration",
        ["due_at", "tenant_id", "integration_id"],
        if_not_exists=unless_there,
        **here.index_options("due_at IS NOT NULL"),
    )
    op.create_index("ci_integration_key", "ci_integration", ["key_id", "tenant_id"], if_not_exists=unless_there)
    for subject in ("presented", "renewal", "account"):
        columns = ["provider_id", f"{subject}_fingerprint", "tenant_id"]
        op.create_index(f"ci_integration_{subject}", "ci_integration", columns, if_not_exists=unless_there)
    for statement in here.tuning("ci_integration"):
        op.execute(statement)
    op.create_table(
        "ci_authorization",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("state_hash", here.key_bytes(32), nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("slot", here.text(64), nullable=False),
        sa.Column("awaits", here.text(16), nullable=False),
        sa.Column("method_id", here.text(64), nullable=False),
        sa.Column("context_id", sa.Uuid),
        sa.Column("integration_id", sa.Uuid, nullable=False),
        sa.Column("reconnects_generation", sa.BigInteger),
        sa.Column("actor_type", here.text(32), nullable=False),
        sa.Column("actor_id", here.text(255), nullable=False),
        sa.Column("browser_hash", here.key_bytes(32)),
        sa.Column("name", here.text(50), nullable=False),
        sa.Column("redirect_uri", long_text),
        sa.Column("scopes", long_text, nullable=False),
        sa.Column("sealed_parts", _SEALED),
        sa.Column("key_id", sa.Uuid),
        sa.Column("issuer", long_text),
        sa.Column("variables", long_text, nullable=False),
        sa.Column("return_to", long_text),
        sa.Column("poll_interval", sa.BigInteger),
        sa.Column("poll_next_at", sa.BigInteger),
        sa.Column("poll_count", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("consumed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant_id", "state_hash", name="ci_authorization_pk"),
        sa.UniqueConstraint("state_hash", name="ci_authorization_state"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_authorization_newest", "ci_authorization", ["tenant_id", "created_at"], if_not_exists=unless_there)
    op.create_index("ci_authorization_expired", "ci_authorization", ["expires_at", "tenant_id", "state_hash"], if_not_exists=unless_there)
    op.create_table(
        "ci_application",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("context_id", sa.Uuid, nullable=False),
        sa.Column("provider_id", sa.Uuid, nullable=False),
        sa.Column("method_id", here.text(64), nullable=False),
        sa.Column("client_id", long_text, nullable=False),
        sa.Column("secrets", sa.Integer, nullable=False),
        sa.Column("scopes", long_text, nullable=False),
        sa.Column("client_auth", here.text(16)),
        sa.Column("issuer", long_text),
        sa.Column("variables", long_text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Uuid, nullable=False),
        sa.Column("sealed_secrets", _SEALED, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "context_id", name="ci_application_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_application_key", "ci_application", ["key_id", "tenant_id"], if_not_exists=unless_there)
    op.create_table(
        "ci_key",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("key_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", here.text(16), nullable=False),
        sa.Column("active_marker", sa.SmallInteger),
        sa.Column("suite", sa.Integer, nullable=False),
        sa.Column("kek_uri", here.text(512), nullable=False),
        sa.Column("kek_key_id", here.key_bytes(16), nullable=False),
        sa.Column("wrapped", _SEALED, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("retired_at", sa.BigInteger),
        sa.Column("destroyed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant_id", "key_id", name="ci_key_pk"),
        sa.UniqueConstraint("tenant_id", "version", name="ci_key_version"),
        sa.UniqueConstraint("tenant_id", "active_marker", name="ci_key_one_active"),
        sa.CheckConstraint(
            "(state = 'active' AND active_marker = 1) OR (state <> 'active' AND active_marker IS NULL)", name="ci_key_active_is_marked"
        ),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_key_state", "ci_key", ["state", "key_id", "tenant_id"], if_not_exists=unless_there)
    op.create_table(
        "ci_key_floor",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("min_version", sa.Integer, nullable=False),
        sa.Column("erased_version", sa.Integer, nullable=False),
        sa.Column("erased_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant_id", name="ci_key_floor_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_table(
        "ci_key_check",
        sa.Column("kek_key_id", here.key_bytes(16), nullable=False),
        sa.Column("kek_uri", here.text(512), nullable=False),
        sa.Column("canary", here.key_bytes(4096), nullable=False),
        sa.PrimaryKeyConstraint("kek_key_id", name="ci_key_check_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_table(
        "ci_outbox",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("entry_id", sa.Uuid, nullable=False),
        sa.Column("integration_id", sa.Uuid, nullable=False),
        sa.Column("kind", here.text(32), nullable=False),
        sa.Column("index_key", here.text(64)),
        sa.Column("facts", long_text, nullable=False),
        sa.Column("sealed_payload", _SEALED),
        sa.Column("key_id", sa.Uuid),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", here.text(255)),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name="ci_outbox_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_outbox_due", "ci_outbox", ["kind", "next_attempt_at", "tenant_id", "entry_id"], if_not_exists=unless_there)
    op.create_index("ci_outbox_order", "ci_outbox", ["tenant_id", "integration_id", "kind", "created_at"], if_not_exists=unless_there)
    op.create_table(
        "ci_audit",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("actor_type", here.text(32), nullable=False),
        sa.Column("actor_id", here.text(255), nullable=False),
        sa.Column("action", here.text(64), nullable=False),
        sa.Column("resource", here.text(255), nullable=False),
        sa.Column("outcome", here.text(16), nullable=False),
        sa.Column("reason", here.text(255)),
        sa.Column("request_id", here.text(255)),
        sa.Column("details", long_text, nullable=False),
        sa.Column("previous_hash", here.key_bytes(32), nullable=False),
        sa.Column("hash", here.key_bytes(32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "seq", name="ci_audit_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_audit_resource", "ci_audit", ["tenant_id", "resource", "seq"], if_not_exists=unless_there)
    op.create_table(
        "ci_audit_head",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", here.key_bytes(32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="ci_audit_head_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
