"""Integrations and their sealed credentials: changes and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Health, Integration, SealedCredential, State, StoredCredential, StoredIntegration
from cloud_integrations.domain.readiness import IntegrationCount
from cloud_integrations.domain.replacement import Replacement

from .damaged_row import DamagedRow

RECONNECT_OWNER = "reconnect"
"""The value of `lease_owner` after a user's reconnect, so that a late refresh of the old grant knows that it was overtaken."""
USES_EVERY: Final = timedelta(days=1)
"""How often the time of the last use is written, so that a use seldom changes the row."""
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
class SaveVariables:
    """Write variables, state_since and updated_at of *facts*; neither the state nor the credential changes.

    `IntegrationNotFoundError` if the row is gone; `StaleWriteError` if its state is not that of *facts*, or its generation is no
    longer `expected_generation`: then the variables may not fit the account any more.
    """

    facts: Integration
    expected_generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceCredential:
    """A user's reconnect: write *facts* (except the name, which stays) and *credential*, take a lease number and end any lease.

    A refresh that is under way can then no longer write: its lease is older than `writer_lease`, and
    `lease_owner` is `RECONNECT_OWNER`.  `refreshed_at` becomes the `updated_at` of *facts*.
    The provider, the slot and `created_at` stay; the marks of the refresh protocol start anew, with *replacement*.
    `IntegrationNotFoundError` if the row is gone; `StaleWriteError` if the generation is no longer `expected_generation`, or
    the state is disabled: a reconnect does not switch on an integration that a user switched off.
    `credential.generation` is `expected_generation + 1`.
    """

    facts: Integration
    credential: SealedCredential
    expected_generation: int
    due_at: datetime | None = None
    while_disabled: bool = False
    """True: also where the state is disabled, for a change that switches nothing on."""
    replacement: Replacement | None = None
    """Set if the credential was minted in place of one that the provider had refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUsed:
    """Write that the credential was used, where what is written is `USES_EVERY` older, or that it was never used.

    Nothing happens where the row is gone, or says so already: a use does not fail for it.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseIntegration:
    """Delete the integration.  `IntegrationNotFoundError` if it is gone, `StaleWriteError` if it has another generation.

    `StaleWriteError` also while the outbox has an entry with the id of the integration: such an entry belongs to it, and is finished
    first.
    """

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

    async def count_integrations(self) -> Mapping[tuple[ProviderId, Health], int]:
        """Return how many integrations of all tenants there are, by provider and health; what there are none of is left out.

        The health is that of `Integration.as_of` the store's clock.  Rows that cannot be read are not counted.
        """
        ...

    async def count_endings(self, *, ending_before: datetime) -> tuple[IntegrationCount | DamagedRow, ...]:
        """Count the integrations of all tenants by provider and method, in no order.

        `ending` counts those in state active, retry or unknown whose `reconnect_before` is earlier than *ending_before*, also if it has
        passed; `first_end` is the earliest of these.
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

    def count_integrations(self) -> Mapping[tuple[ProviderId, Health], int]: ...

    def count_endings(self, *, ending_before: datetime) -> tuple[IntegrationCount | DamagedRow, ...]: ...
