"""Values sealed for where they are stored, and opened from there."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal
from uuid import UUID

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.envelope import SUITE_AES_256_GCM, DataKey, KeyState, SealingContext, WrappedKey
from cloud_integrations.domain.events import Event
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId, uuid7
from cloud_integrations.domain.integration import Integration, SealedCredential, StoredIntegration
from cloud_integrations.domain.parts import Parts, pack, unpack
from cloud_integrations.domain.rekeying import SealedRow
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    DecryptError,
    KeyRetiredError,
    KeyringError,
    KeyServiceUnavailableError,
    StaleWriteError,
    StorageUnavailableError,
    TenantNotFoundError,
)
from cloud_integrations.ports.store import AddKey, Change
from cloud_integrations.ports.wiring import Wiring

from .events import apply

INTEGRATION_TABLE: Final = "ci_integration"
Column = Literal["presented", "renewal"]
"""The sealed columns of an integration."""
INDEX_SCOPE: Final = TenantId("index key")
"""Owns the key of fingerprints, which is wrapped like a data key.  It has a space, so it is no tenant's id."""
_FINGERPRINT_LENGTH: Final = 16
_TRIES: Final = 5
_FRESH: Final = timedelta(seconds=60)
_FRESH_FROM_A_SERVICE: Final = timedelta(seconds=300)
_ASK_AGAIN: Final = 2
"""Seconds before a key service that did not answer is asked for the same key again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What this process remembers of one data key."""

    key: DataKey | None
    fresh_until: float = 0.0
    """Until then it is used without asking anybody."""
    ends: float = 0.0
    """Until then it is used while the key service does not answer."""
    ask_after: float = 0.0
    """The key service did not answer: it is not asked for this key before."""


async def active_key(wiring: Wiring, tenant_id: TenantId, /) -> DataKey:
    """Return the key that new values of the tenant are sealed with; make one for a new tenant.

    Raises `KeyServiceUnavailableError` or `KeyringError`.
    """
    key_id: UUID | None = wiring.data_keys.find(tenant_id)
    if key_id is not None and (key := _fresh(wiring, (tenant_id, key_id))) is not None:
        return key
    return await wiring.single_flight.share(("active key", tenant_id), lambda: _load_active(wiring, tenant_id))


async def index_key(wiring: Wiring, /) -> DataKey:
    """Return the key of fingerprints: one for all tenants, never replaced, and used for nothing else.

    Raises `KeyServiceUnavailableError` or `KeyringError`.
    """
    return await active_key(wiring, INDEX_SCOPE)


def token_fingerprint(index: DataKey, provider_id: ProviderId, token: Secret, /) -> bytes:
    """Name a token of a provider, the same for every tenant that holds it."""
    return _named(index, b"token", provider_id.bytes, token.reveal().encode())


def account_fingerprint(index: DataKey, facts: Integration, /) -> bytes | None:
    """Name the account that granted, at the application that it granted to; None where nobody knows whose it is."""
    if facts.account.account_id is None or facts.context_id is None:
        return None
    return _named(index, b"account", facts.provider_id.bytes, facts.context_id.bytes, facts.account.account_id.encode())


async def key_at_start(wiring: Wiring, tenant_id: TenantId, /) -> UUID:
    """Return which key of the tenant is active, as the store says, for work that asks a provider before it stores something.

    `apply_sealed` knows by it whether the tenant was erased since.
    """
    found = await wiring.store.find_active_key(tenant_id)
    if found is not None:
        return found.key_id
    forget_key(wiring, tenant_id)
    return (await active_key(wiring, tenant_id)).key_id


async def apply_sealed(
    wiring: Wiring, tenant_id: TenantId, changes: Callable[[DataKey], Sequence[Change | Event]], /, *, begun_under: UUID | None = None
) -> None:
    """Make *changes*, which seal with the tenant's active key; once more with the new key where it was replaced meanwhile.

    Work that was *begun_under* a key which is destroyed by now is part of no tenant: `TenantNotFoundError`.
    """
    for _ in range(_TRIES):
        key = await active_key(wiring, tenant_id)
        # Keys that were replaced are destroyed after minutes (`destroy_keys`), those of an erased tenant at once.
        if begun_under not in {None, key.key_id} and begun_under in await wiring.store.list_destroyed_keys(tenant_id):
            raise TenantNotFoundError(tenant_id=tenant_id)
        try:
            return await apply(wiring, *changes(key))
        except KeyRetiredError:
            forget_key(wiring, tenant_id)
    raise StorageUnavailableError("the data key kept changing")


