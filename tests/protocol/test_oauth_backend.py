from __future__ import annotations

import inspect

import pytest

from cloud_integrations.domain.outcome import Granted
from cloud_integrations.protocol.client import OAuthBackend
from cloud_integrations.protocol.guarded_backend import GuardedBackend
from cloud_integrations.protocol.pkce import make_verifier
from cloud_integrations.protocol.standard_backend import STANDARD, StandardOAuthBackend

from .conftest import STATE


def test_the_standard_backend_promises_what_the_protocol_asks():
    names = [name for name in vars(OAuthBackend) if name.startswith(("build_", "read_"))]
    assert len(names) == 8
    for name in names:
        assert inspect.signature(getattr(StandardOAuthBackend, name)) == inspect.signature(getattr(OAuthBackend, name))


@pytest.mark.parametrize("backend", [STANDARD, GuardedBackend("standard", STANDARD)], ids=["plain", "guarded"])
def test_a_whole_life_goes_through_the_backend(backend, make_client, answer, tokens, now):
    client = make_client(revoke={"url": "https://login.example.com/revoke"})
    verifier = make_verifier(bytes(32))
    redirect_uri = "https://app.example.com/cb"

    assert backend.build_authorize(client, state=STATE, redirect_uri=redirect_uri, scopes=["a"], verifier=verifier).startswith("https://")
    came_back = backend.read_callback(client, [("state", STATE.reveal()), ("code", "fake-code")], issuer=None)
    request = backend.build_exchange(client, code=came_back.code, redirect_uri=redirect_uri, verifier=verifier)
    assert b"fake-code" in request.body
    granted = backend.read_grant(client, answer(tokens()), requested_scopes=["a"], now=now)
    assert isinstance(granted, Granted)
    request = backend.build_refresh(client, refresh_token=granted.grant.refresh_token)
    assert b"fake-refresh" in request.body
    assert isinstance(backend.read_renewal(client, answer(tokens()), now=now), Granted)
    assert backend.build_revoke(client, token=granted.grant.access_token, kind="access") is not None
    assert backend.read_revocation(client, answer({})) == "revoked"
