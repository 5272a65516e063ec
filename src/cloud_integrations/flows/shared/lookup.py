"""Finding the tenant and the integration that a caller names, and reading rows that may have been edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from cloud_integrations.domain.arguments import find_id, read_integration, read_provider, read_slot
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId, tenant_id
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.errors import (
    DamagedRowError,
    IntegrationExistsError,
    IntegrationNotFoundError,
    ProviderNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import DamagedRow

from .events import tell_of
from .wiring import Wiring

T = TypeVar("T")


def tell_damaged(wiring: Wiring, row: DamagedRow, /) -> None:
    """Tell the observer of a row that cannot be read, because it was edited outside this library."""
    tell_of(wiring, "storage.damaged_row", None, table=row.table, row=row.row, tenant=row.tenant_id)


def read_entry(entry: OutboxEntry | DamagedRow, read: Callable[[OutboxEntry], T], /) -> T | DamagedRow:
    """Return what *read* makes of an outbox entry, or a `DamagedRow` if the entry cannot be read."""
    if isinstance(entry, DamagedRow):
        return entry
    try:
        return read(entry)
    except DamagedRowError as error:
        return DamagedRow(table=error.table, row=error.row, tenant_id=entry.tenant_id)


async def known_tenant(wiring: Wiring, text: str, /) -> TenantId:
    """Read a tenant id, and ask the host whether the tenant exists if the host has given a `Tenants` port.

    Raises `ValidationFailedError` or `TenantNotFoundError`.
    """
    tenant = tenant_id(text)
    if wiring.tenants is not None:
        await wiring.tenants.require(tenant)
    return tenant


def known_provider(wiring: Wiring, provider: UUID | str, /) -> ProviderId:
    """Return the id of a provider by its slug or UUID; a UUID also of one that the catalogue no longer has.

    Raises `ValidationFailedError` or `ProviderNotFoundError`.
    """
    found = find_id(read_provider(provider))
    return wiring.providers.require(provider).provider_id if found is None else ProviderId(found)


def read_chosen_slot(wiring: Wiring, slot: object, /) -> str:
    """Return the slot that a caller names; it is empty for the default slot, which is the only one without `Settings.slots`.

    Raises `ValidationFailedError`.
    """
    if slot != "" and not wiring.settings.slots:
        raise ValidationFailedError(field="slot", problem="cannot be given: this installation allows one integration with each provider")
    return read_slot(slot)


def refuse_slot_of_id(slot: str, /) -> None:
    """Raise `ValidationFailedError` if a slot is given beside an integration's id, which names one integration by itself."""
    if slot:
        raise ValidationFailedError(field="slot", problem="cannot be given beside an integration's id, only beside its provider")


async def require_unconnected(wiring: Wiring, tenant: TenantId, provider_id: ProviderId, /, *, slot: str) -> None:
    """Raise `IntegrationExistsError` if the tenant has an integration with this provider in this slot.

    Two concurrent callers may both pass; then the store accepts only one of their integrations.
    """
    if await wiring.store.find_credential(tenant, provider_id, slot=slot) is not None:
        raise IntegrationExistsError(tenant_id=tenant, provider_id=str(provider_id), slot=slot)


async def find_named(wiring: Wiring, tenant: TenantId, integration: UUID | str, /, *, slot: str) -> IntegrationId:
    """Return the id of the integration that *integration* names: by its own id, or by its provider's slug or UUID and its *slot*.

    An id is returned without looking whether the integration exists.  Raises `ValidationFailedError` for any other text, and for a
    slot that cannot be given; `IntegrationNotFoundError` if the tenant has no integration with this provider in this slot.
    """
    slot = read_chosen_slot(wiring, slot)
    try:
        provider = wiring.providers.require(read_integration(integration))
    except ProviderNotFoundError:
        integration_id = find_id(integration)
        if integration_id is None:
            raise ValidationFailedError(
                field="integration", problem="must be an integration's id, or its provider's slug or UUID"
            ) from None
        refuse_slot_of_id(slot)
        return IntegrationId(integration_id)
    stored = await wiring.store.find_credential(tenant, provider.provider_id, slot=slot)
    if stored is None:
        raise IntegrationNotFoundError
    return stored.integration_id


async def load_named(wiring: Wiring, tenant: TenantId, integration: UUID | str, /, *, slot: str) -> StoredIntegration:
    """Return the stored integration that *integration* and *slot* name.  Raises as `find_named` and `load` do."""
    return await load(wiring, tenant, await find_named(wiring, tenant, integration, slot=slot))


async def load(wiring: Wiring, tenant: TenantId, integration_id: IntegrationId, /) -> StoredIntegration:
    """Return the stored integration, or raise `IntegrationNotFoundError`."""
    stored = await wiring.store.find_integration(tenant, integration_id)
    if stored is None:
        raise IntegrationNotFoundError
    return stored
