"""Erase a tenant: revoke its access at the providers and destroy its data keys, so that its stored values never open again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from cloud_integrations.domain.arguments import read_ids
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import WrappedKey
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.rekeying import Erasure
from cloud_integrations.domain.removal import Removal, RevocationOutcome
from cloud_integrations.errors import DamagedRowError, IntegrationNotFoundError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.revocation_entries import waiting_revocations
from cloud_integrations.flows.shared.stale_writes import again
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.flows.use.disconnect import disconnect
from cloud_integrations.ports.store import DamagedRow, EraseTenant

from .retry_revocations import retry

_ALL = 1_000_000


async def erase_tenant(wiring: Wiring, tenant: str, /, *, caller: Caller) -> Erasure:
    """Remove and revoke every integration of the tenant, overwrite its data keys, and return a receipt.

    Revocations that wait in the outbox are tried once more.  Tokens that the provider does not revoke now are given up, because their
    key is destroyed; the receipt counts them.  The flow may be repeated: the receipt names every data key of the tenant that was ever
    destroyed, so an earlier receipt that was lost can be replaced.  Raises `DamagedRowError` if an integration's row cannot be read.
    """
    tenant_id = await known_tenant(wiring, tenant)
    earlier = [*await waiting_revocations(wiring, tenant_id, limit=_ALL)]
    removed: list[Removal] = []
    outbox: Counter[str] = Counter()

    async def erase() -> tuple[datetime, tuple[WrappedKey, ...]]:
        removed.extend(await _disconnect_all(wiring, tenant_id, caller))
        # Some of these revocations waited for the removal of these integrations.
        outbox.update(["delayed" if isinstance(entry, DamagedRow) else await retry(wiring, entry, caller) for entry in earlier])
        earlier.clear()
        keys = await wiring.store.list_keys(tenant_id=tenant_id, limit=_ALL)
        now = wiring.clock.now()
        erased = happened(wiring, "tenant.erased", Subject(tenant_id=tenant_id), caller, keys=str(len(keys)))
        await apply(wiring, EraseTenant(tenant_id=tenant_id, erased_at=now), erased)
        return now, keys

    # If an integration was added in the meantime, it is removed too.
    now, keys = await again(erase, subject="tenant")
    wiring.data_keys.forget(tenant_id, [key.key_id for key in keys])
    head = await wiring.store.find_audit_head(tenant_id)
    assert head is not None  # noqa: S101  # the erasure itself stands there
    outcomes = Counter(
        outcome for removal in removed for outcome in (removal.refresh_token, removal.access_token, removal.api_key, removal.other_key)
    )
    reasons = [
        reason
        for removal in removed
        for reason in (removal.refresh_reason, removal.access_reason, removal.key_reason, removal.other_key_reason)
        if reason is not None
    ]
    # Keys that a provider could revoke work on, like those that it could not.
    working = reasons.count("not_asked")
    memory = max(wiring.settings.token_cache, wiring.data_keys.fresh_time + wiring.settings.data_key_grace)
    return Erasure(
        tenant_id=tenant_id,
        erased_at=now,
        effective_at=now + max(memory, timedelta()),
        integrations=len(removed),
        revoked=outcomes[RevocationOutcome.REVOKED] + outbox["revoked"],
        left_alone=outcomes[RevocationOutcome.SHARED] + len(reasons) - working + outbox["kept"],
        not_revoked=outbox["delayed"]
        + outbox["abandoned"]
        + outcomes[RevocationOutcome.FAILED]
        + outcomes[RevocationOutcome.UNSUPPORTED]
        + working,
        manual_urls=tuple(dict.fromkeys(removal.manual_url for removal in removed if removal.manual_url is not None)),
        key_ids=await wiring.store.list_destroyed_keys(tenant_id),
        audit_seq=head.seq,
        audit_hash=head.hash,
    )


async def find_returned(wiring: Wiring, tenant: str, key_ids: Collection[UUID | str], /) -> tuple[UUID, ...]:
    """Return which of these destroyed data keys exist again.

    If there are any, a backup was restored and the erasure must be repeated.
    """
    tenant_id = await known_tenant(wiring, tenant)
    asked = read_ids("keyIds", key_ids)
    living = {key.key_id for key in await wiring.store.list_keys(tenant_id=tenant_id, limit=_ALL)}
    return tuple(key_id for key_id in asked if key_id in living)


async def _disconnect_all(wiring: Wiring, tenant_id: TenantId, caller: Caller) -> list[Removal]:
    removed = []
    for integration in await wiring.store.list_integrations(tenant_id):
        if isinstance(integration, DamagedRow):
            # Its tokens cannot be read and revoked, so a receipt that left this row out would be false.
            raise DamagedRowError(table=integration.table, row=integration.row)
        try:
            removed.append(await disconnect(wiring, tenant_id, integration.id, slot="", caller=caller))
        except IntegrationNotFoundError:
            # Another caller has just removed it.
            continue
    return removed