async def keep_key(wiring: Wiring, wrapped: WrappedKey, /) -> DataKey:
    """Unwrap and remember a data key as it was just read.  Raises `KeyServiceUnavailableError`, `KeyringError` or `DecryptError`."""
    if wrapped.state is KeyState.ACTIVE:
        wiring.data_keys.put(wrapped.tenant_id, wrapped.key_id, seconds=fresh_time(wiring).total_seconds())
    return await _unwrapped(wiring, wrapped)


def forget_key(wiring: Wiring, tenant_id: TenantId, /) -> None:
    """Forget which key is the tenant's active one."""
    wiring.data_keys.drop(tenant_id)


def forget_keys(wiring: Wiring, tenant_id: TenantId, key_ids: Iterable[UUID], /) -> None:
    """Forget these data keys of the tenant, and which one is active."""
    forget_key(wiring, tenant_id)
    for key_id in key_ids:
        wiring.data_keys.drop((tenant_id, key_id))


def fresh_time(wiring: Wiring, /) -> timedelta:
    """Return how long an unwrapped data key is used without asking again."""
    if wiring.settings.data_key_cache is not None:
        return wiring.settings.data_key_cache
    return _FRESH_FROM_A_SERVICE if wiring.keys.waits else _FRESH


def seal(wiring: Wiring, key: DataKey, secret: Secret, /, *, table: str, row: str, field: str, generation: int = 0) -> bytes:
    """Seal *secret* so that it opens only in this tenant, table, row, field and generation."""
    context = SealingContext(tenant=key.tenant_id, table=table, row=row, field=field, gen=generation)
    return wiring.cipher.seal(secret.reveal().encode(), key=key.key, key_id=key.key_id.bytes, context=context.pairs())


async def open_sealed(
    wiring: Wiring, tenant_id: TenantId, sealed: bytes, /, *, table: str, row: str, field: str, generation: int = 0
) -> Secret:
    """Open what `seal` sealed, or raise `DecryptError`."""
    key = await key_of(wiring, tenant_id, UUID(bytes=wiring.cipher.key_id_of(sealed)))
    context = SealingContext(tenant=tenant_id, table=table, row=row, field=field, gen=generation)
    return Secret(wiring.cipher.open(sealed, key=key.key, key_id=key.key_id.bytes, context=context.pairs()).decode())


def seal_grant(
    wiring: Wiring, key: DataKey, index: DataKey, facts: Integration, grant: Grant, /, *, generation: int, kept: Secret | None = None
) -> SealedCredential:
    """Seal a grant for the row of *facts*, with its fingerprints.

    *kept* is the refresh token held before, which stays good when none came (RFC 6749 §6).
    """
    access, refresh = grant.access_token, grant.refresh_token or kept
    renewal = None if refresh is None else {"refresh_token": refresh}
    return replace(
        seal_parts(wiring, key, facts.id, {"access_token": access}, renewal, generation=generation),
        presented_fingerprint=token_fingerprint(index, facts.provider_id, access),
        renewal_fingerprint=None if refresh is None else token_fingerprint(index, facts.provider_id, refresh),
        account_fingerprint=account_fingerprint(index, facts),
    )


def seal_parts(
    wiring: Wiring, key: DataKey, integration_id: UUID, presented: Parts, renewal: Parts | None = None, /, *, generation: int
) -> SealedCredential:
    """Seal the parts of a credential for their row."""
    place: dict[str, Any] = {"table": INTEGRATION_TABLE, "row": str(integration_id), "generation": generation}
    return SealedCredential(
        generation=generation,
        key_id=key.key_id,
        presented=seal(wiring, key, pack(presented), field="presented", **place),
        renewal=None if renewal is None else seal(wiring, key, pack(renewal), field="renewal", **place),
    )


