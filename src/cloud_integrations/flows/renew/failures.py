"""The provider gave no tokens: what its answer means for the row and for the caller."""

from __future__ import annotations

from datetime import datetime, timedelta

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.freshness import refused_since
from cloud_integrations.domain.integration import Phase, State, StoredIntegration
from cloud_integrations.errors import AppMisconfiguredError, ProviderUnavailableError, ReconnectRequiredError
from cloud_integrations.flows.renew.attempt import MISCONFIGURED_REST, RenewalAttempt, backoff, record_outcome, settle, store_now
from cloud_integrations.flows.shared.auditing import tell_of
from cloud_integrations.ports.wiring import Wiring
from cloud_integrations.protocol.outcome import NotProcessed, Rejected, Unknown

_BACKGROUND_CAP = timedelta(hours=1)
_SOON = 3
"""How many replays follow each other quickly inside a grace period."""
_ASKS_FOR_THE_USER = {"consent_required", "login_required", "interaction_required", "account_selection_required"}


async def refused(wiring: Wiring, attempt: RenewalAttempt, *, reason: str, said: str | None) -> StoredIntegration | None:
    """`invalid_grant`: look again first, for a sibling may have been faster."""
    found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
    if found is not None and found.credential.generation > attempt.stored.credential.generation:
        await record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, Outcome.FAILURE, reason=reason)
        return found
    why = "rotation_lost" if attempt.unresolved_before else "revoked"
    if reason in _ASKS_FOR_THE_USER:
        why = "interaction_required"
    return await _give_up(wiring, attempt, why=why, error=reason, said=said)


async def _give_up(wiring: Wiring, attempt: RenewalAttempt, *, why: str, error: str, said: str | None) -> StoredIntegration | None:
    """Ask the tenant to reconnect; None if the row has moved on."""
    if attempt.stored.facts.state is State.NEEDS_REAUTH:
        why = attempt.stored.facts.reason or why
    stands = await settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=State.NEEDS_REAUTH,
        reason=why,
        error=error,
        outcome=Outcome.FAILURE,
        next_in=None,
        due_in=None,
        refused=True,
    )
    if not stands:
        return None
    wiring.tokens.drop(attempt.tenant_id)
    tell_of(wiring, "credential.reconnect_required", attempt.stored.facts, reason=why, error_description=said)
    raise ReconnectRequiredError(integration_id=str(attempt.integration_id), reason=why, error_description=said)


async def rejected(wiring: Wiring, attempt: RenewalAttempt, outcome: Rejected, *, said: str | None) -> StoredIntegration | None:
    """Refused in words that give no verdict: asked again, until days of nothing else have given it."""
    # Where nobody else was even tried, nothing speaks for the operator's fault.
    if (since := _refused_long_since(wiring, attempt)) is not None and await _others_renewed(wiring, attempt, since) is not False:
        return await _give_up(wiring, attempt, why="refused_for_days", error=outcome.reason, said=said)
    wait = max(backoff(wiring, attempt), outcome.retry_after or timedelta())
    rest = max(wait, min(timedelta(seconds=1 << min(attempt.stored.marks.attempts, 12)), _BACKGROUND_CAP))
    await _try_later(wiring, attempt, outcome.reason, wait=wait, due_in=rest, refused=True, said=said)
    return None


async def not_processed(wiring: Wiring, attempt: RenewalAttempt, outcome: NotProcessed, *, said: str | None) -> None:
    """The provider did not process the request: try again later."""
    wait = max(backoff(wiring, attempt), outcome.retry_after or timedelta())
    await _try_later(wiring, attempt, outcome.reason, wait=wait, due_in=wait, refused=False, said=said)


async def _try_later(
    wiring: Wiring, attempt: RenewalAttempt, reason: str, *, wait: timedelta, due_in: timedelta, refused: bool, said: str | None
) -> None:
    state = State.UNKNOWN if attempt.unresolved_before else State.RETRY
    if await settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=state,
        reason=reason,
        error=reason,
        outcome=Outcome.FAILURE,
        next_in=wait,
        due_in=due_in,
        refused=refused,
    ):
        tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason, error_description=said)
        raise ProviderUnavailableError(
            provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=wait, error_description=said
        )


async def lost(wiring: Wiring, attempt: RenewalAttempt, outcome: Unknown, *, said: str | None) -> None:
    """The request may have rotated the token, and nobody received the new one: a state of its own."""
    reason = outcome.reason
    wait, phase = max(backoff(wiring, attempt), outcome.retry_after or timedelta()), Phase.IDLE
    behaviour = attempt.behaviour
    if behaviour.reuse_rule == "grace" and (not attempt.unresolved_before or attempt.stored.marks.attempts < _SOON):
        # Inside a grace period the replay is the only way back, so it comes soon, whatever a gateway asks for.
        wait = timedelta(seconds=1 + 2 * wiring.entropy.fraction())
    if behaviour.reuse_rule == "strict" and not outcome.over:
        # The provider may be at it still, and would punish the replay of a token that it is about to spend: the lease is kept
        # to its end.  Where it is surely done nothing more can come, and nobody need wait.
        phase = Phase.UNKNOWN
        wait = max(wait, (attempt.stored.marks.lease_until or attempt.stored.read_at) - store_now(wiring, attempt))
    again = wait
    if behaviour.reuse_rule == "strict" and attempt.stored.facts.expires_at is not None and not behaviour.ends_old_access:
        again = max(wait, attempt.stored.facts.expires_at - wiring.clock.now())
    ending, state = Outcome.UNKNOWN, State.UNKNOWN
    if await settle(
        wiring, attempt, phase=phase, state=state, reason=reason, error=reason, outcome=ending, next_in=wait, due_in=again, refused=False
    ):
        tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason, error_description=said)
        raise ProviderUnavailableError(
            provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=again, error_description=said
        )


async def misconfigured(wiring: Wiring, attempt: RenewalAttempt, *, reason: str, said: str | None) -> StoredIntegration | None:
    """The operator's application is refused: no grant is at fault, unless others of the same application are renewed for days."""
    wiring.breaker.refuse(attempt.client.context_id, reason, by=attempt.tenant_id)
    facts = attempt.stored.facts
    if (since := _refused_long_since(wiring, attempt)) is not None and await _others_renewed(wiring, attempt, since):
        return await _give_up(wiring, attempt, why="refused_for_days", error=reason, said=said)
    if await settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=State.UNKNOWN if attempt.unresolved_before else facts.state,
        reason=reason,
        error=reason,
        outcome=Outcome.FAILURE,
        next_in=backoff(wiring, attempt),
        due_in=MISCONFIGURED_REST,
        refused=True,
    ):
        tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason, error_description=said)
        raise AppMisconfiguredError(provider_id=str(facts.provider_id), reason=reason, error_description=said)
    return None


def _refused_long_since(wiring: Wiring, attempt: RenewalAttempt) -> datetime | None:
    """Since when the provider answers nothing but refusals, if that is longer than anybody should believe in a passing trouble."""
    now = store_now(wiring, attempt)
    since = refused_since(attempt.stored.marks, now=now, refused=True)
    return since if since is not None and now - since >= wiring.settings.refusal_limit else None


async def _others_renewed(wiring: Wiring, attempt: RenewalAttempt, since: datetime) -> bool | None:
    """Say how the other integrations of this application did since then; None: none was renewed and none failed."""
    facts = attempt.stored.facts
    return await wiring.store.others_renewed(facts.provider_id, facts.context_id, since=since, but=facts.id)
