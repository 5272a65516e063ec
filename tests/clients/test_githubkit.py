"""The strategy for githubkit beyond what every client promises: errors, redirects, the other kind of method, requests with a body."""

from __future__ import annotations

import asyncio

import pytest

from cloud_integrations.errors import ConfigurationError, ReconnectRequiredError, ValidationFailedError

from .conftest import TENANT
from .packages import GITHUBKIT

pytestmark = pytest.mark.skipif(GITHUBKIT is None, reason="githubkit is in the session clients")


def blocking(world):
    from cloud_integrations.clients import githubkit_auth

    return GITHUBKIT.GitHub(githubkit_auth(world.manager, TENANT, "simulated"), base_url=world.api.url, ssl_verify=False)


def awaiting(world):
    from cloud_integrations.clients import async_githubkit_auth

    return GITHUBKIT.GitHub(async_githubkit_auth(world.awaiting, TENANT, "simulated"), base_url=world.api.url, ssl_verify=False)


def test_an_error_of_ours_is_the_cause_and_is_not_tried_again(world):
    from githubkit.exception import RequestError

    world.provider.revoke_grant()
    with pytest.raises(RequestError) as caught:
        blocking(world).request("GET", "/user")
    assert isinstance(caught.value.__cause__, ReconnectRequiredError)
    assert world.api.statuses == [401]


def test_a_body_is_sent_again_as_it_was(world):
    world.end_token()
    assert blocking(world).request("POST", "/gists", json={"public": False}).status_code == 200
    assert world.api.statuses == [401, 200]
    assert world.api.seen[0].body == world.api.seen[1].body != b""


def test_a_client_that_is_kept_open_sees_the_token_of_now(world):
    with blocking(world) as client:
        client.request("GET", "/user")
        world.end_token()
        client.request("GET", "/user")
    assert world.api.statuses == [200, 401, 200]


def test_a_redirect_to_another_server_carries_no_token(world, monkeypatch):
    from githubkit.exception import RequestFailed

    answers = world.api.answer

    def answer(method, path, headers, body):
        status, text = answers(method, path, headers, body)
        return (302, b"") if path == "/moved" else (status, text)

    world.api.redirect = f"http://localhost:{world.api.url.rpartition(':')[2]}/elsewhere"
    monkeypatch.setattr(world.api, "answer", answer)
    with pytest.raises(RequestFailed):
        blocking(world).request("GET", "/moved")
    assert [bool(token) for token in world.api.tokens] == [True, False]
    assert world.provider.refresh_count == 0


def test_a_strategy_for_blocking_methods_is_refused_in_awaited_ones(world):
    from githubkit.exception import RequestError

    with pytest.raises(RequestError) as caught:
        asyncio.run(blocking(world).arequest("GET", "/user"))
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert world.api.seen == []


def test_a_strategy_for_awaited_methods_is_refused_in_blocking_ones(world):
    from githubkit.exception import RequestError

    with pytest.raises(RequestError) as caught:
        awaiting(world).request("GET", "/user")
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert world.api.seen == []


@pytest.mark.parametrize("name", ["githubkit_auth", "async_githubkit_auth"])
def test_a_name_that_cannot_be_one_is_refused_at_once(world, name):
    from cloud_integrations import clients

    with pytest.raises(ValidationFailedError):
        getattr(clients, name)(world.awaiting if name.startswith("async") else world.manager, "", "github")
