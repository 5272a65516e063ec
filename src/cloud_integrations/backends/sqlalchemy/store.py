"""The store over the host's engine, blocking and awaited."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Engine

from cloud_integrations.domain.audit import AuditHead, AuditRecord
from cloud_integrations.domain.envelope import KeyCheck, WrappedKey
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import DueIntegration, Integration, StoredCredential, StoredIntegration
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.domain.removal import Revocation
from cloud_integrations.errors import ConfigurationError, SchemaError
from cloud_integrations.ports.clock import Clock, require_clock
from cloud_integrations.ports.store import Change, DamagedRow, StoreReport

from . import schema, unit_of_work
from .databases import ConnectionGuard, names_of, require_driver
from .engine import require_blocking
from .execution import AwaitedEngine, BlockingEngine, ThreadedEngine
from .tables import audit, integrations, outbox, pending, refresh, sealed
from .tables import keys as key_table
from .version import find_version

if TYPE_CHECKING:
    # A blocking host shall not pay for importing it, nor need greenlet.
    from sqlalchemy.ext.asyncio import AsyncEngine


class SqlAlchemyStore:
    """A `Store` over a blocking engine.

    The engine stays the host's: its pool is shared, its settings are not changed, and every
    transaction is one that the store opened itself.  *clock* replaces the database's clock, for tests.
    Raises `ConfigurationError` for a database or a driver that is not supported; so does `prepare` for MySQL.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        if not isinstance(engine, Engine):
            raise ConfigurationError(setting="engine", problem="must be an Engine; AsyncSqlAlchemyStore takes an AsyncEngine")
        require_clock(clock)
        require_blocking(engine)
        self._engine = BlockingEngine(engine, clock)
        self._dialect = engine.dialect
        self._front = refresh.DueFront()

    def prepare(self) -> None:
        """Check that the tables are there and of this version, or raise `SchemaError`."""
        _require_version(self._engine.read(find_version))

    def report(self) -> StoreReport:
        """Say which database this is and which schema it has."""
        version = self._engine.read(find_version)
        return _report(*names_of(self._dialect), version, guard=self._engine.guard)

    def apply(self, *changes: Change) -> None:
        """Make all *changes* in one transaction, or none and raise what the refused change says."""
        self._engine.write(unit_of_work.apply, changes)

    def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """Return the tenant's integration, or None."""
        return self._engine.read(integrations.find_integration, tenant_id, integration_id)

    def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> StoredCredential | None:
        """Return what handing out the tenant's credential with this provider takes, or None."""
        return self._engine.read(integrations.find_credential, tenant_id, provider_id, slot=slot)

    def list_integrations(self, tenant_id: TenantId, /) -> tuple[Integration | DamagedRow, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider."""
        return self._engine.read(integrations.list_integrations, tenant_id)

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired, or None."""
        return self._engine.read(pending.find_pending, state_hash)

    def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization; None if there is none, or somebody was first."""
        return self._engine.write(pending.take_pending, state_hash)

    def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations of all tenants; return how many."""
        return self._engine.write(pending.sweep_pending, limit=limit)

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """Whether an authorization of this tenant with this provider is open."""
        return self._engine.read(pending.has_pending, tenant_id, provider_id)

    def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
        """Return this data key of the tenant, or None."""
        return self._engine.read(key_table.find_key, tenant_id, key_id)

    def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
        """Return every data key of these tenants that is not destroyed, refused or erased."""
        return self._engine.read(key_table.find_keys, tenant_ids)

    def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None:
        """Return the data key that new values of the tenant are sealed with, or None."""
        return self._engine.read(key_table.find_active_key, tenant_id)

    def last_key_version(self, tenant_id: TenantId, /) -> int:
        """Return the highest version of a data key that the tenant has or ever had."""
        return self._engine.read(key_table.last_key_version, tenant_id)

    def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]:
        """Return data keys that are not destroyed, ordered by tenant and version."""
        return self._engine.read(key_table.list_keys, tenant_id=tenant_id, after=after, limit=limit)

    def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that only open and still seal a row, ordered by id."""
        return self._engine.read(key_table.list_replaced_keys, after=after, limit=limit)

    def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """Return rows of any table that are sealed under these data keys."""
        return self._engine.read(sealed.list_sealed, keys, limit=limit)

    def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """Count data keys and the rows they seal."""
        return self._engine.read(sealed.list_key_usage, tenant_id=tenant_id)

    def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]:
        """Return data keys that were erased with their tenant and are there again."""
        return self._engine.read(key_table.list_returned_keys, limit=limit)

    def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]:
        """Return the ids of the tenant's data keys that were destroyed."""
        return self._engine.read(key_table.list_destroyed_keys, tenant_id)

    def list_key_checks(self) -> tuple[KeyCheck, ...]:
        """Return the check values of every key-encryption key ever used."""
        return self._engine.read(key_table.list_key_checks)

    def list_kek_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the key-encryption keys that wrap a data key which is not destroyed."""
        return self._engine.read(key_table.list_kek_ids)

    def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]:
        """Return entries of the outbox whose time has come, oldest first, and hold them."""
        return self._engine.write(outbox.claim_revocations, limit=limit, hold=hold)

    def count_revocations(self) -> int:
        """Return how many tokens wait to be revoked."""
        return self._engine.read(outbox.count_revocations)

    def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation | DamagedRow, ...]:
        """Return entries of the outbox for tokens of this tenant (from one provider), the oldest first."""
        return self._engine.read(outbox.list_revocations, tenant_id, provider_id=provider_id, limit=limit)

    def find_holders(self, provider_id: ProviderId, fingerprint: bytes, /) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """Return which integrations have this fingerprint as that of a token or of their account."""
        return self._engine.read(integrations.find_holders, provider_id, fingerprint)

    def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """Say how all other integrations of an OAuth application did since then."""
        return self._engine.read(refresh.others_renewed, provider_id, context_id, since=since, but=but)

    def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """Return integrations that are in state needs_reauth and hold a refresh token, ordered by tenant and id."""
        return self._engine.read(refresh.list_unrenewed, provider_id, reason=reason, after=after, limit=limit)

    def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
        """Return the integrations that have been due for longest, in no order, and hold them."""
        return self._engine.write(refresh.claim_due, self._front, limit=limit, hold=hold)

    def count_due(self) -> int:
        """Return how many integrations are due and claimed by nobody; `MAX_COUNTED` means that or more."""
        return self._engine.read(refresh.count_due)

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events with a number above *after*, in order."""
        return self._engine.read(audit.list_audit, tenant_id, after=after, limit=limit)

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the newest events of one resource, newest first, with a number below *before*."""
        return self._engine.read(audit.list_audit_newest, tenant_id, resource=resource, before=before, limit=limit)

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None where nothing happened yet."""
        return self._engine.read(audit.find_audit_head, tenant_id)


