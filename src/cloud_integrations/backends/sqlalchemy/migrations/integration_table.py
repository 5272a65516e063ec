"""The table of integrations, as revision 0001 makes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_integrations.backends.sqlalchemy.databases import Database


def create_integration(here: Database, /, *, unless_there: bool) -> None:
    """Create the table; with *unless_there*, where an upgrade that broke off has not."""
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
        sa.Column("scopes", here.text(), nullable=False),
        sa.Column("requested_scopes", here.text(), nullable=False),
        sa.Column("missing_scopes", here.text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("granted_at", sa.BigInteger),
        sa.Column("reconnect_before", sa.BigInteger),
        sa.Column("account_id", here.text()),
        sa.Column("account_label", here.text()),
        sa.Column("variables", here.text(), nullable=False),
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
        sa.Column("replaced_since", sa.BigInteger),
        sa.Column("replaced_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("idle_since", sa.BigInteger, nullable=False),
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
    op.create_index(
        "ci_integration_ends",
        "ci_integration",
        ["reconnect_before", "tenant_id", "integration_id", "state", "renewal_rule", "expires_at"],
        if_not_exists=unless_there,
        **here.index_options("reconnect_before IS NOT NULL"),
    )
    op.create_index(
        "ci_integration_expires",
        "ci_integration",
        ["renewal_rule", "expires_at", "tenant_id", "integration_id", "state", "reconnect_before"],
        if_not_exists=unless_there,
        **here.index_options("renewal_rule = 'reconnect'"),
    )
    op.create_index("ci_integration_key", "ci_integration", ["key_id", "tenant_id"], if_not_exists=unless_there)
    states = ["state", "provider_id", "method_id", "tenant_id", "integration_id", "reconnect_before"]
    op.create_index("ci_integration_states", "ci_integration", states, if_not_exists=unless_there)
    idle = ["idle_since", "tenant_id", "integration_id"]
    op.create_index("ci_integration_idle", "ci_integration", idle, if_not_exists=unless_there)
    for subject in ("presented", "renewal", "account"):
        columns = ["provider_id", f"{subject}_fingerprint", "tenant_id"]
        op.create_index(f"ci_integration_{subject}", "ci_integration", columns, if_not_exists=unless_there)
    for statement in here.tuning("ci_integration"):
        op.execute(statement)
