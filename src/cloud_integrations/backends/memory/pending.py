"""Pending authorizations, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.pending import PendingAuthorization, surplus
from cloud_integrations.ports.store import AddPending, ClosePending

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Pending(Memory):
    """Reads and consumption of authorizations that have begun."""

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired, or None."""
        pending = self._tables.pending.get(state_hash)
        return pending if pending is not None and _is_open(pending, self._now()) else None

    def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization; None if there is none, or another call consumed it."""
        with self._lock:
            now = self._now()
            pending = self._tables.pending.get(state_hash)
            if pending is None or not _is_open(pending, now):
                return None
            consumed = replace(pending, consumed_at=now)
            self._tables.pending[state_hash] = consumed
            return consumed

    def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations of all tenants; return how many."""
        with self._lock:
            now = self._now()
            expired = [pending for pending in self._tables.pending.values() if pending.expires_at <= now]
            for pending in expired[:limit]:
                del self._tables.pending[pending.state_hash]
            return len(expired[:limit])

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """Return whether an authorization of this tenant with this provider is open."""
        now = self._now()
        with self._lock:
            return any(
                pending.tenant_id == tenant_id and pending.provider_id == provider_id and _is_open(pending, now)
                for pending in self._tables.pending.values()
            )


@handles(AddPending)
def add_pending(tables: Tables, change: AddPending) -> None:
    """Store an authorization that begins, and delete closed ones and the surplus."""
    new, now = change.pending, tables.changed_at
    if new.key_id is not None:
        require_active_key(tables, new.tenant_id, new.key_id)
    unless_stale(new.state_hash not in tables.pending)
    own = [pending for pending in tables.pending.values() if pending.tenant_id == new.tenant_id]
    newest_first = sorted(own, key=lambda pending: (pending.created_at, pending.state_hash), reverse=True)
    opened = [(pending.state_hash, pending.actor) for pending in newest_first if _is_open(pending, now)]
    closed = [pending.state_hash for pending in own if not _is_open(pending, now)]
    for state_hash in (*closed, *surplus(opened, new.actor)):
        del tables.pending[state_hash]
    tables.pending[new.state_hash] = new


@handles(ClosePending)
def close_pending(tables: Tables, change: ClosePending) -> None:
    """Delete the authorizations of a tenant with one provider."""
    for pending in list(tables.pending.values()):
        if (pending.tenant_id, pending.provider_id) == (change.tenant_id, change.provider_id):
            del tables.pending[pending.state_hash]


def _is_open(pending: PendingAuthorization, now: datetime) -> bool:
    return pending.consumed_at is None and pending.expires_at > now
