"""openai, anthropic and mcp beyond what every client promises: functions as keys, streams, strange servers, the SDKs' own retries."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.errors import ConfigurationError, ProviderUnavailableError, ReconnectRequiredError, ValidationFailedError
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import TENANT
from .packages import ANTHROPIC, HTTPX, MCP, OPENAI
from .sdk_subjects import LIST

pytestmark = pytest.mark.skipif(None in (ANTHROPIC, MCP, OPENAI), reason="openai, anthropic and mcp are in the session clients")

HUGE = 5_000_000
"""Bytes of a refusal."""
DELTA = {"index": 0, "delta": {"content": "Hi"}}
CHUNK = json.dumps({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [DELTA]})
EVENTS = f"data: {CHUNK}\n\ndata: [DONE]\n\n".encode()
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def api(world):
    world.api.body = LIST
    return world.api


def openai(world, **options):
    http_client = OPENAI.DefaultHttpx2Client(auth=world.manager.auth(TENANT, "simulated"), verify=False)
    return OPENAI.OpenAI(api_key="held by the manager", base_url=world.api.url, http_client=http_client, **options)


def anthropic(world, provider="simulated", **options):
    from cloud_integrations.clients import anthropic_errors

    http_client = ANTHROPIC.DefaultHttpxClient(auth=world.manager.auth(TENANT, provider), follow_redirects=False, verify=False)
    return ANTHROPIC.Anthropic(
        **{"api_key": "", "middleware": [anthropic_errors], **options},
        base_url=world.api.url,
        default_headers={"Authorization": ANTHROPIC.Omit()},
        http_client=http_client,
    )


MAKERS = pytest.mark.parametrize("make", [openai, anthropic])


def renew(world):
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)


class Counting:
    """A manager that counts how often it is asked for a credential."""

    def __init__(self, manager):
        self.manager, self.asked = manager, 0

    def credential(self, *args, **named):
        self.asked += 1
        return self.manager.credential(*args, **named)


# A function in the place of a key.


def by_key(world, **options):
    from cloud_integrations.clients import api_key

    return OPENAI.OpenAI(api_key=api_key(world.manager, TENANT, "simulated"), base_url=world.api.url, **options)


def by_async_key(world):
    from cloud_integrations.clients import async_api_key

    return OPENAI.AsyncOpenAI(api_key=async_api_key(world.awaiting, TENANT, "simulated"), base_url=world.api.url)


def test_each_call_shows_the_key_of_now(world, api):
    first = world.token
    with by_key(world) as client:
        client.models.list()
        renew(world)
        client.models.list()
    assert api.tokens == [token_id(first), token_id(world.token)]


def test_each_awaited_call_shows_the_key_of_now(world, api):
    first = world.token

    async def inside():
        async with by_async_key(world) as client:
            await client.models.list()
            await world.awaiting.acting_as("ada").refresh(TENANT, world.integration.id)
            await client.models.list()

    asyncio.run(inside())
    assert len({token_id(first), *api.tokens}) == len(api.tokens) == 2


def test_each_call_with_a_function_is_one_use(world, api):
    from cloud_integrations.clients import api_key

    manager = Counting(world.manager)
    with OPENAI.OpenAI(api_key=api_key(manager, TENANT, "simulated"), base_url=api.url) as client:
        client.models.list()
        client.models.list()
    assert manager.asked == len(api.seen) == 2


def test_a_refused_key_is_reported_and_spends_no_renewal(world, api):
    world.end_token()
    with by_key(world) as client, pytest.raises(OPENAI.AuthenticationError):
        client.models.list()
    assert (api.statuses, world.provider.refresh_count) == ([401], 0)


def test_an_outage_reaches_the_caller_unchanged(world, api):
    world.provider.access_lifetime = timedelta(0)
    renew(world)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    with by_key(world) as client, pytest.raises(ProviderUnavailableError):
        client.models.list()
    assert api.seen == []


def test_a_revoked_grant_reaches_the_caller_unchanged(world, api):
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        renew(world)
    with by_key(world) as client, pytest.raises(ReconnectRequiredError):
        client.models.list()
    assert api.seen == []


def test_a_function_shows_no_key_cannot_be_pickled_and_is_its_own_copy(world):
    from cloud_integrations.clients import api_key, async_api_key

    for made in (api_key(world.manager, TENANT, "simulated"), async_api_key(world.awaiting, TENANT, "simulated")):
        assert world.token not in repr(made)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(made)
        assert copy.copy(made) is copy.deepcopy(made) is made


def test_a_function_refuses_an_event_loop_and_names_that_cannot_be(world):
    from cloud_integrations.clients import api_key, async_api_key

    async def inside():
        with pytest.raises(ConfigurationError, match=r"asyncio\.to_thread"):
            api_key(world.manager, TENANT, "simulated")()

    asyncio.run(inside())
    for make, manager in ((api_key, world.manager), (async_api_key, world.awaiting)):
        with pytest.raises(ValidationFailedError):
            make(manager, "", "simulated")


# Through the HTTP client.


@MAKERS
def test_an_error_of_ours_is_not_tried_again(world, api, make):
    world.end_token()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    with make(world, max_retries=5) as client, pytest.raises(ProviderUnavailableError):
        client.models.list()
    assert api.statuses == [401]


@MAKERS
def test_retries_of_the_sdk_do_not_renew(world, api, make):
    api.refusal = (503, {})
    api.refuses = 2
    with make(world, max_retries=2) as client:
        client._calculate_retry_timeout = lambda *_: 0
        client.models.list()
    assert (len(api.seen), world.provider.refresh_count) == (3, 0)


@MAKERS
def test_a_server_that_asks_for_another_try_of_a_401_gets_one_renewal(world, api, monkeypatch, make):
    """openai and anthropic obey the header, whatever the status; their pages say what to do."""
    handler = api._server.RequestHandlerClass
    send = handler.send_response

    def send_response(self, status):
        send(self, status)
        self.send_header("x-should-retry", "true")

    monkeypatch.setattr(handler, "send_response", send_response)
    api.refuses = 100
    with make(world, max_retries=0) as client, pytest.raises((OPENAI.AuthenticationError, ANTHROPIC.AuthenticationError)):
        client.models.list()
    assert (api.statuses, world.provider.refresh_count) == ([401, 401], 1)
    with make(world, max_retries=2) as client:
        client._calculate_retry_timeout = lambda *_: 0
        with pytest.raises((OPENAI.AuthenticationError, ANTHROPIC.AuthenticationError)):
            client.models.list()
    assert (api.statuses, world.provider.refresh_count) == ([401] * 8, 1), "each try repeats, and none renews"


@MAKERS
def test_a_huge_refusal_is_healed_and_reported_when_it_comes_twice(world, api, make):
    api.refusal = (401, {"error": "x" * HUGE})
    world.end_token()
    with make(world) as client:
        client.models.list()
        api.refuses = 2
        with pytest.raises((OPENAI.AuthenticationError, ANTHROPIC.AuthenticationError)):
            client.models.list()
    assert api.statuses == [401, 200, 401, 401]


def test_a_refused_stream_is_healed_before_its_first_event(world, api):
    api.body, api.content_type = EVENTS, "text/event-stream"
    world.end_token()
    with openai(world) as client:
        said = [chunk.choices[0].delta.content for chunk in client.chat.completions.create(**HELLO, stream=True)]
    assert (said, api.statuses) == (["Hi"], [401, 200])
    assert api.seen[0].body == api.seen[1].body


def test_a_refused_awaited_stream_is_healed_before_its_first_event(world, api):
    api.body, api.content_type = EVENTS, "text/event-stream"
    world.end_token()

    async def inside():
        http_client = OPENAI.DefaultAsyncHttpx2Client(auth=world.awaiting.auth(TENANT, "simulated"), verify=False)
        async with OPENAI.AsyncOpenAI(api_key="held by the manager", base_url=api.url, http_client=http_client) as client:
            return [chunk.choices[0].delta.content async for chunk in await client.chat.completions.create(**HELLO, stream=True)]

    assert asyncio.run(inside()) == ["Hi"]
    assert api.statuses == [401, 200]


@pytest.fixture
def moved(world, api, monkeypatch):
    """The API leads every request to another server."""
    answers = api.answer

    def answer(method, path, headers, body):
        status, text = answers(method, path, headers, body)
        return (302, b"") if path != "/elsewhere" else (status, text)

    api.redirect = f"http://localhost:{api.url.rpartition(':')[2]}/elsewhere"
    monkeypatch.setattr(api, "answer", answer)


@pytest.mark.usefixtures("moved")
def test_a_redirect_to_another_server_carries_no_credential(world, api):
    with openai(world, max_retries=0) as client, pytest.raises(OPENAI.AuthenticationError):
        client.models.list()
    assert [bool(token) for token in api.tokens] == [True, False]
    assert world.provider.refresh_count == 0


@pytest.fixture
def with_key(world):
    key = world.provider.issue_api_key()
    named = ImportedKey(provider="simulated_keys", name="Keys of Acme", api_key=key)
    world.manager.acting_as("ada").import_credential(TENANT, named, verify=False)
    return key.reveal()


@pytest.mark.usefixtures("moved")
def test_anthropic_follows_no_redirect_with_a_key(world, api, with_key):
    with anthropic(world, "simulated_keys", max_retries=0) as client, pytest.raises(ANTHROPIC.APIStatusError):
        client.models.list()
    assert api.tokens == [token_id(with_key)]


def test_anthropic_shows_no_credential_of_the_environment(world, api, with_key, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "fake-key-of-the-host")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "fake-token-of-the-host")
    # The API takes a bearer token first.
    with anthropic(world, "simulated_keys") as client:
        client.models.list()
    assert (api.tokens, api.statuses) == ([token_id(with_key)], [200])


def test_other_errors_of_anthropic_stay_what_they_are(world):
    with anthropic(world, max_retries=0) as client, pytest.raises(ANTHROPIC.APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:9").models.list()


def test_without_the_middleware_ours_is_the_cause(world, api):
    world.provider.revoke_grant()
    with anthropic(world, middleware=[], max_retries=0) as client, pytest.raises(ANTHROPIC.APIConnectionError) as caught:
        client.models.list()
    assert isinstance(caught.value.__cause__, ReconnectRequiredError)


# A server of mcp.


@contextmanager
def mcp_server(world):
    """A server with one tool behind a check of the token; gives its URL and what came."""
    import uvicorn
    from mcp.server import MCPServer

    server = MCPServer("things")

    @server.tool()
    def double(number: int) -> int:
        return 2 * number

    app, seen = server.streamable_http_app(), []

    async def checked(scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            alive = world.provider.handle("GET", "/me", headers={"authorization": headers.get("authorization", "")}).status == 200
            seen.append(200 if alive else 401)
            if not alive:
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    running = uvicorn.Server(uvicorn.Config(checked, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/mcp", seen
    finally:
        running.should_exit = True
        thread.join()


def test_a_session_of_mcp_goes_on_when_its_token_ends(world):
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def inside(url, seen):
        auth = world.awaiting.auth(TENANT, "simulated")
        async with (
            HTTPX["httpx2"].AsyncClient(auth=auth, verify=False) as http_client,
            Client(streamable_http_client(url, http_client=http_client)) as client,
        ):
            first = await client.call_tool("double", {"number": 1})
            await asyncio.to_thread(world.end_token)
            second = await client.call_tool("double", {"number": 2})
            assert 401 in seen
            return [answer.content[0].text for answer in (first, second)]

    with mcp_server(world) as (url, seen):
        assert asyncio.run(inside(url, seen)) == ["2", "4"]
    assert world.provider.refresh_count == 1


def test_mcp_raises_our_error_in_a_group(world):
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    world.provider.revoke_grant()

    async def inside():
        auth = world.awaiting.auth(TENANT, "simulated")
        async with (
            HTTPX["httpx2"].AsyncClient(auth=auth, verify=False) as http_client,
            Client(streamable_http_client(world.api.url, http_client=http_client)),
        ):
            raise AssertionError

    with pytest.raises(BaseExceptionGroup) as caught:
        asyncio.run(inside())
    assert caught.group_contains(ReconnectRequiredError)
