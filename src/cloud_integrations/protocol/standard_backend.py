"""The OAuth backend for providers that follow the RFCs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from cloud_integrations.domain.outcome import TokenOutcome
from cloud_integrations.domain.secret import Secret

from . import authorize, exchange, refresh, revoke
from .client import CallbackAnswer, Client, OAuthBackend
from .http import HttpRequest, HttpResponse


class StandardOAuthBackend:
    """OAuth2 as in the RFCs, with the differences that a provider file describes; subclass it for any other difference."""

    def build_authorize(
        self, client: Client, /, *, state: Secret, redirect_uri: str, scopes: Sequence[str], verifier: Secret | None
    ) -> str:
        """See `authorize.build_authorization_url`."""
        return authorize.build_authorization_url(client, state=state, redirect_uri=redirect_uri, scopes=scopes, verifier=verifier)

    def read_callback(self, client: Client, params: Iterable[tuple[str, str]], /, *, issuer: str | None) -> CallbackAnswer:
        """See `authorize.read_callback`."""
        return authorize.read_callback(params, issuer=issuer, facts=client.method.callback)

    def build_exchange(self, client: Client, /, *, code: Secret, redirect_uri: str, verifier: Secret | None) -> HttpRequest:
        """See `exchange.build_exchange`."""
        return exchange.build_exchange(client, code=code, redirect_uri=redirect_uri, verifier=verifier)

    def read_grant(self, client: Client, response: HttpResponse, /, *, requested_scopes: Sequence[str], now: datetime) -> TokenOutcome:
        """See `exchange.read_grant`."""
        return exchange.read_grant(client, response, requested_scopes=requested_scopes, now=now)

    def build_refresh(
        self, client: Client, /, *, refresh_token: Secret, scopes: Sequence[str] = (), redirect_uri: str | None = None
    ) -> HttpRequest:
        """See `refresh.build_refresh`."""
        return refresh.build_refresh(client, refresh_token=refresh_token, scopes=scopes, redirect_uri=redirect_uri)

    def read_renewal(self, client: Client, response: HttpResponse, /, *, now: datetime) -> TokenOutcome:
        """See `refresh.read_renewal`."""
        return refresh.read_renewal(client, response, now=now)

    def build_revoke(self, client: Client, /, *, token: Secret, kind: Literal["refresh", "access"]) -> HttpRequest | None:
        """See `revoke.build_revoke`."""
        return revoke.build_revoke(client, token=token, kind=kind)

    def read_revocation(self, client: Client, response: HttpResponse, /) -> Literal["revoked", "failed"]:
        """See `revoke.read_revocation`."""
        return revoke.read_revocation(client, response)


STANDARD: OAuthBackend = StandardOAuthBackend()
