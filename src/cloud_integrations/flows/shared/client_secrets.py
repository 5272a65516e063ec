"""Send a request with the secrets of an application, one after the other, until one is accepted.

While a client secret is rotated, the provider may know the new secret, the old one or both.  The next secret is tried only after an
answer that refused the client before anything was processed, so no code and no refresh token is spent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Generic, TypeVar

from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, TokenOutcome
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.client_secrets import (
    AnyClient,
    MintingClient,
    accepts_client,
    next_places,
    place_of,
    refuses_client,
    using_secret,
)
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

from .events import tell_of
from .wiring import Wiring

T = TypeVar("T")

_REMEMBERED: Final = timedelta(days=1)
"""How long a secret is preferred; then the first of the list has its turn again, and an outdated one is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What the answer to *request* means, and what it says of the client's secret."""

    result: T
    request: HttpRequest
    is_refused: bool = False
    """True if the provider refused the client before it processed anything."""
    is_accepted: bool = False
    """True if the answer shows that the provider accepted the client's secret."""
    is_cut_short: bool = False
    """True if the client was refused and the time ended before every secret was tried."""


def token_answer(request: HttpRequest, response: HttpResponse | None, outcome: TokenOutcome, /) -> Answer[TokenOutcome]:
    """Return the answer of a token endpoint; *response* is None if none came."""
    refused = response is not None and refuses_client(outcome, response)
    return Answer(result=outcome, request=request, is_refused=refused, is_accepted=accepts_client(outcome))


def outcome_of(answer: Answer[T], /) -> T | NotProcessed:
    """Return the outcome; `NotProcessed` if not every secret was tried, because then the application is not known to be refused."""
    if answer.is_cut_short and isinstance(answer.result, Misconfigured):
        return NotProcessed("retry", said=answer.result.said)
    return answer.result


def preferred(wiring: Wiring, client: AnyClient, /) -> AnyClient:
    """Return *client* with the secret that the provider accepted last in this process, otherwise with the first."""
    count = len(client.application.client_secrets)
    if count < 2:
        return client
    place: int = wiring.client_secrets.find(client.context_id) or 0
    # A tenant may have saved a shorter list since.
    return using_secret(client, place if place < count else 0)


async def ask(
    wiring: Wiring,
    client: AnyClient,
    request: HttpRequest,
    /,
    *,
    tenant_id: TenantId,
    deadline: timedelta,
    build: Callable[[AnyClient], HttpRequest | None],
    send: Callable[[AnyClient, HttpRequest, timedelta], Awaitable[Answer[T]]],
) -> Answer[T]:
    """Send *request* of *client*, and while the client is refused, the request that *build* makes with the next secret.

    All requests together take at most *deadline*, which *send* gets what is left of.  Returns the last answer.
    """
    end = wiring.clock.monotonic() + deadline.total_seconds()
    answer = await send(client, request, deadline)
    for place in next_places(client):
        if not answer.is_refused:
            break
        _forget(wiring, client)
        following = using_secret(client, place)
        left = timedelta(seconds=end - wiring.clock.monotonic())
        if left <= timedelta():
            # The next attempt begins with the secret that was not tried.
            _prefer(wiring, following)
            return replace(answer, is_cut_short=True)
        again = _built(build, following)
        if again is not None and again != answer.request:
            client = following
            answer = await send(client, again, left)
    if answer.is_refused:
        _forget(wiring, client)
    elif answer.is_accepted:
        _accepted(wiring, client, tenant_id)
    return answer


def _built(build: Callable[[AnyClient], HttpRequest | None], client: AnyClient) -> HttpRequest | None:
    try:
        return build(client)
    except CloudIntegrationsError:
        # The backend makes no request with this secret, so the secret is of no use.
        return None


def _accepted(wiring: Wiring, client: Client | MintingClient, tenant_id: TenantId) -> None:
    """Prefer this secret from now on; tell the observer once a day if it is not the first of the list."""
    if len(client.application.client_secrets) < 2:
        return
    place = place_of(client)
    if wiring.client_secrets.find(client.context_id) != place:
        _prefer(wiring, client)
    key = ("application.secret_outdated", client.context_id, place)
    if place and wiring.uses.find(key) is None:
        wiring.uses.put(key, "told", seconds=_REMEMBERED.total_seconds())
        subject = Subject(tenant_id=tenant_id, provider_id=client.provider.provider_id)
        tell_of(wiring, "application.secret_outdated", subject, place=str(place + 1))


def _prefer(wiring: Wiring, client: Client | MintingClient) -> None:
    wiring.client_secrets.put(client.context_id, place_of(client), seconds=_REMEMBERED.total_seconds())


def _forget(wiring: Wiring, client: Client | MintingClient) -> None:
    # Another caller may have found the secret that works meanwhile.
    if wiring.client_secrets.find(client.context_id) == place_of(client):
        wiring.client_secrets.drop(client.context_id)
