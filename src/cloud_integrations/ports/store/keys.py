"""Data keys, the rows that they seal, and the check values of key-encryption keys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.envelope import KeyCheck, WrappedKey
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """Store a wrapped data key.  `StaleWriteError` if the version exists or was erased, or another key of the tenant is active."""

    key: WrappedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """Replace the tenant's active key by `key`, which is active; the old one then only opens (`retired_at` is `key.created_at`).

    Waits for transactions that write under the old key; none begins later.
    `StaleWriteError` if `replaces` is no longer the active one, or the version exists or was erased.
    """

    key: WrappedKey
    replaces: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrapKey:
    """Store a data key as wrapped by another key-encryption key.

    `StaleWriteError` if it is no longer wrapped as in `before`, gone, or destroyed.
    """

    before: WrappedKey
    kek_uri: str
    kek_key_id: bytes
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyKey:
    """Overwrite a wrapped data key that only opens; its version cannot be used again.

    `StaleWriteError` if it is active, gone, destroyed already, or still seals a row.
    """

    tenant_id: TenantId
    key_id: UUID
    destroyed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reseal:
    """Replace the sealed fields of rows, each (before, after); nothing else of a row changes.

    A row is left as it is if its key or generation is no longer that of *before*, if *after* has other fields than
    *before*, or if the key of *after* is not the tenant's active one.
    """

    rows: tuple[tuple[SealedRow, SealedRow], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseKeys:
    """From now on, find no data key of the tenant below `min_version` and seal with none; 1 takes it back.  They stay listed."""

    tenant_id: TenantId
    min_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseTenant:
    """Overwrite every data key of the tenant, and delete its authorizations, applications, sessions, webhooks and announcements.

    Of its outbox, entries with a sealed payload are deleted; the others stay.
    The highest version is remembered: no key up to it is found, seals or is added again, even if a backup restores it.
    Waits for transactions that write under the tenant's keys or replace one.
    `StaleWriteError` while the tenant has an integration, or if its keys are replaced again and again meanwhile.
    """

    tenant_id: TenantId
    erased_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKeyCheck:
    """Store the check value of a key-encryption key; an existing one stays as it is."""

    check: KeyCheck


class AsyncKeyStore(Protocol):
    """Reads of data keys and of the rows that they seal."""

    async def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
        """Return this data key of the tenant; None if there is none, or if it is destroyed, refused (`RefuseKeys`) or erased."""
        ...

    async def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
        """Return every data key of these tenants that `find_key` would find, in no order; at most 1,000 tenants."""
        ...

    async def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None:
        """Return the data key that new values of the tenant are sealed with, or None."""
        ...

    async def last_key_version(self, tenant_id: TenantId, /) -> int:
        """Return the highest version of a data key that the tenant has or ever had; 0 if there was none."""
        ...

    async def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]:
        """Return data keys that are not destroyed (of one tenant), those beyond *after*, ordered by tenant and version.

        Tenants are ordered as the store's database compares text.
        """
        ...

    async def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that only open and still seal a row, those beyond *after*, in the store's own order of ids."""
        ...

    async def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """Return at most *limit* rows of any table that are sealed under these data keys (tenant, key id)."""
        ...

    async def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """Count data keys that are not destroyed and the rows that they seal, by key-encryption key and state, or per key of one tenant."""
        ...

    async def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that were erased with their tenant and exist again: a backup was restored."""
        ...

    async def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]:
        """Return the ids of all data keys of the tenant that were destroyed, by rotation or with the tenant, the oldest first."""
        ...

    async def list_key_checks(self) -> tuple[KeyCheck, ...]:
        """Return the check values of every key-encryption key ever used."""
        ...

    async def list_kek_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the key-encryption keys that wrap a data key which is not destroyed."""
        ...


class KeyStore(Protocol):
    """The blocking form of `AsyncKeyStore`: the same methods, the same promises."""

    def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None: ...

    def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]: ...

    def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None: ...

    def last_key_version(self, tenant_id: TenantId, /) -> int: ...

    def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]: ...

    def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]: ...

    def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]: ...

    def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]: ...

    def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]: ...

    def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]: ...

    def list_key_checks(self) -> tuple[KeyCheck, ...]: ...

    def list_kek_ids(self) -> tuple[bytes, ...]: ...
