"""Tenants' own OAuth applications, in memory."""

from __future__ import annotations

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.tenant_application import StoredApplication
from cloud_integrations.ports.store import RemoveApplication, SaveApplication

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Applications(Memory):
    """Reads of tenants' applications."""

    def list_applications(self, tenant_id: TenantId, /) -> tuple[StoredApplication, ...]:
        """Return the applications of a tenant, the one that was created last first."""
        found = [application for (owner, _), application in self._tables.applications.items() if owner == tenant_id]
        return tuple(sorted(found, key=lambda stored: (stored.facts.created_at, stored.facts.id), reverse=True))


@handles(SaveApplication)
def save_application(tables: Tables, change: SaveApplication) -> None:
    """Store a tenant's application, unless another change came between."""
    new = change.application
    require_active_key(tables, new.facts.tenant_id, new.key_id)
    held = tables.applications.get((new.facts.tenant_id, new.facts.id))
    unless_stale(new.generation == (1 if held is None else held.generation + 1))
    tables.applications[new.facts.tenant_id, new.facts.id] = new


@handles(RemoveApplication)
def remove_application(tables: Tables, change: RemoveApplication) -> None:
    """Delete a tenant's application that no grant was issued to."""
    held = tables.applications.get((change.tenant_id, change.application_id))
    unless_stale(held is not None and held.generation == change.expected_generation)
    contexts = {stored.facts.context_id for (owner, _), stored in tables.integrations.items() if owner == change.tenant_id}
    unless_stale(change.application_id not in contexts)
    del tables.applications[change.tenant_id, change.application_id]
    tables.forget_announcements(change.tenant_id, change.application_id)
