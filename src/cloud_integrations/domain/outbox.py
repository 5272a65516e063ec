"""What is still to reach the outside: it is written in the transaction of its change, and delivered until it has arrived."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.identifiers import IntegrationId, TenantId

OUTBOX_TABLE = "ci_outbox"
"""Where entries are, in the words of sealing contexts and of damaged rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """One thing to deliver, of some kind; only who knows the kind can read it, and claims it."""

    id: UUID
    tenant_id: TenantId
    integration_id: IntegrationId
    kind: str
    """`revocation`, say: a word of 1 to 32 characters."""
    index_key: str | None = None
    """What entries of this kind are looked up by within a tenant, 1 to 64 characters; of a revocation, the provider's id."""
    facts: dict[str, str] = field(default_factory=dict)
    """What may be read by whoever reads the database."""
    sealed_payload: bytes | None = field(default=None, repr=False)
    """What may not; sealed for the table `ci_outbox` and the field `payload`.  None: there is none."""
    key_id: UUID | None = None
    """The data key that sealed the payload; None: there is none."""
    attempts: int = 0
    next_attempt_at: datetime
    created_at: datetime
    last_error: str | None = None
