"""Values sealed for where they are stored, and opened from there."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from cloud_integrations.domain.credential import ApiKey, Grant
from cloud_integrations.domain.envelope import SUITE_AES_256_GCM, DataKey, KeyState, SealingContext, WrappedKey
from cloud_integrations.domain.identifiers import TenantId, uuid7
from cloud_integrations.domain.integration import SealedCredential, StoredIntegration
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import DecryptError, StaleWriteError
from cloud_integrations.ports.store import AddKey
from cloud_integrations.ports.wiring import Wiring

INTEGRATION_TABLE = "ci_integration"


async def active_key(wiring: Wiring, tenant_id: TenantId, /) -> DataKey:
    """Return the key that new values of the tenant are sealed with; make one for a new tenant."""
    key: DataKey | None = wiring.data_keys.find(tenant_id)
    if key is not None:
        return key
    wrapped = await wiring.store.find_active_key(tenant_id)
    if wrapped is None:
        wrapped = await _first_key(wiring, tenant_id)
    key = await _unwrap(wiring, wrapped)
    wiring.data_keys.put(tenant_id, key, seconds=wiring.settings.data_key_cache.total_seconds())
    return key


def seal(wiring: Wiring, key: DataKey, secret: Secret, /, *, table: str, row: str, field: str, generation: int = 0) -> bytes:
    """Seal *secret* so that it opens only in this tenant, table, row, field and generation."""
    context = SealingContext(tenant=key.tenant_id, table=table, row=row, field=field, gen=generation)
    return wiring.cipher.seal(secret.reveal().encode(), key=key.key, key_id=key.key_id.bytes, context=context.pairs())


async def open_sealed(
    wiring: Wiring, tenant_id: TenantId, sealed: bytes, /, *, table: str, row: str, field: str, generation: int = 0
) -> Secret:
    """Open what `seal` sealed, or raise `DecryptError`."""
    key = await _key_of(wiring, tenant_id, wiring.cipher.key_id_of(sealed))
    context = SealingContext(tenant=tenant_id, table=table, row=row, field=field, gen=generation)
    return Secret(wiring.cipher.open(sealed, key=key.key, key_id=key.key_id.bytes, context=context.pairs()).decode())


async def seal_grant(
    wiring: Wiring, tenant_id: TenantId, integration_id: UUID, grant: Grant, /, *, generation: int, kept: Secret | None = None
) -> SealedCredential:
    """Seal a grant for its row; *kept* is the refresh token held before, which stays good when none came (RFC 6749 §6)."""
    key = await active_key(wiring, tenant_id)
    row = str(integration_id)
    refresh_token = grant.refresh_token or kept
    return SealedCredential(
        generation=generation,
        access_token=seal(wiring, key, grant.access_token, table=INTEGRATION_TABLE, row=row, field="access_token", generation=generation),
        refresh_token=None
        if refresh_token is None
        else seal(wiring, key, refresh_token, table=INTEGRATION_TABLE, row=row, field="refresh_token", generation=generation),
    )


async def seal_api_key(
    wiring: Wiring, tenant_id: TenantId, integration_id: UUID, api_key: ApiKey, /, *, generation: int
) -> SealedCredential:
    """Seal a key, and its second half where there is one, for its row."""
    key = await active_key(wiring, tenant_id)
    row = str(integration_id)
    return SealedCredential(
        generation=generation,
        api_key=seal(wiring, key, api_key.key, table=INTEGRATION_TABLE, row=row, field="api_key", generation=generation),
        api_secret=None
        if api_key.secret is None
        else seal(wiring, key, api_key.secret, table=INTEGRATION_TABLE, row=row, field="api_secret", generation=generation),
    )


async def open_field(wiring: Wiring, held: StoredIntegration, field: str, /) -> Secret | None:
    """Open one sealed field of a row: `access_token`, `refresh_token`, `api_key` or `api_secret`; None where it is empty."""
    sealed: bytes | None = getattr(held.credential, field)
    if sealed is None:
        return None
    return await open_sealed(
        wiring,
        held.facts.tenant_id,
        sealed,
        table=INTEGRATION_TABLE,
        row=str(held.facts.id),
        field=field,
        generation=held.credential.generation,
    )


async def fingerprint(wiring: Wiring, tenant_id: TenantId, secret: Secret, /) -> str:
    """Name a key whose provider does not say whose it is: an HMAC under the tenant's data key, so no bare hash of a secret is kept."""
    key = await active_key(wiring, tenant_id)
    return "key:" + hmac.new(key.key, b"ci-fingerprint/1\x00" + secret.reveal().encode(), hashlib.sha256).hexdigest()[:24]


async def _key_of(wiring: Wiring, tenant_id: TenantId, key_id: bytes) -> DataKey:
    # The tenant is part of the cache's key: two tenants can never share an entry.
    cached: DataKey | None = wiring.data_keys.find((tenant_id, key_id))
    if cached is not None:
        return cached
    wrapped = await wiring.store.find_key(tenant_id, UUID(bytes=key_id))
    if wrapped is None:
        raise DecryptError
    key = await _unwrap(wiring, wrapped)
    wiring.data_keys.put((tenant_id, key_id), key, seconds=wiring.settings.data_key_cache.total_seconds())
    return key


async def _first_key(wiring: Wiring, tenant_id: TenantId) -> WrappedKey:
    key_id = uuid7(wiring.clock.now(), wiring.entropy.bytes(10))
    kek, wrapped = await wiring.keys.wrap(wiring.entropy.bytes(32), tenant_id=tenant_id, key_id=key_id, version=1)
    made = WrappedKey(
        key_id=key_id,
        tenant_id=tenant_id,
        version=1,
        state=KeyState.ACTIVE,
        suite=SUITE_AES_256_GCM,
        kek_uri=kek.kek_uri,
        kek_key_id=kek.kek_key_id,
        wrapped=wrapped,
        created_at=wiring.clock.now(),
        retired_at=None,
        destroyed_at=None,
    )
    try:
        await wiring.store.apply(AddKey(key=made))
    except StaleWriteError:
        # Another worker made the tenant's first key at the same moment; its key is the one.
        found = await wiring.store.find_active_key(tenant_id)
        if found is None:
            raise
        return found
    return made


async def _unwrap(wiring: Wiring, wrapped: WrappedKey) -> DataKey:
    data_key = await wiring.keys.unwrap(wrapped)
    return DataKey(key_id=wrapped.key_id, tenant_id=wrapped.tenant_id, version=wrapped.version, key=data_key)
