"""A session's `auth=` in httpx, httpx2 and requests: it attaches, it refuses, and it lets nobody see what it attached."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud_integrations import Actor, AesGcmCipher, Catalogue, ImportedKey, IntegrationManager, LocalKeyring, MemoryStore, Provider
from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import ConfigurationError, ReconnectRequiredError, SessionRefusedError
from cloud_integrations.testing import ProviderServer, SimulatedProvider, SimulatedTransport

from .conftest import TENANT, opened
from .packages import HTTPX, REQUESTS

BOT = Actor(type="agent", id="bot")


def host_of(url):
    return url.partition("://")[2].partition("/")[0]


class Client:
    """One HTTP client with a session's `auth=`, blocking for the test whichever it is."""

    def __init__(self, name):
        self.name = name
        self._package = HTTPX.get(name.removeprefix("async-"))

    def session(self, world, url=None, provider="simulated", **named):
        manager = world.awaiting if self.name.startswith("async-") else world.manager
        call = manager.acting_as(BOT).sessions.open(
            TENANT, on_behalf_of="ada", providers=[provider], hosts=[host_of(url or world.api.url)], **named
        )
        return asyncio.run(call) if self.name.startswith("async-") else call

    def send(self, session, url, method="GET", provider="simulated", **named):
        """Send one request, following redirects, and return the response."""
        if self.name.startswith("async-"):
            return asyncio.run(self._awaited(session, url, method, provider, named))
        auth = session.auth(provider)
        if self._package is None:
            with REQUESTS.Session() as client:
                client.trust_env = False
                return client.request(method, url, auth=auth, **named)
        with self._package.Client(auth=auth, verify=False, follow_redirects=True) as client:
            return client.request(method, url, **named)

    async def _awaited(self, session, url, method, provider, named):
        async with self._package.AsyncClient(auth=session.auth(provider), verify=False, follow_redirects=True) as client:
            return await client.request(method, url, **named)


NAMES = [*HTTPX, *(f"async-{name}" for name in HTTPX), *(["requests"] if REQUESTS is not None else [])]


@pytest.fixture(params=NAMES)
def client(request):
    return Client(request.param)


def shown(response):
    """All that a response and the requests that led to it show by ordinary use."""
    each = [response, *response.history]
    requests = [one.request for one in each]
    hooks = [hook for request in requests for hook in getattr(request, "hooks", {}).get("response", [])]
    assert not any(isinstance(part, Credential) for hook in hooks for part in getattr(hook, "args", ()))
    return repr(
        [(str(one.url), list(one.headers.items()), str(one.request.url), list(one.request.headers.items())) for one in each]
    ) + repr([getattr(request.headers, "raw", None) for request in requests])


def test_the_request_has_the_credential_and_nobody_sees_it_afterwards(world, client, caplog):
    caplog.set_level(logging.DEBUG)
    token = world.token
    response = client.send(client.session(world), f"{world.api.url}/files?x=1")
    assert response.status_code == 200
    assert world.api.statuses == [200]
    assert token not in shown(response) + caplog.text
    assert str(response.url) == f"{world.api.url}/files?x=1"


def test_a_401_is_healed_once_and_the_second_is_the_answer(world, client):
    session = client.session(world)
    first = world.end_token()
    response = client.send(session, world.api.url)
    assert response.status_code == 200
    assert world.api.statuses == [401, 200]
    world.api.refuses = 9
    again = client.send(session, world.api.url)
    assert again.status_code == 401
    assert len(world.api.seen) == 4
    assert not {first, world.token} & set(shown(response) + shown(again))
    for secret in (first, world.token):
        assert secret not in shown(response) + shown(again)


def test_what_the_session_does_not_allow_is_not_sent(world, client):
    session = client.session(world)
    for url, method, provider, reason in (
        (world.api.url, "POST", "simulated", "method"),
        (f"http://localhost:{world.api.url.rpartition(':')[2]}", "GET", "simulated", "host"),
        ("http://evil.example", "GET", "simulated", "scheme"),
        (world.api.url, "GET", "simulated_keys", "provider"),
    ):
        with pytest.raises(SessionRefusedError) as caught:
            client.send(session, url, method, provider)
        assert caught.value.reason == reason
    with pytest.raises(SessionRefusedError):
        client.send(session, world.api.url, headers={"Host": "evil.example"})
    with pytest.raises(SessionRefusedError):
        client.send(session, world.api.url, headers={"X-HTTP-Method-Override": "DELETE"})
    assert world.api.seen == []


def test_a_revoked_session_sends_nothing_more(world, client):
    session = client.session(world)
    revoked = session.revoke()
    if revoked is not None:
        asyncio.run(revoked)
    with pytest.raises(SessionRefusedError) as caught:
        client.send(session, world.api.url)
    assert caught.value.reason == "revoked"
    assert world.api.seen == []


@pytest.fixture(params=["127.0.0.1", "localhost"])
def moved(world, monkeypatch, request):
    """A path that leads to another path of the same server, or to another server."""
    answers = world.api.answer

    def answer(method, path, headers, body):
        status, text = answers(method, path, headers, body)
        return (302, b"") if path == "/moved" else (status, text)

    world.api.redirect = f"http://{request.param}:{world.api.url.rpartition(':')[2]}/elsewhere"
    monkeypatch.setattr(world.api, "answer", answer)
    return f"{world.api.url}/moved"


