"""Announcements, in SQL."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, String, and_, bindparam, cast, delete, exists, func, literal, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, length, micros
from cloud_integrations.backends.sqlalchemy.db_errors import OutdatedSnapshotError, insert_unless_there
from cloud_integrations.backends.sqlalchemy.rows import Rows
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.announcements import END, RECONNECT_REQUIRED, TROUBLE
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.ports.store import Announce, DamagedRow, Retract

from .handlers import handles
from .integration_rows import REFRESHED, STORED, THIS, stored_integration
from .outbox import add_entry

_a = schema.announcement.c
_i = schema.integration.c

_THIS = and_(_a.tenant_id == bindparam("if_tenant"), _a.subject_id == bindparam("if_subject"), _a.name == bindparam("if_name"))
_FIND = select(_a.value, _a.since).where(_THIS)
_HOLD = _FIND.with_for_update()
_SET = update(schema.announcement).where(_THIS)
_RETRACT = delete(schema.announcement).where(_THIS)
_FORGET = delete(schema.announcement).where(_a.tenant_id == bindparam("if_tenant"), _a.subject_id == bindparam("if_subject"))
_HOLD_INTEGRATION = select(_i.generation).where(THIS).with_for_update()
_OF_INTEGRATION = and_(_a.tenant_id == _i.tenant_id, _a.subject_id == _i.integration_id)
# Two statements: for an OR over both columns, no database uses both indexes.
_LIST_ENDING = (
    select(*STORED)
    .where(
        _i.reconnect_before <= NOW_ONCE + bindparam("within"),
        ~and_(_i.renewal_rule == literal("reconnect"), func.coalesce(_i.expires_at, NOW_ONCE + 1) <= NOW_ONCE),
        REFRESHED,
        ~exists().where(_OF_INTEGRATION, _a.name == END, _a.value == cast(_i.reconnect_before, String(32))),
    )
    .order_by(_i.reconnect_before)
    .limit(bindparam("count"))
)
_LIST_ENDED = (
    select(*STORED)
    .where(
        _i.renewal_rule == literal("reconnect"),
        _i.expires_at <= NOW_ONCE,
        REFRESHED,
        ~exists().where(_OF_INTEGRATION, _a.name == TROUBLE, _a.value == RECONNECT_REQUIRED),
    )
    .order_by(_i.expires_at)
    .limit(bindparam("count"))
)


@across_tenants
def list_ending(connection: Connection, *, within: timedelta, limit: int) -> tuple[StoredIntegration | DamagedRow, ...]:
    """Return integrations of all tenants that end soon or have ended, and of which that was not announced; the first to end first."""
    parameters = {"within": length(within), "count": limit, "clock": given_time(connection)}
    ended = _STORED_ROWS.each(connection.execute(_LIST_ENDED, parameters).all())
    return (*ended, *_STORED_ROWS.each(connection.execute(_LIST_ENDING, parameters).all()))[:limit]


@handles(Announce, tenant="entry.tenant_id")
def _announce(connection: Connection, change: Announce) -> None:
    entry, where = change.entry, _where(change.entry.tenant_id, change.subject_id, change.name)
    if change.expected_generation is not None:
        row = connection.execute(_HOLD_INTEGRATION, {"if_tenant": entry.tenant_id, "if_id": entry.integration_id}).first()
        if row is None or row.generation != change.expected_generation:
            return
    # Most often it was announced before.  Then nothing is locked, because an application's announcement is that of all its integrations.
    found = connection.execute(_FIND, where).first()
    if found is not None and found.value == change.value:
        return
    if found is None:
        named = {"tenant_id": entry.tenant_id, "subject_id": change.subject_id, "name": change.name}
        insert_unless_there(connection, schema.announcement, {**named, "since": micros(change.at)})
    found = connection.execute(_HOLD, where).first()
    if found is None:
        # Retracted just now, by a transaction that this one waited for.
        raise OutdatedSnapshotError
    since = found.since if isinstance(found.since, int) else 0
    if found.value == change.value or micros(change.at) - since < length(change.lasting):
        return
    connection.execute(_SET, {**where, "value": change.value})
    add_entry(connection, entry, follows=True)


@handles(Retract)
def _retract(connection: Connection, change: Retract) -> None:
    where = _where(change.tenant_id, change.subject_id, change.name)
    if change.entry is None:
        connection.execute(_RETRACT, where)
        return
    # Most often there is none, and then nothing is locked.
    if connection.execute(_FIND, where).first() is None:
        return
    found = connection.execute(_HOLD, where).first()
    if found is not None and connection.execute(_RETRACT, where).rowcount == 1 and found.value is not None:
        add_entry(connection, change.entry, follows=True)


def forget_announcements(connection: Connection, tenant_id: TenantId, subject_id: UUID, /) -> None:
    """Delete the announcements of an integration or an application, which is removed."""
    connection.execute(_FORGET, {"if_tenant": tenant_id, "if_subject": subject_id})


def _where(tenant_id: TenantId, subject_id: UUID, name: str) -> dict[str, object]:
    return {"if_tenant": tenant_id, "if_subject": subject_id, "if_name": name}


_STORED_ROWS = Rows(schema.integration, STORED, stored_integration, names=("integration_id",))
