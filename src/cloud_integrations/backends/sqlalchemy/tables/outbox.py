"""The outbox, in SQL."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, or_, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, length, micros
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, Unreadable, count, pairs, time
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddEntry, DamagedRow, DelayEntry, FinishEntry

from .handlers import handles
from .keys import require_active_key

# Parameters in conditions have names with the prefix `if_`, so that they differ from those of columns that are set.
_o = schema.outbox.c
_earlier = schema.outbox.alias("earlier")
_e = _earlier.c

_ENTRY = (
    _o.entry_id,
    _o.tenant_id,
    _o.integration_id,
    _o.kind,
    _o.index_key,
    _o.facts,
    _o.sealed_payload,
    _o.key_id,
    _o.attempts,
    _o.next_attempt_at,
    _o.created_at,
    _o.last_error,
)
_THIS = and_(_o.tenant_id == bindparam("if_tenant"), _o.entry_id == bindparam("if_id"))
_ADD = insert(schema.outbox)
_FINISH = delete(schema.outbox).where(_THIS)
_DELAY = update(schema.outbox).where(_THIS).values(attempts=_o.attempts + 1)
_HOLD = update(schema.outbox).where(_THIS)
_DUE = (
    select(*_ENTRY, NOW_ONCE.label("now"))
    .where(_o.kind == bindparam("if_kind"), _o.next_attempt_at <= NOW_ONCE)
    .order_by(_o.next_attempt_at, _o.tenant_id, _o.entry_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_DUE_IN_ORDER = _DUE.where(
    ~exists().where(
        _e.tenant_id == _o.tenant_id,
        _e.integration_id == _o.integration_id,
        _e.kind == _o.kind,
        or_(_e.created_at < _o.created_at, and_(_e.created_at == _o.created_at, _e.entry_id < _o.entry_id)),
    )
)
_LIST = (
    select(*_ENTRY)
    .where(_o.tenant_id == bindparam("if_tenant"), _o.kind == bindparam("if_kind"))
    .order_by(_o.created_at, _o.entry_id)
    .limit(bindparam("count"))
)
_LIST_OF_ONE = _LIST.where(_o.index_key == bindparam("if_index_key"))
_COUNT = select(func.count()).select_from(schema.outbox).where(_o.kind == bindparam("if_kind"))


def claim_entries(
    connection: Connection, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False
) -> tuple[OutboxEntry | DamagedRow, ...]:
    """Return at most *limit* due entries of *kind*, of all tenants, those that were due first coming first, and hold them.

    With *in_order*, an entry waits until each earlier entry of its kind for the same integration is finished.
    """
    parameters = {"if_kind": kind, "count": limit, "clock": given_time(connection)}
    rows = connection.execute(_DUE_IN_ORDER if in_order else _DUE, parameters).all()
    # An entry whose id cannot be read cannot be held: it stays due and is reported by each claim.
    to_hold = [
        {"if_tenant": row.tenant_id, "if_id": row.entry_id, "next_attempt_at": row.now + length(hold)}
        for row in rows
        if not isinstance(row.entry_id, Unreadable)
    ]
    if to_hold:
        connection.execute(_HOLD, to_hold)
    claimed = []
    for row in rows:
        entry = _CLAIMED_ROWS.value_or_name(row)
        claimed.append(replace(entry, next_attempt_at=time(row.now + length(hold))) if isinstance(entry, OutboxEntry) else entry)
    return tuple(claimed)


def count_entries(connection: Connection, kind: str, /) -> int:
    """Return how many entries of *kind* wait, of all tenants."""
    return int(connection.execute(_COUNT, {"if_kind": kind}).scalar_one())


def list_entries(
    connection: Connection, tenant_id: TenantId, kind: str, /, *, index_key: str | None = None, limit: int
) -> tuple[OutboxEntry | DamagedRow, ...]:
    """Return the tenant's entries of *kind* (with one index key), due or not, the oldest first."""
    parameters = {"if_tenant": tenant_id, "if_kind": kind, "count": limit}
    if index_key is None:
        return _ENTRY_ROWS.each(connection.execute(_LIST, parameters))
    return _ENTRY_ROWS.each(connection.execute(_LIST_OF_ONE, {**parameters, "if_index_key": index_key}))


@handles(AddEntry)
def _add_entry(connection: Connection, change: AddEntry) -> None:
    entry = change.entry
    if entry.key_id is not None:
        require_active_key(connection, entry.tenant_id, entry.key_id)
    row = {
        "tenant_id": entry.tenant_id,
        "entry_id": entry.id,
        "integration_id": entry.integration_id,
        "kind": entry.kind,
        "index_key": entry.index_key,
        "facts": json.dumps(entry.facts),
        "sealed_payload": entry.sealed_payload,
        "key_id": entry.key_id,
        "attempts": entry.attempts,
        "next_attempt_at": micros(entry.next_attempt_at),
        "created_at": micros(entry.created_at),
        "last_error": entry.last_error,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD, row)


@handles(FinishEntry)
def _finish_entry(connection: Connection, change: FinishEntry) -> None:
    connection.execute(_FINISH, {"if_tenant": change.tenant_id, "if_id": change.entry_id})


@handles(DelayEntry)
def _delay_entry(connection: Connection, change: DelayEntry) -> None:
    connection.execute(
        _DELAY,
        {
            "if_tenant": change.tenant_id,
            "if_id": change.entry_id,
            "next_attempt_at": micros(change.next_attempt_at),
            "last_error": change.error,
        },
    )


def _entry(row: AnyRow) -> OutboxEntry:
    return OutboxEntry(
        id=row.entry_id,
        tenant_id=row.tenant_id,
        integration_id=row.integration_id,
        kind=row.kind,
        index_key=row.index_key,
        facts=pairs(row.facts),
        sealed_payload=row.sealed_payload,
        key_id=row.key_id,
        attempts=count(row.attempts),
        next_attempt_at=time(row.next_attempt_at),
        created_at=time(row.created_at),
        last_error=row.last_error,
    )


_CLAIMED_ROWS = Rows(schema.outbox, _DUE.selected_columns, _entry, names=("entry_id",))
_ENTRY_ROWS = Rows(schema.outbox, _ENTRY, _entry, names=("entry_id",))
