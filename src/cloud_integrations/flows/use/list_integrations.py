"""Return one or all of a tenant's integrations."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.integration import Integration
from cloud_integrations.flows.shared.lookup import known_tenant, load_named, read_chosen_slot, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow


async def list_integrations(wiring: Wiring, tenant: str, /, *, slot: str | None) -> tuple[Integration, ...]:
    """Return the tenant's integrations (with *slot*, only those in this slot of any provider), oldest first.

    An integration whose row cannot be read is left out, and the observer is told.
    """
    wanted = None if slot is None else read_chosen_slot(wiring, slot)
    found = await wiring.store.list_integrations(await known_tenant(wiring, tenant))
    for row in found:
        if isinstance(row, DamagedRow):
            tell_damaged(wiring, row)
    now = wiring.clock.now()
    return tuple([row.as_of(now) for row in found if isinstance(row, Integration) and wanted in {None, row.slot}])


async def get_integration(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str) -> Integration:
    """Return one integration, or raise `IntegrationNotFoundError`."""
    stored = await load_named(wiring, await known_tenant(wiring, tenant), integration, slot=slot)
    return stored.facts.as_of(wiring.clock.now())