def reseal_row(wiring: Wiring, row: SealedRow, /, *, old: DataKey, new: DataKey) -> SealedRow:
    """Open every field of *row* and seal it again, in the same place, under another key.  Raises `DecryptError`."""
    contexts = {
        field: SealingContext(tenant=row.tenant_id, table=row.table, row=row.row, field=field, gen=row.generation).pairs()
        for field in row.sealed
    }
    opened = {
        field: wiring.cipher.open(sealed, key=old.key, key_id=old.key_id.bytes, context=contexts[field])
        for field, sealed in row.sealed.items()
    }
    try:
        sealed = {
            field: wiring.cipher.seal(plaintext, key=new.key, key_id=new.key_id.bytes, context=contexts[field])
            for field, plaintext in opened.items()
        }
    finally:
        # A traceback may be shown with the local variables of its frames.
        opened.clear()
    return replace(row, key_id=new.key_id, sealed=sealed)


async def open_token(wiring: Wiring, stored: StoredIntegration, kind: Literal["access", "refresh"], /) -> Secret | None:
    """Open the access token or the refresh token of a row; None where there is none.  Raises `DecryptError`."""
    field: Column = "presented" if kind == "access" else "renewal"
    sealed: bytes | None = getattr(stored.credential, field)
    if sealed is None:
        return None
    generation = stored.credential.generation
    parts = await open_parts(wiring, stored.facts.tenant_id, stored.facts.id, sealed, field=field, generation=generation)
    return parts.get(f"{kind}_token")


async def open_parts(
    wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, sealed: bytes, /, *, field: Column, generation: int
) -> dict[str, Secret]:
    """Open what was read from an integration's row, or what stands there now in the same generation.  Raises `DecryptError`."""
    place: dict[str, Any] = {"table": INTEGRATION_TABLE, "row": str(integration_id), "field": field, "generation": generation}
    try:
        return unpack(await open_sealed(wiring, tenant_id, sealed, **place))
    except DecryptError:
        # Since the row was read it may have been sealed anew, and its old key destroyed.
        found = await wiring.store.find_integration(tenant_id, integration_id)
        resealed = None if found is None or found.credential.generation != generation else getattr(found.credential, field)
        if resealed is None or resealed == sealed:
            raise
    return unpack(await open_sealed(wiring, tenant_id, resealed, **place))


async def fingerprint(wiring: Wiring, tenant_id: TenantId, secret: Secret, /) -> str:
    """Name a key whose provider does not say whose it is: an HMAC under the tenant's data key, so no bare hash of a secret is kept."""
    key = await active_key(wiring, tenant_id)
    return "key:" + hmac.new(key.key, b"ci-fingerprint/1\x00" + secret.reveal().encode(), hashlib.sha256).hexdigest()[:24]


async def is_shared(wiring: Wiring, index: DataKey, facts: Integration, grant: Grant, /) -> bool:
    """Whether an integration of another tenant holds a token of *grant*."""
    for token in (grant.access_token, grant.refresh_token):
        if token is not None:
            holders = await wiring.store.find_holders(facts.provider_id, token_fingerprint(index, facts.provider_id, token))
            if any(tenant_id != facts.tenant_id for tenant_id, _ in holders):
                return True
    return False


def _named(index: DataKey, *parts: bytes) -> bytes:
    # Only the last part has a length of its own, so no two lists of parts are the same bytes.
    return hmac.new(index.key, b"ci-index/1\x00" + b"\x00".join(parts), hashlib.sha256).digest()[:_FINGERPRINT_LENGTH]


async def key_of(wiring: Wiring, tenant_id: TenantId, key_id: UUID, /) -> DataKey:
    """Return a data key of the tenant, to open with.  Raises `DecryptError` where there is none (any more)."""
    key = _fresh(wiring, (tenant_id, key_id))
    if key is not None:
        return key
    return await wiring.single_flight.share(("data key", tenant_id, key_id), lambda: _load(wiring, tenant_id, key_id))


def _fresh(wiring: Wiring, place: tuple[TenantId, UUID]) -> DataKey | None:
    # The tenant is part of the place: two tenants can never share an entry.
    kept: _Kept | None = wiring.data_keys.find(place)
    return kept.key if kept is not None and kept.fresh_until > wiring.clock.monotonic() else None


