"""Rotation of the client secret against an authorization server that is not ours: no tenant notices, or all of them are spared."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations import (
    AesGcmCipher,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    OAuthApplication,
    Secret,
    Settings,
)
from cloud_integrations.errors import AppMisconfiguredError

from .authorization_server import AuthorizationServer
from .real_server import provider_of, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

ACME, GLOBEX = "acme", "globex"
WRONG = "fake-secret-that-the-server-does-not-know"


@pytest.fixture(scope="module")
def server() -> Iterator[AuthorizationServer]:
    with running_server() as running:
        yield running


class Replicas:
    """Managers over one store, each with its own list of client secrets."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server
        self._store = MemoryStore()
        self._keys = LocalKeyring([LocalKeyring.generate_key("test")])

    def open(self, *secrets: str) -> IntegrationManager:
        provider = provider_of(self._server)
        return IntegrationManager(
            store=self._store,
            transport=HttpxTransport(),
            keys=self._keys,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(provider),
            applications=[OAuthApplication(provider=provider.id, client_id=self._server.client_id, client_secret=[*map(Secret, secrets)])],
            settings=Settings(callback_url="http://127.0.0.1/callback", loopback=True, token_cache=timedelta()),
        )

    def connect(self, tenant: str) -> UUID:
        """Connect *tenant* while the list has the server's secret alone."""
        with self.open(self._server.client_secret) as manager:
            [summary] = manager.list_providers()
            assert summary.redirect_uri is not None
            self._server.allow_redirect_uri(summary.redirect_uri)
            ada = manager.acting_as("ada")
            begun = ada.begin_oauth(tenant, "real_server", name="Rotated", scopes=("openid", "email", "read"))
            answer = parse_qsl(urlsplit(self._server.sign_in(begun.url, account="alice")).query)
            return ada.complete_oauth(begun.context_id, answer, browser_token=begun.browser_token).integration.id


def refreshes(server: AuthorizationServer, *, since: int) -> list[str | None]:
    """Return the error of each refresh, None for a success; a client that was not proved has no grant type."""
    return [seen.error for seen in server.requests()[since:] if seen.endpoint == "token"]


@pytest.mark.requirement("OAU-070")
def test_a_refresh_goes_on_when_the_server_knows_only_the_second_secret(server: AuthorizationServer) -> None:
    replicas = Replicas(server)
    ids = {tenant: replicas.connect(tenant) for tenant in (ACME, GLOBEX)}
    since = len(server.requests())
    with replicas.open(WRONG, server.client_secret) as manager:
        ada = manager.acting_as("ada")
        for tenant, integration in ids.items():
            ada.refresh(tenant, integration)
            assert ada.verify(tenant, integration).outcome == "alive"
            assert ada.get_integration(tenant, integration).status == "active"
    # The process remembers which secret works.
    assert refreshes(server, since=since) == ["invalid_client", None, None]


@pytest.mark.requirement("OAU-070")
def test_without_a_valid_secret_the_application_is_refused_and_the_grant_stays(server: AuthorizationServer) -> None:
    replicas = Replicas(server)
    ids = {tenant: replicas.connect(tenant) for tenant in (ACME, GLOBEX)}
    with replicas.open(WRONG, f"{WRONG}-either") as manager:
        ada = manager.acting_as("ada")
        for tenant, integration in ids.items():
            with pytest.raises(AppMisconfiguredError) as caught:
                ada.refresh(tenant, integration)
            assert caught.value.reason == "invalid_client"
            assert ada.get_integration(tenant, integration).status == "active"
    # The next start has the right secret: the grants were spared.
    with replicas.open(server.client_secret) as manager:
        ada = manager.acting_as("ada")
        for tenant, integration in ids.items():
            ada.refresh(tenant, integration)
            assert ada.verify(tenant, integration).outcome == "alive"
