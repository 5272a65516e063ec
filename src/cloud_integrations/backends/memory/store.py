"""Everything in dictionaries: for tests and for trying things out; nothing outlives the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, assert_never
from uuid import UUID

from cloud_integrations.domain.audit import AuditEvent, AuditHead, AuditRecord, chained
from cloud_integrations.domain.envelope import KeyCheck, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import (
    DueIntegration,
    Integration,
    Phase,
    RefreshMarks,
    State,
    StoredCredential,
    StoredIntegration,
)
from cloud_integrations.domain.pending import PendingAuthorization, surplus
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.domain.removal import Revocation
from cloud_integrations.errors import (
    IntegrationExistsError,
    IntegrationNotFoundError,
    KeyRetiredError,
    StaleWriteError,
    UnstorableValueError,
)
from cloud_integrations.ports.clock import Clock
from cloud_integrations.ports.conformance import require_clock
from cloud_integrations.ports.store import (
    MAX_COUNTED,
    MAX_HOLDERS,
    RECONNECT_OWNER,
    AddIntegration,
    AddKey,
    AddKeyCheck,
    AddPending,
    AddRevocation,
    Change,
    ClosePending,
    DelayRevocation,
    DestroyKey,
    EraseIntegration,
    EraseTenant,
    FinishRevocation,
    MarkSent,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
    RewrapKey,
    RotateKey,
    SaveFacts,
    SaveRenewal,
    SettleAttempt,
    StoreReport,
    TakeLease,
)

_IN_FLIGHT = {Phase.SENT, Phase.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    """Which versions of a tenant's data keys are not found."""

    min_version: int = 1
    erased_version: int = 0


@dataclass(slots=True)
class _Tables:
    """The rows; values are frozen, so a shallow copy is a copy."""

    integrations: dict[tuple[TenantId, IntegrationId], StoredIntegration] = field(default_factory=dict)
    pending: dict[bytes, PendingAuthorization] = field(default_factory=dict)
    keys: dict[tuple[str, UUID], WrappedKey] = field(default_factory=dict)
    floors: dict[str, _Floor] = field(default_factory=dict)
    checks: dict[bytes, KeyCheck] = field(default_factory=dict)
    revocations: dict[tuple[TenantId, UUID], Revocation] = field(default_factory=dict)

    def copy(self) -> _Tables:
        return _Tables(
            integrations=self.integrations.copy(),
            pending=self.pending.copy(),
            keys=self.keys.copy(),
            floors=self.floors.copy(),
            checks=self.checks.copy(),
            revocations=self.revocations.copy(),
        )


