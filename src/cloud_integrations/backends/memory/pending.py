"""Pending authorizations, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cloud_integrations.domain.device import Polling
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.pending import PendingAuthorization, most_of_actor, surplus
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddPending, BeginPoll, ClosePending, EndPoll

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Pending(Memory):
    """Reads and consumption of authorizations that have begun."""

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired, or None."""
        pending = self._tables.pending.get(state_hash)
        return pending if pending is not None and _is_open(pending, self._now()) else None

    def find_closed(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is consumed or expired and not yet deleted, or None."""
        pending = self._tables.pending.get(state_hash)
        return pending if pending is not None and not _is_open(pending, self._now()) else None

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

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> bool:
        """Return whether an authorization of this tenant with this provider is open for this slot, and waits for a callback."""
        now = self._now()
        with self._lock:
            return any(
                (pending.tenant_id, pending.provider_id, pending.slot, pending.awaits) == (tenant_id, provider_id, slot, "callback")
                and _is_open(pending, now)
                for pending in self._tables.pending.values()
            )


@handles(AddPending)
def add_pending(tables: Tables, change: AddPending) -> None:
    """Store an authorization that begins, and delete closed ones and the surplus."""
    new, now = change.pending, tables.changed_at
    if new.key_id is not None:
        require_active_key(tables, new.tenant_id, new.key_id)
    own = [pending for pending in tables.pending.values() if pending.tenant_id == new.tenant_id]
    newest_first = sorted(own, key=lambda pending: (pending.created_at, pending.state_hash), reverse=True)
    alike = [pending for pending in newest_first if (pending.awaits == "setup") == (new.awaits == "setup")]
    opened = [(pending.state_hash, pending.actor) for pending in alike if _is_open(pending, now)]
    closed = [pending.state_hash for pending in own if not _is_open(pending, now)]
    unless_stale(new.state_hash not in tables.pending or new.state_hash in closed)
    for state_hash in (*closed, *surplus(opened, new.actor, most=most_of_actor(new.awaits))):
        del tables.pending[state_hash]
    tables.pending[new.state_hash] = new


@handles(ClosePending)
def close_pending(tables: Tables, change: ClosePending) -> None:
    """Delete the authorizations of a tenant with one provider for one slot."""
    for pending in list(tables.pending.values()):
        if (pending.tenant_id, pending.provider_id, pending.slot) == (change.tenant_id, change.provider_id, change.slot):
            del tables.pending[pending.state_hash]


@handles(BeginPoll)
def begin_poll(tables: Tables, change: BeginPoll) -> None:
    """Make one poller the only one for a time."""
    pending, polling = _polled(tables, change.state_hash, change.count)
    unless_stale(polling.next_at <= tables.changed_at)
    tables.pending[change.state_hash] = replace(pending, polling=polling.begun(tables.changed_at, change.hold))


@handles(EndPoll)
def end_poll(tables: Tables, change: EndPoll) -> None:
    """Write when the provider may be asked again."""
    pending, polling = _polled(tables, change.state_hash, change.count)
    polling = polling.ended(tables.changed_at, change.interval, change.wait)
    tables.pending[change.state_hash] = replace(pending, polling=polling)


def _polled(tables: Tables, state_hash: bytes, count: int) -> tuple[PendingAuthorization, Polling]:
    pending = tables.pending.get(state_hash)
    if pending is None or pending.polling is None or pending.polling.count != count or not _is_open(pending, tables.changed_at):
        raise StaleWriteError
    return pending, pending.polling


def _is_open(pending: PendingAuthorization, now: datetime) -> bool:
    return pending.consumed_at is None and pending.expires_at > now
