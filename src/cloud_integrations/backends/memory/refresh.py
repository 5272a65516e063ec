"""Leases, renewals and due times, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import DueIntegration, Phase, State, StoredIntegration
from cloud_integrations.domain.work_report import DueCount
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import MAX_COUNTED, MarkSent, SaveRenewal, SetDue, SettleAttempt, TakeLease

from .integrations import put, require
from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale

_IN_FLIGHT = {Phase.SENT, Phase.UNKNOWN}


class Refresh(Memory):
    """Reads and claims for workers that refresh."""

    def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """Say whether other integrations of an OAuth application were renewed since then."""
        others = [
            stored.marks
            for stored in list(self._tables.integrations.values())
            if stored.facts.provider_id == provider_id and stored.facts.context_id == context_id and stored.facts.id != but
        ]
        if any(marks.refreshed_at is not None and marks.refreshed_at >= since for marks in others):
            return True
        return False if any(marks.failed_at is not None and marks.failed_at >= since for marks in others) else None

    def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """Return integrations that are in state needs_reauth and have a refresh token, ordered by tenant and id."""
        found = [
            _to_renew(stored)
            for key, stored in sorted(self._tables.integrations.items())
            if stored.facts.provider_id == provider_id
            and stored.facts.state is State.NEEDS_REAUTH
            and stored.facts.renewable
            and reason in {None, stored.facts.reason}
            and (after is None or key > after)
        ]
        return tuple(found[:limit])

    def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration, ...]:
        """Return the integrations that have been due for longest, and hold them."""
        with self._lock:
            now = self._now()
            due = sorted((at, stored.facts.tenant_id, stored.facts.id, stored) for at, stored in _due(self._tables, now))
            claimed = [stored for *_, stored in due[:limit]]
            for stored in claimed:
                put(self._tables, replace(stored, marks=replace(stored.marks, due_at=now + hold)))
        return tuple([_to_renew(stored) for stored in claimed])

    def count_due(self) -> DueCount:
        """Return how many integrations are due and not claimed, and since when the oldest is."""
        due = [at for at, _ in _due(self._tables, self._now())]
        return DueCount(count=min(len(due), MAX_COUNTED), since=min(due, default=None))


@handles(TakeLease)
def take_lease(tables: Tables, change: TakeLease) -> None:
    """Give the lease to an attempt."""
    stored = tables.integrations.get((change.tenant_id, change.integration_id))
    if stored is None:
        raise StaleWriteError
    marks = stored.marks
    delay = change.takeover_delay if marks.phase in _IN_FLIGHT else timedelta()
    unless_stale(
        stored.credential.generation == change.expected_generation
        and _may_be_renewed(stored.facts.state, change)
        and (marks.lease_until is None or marks.lease_until + delay < tables.changed_at)
    )
    leased = replace(
        marks,
        lease_token=marks.lease_token + 1,
        lease_until=tables.changed_at + change.length,
        lease_owner=change.owner,
        phase=Phase.LEASED,
        attempt_id=change.attempt_id,
    )
    put(tables, replace(stored, marks=leased))


@handles(MarkSent)
def mark_sent(tables: Tables, change: MarkSent) -> None:
    """Note that a request is about to leave."""
    stored = _leased(tables, change)
    now, until = tables.changed_at, stored.marks.lease_until
    unless_stale(until is not None and until > now + change.needed and _may_be_renewed(stored.facts.state, change))
    put(tables, replace(stored, marks=replace(stored.marks, phase=Phase.SENT, sent_at=stored.marks.sent_at or now)))


@handles(SaveRenewal)
def save_renewal(tables: Tables, change: SaveRenewal) -> None:
    """Write a renewed credential."""
    facts = change.facts
    require_active_key(tables, facts.tenant_id, change.credential.key_id)
    stored = require(tables, facts.tenant_id, facts.id)
    marks = stored.marks
    ours = (marks.lease_token, marks.attempt_id) == (change.lease_token, change.attempt_id)
    switched_off = facts.state is State.DISABLED
    unless_stale(
        marks.writer_lease < change.lease_token
        and stored.credential.generation == change.credential.generation - 1
        and (stored.facts.state is State.DISABLED) is switched_off
        and (change.takes_back or ours or stored.facts.state is not State.NEEDS_REAUTH)
    )
    renewed = replace(
        stored.facts,
        scopes=facts.scopes,
        missing_scopes=facts.missing_scopes,
        expires_at=facts.expires_at,
        reconnect_before=facts.reconnect_before,
        variables=stored.facts.variables if change.variables is None else change.variables,
        state=facts.state,
        state_since=stored.facts.state_since if switched_off else facts.state_since,
        reason=facts.reason,
        updated_at=facts.updated_at,
    )
    written = replace(
        marks,
        lease_until=None if ours else marks.lease_until,
        lease_owner=None if ours else marks.lease_owner,
        phase=Phase.IDLE if ours else marks.phase,
        sent_at=None if ours or marks.phase not in _IN_FLIGHT else marks.sent_at,
        writer_lease=change.lease_token,
        attempts=0,
        next_attempt_at=change.next_attempt_at,
        last_error=None,
        failed_at=None,
        refused_since=None,
        refreshed_at=change.refreshed_at,
        replacement=change.replacement,
        due_at=None if switched_off else change.due_at,
    )
    credential = replace(change.credential, account_fingerprint=stored.credential.account_fingerprint)
    put(tables, replace(stored, facts=renewed, credential=credential, marks=written))


@handles(SetDue)
def set_due(tables: Tables, change: SetDue) -> None:
    """Set when the worker looks at a row next."""
    stored = tables.integrations.get((change.tenant_id, change.integration_id))
    if stored is None:
        raise StaleWriteError
    unless_stale(stored.credential.generation == change.expected_generation and stored.facts.state.is_refreshed)
    put(tables, replace(stored, marks=replace(stored.marks, due_at=change.due_at)))


@handles(SettleAttempt)
def settle_attempt(tables: Tables, change: SettleAttempt) -> None:
    """Write how an attempt without tokens ended."""
    stored = _leased(tables, change)
    unless_stale(stored.facts.state is not State.DISABLED)
    marks = stored.marks
    lease_stays = change.phase is Phase.UNKNOWN
    settled = replace(
        marks,
        lease_until=marks.lease_until if lease_stays else None,
        lease_owner=marks.lease_owner if lease_stays else None,
        phase=change.phase,
        sent_at=marks.sent_at if change.state is State.UNKNOWN else None,
        attempts=marks.attempts + change.count_attempt,
        next_attempt_at=change.next_attempt_at,
        last_error=change.error,
        failed_at=change.failed_at,
        refused_since=change.refused_since,
        due_at=change.due_at if change.state.is_refreshed else None,
    )
    facts = replace(stored.facts, state=change.state, reason=change.reason, state_since=change.state_since)
    put(tables, replace(stored, facts=facts, marks=settled))


def _leased(tables: Tables, change: MarkSent | SettleAttempt) -> StoredIntegration:
    """Return the row while lease and generation are the attempt's own."""
    stored = tables.integrations.get((change.tenant_id, change.integration_id))
    if stored is None:
        raise StaleWriteError
    marks = stored.marks
    unless_stale(
        (marks.lease_token, marks.attempt_id, stored.credential.generation) == (change.lease_token, change.attempt_id, change.generation)
    )
    return stored


def _may_be_renewed(state: State, change: TakeLease | MarkSent) -> bool:
    return state.is_refreshed or (change.asks_again and state is State.NEEDS_REAUTH)


def _to_renew(stored: StoredIntegration) -> DueIntegration:
    facts = stored.facts
    return DueIntegration(
        tenant_id=facts.tenant_id,
        integration_id=facts.id,
        provider_id=facts.provider_id,
        generation=stored.credential.generation,
        renewable=facts.renewable,
    )


def _due(tables: Tables, now: datetime) -> list[tuple[datetime, StoredIntegration]]:
    return [(at, stored) for stored in list(tables.integrations.values()) if (at := stored.marks.due_at) is not None and at <= now]