class MemoryStore:
    """A `Store` in memory.

    Safe to share between threads.  *clock* replaces the wall clock, for tests.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        require_clock(clock)
        self._now: Callable[[], datetime] = clock.now if clock is not None else _wall_clock
        self._lock = Lock()
        self._tables = _Tables()
        self._chains: dict[TenantId, list[AuditRecord]] = {}

    def prepare(self) -> None:
        """Nothing to prepare."""

    def report(self) -> StoreReport:
        """Say that this is memory, and how much it holds."""
        return StoreReport(kind="memory", schema=None, facts={"integrations": str(len(self._tables.integrations))})

    def apply(self, *changes: Change) -> None:
        """Make all *changes*, or none and raise what the refused change says."""
        with self._lock:
            tables = self._tables.copy()
            now = self._now()
            for change in changes:
                _make(tables, change, now)
            self._tables = tables
            # Appending cannot be refused, so the chains need no copy.
            for change in changes:
                if isinstance(change, Record):
                    self._append(change.event)

    def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """Return the tenant's integration, or None."""
        stored = self._tables.integrations.get((tenant_id, integration_id))
        return None if stored is None else replace(stored, read_at=self._now())

    def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /) -> StoredCredential | None:
        """Return what handing out the tenant's credential with this provider takes, or None."""
        stored = _with_provider(self._tables, tenant_id, provider_id)
        return None if stored is None else stored.to_use

    def list_integrations(self, tenant_id: TenantId, /) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first."""
        own = [stored.facts for stored in self._tables.integrations.values() if stored.facts.tenant_id == tenant_id]
        return tuple(sorted(own, key=lambda facts: (facts.created_at, facts.id)))

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired, or None."""
        pending = self._tables.pending.get(state_hash)
        return pending if pending is not None and _is_open(pending, self._now()) else None

    def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization; None if there is none, or somebody was first."""
        with self._lock:
            now = self._now()
            pending = self._tables.pending.get(state_hash)
            if pending is None or not _is_open(pending, now):
                return None
            taken = replace(pending, consumed_at=now)
            self._tables.pending[state_hash] = taken
            return taken

    def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations of all tenants; return how many."""
        with self._lock:
            now = self._now()
            expired = [pending for pending in self._tables.pending.values() if pending.expires_at <= now]
            for pending in expired[:limit]:
                del self._tables.pending[pending.state_hash]
            return len(expired[:limit])

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """Whether an authorization of this tenant with this provider is open."""
        now = self._now()
        with self._lock:
            return any(
                pending.tenant_id == tenant_id and pending.provider_id == provider_id and _is_open(pending, now)
                for pending in self._tables.pending.values()
            )

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
        used = {(row.tenant_id, row.key_id) for row in _sealed_rows(self._tables)}
        found = [
            key
            for key in _living_keys(self._tables)
            if key.state is KeyState.DECRYPT_ONLY and (key.tenant_id, key.key_id) in used and (after is None or key.key_id > after)
        ]
        return tuple(sorted(found, key=lambda key: (key.key_id, key.tenant_id))[:limit])

    def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """Return rows of any table that are sealed under these data keys."""
        wanted = set(keys)
        return tuple(row for row in _sealed_rows(self._tables) if (row.tenant_id, row.key_id) in wanted)[:limit]

    def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """Count data keys and the rows they seal."""
        tables = self._tables
        rows = Counter((row.tenant_id, row.key_id) for row in _sealed_rows(tables))
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
        found = [key for key in _living_keys(tables) if key.version <= tables.floors.get(key.tenant_id, _Floor()).erased_version]
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

    def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation, ...]:
        """Return entries of the outbox whose time has come, oldest first, and hold them."""
        with self._lock:
            now = self._now()
            due = sorted(
                (entry for entry in self._tables.revocations.values() if entry.next_attempt_at <= now),
                key=lambda entry: (entry.next_attempt_at, entry.id),
            )
            claimed = tuple(replace(entry, next_attempt_at=now + hold) for entry in due[:limit])
            self._tables.revocations.update({(entry.tenant_id, entry.id): entry for entry in claimed})
            return claimed

    def count_revocations(self) -> int:
        """Return how many tokens wait to be revoked."""
        return len(self._tables.revocations)

    def list_revocations(self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int) -> tuple[Revocation, ...]:
        """Return entries of the outbox for tokens of this tenant (from one provider)."""
        own = (
            entry
            for entry in list(self._tables.revocations.values())
            if entry.tenant_id == tenant_id and provider_id in {None, entry.provider_id}
        )
        return tuple(sorted(own, key=lambda entry: (entry.created_at, entry.id))[:limit])

    def find_holders(self, provider_id: ProviderId, fingerprint: bytes, /) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """Return which integrations have this fingerprint as that of a token or of their account."""
        return tuple(
            [
                (stored.facts.tenant_id, stored.facts.id)
                for stored in list(self._tables.integrations.values())
                if stored.facts.provider_id == provider_id
                and fingerprint
                in {stored.credential.access_fingerprint, stored.credential.refresh_fingerprint, stored.credential.account_fingerprint}
            ][:MAX_HOLDERS]
        )

    def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """Say how all other integrations of an OAuth application did since then."""
        others = [
            stored.marks
            for stored in list(self._tables.integrations.values())
            if stored.facts.provider_id == provider_id and stored.facts.context_id == context_id and stored.facts.id != but
        ]
        if any(marks.refreshed_at is not None and marks.refreshed_at >= since for marks in others):
            return True
        return False if any(marks.failed_at is not None and marks.failed_at >= since for marks in others) else None

    def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """Return integrations that are in state needs_reauth and hold a refresh token, ordered by tenant and id."""
        found = [
            _to_renew(stored)
            for key, stored in sorted(self._tables.integrations.items())
            if stored.facts.provider_id == provider_id
            and stored.facts.state is State.NEEDS_REAUTH
            and stored.credential.can_refresh
            and reason in {None, stored.facts.reason}
            and (after is None or key > after)
        ]
        return tuple(found[:limit])

    def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration, ...]:
        """Return integrations whose time has come, the oldest, and hold them."""
        with self._lock:
            now = self._now()
            due = sorted((at, stored.facts.tenant_id, stored.facts.id, stored) for at, stored in _due(self._tables, now))
            claimed = [stored for *_, stored in due[:limit]]
            for stored in claimed:
                _put(self._tables, replace(stored, marks=replace(stored.marks, due_at=now + hold)))
        return tuple([_to_renew(stored) for stored in claimed])

    def count_due(self) -> int:
        """Return how many integrations are due and claimed by nobody."""
        return min(len(_due(self._tables, self._now())), MAX_COUNTED)

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events with a number above *after*, in order."""
        # Numbers have no gaps, so a record's number is its place in the list.
        first = max(after or 0, 0)
        return tuple(self._chains.get(tenant_id, [])[first : first + limit])

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events (of one resource), newest first, with a number below *before*."""
        chain = self._chains.get(tenant_id, [])
        older = chain if before is None else chain[: max(before - 1, 0)]
        return tuple([record for record in reversed(older) if resource in {None, record.event.resource}][:limit])

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None where nothing happened yet."""
        chain = self._chains.get(tenant_id)
        return None if not chain else AuditHead(tenant_id=tenant_id, seq=chain[-1].seq, hash=chain[-1].hash)

    def _append(self, event: AuditEvent) -> None:
        record = chained(event, self.find_audit_head(event.tenant_id))
        self._chains.setdefault(event.tenant_id, []).append(record)


class AsyncMemoryStore:
    """`MemoryStore`, awaited: nothing in it waits."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._store = MemoryStore(clock)

    async def prepare(self) -> None:
        """See `MemoryStore.prepare`."""
        self._store.prepare()

    async def report(self) -> StoreReport:
        """See `MemoryStore.report`."""
        return self._store.report()

    async def apply(self, *changes: Change) -> None:
        """See `MemoryStore.apply`."""
        self._store.apply(*changes)

    async def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """See `MemoryStore.find_integration`."""
        return self._store.find_integration(tenant_id, integration_id)

    async def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /) -> StoredCredential | None:
        """See `MemoryStore.find_credential`."""
        return self._store.find_credential(tenant_id, provider_id)

    async def list_integrations(self, tenant_id: TenantId, /) -> tuple[Integration, ...]:
        """See `MemoryStore.list_integrations`."""
        return self._store.list_integrations(tenant_id)

    async def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """See `MemoryStore.find_pending`."""
        return self._store.find_pending(state_hash)

    async def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """See `MemoryStore.take_pending`."""
        return self._store.take_pending(state_hash)

    async def sweep_pending(self, *, limit: int) -> int:
        """See `MemoryStore.sweep_pending`."""
        return self._store.sweep_pending(limit=limit)

    async def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """See `MemoryStore.has_pending`."""
        return self._store.has_pending(tenant_id, provider_id)

    async def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
        """See `MemoryStore.find_key`."""
        return self._store.find_key(tenant_id, key_id)

    async def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
        """See `MemoryStore.find_keys`."""
        return self._store.find_keys(tenant_ids)

    async def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None:
        """See `MemoryStore.find_active_key`."""
        return self._store.find_active_key(tenant_id)

    async def last_key_version(self, tenant_id: TenantId, /) -> int:
        """See `MemoryStore.last_key_version`."""
        return self._store.last_key_version(tenant_id)

    async def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]:
        """See `MemoryStore.list_keys`."""
        return self._store.list_keys(tenant_id=tenant_id, after=after, limit=limit)

    async def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
        """See `MemoryStore.list_replaced_keys`."""
        return self._store.list_replaced_keys(after=after, limit=limit)

    async def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """See `MemoryStore.list_sealed`."""
        return self._store.list_sealed(keys, limit=limit)

    async def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """See `MemoryStore.list_key_usage`."""
        return self._store.list_key_usage(tenant_id=tenant_id)

    async def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]:
        """See `MemoryStore.list_returned_keys`."""
        return self._store.list_returned_keys(limit=limit)

    async def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]:
        """See `MemoryStore.list_destroyed_keys`."""
        return self._store.list_destroyed_keys(tenant_id)

    async def list_key_checks(self) -> tuple[KeyCheck, ...]:
        """See `MemoryStore.list_key_checks`."""
        return self._store.list_key_checks()

    async def list_kek_ids(self) -> tuple[bytes, ...]:
        """See `MemoryStore.list_kek_ids`."""
        return self._store.list_kek_ids()

    async def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation, ...]:
        """See `MemoryStore.claim_revocations`."""
        return self._store.claim_revocations(limit=limit, hold=hold)

    async def count_revocations(self) -> int:
        """See `MemoryStore.count_revocations`."""
        return self._store.count_revocations()

    async def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation, ...]:
        """See `MemoryStore.list_revocations`."""
        return self._store.list_revocations(tenant_id, provider_id=provider_id, limit=limit)

    async def find_holders(self, provider_id: ProviderId, fingerprint: bytes, /) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """See `MemoryStore.find_holders`."""
        return self._store.find_holders(provider_id, fingerprint)

    async def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """See `MemoryStore.others_renewed`."""
        return self._store.others_renewed(provider_id, context_id, since=since, but=but)

    async def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """See `MemoryStore.list_unrenewed`."""
        return self._store.list_unrenewed(provider_id, reason=reason, after=after, limit=limit)

    async def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration, ...]:
        """See `MemoryStore.claim_due`."""
        return self._store.claim_due(limit=limit, hold=hold)

    async def count_due(self) -> int:
        """See `MemoryStore.count_due`."""
        return self._store.count_due()

    async def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """See `MemoryStore.list_audit`."""
        return self._store.list_audit(tenant_id, after=after, limit=limit)

    async def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """See `MemoryStore.list_audit_newest`."""
        return self._store.list_audit_newest(tenant_id, resource=resource, before=before, limit=limit)

    async def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """See `MemoryStore.find_audit_head`."""
        return self._store.find_audit_head(tenant_id)


