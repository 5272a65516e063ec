"""The outbox, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.removal import Revocation
from cloud_integrations.ports.store import AddRevocation, DelayRevocation, FinishRevocation

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Outbox(Memory):
    """Reads and claims for workers that revoke tokens."""

    def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation, ...]:
        """Return due revocations, those that were due first coming first, and hold them."""
        with self._lock:
            now = self._now()
            due = sorted(
                (revocation for revocation in self._tables.revocations.values() if revocation.next_attempt_at <= now),
                key=lambda revocation: (revocation.next_attempt_at, revocation.id),
            )
            claimed = tuple(replace(revocation, next_attempt_at=now + hold) for revocation in due[:limit])
            self._tables.revocations.update({(revocation.tenant_id, revocation.id): revocation for revocation in claimed})
            return claimed

    def count_revocations(self) -> int:
        """Return how many tokens wait to be revoked."""
        return len(self._tables.revocations)

    def list_revocations(self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int) -> tuple[Revocation, ...]:
        """Return revocations of this tenant's tokens (from one provider), the oldest first."""
        own = (
            revocation
            for revocation in list(self._tables.revocations.values())
            if revocation.tenant_id == tenant_id and provider_id in {None, revocation.provider_id}
        )
        return tuple(sorted(own, key=lambda revocation: (revocation.created_at, revocation.id))[:limit])


@handles(AddRevocation)
def add_revocation(tables: Tables, change: AddRevocation) -> None:
    """Put a token into the outbox."""
    revocation = change.revocation
    require_active_key(tables, revocation.tenant_id, revocation.key_id)
    unless_stale((revocation.tenant_id, revocation.id) not in tables.revocations)
    tables.revocations[revocation.tenant_id, revocation.id] = revocation


@handles(FinishRevocation)
def finish_revocation(tables: Tables, change: FinishRevocation) -> None:
    """Delete a revocation."""
    tables.revocations.pop((change.tenant_id, change.revocation_id), None)


@handles(DelayRevocation)
def delay_revocation(tables: Tables, change: DelayRevocation) -> None:
    """Count a failed attempt and set the next time."""
    revocation = tables.revocations.get((change.tenant_id, change.revocation_id))
    if revocation is not None:
        tables.revocations[change.tenant_id, change.revocation_id] = replace(
            revocation, attempts=revocation.attempts + 1, next_attempt_at=change.next_attempt_at, last_error=change.error
        )
