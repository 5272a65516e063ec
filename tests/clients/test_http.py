"""`auth=` of httpx, httpx2 and requests beyond what every client promises: bodies, redirects, signatures, and clients of the wrong kind."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from cloud_integrations import AesGcmCipher, Catalogue, ImportedKey, IntegrationManager, LocalKeyring, MemoryStore, Provider
from cloud_integrations.clients import AsyncHttpAuth, HttpAuth
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.testing import ProviderServer, SimulatedProvider, SimulatedTransport

from .conftest import TENANT, opened
from .packages import HTTPX, REQUESTS

PACKAGES = pytest.mark.parametrize("package", HTTPX.values(), ids=HTTPX)
WITH_REQUESTS = pytest.mark.skipif(REQUESTS is None, reason="this session has no requests")


def auth(world):
    return world.manager.auth(TENANT, "simulated")


@PACKAGES
def test_a_body_is_sent_again_if_it_can_be(world, package):
    with package.Client(auth=auth(world), verify=False) as client:
        world.end_token()
        assert client.post(world.api.url, content=b"fake body").status_code == 200
        assert [seen.body for seen in world.api.seen] == [b"fake body", b"fake body"]
        world.end_token()
        # A stream is sent as it comes, and not kept in memory; it cannot be sent again.
        assert client.post(world.api.url, content=iter([b"fake", b" stream"])).status_code == 401
        assert [seen.body for seen in world.api.seen][2:] == [b"fake stream"]
        assert client.post(world.api.url, content=iter([b"fake", b" stream"])).status_code == 401


@WITH_REQUESTS
def test_a_body_of_requests_is_sent_again_if_it_can_be(world):
    with REQUESTS.Session() as session:
        session.trust_env = False
        world.end_token()
        assert session.post(world.api.url, data="fake body", auth=auth(world)).status_code == 200
        assert [seen.body for seen in world.api.seen] == [b"fake body", b"fake body"]
        world.end_token()
        assert session.post(world.api.url, data=iter([b"fake", b" stream"]), auth=auth(world)).status_code == 401
        assert [seen.body for seen in world.api.seen][2:] == [b"fake stream"]


@WITH_REQUESTS
def test_the_answer_of_requests_tells_of_the_first_one(world):
    world.end_token()
    with REQUESTS.Session() as session:
        session.trust_env = False
        answer = session.get(world.api.url, auth=auth(world))
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert answer.request.headers["Authorization"] == f"Bearer {world.token}"


@pytest.fixture
def moved(world, monkeypatch):
    """A path of the API that leads to another server, which was never shown the token and refuses."""
    answers = world.api.answer

    def answer(method, path, headers, body):
        status, text = answers(method, path, headers, body)
        return (302, b"") if path == "/moved" else (status, text)

    world.api.redirect = f"http://localhost:{world.api.url.rpartition(':')[2]}/elsewhere"
    monkeypatch.setattr(world.api, "answer", answer)
    return f"{world.api.url}/moved"


def assert_unspent(world):
    """A 401 of a server that was never shown the token says nothing of it."""
    assert world.provider.refresh_count == 0
    assert world.api.tokens[1:] == [""]


@WITH_REQUESTS
def test_another_servers_refusal_after_a_redirect_spends_no_token(world, moved):
    with REQUESTS.Session() as session:
        session.trust_env = False
        assert session.get(moved, auth=auth(world)).status_code == 401
    assert_unspent(world)


@PACKAGES
def test_another_servers_refusal_after_a_redirect_of_httpx_spends_no_token(world, moved, package):
    with package.Client(auth=auth(world), verify=False, follow_redirects=True) as client:
        assert client.get(moved).status_code == 401
    assert_unspent(world)


@PACKAGES
def test_another_servers_refusal_after_an_awaited_redirect_spends_no_token(world, moved, package):
    async def inside():
        made = world.awaiting.auth(TENANT, "simulated")
        async with package.AsyncClient(auth=made, verify=False, follow_redirects=True) as client:
            assert (await client.get(moved)).status_code == 401

    asyncio.run(inside())
    assert_unspent(world)


@pytest.fixture
def moved_within(world, moved):
    """A path that leads to another one of the same server."""
    world.api.redirect = f"{world.api.url}/elsewhere"
    world.end_token()
    return moved


@PACKAGES
def test_a_redirect_within_the_server_changes_nothing(world, moved_within, package):
    with package.Client(auth=auth(world), verify=False, follow_redirects=True) as client:
        assert client.get(moved_within).status_code == 200
    assert [seen.path for seen in world.api.seen] == ["/moved", "/elsewhere", "/moved", "/elsewhere"]
    assert world.provider.refresh_count == 1


@WITH_REQUESTS
def test_a_refusal_after_a_redirect_of_requests_is_returned(world, moved_within):
    with REQUESTS.Session() as session:
        session.trust_env = False
        assert session.get(moved_within, auth=auth(world)).status_code == 401
    assert [seen.path for seen in world.api.seen] == ["/moved", "/elsewhere"]
    assert world.provider.refresh_count == 0


@PACKAGES
def test_a_blocking_value_in_an_awaiting_client_is_refused(world, package):
    async def inside():
        async with package.AsyncClient(auth=auth(world), verify=False) as client:
            with pytest.raises(ConfigurationError, match="AsyncIntegrationManager"):
                await client.get(world.api.url)

    asyncio.run(inside())
    assert world.api.seen == []


@PACKAGES
def test_an_awaiting_value_in_a_blocking_client_is_refused(world, package):
    made = world.awaiting.auth(TENANT, "simulated")
    with package.Client(auth=made, verify=False) as client, pytest.raises(ConfigurationError, match="AsyncClient"):
        client.get(world.api.url)
    assert world.api.seen == []


@WITH_REQUESTS
def test_an_awaiting_value_in_requests_is_refused(world):
    with pytest.raises(ConfigurationError, match="AsyncClient"):
        REQUESTS.get(world.api.url, auth=world.awaiting.auth(TENANT, "simulated"), timeout=5)


def test_a_value_is_of_the_classes_of_both_packages(world):
    made, awaiting = auth(world), world.awaiting.auth(TENANT, "simulated")
    assert isinstance(made, HttpAuth)
    assert isinstance(awaiting, AsyncHttpAuth)
    for package in HTTPX.values():
        assert isinstance(made, package.Auth)
        assert isinstance(awaiting, package.Auth)
    assert type(made) is type(auth(world))


def test_a_value_that_was_made_before_its_client_was_imported_says_so():
    """httpx takes any function as `auth`; without a word the 401 would not be answered."""
    program = """