def _wall_clock() -> datetime:
    return datetime.now(UTC)


def _make(tables: _Tables, change: Change, now: datetime) -> None:  # noqa: C901, PLR0912 - one case per kind of change
    """Make one change in *tables*, or raise."""
    match change:
        case AddIntegration():
            _add_integration(tables, change, now)
        case SaveFacts():
            _save_facts(tables, change)
        case ReplaceCredential():
            _replace_credential(tables, change)
        case EraseIntegration():
            stored = _require(tables, change.tenant_id, change.integration_id)
            _unless_stale(stored.credential.generation == change.expected_generation)
            del tables.integrations[change.tenant_id, change.integration_id]
        case TakeLease():
            _take_lease(tables, change, now)
        case MarkSent():
            _mark_sent(tables, change, now)
        case SaveRenewal():
            _save_renewal(tables, change)
        case SettleAttempt():
            _settle_attempt(tables, change)
        case AddPending():
            _add_pending(tables, change.pending, now)
        case ClosePending():
            for pending in list(tables.pending.values()):
                if (pending.tenant_id, pending.provider_id) == (change.tenant_id, change.provider_id):
                    del tables.pending[pending.state_hash]
        case AddKey() | RotateKey() | RewrapKey() | DestroyKey() | Reseal() | RefuseKeys() | EraseTenant():
            _change_keys(tables, change)
        case AddKeyCheck():
            tables.checks.setdefault(change.check.kek_key_id, change.check)
        case AddRevocation():
            entry = change.revocation
            _require_active_key(tables, entry.tenant_id, entry.key_id)
            _unless_stale((entry.tenant_id, entry.id) not in tables.revocations)
            tables.revocations[entry.tenant_id, entry.id] = entry
        case FinishRevocation():
            tables.revocations.pop((change.tenant_id, change.revocation_id), None)
        case DelayRevocation():
            delayed = tables.revocations.get((change.tenant_id, change.revocation_id))
            if delayed is not None:
                tables.revocations[change.tenant_id, change.revocation_id] = replace(
                    delayed, attempts=delayed.attempts + 1, next_attempt_at=change.next_attempt_at, last_error=change.error
                )
        case Record():
            pass  # appended when everything else is made
        case _:
            assert_never(change)