class AsyncSqlAlchemyStore:
    """An `AsyncStore` over the host's engine.

    An `AsyncEngine` is awaited.  A blocking `Engine` works in a thread, one hop for each call: on
    SQLite and on PostgreSQL that is also the faster way, but a call that is cancelled goes on in
    its thread and may still commit.  Raises as `SqlAlchemyStore` does.
    """

    def __init__(self, engine: AsyncEngine | Engine, *, clock: Clock | None = None) -> None:
        if not isinstance(engine, Engine) and not isinstance(getattr(engine, "sync_engine", None), Engine):
            raise ConfigurationError(setting="engine", problem="must be an AsyncEngine, as create_async_engine makes, or an Engine")
        require_clock(clock)
        self._engine: AwaitedEngine | ThreadedEngine
        if isinstance(engine, Engine):
            require_blocking(engine)
            self._engine = ThreadedEngine(engine, clock)
        else:
            require_driver(engine)
            self._engine = AwaitedEngine(engine, clock)
        self._dialect = engine.dialect
        self._front = refresh.DueFront()

    async def prepare(self) -> None:
        """Check that the tables are there and of this version, or raise `SchemaError`."""
        _require_version(await self._engine.read(find_version))

    async def report(self) -> StoreReport:
        """Say which database this is and which schema it has."""
        version = await self._engine.read(find_version)
        return _report(*names_of(self._dialect), version, guard=self._engine.guard)

    async def apply(self, *changes: Change) -> None:
        """Make all *changes* in one transaction, or none and raise what the refused change says."""
        await self._engine.write(unit_of_work.apply, changes)

    async def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """Return the tenant's integration, or None."""
        return await self._engine.read(integrations.find_integration, tenant_id, integration_id)

    async def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> StoredCredential | None:
        """Return what handing out the tenant's credential with this provider takes, or None."""
        return await self._engine.read(integrations.find_credential, tenant_id, provider_id, slot=slot)

    async def list_integrations(self, tenant_id: TenantId, /) -> tuple[Integration | DamagedRow, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider."""
        return await self._engine.read(integrations.list_integrations, tenant_id)

    async def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired, or None."""
        return await self._engine.read(pending.find_pending, state_hash)

    async def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization; None if there is none, or somebody was first."""
        return await self._engine.write(pending.take_pending, state_hash)

    async def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations of all tenants; return how many."""
        return await self._engine.write(pending.sweep_pending, limit=limit)

    async def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """Whether an authorization of this tenant with this provider is open."""
        return await self._engine.read(pending.has_pending, tenant_id, provider_id)

    async def find_key(self, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
        """Return this data key of the tenant, or None."""
        return await self._engine.read(key_table.find_key, tenant_id, key_id)

    async def find_keys(self, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
        """See `SqlAlchemyStore.find_keys`."""
        return await self._engine.read(key_table.find_keys, tenant_ids)

    async def find_active_key(self, tenant_id: TenantId, /) -> WrappedKey | None:
        """Return the data key that new values of the tenant are sealed with, or None."""
        return await self._engine.read(key_table.find_active_key, tenant_id)

    async def last_key_version(self, tenant_id: TenantId, /) -> int:
        """See `SqlAlchemyStore.last_key_version`."""
        return await self._engine.read(key_table.last_key_version, tenant_id)

    async def list_keys(
        self, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
    ) -> tuple[WrappedKey, ...]:
        """See `SqlAlchemyStore.list_keys`."""
        return await self._engine.read(key_table.list_keys, tenant_id=tenant_id, after=after, limit=limit)

    async def list_replaced_keys(self, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
        """See `SqlAlchemyStore.list_replaced_keys`."""
        return await self._engine.read(key_table.list_replaced_keys, after=after, limit=limit)

    async def list_sealed(self, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
        """See `SqlAlchemyStore.list_sealed`."""
        return await self._engine.read(sealed.list_sealed, keys, limit=limit)

    async def list_key_usage(self, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
        """See `SqlAlchemyStore.list_key_usage`."""
        return await self._engine.read(sealed.list_key_usage, tenant_id=tenant_id)

    async def list_returned_keys(self, *, limit: int) -> tuple[WrappedKey, ...]:
        """See `SqlAlchemyStore.list_returned_keys`."""
        return await self._engine.read(key_table.list_returned_keys, limit=limit)

    async def list_destroyed_keys(self, tenant_id: TenantId, /) -> tuple[UUID, ...]:
        """See `SqlAlchemyStore.list_destroyed_keys`."""
        return await self._engine.read(key_table.list_destroyed_keys, tenant_id)

    async def list_key_checks(self) -> tuple[KeyCheck, ...]:
        """Return the check values of every key-encryption key ever used."""
        return await self._engine.read(key_table.list_key_checks)

    async def list_kek_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the key-encryption keys that wrap a data key which is not destroyed."""
        return await self._engine.read(key_table.list_kek_ids)

    async def claim_revocations(self, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]:
        """Return entries of the outbox whose time has come, oldest first, and hold them."""
        return await self._engine.write(outbox.claim_revocations, limit=limit, hold=hold)

    async def count_revocations(self) -> int:
        """Return how many tokens wait to be revoked."""
        return await self._engine.read(outbox.count_revocations)

    async def list_revocations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
    ) -> tuple[Revocation | DamagedRow, ...]:
        """Return entries of the outbox for tokens of this tenant (from one provider), the oldest first."""
        return await self._engine.read(outbox.list_revocations, tenant_id, provider_id=provider_id, limit=limit)

    async def find_holders(self, provider_id: ProviderId, fingerprint: bytes, /) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """Return which integrations have this fingerprint as that of a token or of their account."""
        return await self._engine.read(integrations.find_holders, provider_id, fingerprint)

    async def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """Say how all other integrations of an OAuth application did since then."""
        return await self._engine.read(refresh.others_renewed, provider_id, context_id, since=since, but=but)

    async def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """Return integrations that are in state needs_reauth and hold a refresh token, ordered by tenant and id."""
        return await self._engine.read(refresh.list_unrenewed, provider_id, reason=reason, after=after, limit=limit)

    async def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
        """Return the integrations that have been due for longest, in no order, and hold them."""
        return await self._engine.write(refresh.claim_due, self._front, limit=limit, hold=hold)

    async def count_due(self) -> int:
        """Return how many integrations are due and claimed by nobody; `MAX_COUNTED` means that or more."""
        return await self._engine.read(refresh.count_due)

    async def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events with a number above *after*, in order."""
        return await self._engine.read(audit.list_audit, tenant_id, after=after, limit=limit)

    async def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the newest events of one resource, newest first, with a number below *before*."""
        return await self._engine.read(audit.list_audit_newest, tenant_id, resource=resource, before=before, limit=limit)

    async def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None where nothing happened yet."""
        return await self._engine.read(audit.find_audit_head, tenant_id)


def _require_version(found: str | None) -> None:
    if found != schema.VERSION:
        raise SchemaError(found=found, expected=schema.VERSION)


def _report(database: str, driver: str, version: str | None, *, guard: ConnectionGuard) -> StoreReport:
    facts = {"driver": driver, "expected_schema": schema.VERSION}
    if guard.found:
        facts["pooler"] = "stands before the database; statements are not prepared"
    return StoreReport(kind=f"sqlalchemy+{database}", schema=version, facts=facts)