import importlib
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring
from cloud_integrations.errors import ConfigurationError
provider = SimulatedProvider()
manager = IntegrationManager(store=MemoryStore(), transport=SimulatedTransport(provider), cipher=AesGcmCipher(),
    keys=LocalKeyring([LocalKeyring.generate_key("test")]), providers=Catalogue.of(*provider.catalogue_entries()))
made = manager.auth("acme", "simulated")
import sys
assert not {"httpx", "httpx2"} & sys.modules.keys()
client = importlib.import_module(sys.argv[1])
try:
    client.get("http://127.0.0.1:9", auth=made)
except ConfigurationError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program, next(iter(HTTPX))], capture_output=True, text=True, check=True)
    assert "import httpx first" in ran.stdout


# Tokens that are bound to a key (RFC 9449): each request is signed, and the server may ask for a nonce.


@pytest.fixture
def bound():
    provider = SimulatedProvider(auto_approve=True, dpop=True)
    with ProviderServer(provider) as server, opened(provider) as world:
        world.provider.dpop_nonce = "nonce-1"
        yield world, f"{server.url}/me"


def renewals(world):
    """How often the token was renewed; the first request of each was refused for its nonce."""
    return sum(request.endpoint == "refresh" and request.status == 200 for request in world.provider.requests)


@PACKAGES
def test_requests_are_signed_and_renewed(bound, package):
    world, url = bound
    with package.Client(auth=auth(world), verify=False) as client:
        assert client.get(url).status_code == 200
        world.end_token()
        assert client.get(url).status_code == 200
    assert renewals(world) == 1


@WITH_REQUESTS
def test_requests_of_requests_are_signed_and_renewed(bound):
    world, url = bound
    with REQUESTS.Session() as session:
        session.trust_env = False
        assert session.get(url, auth=auth(world)).status_code == 200
        world.end_token()
        assert session.get(url, auth=auth(world)).status_code == 200
    assert renewals(world) == 1


@PACKAGES
def test_awaited_requests_are_signed_and_renewed(bound, package):
    world, url = bound

    async def inside():
        async with package.AsyncClient(auth=world.awaiting.auth(TENANT, "simulated"), verify=False) as client:
            assert (await client.get(url)).status_code == 200
            world.end_token()
            assert (await client.get(url)).status_code == 200

    asyncio.run(inside())
    assert renewals(world) == 1


def test_what_a_signature_is_told_is_text(world):
    with pytest.raises(ValidationFailedError) as caught:
        world.manager.auth(TENANT, "simulated", region=5)
    assert caught.value.field == "region"


@PACKAGES
def test_a_key_in_the_query_stands_there_once(package):
    """A credential that is more than headers takes another way."""
    method = {"id": "key", "kind": "key", "inputs": [{"name": "key"}], "present": {"query": {"key": "{key}"}}}
    provider = Provider.model_validate({"id": "acme_maps", "name": "Acme Maps", "methods": [method]})
    manager = IntegrationManager(
        store=MemoryStore(),
        transport=SimulatedTransport(SimulatedProvider()),
        cipher=AesGcmCipher(),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        providers=Catalogue.of(provider),
    ).acting_as("ada")
    manager.import_credential(TENANT, ImportedKey(provider="acme_maps", name="Maps of Acme", api_key="fake-first-key"), verify=False)
    seen = []

    def answer(request):
        seen.append(str(request.url))
        return package.Response(200)

    with package.Client(auth=manager.auth(TENANT, "acme_maps"), transport=package.MockTransport(answer)) as client:
        client.get("https://maps.acme.example/tiles?x=1&key=stale")
    assert seen == ["https://maps.acme.example/tiles?x=1&key=fake-first-key"]
