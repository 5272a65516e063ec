"""What a tenant has."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.arguments import read_integration_id
from cloud_integrations.domain.identifiers import TenantId, tenant_id
from cloud_integrations.domain.integration import Integration, StoredIntegration
from cloud_integrations.errors import IntegrationNotFoundError
from cloud_integrations.flows.shared.events import tell_of
from cloud_integrations.ports.store import DamagedRow
from cloud_integrations.ports.wiring import Wiring


async def list_integrations(wiring: Wiring, tenant: str, /) -> tuple[Integration, ...]:
    """Return the tenant's integrations, oldest first; one whose row cannot be read is left out, and told to the observer."""
    found = await wiring.store.list_integrations(await known_tenant(wiring, tenant))
    for row in found:
        if isinstance(row, DamagedRow):
            tell_damaged(wiring, row)
    now = wiring.clock.now()
    return tuple([row.as_of(now) for row in found if isinstance(row, Integration)])


def tell_damaged(wiring: Wiring, row: DamagedRow, /) -> None:
    """Tell the observer of a row that somebody has edited, so that it cannot be read."""
    tell_of(wiring, "storage.damaged_row", None, table=row.table, row=row.row, tenant=row.tenant_id)


async def get_integration(wiring: Wiring, tenant: str, integration_id: UUID | str, /) -> Integration:
    """Return one integration, or raise `IntegrationNotFoundError`."""
    return (await load(wiring, await known_tenant(wiring, tenant), integration_id)).facts.as_of(wiring.clock.now())


async def known_tenant(wiring: Wiring, text: str, /) -> TenantId:
    """Read a tenant id and ask the host, where it can be asked, whether it exists."""
    tenant = tenant_id(text)
    if wiring.tenants is not None:
        await wiring.tenants.require(tenant)
    return tenant


async def load(wiring: Wiring, tenant: TenantId, integration_id: UUID | str, /) -> StoredIntegration:
    """Return the stored integration, or raise `IntegrationNotFoundError`."""
    stored = await wiring.store.find_integration(tenant, read_integration_id(integration_id))
    if stored is None:
        raise IntegrationNotFoundError
    return stored
