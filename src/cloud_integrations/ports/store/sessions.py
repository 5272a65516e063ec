"""Sessions of agents: changes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cloud_integrations.domain.identifiers import SessionId, TenantId
from cloud_integrations.domain.session import StoredSession

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSession:
    """Store a session that begins.  `StaleWriteError` if the tenant has one with this id."""

    session: StoredSession


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeSession:
    """Write that a session was revoked.  `StaleWriteError` if the tenant has none with this id, or it was revoked before."""

    tenant_id: TenantId
    session_id: SessionId
    revoked_at: datetime


class AsyncSessionStore(Protocol):
    """Reads of sessions, and the removal of old ones."""

    async def find_session(self, tenant_id: TenantId, session_id: SessionId, /) -> StoredSession | None:
        """Return a session of the tenant, also one that has ended or was revoked; None: there is none."""
        ...

    async def list_sessions(self, tenant_id: TenantId, /) -> tuple[StoredSession | DamagedRow, ...]:
        """Return the sessions of a tenant, the one that was opened last first."""
        ...

    async def sweep_sessions(self, *, ended_for: timedelta, limit: int) -> int:
        """Delete up to *limit* sessions of all tenants that ended *ended_for* ago or earlier (by the store's clock); return how many."""
        ...


class SessionStore(Protocol):
    """The blocking form of `AsyncSessionStore`: the same methods, the same promises."""

    def find_session(self, tenant_id: TenantId, session_id: SessionId, /) -> StoredSession | None: ...

    def list_sessions(self, tenant_id: TenantId, /) -> tuple[StoredSession | DamagedRow, ...]: ...

    def sweep_sessions(self, *, ended_for: timedelta, limit: int) -> int: ...
