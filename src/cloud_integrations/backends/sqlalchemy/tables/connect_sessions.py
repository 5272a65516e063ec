"""Connect sessions, in SQL."""

from __future__ import annotations

import json
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, time, time_or_none, words
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.connect_session import ConnectSession, StoredConnectSession
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddConnectSession, DamagedRow, OpenConnectSession, RemoveConnectSession

from .handlers import handles

_s = schema.connect_session.c

_COLUMNS = tuple(_s)
_OF_TENANT = _s.tenant_id == bindparam("if_tenant")
_THIS = and_(_OF_TENANT, _s.session_id == bindparam("if_session"))
_FIND = select(*_COLUMNS).where(_s.token_hash == bindparam("if_hash"))
_LIST = select(*_COLUMNS).where(_OF_TENANT).order_by(_s.created_at.desc(), _s.session_id.desc())
_ADD = insert(schema.connect_session)
_OPEN = (
    update(schema.connect_session)
    .where(_THIS, _s.token_hash == bindparam("if_hash"), _s.opened_at.is_(None))
    .values(
        token_hash=bindparam("set_hash"),
        opened_at=bindparam("set_opened"),
        expires_at=bindparam("set_expires"),
        fingerprint=bindparam("set_fingerprint"),
    )
)
_OLD = (
    select(_s.tenant_id, _s.session_id)
    .where(_s.expires_at <= NOW_ONCE)
    .order_by(_s.expires_at, _s.tenant_id, _s.session_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_REMOVE = delete(schema.connect_session).where(_THIS)


@across_tenants
def find_connect_session(connection: Connection, token_hash: bytes, /) -> StoredConnectSession | None:
    """Return the connect session with the hash of this token, of whichever tenant, also one that has ended; None: there is none."""
    return _ROWS.one(connection.execute(_FIND, {"if_hash": token_hash}).first())


def list_connect_sessions(connection: Connection, tenant_id: TenantId, /) -> tuple[StoredConnectSession | DamagedRow, ...]:
    """Return the connect sessions of a tenant, the one that was created last first."""
    return _ROWS.each(connection.execute(_LIST, {"if_tenant": tenant_id}).all())


@across_tenants
def sweep_connect_sessions(connection: Connection, *, limit: int) -> int:
    """Delete up to *limit* connect sessions of all tenants that have ended; return how many."""
    # What was edited and cannot be a parameter stays, and the others are deleted.
    old = [
        {"if_tenant": row.tenant_id, "if_session": row.session_id}
        for row in connection.execute(_OLD, {"count": limit, "clock": given_time(connection)}).all()
        if isinstance(row.tenant_id, str) and isinstance(row.session_id, UUID)
    ]
    if old:
        connection.execute(_REMOVE, old)
    return len(old)


@handles(AddConnectSession, tenant="session.facts.tenant_id")
def _add_connect_session(connection: Connection, change: AddConnectSession) -> None:
    session = change.session.facts
    row = {
        "tenant_id": session.tenant_id,
        "session_id": session.id,
        "token_hash": change.session.token_hash,
        "actor_type": session.actor.type,
        "actor_id": session.actor.id,
        "providers": json.dumps(session.providers),
        "slot": session.slot,
        "locale": session.locale,
        "return_to": session.return_to,
        "origin": session.origin,
        "created_at": micros(session.created_at),
        "expires_at": micros(session.expires_at),
        "opened_at": micros_or_none(session.opened_at),
        "fingerprint": change.session.fingerprint,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD, row)


@handles(OpenConnectSession, tenant="session.facts.tenant_id")
def _open_connect_session(connection: Connection, change: OpenConnectSession) -> None:
    session = change.session.facts
    values = {
        "if_tenant": session.tenant_id,
        "if_session": session.id,
        "if_hash": change.link_hash,
        "set_hash": change.session.token_hash,
        "set_opened": micros_or_none(session.opened_at),
        "set_expires": micros(session.expires_at),
        "set_fingerprint": change.session.fingerprint,
    }
    unless_stale(connection.execute(_OPEN, values).rowcount == 1)


@handles(RemoveConnectSession)
def _remove_connect_session(connection: Connection, change: RemoveConnectSession) -> None:
    where = {"if_tenant": change.tenant_id, "if_session": change.session_id}
    unless_stale(connection.execute(_REMOVE, where).rowcount == 1)


def _session(row: AnyRow) -> StoredConnectSession:
    facts = ConnectSession(
        id=row.session_id,
        tenant_id=row.tenant_id,
        actor=Actor(type=row.actor_type, id=row.actor_id),
        providers=words(row.providers),
        slot=row.slot,
        locale=row.locale,
        return_to=row.return_to,
        origin=row.origin,
        created_at=time(row.created_at),
        expires_at=time(row.expires_at),
        opened_at=time_or_none(row.opened_at),
    )
    return StoredConnectSession(facts=facts, token_hash=row.token_hash, fingerprint=row.fingerprint)


_ROWS = Rows(schema.connect_session, _COLUMNS, _session, names=("session_id",))