def _change_keys(tables: _Tables, change: AddKey | RotateKey | RewrapKey | DestroyKey | Reseal | RefuseKeys | EraseTenant) -> None:
    match change:
        case AddKey():
            _add_key(tables, change.key)
        case RotateKey():
            _rotate_key(tables, change)
        case RewrapKey():
            before = change.before
            key = tables.keys.get((before.tenant_id, before.key_id))
            if key is None or key.state is KeyState.DESTROYED or (key.kek_key_id, key.wrapped) != (before.kek_key_id, before.wrapped):
                raise StaleWriteError
            tables.keys[before.tenant_id, before.key_id] = replace(
                key, kek_uri=change.kek_uri, kek_key_id=change.kek_key_id, wrapped=change.wrapped
            )
        case DestroyKey():
            _destroy_key(tables, change)
        case Reseal():
            for row, resealed in change.rows:
                _reseal(tables, row, resealed)
        case RefuseKeys():
            floor = tables.floors.get(change.tenant_id, _Floor())
            tables.floors[change.tenant_id] = replace(floor, min_version=change.min_version)
        case EraseTenant():
            _erase_tenant(tables, change)
        case _:
            assert_never(change)


def _add_integration(tables: _Tables, change: AddIntegration, now: datetime) -> None:
    facts = change.facts
    _require_active_key(tables, facts.tenant_id, change.credential.key_id)
    if (facts.tenant_id, facts.id) in tables.integrations or _with_provider(tables, facts.tenant_id, facts.provider_id) is not None:
        raise IntegrationExistsError(tenant_id=facts.tenant_id, provider_id=str(facts.provider_id))
    marks = RefreshMarks(due_at=change.due_at if facts.state.is_refreshed else None, refreshed_at=facts.updated_at)
    _put(tables, StoredIntegration(facts=facts, credential=change.credential, marks=marks, read_at=now))


