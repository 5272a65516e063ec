"""The first tables.

Revision 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.backends.sqlalchemy.migrations.connect_session_table import create_connect_session
from cloud_integrations.backends.sqlalchemy.migrations.integration_table import create_integration

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
    create_integration(here, unless_there=unless_there)
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
        "ci_session",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("agent_type", here.text(32), nullable=False),
        sa.Column("agent_id", here.text(255), nullable=False),
        sa.Column("person_type", here.text(32), nullable=False),
        sa.Column("person_id", here.text(255), nullable=False),
        sa.Column("access", long_text, nullable=False),
        sa.Column("methods", long_text, nullable=False),
        sa.Column("needs_approval", sa.SmallInteger, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("fingerprint", here.key_bytes(16), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", name="ci_session_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_session_newest", "ci_session", ["tenant_id", "opened_at"], if_not_exists=unless_there)
    op.create_index("ci_session_expired", "ci_session", ["expires_at", "tenant_id", "session_id"], if_not_exists=unless_there)
    create_connect_session(here, unless_there=unless_there)
    op.create_table(
        "ci_freeze",
        sa.Column("freeze_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", here.text(255)),
        sa.Column("provider_id", sa.Uuid),
        sa.Column("context_id", sa.Uuid),
        sa.Column("integration_id", sa.Uuid),
        sa.Column("actor_type", here.text(32)),
        sa.Column("actor_id", here.text(255)),
        sa.Column("renewals", sa.SmallInteger, nullable=False),
        sa.Column("reason", here.text(255), nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("beginner_type", here.text(32), nullable=False),
        sa.Column("beginner_id", here.text(255), nullable=False),
        sa.Column("lifted_at", sa.BigInteger),
        sa.Column("lifter_type", here.text(32)),
        sa.Column("lifter_id", here.text(255)),
        sa.Column("lift_reason", here.text(255)),
        sa.PrimaryKeyConstraint("freeze_id", name="ci_freeze_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_table(
        "ci_incident",
        sa.Column("incident_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", here.text(255)),
        sa.Column("provider_id", sa.Uuid),
        sa.Column("context_id", sa.Uuid),
        sa.Column("integration_id", sa.Uuid),
        sa.Column("actor_type", here.text(32)),
        sa.Column("actor_id", here.text(255)),
        sa.Column("since", sa.BigInteger),
        sa.Column("until", sa.BigInteger),
        sa.Column("reason", here.text(255), nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("opener_type", here.text(32), nullable=False),
        sa.Column("opener_id", here.text(255), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name="ci_incident_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_table(
        "ci_incident_item",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("incident_id", sa.Uuid, nullable=False),
        sa.Column("integration_id", sa.Uuid, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("audit_seq", sa.BigInteger, nullable=False),
        sa.Column("state", here.text(16), nullable=False),
        sa.Column("receipt", long_text),
        sa.Column("settled_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("incident_id", "tenant_id", "integration_id", name="ci_incident_item_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index(
        "ci_incident_item_state",
        "ci_incident_item",
        ["incident_id", "state", "tenant_id", "integration_id"],
        if_not_exists=unless_there,
    )
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
        sa.Column("integration_id", sa.Uuid),
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
    op.create_index("ci_outbox_key", "ci_outbox", ["kind", "index_key", "next_attempt_at", "tenant_id"], if_not_exists=unless_there)
    op.create_index("ci_outbox_order", "ci_outbox", ["tenant_id", "integration_id", "kind", "created_at"], if_not_exists=unless_there)
    op.create_table(
        "ci_webhook",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("webhook_id", sa.Uuid, nullable=False),
        sa.Column("events", long_text, nullable=False),
        sa.Column("providers", long_text, nullable=False),
        sa.Column("format", here.text(16), nullable=False),
        sa.Column("off_reason", here.text(16)),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("secrets", sa.Integer, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Uuid, nullable=False),
        sa.Column("sealed_parts", _SEALED, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "webhook_id", name="ci_webhook_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_webhook_key", "ci_webhook", ["key_id", "tenant_id"], if_not_exists=unless_there)
    op.create_table(
        "ci_announcement",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("name", here.text(32), nullable=False),
        sa.Column("value", here.text(255)),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject_id", "name", name="ci_announcement_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
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
        sa.Column("provider_id", sa.Uuid),
        sa.Column("context_id", sa.Uuid),
        sa.Column("details", long_text, nullable=False),
        sa.Column("salts", long_text, nullable=False),
        sa.Column("previous_hash", here.key_bytes(32), nullable=False),
        sa.Column("hash", here.key_bytes(32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "seq", name="ci_audit_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_index("ci_audit_resource", "ci_audit", ["tenant_id", "resource", "seq"], if_not_exists=unless_there)
    op.create_index("ci_audit_actor", "ci_audit", ["actor_id", "tenant_id", "seq"], if_not_exists=unless_there)
    op.create_index("ci_audit_time", "ci_audit", ["occurred_at", "tenant_id"], if_not_exists=unless_there)
    by_action = ["action", "outcome", "occurred_at", "provider_id", "tenant_id"]
    op.create_index("ci_audit_action", "ci_audit", by_action, if_not_exists=unless_there)
    op.create_table(
        "ci_audit_head",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", here.key_bytes(32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="ci_audit_head_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
    op.create_table(
        "ci_audit_cut",
        sa.Column("tenant_id", here.text(255), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("note", long_text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="ci_audit_cut_pk"),
        if_not_exists=unless_there,
        **here.table_options,
    )
