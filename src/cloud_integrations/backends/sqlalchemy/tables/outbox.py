"""The outbox, in SQL."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, or_, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, length, micros
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import LATEST, AnyRow, Rows, Unreadable, count, nearest_time, pairs, time
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.domain.work_report import OutboxCount
from cloud_integrations.errors import IntegrationNotFoundError, StaleWriteError
from cloud_integrations.ports.store import AddEntry, DamagedRow, DelayEntry, FinishEntry

from .handlers import handles
from .integration_rows import THIS
from .keys import require_active_key

# Parameters in conditions have names with the prefix `if_`, so that they differ from those of columns that are set.
_o = schema.outbox.c
_i = schema.integration.c
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
_LAST = select(func.max(_o.created_at)).where(
    _o.tenant_id == bindparam("if_tenant"),
    _o.integration_id == bindparam("if_integration"),
    # Nothing comes after a time that only an edited row has.
    _o.created_at < LATEST,
)
_ADD = insert(schema.outbox)
_FINISH = delete(schema.outbox).where(_THIS)
_FINISH_IF = _FINISH.where(_o.facts == bindparam("if_facts"))
_HOLD_INTEGRATION = select(_i.generation).where(THIS).with_for_update()
_DELAY = update(schema.outbox).where(_THIS).values(attempts=_o.attempts + 1)
_HOLD = update(schema.outbox).where(_THIS)
_DUE = (
    select(*_ENTRY, NOW_ONCE.label("now"))
    .where(_o.kind == bindparam("if_kind"), _o.next_attempt_at <= NOW_ONCE)
    .order_by(_o.next_attempt_at, _o.tenant_id, _o.entry_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_WITH_KEY = _o.index_key == bindparam("if_index_key")
_DUE_WITH_KEY = _DUE.where(_WITH_KEY)
_IS_FIRST = ~exists().where(
    _e.tenant_id == _o.tenant_id,
    _e.integration_id == _o.integration_id,
    _e.kind == _o.kind,
    _e.index_key.is_not_distinct_from(_o.index_key),
    or_(_e.created_at < _o.created_at, and_(_e.created_at == _o.created_at, _e.entry_id < _o.entry_id)),
)
_DUE_IN_ORDER = _DUE.where(_IS_FIRST)
_DUE_IN_ORDER_WITH_KEY = _DUE_WITH_KEY.where(_IS_FIRST)
_DUE_KEYS = (
    select(_o.index_key)
    .where(_o.kind == bindparam("if_kind"), _o.next_attempt_at <= NOW_ONCE, _o.index_key.is_not(None))
    .group_by(_o.index_key)
    .order_by(func.min(_o.next_attempt_at), _o.index_key)
    .limit(bindparam("count"))
)
_LIST = select(*_ENTRY).where(_o.kind == bindparam("if_kind")).order_by(_o.created_at, _o.entry_id).limit(bindparam("count"))
_COUNT = select(func.count()).select_from(schema.outbox).where(_o.kind == bindparam("if_kind"))

_COUNT_EACH = (
    select(
        _o.kind,
        func.count().label("waiting"),
        func.min(_o.created_at).label("since"),
        func.min(_o.next_attempt_at).label("due_since"),
    )
    .group_by(_o.kind)
    .order_by(_o.kind)
)


@across_tenants
def claim_entries(
    connection: Connection, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False, index_key: str | None = None
) -> tuple[OutboxEntry | DamagedRow, ...]:
    """Return at most *limit* due entries of *kind*, of all tenants, those that were due first coming first, and hold them.

    With *in_order*, an entry waits until each earlier entry of its kind and index key for the same integration is finished.
    """
    parameters = {"if_kind": kind, "count": limit, "clock": given_time(connection)}
    if index_key is None:
        statement = _DUE_IN_ORDER if in_order else _DUE
    else:
        statement, parameters["if_index_key"] = _DUE_IN_ORDER_WITH_KEY if in_order else _DUE_WITH_KEY, index_key
    rows = connection.execute(statement, parameters).all()
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


@across_tenants
def list_due_keys(connection: Connection, kind: str, /, *, limit: int) -> tuple[str, ...]:
    """Return at most *limit* index keys of due entries of *kind*, of all tenants, that of the entry that was due first coming first."""
    found = connection.execute(_DUE_KEYS, {"if_kind": kind, "count": limit, "clock": given_time(connection)}).scalars()
    return tuple([key for key in found if isinstance(key, str)])


@across_tenants
def count_entries(connection: Connection, kind: str, /) -> int:
    """Return how many entries of *kind* wait, of all tenants."""
    return int(connection.execute(_COUNT, {"if_kind": kind}).scalar_one())


@across_tenants
def count_outbox(connection: Connection) -> tuple[OutboxCount, ...]:
    """Return how many entries wait, of all tenants, by kind."""
    return tuple(
        [
            OutboxCount(kind=row.kind, count=row.waiting, since=nearest_time(row.since), due_since=nearest_time(row.due_since))
            for row in connection.execute(_COUNT_EACH)
            if not isinstance(row.kind, Unreadable)
        ]
    )


@across_tenants
def list_entries(
    connection: Connection, tenant_id: TenantId | None, kind: str, /, *, index_key: str | None = None, limit: int
) -> tuple[OutboxEntry | DamagedRow, ...]:
    """Return entries of *kind* (with one index key) of the tenant, or of all (None), due or not, the oldest first."""
    statement, parameters = _LIST, {"if_kind": kind, "count": limit}
    if tenant_id is not None:
        statement, parameters = statement.where(_o.tenant_id == bindparam("if_tenant")), {**parameters, "if_tenant": tenant_id}
    if index_key is not None:
        statement, parameters = statement.where(_WITH_KEY), {**parameters, "if_index_key": index_key}
    return _ENTRY_ROWS.each(connection.execute(statement, parameters))


@handles(AddEntry, tenant="entry.tenant_id")
def _add_entry(connection: Connection, change: AddEntry) -> None:
    entry = change.entry
    if entry.key_id is not None:
        require_active_key(connection, entry.tenant_id, entry.key_id)
    if change.expected_generation is not None:
        _hold_integration(connection, entry, change.expected_generation)
    add_entry(connection, entry, follows=change.follows)


def add_entry(connection: Connection, entry: OutboxEntry, /, *, follows: bool) -> None:
    """Insert one entry; with *follows*, after those of its integration.  `StaleWriteError` if it is there already."""
    created_at = micros(entry.created_at)
    if follows and entry.integration_id is not None:
        last = connection.execute(_LAST, {"if_tenant": entry.tenant_id, "if_integration": entry.integration_id}).scalar()
        created_at = max(created_at, last + 1) if isinstance(last, int) else created_at
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
        "created_at": created_at,
        "last_error": entry.last_error,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD, row)


def _hold_integration(connection: Connection, entry: OutboxEntry, generation: int) -> None:
    row = connection.execute(_HOLD_INTEGRATION, {"if_tenant": entry.tenant_id, "if_id": entry.integration_id}).first()
    if row is None:
        raise IntegrationNotFoundError
    unless_stale(row.generation == generation)


@handles(FinishEntry)
def _finish_entry(connection: Connection, change: FinishEntry) -> None:
    where = {"if_tenant": change.tenant_id, "if_id": change.entry_id}
    if change.expected_facts is None:
        connection.execute(_FINISH, where)
        return
    finished = connection.execute(_FINISH_IF, {**where, "if_facts": json.dumps(change.expected_facts)})
    unless_stale(finished.rowcount == 1)


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
