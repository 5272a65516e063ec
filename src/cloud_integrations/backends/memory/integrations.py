"""Integrations and their credentials, in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Health, Integration, RefreshMarks, State, StoredCredential, StoredIntegration
from cloud_integrations.domain.readiness import IntegrationCount
from cloud_integrations.errors import IntegrationExistsError, IntegrationNotFoundError, UnstorableValueError
from cloud_integrations.ports.store import (
    MAX_HOLDERS,
    RECONNECT_OWNER,
    USES_EVERY,
    AddIntegration,
    EraseIntegration,
    MarkUsed,
    ReplaceCredential,
    SaveFacts,
    SaveVariables,
)

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Integrations(Memory):
    """Reads of integrations."""

    def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """Return the tenant's integration, or None."""
        stored = self._tables.integrations.get((tenant_id, integration_id))
        return None if stored is None else replace(stored, read_at=self._now())

    def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> StoredCredential | None:
        """Return what is needed to hand out the tenant's credential with this provider in this slot, or None."""
        stored = _with_provider(self._tables, tenant_id, provider_id, slot)
        return None if stored is None else stored.to_use

    def list_integrations(self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None) -> tuple[Integration, ...]:
        """Return the tenant's integrations (with one provider), oldest first."""
        own = [
            stored.facts
            for stored in self._tables.integrations.values()
            if stored.facts.tenant_id == tenant_id and provider_id in {None, stored.facts.provider_id}
        ]
        return tuple(sorted(own, key=lambda facts: (facts.created_at, facts.id)))

    def find_holders(
        self, provider_id: ProviderId, fingerprint: bytes, /, *, but: TenantId | None = None
    ) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """Return the integrations in which this fingerprint is that of a token or of the account, without those of the tenant *but*."""
        return tuple(
            [
                (stored.facts.tenant_id, stored.facts.id)
                for stored in list(self._tables.integrations.values())
                if stored.facts.provider_id == provider_id
                and stored.facts.tenant_id != but
                and fingerprint
                in {stored.credential.presented_fingerprint, stored.credential.renewal_fingerprint, stored.credential.account_fingerprint}
            ][:MAX_HOLDERS]
        )

    def count_integrations(self) -> Mapping[tuple[ProviderId, Health], int]:
        """Return how many integrations there are, by provider and health."""
        now = self._now()
        return Counter((stored.facts.provider_id, stored.facts.as_of(now).health) for stored in list(self._tables.integrations.values()))

    def count_endings(self, *, ending_before: datetime) -> tuple[IntegrationCount, ...]:
        """Count the integrations of all tenants by provider and method."""
        totals: Counter[tuple[ProviderId, str]] = Counter()
        ends: defaultdict[tuple[ProviderId, str], list[datetime]] = defaultdict(list)
        for facts in [stored.facts for stored in list(self._tables.integrations.values())]:
            named = (facts.provider_id, facts.method_id)
            totals[named] += 1
            if facts.state.is_refreshed and facts.reconnect_before is not None and facts.reconnect_before < ending_before:
                ends[named].append(facts.reconnect_before)
        return tuple(
            [
                IntegrationCount(
                    provider_id=named[0], method_id=named[1], total=total, ending=len(ends[named]), first_end=min(ends[named], default=None)
                )
                for named, total in totals.items()
            ]
        )


@handles(AddIntegration)
def add_integration(tables: Tables, change: AddIntegration) -> None:
    """Store a new integration."""
    facts = change.facts
    require_active_key(tables, facts.tenant_id, change.credential.key_id)
    if (facts.tenant_id, facts.id) in tables.integrations or _with_provider(
        tables, facts.tenant_id, facts.provider_id, facts.slot
    ) is not None:
        raise IntegrationExistsError(tenant_id=facts.tenant_id, provider_id=str(facts.provider_id), slot=facts.slot)
    marks = RefreshMarks(due_at=change.due_at if facts.state.is_refreshed else None, refreshed_at=facts.updated_at)
    put(tables, StoredIntegration(facts=facts, credential=change.credential, marks=marks, read_at=tables.changed_at))


