"""Exchange an authorization code for a grant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self, TypeVar
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outcome import (
    Granted,
    Misconfigured,
    NotProcessed,
    Refused,
    Rejected,
    TokenFailure,
    TokenOutcome,
    Unknown,
    Unusable,
)
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import AppMisconfiguredError, GrantRefusedError, ProviderUnavailableError
from cloud_integrations.flows.shared.client_secrets import Answer, ask, outcome_of, token_answer
from cloud_integrations.flows.shared.events import backend_failures_told, tell_of, tell_unread
from cloud_integrations.flows.shared.revocation import Source, give_back
from cloud_integrations.flows.shared.sending import key_to_bind, send, send_proved
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.client_secrets import refuses_client
from cloud_integrations.protocol.error_text import clean_prose
from cloud_integrations.protocol.http import HttpRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """Where a new grant goes: a new integration, or the one in `reconnects`."""

    tenant_id: TenantId
    integration_id: IntegrationId
    name: str
    slot: str
    client: Client
    scopes: tuple[str, ...]
    begun_under: UUID
    """The id of the tenant's active key when the work began (`DataKeys.id_at_start`): if the tenant was erased since, the grant is
    not stored but revoked."""
    reconnects: StoredIntegration | None = None
    bound: bool = True
    """False if the code came without the state of an authorization that was begun here."""

    @classmethod
    def of(cls, pending: PendingAuthorization, client: Client, stored: StoredIntegration | None, /, *, begun_under: UUID) -> Self:
        """Return where the grant of an authorization goes; *stored* is the integration to reconnect."""
        return cls(
            tenant_id=pending.tenant_id,
            integration_id=pending.integration_id,
            name=pending.name,
            slot=pending.slot,
            client=client,
            scopes=pending.scopes,
            begun_under=begun_under,
            reconnects=stored,
        )

    @property
    def subject(self) -> Subject:
        """The subject of events about this grant."""
        provider_id = self.client.provider.provider_id
        return Subject(tenant_id=self.tenant_id, provider_id=provider_id, integration_id=self.integration_id, slot=self.slot)


async def spend_code(
    wiring: Wiring,
    wanted: NewGrant,
    /,
    *,
    code: Secret,
    redirect_uri: str,
    verifier: Secret | None,
    dpop_key: Secret | None = None,
    caller: Caller,
) -> Grant:
    """Exchange *code* for a grant; the request is sent once (RFC 6749 §4.1.3), and again only if the client's secret was refused.

    *dpop_key* is the key that the authorization began with; None: a new one is made if the method's tokens are bound to one.
    Raises `GrantRefusedError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
    """
    client = wanted.client
    bound_to = key_to_bind(wiring, client, dpop_key)

    def build(client: Client) -> HttpRequest:
        return client.backend.build_exchange(client, code=code, redirect_uri=redirect_uri, verifier=verifier)

    async def exchange(client: Client, request: HttpRequest, deadline: timedelta) -> Answer[TokenOutcome]:
        response = await send_proved(wiring, request, deadline=deadline, dpop_key=bound_to)
        outcome = client.backend.read_grant(client, response, requested_scopes=wanted.scopes, now=wiring.clock.now())
        return token_answer(request, response, outcome)

    # Fetched before the code is sent: if the key service fails now, no grant is lost.
    await wiring.data_keys.active(wanted.tenant_id)
    await wiring.data_keys.index()
    subject = wanted.subject if wanted.reconnects is not None else replace(wanted.subject, integration_id=None)
    with backend_failures_told(wiring, subject):
        request = build(client)
    deadline = wiring.settings.deadline
    answer = await ask(wiring, client, request, tenant_id=wanted.tenant_id, deadline=deadline, build=build, send=exchange)
    grant = await granted(wiring, wanted, outcome_of(answer), request=answer.request, hidden=(code, verifier), caller=caller)
    return replace(grant, dpop_key=bound_to)


async def ask_for(
    wiring: Wiring,
    client: Client,
    subject: Subject,
    /,
    *,
    build: Callable[[Client], HttpRequest],
    read: Callable[..., T | TokenFailure],
    hidden: Sequence[Secret | None] = (),
    dpop_key: Secret | None = None,
) -> T:
    """Return what *read* finds in the answer to the request that *build* makes, with the next of the client's secrets if one is refused.

    Nothing is spent if the answer is lost.  *read* takes the client, the response and `now`; *hidden* are the secrets of the request,
    and *dpop_key* is the key whose proof goes with it.
    Raises `GrantRefusedError`, `AppMisconfiguredError` or `ProviderUnavailableError`.
    """

    async def sent(client: Client, request: HttpRequest, deadline: timedelta) -> Answer[T | TokenFailure]:
        response = await send(wiring, request, deadline=deadline, dpop_key=dpop_key)
        if isinstance(response, NotProcessed | Unknown):
            return Answer(result=response, request=request)
        result = read(client, response, now=wiring.clock.now())
        if isinstance(result, TokenFailure):
            return Answer(result=result, request=request, is_refused=refuses_client(result, response))
        return Answer(result=result, request=request, is_accepted=True)

    deadline = wiring.settings.deadline
    answer = await ask(wiring, client, build(client), tenant_id=subject.tenant_id, deadline=deadline, build=build, send=sent)
    result = outcome_of(answer)
    if isinstance(result, TokenFailure):
        raise refusal(wiring, client, subject, result, request=answer.request, hidden=hidden)
    return result


async def granted(
    wiring: Wiring, wanted: NewGrant, outcome: TokenOutcome, /, *, request: HttpRequest, hidden: Sequence[Secret | None], caller: Caller
) -> Grant:
    """Return the grant that *request* brought; tokens that cannot be used are given back.

    *hidden* are the secrets of the request.  Raises `GrantRefusedError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
    """
    client = wanted.client
    received: list[Secret] = []
    if isinstance(outcome, Unusable):
        # Without an access token the grant can be neither checked nor used, and the person at the browser can begin again.
        source = Source(
            tenant_id=wanted.tenant_id,
            integration_id=wanted.integration_id,
            client=client,
            variables=client.tenant_variables,
            account_fingerprint=None,
        )
        await give_back(wiring, source, outcome.tokens, caller=caller)
        received += [token for _, token in outcome.tokens]
        outcome = outcome.failure
    if isinstance(outcome, Granted):
        wiring.breaker.accept(client.context_id)
        tell_unread(wiring, wanted.tenant_id, wanted.integration_id, client, outcome.unread)
        return outcome.grant
    subject = wanted.subject if wanted.reconnects is not None else replace(wanted.subject, integration_id=None)
    raise refusal(wiring, client, subject, outcome, request=request, hidden=(*hidden, *received))


def refusal(
    wiring: Wiring, client: Client, subject: Subject, outcome: TokenFailure, /, *, request: HttpRequest, hidden: Sequence[Secret | None]
) -> GrantRefusedError | AppMisconfiguredError | ProviderUnavailableError:
    """Tell the observer of the failure that answered *request*, and return the error for it."""
    said = clean_prose(outcome.said, request=request, secrets=(*hidden, *client.application.client_secrets))
    tell_of(wiring, "authorization.failed", subject, reason=outcome.reason, error_description=said)
    provider_id = str(client.provider.provider_id)
    match outcome:
        case Refused(reason) | Rejected(reason):
            return GrantRefusedError(reason=reason, error_description=said)
        case Misconfigured(reason):
            return AppMisconfiguredError(provider_id=provider_id, reason=reason, error_description=said)
        case _:
            return ProviderUnavailableError(
                provider_id=provider_id, reason=outcome.reason, retry_after=outcome.retry_after, error_description=said
            )
