"""Incidents and their items: changes and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cloud_integrations.domain.identifiers import IncidentId, IntegrationId, TenantId
from cloud_integrations.domain.incident import Incident, IncidentItem, ItemState
from cloud_integrations.domain.removal import Removal

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIncident:
    """Store an incident with its items.  `StaleWriteError` if there is one with this id."""

    incident: Incident
    items: tuple[IncidentItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleItem:
    """Write what was done about an item.  `StaleWriteError` if it is not there, or not in the state *expected*."""

    incident_id: IncidentId
    tenant_id: TenantId
    integration_id: IntegrationId
    expected: ItemState
    state: ItemState
    settled_at: datetime
    receipt: Removal | None = None


class AsyncIncidentStore(Protocol):
    """Reads of incidents."""

    async def find_incident(self, incident_id: IncidentId, /) -> Incident | None:
        """Return the incident; None: there is none.  Raises `DamagedRowError`."""
        ...

    async def list_incidents(self) -> tuple[Incident | DamagedRow, ...]:
        """Return all incidents, the oldest first."""
        ...

    async def list_items(
        self,
        incident_id: IncidentId,
        /,
        *,
        state: ItemState | None = None,
        after: tuple[TenantId, IntegrationId] | None = None,
        limit: int,
    ) -> tuple[IncidentItem | DamagedRow, ...]:
        """Return items of an incident (in one state), in the order of tenant and integration, those behind *after*."""
        ...

    async def count_items(self, incident_id: IncidentId, /) -> Mapping[str, int]:
        """Return how many items the incident has in each state."""
        ...


class IncidentStore(Protocol):
    """The blocking form of `AsyncIncidentStore`: the same methods, the same promises."""

    def find_incident(self, incident_id: IncidentId, /) -> Incident | None: ...

    def list_incidents(self) -> tuple[Incident | DamagedRow, ...]: ...

    def list_items(
        self,
        incident_id: IncidentId,
        /,
        *,
        state: ItemState | None = None,
        after: tuple[TenantId, IntegrationId] | None = None,
        limit: int,
    ) -> tuple[IncidentItem | DamagedRow, ...]: ...

    def count_items(self, incident_id: IncidentId, /) -> Mapping[str, int]: ...
