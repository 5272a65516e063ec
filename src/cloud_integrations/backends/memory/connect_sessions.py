"""Connect sessions, in memory."""

from __future__ import annotations

from cloud_integrations.domain.connect_session import StoredConnectSession
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddConnectSession, OpenConnectSession, RemoveConnectSession

from .tables import Memory, Tables, handles, unless_stale


class ConnectSessions(Memory):
    """Reads of connect sessions, and the removal of old ones."""

    def find_connect_session(self, token_hash: bytes, /) -> StoredConnectSession | None:
        """Return the connect session with the hash of this token, of whichever tenant, also one that has ended; None: there is none."""
        return next((each for each in self._tables.connect_sessions.values() if each.token_hash == token_hash), None)

    def list_connect_sessions(self, tenant_id: TenantId, /) -> tuple[StoredConnectSession, ...]:
        """Return the connect sessions of a tenant, the one that was created last first."""
        found = [session for (owner, _), session in self._tables.connect_sessions.items() if owner == tenant_id]
        return tuple(sorted(found, key=lambda session: (session.facts.created_at, session.facts.id), reverse=True))

    def sweep_connect_sessions(self, *, limit: int) -> int:
        """Delete up to *limit* connect sessions of all tenants that have ended; return how many."""
        with self._lock:
            now = self._now()
            old = [key for key, session in self._tables.connect_sessions.items() if session.facts.expires_at <= now][:limit]
            for key in old:
                del self._tables.connect_sessions[key]
            return len(old)


@handles(AddConnectSession)
def add_connect_session(tables: Tables, change: AddConnectSession) -> None:
    """Store a connect session that begins."""
    session = change.session
    key = (session.facts.tenant_id, session.facts.id)
    unless_stale(key not in tables.connect_sessions)
    unless_stale(all(each.token_hash != session.token_hash for each in tables.connect_sessions.values()))
    tables.connect_sessions[key] = session


@handles(OpenConnectSession)
def open_connect_session(tables: Tables, change: OpenConnectSession) -> None:
    """Replace a connect session by the open one."""
    key = (change.session.facts.tenant_id, change.session.facts.id)
    stored = tables.connect_sessions.get(key)
    if stored is None or stored.facts.opened_at is not None or stored.token_hash != change.link_hash:
        raise StaleWriteError
    tables.connect_sessions[key] = change.session


@handles(RemoveConnectSession)
def remove_connect_session(tables: Tables, change: RemoveConnectSession) -> None:
    """Delete a connect session."""
    unless_stale(tables.connect_sessions.pop((change.tenant_id, change.session_id), None) is not None)
