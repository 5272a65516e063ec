"""A token is renewed: once, by one worker, and what the provider gave is never thrown away.

The protocol: a lease with a fencing number in the store's clock (T1); a mark that the request is
about to leave (T2); one request, with a deadline shorter than the lease and no transaction open;
then a success under "the newest lease wins" (T3), or a failure only with lease and generation.
What may follow a lost answer depends on what the provider does with a spent refresh token.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outcome import Granted, NotProcessed, TokenOutcome, Unknown, Unusable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AnswerLostError,
    CloudIntegrationsError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    RefreshInProgressError,
)
from cloud_integrations.flows.renew.attempt import RenewalAttempt, RenewalRequest
from cloud_integrations.flows.renew.leases import begin, is_over, load_renewable
from cloud_integrations.flows.renew.saving import save, save_refresh_token
from cloud_integrations.flows.renew.settling import settle
from cloud_integrations.flows.shared.events import tell_unread
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.error_text import clean_prose

_FIRST_LOOK = 0.005
_LONGEST_LOOK = 0.25

_OUTAGE = {"unreachable", "answer_lost", "server_error"}


async def renew(
    wiring: Wiring,
    tenant_id: TenantId,
    integration_id: IntegrationId,
    /,
    *,
    seen_generation: int,
    caller: Caller,
    patience: timedelta,
    forced: bool = False,
    access_is_dead: bool = False,
    asks_again: bool = False,
) -> StoredIntegration:
    """Return the row with a credential newer than *seen_generation*.

    Whoever asks for the same integration meanwhile shares the work; no caller's cancellation reaches
    it.  *patience* is how long to wait for another process; *forced* passes over the back-off;
    *access_is_dead* says that the provider refused the held access token; *asks_again* that an operator wants the provider
    asked once more although it said that the grant has ended.  Raises `ReconnectRequiredError`,
    `IntegrationInactiveError`, `RefreshInProgressError`, `ProviderUnavailableError`,
    `AppMisconfiguredError`, `IntegrationNotFoundError` or `StorageUnavailableError`.
    """
    wanted = RenewalRequest(
        seen_generation=seen_generation,
        caller=caller,
        patience=patience,
        forced=forced,
        access_is_dead=access_is_dead,
        asks_again=asks_again,
    )
    # Who only takes the verdict's word shares nothing with somebody who has it asked for again.
    work = (tenant_id, integration_id, asks_again)
    while True:
        renewed = await wiring.single_flight.run(work, lambda: _renew(wiring, tenant_id, integration_id, wanted))
        if renewed.credential.generation > seen_generation:
            return renewed


async def _renew(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, wanted: RenewalRequest) -> StoredIntegration:
    give_up = wiring.clock.monotonic() + wanted.patience.total_seconds()
    look = _FIRST_LOOK
    follows = too_late = False
    while True:
        stored = await load_renewable(wiring, tenant_id, integration_id, asks_again=wanted.asks_again)
        if stored.credential.generation > wanted.seen_generation and not is_over(wiring, stored):
            return stored
        if too_late:
            raise RefreshInProgressError(integration_id=str(integration_id), retry_after=timedelta(seconds=1))
        attempt = await begin(wiring, stored, wanted, follows=follows)
        if attempt is not None:
            if (renewed := await _send(wiring, attempt)) is not None:
                return renewed
            # Somebody else has moved the row on, or only a refresh token came: look again.
            follows = True
            continue
        # The last word is the row's: who waited, or was held up, may find there what somebody else has stored meanwhile.
        too_late = wiring.clock.monotonic() >= give_up
        if not too_late:
            await wiring.pause.pause(look * (0.75 + wiring.entropy.fraction() / 2))
            look = min(look * 1.25, _LONGEST_LOOK)


async def _send(wiring: Wiring, attempt: RenewalAttempt) -> StoredIntegration | None:
    """Send the request and write what came of it; None if the row has moved on without us."""
    outcome = await _ask(wiring, attempt)
    application = attempt.client.context_id
    if isinstance(outcome, Unusable):
        if outcome.refresh_token is not None:
            wiring.breaker.note(application, ok=True, by=attempt.tenant_id)
            await save_refresh_token(wiring, attempt, outcome.refresh_token, outcome.refresh_expires_at, reason=outcome.failure.reason)
            return None
        outcome = outcome.failure
    # An answer is an answer, whatever it says: only silence and a server's own errors speak against the server.
    answered = outcome.reason not in _OUTAGE if isinstance(outcome, NotProcessed | Unknown) else True
    wiring.breaker.note(application, ok=answered, by=attempt.tenant_id)
    if isinstance(outcome, Granted):
        wiring.breaker.accept(application)
        tell_unread(wiring, attempt.tenant_id, attempt.integration_id, attempt.client, outcome.unread)
        return await save(wiring, attempt, outcome.grant)
    said = await _clean(wiring, attempt, outcome.said)
    return await settle(wiring, attempt, outcome, said=said)


async def _clean(wiring: Wiring, attempt: RenewalAttempt, said: Secret | None) -> str | None:
    if said is None:
        return None
    secrets = [attempt.refresh_token, attempt.client.application.client_secret]
    with suppress(CloudIntegrationsError):
        # It was not sent, but the provider knows it, too.
        secrets.append(await wiring.sealer.open_token(attempt.stored, "access"))
    return clean_prose(said, request=attempt.request, secrets=secrets)


async def _ask(wiring: Wiring, attempt: RenewalAttempt) -> TokenOutcome:
    """Send the one request, and say what came of it."""
    sent_at = wiring.clock.now()
    try:
        response = await wiring.transport.send(attempt.request, deadline=attempt.deadline)
    except ProviderUnreachableError:
        return NotProcessed("unreachable")
    except AnswerLostError as lost:
        return Unknown("answer_lost", over=lost.connection_closed)
    except ProviderUnavailableError:
        return Unknown("unusable_body")
    return attempt.client.backend.read_renewal(attempt.client, response, now=sent_at)