def _save_facts(tables: _Tables, change: SaveFacts) -> None:
    facts = change.facts
    stored = _require(tables, facts.tenant_id, facts.id)
    _unless_stale(stored.facts.state is change.expected_state)
    written = replace(
        stored.facts, name=facts.name, state=facts.state, state_since=facts.state_since, reason=facts.reason, updated_at=facts.updated_at
    )
    marks = stored.marks
    if not facts.state.is_refreshed:
        marks = replace(marks, due_at=None)
    elif not change.expected_state.is_refreshed:
        marks = replace(marks, due_at=stored.facts.expires_at if stored.credential.can_refresh else None, refused_since=None)
    _put(tables, replace(stored, facts=written, marks=marks))


def _replace_credential(tables: _Tables, change: ReplaceCredential) -> None:
    _require_active_key(tables, change.facts.tenant_id, change.credential.key_id)
    stored = _require(tables, change.facts.tenant_id, change.facts.id)
    _unless_stale(stored.credential.generation == change.expected_generation and stored.facts.state is not State.DISABLED)
    lease = stored.marks.lease_token + 1
    facts = replace(change.facts, provider_id=stored.facts.provider_id, name=stored.facts.name, created_at=stored.facts.created_at)
    marks = RefreshMarks(
        lease_token=lease,
        lease_owner=RECONNECT_OWNER,
        writer_lease=lease,
        due_at=change.due_at if facts.state.is_refreshed else None,
        refreshed_at=facts.updated_at,
    )
    _put(tables, replace(stored, facts=facts, credential=change.credential, marks=marks))


def _take_lease(tables: _Tables, change: TakeLease, now: datetime) -> None:
    stored = tables.integrations.get((change.tenant_id, change.integration_id))
    if stored is None:
        raise StaleWriteError
    marks = stored.marks
    delay = change.takeover_delay if marks.phase in _IN_FLIGHT else timedelta()
    _unless_stale(
        stored.credential.generation == change.expected_generation
        and _is_renewed(stored.facts.state, change)
        and (marks.lease_until is None or marks.lease_until + delay < now)
    )
    taken = replace(
        marks,
        lease_token=marks.lease_token + 1,
        lease_until=now + change.length,
        lease_owner=change.owner,
        phase=Phase.LEASED,
        attempt_id=change.attempt_id,
    )
    _put(tables, replace(stored, marks=taken))


