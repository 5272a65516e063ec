"""The refresh protocol: leases, renewals, due times.  `docs/explanation/refresh.md` has the steps (T1, T2, T3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import DueIntegration, Integration, Phase, SealedCredential, State
from cloud_integrations.domain.replacement import Replacement
from cloud_integrations.domain.work_report import DueCount

from .damaged_row import DamagedRow

MAX_COUNTED = 10_000
"""The highest number that `count_due` returns, so that its cost has a bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeLease:
    """Become the only attempt that refreshes (protocol step T1).

    `lease_token` goes up by one and `lease_until` is the store's clock plus `length`, if the
    generation is still `expected_generation`, the state is active, retry or unknown, and no lease
    is running: `lease_until` is empty or lies before the store's clock; if the phase is `sent` or
    `unknown`, `lease_until` plus `takeover_delay` does.  At that very instant the lease still runs, one microsecond later it does not.
    With `asks_again` the state may also be needs_reauth; it stays so until tokens arrive.
    Otherwise `StaleWriteError`.  Read the row again to learn the lease number.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    expected_generation: int
    attempt_id: str
    owner: str
    length: timedelta
    takeover_delay: timedelta
    asks_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSent:
    """Note that the request is about to leave (T2): phase `sent`, and `sent_at` the store's clock, unless it already has an earlier time.

    Only with the lease (its number and `attempt_id`) and generation, with more than `needed` left of it, and in a state that is
    refreshed (with `asks_again`, also needs_reauth): an integration that was switched off since the lease is not refreshed.
    Otherwise `StaleWriteError`.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    lease_token: int
    attempt_id: str
    generation: int
    needed: timedelta
    asks_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRenewal:
    """Write a renewed credential (T3): the newest lease wins.

    Writes the credential (with the next generation; the fingerprint of its account stays), scopes, expires_at,
    reconnect_before, `variables` unless they are None, state, state_since, reason, updated_at, `refreshed_at`, `due_at`, `next_attempt_at`,
    `replacement`, phase idle, attempts 0, no error, no `failed_at`, no `refused_since`, `writer_lease = lease_token`; the lease
    ends, and `sent_at` is emptied, unless they belong to a later attempt.
    Only if `writer_lease < lease_token`, the generation is `credential.generation - 1` and the state is not disabled;
    otherwise `StaleWriteError`; `IntegrationNotFoundError` if the row is gone.

    A row in state needs_reauth is one of two cases.  If its lease is still this attempt's (number and `attempt_id`), no later
    attempt was made, and the renewal is written like any other.  If a later attempt has the lease, that attempt was refused after these
    tokens were requested.  With `takes_back` its refusal leaves these tokens good, and state and reason become those of *facts*;
    without it, `StaleWriteError`, and the row stays as it is.

    If the state of *facts* is disabled, the row's must be, too.  Then state, state_since and `due_at` stay as they are, and the
    reason becomes that of *facts*: the tokens are stored for the time when somebody switches the integration on again.
    """

    facts: Integration
    credential: SealedCredential
    lease_token: int
    attempt_id: str
    takes_back: bool
    refreshed_at: datetime
    due_at: datetime | None = None
    next_attempt_at: datetime | None = None
    """By the store's clock; set if the answer brought no access token, and the next attempt must wait."""
    replacement: Replacement | None = None
    """Set if the credential takes the place of one that the provider had refused."""
    variables: dict[str, str] | None = None
    """All variables, if the answer gave some of them; None: those of the row stay, of which a tenant may have chosen one meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleAttempt:
    """Write how an attempt without tokens ended (T3', T3''): only with its lease and generation, otherwise `StaleWriteError`.

    The lease is its number and `attempt_id`: a restored database may give a number twice.  `StaleWriteError` also if the state
    is disabled: a user's decision stays.  With phase `unknown` the lease runs to its end; otherwise it ends now.  With state
    `unknown` `sent_at` stays, so that the lost answer is not forgotten; otherwise it is emptied.
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    lease_token: int
    attempt_id: str
    generation: int
    phase: Phase
    state: State
    reason: str | None
    state_since: datetime
    error: str | None
    next_attempt_at: datetime | None
    due_at: datetime | None = None
    failed_at: datetime | None = None
    refused_since: datetime | None = None
    count_attempt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDue:
    """Set when the worker looks at an integration next.

    `StaleWriteError` if it is gone, has another generation, or is in a state in which nothing is due (disabled, needs_reauth).
    """

    tenant_id: TenantId
    integration_id: IntegrationId
    expected_generation: int
    due_at: datetime


class AsyncRefreshStore(Protocol):
    """Reads and claims for workers that refresh."""

    async def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None:
        """Say whether other integrations of an OAuth application, of any tenant, were renewed since then.

        True: one was renewed or connected.  False: none was, though one was tried (its `failed_at`).  None: none was tried.
        """
        ...

    async def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]:
        """Return integrations with this provider, of all tenants, that are in state needs_reauth and have a refresh token.

        Those beyond *after*, ordered by tenant and id as the database compares them; with *reason*, only those with this reason.
        """
        ...

    async def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
        """Return the *limit* integrations that have been due for longest, in no order, and hold them.

        A store may search behind those that it returned last; integrations that became due before them are returned when none is left
        behind them, and 20 claims later at the latest.  Only those in state active, retry or unknown.  Their `due_at` becomes the
        store's clock plus *hold*, so that until then no other worker gets them.
        """
        ...

    async def count_due(self) -> DueCount:
        """Return how many integrations are due and not claimed, at most `MAX_COUNTED`, and since when the oldest is."""
        ...


class RefreshStore(Protocol):
    """The blocking form of `AsyncRefreshStore`: the same methods, the same promises."""

    def others_renewed(
        self, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
    ) -> bool | None: ...

    def list_unrenewed(
        self, provider_id: ProviderId, /, *, reason: str | None = None, after: tuple[TenantId, IntegrationId] | None = None, limit: int
    ) -> tuple[DueIntegration, ...]: ...

    def claim_due(self, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]: ...

    def count_due(self) -> DueCount: ...
