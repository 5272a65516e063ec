"""The outbox: tokens that wait to be revoked at their provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.removal import Revocation

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRevocation:
    """Put a token into the outbox.  `StaleWriteError` if this revocation is there already."""

    revocation: Revocation


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRevocation:
    """Delete a revocation from the outbox; it is no error if it is gone."""

    tenant_id: TenantId
    revocation_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayRevocation:
    """Count a failed attempt and set the next time; it is no error if the revocation is gone."""

    tenant_id: TenantId
    revocation_id: UUID
    next_attempt_at: datetime
    error: str


class AsyncOutboxStore(Protocol):
    """Reads and claims for workers that revoke tokens."""

    async def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]:
        """Return at most *limit* due revocations, of all tenants, those that were due first coming first, and hold them.

        Their `next_attempt_at` becomes the store's clock plus *hold*, so that until then no other worker gets them.  They are returned as
        they are then stored, with that time.  A claim is not an attempt: only `DelayRevocation` changes `attempts` and `last_error`.
        A revocation for which `DamagedRow` is returned is held, too, if its key can be read.
        """
        ...

    async def count_revocations(self) -> int:
        """Return how many tokens wait to be revoked."""
        ...

    async def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation | DamagedRow, ...]:
        """Return revocations of this tenant's tokens (from one provider), due or not, the oldest first."""
        ...


class OutboxStore(Protocol):
    """The blocking form of `AsyncOutboxStore`: the same methods, the same promises."""

    def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]: ...

    def count_revocations(self) -> int: ...

    def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation | DamagedRow, ...]: ...
