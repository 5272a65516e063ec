"""The audit chain, in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros
from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.backends.sqlalchemy.db_errors import OutdatedSnapshotError, insert_unless_there, refused_as
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, pairs, time
from cloud_integrations.domain.audit import GENESIS, Actor, AuditEvent, AuditHead, AuditRecord, Outcome, chained, unreadable_event
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError
from cloud_integrations.ports.store import DamagedRow

# Parameters in conditions have names with the prefix `if_`, so that they differ from those of columns that are set.
_e = schema.audit.c
_h = schema.audit_head.c

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
    _e.details,
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
_NEWEST_OF_RESOURCE = _NEWEST.where(_e.resource == bindparam("if_resource"))
_NO_SEQ_IS_ABOVE = 2**63 - 1
_FIND_HEAD = select(_h.tenant_id, _h.seq, _h.hash).where(_h.tenant_id == bindparam("if_tenant"))
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
    connection: Connection, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
) -> tuple[AuditRecord, ...]:
    """Return the tenant's newest events (of one resource), newest first, with a number below *before*."""
    where: dict[str, Any] = {"if_tenant": tenant_id, "if_before": _NO_SEQ_IS_ABOVE if before is None else before, "count": limit}
    if resource is None:
        return _records(connection.execute(_NEWEST, where))
    return _records(connection.execute(_NEWEST_OF_RESOURCE, {**where, "if_resource": resource}))


def find_audit_head(connection: Connection, tenant_id: TenantId, /) -> AuditHead | None:
    """Return the end of the tenant's chain, or None if it has no event."""
    row = connection.execute(_FIND_HEAD, {"if_tenant": tenant_id}).first()
    return _HEAD_ROWS.one(row)


def append_events(connection: Connection, events: Iterable[AuditEvent]) -> None:
    """Append events to the chains of their tenants; the heads are locked in the order of tenants, so that no deadlock can arise."""
    by_tenant: dict[TenantId, list[AuditEvent]] = {}
    for event in events:
        by_tenant.setdefault(event.tenant_id, []).append(event)
    for tenant_id in sorted(by_tenant):
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
        "details": json.dumps(dict(event.details)),
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
        details=pairs(row.details),
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


def _head(row: AnyRow) -> AuditHead:
    return AuditHead(tenant_id=row[0], seq=count(row[1]), hash=row[2])


_HEAD_ROWS = Rows(schema.audit_head, _FIND_HEAD.selected_columns, _head, names=("tenant_id",))