def _mark_sent(tables: _Tables, change: MarkSent, now: datetime) -> None:
    stored = _leased(tables, change)
    until = stored.marks.lease_until
    _unless_stale(until is not None and until > now + change.needed and _is_renewed(stored.facts.state, change))
    _put(tables, replace(stored, marks=replace(stored.marks, phase=Phase.SENT, sent_at=stored.marks.sent_at or now)))


def _save_renewal(tables: _Tables, change: SaveRenewal) -> None:
    facts = change.facts
    _require_active_key(tables, facts.tenant_id, change.credential.key_id)
    stored = _require(tables, facts.tenant_id, facts.id)
    marks = stored.marks
    ours = (marks.lease_token, marks.attempt_id) == (change.lease_token, change.attempt_id)
    switched_off = facts.state is State.DISABLED
    _unless_stale(
        marks.writer_lease < change.lease_token
        and stored.credential.generation == change.credential.generation - 1
        and (stored.facts.state is State.DISABLED) is switched_off
        and (change.takes_back or ours or stored.facts.state is not State.NEEDS_REAUTH)
    )
    renewed = replace(
        stored.facts,
        scopes=facts.scopes,
        missing_scopes=facts.missing_scopes,
        expires_at=facts.expires_at,
        reconnect_before=facts.reconnect_before,
        variables=facts.variables,
        state=facts.state,
        state_since=stored.facts.state_since if switched_off else facts.state_since,
        reason=facts.reason,
        updated_at=facts.updated_at,
    )
    written = replace(
        marks,
        lease_until=None if ours else marks.lease_until,
        lease_owner=None if ours else marks.lease_owner,
        phase=Phase.IDLE if ours else marks.phase,
        sent_at=None if ours or marks.phase not in _IN_FLIGHT else marks.sent_at,
        writer_lease=change.lease_token,
        attempts=0,
        next_attempt_at=change.next_attempt_at,
        last_error=None,
        failed_at=None,
        refused_since=None,
        refreshed_at=change.refreshed_at,
        due_at=None if switched_off else change.due_at,
    )
    credential = replace(change.credential, account_fingerprint=stored.credential.account_fingerprint)
    _put(tables, replace(stored, facts=renewed, credential=credential, marks=written))


def _settle_attempt(tables: _Tables, change: SettleAttempt) -> None:
    stored = _leased(tables, change)
    _unless_stale(stored.facts.state is not State.DISABLED)
    marks = stored.marks
    kept = change.phase is Phase.UNKNOWN
    settled = replace(
        marks,
        lease_until=marks.lease_until if kept else None,
        lease_owner=marks.lease_owner if kept else None,
        phase=change.phase,
        sent_at=marks.sent_at if change.state is State.UNKNOWN else None,
        attempts=marks.attempts + change.count_attempt,
        next_attempt_at=change.next_attempt_at,
        last_error=change.error,
        failed_at=change.failed_at,
        refused_since=change.refused_since,
        due_at=change.due_at if change.state.is_refreshed else None,
    )
    facts = replace(stored.facts, state=change.state, reason=change.reason, state_since=change.state_since)
    _put(tables, replace(stored, facts=facts, marks=settled))


def _add_pending(tables: _Tables, new: PendingAuthorization, now: datetime) -> None:
    if new.key_id is not None:
        _require_active_key(tables, new.tenant_id, new.key_id)
    _unless_stale(new.state_hash not in tables.pending)
    own = [pending for pending in tables.pending.values() if pending.tenant_id == new.tenant_id]
    newest_first = sorted(own, key=lambda pending: (pending.created_at, pending.state_hash), reverse=True)
    opened = [(pending.state_hash, pending.actor) for pending in newest_first if _is_open(pending, now)]
    closed = [pending.state_hash for pending in own if not _is_open(pending, now)]
    for state_hash in (*closed, *surplus(opened, new.actor)):
        del tables.pending[state_hash]
    tables.pending[new.state_hash] = new


