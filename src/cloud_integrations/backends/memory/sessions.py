"""Sessions of agents, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_integrations.domain.identifiers import SessionId, TenantId
from cloud_integrations.domain.session import StoredSession
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddSession, RevokeSession

from .tables import Memory, Tables, handles, unless_stale


class Sessions(Memory):
    """Reads of sessions, and the removal of old ones."""

    def find_session(self, tenant_id: TenantId, session_id: SessionId, /) -> StoredSession | None:
        """Return a session of the tenant, also one that has ended or was revoked; None: there is none."""
        return self._tables.sessions.get((tenant_id, session_id))

    def list_sessions(self, tenant_id: TenantId, /) -> tuple[StoredSession, ...]:
        """Return the sessions of a tenant, the one that was opened last first."""
        found = [session for (owner, _), session in self._tables.sessions.items() if owner == tenant_id]
        return tuple(sorted(found, key=lambda session: (session.facts.opened_at, session.facts.id), reverse=True))

    def sweep_sessions(self, *, ended_for: timedelta, limit: int) -> int:
        """Delete up to *limit* sessions of all tenants that ended *ended_for* ago or earlier; return how many."""
        with self._lock:
            before = self._now() - ended_for
            old = [key for key, session in self._tables.sessions.items() if session.facts.expires_at <= before][:limit]
            for key in old:
                del self._tables.sessions[key]
            return len(old)


@handles(AddSession)
def add_session(tables: Tables, change: AddSession) -> None:
    """Store a session that begins."""
    key = (change.session.facts.tenant_id, change.session.facts.id)
    unless_stale(key not in tables.sessions)
    tables.sessions[key] = change.session


@handles(RevokeSession)
def revoke_session(tables: Tables, change: RevokeSession) -> None:
    """Write that a session was revoked."""
    key = (change.tenant_id, change.session_id)
    session = tables.sessions.get(key)
    if session is None or session.facts.revoked_at is not None:
        raise StaleWriteError
    tables.sessions[key] = replace(session, facts=replace(session.facts, revoked_at=change.revoked_at))
