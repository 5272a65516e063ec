"""Integrations and their sealed credentials: changes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration, SealedCredential, State, StoredCredential, StoredIntegration

from .damaged_row import DamagedRow

RECONNECT_OWNER = "reconnect"
"""The value of `lease_owner` after a user's reconnect, so that a late refresh of the old grant knows that it was overtaken."""
MAX_HOLDERS = 10
"""The largest number of integrations that `find_holders` returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIntegration:
    """Store a new integration.  `IntegrationExistsError` if the tenant has one with this provider in this slot.

    `refreshed_at` becomes the `updated_at` of *facts*.  Like every `due_at`, this one is stored only if the state is refreshed.
    """

    facts: Integration
    credential: SealedCredential
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFacts:
    """Write name, state, state_since, reason and updated_at of *facts*; the credential does not change.

    A state that is not refreshed (disabled, needs_reauth) has no due time.  When the row leaves such a state, a renewable
    credential is due when its token expires, and `refused_since` is emptied.  `IntegrationNotFoundError` if the row is gone;
    `StaleWriteError` if its state is no longer `expected_state`.
    """

    facts: Integration
    expected_state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceCredential:
    """A user's reconnect: write *facts* (except the name, which stays) and *credential*, take a lease number and end any lease.

    A refresh that is under way can then no longer write: its lease is older than `writer_lease`, and
    `lease_owner` is `RECONNECT_OWNER`.  `refreshed_at` becomes the `updated_at` of *facts*.
    The provider, the slot and `created_at` stay; the marks of the refresh protocol start anew.
    `IntegrationNotFoundError` if the row is gone; `StaleWriteError` if the generation is no longer `expected_generation`, or
    the state is disabled: a reconnect does not switch on an integration that a user switched off.
    `credential.generation` is `expected_generation + 1`.
    """

    facts: Integration
    credential: SealedCredential
    expected_generation: int
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseIntegration:
    """Delete the integration.  `IntegrationNotFoundError` if it is gone, `StaleWriteError` if it has another generation."""

    tenant_id: TenantId
    integration_id: IntegrationId
    expected_generation: int


class AsyncIntegrationStore(Protocol):
    """Reads of integrations."""

    async def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None:
        """Return the tenant's integration, or None; as everywhere, `renewable` says whether a refresh token is stored."""
        ...

    async def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> StoredCredential | None:
        """Return what is needed to hand out the tenant's credential with this provider in this slot, or None; the most frequent read."""
        ...

    async def list_integrations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None
    ) -> tuple[Integration | DamagedRow, ...]:
        """Return the tenant's integrations (with one provider), oldest first; at most one per provider and slot."""
        ...

    async def find_holders(
        self, provider_id: ProviderId, fingerprint: bytes, /, *, but: TenantId | None = None
    ) -> tuple[tuple[TenantId, IntegrationId], ...]:
        """Return the integrations of any tenant in which *fingerprint* is that of a token or of the account, in no order.

        At most `MAX_HOLDERS` of them; those of the tenant *but* are left out.
        """
        ...


class IntegrationStore(Protocol):
    """The blocking form of `AsyncIntegrationStore`: the same methods, the same promises."""

    def find_integration(self, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredIntegration | None: ...

    def find_credential(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> StoredCredential | None: ...

    def list_integrations(
        self, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None
    ) -> tuple[Integration | DamagedRow, ...]: ...

    def find_holders(
        self, provider_id: ProviderId, fingerprint: bytes, /, *, but: TenantId | None = None
    ) -> tuple[tuple[TenantId, IntegrationId], ...]: ...
