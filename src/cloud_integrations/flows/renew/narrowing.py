"""Refresh with fewer scopes (RFC 6749 §6), where the provider's file says that a refresh spends nothing.

So there is no lease, and what comes is not stored: the stored access token and refresh token go on working.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outcome import Granted, Unusable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    StaleWriteError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.applications import redirect_uri_of
from cloud_integrations.flows.shared.client_secrets import ask, outcome_of
from cloud_integrations.flows.shared.clients import granting_client
from cloud_integrations.flows.shared.events import tell_of, tell_unread
from cloud_integrations.flows.shared.minting import FailedMint
from cloud_integrations.flows.shared.revocation import Source, give_back
from cloud_integrations.flows.shared.server_metadata import located
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.error_text import clean_prose
from cloud_integrations.protocol.http import HttpRequest

from .attempt import RenewalAttempt
from .leases import closed_by_breaker
from .renew import is_answered, send_once
from .saving import succeed_kept

_LOOK: Final = 0.25


async def refresh_narrowed(wiring: Wiring, stored: StoredIntegration, scopes: Sequence[str], /, *, caller: Caller) -> Grant | FailedMint:
    """Return what a refresh with *scopes* gives, which is not stored, or why it gives nothing.

    Raises `ValidationFailedError` if there is no refresh token, and what `granting_client` and `located` raise.
    """
    facts = stored.facts
    client = await located(wiring, facts.tenant_id, await granting_client(wiring, facts))
    if (closed := closed_by_breaker(wiring, stored, client)) is not None:
        raise closed
    refresh_token = await wiring.sealer.open_token(stored, "refresh")
    if refresh_token is None:
        raise ValidationFailedError(field="narrow.scopes", problem="need a refresh token, and the provider gave none")
    # If a refresh token comes after all, it must be sealed.
    await wiring.data_keys.active(facts.tenant_id)
    await wiring.data_keys.index()

    def build(client: Client) -> HttpRequest:
        redirect_uri = redirect_uri_of(wiring, client)
        return client.backend.build_refresh(client, refresh_token=refresh_token, scopes=scopes, redirect_uri=redirect_uri)

    request, deadline = build(client), wiring.settings.deadline
    answer = await ask(
        wiring, client, request, tenant_id=facts.tenant_id, deadline=deadline, build=build, send=partial(send_once, wiring, None)
    )
    outcome = outcome_of(answer)
    failure = outcome.failure if isinstance(outcome, Unusable) else outcome
    wiring.breaker.note(client.context_id, ok=is_answered(failure), by=facts.tenant_id)
    came = outcome.grant.refresh_token if isinstance(outcome, Granted) else outcome.refresh_token if isinstance(outcome, Unusable) else None
    if came is not None and came != refresh_token:
        attempt = RenewalAttempt(
            client=client,
            stored=stored,
            read_at=wiring.clock.monotonic(),
            request=answer.request,
            deadline=deadline,
            attempt_id=wiring.new_id().hex,
            refresh_token=refresh_token,
            dpop_key=None,
            unresolved_before=False,
            access_is_dead=False,
            follows=False,
            alone=True,
            caller=caller,
            asks_again=False,
        )
        await _keep(wiring, attempt, came)
    if isinstance(failure, Granted):
        wiring.breaker.accept(client.context_id)
        tell_unread(wiring, facts.tenant_id, facts.id, client, failure.unread)
        return failure.grant
    secrets = [refresh_token, *client.application.client_secrets]
    said = None if failure.said is None else clean_prose(failure.said, request=answer.request, secrets=secrets)
    return FailedMint(failure=failure, said=said)


async def _keep(wiring: Wiring, attempt: RenewalAttempt, came: Secret) -> None:
    """Store a refresh token that came although the provider's file says that none does: the one that was sent may be spent."""
    grant = Grant(access_token=came, refresh_token=came)
    give_up = attempt.read_at + wiring.settings.persist_limit.total_seconds()
    while True:
        try:
            found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
            if found is None:
                await give_back(wiring, Source.of_stored(attempt.client, attempt.stored), [("refresh", came)], caller=attempt.caller)
            else:
                # With another refresh token in the row, a renewal or a reconnect was faster, and its token counts.
                await succeed_kept(wiring, attempt, found, grant)
        except (StaleWriteError, StorageUnavailableError):
            if wiring.clock.monotonic() >= give_up:
                tell_of(wiring, "credential.unpersisted", Subject.of(attempt.stored.facts))
                return
            await wiring.pause.pause(_LOOK)
        else:
            return
