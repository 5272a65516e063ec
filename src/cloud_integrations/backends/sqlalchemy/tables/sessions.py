"""Sessions of agents, in SQL."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, length, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, texts, time, time_or_none, words
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, SessionId, TenantId
from cloud_integrations.domain.session import AgentSession, SessionAccess, StoredSession
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddSession, DamagedRow, RevokeSession

from .handlers import handles

_s = schema.session.c

_COLUMNS = tuple(_s)
_OF_TENANT = _s.tenant_id == bindparam("if_tenant")
_THIS = and_(_OF_TENANT, _s.session_id == bindparam("if_session"))
_FIND = select(*_COLUMNS).where(_THIS)
_LIST = select(*_COLUMNS).where(_OF_TENANT).order_by(_s.opened_at.desc(), _s.session_id.desc())
_ADD = insert(schema.session)
_REVOKE = update(schema.session).where(_THIS, _s.revoked_at.is_(None)).values(revoked_at=bindparam("set_revoked"))
_OLD = (
    select(_s.tenant_id, _s.session_id)
    .where(_s.expires_at <= NOW_ONCE - bindparam("ended_for"))
    .order_by(_s.expires_at, _s.tenant_id, _s.session_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_SWEEP = delete(schema.session).where(_THIS)


def find_session(connection: Connection, tenant_id: TenantId, session_id: SessionId, /) -> StoredSession | None:
    """Return a session of the tenant, also one that has ended or was revoked; None: there is none."""
    return _ROWS.one(connection.execute(_FIND, {"if_tenant": tenant_id, "if_session": session_id}).first())


def list_sessions(connection: Connection, tenant_id: TenantId, /) -> tuple[StoredSession | DamagedRow, ...]:
    """Return the sessions of a tenant, the one that was opened last first."""
    return _ROWS.each(connection.execute(_LIST, {"if_tenant": tenant_id}).all())


@across_tenants
def sweep_sessions(connection: Connection, *, ended_for: timedelta, limit: int) -> int:
    """Delete up to *limit* sessions of all tenants that ended *ended_for* ago or earlier; return how many."""
    where = {"ended_for": length(ended_for), "count": limit, "clock": given_time(connection)}
    # What was edited and cannot be a parameter stays, and the others are deleted.
    old = [
        {"if_tenant": row.tenant_id, "if_session": row.session_id}
        for row in connection.execute(_OLD, where).all()
        if isinstance(row.tenant_id, str) and isinstance(row.session_id, UUID)
    ]
    if old:
        connection.execute(_SWEEP, old)
    return len(old)


@handles(AddSession, tenant="session.facts.tenant_id")
def _add_session(connection: Connection, change: AddSession) -> None:
    session = change.session.facts
    row = {
        "tenant_id": session.tenant_id,
        "session_id": session.id,
        "agent_type": session.agent.type,
        "agent_id": session.agent.id,
        "person_type": session.on_behalf_of.type,
        "person_id": session.on_behalf_of.id,
        "access": json.dumps(
            [
                {
                    "name": access.name,
                    "provider": str(access.provider_id),
                    "integration": str(access.integration_id),
                    "hosts": list(access.hosts),
                }
                for access in session.access
            ]
        ),
        "methods": json.dumps(session.methods),
        "needs_approval": int(session.needs_approval),
        "opened_at": micros(session.opened_at),
        "expires_at": micros(session.expires_at),
        "revoked_at": micros_or_none(session.revoked_at),
        "fingerprint": change.session.fingerprint,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD, row)


@handles(RevokeSession)
def _revoke_session(connection: Connection, change: RevokeSession) -> None:
    where = {"if_tenant": change.tenant_id, "if_session": change.session_id, "set_revoked": micros(change.revoked_at)}
    unless_stale(connection.execute(_REVOKE, where).rowcount == 1)


def _session(row: AnyRow) -> StoredSession:
    facts = AgentSession(
        id=row.session_id,
        tenant_id=row.tenant_id,
        agent=Actor(type=row.agent_type, id=row.agent_id),
        on_behalf_of=Actor(type=row.person_type, id=row.person_id),
        access=tuple(map(_access, json.loads(row.access))),
        methods=words(row.methods),
        needs_approval={0: False, 1: True}[row.needs_approval],
        opened_at=time(row.opened_at),
        expires_at=time(row.expires_at),
        revoked_at=time_or_none(row.revoked_at),
    )
    return StoredSession(facts=facts, fingerprint=row.fingerprint)


def _access(stored: dict[str, object]) -> SessionAccess:
    return SessionAccess(
        name=texts([stored["name"]])[0],
        provider_id=ProviderId(UUID(str(stored["provider"]))),
        integration_id=IntegrationId(UUID(str(stored["integration"]))),
        hosts=texts(stored["hosts"]),
    )


_ROWS = Rows(schema.session, _COLUMNS, _session, names=("session_id",))
