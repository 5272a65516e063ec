"""The tables, for every database.

Times are whole microseconds since 1970, UTC.  Every key and index of a tenant's table contains
`tenant_id`, except the one on a state's hash.  Sealed values are binary.  JSON is text that `tables` writes and reads.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from .databases import registered
from .incident_schema import incident_tables
from .rows import Bytes, ByteText, FewBytes, Id, ManyBytes

VERSION = "0001"
"""The newest migration; a test compares it with the scripts."""

VERSION_TABLE = "ci_alembic_version"

metadata = MetaData()

_SEALED = Bytes(65535)
_LONG_TEXT = ByteText()
_OPTIONS: dict[str, Any] = {name: value for database in registered() for name, value in database.table_options.items()}


def _where(condition: str) -> dict[str, Any]:
    """Return the options of an index on the rows for which *condition* holds, or on all rows where a database has no partial indexes."""
    return {name: value for database in registered() for name, value in database.index_options(condition).items()}


integration = Table(
    "ci_integration",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("integration_id", Id, nullable=False),
    Column("provider_id", Id, nullable=False),
    Column("slot", ByteText(64), nullable=False),
    Column("name", ByteText(50), nullable=False),
    Column("auth_type", ByteText(16), nullable=False),
    Column("method_id", ByteText(64), nullable=False),
    Column("context_id", Id),
    Column("state", ByteText(16), nullable=False),
    Column("state_since", BigInteger, nullable=False),
    Column("reason", ByteText(255)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("scopes", _LONG_TEXT, nullable=False),
    Column("requested_scopes", _LONG_TEXT, nullable=False),
    Column("missing_scopes", _LONG_TEXT, nullable=False),
    Column("expires_at", BigInteger),
    Column("granted_at", BigInteger),
    Column("reconnect_before", BigInteger),
    Column("account_id", _LONG_TEXT),
    Column("account_label", _LONG_TEXT),
    Column("variables", _LONG_TEXT, nullable=False),
    Column("renewal_rule", ByteText(16), nullable=False),
    # The sealed credential: objects of named parts.
    Column("generation", BigInteger, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("presented", ManyBytes, nullable=False),
    Column("renewal", ManyBytes),
    # Keyed hashes, not sealed: by them the store finds integrations with the same token or the same account.
    Column("presented_fingerprint", FewBytes(16)),
    Column("renewal_fingerprint", FewBytes(16)),
    Column("account_fingerprint", FewBytes(16)),
    # The refresh protocol.  `writer_lease` comes before `lease_token`: SQLAlchemy writes SET in the order of the columns, and
    # MariaDB evaluates assignments from left to right, each with the results of those before it.
    Column("writer_lease", BigInteger, nullable=False),
    Column("lease_token", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("lease_owner", ByteText(255)),
    Column("phase", ByteText(16), nullable=False),
    Column("attempt_id", ByteText(64)),
    Column("sent_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", BigInteger),
    Column("last_error", ByteText(255)),
    Column("failed_at", BigInteger),
    Column("refused_since", BigInteger),
    Column("refreshed_at", BigInteger),
    Column("replaced_since", BigInteger),
    Column("replaced_at", BigInteger),
    Column("due_at", BigInteger),
    # When it was connected, until it is used; then when it was last used, to a day.
    Column("idle_since", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "integration_id", name="ci_integration_pk"),
    UniqueConstraint("tenant_id", "provider_id", "slot", name="ci_integration_one_per_slot"),
    CheckConstraint(
        "(renewal_rule IN ('refresh', 'mint') AND renewal IS NOT NULL) OR (renewal_rule IN ('keep', 'reconnect') AND renewal IS NULL)",
        name="ci_integration_renewal_fits",
    ),
    Index("ci_integration_key", "key_id", "tenant_id"),
    Index("ci_integration_presented", "provider_id", "presented_fingerprint", "tenant_id"),
    Index("ci_integration_renewal", "provider_id", "renewal_fingerprint", "tenant_id"),
    Index("ci_integration_account", "provider_id", "account_fingerprint", "tenant_id"),
    Index("ci_integration_due", "due_at", "tenant_id", "integration_id", **_where("due_at IS NOT NULL")),
    # These lead operators through all tenants, page by page, in the order of their columns, and have all that is counted.
    Index("ci_integration_states", "state", "provider_id", "method_id", "tenant_id", "integration_id", "reconnect_before"),
    Index(
        "ci_integration_ends",
        *("reconnect_before", "tenant_id", "integration_id", "state", "renewal_rule", "expires_at"),
        **_where("reconnect_before IS NOT NULL"),
    ),
    Index(
        "ci_integration_expires",
        *("renewal_rule", "expires_at", "tenant_id", "integration_id", "state", "reconnect_before"),
        **_where("renewal_rule = 'reconnect'"),
    ),
    Index("ci_integration_idle", "idle_since", "tenant_id", "integration_id"),
    **_OPTIONS,
)

authorization = Table(
    "ci_authorization",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("state_hash", FewBytes(32), nullable=False),
    Column("provider_id", Id, nullable=False),
    Column("slot", ByteText(64), nullable=False),
    Column("awaits", ByteText(16), nullable=False),
    Column("method_id", ByteText(64), nullable=False),
    Column("context_id", Id),
    Column("integration_id", Id, nullable=False),
    Column("reconnects_generation", BigInteger),
    Column("actor_type", ByteText(32), nullable=False),
    Column("actor_id", ByteText(255), nullable=False),
    Column("browser_hash", FewBytes(32)),
    Column("name", ByteText(50), nullable=False),
    Column("redirect_uri", _LONG_TEXT),
    Column("scopes", _LONG_TEXT, nullable=False),
    Column("sealed_parts", _SEALED),
    Column("key_id", Id),
    Column("issuer", _LONG_TEXT),
    Column("variables", _LONG_TEXT, nullable=False),
    Column("return_to", _LONG_TEXT),
    Column("poll_interval", BigInteger),
    Column("poll_next_at", BigInteger),
    Column("poll_count", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("consumed_at", BigInteger),
    PrimaryKeyConstraint("tenant_id", "state_hash", name="ci_authorization_pk"),
    # The only key without the tenant: a callback brings only its state, by which the tenant is found.
    UniqueConstraint("state_hash", name="ci_authorization_state"),
    Index("ci_authorization_newest", "tenant_id", "created_at"),
    Index("ci_authorization_expired", "expires_at", "tenant_id", "state_hash"),
    **_OPTIONS,
)

application = Table(
    "ci_application",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("context_id", Id, nullable=False),
    Column("provider_id", Id, nullable=False),
    Column("method_id", ByteText(64), nullable=False),
    Column("client_id", _LONG_TEXT, nullable=False),
    Column("secrets", Integer, nullable=False),
    Column("scopes", _LONG_TEXT, nullable=False),
    Column("client_auth", ByteText(16)),
    Column("issuer", _LONG_TEXT),
    Column("variables", _LONG_TEXT, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("sealed_secrets", _SEALED, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "context_id", name="ci_application_pk"),
    Index("ci_application_key", "key_id", "tenant_id"),
    **_OPTIONS,
)

session = Table(
    "ci_session",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("session_id", Id, nullable=False),
    Column("agent_type", ByteText(32), nullable=False),
    Column("agent_id", ByteText(255), nullable=False),
    Column("person_type", ByteText(32), nullable=False),
    Column("person_id", ByteText(255), nullable=False),
    Column("access", _LONG_TEXT, nullable=False),
    Column("methods", _LONG_TEXT, nullable=False),
    # 1: each use waits for an approver.
    Column("needs_approval", SmallInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    # A keyed hash of all columns but `revoked_at`: an edited row is not obeyed.
    Column("fingerprint", FewBytes(16), nullable=False),
    PrimaryKeyConstraint("tenant_id", "session_id", name="ci_session_pk"),
    Index("ci_session_newest", "tenant_id", "opened_at"),
    Index("ci_session_expired", "expires_at", "tenant_id", "session_id"),
    **_OPTIONS,
)

connect_session = Table(
    "ci_connect_session",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("session_id", Id, nullable=False),
    # Of the link until it is opened, then of the browser.
    Column("token_hash", FewBytes(32), nullable=False),
    Column("actor_type", ByteText(32), nullable=False),
    Column("actor_id", ByteText(255), nullable=False),
    Column("providers", _LONG_TEXT, nullable=False),
    Column("slot", ByteText(64), nullable=False),
    Column("locale", ByteText(64)),
    Column("return_to", _LONG_TEXT),
    Column("origin", _LONG_TEXT),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("opened_at", BigInteger),
    # A keyed hash of all other columns: an edited row is not obeyed.
    Column("fingerprint", FewBytes(16), nullable=False),
    PrimaryKeyConstraint("tenant_id", "session_id", name="ci_connect_session_pk"),
    UniqueConstraint("token_hash", name="ci_connect_session_token"),
    Index("ci_connect_session_expired", "expires_at", "tenant_id", "session_id"),
    **_OPTIONS,
)

freeze, incident, incident_item = incident_tables(metadata, _OPTIONS)

key = Table(
    "ci_key",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("key_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", ByteText(16), nullable=False),
    # 1 where the key is active, otherwise NULL: NULLs do not collide in a unique constraint.
    Column("active_marker", SmallInteger),
    Column("suite", Integer, nullable=False),
    Column("kek_uri", ByteText(512), nullable=False),
    Column("kek_key_id", FewBytes(16), nullable=False),
    Column("wrapped", _SEALED, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    Column("destroyed_at", BigInteger),
    PrimaryKeyConstraint("tenant_id", "key_id", name="ci_key_pk"),
    UniqueConstraint("tenant_id", "version", name="ci_key_version"),
    UniqueConstraint("tenant_id", "active_marker", name="ci_key_one_active"),
    CheckConstraint(
        "(state = 'active' AND active_marker = 1) OR (state <> 'active' AND active_marker IS NULL)", name="ci_key_active_is_marked"
    ),
    Index("ci_key_state", "state", "key_id", "tenant_id"),
    **_OPTIONS,
)

key_floor = Table(
    "ci_key_floor",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    # Keys with a lower version are not found, until `RefuseKeys` changes it.
    Column("min_version", Integer, nullable=False),
    # Keys with versions up to this one were erased and are never found again.
    Column("erased_version", Integer, nullable=False),
    Column("erased_at", BigInteger),
    PrimaryKeyConstraint("tenant_id", name="ci_key_floor_pk"),
    **_OPTIONS,
)

key_check = Table(
    "ci_key_check",
    metadata,
    Column("kek_key_id", FewBytes(16), nullable=False),
    Column("kek_uri", ByteText(512), nullable=False),
    Column("canary", FewBytes(4096), nullable=False),
    PrimaryKeyConstraint("kek_key_id", name="ci_key_check_pk"),
    **_OPTIONS,
)

outbox = Table(
    "ci_outbox",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("entry_id", Id, nullable=False),
    Column("integration_id", Id),
    Column("kind", ByteText(32), nullable=False),
    Column("index_key", ByteText(64)),
    Column("facts", _LONG_TEXT, nullable=False),
    Column("sealed_payload", _SEALED),
    Column("key_id", Id),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_error", ByteText(255)),
    PrimaryKeyConstraint("tenant_id", "entry_id", name="ci_outbox_pk"),
    Index("ci_outbox_due", "kind", "next_attempt_at", "tenant_id", "entry_id"),
    # For claims of one index key.
    Index("ci_outbox_key", "kind", "index_key", "next_attempt_at", "tenant_id"),
    # For claims in order: finds earlier entries of the same integration and kind.
    Index("ci_outbox_order", "tenant_id", "integration_id", "kind", "created_at"),
    **_OPTIONS,
)

webhook = Table(
    "ci_webhook",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("webhook_id", Id, nullable=False),
    Column("events", _LONG_TEXT, nullable=False),
    Column("providers", _LONG_TEXT, nullable=False),
    Column("format", ByteText(16), nullable=False),
    Column("off_reason", ByteText(16)),
    Column("failing_since", BigInteger),
    Column("secrets", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("sealed_parts", _SEALED, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "webhook_id", name="ci_webhook_pk"),
    Index("ci_webhook_key", "key_id", "tenant_id"),
    **_OPTIONS,
)

announcement = Table(
    "ci_announcement",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    # An integration or an application.
    Column("subject_id", Id, nullable=False),
    Column("name", ByteText(32), nullable=False),
    # NULL until a message was written for it.
    Column("value", ByteText(255)),
    Column("since", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "subject_id", "name", name="ci_announcement_pk"),
    **_OPTIONS,
)

audit = Table(
    "ci_audit",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    Column("event_id", Id, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("actor_type", ByteText(32), nullable=False),
    Column("actor_id", ByteText(255), nullable=False),
    Column("action", ByteText(64), nullable=False),
    Column("resource", ByteText(255), nullable=False),
    Column("outcome", ByteText(16), nullable=False),
    Column("reason", ByteText(255)),
    Column("request_id", ByteText(255)),
    Column("provider_id", Id),
    Column("context_id", Id),
    Column("details", _LONG_TEXT, nullable=False),
    Column("salts", _LONG_TEXT, nullable=False),
    Column("previous_hash", FewBytes(32), nullable=False),
    Column("hash", FewBytes(32), nullable=False),
    PrimaryKeyConstraint("tenant_id", "seq", name="ci_audit_pk"),
    Index("ci_audit_resource", "tenant_id", "resource", "seq"),
    # For operators, who look at all tenants, these do not begin with the tenant.
    Index("ci_audit_actor", "actor_id", "tenant_id", "seq"),
    Index("ci_audit_time", "occurred_at", "tenant_id"),
    Index("ci_audit_action", "action", "outcome", "occurred_at", "provider_id", "tenant_id"),
    **_OPTIONS,
)

audit_head = Table(
    "ci_audit_head",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", FewBytes(32), nullable=False),
    PrimaryKeyConstraint("tenant_id", name="ci_audit_head_pk"),
    **_OPTIONS,
)

audit_cut = Table(
    "ci_audit_cut",
    metadata,
    Column("tenant_id", ByteText(255), nullable=False),
    # Events up to this one are gone; the note, which is signed, says so.
    Column("seq", BigInteger, nullable=False),
    Column("note", _LONG_TEXT, nullable=False),
    PrimaryKeyConstraint("tenant_id", name="ci_audit_cut_pk"),
    **_OPTIONS,
)

version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's version table: the store reads it, the migrations write it."""

TABLE_NAMES = frozenset({*metadata.tables, VERSION_TABLE})