def _add_key(tables: _Tables, key: WrappedKey) -> None:
    own = [other for other in tables.keys.values() if other.tenant_id == key.tenant_id]
    _unless_stale(key.version > tables.floors.get(key.tenant_id, _Floor()).erased_version)
    _unless_stale(all(other.version != key.version and other.key_id != key.key_id for other in own))
    _unless_stale(key.state is not KeyState.ACTIVE or _active_key(tables, key.tenant_id) is None)
    tables.keys[key.tenant_id, key.key_id] = key


def _rotate_key(tables: _Tables, change: RotateKey) -> None:
    key = change.key
    old = tables.keys.get((key.tenant_id, change.replaces))
    if old is None or old.state is not KeyState.ACTIVE:
        raise StaleWriteError
    tables.keys[key.tenant_id, old.key_id] = replace(old, state=KeyState.DECRYPT_ONLY, retired_at=key.created_at)
    _add_key(tables, key)


def _destroy_key(tables: _Tables, change: DestroyKey) -> None:
    key = tables.keys.get((change.tenant_id, change.key_id))
    used = any((row.tenant_id, row.key_id) == (change.tenant_id, change.key_id) for row in _sealed_rows(tables))
    if key is None or key.state is not KeyState.DECRYPT_ONLY or used:
        raise StaleWriteError
    tables.keys[change.tenant_id, change.key_id] = _destroyed(key, change.destroyed_at)


def _destroyed(key: WrappedKey, at: datetime) -> WrappedKey:
    return replace(key, state=KeyState.DESTROYED, wrapped=b"", destroyed_at=at)


def _erase_tenant(tables: _Tables, change: EraseTenant) -> None:
    tenant_id = change.tenant_id
    _unless_stale(all(held_tenant != tenant_id for held_tenant, _ in tables.integrations))
    floor = tables.floors.get(tenant_id, _Floor())
    tables.floors[tenant_id] = replace(floor, erased_version=_last_version(tables, tenant_id))
    for key in _living_keys(tables):
        if key.tenant_id == tenant_id:
            tables.keys[tenant_id, key.key_id] = _destroyed(key, change.erased_at)
    for pending in list(tables.pending.values()):
        if pending.tenant_id == tenant_id:
            del tables.pending[pending.state_hash]
    for entry in list(tables.revocations.values()):
        if entry.tenant_id == tenant_id:
            del tables.revocations[tenant_id, entry.id]


def _reseal(tables: _Tables, before: SealedRow, after: SealedRow) -> None:
    found = next((row for row in _sealed_rows(tables) if _place(row) == _place(before)), None)
    if found is None or before.sealed.keys() != after.sealed.keys() or not _may_seal(tables, after.tenant_id, after.key_id):
        return
    match before.table:
        case "ci_integration":
            place = (before.tenant_id, IntegrationId(UUID(before.row)))
            stored = tables.integrations[place]
            fields: dict[str, Any] = dict(after.sealed)
            tables.integrations[place] = replace(stored, credential=replace(stored.credential, key_id=after.key_id, **fields))
        case "ci_authorization":
            state_hash = bytes.fromhex(before.row)
            pending = tables.pending[state_hash]
            tables.pending[state_hash] = replace(pending, key_id=after.key_id, sealed_verifier=after.sealed["verifier"])
        case _:
            entry = tables.revocations[before.tenant_id, UUID(before.row)]
            tables.revocations[before.tenant_id, entry.id] = replace(entry, key_id=after.key_id, sealed_token=after.sealed["token"])


def _place(row: SealedRow) -> tuple[str, TenantId, str, int, UUID]:
    return row.table, row.tenant_id, row.row, row.generation, row.key_id


def _sealed_rows(tables: _Tables) -> list[SealedRow]:
    """Return every sealed row, in the words of its sealing context."""
    rows = [
        SealedRow(
            table="ci_integration",
            tenant_id=stored.facts.tenant_id,
            row=str(stored.facts.id),
            generation=stored.credential.generation,
            key_id=stored.credential.key_id,
            sealed={
                name: value
                for name in ("access_token", "refresh_token", "api_key", "api_secret")
                if (value := getattr(stored.credential, name)) is not None
            },
        )
        for stored in list(tables.integrations.values())
    ]
    rows += [
        SealedRow(
            table="ci_authorization",
            tenant_id=pending.tenant_id,
            row=pending.state_hash.hex(),
            key_id=pending.key_id,
            sealed={"verifier": pending.sealed_verifier},
        )
        for pending in list(tables.pending.values())
        if pending.key_id is not None and pending.sealed_verifier is not None
    ]
    rows += [
        SealedRow(
            table="ci_revocation", tenant_id=entry.tenant_id, row=str(entry.id), key_id=entry.key_id, sealed={"token": entry.sealed_token}
        )
        for entry in list(tables.revocations.values())
    ]
    return rows


