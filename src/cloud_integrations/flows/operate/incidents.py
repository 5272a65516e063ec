"""Incidents: find out which credentials a leak concerns, keep that, and report what was done about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from cloud_integrations.domain.arguments import Progress, read_id, read_listener, read_moment_or_none, read_text
from cloud_integrations.domain.audit import OPERATOR, AuditFilter, Caller, UseCount
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freezing import LONGEST_REASON, Selection
from cloud_integrations.domain.identifiers import IncidentId, TenantId
from cloud_integrations.domain.incident import Incident, IncidentItem, IncidentReport, Scope, Use
from cloud_integrations.domain.rekeying import RekeyRun
from cloud_integrations.domain.removal import REVOCATION
from cloud_integrations.errors import DamagedRowError, IncidentNotFoundError, ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddIncident, DamagedRow

from .freezes import read_selection
from .rekey import rotate_keys

_PAGE = 500


async def find_scope(wiring: Wiring, /, *, since: datetime | None, until: datetime | None, **named: Any) -> Scope:
    """Return the integrations whose credentials were handed out in uses that fit all that is named, from the audit log.

    Raises as `read_selection`, and `ValidationFailedError` for the times.
    """
    selection = await read_selection(wiring, **named)
    since, until = read_moment_or_none("since", since), read_moment_or_none("until", until)
    if since is not None and until is not None and since >= until:
        raise ValidationFailedError(field="until", problem="must be later than since")
    found = []
    for row in await wiring.store.count_uses(_filter(selection, since, until), tenant_id=selection.tenant_id):
        if isinstance(row, DamagedRow):
            tell_damaged(wiring, row)
        else:
            found.append(_use(row))
    return Scope(selection=selection, since=since, until=until, uses=tuple(found))


async def open_incident(
    wiring: Wiring, /, *, reason: str, since: datetime | None, until: datetime | None, caller: Caller, **named: Any
) -> Incident:
    """Store an incident with its scope, and return it.

    What a tenant connects from now on is not meant.  Raises as `find_scope`, and `ValidationFailedError` for *reason*.
    """
    reason = read_text("reason", reason, most=LONGEST_REASON)
    # The heads are read first: a grant that came in between is newer, and is left alone.
    scope = await find_scope(wiring, since=since, until=until, **named)
    incident = Incident(
        id=IncidentId(wiring.new_id()),
        selection=scope.selection,
        since=scope.since,
        until=scope.until,
        reason=reason,
        opened_at=wiring.clock.now(),
        opened_by=caller.actor,
    )
    heads = {tenant_id: await _newest(wiring, tenant_id) for tenant_id in sorted({use.tenant_id for use in scope.uses})}
    items = tuple(IncidentItem(incident_id=incident.id, use=use, audit_seq=heads[use.tenant_id]) for use in scope.uses)
    said = {**scope.selection.words, "incident": str(incident.id), "integrations": str(len(items))}
    await apply(
        wiring,
        AddIncident(incident=incident, items=items),
        happened(wiring, "incident.opened", subject_of(incident), caller, reason=reason, **said),
    )
    return incident


async def get_incident(wiring: Wiring, incident_id: UUID | str, /) -> Incident:
    """Return an incident.  Raises `IncidentNotFoundError`."""
    found = await wiring.store.find_incident(IncidentId(read_id("incidentId", incident_id)))
    if found is None:
        raise IncidentNotFoundError
    return found


async def list_incidents(wiring: Wiring, /) -> tuple[Incident, ...]:
    """Return all incidents, the oldest first; one whose row was edited is left out, and the observer is told."""
    found = []
    for row in await wiring.store.list_incidents():
        if isinstance(row, DamagedRow):
            tell_damaged(wiring, row)
        else:
            found.append(row)
    return tuple(found)


async def report_incident(wiring: Wiring, incident_id: UUID | str, /) -> IncidentReport:
    """Return what was done about an incident.  Raises `IncidentNotFoundError`, and `DamagedRowError` for an item that was edited."""
    incident = await get_incident(wiring, incident_id)
    items = await items_of(wiring, incident)
    ours = {(item.use.tenant_id, item.use.integration_id) for item in items}
    waiting = 0
    for tenant_id in sorted({item.use.tenant_id for item in items if item.works_on}):
        for entry in await wiring.store.list_entries(tenant_id, REVOCATION, limit=_PAGE):
            waiting += not isinstance(entry, DamagedRow) and (tenant_id, entry.integration_id) in ours
    return IncidentReport(incident=incident, items=items, waiting=waiting, states=dict(await wiring.store.count_items(incident.id)))


async def rotate_incident(wiring: Wiring, incident_id: UUID | str, /, *, caller: Caller, progress: Progress | None) -> RekeyRun:
    """Give every tenant of an incident a new data key, unless it has got one since the incident was opened; may be repeated.

    *progress* is called with 1 after each tenant.  Raises `IncidentNotFoundError`.
    """
    progress = read_listener("progress", progress)
    incident = await get_incident(wiring, incident_id)
    tenants = sorted({item.use.tenant_id for item in await items_of(wiring, incident)})
    event = happened(wiring, "incident.rotation", subject_of(incident), caller, incident=str(incident.id), tenants=str(len(tenants)))
    await apply(wiring, event)
    runs = []
    for tenant_id in tenants:
        runs.append(await rotate_keys(wiring, tenant=tenant_id, created_before=incident.opened_at, caller=caller, progress=None))
        if progress is not None:
            progress(1)
    return RekeyRun(changed=sum(run.changed for run in runs), failures=tuple(failure for run in runs for failure in run.failures))


async def items_of(wiring: Wiring, incident: Incident, /) -> tuple[IncidentItem, ...]:
    """Return all items of an incident.  Raises `DamagedRowError`: a list that left one out would be false."""
    found: list[IncidentItem] = []
    after = None
    while page := await wiring.store.list_items(incident.id, after=after, limit=_PAGE):
        for item in page:
            if isinstance(item, DamagedRow):
                raise DamagedRowError(table=item.table, row=item.row)
            found.append(item)
        after = found[-1].use.tenant_id, found[-1].use.integration_id
    return tuple(found)


def subject_of(incident: Incident, /) -> Subject:
    """Return the incident as the subject of an event: in the log of its tenant, or else in the operator's."""
    return Subject(tenant_id=incident.selection.tenant_id or OPERATOR, other=f"incident:{incident.id}")


def _filter(selection: Selection, since: datetime | None, until: datetime | None) -> AuditFilter:
    return AuditFilter(
        resource=None if selection.integration_id is None else f"integration:{selection.integration_id}",
        actor=selection.actor,
        provider_id=selection.provider_id,
        context_id=selection.application_id,
        since=since,
        until=until,
    )


def _use(row: UseCount) -> Use:
    return Use(tenant_id=row.tenant_id, integration_id=row.integration_id, records=row.records, first_at=row.first_at, last_at=row.last_at)


async def _newest(wiring: Wiring, tenant_id: TenantId) -> int:
    head = await wiring.store.find_audit_head(tenant_id)
    return 0 if head is None else head.seq
