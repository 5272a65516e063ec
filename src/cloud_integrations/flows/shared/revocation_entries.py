"""The outbox entries of revocations: making them, and finding them."""

from __future__ import annotations

from collections.abc import Mapping

from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.outbox import OUTBOX_TABLE
from cloud_integrations.domain.removal import REVOCATION, Revocation, RevokedKind
from cloud_integrations.domain.secret import Secret
from cloud_integrations.ports.store import DamagedRow

from .lookup import read_entry
from .wiring import Wiring


def new_entry(
    wiring: Wiring,
    key: DataKey,
    kind: RevokedKind,
    token: Secret,
    /,
    *,
    tenant_id: TenantId,
    integration_id: IntegrationId,
    provider_id: ProviderId,
    method_id: str,
    variables: Mapping[str, str],
    context_id: ContextId | None = None,
    account_fingerprint: bytes | None = None,
) -> Revocation:
    """Return a new outbox entry with *token* sealed under *key*, due after the lease time."""
    now = wiring.clock.now()
    entry_id = wiring.new_id()
    return Revocation(
        id=entry_id,
        tenant_id=tenant_id,
        integration_id=integration_id,
        provider_id=provider_id,
        method_id=method_id,
        context_id=context_id,
        kind=kind,
        sealed_token=wiring.sealer.seal(key, token, table=OUTBOX_TABLE, row=str(entry_id), field="payload"),
        key_id=key.key_id,
        account_fingerprint=account_fingerprint,
        variables=dict(variables),
        next_attempt_at=now + wiring.settings.lease,
        created_at=now,
    )


async def waiting_revocations(
    wiring: Wiring, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
) -> tuple[Revocation | DamagedRow, ...]:
    """Return a tenant's waiting revocations (with one provider), due or not, the oldest first."""
    index_key = None if provider_id is None else str(provider_id)
    entries = await wiring.store.list_entries(tenant_id, REVOCATION, index_key=index_key, limit=limit)
    return tuple([read_entry(entry, Revocation.of) for entry in entries])