@handles(SaveFacts)
def save_facts(tables: Tables, change: SaveFacts) -> None:
    """Write the facts that a user or an operator may change."""
    facts = change.facts
    stored = require(tables, facts.tenant_id, facts.id)
    unless_stale(stored.facts.state is change.expected_state)
    written = replace(
        stored.facts, name=facts.name, state=facts.state, state_since=facts.state_since, reason=facts.reason, updated_at=facts.updated_at
    )
    marks = stored.marks
    if not facts.state.is_refreshed:
        marks = replace(marks, due_at=None)
    elif not change.expected_state.is_refreshed:
        marks = replace(marks, due_at=stored.facts.expires_at if stored.facts.renewable else None, refused_since=None)
    put(tables, replace(stored, facts=written, marks=marks))


@handles(SaveVariables)
def save_variables(tables: Tables, change: SaveVariables) -> None:
    """Write the variables, of which the tenant has chosen one."""
    facts = change.facts
    stored = require(tables, facts.tenant_id, facts.id)
    unless_stale(stored.facts.state is facts.state and stored.credential.generation == change.expected_generation)
    written = replace(stored.facts, variables=facts.variables, state_since=facts.state_since, updated_at=facts.updated_at)
    put(tables, replace(stored, facts=written))


@handles(ReplaceCredential)
def replace_credential(tables: Tables, change: ReplaceCredential) -> None:
    """Write what a reconnect brought, and end any lease."""
    require_active_key(tables, change.facts.tenant_id, change.credential.key_id)
    stored = require(tables, change.facts.tenant_id, change.facts.id)
    is_open = change.while_disabled or stored.facts.state is not State.DISABLED
    unless_stale(stored.credential.generation == change.expected_generation and is_open)
    lease = stored.marks.lease_token + 1
    facts = replace(
        change.facts,
        provider_id=stored.facts.provider_id,
        slot=stored.facts.slot,
        name=stored.facts.name,
        created_at=stored.facts.created_at,
        last_used_at=stored.facts.last_used_at,
    )
    marks = RefreshMarks(
        lease_token=lease,
        lease_owner=RECONNECT_OWNER,
        writer_lease=lease,
        due_at=change.due_at if facts.state.is_refreshed else None,
        refreshed_at=facts.updated_at,
        replacement=change.replacement,
    )
    put(tables, replace(stored, facts=facts, credential=change.credential, marks=marks))


@handles(MarkUsed)
def mark_used(tables: Tables, change: MarkUsed) -> None:
    """Write that the credential was used, at most once a day."""
    stored = tables.integrations.get((change.tenant_id, change.integration_id))
    if stored is None:
        return
    facts = stored.facts
    before = facts.last_used_at
    if change.at - USES_EVERY >= before if before is not None else change.at > facts.created_at:
        put(tables, replace(stored, facts=replace(facts, last_used_at=change.at)))


@handles(EraseIntegration)
def erase_integration(tables: Tables, change: EraseIntegration) -> None:
    """Delete an integration."""
    stored = require(tables, change.tenant_id, change.integration_id)
    unless_stale(stored.credential.generation == change.expected_generation)
    unless_stale((change.tenant_id, change.integration_id) not in tables.outbox)
    del tables.integrations[change.tenant_id, change.integration_id]
    tables.forget_announcements(change.tenant_id, change.integration_id)


def put(tables: Tables, stored: StoredIntegration) -> None:
    """Write a row, if its credential fits its rule of renewal."""
    facts = stored.facts
    if not stored.credential.fits(facts.renewal_rule):
        raise UnstorableValueError
    tables.integrations[facts.tenant_id, facts.id] = stored


def require(tables: Tables, tenant_id: TenantId, integration_id: IntegrationId) -> StoredIntegration:
    """Return a row, or raise `IntegrationNotFoundError`."""
    stored = tables.integrations.get((tenant_id, integration_id))
    if stored is None:
        raise IntegrationNotFoundError
    return stored


def _with_provider(tables: Tables, tenant_id: TenantId, provider_id: ProviderId, slot: str) -> StoredIntegration | None:
    # The list is made at once: another thread may swap the tables, but never changes these.
    own = (
        stored
        for stored in list(tables.integrations.values())
        if (stored.facts.tenant_id, stored.facts.provider_id, stored.facts.slot) == (tenant_id, provider_id, slot)
    )
    return next(own, None)
