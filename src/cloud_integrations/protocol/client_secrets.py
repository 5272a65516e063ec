"""The client secrets of one application: which one to use, and when to try the next (client secret rotation)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from cloud_integrations.domain.outcome import Granted, Misconfigured, MisconfiguredReason, Refused, TokenOutcome, Unusable

from .http import find_json_object

if TYPE_CHECKING:
    from cloud_integrations.domain.application import OAuthApplication
    from cloud_integrations.domain.identifiers import ContextId
    from cloud_integrations.domain.provider import Provider
    from cloud_integrations.domain.secret import Secret

    from .client import Client
    from .http import HttpResponse

_CLIENT_REFUSED: Final[frozenset[MisconfiguredReason]] = frozenset({"invalid_client", "client_refused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MintingClient:
    """The operator's application where it mints, without the endpoints of a grant."""

    provider: Provider
    application: OAuthApplication
    context_id: ContextId
    """Under which the secret that works is remembered."""


AnyClient = TypeVar("AnyClient", "Client", MintingClient)


def refuses_client(outcome: TokenOutcome, response: HttpResponse, /) -> bool:
    """Return whether the provider refused the client before it processed anything, so that the next secret may be tried.

    An answer that has tokens, or a 5xx, is not such a refusal: the code or refresh token that was sent may be spent.
    """
    if not isinstance(outcome, Misconfigured) or outcome.reason not in _CLIENT_REFUSED:
        return False
    return response.status < 500 and not _has_token(response)


def accepts_client(outcome: TokenOutcome, /) -> bool:
    """Return whether the outcome shows that the provider accepted the client's secret (RFC 6749 §5.1, §5.2)."""
    return isinstance(outcome, Granted | Unusable | Refused)


def refuses_revoking_client(response: HttpResponse, /) -> bool:
    """Return whether the answer to a revocation refuses the client (RFC 7009 §2.2.1): `invalid_client`, or 401 without an error code."""
    error = (find_json_object(response.body) or {}).get("error")
    return response.status < 500 and (error == "invalid_client" or (response.status == 401 and not error))


def using_secret(client: AnyClient, place: int, /) -> AnyClient:
    """Return *client* with the secret at *place* of its application's list as the one to use."""
    application = client.application
    return replace(client, application=replace(application, client_secret=application.client_secrets[place]))


def place_of(client: Client | MintingClient, /) -> int:
    """Return the place of the secret that *client* uses in its application's list; 0 for a public client."""
    used: Secret | None = client.application.client_secret
    return next((place for place, secret in enumerate(client.application.client_secrets) if secret == used), 0)


def next_places(client: Client | MintingClient, /) -> tuple[int, ...]:
    """Return the places of the secrets to try after the one that *client* uses, in the application's order."""
    used = place_of(client)
    return tuple(place for place in range(len(client.application.client_secrets)) if place != used)


def _has_token(response: HttpResponse) -> bool:
    body = find_json_object(response.body) or {}
    return any(body.get(name) for name in ("access_token", "refresh_token"))