async def _load_active(wiring: Wiring, tenant_id: TenantId) -> DataKey:
    return await keep_key(wiring, await wiring.store.find_active_key(tenant_id) or await _first_key(wiring, tenant_id))


async def _load(wiring: Wiring, tenant_id: TenantId, key_id: UUID) -> DataKey:
    wrapped = await wiring.store.find_key(tenant_id, key_id)
    if wrapped is None:
        # Destroyed, refused or erased: no outage keeps it alive.
        wiring.data_keys.drop((tenant_id, key_id))
        raise DecryptError
    return await _unwrapped(wiring, wrapped)


async def _unwrapped(wiring: Wiring, wrapped: WrappedKey) -> DataKey:
    place = TenantId(wrapped.tenant_id), wrapped.key_id
    # One request for all who want the key, to seal or to open: after an outage the service is not asked by everybody at once.
    return await wiring.single_flight.share(("unwrap", *place), lambda: _unwrap(wiring, place, wrapped))


async def _unwrap(wiring: Wiring, place: tuple[TenantId, UUID], wrapped: WrappedKey) -> DataKey:
    key = _fresh(wiring, place)
    if key is not None:
        return key
    kept: _Kept | None = wiring.data_keys.find(place)
    if kept is None or kept.ask_after <= wiring.clock.monotonic():
        try:
            return await _ask(wiring, place, wrapped)
        except KeyServiceUnavailableError:
            kept = _asked_in_vain(wiring, place, kept)
        except (KeyringError, DecryptError):
            # An answer: what it takes away, no later outage gives back.
            wiring.data_keys.drop(place)
            raise
    if kept.key is None or kept.ends <= wiring.clock.monotonic():
        raise KeyServiceUnavailableError
    return kept.key


async def _ask(wiring: Wiring, place: tuple[TenantId, UUID], wrapped: WrappedKey) -> DataKey:
    unwrapped = await wiring.keys.unwrap(wrapped)
    key = DataKey(key_id=wrapped.key_id, tenant_id=wrapped.tenant_id, version=wrapped.version, key=unwrapped)
    now = wiring.clock.monotonic()
    fresh = fresh_time(wiring).total_seconds()
    lives = fresh + wiring.settings.data_key_grace.total_seconds()
    wiring.data_keys.put(place, _Kept(key=key, fresh_until=now + fresh, ends=now + lives), seconds=lives)
    return key


def _asked_in_vain(wiring: Wiring, place: tuple[TenantId, UUID], kept: _Kept | None) -> _Kept:
    now = wiring.clock.monotonic()
    noted = replace(kept or _Kept(key=None), ask_after=now + _ASK_AGAIN)
    # In the key's own entry: notes of their own would push other keys out of a full memory, in an outage of all times.
    wiring.data_keys.put(place, noted, seconds=max(noted.ends - now, _ASK_AGAIN))
    return noted


async def new_key(wiring: Wiring, tenant_id: TenantId, /, *, version: int) -> WrappedKey:
    """Make a data key and have it wrapped.  Raises `KeyServiceUnavailableError` or `KeyringError`."""
    now = wiring.clock.now()
    key_id = uuid7(now, wiring.entropy.bytes(10))
    kek, wrapped = await wiring.keys.wrap(wiring.entropy.bytes(32), tenant_id=tenant_id, key_id=key_id, version=version)
    return WrappedKey(
        key_id=key_id,
        tenant_id=tenant_id,
        version=version,
        state=KeyState.ACTIVE,
        suite=SUITE_AES_256_GCM,
        kek_uri=kek.kek_uri,
        kek_key_id=kek.kek_key_id,
        wrapped=wrapped,
        created_at=now,
        retired_at=None,
        destroyed_at=None,
    )


async def _first_key(wiring: Wiring, tenant_id: TenantId) -> WrappedKey:
    made = await new_key(wiring, tenant_id, version=await wiring.store.last_key_version(tenant_id) + 1)
    try:
        await wiring.store.apply(AddKey(key=made))
    except StaleWriteError:
        # Another worker made the tenant's key at the same moment; its key is the one.
        found = await wiring.store.find_active_key(tenant_id)
        if found is None:
            raise KeyringError(key_id=f"of tenant {tenant_id}", problem="was erased, and a backup has brought it back") from None
        return found
    return made
