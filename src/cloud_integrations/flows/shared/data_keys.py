"""The data keys of tenants: made, unwrapped by a key service, and remembered for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.envelope import SUITE_AES_256_GCM, DataKey, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import TenantId, uuid7
from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, StaleWriteError
from cloud_integrations.ports.caches import Cache
from cloud_integrations.ports.clock import Clock, Entropy
from cloud_integrations.ports.key_service import AsyncKeyService
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.single_flight import SingleFlight
from cloud_integrations.ports.store import AddKey, AsyncStore

INDEX_SCOPE: Final = TenantId("index key")
"""The owner of the key for fingerprints, which is stored and wrapped like a tenant's data key.

No tenant can have this id, because a tenant's id has no space.
"""
_FRESH: Final = timedelta(seconds=60)
_FRESH_FROM_A_SERVICE: Final = timedelta(seconds=300)
_ASK_AGAIN: Final = 2
"""Seconds before a key service that did not answer is asked for the same key again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What this process remembers of one data key."""

    key: DataKey | None
    fresh_until: float = 0.0
    """Until then (monotonic seconds) the key is used without asking the key service."""
    ends: float = 0.0
    """Until then the key may still be used if the key service does not answer."""
    ask_after: float = 0.0
    """Before then the key service, which did not answer, is not asked for this key again."""


class DataKeys:
    """Makes, unwraps and remembers the data keys of all tenants.

    A method that returns a `DataKey` raises `KeyServiceUnavailableError` or `KeyringError` if the key cannot be unwrapped.
    """

    def __init__(
        self,
        *,
        store: AsyncStore,
        service: AsyncKeyService,
        memory: Cache,
        clock: Clock,
        entropy: Entropy,
        single_flight: SingleFlight,
        settings: Settings,
    ) -> None:
        self._store = store
        self._service = service
        self._memory = memory
        """By tenant: the id of the active key.  By tenant and key id: a `_Kept`."""
        self._clock = clock
        self._entropy = entropy
        self._single_flight = single_flight
        self._settings = settings

    @property
    def fresh_time(self) -> timedelta:
        """How long an unwrapped data key is used before the key service is asked again."""
        if self._settings.data_key_cache is not None:
            return self._settings.data_key_cache
        return _FRESH_FROM_A_SERVICE if self._service.waits else _FRESH

    async def active(self, tenant_id: TenantId, /) -> DataKey:
        """Return the key that new values of the tenant are sealed with; make one for a new tenant."""
        key_id: UUID | None = self._memory.find(tenant_id)
        if key_id is not None and (key := self._fresh((tenant_id, key_id))) is not None:
            return key
        return await self._single_flight.share(("active key", tenant_id), lambda: self._load_active(tenant_id))

    async def index(self) -> DataKey:
        """Return the key for fingerprints: one for all tenants, never replaced, and used for nothing else."""
        return await self.active(INDEX_SCOPE)

    async def at_start(self, tenant_id: TenantId, /) -> DataKey:
        """Return the tenant's active key, as the store has it now, for work that asks a provider before it stores something.

        If the key service is unavailable, nothing is asked of the provider.
        """
        found = await self._store.find_active_key(tenant_id)
        if found is not None:
            return await self.keep(found)
        self.forget(tenant_id)
        return await self.active(tenant_id)

    async def id_at_start(self, tenant_id: TenantId, /) -> UUID:
        """Return the id of the key that `at_start` returns.

        `apply_sealed` takes this id, to detect that the tenant was erased in the meantime.
        """
        return (await self.at_start(tenant_id)).key_id

    async def require(self, tenant_id: TenantId, key_id: UUID, /) -> DataKey:
        """Return a data key of the tenant, to open values with.  Raises `DecryptError` if there is none, or no longer."""
        key = self._fresh((tenant_id, key_id))
        if key is not None:
            return key
        return await self._single_flight.share(("data key", tenant_id, key_id), lambda: self._load(tenant_id, key_id))

    async def keep(self, wrapped: WrappedKey, /) -> DataKey:
        """Unwrap and remember a data key that was just read from the store.  Also raises `DecryptError`."""
        if wrapped.state is KeyState.ACTIVE:
            self._memory.put(wrapped.tenant_id, wrapped.key_id, seconds=self.fresh_time.total_seconds())
        return await self._unwrapped(wrapped)

    async def make(self, tenant_id: TenantId, /) -> WrappedKey:
        """Make and wrap a new data key, to become the tenant's active one; the caller stores it."""
        version = await self._store.last_key_version(tenant_id) + 1
        now = self._clock.now()
        key_id = uuid7(now, self._entropy.bytes(10))
        kek, wrapped = await self._service.wrap(self._entropy.bytes(32), tenant_id=tenant_id, key_id=key_id, version=version)
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

    def forget(self, tenant_id: TenantId, key_ids: Iterable[UUID] = (), /) -> None:
        """Forget which of the tenant's keys is active, and forget the keys with these ids."""
        self._memory.drop(tenant_id)
        for key_id in key_ids:
            self.drop(tenant_id, key_id)

    def drop(self, tenant_id: TenantId, key_id: UUID, /) -> None:
        """Forget one key of the tenant."""
        self._memory.drop((tenant_id, key_id))

    def clear(self) -> None:
        """Forget every key of every tenant."""
        self._memory.clear()

    def _fresh(self, place: tuple[TenantId, UUID]) -> DataKey | None:
        # The tenant is part of the cache key: two tenants can never share an entry.
        kept: _Kept | None = self._memory.find(place)
        return kept.key if kept is not None and kept.fresh_until > self._clock.monotonic() else None

    async def _load_active(self, tenant_id: TenantId) -> DataKey:
        return await self.keep(await self._store.find_active_key(tenant_id) or await self._first_key(tenant_id))

    async def _first_key(self, tenant_id: TenantId) -> WrappedKey:
        made = await self.make(tenant_id)
        try:
            await self._store.apply(AddKey(key=made))
        except StaleWriteError:
            # Another worker stored the tenant's first key at the same moment: use that one.
            found = await self._store.find_active_key(tenant_id)
            if found is None:
                raise KeyringError(key_id=f"of tenant {tenant_id}", problem="was erased, and a backup has brought it back") from None
            return found
        return made

    async def _load(self, tenant_id: TenantId, key_id: UUID) -> DataKey:
        wrapped = await self._store.find_key(tenant_id, key_id)
        if wrapped is None:
            # Destroyed, refused or erased: no outage keeps it alive.
            self.drop(tenant_id, key_id)
            raise DecryptError
        return await self._unwrapped(wrapped)

    async def _unwrapped(self, wrapped: WrappedKey) -> DataKey:
        place = TenantId(wrapped.tenant_id), wrapped.key_id
        # One request serves all callers that want this key: otherwise all of them would ask at once when an outage ends.
        return await self._single_flight.share(("unwrap", *place), lambda: self._unwrap(place, wrapped))

    async def _unwrap(self, place: tuple[TenantId, UUID], wrapped: WrappedKey) -> DataKey:
        key = self._fresh(place)
        if key is not None:
            return key
        kept: _Kept | None = self._memory.find(place)
        if kept is None or kept.ask_after <= self._clock.monotonic():
            try:
                return await self._ask(place, wrapped)
            except KeyServiceUnavailableError:
                kept = self._asked_in_vain(place, kept)
            except (KeyringError, DecryptError):
                # The service answered and refused the key: a later outage must not make the remembered key usable again.
                self.drop(*place)
                raise
        if kept.key is None or kept.ends <= self._clock.monotonic():
            raise KeyServiceUnavailableError
        return kept.key

    async def _ask(self, place: tuple[TenantId, UUID], wrapped: WrappedKey) -> DataKey:
        unwrapped = await self._service.unwrap(wrapped)
        key = DataKey(key_id=wrapped.key_id, tenant_id=wrapped.tenant_id, version=wrapped.version, key=unwrapped)
        now = self._clock.monotonic()
        fresh = self.fresh_time.total_seconds()
        lives = fresh + self._settings.data_key_grace.total_seconds()
        self._memory.put(place, _Kept(key=key, fresh_until=now + fresh, ends=now + lives), seconds=lives)
        return key

    def _asked_in_vain(self, place: tuple[TenantId, UUID], kept: _Kept | None) -> _Kept:
        now = self._clock.monotonic()
        noted = replace(kept or _Kept(key=None), ask_after=now + _ASK_AGAIN)
        # Stored in the key's own entry: extra entries would push other keys out of a full cache, during an outage.
        self._memory.put(place, noted, seconds=max(noted.ends - now, _ASK_AGAIN))
        return noted
