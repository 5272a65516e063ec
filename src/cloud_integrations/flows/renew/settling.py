"""End an attempt that brought no tokens: write its settlement into the row, record it, and raise its error."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cloud_integrations.domain.audit import OPERATOR, Caller
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.freshness import refused_since
from cloud_integrations.domain.integration import APPLICATION_REASONS, Health, Integration, State, StoredIntegration, reconnect_reason
from cloud_integrations.domain.outcome import Misconfigured, Refused, Rejected, TokenFailure
from cloud_integrations.domain.provider import RefreshTokenFacts
from cloud_integrations.domain.settlement import Attempted, Settlement, settlement
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    CommitUnknownError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StaleWriteError,
    StorageUnavailableError,
)
from cloud_integrations.flows.renew.attempt import RenewalAttempt, record_end, store_now
from cloud_integrations.flows.shared.events import apply, happened, tell, tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SettleAttempt
from cloud_integrations.protocol.client import Client


async def settle(wiring: Wiring, attempt: RenewalAttempt, failure: TokenFailure, /, *, said: str | None) -> StoredIntegration | None:
    """Write what *failure* means, and raise it; *said* is the provider's text, without secrets.

    Returns the row if it has a newer credential after a refusal, None if it has changed and the failure was not written.  Raises
    `ReconnectRequiredError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
    """
    if isinstance(failure, Refused):
        # Read the row first: another process may have renewed it, and then our refresh token was refused because it is old.
        found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
        if found is not None and found.credential.generation > attempt.stored.credential.generation:
            await record_end(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, reason=failure.reason)
            return found
    if isinstance(failure, Misconfigured):
        wiring.breaker.refuse(attempt.client.context_id, failure.reason, by=attempt.tenant_id)
    known = await attempted(
        wiring,
        attempt.stored,
        failure,
        behaviour=attempt.behaviour,
        unresolved_before=attempt.unresolved_before,
        access_is_dead=attempt.access_is_dead,
        store_now=store_now(wiring, attempt),
    )
    settled = settlement(failure, known)
    if not await _write(wiring, attempt, settled, _event(settled), said=said):
        return None
    if settled.verdict == "reconnect":
        wiring.tokens.drop(attempt.tenant_id)
    raise _error(attempt, settled, said)


async def let_go(wiring: Wiring, attempt: RenewalAttempt, *, next_at: datetime | None, due_at: datetime | None) -> None:
    """End a lease under which nothing was sent; *next_at* and *due_at* are times of the store's clock."""
    now, before = store_now(wiring, attempt), attempt.stored.facts
    is_over = before.state is State.NEEDS_REAUTH
    await _write(
        wiring,
        attempt,
        Settlement(
            state=State.UNKNOWN if attempt.unresolved_before and not is_over else before.state,
            reason=before.reason,
            error="not_sent",
            verdict="unavailable",
            refused=None,
            wait=None if next_at is None or is_over else next_at - now,
            due_in=None if due_at is None or is_over else due_at - now,
        ),
        "credential.not_refreshed",
    )


def _event(settled: Settlement) -> EventName:
    if settled.verdict == "reconnect":
        return "credential.refused"
    return "credential.refresh_unknown" if settled.is_unknown else "credential.refresh_failed"


def settle_attempt(
    stored: StoredIntegration,
    settled: Settlement,
    /,
    *,
    lease: int,
    attempt_id: str,
    now: datetime,
    store_now: datetime,
    is_counted: bool = True,
) -> SettleAttempt:
    """Return the change that writes *settled* into the row; *store_now* is the time by the store's clock."""
    facts, marks, refused = stored.facts, stored.marks, settled.refused
    return SettleAttempt(
        tenant_id=facts.tenant_id,
        integration_id=facts.id,
        lease_token=lease,
        attempt_id=attempt_id,
        generation=stored.credential.generation,
        phase=settled.phase,
        state=settled.state,
        reason=settled.reason,
        state_since=state_since(facts, state=settled.state, reason=settled.reason, now=now),
        error=settled.error,
        next_attempt_at=None if settled.wait is None else store_now + settled.wait,
        due_at=None if settled.due_in is None else store_now + settled.due_in,
        failed_at=marks.failed_at if refused is None else store_now,
        refused_since=marks.refused_since if refused is None else refused_since(marks, now=store_now, refused=refused),
        count_attempt=is_counted,
    )


def trouble(wiring: Wiring, before: Integration, settled: Settlement, caller: Caller, /, *, client: Client | None) -> list[Event]:
    """Return the event that the integration, or the application of *client*, has trouble, which is delivered if it lasts."""
    health = replace(before, state=settled.state, reason=settled.reason).health
    if health is Health.APPLICATION_REFUSED and client is not None:
        return [happened(wiring, "application.refused", application_of(client), caller, reason=settled.reason)]
    if health in {Health.RETRYING, Health.UNKNOWN, Health.APPLICATION_REFUSED}:
        return [happened(wiring, "credential.retrying", Subject.of(before), caller, reason=settled.error)]
    return []


def application_of(client: Client, /) -> Subject:
    """Return the application of *client*, which is the operator's or a tenant's, as the subject of an event."""
    owner = OPERATOR if client.owner is None else client.owner
    return Subject(tenant_id=owner, provider_id=client.provider.provider_id, application_id=client.context_id)


def state_since(before: Integration, /, *, state: State, reason: str | None, now: datetime) -> datetime:
    """Return since when the integration has its new health: the old time if *state* and *reason* leave `health` as it was.

    A refused application changes the health and not the state.
    """
    return before.state_since if replace(before, state=state, reason=reason).health is before.health else now


async def attempted(
    wiring: Wiring,
    stored: StoredIntegration,
    failure: TokenFailure,
    /,
    *,
    behaviour: RefreshTokenFacts,
    unresolved_before: bool = False,
    access_is_dead: bool = False,
    store_now: datetime,
) -> Attempted:
    """Return what is known about an attempt that ended in *failure*; *store_now* is the time by the store's clock."""
    facts = stored.facts
    known = Attempted(
        before=facts,
        marks=stored.marks,
        behaviour=behaviour,
        unresolved_before=unresolved_before,
        access_is_dead=access_is_dead,
        now=wiring.clock.now(),
        store_now=store_now,
        chance=wiring.entropy.fraction(),
        refusal_limit=wiring.settings.refusal_limit,
    )
    since = known.refused_for_days
    if since is None or not isinstance(failure, Rejected | Misconfigured):
        return known
    others = await wiring.store.others_renewed(facts.provider_id, facts.context_id, since=since, but=facts.id)
    return replace(known, others_renewed=others)


async def _write(wiring: Wiring, attempt: RenewalAttempt, settled: Settlement, name: EventName, *, said: str | None = None) -> bool:
    """Write and record the settlement; return False if a newer lease, or a user, has changed the row since."""
    facts = attempt.stored.facts
    change = settle_attempt(
        attempt.stored,
        settled,
        lease=attempt.lease,
        attempt_id=attempt.attempt_id,
        now=wiring.clock.now(),
        store_now=store_now(wiring, attempt),
    )
    reason = settled.reason if settled.verdict == "reconnect" else settled.error
    more = {"error": settled.error, "error_description": said, "attempt": attempt.attempt_id}
    event = happened(wiring, name, Subject.of(facts), attempt.caller, reason=reason, **more)
    # A lease that ended without a request says nothing of the provider.
    lasting = [] if name == "credential.not_refreshed" else trouble(wiring, facts, settled, attempt.caller, client=attempt.client)
    try:
        await apply(wiring, change, event, *lasting)
    except StaleWriteError:
        await record_end(wiring, facts, attempt.caller, attempt.attempt_id, reason=settled.error, is_unknown=settled.is_unknown)
        return False
    except CommitUnknownError:
        # If it was committed, the next process finds the row settled and tells nothing, so the observer is told here.
        tell(wiring, event)
        tell_of(wiring, "credential.unpersisted", Subject.of(facts))
    except StorageUnavailableError:
        # The next process learns the same from the lease and the mark in the row, and from the provider.
        tell_of(wiring, "credential.unpersisted", Subject.of(facts))
    return True


def _error(attempt: RenewalAttempt, settled: Settlement, said: str | None) -> CloudIntegrationsError:
    facts = attempt.stored.facts
    if settled.verdict == "reconnect":
        return ReconnectRequiredError(integration_id=str(facts.id), reason=reconnect_reason(settled.reason), error_description=said)
    provider_id = str(facts.provider_id)
    if settled.verdict == "misconfigured":
        refused = APPLICATION_REASONS.get(settled.error, "client_refused")
        return AppMisconfiguredError(provider_id=provider_id, reason=refused, error_description=said)
    return ProviderUnavailableError(provider_id=provider_id, reason=settled.error, retry_after=settled.retry_after, error_description=said)
