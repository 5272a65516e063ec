"""Renew a token (RFC 6749 §6): one process sends one request, and the tokens that come are never thrown away.

The protocol has three transactions.  T1 takes a lease with a fencing number, timed by the store's clock.  T2 marks the request as
sent.  Then one request is sent, with a deadline shorter than the lease and no transaction open; if the client was refused, it is sent
again with the application's next secret, within the same deadline.  T3 writes the result: new tokens if no newer lease has written, a
failure only if lease and generation are unchanged.  What may follow a lost answer depends on how the provider treats a refresh token
that is used twice.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outcome import Granted, NotProcessed, TokenOutcome, Unknown, Unusable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    CloudIntegrationsError,
    RefreshInProgressError,
    StorageUnavailableError,
)
from cloud_integrations.flows.renew.attempt import RenewalAttempt, RenewalRequest
from cloud_integrations.flows.renew.leases import begin, build_request, is_over, load_renewable
from cloud_integrations.flows.renew.minting import mint_again
from cloud_integrations.flows.renew.saving import save, save_refresh_token
from cloud_integrations.flows.renew.settling import settle
from cloud_integrations.flows.shared.client_secrets import Answer, ask, outcome_of, token_answer
from cloud_integrations.flows.shared.events import tell_unread
from cloud_integrations.flows.shared.freezing import require_renewals
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.sending import send
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.error_text import clean_prose
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

_FIRST_LOOK = 0.005
_LONGEST_LOOK = 0.25

_MOST_CHANGES = 5
"""How often a mint is repeated because somebody else has changed the row."""
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
    scheduled: bool = False,
) -> StoredIntegration:
    """Return the row with a credential newer than *seen_generation*, after a renewal if there is none yet.

    Concurrent callers for the same integration share the work, which goes on if a caller is cancelled.  *patience* is how long to
    wait for another process; *forced* skips the back-off; *access_is_dead* says that the provider refused the stored access token;
    *asks_again* says that an operator wants the provider asked again although it said that the grant has ended; *scheduled* that the
    worker asks, because the row is due.
    Raises `ReconnectRequiredError`, `IntegrationInactiveError`, `RefreshInProgressError`, `ProviderUnavailableError`,
    `AppMisconfiguredError`, `IntegrationNotFoundError`, `ValidationFailedError` if there is no refresh token, or
    `StorageUnavailableError`.
    """
    wanted = RenewalRequest(
        seen_generation=seen_generation,
        caller=caller,
        patience=patience,
        forced=forced,
        access_is_dead=access_is_dead,
        asks_again=asks_again,
        scheduled=scheduled,
    )
    # A caller that accepts an earlier refusal does not share the work of one that has the provider asked again.
    work = (tenant_id, integration_id, asks_again)
    while True:
        renewed = await wiring.single_flight.run(work, lambda: _renew(wiring, tenant_id, integration_id, wanted))
        if renewed.credential.generation > seen_generation:
            return renewed


async def _renew(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, wanted: RenewalRequest) -> StoredIntegration:
    give_up = wiring.clock.monotonic() + wanted.patience.total_seconds()
    look = _FIRST_LOOK
    follows = too_late = False
    changed = 0
    while True:
        stored = await load_renewable(wiring, tenant_id, integration_id, asks_again=wanted.asks_again)
        if stored.credential.generation > wanted.seen_generation and not is_over(wiring, stored):
            return stored
        await require_renewals(wiring, stored)
        if stored.facts.renewal_rule == "mint":
            if (minted := await mint_again(wiring, stored, wanted)) is not None:
                return minted
            changed += 1
            if changed == _MOST_CHANGES:
                raise StorageUnavailableError("the integration kept changing")
            continue
        if too_late:
            raise RefreshInProgressError(integration_id=str(integration_id), retry_after=timedelta(seconds=1))
        attempt = await begin(wiring, stored, wanted, follows=follows)
        if attempt is not None:
            with measured(wiring, "renew", tenant_id, stored.facts.provider_id) as running:
                renewed = await _send(wiring, attempt)
                if renewed is not None:
                    return renewed
                running.outcome = "superseded"
            # Another process has changed the row, or the answer had a refresh token alone: read the row again.
            follows = True
            continue
        # When the time is over, the row is read once more: another process may have stored a credential in the meantime.
        too_late = wiring.clock.monotonic() >= give_up
        if not too_late:
            await wiring.pause.pause(look * (0.75 + wiring.entropy.fraction() / 2))
            look = min(look * 1.25, _LONGEST_LOOK)


async def _send(wiring: Wiring, attempt: RenewalAttempt) -> StoredIntegration | None:
    """Send the request and write the result; return None if the caller must read the row again.

    Raises what `save` and `settle` raise.
    """
    answer = await _ask(wiring, attempt)
    outcome = outcome_of(answer)
    application = attempt.client.context_id
    if isinstance(outcome, Unusable):
        if outcome.refresh_token is not None:
            wiring.breaker.note(application, ok=True, by=attempt.tenant_id)
            await save_refresh_token(wiring, attempt, outcome.refresh_token, outcome.refresh_expires_at, reason=outcome.failure.reason)
            return None
        outcome = outcome.failure
    wiring.breaker.note(application, ok=is_answered(outcome), by=attempt.tenant_id)
    if isinstance(outcome, Granted):
        wiring.breaker.accept(application)
        tell_unread(wiring, attempt.tenant_id, attempt.integration_id, attempt.client, outcome.unread)
        return await save(wiring, attempt, outcome.grant)
    said = await _clean(wiring, attempt, answer.request, outcome.said)
    return await settle(wiring, attempt, outcome, said=said)


def is_answered(outcome: TokenOutcome) -> bool:
    """Whether the server works: only a missing answer and a server error count against it."""
    return outcome.reason not in _OUTAGE if isinstance(outcome, NotProcessed | Unknown) else True


async def _clean(wiring: Wiring, attempt: RenewalAttempt, request: HttpRequest, said: Secret | None) -> str | None:
    if said is None:
        return None
    secrets: list[Secret | None] = [attempt.refresh_token, *attempt.client.application.client_secrets]
    with suppress(CloudIntegrationsError):
        # The access token was not sent, but the provider knows it and its text may repeat it.
        secrets.append(await wiring.sealer.open_token(attempt.stored, "access"))
    return clean_prose(said, request=request, secrets=secrets)


async def _ask(wiring: Wiring, attempt: RenewalAttempt) -> Answer[TokenOutcome]:
    """Send the request once with each secret of the application, until the client is not refused; return the last answer."""
    return await ask(
        wiring,
        attempt.client,
        attempt.request,
        tenant_id=attempt.tenant_id,
        deadline=attempt.deadline,
        build=lambda client: build_request(wiring, client, attempt.refresh_token),
        send=partial(send_once, wiring, attempt.dpop_key),
    )


async def send_once(
    wiring: Wiring, dpop_key: Secret | None, client: Client, request: HttpRequest, deadline: timedelta
) -> Answer[TokenOutcome]:
    """Send a refresh request of *client* and read its answer."""
    sent_at = wiring.clock.now()
    received = await send(wiring, request, deadline=deadline, dpop_key=dpop_key)
    if not isinstance(received, HttpResponse):
        return token_answer(request, None, received)
    return token_answer(request, received, client.backend.read_renewal(client, received, now=sent_at))
