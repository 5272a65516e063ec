"""Incidents and their items, in SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, time, time_or_none
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.freezing import Selection
from cloud_integrations.domain.identifiers import IncidentId, IntegrationId, TenantId
from cloud_integrations.domain.incident import Incident, IncidentItem, ItemState, Use
from cloud_integrations.domain.removal import LeftAlone, Removal, RevocationOutcome
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddIncident, DamagedRow, SettleItem

from .handlers import handles

_n = schema.incident.c
_t = schema.incident_item.c

_INCIDENT = tuple(_n)
_ITEM = tuple(_t)
_LIST = select(*_INCIDENT).order_by(_n.opened_at, _n.incident_id)
_FIND = select(*_INCIDENT).where(_n.incident_id == bindparam("if_incident"))
_ITEMS = (
    select(*_ITEM).where(_t.incident_id == bindparam("if_incident")).order_by(_t.tenant_id, _t.integration_id).limit(bindparam("count"))
)
_IN_STATE = _t.state == bindparam("if_state")
_BEHIND = or_(
    _t.tenant_id > bindparam("if_tenant"), and_(_t.tenant_id == bindparam("if_tenant"), _t.integration_id > bindparam("if_integration"))
)
_COUNT = select(_t.state, func.count()).where(_t.incident_id == bindparam("if_incident")).group_by(_t.state)
_ADD = insert(schema.incident)
_ADD_ITEMS = insert(schema.incident_item)
_SETTLE = (
    update(schema.incident_item)
    .where(
        _t.incident_id == bindparam("if_incident"),
        _t.tenant_id == bindparam("if_tenant"),
        _t.integration_id == bindparam("if_integration"),
        _IN_STATE,
    )
    .values(state=bindparam("set_state"), receipt=bindparam("set_receipt"), settled_at=bindparam("set_at"))
)
_STATES: dict[str, ItemState] = {state: state for state in get_args(ItemState)}
_OUTCOMES = {outcome.value: outcome for outcome in RevocationOutcome}
_REASONS: dict[str | None, LeftAlone | None] = {None: None, **{reason: reason for reason in get_args(LeftAlone)}}


@across_tenants
def find_incident(connection: Connection, incident_id: IncidentId, /) -> Incident | None:
    """Return the incident; None: there is none."""
    return _ROWS.one(connection.execute(_FIND, {"if_incident": incident_id}).first())


@across_tenants
def list_incidents(connection: Connection) -> tuple[Incident | DamagedRow, ...]:
    """Return all incidents, the oldest first."""
    return _ROWS.each(connection.execute(_LIST).all())


@across_tenants
def list_items(
    connection: Connection,
    incident_id: IncidentId,
    /,
    *,
    state: ItemState | None = None,
    after: tuple[TenantId, IntegrationId] | None = None,
    limit: int,
) -> tuple[IncidentItem | DamagedRow, ...]:
    """Return items of an incident (in one state), in the order of tenant and integration, those behind *after*."""
    query, where = _ITEMS, {"if_incident": incident_id, "count": limit}
    if state is not None:
        query, where = query.where(_IN_STATE), {**where, "if_state": state}
    if after is not None:
        query, where = query.where(_BEHIND), {**where, "if_tenant": after[0], "if_integration": after[1]}
    return _ITEM_ROWS.each(connection.execute(query, where).all())


@across_tenants
def count_items(connection: Connection, incident_id: IncidentId, /) -> Mapping[str, int]:
    """Return how many items the incident has in each state."""
    return {str(state): number for state, number in connection.execute(_COUNT, {"if_incident": incident_id}).all()}


@handles(AddIncident)
@across_tenants
def _add_incident(connection: Connection, change: AddIncident) -> None:
    incident, selection = change.incident, change.incident.selection
    row = {
        "incident_id": incident.id,
        "tenant_id": selection.tenant_id,
        "provider_id": selection.provider_id,
        "context_id": selection.application_id,
        "integration_id": selection.integration_id,
        "actor_type": None if selection.actor is None else selection.actor.type,
        "actor_id": None if selection.actor is None else selection.actor.id,
        "since": micros_or_none(incident.since),
        "until": micros_or_none(incident.until),
        "reason": incident.reason,
        "opened_at": micros(incident.opened_at),
        "opener_type": incident.opened_by.type,
        "opener_id": incident.opened_by.id,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD, row)
    if change.items:
        connection.execute(_ADD_ITEMS, [_row(item) for item in change.items])


def _row(item: IncidentItem) -> dict[str, Any]:
    return {
        "tenant_id": item.use.tenant_id,
        "incident_id": item.incident_id,
        "integration_id": item.use.integration_id,
        "records": item.use.records,
        "first_at": micros(item.use.first_at),
        "last_at": micros(item.use.last_at),
        "audit_seq": item.audit_seq,
        "state": item.state,
        "receipt": _receipt_text(item.receipt),
        "settled_at": micros_or_none(item.settled_at),
    }


@handles(SettleItem)
def _settle_item(connection: Connection, change: SettleItem) -> None:
    where = {
        "if_incident": change.incident_id,
        "if_tenant": change.tenant_id,
        "if_integration": change.integration_id,
        "if_state": change.expected,
        "set_state": change.state,
        "set_receipt": _receipt_text(change.receipt),
        "set_at": micros(change.settled_at),
    }
    unless_stale(connection.execute(_SETTLE, where).rowcount == 1)


def _receipt_text(receipt: Removal | None) -> str | None:
    return None if receipt is None else json.dumps(receipt.as_dict())


def _incident(row: AnyRow) -> Incident:
    return Incident(
        id=row.incident_id,
        selection=Selection(
            tenant_id=row.tenant_id,
            provider_id=row.provider_id,
            application_id=row.context_id,
            integration_id=row.integration_id,
            actor=None if row.actor_type is None else Actor(type=row.actor_type, id=row.actor_id),
        ),
        since=time_or_none(row.since),
        until=time_or_none(row.until),
        reason=row.reason,
        opened_at=time(row.opened_at),
        opened_by=Actor(type=row.opener_type, id=row.opener_id),
    )


def _item(row: AnyRow) -> IncidentItem:
    return IncidentItem(
        incident_id=row.incident_id,
        use=Use(
            tenant_id=row.tenant_id,
            integration_id=row.integration_id,
            records=count(row.records),
            first_at=time(row.first_at),
            last_at=time(row.last_at),
        ),
        audit_seq=count(row.audit_seq),
        state=_STATES[row.state],
        receipt=None if row.receipt is None else _receipt(json.loads(row.receipt)),
        settled_at=time_or_none(row.settled_at),
    )


def _receipt(found: dict[str, Any]) -> Removal:
    url = found["manual_url"]
    if url is not None and type(url) is not str:
        raise ValueError
    return Removal(
        integration_id=IntegrationId(UUID(found["integration_id"])),
        refresh_token=_OUTCOMES[found["refresh_token"]],
        access_token=_OUTCOMES[found["access_token"]],
        api_key=_OUTCOMES[found["api_key"]],
        other_key=_OUTCOMES[found["other_key"]],
        installation=_OUTCOMES[found["installation"]],
        refresh_reason=_REASONS[found["refresh_reason"]],
        access_reason=_REASONS[found["access_reason"]],
        key_reason=_REASONS[found["key_reason"]],
        other_key_reason=_REASONS[found["other_key_reason"]],
        waiting=count(found["waiting"]),
        manual_url=url,
    )


_ROWS = Rows(schema.incident, _INCIDENT, _incident, names=("incident_id",))
_ITEM_ROWS = Rows(schema.incident_item, _ITEM, _item, names=("incident_id", "integration_id"))
