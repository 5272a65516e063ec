"""What a tenant has."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.integration import Integration
from cloud_integrations.flows.shared.lookup import known_tenant, load_named, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow


async def list_integrations(wiring: Wiring, tenant: str, /) -> tuple[Integration, ...]:
    """Return the tenant's integrations, oldest first; one whose row cannot be read is left out, and told to the observer."""
    found = await wiring.store.list_integrations(await known_tenant(wiring, tenant))
    for row in found:
        if isinstance(row, DamagedRow):
            tell_damaged(wiring, row)
    now = wiring.clock.now()
    return tuple([row.as_of(now) for row in found if isinstance(row, Integration)])


async def get_integration(wiring: Wiring, tenant: str, integration: UUID | str, /) -> Integration:
    """Return one integration, or raise `IntegrationNotFoundError`."""
    return (await load_named(wiring, await known_tenant(wiring, tenant), integration)).facts.as_of(wiring.clock.now())
