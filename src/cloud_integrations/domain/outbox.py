"""Entries of the outbox: work for the outside, written in the transaction of its change and repeated until it succeeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.identifiers import IntegrationId, TenantId

OUTBOX_TABLE = "ci_outbox"
"""The table of the outbox, as sealing contexts and damaged rows name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """One entry of the outbox; only a worker that knows its `kind` claims it and can read it."""

    id: UUID
    tenant_id: TenantId
    integration_id: IntegrationId | None
    """The integration that it is about; None: it is about the whole tenant, or about the installation."""
    kind: str
    """A word of 1 to 32 characters, for example `revocation`."""
    index_key: str | None = None
    """The key to find entries of this kind by, 1 to 64 characters; a revocation has the provider's id, a delivery its receiver."""
    facts: dict[str, str] = field(default_factory=dict)
    """The part that is not secret; it is stored in the open."""
    sealed_payload: bytes | None = field(default=None, repr=False)
    """The secret part, sealed for the table `ci_outbox` and the field `payload`; None: there is none."""
    key_id: UUID | None = None
    """The data key that sealed the payload; None: there is none."""
    attempts: int = 0
    next_attempt_at: datetime
    created_at: datetime
    last_error: str | None = None
