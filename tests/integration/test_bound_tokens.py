"""Tokens that are bound to a key (DPoP, RFC 9449) against an authorization server that is not ours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from cloud_integrations import (
    AesGcmCipher,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Secret,
    Settings,
)
from cloud_integrations.backends.memory.store import MemoryStore

from .authorization_server import AuthorizationServer
from .real_server import provider_of, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT = "acme"


@pytest.fixture(scope="module", params=[False, True], ids=["without-nonces", "with-nonces"])
def server(request: pytest.FixtureRequest) -> Iterator[AuthorizationServer]:
    with running_server(client_metadata={"dpop_bound_access_tokens": True}, dpop_nonces=request.param) as running:
        yield running


@pytest.mark.requirement("OAU-068")
@pytest.mark.parametrize("pushed", [False, True], ids=["open", "pushed"])
def test_a_server_that_binds_tokens_is_connected(server: AuthorizationServer, pushed: bool) -> None:
    par_url = {"par_url": server.endpoints.pushed_authorization_request} if pushed else {}
    provider = provider_of(server, present={"sign": "dpop"}, **par_url)
    manager = IntegrationManager(
        store=MemoryStore(),
        transport=HttpxTransport(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(provider),
        applications=[OAuthApplication(provider=provider.id, client_id=server.client_id, client_secret=Secret(server.client_secret))],
        settings=Settings(callback_url="http://127.0.0.1/callback", loopback=True, token_cache=timedelta()),
    )
    with manager:
        [summary] = manager.list_providers()
        assert summary.redirect_uri is not None
        server.allow_redirect_uri(summary.redirect_uri)
        ada = manager.acting_as("ada")
        begun = ada.begin_oauth(TENANT, "real_server", name="Bound", scopes=("openid", "email", "read"))
        answer = parse_qsl(urlsplit(server.sign_in(begun.url, account="alice")).query)
        integration = ada.complete_oauth(begun.context_id, answer, browser_token=begun.browser_token).integration
        # The check has shown the token with a proof at an API of the server.
        assert integration.account.account_id == "alice"
        ada.refresh(TENANT, integration.id)
        assert ada.verify(TENANT, integration.id).outcome == "alive"
        token = ada.credential(TENANT, "real_server")
        with httpx.Client() as client:
            assert client.get(server.endpoints.userinfo, auth=token.auth()).json()["sub"] == "alice"
            # The token alone is refused, under either name.
            for scheme in ("DPoP", "Bearer"):
                alone = {"Authorization": f"{scheme} {token.value.reveal()}"}
                assert client.get(server.endpoints.userinfo, headers=alone).status_code in {400, 401}
        removal = ada.delete(TENANT, integration.id)
        assert removal.refresh_token == "revoked"
