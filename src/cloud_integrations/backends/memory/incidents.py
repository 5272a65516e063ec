"""Incidents and their items, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from cloud_integrations.domain.identifiers import IncidentId, IntegrationId, TenantId
from cloud_integrations.domain.incident import Incident, IncidentItem, ItemState
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddIncident, SettleItem

from .tables import Memory, Tables, handles, unless_stale


class Incidents(Memory):
    """Reads of incidents."""

    def find_incident(self, incident_id: IncidentId, /) -> Incident | None:
        """Return the incident; None: there is none."""
        return self._tables.incidents.get(incident_id)

    def list_incidents(self) -> tuple[Incident, ...]:
        """Return all incidents, the oldest first."""
        return tuple(sorted(self._tables.incidents.values(), key=lambda incident: (incident.opened_at, incident.id)))

    def list_items(
        self,
        incident_id: IncidentId,
        /,
        *,
        state: ItemState | None = None,
        after: tuple[TenantId, IntegrationId] | None = None,
        limit: int,
    ) -> tuple[IncidentItem, ...]:
        """Return items of an incident (in one state), in the order of tenant and integration, those behind *after*."""
        found = [item for item in self._of(incident_id) if state in {None, item.state} and (after is None or _place(item) > after)]
        return tuple(sorted(found, key=_place)[:limit])

    def count_items(self, incident_id: IncidentId, /) -> Mapping[str, int]:
        """Return how many items the incident has in each state."""
        return Counter(item.state for item in self._of(incident_id))

    def _of(self, incident_id: IncidentId) -> list[IncidentItem]:
        return [item for item in self._tables.items.values() if item.incident_id == incident_id]


def _place(item: IncidentItem) -> tuple[TenantId, IntegrationId]:
    return item.use.tenant_id, item.use.integration_id


@handles(AddIncident)
def add_incident(tables: Tables, change: AddIncident) -> None:
    """Store an incident with its items."""
    unless_stale(change.incident.id not in tables.incidents)
    tables.incidents[change.incident.id] = change.incident
    tables.items.update({(item.incident_id, *_place(item)): item for item in change.items})


@handles(SettleItem)
def settle_item(tables: Tables, change: SettleItem) -> None:
    """Write what was done about an item."""
    key = (change.incident_id, change.tenant_id, change.integration_id)
    item = tables.items.get(key)
    if item is None or item.state != change.expected:
        raise StaleWriteError
    tables.items[key] = replace(item, state=change.state, receipt=change.receipt, settled_at=change.settled_at)
