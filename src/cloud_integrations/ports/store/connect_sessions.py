"""Connect sessions: changes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_integrations.domain.connect_session import StoredConnectSession
from cloud_integrations.domain.identifiers import ConnectSessionId, TenantId

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddConnectSession:
    """Store a connect session that begins.  `StaleWriteError` if its id is taken in the tenant, or its hash anywhere."""

    session: StoredConnectSession


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConnectSession:
    """Replace a connect session by *session*, which has the same tenant and id, and is open.

    `StaleWriteError` unless the stored one has the hash `link_hash` and is not open: of several browsers, one opens it.
    """

    session: StoredConnectSession
    link_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveConnectSession:
    """Delete a connect session.  `StaleWriteError` if the tenant has none with this id."""

    tenant_id: TenantId
    session_id: ConnectSessionId


class AsyncConnectSessionStore(Protocol):
    """Reads of connect sessions, and the removal of old ones."""

    async def find_connect_session(self, token_hash: bytes, /) -> StoredConnectSession | None:
        """Return the connect session with the hash of this token, of whichever tenant, also one that has ended; None: there is none."""
        ...

    async def list_connect_sessions(self, tenant_id: TenantId, /) -> tuple[StoredConnectSession | DamagedRow, ...]:
        """Return the connect sessions of a tenant, the one that was created last first."""
        ...

    async def sweep_connect_sessions(self, *, limit: int) -> int:
        """Delete up to *limit* connect sessions of all tenants that have ended (by the store's clock); return how many."""
        ...


class ConnectSessionStore(Protocol):
    """The blocking form of `AsyncConnectSessionStore`: the same methods, the same promises."""

    def find_connect_session(self, token_hash: bytes, /) -> StoredConnectSession | None: ...

    def list_connect_sessions(self, tenant_id: TenantId, /) -> tuple[StoredConnectSession | DamagedRow, ...]: ...

    def sweep_connect_sessions(self, *, limit: int) -> int: ...
