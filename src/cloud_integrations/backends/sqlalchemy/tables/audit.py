"""The audit chain, in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, literal_column, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros
from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.backends.sqlalchemy.db_errors import OutdatedSnapshotError, insert_unless_there, refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, pairs, time
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants, see
from cloud_integrations.domain.audit import (
    EVERY_EVENT,
    USED,
    Actor,
    AuditEvent,
    AuditFilter,
    AuditHead,
    AuditRecord,
    Outcome,
    UseCount,
    unreadable_event,
)
from cloud_integrations.domain.audit_chain import GENESIS, chained
from cloud_integrations.domain.events import integration_of
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError, StaleWriteError
from cloud_integrations.ports.store import CutAudit, DamagedRow, HidePerson, StoredCut

from .handlers import handles

# Parameters in conditions have names with the prefix `if_`, so that they differ from those of columns that are set.
_e = schema.audit.c
_h = schema.audit_head.c
_c = schema.audit_cut.c

_EVENT = (
    _e.event_id,
    _e.tenant_id,
    _e.occurred_at,
    _e.actor_type,
    _e.actor_id,
    _e.action,
    _e.resource,
    _e.outcome,
    _e.reason,
    _e.request_id,
    _e.provider_id,
    _e.context_id,
    _e.details,
    _e.salts,
    _e.seq,
    _e.previous_hash,
    _e.hash,
)
_LIST_AUDIT = select(*_EVENT).where(_e.tenant_id == bindparam("if_tenant")).order_by(_e.seq).limit(bindparam("count"))
_LIST_AUDIT_AFTER = _LIST_AUDIT.where(_e.seq > bindparam("if_after"))
_NEWEST = (
    select(*_EVENT)
    .where(_e.tenant_id == bindparam("if_tenant"), _e.seq < bindparam("if_before"))
    .order_by(_e.seq.desc())
    .limit(bindparam("count"))
)
_NO_SEQ_IS_ABOVE = 2**63 - 1
# Grouped by one column, whose number of values PostgreSQL can estimate: for several it would sort a million rows.
_COUNT_USES = (
    select(
        func.min(_e.tenant_id).label("tenant_id"),
        func.max(_e.tenant_id).label("other_tenant"),
        _e.resource,
        func.count(literal_column("*")).label("records"),
        func.min(_e.occurred_at).label("first_at"),
        func.max(_e.occurred_at).label("last_at"),
    )
    .where(_e.outcome == Outcome.SUCCESS.value)
    .group_by(_e.resource)
    .order_by(_e.resource)
    .limit(bindparam("count"))
)
_FIND_HEAD = select(_h.tenant_id, _h.seq, _h.hash).where(_h.tenant_id == bindparam("if_tenant"))
_LIST_HEADS = select(_h.tenant_id, _h.seq, _h.hash).order_by(_h.tenant_id).limit(bindparam("count"))
_LIST_HEADS_AFTER = _LIST_HEADS.where(_h.tenant_id > bindparam("if_after"))
_FIND_CUT = select(_c.tenant_id, _c.seq, _c.note).where(_c.tenant_id == bindparam("if_tenant"))
_ADD_CUT = insert(schema.audit_cut)
_MOVE_CUT = update(schema.audit_cut).where(_c.tenant_id == bindparam("if_tenant"), _c.seq == bindparam("if_seq"))
_REMOVE_EVENTS = delete(schema.audit).where(_e.tenant_id == bindparam("if_tenant"), _e.seq <= bindparam("if_through"))
_HIDE_PERSON = update(schema.audit).where(
    _e.tenant_id == bindparam("if_tenant"), _e.seq == bindparam("if_seq"), _e.hash == bindparam("if_hash")
)
_LOCK_HEAD = _FIND_HEAD.with_for_update()
_MOVE_HEAD = (
    update(schema.audit_head).where(_h.tenant_id == bindparam("if_tenant")).values(seq=bindparam("head_seq"), hash=bindparam("head_hash"))
)
_ADD_EVENT = insert(schema.audit)
# If the database allows both in one statement, the head is locked for one round trip less.
_ADD_EVENT_AND_MOVE_HEAD = _ADD_EVENT.values({column.name: bindparam(f"event_{column.name}") for column in _EVENT}).add_cte(
    _MOVE_HEAD.cte("moved")
)


def list_audit(connection: Connection, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
    """Return the tenant's events in order of their numbers: all, or those with a number above *after*."""
    if after is None:
        return _records(connection.execute(_LIST_AUDIT, {"if_tenant": tenant_id, "count": limit}))
    return _records(connection.execute(_LIST_AUDIT_AFTER, {"if_tenant": tenant_id, "if_after": after, "count": limit}))


