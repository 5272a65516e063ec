"""Credentials of azure-core beyond what every client promises: resources, claims, and when a token ends."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations.domain.replacement import SHORTEST_WAIT
from cloud_integrations.errors import ValidationFailedError

from .conftest import TENANT
from .packages import AZURE

pytestmark = pytest.mark.skipif(AZURE is None, reason="this session has no azure-core")
SCOPE = "https://management.azure.com/.default"
CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1604106651"}}}'


def with_credential(world, monkeypatch, **changes):
    """Hand out a credential with *changes*."""
    found = world.manager.credential(TENANT, "simulated")
    monkeypatch.setattr(type(world.manager), "credential", lambda *_, **__: replace(found, **changes))


@pytest.fixture
def made(world):
    from cloud_integrations.clients import azure_credential

    return azure_credential(world.manager, TENANT, "simulated")


def test_it_is_what_azure_core_takes(world, made):
    from azure.core.credentials import SupportsTokenInfo, TokenCredential
    from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential

    from cloud_integrations.clients import async_azure_credential

    awaiting = async_azure_credential(world.awaiting, TENANT, "simulated")
    assert isinstance(made, TokenCredential)
    assert isinstance(made, SupportsTokenInfo)
    assert isinstance(awaiting, AsyncTokenCredential)
    assert isinstance(awaiting, AsyncSupportsTokenInfo)


def test_both_ways_give_the_token_and_its_end(world, made):
    credential = world.manager.credential(TENANT, "simulated")
    with made:
        token, info = made.get_token(SCOPE, tenant_id="ignored", enable_cae=True), made.get_token_info(SCOPE)
    assert token.token == info.token == credential.value.reveal()
    assert token.expires_on == info.expires_on == int(credential.expires_at.timestamp())
    assert isinstance(token.expires_on, int)


def test_both_awaited_ways_give_the_token(world):
    from cloud_integrations.clients import async_azure_credential

    async def inside():
        async with async_azure_credential(world.awaiting, TENANT, "simulated") as made:
            return (await made.get_token(SCOPE)).token, (await made.get_token_info(SCOPE, options={"claims": CLAIMS})).token

    first, second = asyncio.run(inside())
    assert first != second == world.token


def test_an_unknown_end_is_soon(world, made, monkeypatch):
    with_credential(world, monkeypatch, expires_at=None)
    assert 0 < made.get_token(SCOPE).expires_on - time.time() <= 300


def test_the_same_claims_renew_once(world, made):
    first = made.get_token(SCOPE).token
    second = made.get_token(SCOPE, claims=CLAIMS).token
    assert made.get_token(SCOPE).token == second != first
    assert made.get_token(SCOPE, claims=CLAIMS).token == second
    assert world.provider.refresh_count == 1


def test_other_claims_that_come_too_early_are_answered_later(world, made):
    other = '{"access_token": {"acrs": {"value": "c1"}}}'
    made.get_token(SCOPE)
    second = made.get_token(SCOPE, claims=CLAIMS).token
    assert made.get_token(SCOPE, claims=other).token == second
    assert world.provider.refresh_count == 1
    world.pass_(SHORTEST_WAIT)
    assert made.get_token(SCOPE, claims=other).token != second


def test_a_policy_does_not_repeat_a_request_with_the_token_that_was_refused(world, made):
    world.api.refuses = 100
    with pipeline(made, world.api.url) as client:
        assert [send(client, "GET", world.api.url) for _ in range(2)] == [401, 401]
    assert world.api.statuses == [401, 401, 401]
    assert world.provider.refresh_count == 1


def test_claims_are_answered_again_when_the_token_has_changed(world, made):
    made.get_token(SCOPE)
    made.get_token(SCOPE, claims=CLAIMS)
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)
    between = made.get_token(SCOPE).token
    assert made.get_token(SCOPE, claims=CLAIMS).token != between


def in_a_thread(call):
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def test_a_thread_whose_token_another_one_has_replaced_renews_nothing(world, made):
    made.get_token(SCOPE)
    second = in_a_thread(lambda: made.get_token(SCOPE, claims=CLAIMS)).token
    assert in_a_thread(lambda: made.get_token(SCOPE)).token == second
    assert made.get_token(SCOPE, claims=CLAIMS).token == second
    assert world.provider.refresh_count == 1


def test_claims_are_about_the_token_of_now_where_ones_own_has_ended(world, made, monkeypatch):
    """Threads share a client, and with it the token that another one has asked for."""
    with monkeypatch.context() as patched:
        with_credential(world, patched, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        made.get_token(SCOPE)
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)
    second = in_a_thread(lambda: made.get_token(SCOPE)).token
    assert made.get_token(SCOPE, claims=CLAIMS).token != second


@pytest.mark.parametrize(
    ("scopes", "asked"),
    [
        ((), SCOPE),
        (("openid", "https://management.azure.com/user_impersonation"), SCOPE),
        (("https://Management.azure.com/user_impersonation",), "https://management.azure.com//.default"),
        (("https://graph.microsoft.com/User.Read",), "https://graph.microsoft.com/.default"),
    ],
)
def test_scopes_of_the_tokens_resource_are_fine(world, made, monkeypatch, scopes, asked):
    with_credential(world, monkeypatch, scopes=scopes)
    assert made.get_token(asked).token


@pytest.mark.parametrize("scopes", [(), ("https://management.azure.com/user_impersonation",)])
@pytest.mark.parametrize("asked", ["https://vault.azure.net/.default", "https://management.usgovcloudapi.net/.default"])
def test_scopes_of_another_resource_are_an_error_that_names_both(world, made, monkeypatch, scopes, asked):
    with_credential(world, monkeypatch, scopes=scopes)
    with pytest.raises(ValidationFailedError) as caught:
        made.get_token(asked)
    assert caught.value.field == "scopes"
    assert asked.removesuffix("/.default") in str(caught.value)
    assert "https://management.azure.com" in str(caught.value)


def test_a_scope_without_a_resource_is_refused(made):
    with pytest.raises(ValidationFailedError, match="the resource none"):
        made.get_token("User.Read")


def test_another_cloud_is_named_by_the_host(world):
    from cloud_integrations.clients import azure_credential

    made = azure_credential(world.manager, TENANT, "simulated", audience="https://management.usgovcloudapi.net")
    assert made.get_token("https://management.usgovcloudapi.net/.default").token


def pipeline(made, url):
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy

    # As the clients of Azure take it.
    return PipelineClient(url, policies=[RetryPolicy(), BearerTokenCredentialPolicy(made, SCOPE)], per_retry_policies=[made.policy()])


def send(client, method, url, **options):
    from azure.core.rest import HttpRequest

    return client.send_request(HttpRequest(method, url, **options), enforce_https=False, connection_verify=False).status_code


def test_the_policy_sends_a_body_again_if_it_can_be(world, made):
    with pipeline(made, world.api.url) as client:
        assert send(client, "GET", world.api.url) == 200
        world.end_token()
        assert send(client, "PUT", world.api.url, content=b"fake body") == 200
        assert [seen.body for seen in world.api.seen][1:] == [b"fake body"] * 2
        world.end_token()
        assert send(client, "PUT", world.api.url, content=iter([b"fake stream"])) == 401
    assert (len(world.api.seen), world.provider.refresh_count) == (4, 1)


def test_a_token_that_azure_core_had_kept_is_not_renewed_again(world, made):
    with pipeline(made, world.api.url) as client:
        assert send(client, "GET", world.api.url) == 200
        first = world.end_token()
        world.manager.acting_as("ada").refresh(TENANT, world.integration.id)
        in_a_thread(lambda: made.get_token(SCOPE))
        made.get_token(SCOPE)
        before = world.provider.refresh_count
        assert send(client, "GET", world.api.url) == 200
    assert world.provider.refresh_count == before
    assert world.token != first


def test_a_thread_that_shares_a_client_heals_the_token_of_another(world, made):
    with pipeline(made, world.api.url) as client:
        assert in_a_thread(lambda: send(client, "GET", world.api.url)) == 200
        world.end_token()
        assert send(client, "GET", world.api.url) == 200
    assert world.provider.refresh_count == 1


def test_claims_of_an_earlier_request_do_not_keep_the_policy_from_healing(world, made):
    first = made.get_token(SCOPE).token
    made.get_token(SCOPE, claims=CLAIMS)
    with pipeline(made, world.api.url) as client:
        assert send(client, "GET", world.api.url) == 200
        world.pass_(SHORTEST_WAIT)
        world.end_token()
        assert send(client, "GET", world.api.url) == 200
    assert world.provider.refresh_count == 2
    assert world.token != first


def test_a_policy_names_where_its_credential_comes_from(world, made):
    assert "acme" in repr(made.policy())
    assert world.token not in repr(made.policy())
