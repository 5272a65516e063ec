"""The tables of a store in memory, and the functions that change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID

from cloud_integrations.domain.audit import AuditRecord
from cloud_integrations.domain.connect_session import StoredConnectSession
from cloud_integrations.domain.envelope import KeyCheck, WrappedKey
from cloud_integrations.domain.freezing import Freeze
from cloud_integrations.domain.identifiers import ConnectSessionId, ContextId, FreezeId, IncidentId, IntegrationId, SessionId, TenantId
from cloud_integrations.domain.incident import Incident, IncidentItem
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.session import StoredSession
from cloud_integrations.domain.tenant_application import StoredApplication
from cloud_integrations.domain.webhook import StoredWebhook
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.clock import Clock, require_clock
from cloud_integrations.ports.store import Change, StoredCut

C = TypeVar("C", bound=Change)

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFloor:
    """The versions of a tenant's data keys that are not found: those below the first, and those up to the second."""

    min_version: int = 1
    erased_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What was announced, None for nothing yet, and since when it holds."""

    value: str | None
    since: datetime


@dataclass(slots=True)
class Tables:
    """The rows; values are frozen, so a shallow copy is a copy."""

    integrations: dict[tuple[TenantId, IntegrationId], StoredIntegration] = field(default_factory=dict)
    pending: dict[bytes, PendingAuthorization] = field(default_factory=dict)
    applications: dict[tuple[TenantId, ContextId], StoredApplication] = field(default_factory=dict)
    sessions: dict[tuple[TenantId, SessionId], StoredSession] = field(default_factory=dict)
    connect_sessions: dict[tuple[TenantId, ConnectSessionId], StoredConnectSession] = field(default_factory=dict)
    freezes: dict[FreezeId, Freeze] = field(default_factory=dict)
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    items: dict[tuple[IncidentId, TenantId, IntegrationId], IncidentItem] = field(default_factory=dict)
    keys: dict[tuple[str, UUID], WrappedKey] = field(default_factory=dict)
    floors: dict[str, KeyFloor] = field(default_factory=dict)
    checks: dict[bytes, KeyCheck] = field(default_factory=dict)
    outbox: dict[tuple[TenantId, UUID], OutboxEntry] = field(default_factory=dict)
    webhooks: dict[tuple[TenantId, UUID], StoredWebhook] = field(default_factory=dict)
    announcements: dict[tuple[TenantId, UUID, str], Announcement] = field(default_factory=dict)
    chains: dict[TenantId, list[AuditRecord]] = field(default_factory=dict)
    cuts: dict[TenantId, StoredCut] = field(default_factory=dict)
    changed_at: datetime = _NEVER
    """The store's time of the unit of work that made these rows."""

    def copy(self, *, now: datetime) -> Tables:
        """Return tables for a unit of work that begins now; it appends to the chains last, so these are shared."""
        return replace(
            self,
            integrations=self.integrations.copy(),
            pending=self.pending.copy(),
            applications=self.applications.copy(),
            sessions=self.sessions.copy(),
            connect_sessions=self.connect_sessions.copy(),
            freezes=self.freezes.copy(),
            incidents=self.incidents.copy(),
            items=self.items.copy(),
            keys=self.keys.copy(),
            floors=self.floors.copy(),
            checks=self.checks.copy(),
            outbox=self.outbox.copy(),
            webhooks=self.webhooks.copy(),
            announcements=self.announcements.copy(),
            cuts=self.cuts.copy(),
            changed_at=now,
        )

    def forget_announcements(self, tenant_id: TenantId, subject_id: UUID) -> None:
        """Delete the announcements of an integration or an application, which is removed."""
        for key in [key for key in self.announcements if key[:2] == (tenant_id, subject_id)]:
            del self.announcements[key]

    def floor(self, tenant_id: str) -> KeyFloor:
        """Return which versions of the tenant's data keys are not found."""
        return self.floors.get(tenant_id, KeyFloor())


class Memory:
    """The tables of one store, their lock and the store's clock."""

    def __init__(self, clock: Clock | None = None) -> None:
        require_clock(clock)
        self._now: Callable[[], datetime] = clock.now if clock is not None else _wall_clock
        self._lock = Lock()
        self._tables = Tables()


HANDLERS: dict[type, Callable[[Tables, Any], None]] = {}
"""The function that makes each class of change, or raises what the change documents."""


def handles(kind: type[C], /) -> Callable[[Callable[[Tables, C], None]], Callable[[Tables, C], None]]:
    """Register the decorated function as the one that makes changes of class *kind*."""

    def register(handler: Callable[[Tables, C], None]) -> Callable[[Tables, C], None]:
        HANDLERS[kind] = handler
        return handler

    return register


def unless_stale(fresh: bool, /) -> None:  # noqa: FBT001 - reads as a sentence: "unless stale (this holds)"
    """Raise `StaleWriteError` if the condition of a change does not hold."""
    if not fresh:
        raise StaleWriteError


def _wall_clock() -> datetime:
    return datetime.now(UTC)
