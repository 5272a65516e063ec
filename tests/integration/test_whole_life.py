"""The whole life of an OAuth2 integration against an authorization server that is not ours: over HTTP, on PostgreSQL."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit
from uuid import UUID

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from sqlalchemy import create_engine, text

from cloud_integrations import (
    Actor,
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Provider,
    Secret,
    Settings,
    SqlAlchemyStore,
)
from cloud_integrations.backends.sqlalchemy.migrate import upgrade
from cloud_integrations.errors import ReconnectRequiredError
from cloud_integrations_fastapi import Permission, create_router

from .authorization_server import AuthorizationServer
from .real_server import provider_of, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Engine

TENANT = "acme"
BEARER = "test-bearer-of-ada"


@pytest.fixture(scope="module")
def server() -> Iterator[AuthorizationServer]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def engine(postgresql_url: str) -> Iterator[Engine]:
    engine = create_engine(postgresql_url, hide_parameters=True)
    upgrade(engine)
    yield engine
    engine.dispose()


async def authorize(request: Request, permission: Permission, tenant_id: str | None) -> Actor | None:
    """Let one test user in, by a bearer token or by a session cookie, as a host would."""
    known = request.headers.get("authorization") == f"Bearer {BEARER}" or request.cookies.get("session") == BEARER
    return Actor(id="ada") if known and tenant_id in {None, TENANT} and permission else None


@dataclass(frozen=True, slots=True)
class Product:
    """The product under test, as its users reach it."""

    url: str
    desk: IntegrationManager
    """A second replica on the same database, by the other door."""
    provider: Provider

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"authorization": f"Bearer {BEARER}"},
            cookies={"session": BEARER},
            timeout=300,
            trust_env=False,
        )

    def credential(self) -> dict[str, Any]:
        """Have the product hand out the credential, as its own token route does."""
        with self.client() as client:
            [integration] = client.get(f"/tenants/{TENANT}/integrations").json()["data"]
            answer = client.post(f"/tenants/{TENANT}/integrations/{integration['id']}/token")
            assert answer.status_code == 200, answer.text
            return dict(answer.json()["data"])


@contextlib.contextmanager
def served(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        give_up = time.monotonic() + 300
        while not running.started:
            assert thread.is_alive()
            assert time.monotonic() < give_up
            time.sleep(0.01)
        yield
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def product(server: AuthorizationServer, engine: Engine) -> Iterator[Product]:
    provider = provider_of(server)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        common: dict[str, Any] = {
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(provider),
            "applications": [
                OAuthApplication(provider=provider.id, client_id=server.client_id, client_secret=Secret(server.client_secret))
            ],
            "settings": Settings(callback_url=f"{url}/api/v1/oauth/callback", loopback=True, token_cache=timedelta()),
        }
        manager = AsyncIntegrationManager(store=AsyncSqlAlchemyStore(engine), transport=AsyncHttpxTransport(), keys=keyring, **common)
        desk = IntegrationManager(store=SqlAlchemyStore(engine), transport=HttpxTransport(), keys=keyring, **common)
        [summary] = manager.list_providers()
        assert summary.redirect_uri is not None
        server.allow_redirect_uri(summary.redirect_uri)

        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            async with manager:
                yield

        app = FastAPI(lifespan=lifespan)
        app.include_router(create_router(manager, authorize=authorize, token_route=True, loopback=True))
        with served(app, listener), desk:
            yield Product(url=url, desk=desk, provider=provider)


def begin(product: Product, client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["data"]["authorizationUrl"])


def come_back(client: httpx.Client, callback: str) -> httpx.Response:
    parts = urlsplit(callback)
    return client.get(f"{parts.scheme}://{parts.netloc}{parts.path}", params=parts.query, headers={"accept": "application/json"})


def refreshes(server: AuthorizationServer, *, since: int = 0) -> int:
    return sum(1 for seen in server.requests()[since:] if seen.grant_type == "refresh_token" and seen.status == 200)


@pytest.mark.requirement("TST-06", "OAU-002", "OAU-008", "OAU-020")
def test_an_integration_lives_from_consent_to_removal(product: Product, server: AuthorizationServer, engine: Engine) -> None:
    earlier = len(server.requests())
    with product.client() as client:
        listed = f"/tenants/{TENANT}/integrations"
        new = {"providerId": str(product.provider.provider_id), "name": "Real server"}

        # Connect: PKCE, login and consent by plain forms, the callback with `iss`.
        url = begin(product, client, f"/tenants/{TENANT}/authorizations", new)
        arrived = come_back(client, server.sign_in(url, account="alice"))
        assert arrived.status_code == 200, arrived.text
        integration = arrived.json()["data"]
        assert integration["status"] == "active"
        [exchange] = [seen for seen in server.requests()[earlier:] if seen.grant_type == "authorization_code"]
        assert exchange.has_code_verifier
        detail = client.get(f"{listed}/{integration['id']}").json()["data"]
        assert detail["account"]["id"] == "alice"

        # Use and refresh with rotation.
        first = product.credential()
        verified = client.post(f"{listed}/{integration['id']}/verify")
        assert verified.json()["data"]["outcome"] == "alive", verified.text
        with engine.connect() as connection:
            spent = connection.execute(text("SELECT generation FROM ci_integration")).scalar_one()
        renewed = _refresh(product, integration["id"])
        assert renewed != first["value"]
        assert refreshes(server, since=earlier) == 1
        with engine.connect() as connection:
            assert connection.execute(text("SELECT generation FROM ci_integration")).scalar_one() == spent + 1

        # The next rotation spends the newest refresh token: nothing was reused, so the family lives.
        assert _refresh(product, integration["id"]) != renewed
        assert client.post(f"{listed}/{integration['id']}/verify").json()["data"]["outcome"] == "alive"

        # Reconnect keeps id and name.
        url = begin(product, client, f"{listed}/{integration['id']}/reconnect", {})
        again = come_back(client, server.sign_in(url, account="alice"))
        assert again.status_code == 200, again.text
        assert again.json()["data"]["id"] == integration["id"]
        last = product.credential()

        # Remove: the grant ends at the server too.
        assert client.delete(f"{listed}/{integration['id']}").json() == {"success": True}
        assert client.get(listed).json() == {"data": []}
        assert [seen.status for seen in server.requests()[earlier:] if seen.endpoint == "revocation"] == [200]
        gone = httpx.get(server.endpoints.userinfo, headers={"authorization": f"Bearer {last['value']}"}, trust_env=False)
        assert gone.status_code == 401
    report = product.desk.audit.verify(TENANT)
    assert report.whole
    assert report.checked > 10


@pytest.mark.requirement("OAU-023")
def test_a_refused_consent_connects_nothing(product: Product, server: AuthorizationServer) -> None:
    with product.client() as client:
        url = begin(
            product, client, f"/tenants/{TENANT}/authorizations", {"providerId": str(product.provider.provider_id), "name": "Refused"}
        )
        refused = come_back(client, server.deny(url))
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "integration/oauth-error"
        assert refused.json()["error"]["details"]["reason"] == "access_denied"
        assert client.get(f"/tenants/{TENANT}/integrations").json() == {"data": []}


@pytest.mark.requirement("OAU-014", "OAU-015", "OAU-016")
def test_a_callback_works_once_and_a_dead_grant_needs_a_reconnect(product: Product, server: AuthorizationServer) -> None:
    with product.client() as client:
        listed = f"/tenants/{TENANT}/integrations"
        url = begin(
            product, client, f"/tenants/{TENANT}/authorizations", {"providerId": str(product.provider.provider_id), "name": "Once only"}
        )
        callback = server.sign_in(url, account="bob")
        integration = come_back(client, callback).json()["data"]
        replayed = come_back(client, callback)
        assert replayed.status_code == 400
        assert replayed.json()["error"]["details"]["reason"] == "state_not_valid"

        # Somebody ends the grant at the server; the library finds out at the next refresh and says so.
        held = product.credential()
        ended = httpx.post(
            server.endpoints.revocation,
            data={"token": held["value"]},
            auth=_basic(server),
            trust_env=False,
        )
        assert ended.status_code == 200
        answer = client.post(f"{listed}/{integration['id']}/verify")
        assert answer.status_code == 409, answer.text
        assert answer.json()["error"]["code"] == "integration/reconnect-required"
        assert client.get(f"{listed}/{integration['id']}").json()["data"]["health"]["state"] == "reconnect_required"
        assert client.get(f"{listed}/{integration['id']}").json()["data"]["status"] == "inactive"

        # A new consent heals it.
        healed = come_back(client, server.sign_in(begin(product, client, f"{listed}/{integration['id']}/reconnect", {}), account="bob"))
        assert healed.json()["data"]["status"] == "active"
        assert client.post(f"{listed}/{integration['id']}/verify").json()["data"]["outcome"] == "alive"
        assert client.delete(f"{listed}/{integration['id']}").json() == {"success": True}


def test_a_spent_refresh_token_is_refused_by_the_server(product: Product, server: AuthorizationServer, engine: Engine) -> None:
    """The server really punishes reuse, so the rotation above was not a matter of luck."""
    with product.client() as client:
        listed = f"/tenants/{TENANT}/integrations"
        url = begin(
            product, client, f"/tenants/{TENANT}/authorizations", {"providerId": str(product.provider.provider_id), "name": "Reuse"}
        )
        integration = come_back(client, server.sign_in(url, account="carol")).json()["data"]
        with engine.begin() as connection:
            old = connection.execute(text("SELECT presented, renewal, generation FROM ci_integration")).one()
        _refresh(product, integration["id"])
        # A row put back from an old copy: its refresh token is spent.
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE ci_integration SET presented = :p, renewal = :r, generation = :g"),
                {"p": old.presented, "r": old.renewal, "g": old.generation},
            )
        refused = client.post(f"{listed}/{integration['id']}/verify")
        assert refused.json()["data"]["outcome"] == "alive"
        before = refreshes(server)
        with pytest.raises(ReconnectRequiredError):
            _refresh(product, integration["id"])
        assert refreshes(server) == before
        assert client.delete(f"{listed}/{integration['id']}").json() == {"success": True}


def _refresh(product: Product, integration_id: str) -> str:
    product.desk.acting_as("ada").refresh(TENANT, UUID(integration_id))
    return str(product.credential()["value"])


def _basic(server: AuthorizationServer) -> httpx.BasicAuth:
    return httpx.BasicAuth(quote_plus(server.client_id), quote_plus(server.client_secret))
