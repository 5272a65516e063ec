"""Data keys and check values, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.envelope import KeyCheck, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.errors import KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import AddKey, AddKeyCheck, DestroyKey, EraseTenant, RefuseKeys, Reseal, RewrapKey, RotateKey

from .sealed_rows import replace_sealed, sealed_rows
from .tables import Memory, Tables, handles, unless_stale


class Keys(Memory):
    """Reads of data keys and of the rows that they seal."""

    def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
        """Return this data key of the tenant, unless it is destroyed, refused or erased."""
        key = self._tables.keys.get((tenant_id, key_id))
        return key if key is not None and _is_found(self._tables, key) else None

    def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
        """Return every data key of these tenants that `find_key` would find."""
        tables = self._tables
        return tuple(key for key in _living_keys(tables) if key.tenant_id in tenant_ids and _is_found(tables, key))

    def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None:
        """Return the data key that new values of the tenant are sealed with, or None."""
        key = _active_key(self._tables, tenant_id)
        return key if key is not None and _is_found(self._tables, key) else None

    def last_key_version(self, tenant_id: TenantId, /) -> int:
        """Return the highest version of a data key that the tenant has or ever had."""
        return _last_version(self._tables, tenant_id)

    def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]:
        """Return data keys that are not destroyed, ordered by tenant and version."""
        found = [
            key
            for key in _living_keys(self._tables)
            if tenant_id in {None, key.tenant_id} and (after is None or (key.tenant_id, key.version) > after)
        ]
        return tuple(sorted(found, key=lambda key: (key.tenant_id, key.version))[:limit])

    def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that only open and still seal a row, ordered by id."""
        used = {(row.tenant_id, row.key_id) for row in sealed_rows(self._tables)}
        found = [
            key
            for key in _living_keys(self._tables)
            if key.state is KeyState.DECRYPT_ONLY and (key.tenant_id, key.key_id) in used and (after is None or key.key_id > after)
        ]
        return tuple(sorted(found, key=lambda key: (key.key_id, key.tenant_id))[:limit])

    def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """Return rows of any table that are sealed under these data keys."""
        wanted = set(keys)
        return tuple(row for row in sealed_rows(self._tables) if (row.tenant_id, row.key_id) in wanted)[:limit]

    def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """Count data keys and the rows they seal."""
        tables = self._tables
        rows = Counter((row.tenant_id, row.key_id) for row in sealed_rows(tables))
        keys = sorted(_living_keys(tables), key=lambda key: (key.tenant_id, key.version))
        if tenant_id is not None:
            return tuple(
                KeyUsage(
                    kek_uri=key.kek_uri,
                    state=key.state,
                    key_id=key.key_id,
                    version=key.version,
                    created_at=key.created_at,
                    keys=1,
                    rows=rows[tenant_id, key.key_id],
                )
                for key in keys
                if key.tenant_id == tenant_id
            )
        counted: dict[tuple[str, KeyState], list[int]] = {}
        for key in keys:
            count = counted.setdefault((key.kek_uri, key.state), [0, 0])
            count[0] += 1
            count[1] += rows[TenantId(key.tenant_id), key.key_id]
        return tuple(KeyUsage(kek_uri=uri, state=state, keys=count[0], rows=count[1]) for (uri, state), count in sorted(counted.items()))

    def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that were erased with their tenant and are there again."""
        tables = self._tables
        found = [key for key in _living_keys(tables) if key.version <= tables.floor(key.tenant_id).erased_version]
        return tuple(sorted(found, key=lambda key: (key.tenant_id, key.version))[:limit])

    def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]:
        """Return the ids of the tenant's data keys that were destroyed."""
        own = [key for key in list(self._tables.keys.values()) if key.tenant_id == tenant_id and key.state is KeyState.DESTROYED]
        return tuple(key.key_id for key in sorted(own, key=lambda key: key.version))

    def list_key_checks(self) -> tuple[KeyCheck, ...]:
        """Return the check values of every key-encryption key ever used."""
        return tuple(self._tables.checks.values())

    def list_kek_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the key-encryption keys that wrap a data key which is not destroyed."""
        return tuple(sorted({key.kek_key_id for key in self._tables.keys.values() if key.state is not KeyState.DESTROYED}))


@handles(AddKey)
def add_key(tables: Tables, change: AddKey) -> None:
    """Store a data key."""
    _add(tables, change.key)


@handles(RotateKey)
def rotate_key(tables: Tables, change: RotateKey) -> None:
    """Replace the active data key."""
    key = change.key
    old = tables.keys.get((key.tenant_id, change.replaces))
    if old is None or old.state is not KeyState.ACTIVE:
        raise StaleWriteError
    tables.keys[key.tenant_id, old.key_id] = replace(old, state=KeyState.DECRYPT_ONLY, retired_at=key.created_at)
    _add(tables, key)


@handles(RewrapKey)
def rewrap_key(tables: Tables, change: RewrapKey) -> None:
    """Store a data key as wrapped by another key-encryption key."""
    before = change.before
    key = tables.keys.get((before.tenant_id, before.key_id))
    if key is None or key.state is KeyState.DESTROYED or (key.kek_key_id, key.wrapped) != (before.kek_key_id, before.wrapped):
        raise StaleWriteError
    rewrapped = replace(key, kek_uri=change.kek_uri, kek_key_id=change.kek_key_id, wrapped=change.wrapped)
    tables.keys[before.tenant_id, before.key_id] = rewrapped


@handles(DestroyKey)
def destroy_key(tables: Tables, change: DestroyKey) -> None:
    """Overwrite a data key that seals nothing any more."""
    key = tables.keys.get((change.tenant_id, change.key_id))
    used = any((row.tenant_id, row.key_id) == (change.tenant_id, change.key_id) for row in sealed_rows(tables))
    if key is None or key.state is not KeyState.DECRYPT_ONLY or used:
        raise StaleWriteError
    tables.keys[change.tenant_id, change.key_id] = _destroyed(key, change.destroyed_at)


@handles(Reseal)
def reseal(tables: Tables, change: Reseal) -> None:
    """Replace the sealed fields of rows that have not changed, under an active key."""
    for before, after in change.rows:
        if may_seal(tables, after.tenant_id, after.key_id):
            replace_sealed(tables, before, after)


@handles(RefuseKeys)
def refuse_keys(tables: Tables, change: RefuseKeys) -> None:
    """Set the lowest version of the tenant's data keys that is found."""
    tables.floors[change.tenant_id] = replace(tables.floor(change.tenant_id), min_version=change.min_version)


