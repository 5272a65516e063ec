"""A provider with nothing special, and what it takes to speak with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.outcome import Unknown
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.client import resolve_client
from cloud_integrations.protocol.exchange import read_grant
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.pkce import make_verifier
from cloud_integrations.protocol.refresh import read_renewal
from cloud_integrations.protocol.standard_backend import STANDARD

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STATE = Secret("fake-state-" + "s" * 43)
VERIFIER = make_verifier(bytes(range(32)))
REDIRECT = "https://app.example.com/oauth/callback/1"
OTHER = {"id": "other", "kind": "key", "inputs": [{"name": "token"}]}
"""A second way, of which rules can speak."""


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def make_client():
    """Return a function that configures a server: `provider` and `application` update the facts, the rest is the method's."""

    def make(*, provider=None, application=None, variables=None, **method):
        facts = {
            "id": "code",
            "kind": "code",
            "authorize_url": "https://login.example.com/authorize",
            "token_url": "https://login.example.com/token",
            **method,
        }
        known = Provider.model_validate({"id": "example", "name": "Example", "methods": [facts, OTHER], **(provider or {})})
        held = {"provider": "example", "client_id": "client-1", "client_secret": Secret("fake-client-secret"), **(application or {})}
        return resolve_client(known, known.methods[0], OAuthApplication(**held), variables or {}, backend=STANDARD)

    return make


@pytest.fixture
def answer(now):
    """Return a function that makes an answer out of a JSON value, or of bytes."""

    def make(body, /, *, status=200, content_type="application/json", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return HttpResponse(status=status, headers={name: value for name, value in named.items() if value}, body=content, sent_at=now)

    return make


@pytest.fixture
def tokens():
    """Return a function that makes the members of a usable answer; None takes one away."""

    def make(**members):
        usual = {"access_token": "fake-access", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "fake-refresh"}
        return {name: value for name, value in {**usual, **members}.items() if value is not ...}

    return make


UNUSABLE = Unknown("unusable_body")
HOUR = timedelta(hours=1)


@pytest.fixture
def read(make_client, now):
    """Return a function that reads an answer to an exchange; further arguments configure the provider."""

    def read(response, /, *, client=None, requested_scopes=("read", "write")):
        return read_grant(client or make_client(), response, requested_scopes=requested_scopes, now=now)

    return read


@pytest.fixture
def renew(make_client, now):
    def renew(response, /, *, client=None):
        return read_renewal(client or make_client(), response, now=now)

    return renew