def list_audit_newest(
    connection: Connection, tenant_id: TenantId, /, *, matching: AuditFilter = EVERY_EVENT, before: int | None = None, limit: int = 200
) -> tuple[AuditRecord, ...]:
    """Return the tenant's newest events that *matching* admits, newest first, with a number below *before*."""
    where: dict[str, Any] = {"if_tenant": tenant_id, "if_before": _NO_SEQ_IS_ABOVE if before is None else before, "count": limit}
    return _records(connection.execute(_NEWEST.where(*_conditions(matching)), where))


@across_tenants
def list_audit_heads(connection: Connection, *, after: TenantId | None = None, limit: int = 1_000) -> tuple[AuditHead | DamagedRow, ...]:
    """Return the ends of the chains of all tenants, in the order of their ids: all, or those with an id above *after*."""
    if after is None:
        return _HEAD_ROWS.each(connection.execute(_LIST_HEADS, {"count": limit}).all())
    return _HEAD_ROWS.each(connection.execute(_LIST_HEADS_AFTER, {"if_after": after, "count": limit}).all())


@across_tenants
def count_uses(
    connection: Connection, matching: AuditFilter, /, *, tenant_id: TenantId | None = None, limit: int = 1_000_000
) -> tuple[UseCount | DamagedRow, ...]:
    """Return how often each integration was used, in the order of their ids, from the events that *matching* admits."""
    query = _COUNT_USES.where(*_conditions(replace(matching, action=USED)))
    if tenant_id is not None:
        query = query.where(_e.tenant_id == bindparam("if_tenant"))
    where = {"if_tenant": tenant_id} if tenant_id is not None else {}
    return _USE_ROWS.each(connection.execute(query, {**where, "count": limit}).all())