@handles(EraseTenant)
def erase_tenant(tables: Tables, change: EraseTenant) -> None:
    """Overwrite a tenant's data keys, and delete its authorizations, applications, sessions, webhooks, announcements and sealed entries."""
    tenant_id = change.tenant_id
    unless_stale(all(owner != tenant_id for owner, _ in tables.integrations))
    tables.floors[tenant_id] = replace(tables.floor(tenant_id), erased_version=_last_version(tables, tenant_id))
    for key in _living_keys(tables):
        if key.tenant_id == tenant_id:
            tables.keys[tenant_id, key.key_id] = _destroyed(key, change.erased_at)
    for pending in list(tables.pending.values()):
        if pending.tenant_id == tenant_id:
            del tables.pending[pending.state_hash]
    tables.applications = {key: application for key, application in tables.applications.items() if key[0] != tenant_id}
    tables.sessions = {key: session for key, session in tables.sessions.items() if key[0] != tenant_id}
    tables.connect_sessions = {key: session for key, session in tables.connect_sessions.items() if key[0] != tenant_id}
    tables.webhooks = {key: webhook for key, webhook in tables.webhooks.items() if key[0] != tenant_id}
    tables.announcements = {key: announcement for key, announcement in tables.announcements.items() if key[0] != tenant_id}
    tables.outbox = {key: entry for key, entry in tables.outbox.items() if key[0] != tenant_id or entry.key_id is None}


@handles(AddKeyCheck)
def add_key_check(tables: Tables, change: AddKeyCheck) -> None:
    """Store a check value, unless there is one."""
    tables.checks.setdefault(change.check.kek_key_id, change.check)


def require_active_key(tables: Tables, tenant_id: TenantId, key_id: UUID) -> None:
    """Raise `KeyRetiredError` unless this key seals the tenant's new values."""
    if not may_seal(tables, tenant_id, key_id):
        raise KeyRetiredError


def may_seal(tables: Tables, tenant_id: TenantId, key_id: UUID) -> bool:
    """Return whether this key seals the tenant's new values."""
    key = tables.keys.get((tenant_id, key_id))
    return key is not None and key.state is KeyState.ACTIVE and _is_found(tables, key)


def _add(tables: Tables, key: WrappedKey) -> None:
    own = [other for other in tables.keys.values() if other.tenant_id == key.tenant_id]
    unless_stale(key.version > tables.floor(key.tenant_id).erased_version)
    unless_stale(all(other.version != key.version and other.key_id != key.key_id for other in own))
    unless_stale(key.state is not KeyState.ACTIVE or _active_key(tables, key.tenant_id) is None)
    tables.keys[key.tenant_id, key.key_id] = key


def _destroyed(key: WrappedKey, at: datetime) -> WrappedKey:
    return replace(key, state=KeyState.DESTROYED, wrapped=b"", destroyed_at=at)


def _living_keys(tables: Tables) -> list[WrappedKey]:
    return [key for key in list(tables.keys.values()) if key.state is not KeyState.DESTROYED]


def _active_key(tables: Tables, tenant_id: str) -> WrappedKey | None:
    own = (key for key in list(tables.keys.values()) if key.tenant_id == tenant_id and key.state is KeyState.ACTIVE)
    return next(own, None)


def _is_found(tables: Tables, key: WrappedKey) -> bool:
    floor = tables.floor(key.tenant_id)
    return key.state is not KeyState.DESTROYED and key.version >= floor.min_version and key.version > floor.erased_version


def _last_version(tables: Tables, tenant_id: str) -> int:
    versions = [key.version for key in list(tables.keys.values()) if key.tenant_id == tenant_id]
    return max([*versions, tables.floor(tenant_id).erased_version])
