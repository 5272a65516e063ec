"""An OAuth backend, and the provider that it speaks with: signed requests with names of its own, answers that are wrapped in a text."""

from __future__ import annotations

import hashlib
import hmac
import json
import tomllib
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from cloud_integrations import OAuthApplication, Provider, Secret
from cloud_integrations.oauth import Client, HttpRequest, HttpResponse, StandardOAuthBackend, TokenOutcome, find_json_object

PROVIDER = Provider.model_validate(
    tomllib.loads("""
    id = "acme"
    name = "Acme"
    backend = "acme"

    [[methods]]
    id = "oauth2"
    kind = "code"
    authorize_url = "https://login.acme.example/authorize"
    token_url = "https://api.acme.example/tokens"
    client_auth = ["post"]
    refresh_token = { rotates = "always" }
    reply = { map = { access_token = "accessKey", refresh_token = "renewalKey", expires_in = "lifeSeconds" } }
    revoke = { url = "https://api.acme.example/tokens/end", param = "key", kills = "token" }

    [[error_rules]]
    at = "token"
    path = "failure"
    equals = "KEY_GONE"
    class = "reauthorize"
    """)
)
APPLICATION = OAuthApplication(provider="acme", client_id="client-1", client_secret="fake-signing-secret")
_NAMES = {"grant_type": "operation", "code": "authCode", "refresh_token": "renewalKey", "client_id": "client"}


class AcmeBackend(StandardOAuthBackend):
    """The standard's requests as signed JSON; what Acme answers is a JSON text inside a JSON object."""

    def build_exchange(self, client: Client, /, **asked: Any) -> HttpRequest:
        """Sign the request that spends a code."""
        return _signed(client, super().build_exchange(client, **asked))

    def build_refresh(self, client: Client, /, **asked: Any) -> HttpRequest:
        """Sign the request that spends a refresh token."""
        return _signed(client, super().build_refresh(client, **asked))

    def build_revoke(self, client: Client, /, **asked: Any) -> HttpRequest | None:
        """Sign the request that ends a token."""
        request = super().build_revoke(client, **asked)
        return None if request is None else _signed(client, request)

    def read_grant(self, client: Client, response: HttpResponse, /, **known: Any) -> TokenOutcome:
        """Read what is wrapped in the answer to a code."""
        return super().read_grant(client, _unwrapped(response), **known)

    def read_renewal(self, client: Client, response: HttpResponse, /, **known: Any) -> TokenOutcome:
        """Read what is wrapped in the answer to a refresh token."""
        return super().read_renewal(client, _unwrapped(response), **known)


def _signed(client: Client, request: HttpRequest) -> HttpRequest:
    fields = {_NAMES.get(name, name): value for name, value in parse_qsl(request.body.decode()) if name != "client_secret"}
    body = json.dumps(fields).encode()
    assert client.application.client_secret is not None
    signature = hmac.new(client.application.client_secret.reveal().encode(), body, hashlib.sha256).hexdigest()
    return replace(request, body=body, headers={**request.headers, "Content-Type": "application/json", "X-Acme-Signature": signature})


def _unwrapped(response: HttpResponse) -> HttpResponse:
    wrapped = (find_json_object(response.body) or {}).get("payload")
    return replace(response, body=wrapped.encode(errors="replace")) if isinstance(wrapped, str) else response


class AcmeServer:
    """Acme itself: every renewal brings a new pair of keys, and the old renewal key is of no use any more."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.bodies: list[bytes] = []
        self._count = 0

    def sign_in(self, url: str) -> str:
        """Be the person who agrees; return the query that comes to the callback."""
        asked = parse_qs(urlsplit(url).query)
        self.alive.add("fake-code-of-acme")
        return urlencode({"state": asked["state"][0], "code": "fake-code-of-acme"})

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        assert APPLICATION.client_secret is not None
        signature = hmac.new(APPLICATION.client_secret.reveal().encode(), request.body, hashlib.sha256).hexdigest()
        if request.headers.get("X-Acme-Signature") != signature:
            return _wrapped({"failure": "BAD_SIGNATURE"}, status=401)
        self.bodies.append(request.body)
        asked = json.loads(request.body)
        spent = asked.get("authCode") or asked.get("renewalKey") or asked.get("key")
        if spent not in self.alive:
            return _wrapped({"failure": "KEY_GONE"}, status=400)
        self.alive.discard(spent)
        return _wrapped({}) if "key" in asked else _wrapped(self._keys())

    def _keys(self) -> dict[str, Any]:
        self._count += 1
        keys = {"accessKey": f"fake-access-key-{self._count}", "renewalKey": f"fake-renewal-key-{self._count}"}
        self.alive |= set(keys.values())
        return {**keys, "lifeSeconds": 3600}


def _wrapped(payload: dict[str, Any], *, status: int = 200) -> HttpResponse:
    body = json.dumps({"payload": json.dumps(payload)}).encode()
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=body)


class AcmeTransport:
    """Reaches the server without a network."""

    def __init__(self, server: AcmeServer) -> None:
        self.server = server

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request*."""
        del deadline
        return self.server.answer(request)

    def close(self) -> None:
        """Do nothing."""


class AsyncAcmeTransport(AcmeTransport):
    """The same, awaited."""

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:  # type: ignore[override]  # another colour
        """Send *request*."""
        return super().send(request, deadline=deadline)

    async def close(self) -> None:  # type: ignore[override]  # as above
        """Do nothing."""


def granted(access: Secret, refresh: Secret) -> HttpResponse:
    """Return the answer that brings these."""
    return _wrapped({"accessKey": access.reveal(), "renewalKey": refresh.reveal(), "lifeSeconds": 3600})


def refused() -> HttpResponse:
    """Return the answer that a renewal key is gone."""
    return _wrapped({"failure": "KEY_GONE"}, status=400)