def test_a_redirect_does_not_carry_the_credential_on(world, client, moved):
    token = world.token
    response = client.send(client.session(world), moved)
    assert response.status_code == 401
    assert [(seen.path, bool(seen.token)) for seen in world.api.seen] == [("/moved", True), ("/elsewhere", False)]
    # The answer says nothing of a credential that was not shown.
    assert world.provider.refresh_count == 0
    assert token not in shown(response)


@pytest.fixture
def keyed(world):
    """The same world, whose provider takes its key in a header of its own, or in the query."""

    def made(present):
        method = {"id": "key", "kind": "key", "inputs": [{"name": "key"}], "present": present}
        provider = Provider.model_validate({"id": "acme_maps", "name": "Acme Maps", "loopback": True, "methods": [method]})
        manager = IntegrationManager(
            store=MemoryStore(),
            transport=SimulatedTransport(SimulatedProvider()),
            cipher=AesGcmCipher(),
            keys=LocalKeyring([LocalKeyring.generate_key("test")]),
            providers=Catalogue.of(provider),
        )
        key = world.provider.valid_api_key
        manager.acting_as("ada").import_credential(
            TENANT, ImportedKey(provider="acme_maps", name="Maps of Acme", api_key=key), verify=False
        )
        named = {"on_behalf_of": "ada", "providers": ["acme_maps"], "hosts": [host_of(world.api.url)]}
        return key.reveal(), manager.acting_as(BOT).sessions.open(TENANT, **named)

    return made


BLOCKING = pytest.mark.parametrize("client", [name for name in NAMES if not name.startswith("async-")], indirect=True)


@BLOCKING
def test_a_redirect_does_not_carry_a_header_on_that_the_client_would_copy(world, client, moved, keyed):
    key, session = keyed({"headers": {"X-Api-Key": "{key}"}})
    response = client.send(session, moved, provider="acme_maps", headers={"X-Api-Key": "stale", "X-Other": "kept"})
    assert [(seen.path, bool(seen.token)) for seen in world.api.seen] == [
        ("/moved", True),
        ("/elsewhere", "stale" in str(response.request.headers)),
    ]
    assert key not in shown(response)
    assert response.request.headers["X-Other"] == "kept"


@BLOCKING
def test_a_key_in_the_query_is_not_in_the_response(world, client, keyed):
    key, session = keyed({"query": {"key": "{key}"}})
    paths = []
    world.api.answer = lambda _method, path, *_: (paths.append(path), (200, b"{}"))[1]
    response = client.send(session, f"{world.api.url}/tiles?x=1", provider="acme_maps")
    assert paths == [f"/tiles?x=1&key={key}"]
    assert key not in shown(response)
    assert str(response.url).endswith("/tiles?x=1")


@pytest.fixture
def bound():
    provider = SimulatedProvider(auto_approve=True, dpop=True)
    with ProviderServer(provider) as server, opened(provider) as world:
        world.provider.dpop_nonce = "nonce-1"
        yield world, f"{server.url}/me"


def test_requests_are_signed_and_renewed(bound, client):
    world, url = bound
    session = client.session(world, url)
    for _ in range(2):
        response = client.send(session, url)
        assert response.status_code == 200
        assert world.token not in shown(response)
        assert "dpop" not in {name.lower() for name in response.request.headers}
        world.end_token()


def test_a_request_that_does_not_arrive_is_left_without_the_credential(world, client):
    session = client.session(world, "http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"refused|failed|establish") as caught:
        client.send(session, "http://127.0.0.1:9/")
    headers = caught.value.request.headers
    if client.name != "requests":  # which has no way to be told of it
        assert world.token not in repr((list(headers.items()), headers.raw))


def test_an_end_of_the_grant_is_what_it_is(world, client):
    session = client.session(world)
    world.end_token()
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        client.send(session, world.api.url)


@BLOCKING
def test_ten_threads_use_one_session(world, client):
    session = client.session(world)
    world.end_token()
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: client.send(session, world.api.url).status_code, range(10)))
    assert answers == [200] * 10
    assert world.provider.refresh_count == 1


def test_an_awaiting_session_in_a_blocking_client_is_refused(world):
    session = asyncio.run(
        world.awaiting.acting_as(BOT).sessions.open(TENANT, on_behalf_of="ada", providers=["simulated"], hosts=[host_of(world.api.url)])
    )
    for package in HTTPX.values():
        with package.Client(auth=session.auth("simulated")) as client, pytest.raises(ConfigurationError):
            client.get(world.api.url)


def test_a_blocking_session_in_an_event_loop_is_refused(world):
    session = world.manager.acting_as(BOT).sessions.open(
        TENANT, on_behalf_of="ada", providers=["simulated"], hosts=[host_of(world.api.url)]
    )

    async def inside(package):
        async with package.AsyncClient(auth=session.auth("simulated")) as client:
            await client.get(world.api.url)

    for package in HTTPX.values():
        with pytest.raises(ConfigurationError, match="event loop"):
            asyncio.run(inside(package))
