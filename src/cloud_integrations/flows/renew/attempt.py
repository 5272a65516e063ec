"""One attempt to renew a credential, and how its end is written and recorded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cloud_integrations.domain.audit import Caller, Outcome
from cloud_integrations.domain.freshness import refused_since
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration, Phase, State, StoredIntegration
from cloud_integrations.domain.provider import RefreshTokenFacts
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import StaleWriteError, StorageUnavailableError
from cloud_integrations.flows.shared.auditing import recorded, resource_of, tell_of
from cloud_integrations.ports.store import SettleAttempt
from cloud_integrations.ports.wiring import Wiring
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.http import HttpRequest

_BACKOFF_CAP = timedelta(minutes=5)
MISCONFIGURED_REST = timedelta(minutes=5)
"""When the worker looks again at a grant whose application was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRequest:
    """What somebody who wants a renewal knows and accepts."""

    seen_generation: int
    caller: Caller
    patience: timedelta
    forced: bool
    access_is_dead: bool
    asks_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalAttempt:
    """One lease: who, on what, and the request to send under it."""

    client: Client
    stored: StoredIntegration
    """The row with the lease in it."""
    read_at: float
    """When the row was read, on this process's monotonic clock."""
    request: HttpRequest
    deadline: timedelta
    attempt_id: str
    refresh_token: Secret
    unresolved_before: bool
    """An earlier request went out and nobody knows how it ended."""
    access_is_dead: bool
    """The provider refused the held access token."""
    follows: bool
    """It follows at once on one that brought a refresh token alone."""
    alone: bool = False
    """It brought a refresh token alone: the access token stays as it is."""
    caller: Caller
    asks_again: bool

    @property
    def tenant_id(self) -> TenantId:
        """The integration's tenant."""
        return self.stored.facts.tenant_id

    @property
    def integration_id(self) -> IntegrationId:
        """The integration whose credential is renewed."""
        return self.stored.facts.id

    @property
    def lease(self) -> int:
        """The number of the lease: the fencing token."""
        return self.stored.marks.lease_token

    @property
    def behaviour(self) -> RefreshTokenFacts:
        """How the provider's refresh tokens behave."""
        return self.client.method.refresh_token


async def settle(
    wiring: Wiring,
    attempt: RenewalAttempt,
    *,
    phase: Phase,
    state: State,
    reason: str | None,
    error: str,
    outcome: Outcome,
    next_in: timedelta | None,
    due_in: timedelta | None,
    refused: bool | None,
) -> bool:
    """Write how an attempt without tokens ended; False if somebody with a newer lease, or the user, has written since.

    *refused* says whether the provider's answer was a refusal; None: it was not asked.
    """
    now, at = wiring.clock.now(), store_now(wiring, attempt)
    before, marks = attempt.stored.facts, attempt.stored.marks
    if before.state is State.NEEDS_REAUTH:
        # An operator had it asked again in vain: the verdict stands.
        state, reason, next_in, due_in = before.state, before.reason, None, None
    try:
        await wiring.store.apply(
            SettleAttempt(
                tenant_id=attempt.tenant_id,
                integration_id=attempt.integration_id,
                lease_token=attempt.lease,
                attempt_id=attempt.attempt_id,
                generation=attempt.stored.credential.generation,
                phase=phase,
                state=state,
                reason=reason,
                state_since=state_since(before, state=state, reason=reason, now=now),
                error=error,
                next_attempt_at=None if next_in is None else at + next_in,
                due_at=None if due_in is None else at + due_in,
                failed_at=marks.failed_at if refused is None else at,
                refused_since=marks.refused_since if refused is None else refused_since(marks, now=at, refused=refused),
            ),
            recorded(
                wiring,
                attempt.tenant_id,
                attempt.caller,
                "credential.refresh",
                resource_of(attempt.integration_id),
                outcome=outcome,
                reason=error,
                attempt=attempt.attempt_id,
            ),
        )
    except StaleWriteError:
        await record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, outcome, reason=error)
        return False
    except StorageUnavailableError:
        # The lease and the mark in the row say the same to whoever comes next.
        tell_of(wiring, "credential.unpersisted", attempt.stored.facts)
    return True


def state_since(before: Integration, /, *, state: State, reason: str | None, now: datetime) -> datetime:
    """Say since when it is as it is: a refused application changes how it is doing (`health`), and leaves its state."""
    return before.state_since if replace(before, state=state, reason=reason).health is before.health else now


async def record_outcome(wiring: Wiring, facts: Integration, caller: Caller, attempt_id: str, outcome: Outcome, *, reason: str) -> None:
    """Record how an attempt ended that changes nothing in the row."""
    resource = resource_of(facts.id)
    record = recorded(wiring, facts.tenant_id, caller, "credential.refresh", resource, outcome=outcome, reason=reason, attempt=attempt_id)
    try:
        await wiring.store.apply(record)
    except StorageUnavailableError:
        # An intent without an outcome reads as unknown.
        tell_of(wiring, "credential.unpersisted", facts)


def store_now(wiring: Wiring, attempt: RenewalAttempt) -> datetime:
    """Tell the time by the store's clock, which leases and back-off are kept in."""
    return attempt.stored.read_at + timedelta(seconds=wiring.clock.monotonic() - attempt.read_at)


def backoff(wiring: Wiring, attempt: RenewalAttempt) -> timedelta:
    """Full jitter over 1 s doubling up to five minutes, never less than half a second."""
    ceiling = min(timedelta(seconds=1 << min(attempt.stored.marks.attempts, 9)), _BACKOFF_CAP)
    return max(ceiling * wiring.entropy.fraction(), timedelta(milliseconds=500))
