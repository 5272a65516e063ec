"""Pushed requests (RFC 9126) against an authorization server that is not ours, and that requires them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from cloud_integrations import (
    AesGcmCipher,
    Authorization,
    Catalogue,
    HttpxTransport,
    Integration,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Secret,
    Settings,
    SqlAlchemyStore,
)
from cloud_integrations.backends.sqlalchemy import sqlite_engine
from cloud_integrations.backends.sqlalchemy.migrate import upgrade
from cloud_integrations.errors import AppMisconfiguredError

from .authorization_server import AuthorizationServer, SignInStoppedError
from .real_server import provider_of, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TENANT = "acme"
METADATA = {"require_pushed_authorization_requests": True}


@pytest.fixture(scope="module")
def server() -> Iterator[AuthorizationServer]:
    with running_server(client_metadata=METADATA) as running:
        yield running


def manager_of(server: AuthorizationServer, store: SqlAlchemyStore, *secrets: str, **method: Any) -> IntegrationManager:
    provider = provider_of(server, **{"par_url": server.endpoints.pushed_authorization_request, **method})
    manager = IntegrationManager(
        store=store,
        transport=HttpxTransport(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(provider),
        applications=[OAuthApplication(provider=provider.id, client_id=server.client_id, client_secret=[*map(Secret, secrets)])],
        settings=Settings(callback_url="http://127.0.0.1/callback", loopback=True, token_cache=timedelta()),
    )
    [summary] = manager.list_providers()
    assert summary.redirect_uri is not None
    server.allow_redirect_uri(summary.redirect_uri)
    return manager


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlAlchemyStore]:
    engine = sqlite_engine(tmp_path / "integrations.db")
    upgrade(engine)
    yield SqlAlchemyStore(engine)
    engine.dispose()


def come_back(manager: IntegrationManager, server: AuthorizationServer, begun: Authorization, *, account: str) -> Integration:
    answer = parse_qsl(urlsplit(server.sign_in(begun.url, account=account)).query)
    ada = manager.acting_as("ada")
    return ada.complete_oauth(begun.context_id, answer, browser_token=begun.browser_token).integration


@pytest.mark.requirement("OAU-067")
def test_a_server_that_requires_pushed_requests_is_connected(server: AuthorizationServer, store: SqlAlchemyStore) -> None:
    # The first secret is not known at the server.
    with manager_of(server, store, "fake-secret-that-is-new", server.client_secret) as manager:
        ada = manager.acting_as("ada")
        begun = ada.begin_oauth(TENANT, "real_server", name="Pushed", scopes=("openid", "email", "read"))
        assert set(parse_qs(urlsplit(begun.url).query)) == {"client_id", "request_uri"}
        assert begun.open_before is not None
        assert begun.open_before < begun.expires_at
        integration = come_back(manager, server, begun, account="alice")
        assert integration.account.account_id == "alice"
        # The reference works once (RFC 9126 §4).
        with pytest.raises(SignInStoppedError):
            server.sign_in(begun.url)
        again = ada.begin_reconnect(TENANT, integration.id)
        assert come_back(manager, server, again, account="alice").id == integration.id
        ada.refresh(TENANT, integration.id)
        assert ada.verify(TENANT, integration.id).outcome == "alive"
        ada.delete(TENANT, integration.id)


def test_a_server_that_does_not_know_the_client_begins_nothing(server: AuthorizationServer, store: SqlAlchemyStore) -> None:
    with manager_of(server, store, "fake-secret-that-is-wrong") as manager, pytest.raises(AppMisconfiguredError) as caught:
        manager.acting_as("ada").begin_oauth(TENANT, "real_server", name="Pushed")
    assert caught.value.reason == "invalid_client"


def test_the_open_form_is_refused_by_the_server(server: AuthorizationServer, store: SqlAlchemyStore) -> None:
    """The server really requires it, so the first test was not a matter of luck."""
    with manager_of(server, store, server.client_secret, par_url=None) as manager:
        begun = manager.acting_as("ada").begin_oauth(TENANT, "real_server", name="Open")
        assert begun.open_before is None
        # The server sends the browser back with the error.
        assert parse_qs(urlsplit(server.sign_in(begun.url)).query)["error"] == ["invalid_request"]