def _living_keys(tables: _Tables) -> list[WrappedKey]:
    return [key for key in list(tables.keys.values()) if key.state is not KeyState.DESTROYED]


def _is_found(tables: _Tables, key: WrappedKey) -> bool:
    floor = tables.floors.get(key.tenant_id, _Floor())
    return key.state is not KeyState.DESTROYED and key.version >= floor.min_version and key.version > floor.erased_version


def _last_version(tables: _Tables, tenant_id: str) -> int:
    versions = [key.version for key in list(tables.keys.values()) if key.tenant_id == tenant_id]
    return max([*versions, tables.floors.get(tenant_id, _Floor()).erased_version])


def _require_active_key(tables: _Tables, tenant_id: TenantId, key_id: UUID) -> None:
    if not _may_seal(tables, tenant_id, key_id):
        raise KeyRetiredError


def _may_seal(tables: _Tables, tenant_id: TenantId, key_id: UUID) -> bool:
    key = tables.keys.get((tenant_id, key_id))
    return key is not None and key.state is KeyState.ACTIVE and _is_found(tables, key)


def _put(tables: _Tables, stored: StoredIntegration) -> None:
    if not stored.credential.fits(stored.facts.auth_type):
        raise UnstorableValueError
    facts = replace(stored.facts, renewable=stored.credential.can_refresh)
    tables.integrations[facts.tenant_id, facts.id] = replace(stored, facts=facts)


def _require(tables: _Tables, tenant_id: TenantId, integration_id: IntegrationId) -> StoredIntegration:
    stored = tables.integrations.get((tenant_id, integration_id))
    if stored is None:
        raise IntegrationNotFoundError
    return stored


def _leased(tables: _Tables, change: MarkSent | SettleAttempt) -> StoredIntegration:
    """Return the row while lease and generation are the attempt's own."""
    stored = tables.integrations.get((change.tenant_id, change.integration_id))
    if stored is None:
        raise StaleWriteError
    marks = stored.marks
    _unless_stale(
        (marks.lease_token, marks.attempt_id, stored.credential.generation) == (change.lease_token, change.attempt_id, change.generation)
    )
    return stored


def _is_renewed(state: State, change: TakeLease | MarkSent) -> bool:
    return state.is_refreshed or (change.asks_again and state is State.NEEDS_REAUTH)


def _to_renew(stored: StoredIntegration) -> DueIntegration:
    facts = stored.facts
    return DueIntegration(
        tenant_id=facts.tenant_id, integration_id=facts.id, provider_id=facts.provider_id, generation=stored.credential.generation
    )


def _unless_stale(fresh: bool, /) -> None:  # noqa: FBT001 - reads as a sentence: "unless stale (this holds)"
    if not fresh:
        raise StaleWriteError


def _with_provider(tables: _Tables, tenant_id: TenantId, provider_id: ProviderId) -> StoredIntegration | None:
    # The list is made at once: another thread may swap the tables, but never changes these.
    own = (
        stored
        for stored in list(tables.integrations.values())
        if stored.facts.tenant_id == tenant_id and stored.facts.provider_id == provider_id
    )
    return next(own, None)


def _due(tables: _Tables, now: datetime) -> list[tuple[datetime, StoredIntegration]]:
    return [(at, stored) for stored in list(tables.integrations.values()) if (at := stored.marks.due_at) is not None and at <= now]


def _active_key(tables: _Tables, tenant_id: str) -> WrappedKey | None:
    own = (key for key in list(tables.keys.values()) if key.tenant_id == tenant_id and key.state is KeyState.ACTIVE)
    return next(own, None)


def _is_open(pending: PendingAuthorization, now: datetime) -> bool:
    return pending.consumed_at is None and pending.expires_at > now