def _conditions(matching: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if matching.resource is not None:
        conditions.append(_e.resource == matching.resource)
    if matching.actor is not None:
        conditions += [_e.actor_id == matching.actor.id, _e.actor_type == matching.actor.type]
    if matching.action is not None:
        conditions.append(_e.action == matching.action)
    if matching.provider_id is not None:
        conditions.append(_e.provider_id == matching.provider_id)
    if matching.context_id is not None:
        conditions.append(_e.context_id == matching.context_id)
    if matching.since is not None:
        conditions.append(_e.occurred_at >= micros(matching.since))
    if matching.until is not None:
        conditions.append(_e.occurred_at < micros(matching.until))
    return conditions


def find_audit_head(connection: Connection, tenant_id: TenantId, /) -> AuditHead | None:
    """Return the end of the tenant's chain, or None if it has no event."""
    row = connection.execute(_FIND_HEAD, {"if_tenant": tenant_id}).first()
    return _HEAD_ROWS.one(row)


def find_audit_cut(connection: Connection, tenant_id: TenantId, /) -> StoredCut | None:
    """Return the statement that stands in place of the tenant's oldest events, or None if none was removed."""
    return _CUT_ROWS.one(connection.execute(_FIND_CUT, {"if_tenant": tenant_id}).first())


@handles(HidePerson, tenant="event.tenant_id")
def _hide_person(connection: Connection, change: HidePerson) -> None:
    columns = _event_columns(AuditRecord(event=change.event, seq=change.seq, previous_hash=b"", hash=change.hash))
    written = {name: columns[name] for name in ("actor_id", "details", "salts")}
    where = {"if_tenant": change.event.tenant_id, "if_seq": change.seq, "if_hash": change.hash}
    unless_stale(connection.execute(_HIDE_PERSON, {**written, **where}).rowcount == 1)


@handles(CutAudit, tenant="cut.tenant_id")
def _cut_audit(connection: Connection, change: CutAudit) -> None:
    cut = change.cut
    written = {"seq": cut.seq, "note": cut.note}
    if change.expected == 0:
        with refused_as(StaleWriteError()):
            connection.execute(_ADD_CUT, {"tenant_id": cut.tenant_id, **written})
    else:
        where = {"if_tenant": cut.tenant_id, "if_seq": change.expected}
        unless_stale(connection.execute(_MOVE_CUT, {**written, **where}).rowcount == 1)
    connection.execute(_REMOVE_EVENTS, {"if_tenant": cut.tenant_id, "if_through": cut.seq})


def append_events(connection: Connection, events: Iterable[AuditEvent]) -> None:
    """Append events to the chains of their tenants; the heads are locked in the order of tenants, so that no deadlock can arise."""
    by_tenant: dict[TenantId, list[AuditEvent]] = {}
    for event in events:
        by_tenant.setdefault(event.tenant_id, []).append(event)
    for tenant_id in sorted(by_tenant):
        see(connection, tenant_id)
        head = _locked_head(connection, tenant_id)
        rows = []
        for event in by_tenant[tenant_id]:
            # Hashed with the time in UTC, as it will be read back.
            record = chained(replace(event, occurred_at=event.occurred_at.astimezone(UTC)), head)
            head = AuditHead(tenant_id=tenant_id, seq=record.seq, hash=record.hash)
            rows.append(_event_columns(record))
        moved = {"if_tenant": tenant_id, "head_seq": head.seq, "head_hash": head.hash}
        # The head is locked, so if an event with the next number exists, the head was edited.
        with refused_as(DamagedRowError(table=schema.audit_head.name, row=tenant_id)):
            if database_of(connection).inserts_with_updates and len(rows) == 1:
                connection.execute(_ADD_EVENT_AND_MOVE_HEAD, {**{f"event_{name}": value for name, value in rows[0].items()}, **moved})
            else:
                connection.execute(_ADD_EVENT, rows)
                connection.execute(_MOVE_HEAD, moved)


def _locked_head(connection: Connection, tenant_id: TenantId) -> AuditHead:
    row = connection.execute(_LOCK_HEAD, {"if_tenant": tenant_id}).first()
    if row is None:
        # This is the tenant's first event.  If another transaction is writing its first event too, this waits for its head.
        insert_unless_there(connection, schema.audit_head, {"tenant_id": tenant_id, "seq": 0, "hash": GENESIS})
        row = connection.execute(_LOCK_HEAD, {"if_tenant": tenant_id}).first()
    head = _HEAD_ROWS.one(row)
    if head is None:
        raise OutdatedSnapshotError
    return head


def _event_columns(record: AuditRecord) -> dict[str, Any]:
    event = record.event
    return {
        "event_id": event.event_id,
        "tenant_id": event.tenant_id,
        "occurred_at": micros(event.occurred_at),
        "actor_type": event.actor.type,
        "actor_id": event.actor.id,
        "action": event.action,
        "resource": event.resource,
        "outcome": event.outcome.value,
        "reason": event.reason,
        "request_id": event.request_id,
        "provider_id": event.provider_id,
        "context_id": event.context_id,
        "details": json.dumps(dict(event.details)),
        "salts": json.dumps({name: salt.hex() for name, salt in event.salts.items()}),
        "seq": record.seq,
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }


def _event(row: AnyRow) -> AuditEvent:
    return AuditEvent(
        event_id=row.event_id,
        tenant_id=row.tenant_id,
        occurred_at=time(row.occurred_at),
        actor=Actor(type=row.actor_type, id=row.actor_id),
        action=row.action,
        resource=row.resource,
        outcome=Outcome(row.outcome),
        reason=row.reason,
        request_id=row.request_id,
        provider_id=row.provider_id,
        context_id=row.context_id,
        details=pairs(row.details),
        salts={name: bytes.fromhex(salt) for name, salt in pairs(row.salts).items()},
    )


_EVENT_ROWS = Rows(schema.audit, _EVENT, _event, names=("seq",))


def _records(rows: Iterable[AnyRow]) -> tuple[AuditRecord, ...]:
    return tuple([_record(row) for row in rows])


def _record(row: AnyRow) -> AuditRecord:
    event = _EVENT_ROWS.value_or_name(row)
    return AuditRecord(
        event=unreadable_event(row.tenant_id) if isinstance(event, DamagedRow) else event,
        readable=not isinstance(event, DamagedRow),
        seq=row.seq if isinstance(row.seq, int) else 0,
        previous_hash=row.previous_hash if isinstance(row.previous_hash, bytes) else b"",
        hash=row.hash if isinstance(row.hash, bytes) else b"",
    )


def _use(row: AnyRow) -> UseCount:
    if row.tenant_id != row.other_tenant:
        # An integration has one tenant, so events were forged.
        raise ValueError
    return UseCount(
        tenant_id=row.tenant_id,
        integration_id=integration_of(row.resource),
        records=count(row.records),
        first_at=time(row.first_at),
        last_at=time(row.last_at),
    )


_USE_ROWS = Rows(schema.audit, _COUNT_USES.selected_columns, _use, names=("resource",))


def _head(row: AnyRow) -> AuditHead:
    return AuditHead(tenant_id=row[0], seq=count(row[1]), hash=row[2])


def _cut(row: AnyRow) -> StoredCut:
    return StoredCut(tenant_id=row[0], seq=count(row[1], least=1), note=row[2])


_CUT_ROWS = Rows(schema.audit_cut, _FIND_CUT.selected_columns, _cut, names=("tenant_id",))
_HEAD_ROWS = Rows(schema.audit_head, _FIND_HEAD.selected_columns, _head, names=("tenant_id",))
