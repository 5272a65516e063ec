"""Credentials of google-auth beyond what every client promises: what Google's libraries read of them, projects, and refusals in a row."""

from __future__ import annotations

import asyncio
from datetime import UTC

import pytest

from cloud_integrations.domain.replacement import SHORTEST_WAIT
from cloud_integrations.testing import token_id

from .conftest import TENANT
from .packages import GOOGLE, REQUESTS
from .subjects import ASYNC_GOOGLE

pytestmark = pytest.mark.skipif(GOOGLE is None or REQUESTS is None, reason="this session has no google-auth with requests")
AWAITING = pytest.mark.skipif(not ASYNC_GOOGLE, reason="this session has no google-auth that refreshes awaited")


@pytest.fixture
def made(world):
    from cloud_integrations.clients import google_credentials

    return google_credentials(world.manager, TENANT, "simulated")


def send(made, url):
    from google.auth.transport.requests import AuthorizedSession

    with AuthorizedSession(made) as session:
        session.trust_env = False
        return session.get(url).status_code


def test_what_the_libraries_read_is_what_works_now(world, made):
    credential = world.manager.credential(TENANT, "simulated")
    assert made.token == credential.value.reveal()
    assert made.expiry.tzinfo is None
    assert made.expiry.replace(tzinfo=UTC) == credential.expires_at
    assert (made.valid, made.expired, made.token_state.name) == (True, False, "FRESH")


@pytest.mark.parametrize("name", ["token", "expiry"])
def test_nobody_else_sets_token_or_expiry(made, name):
    with pytest.raises(AttributeError, match="the manager's"):
        setattr(made, name, "fake")


def test_an_unknown_end_is_none(world, made, monkeypatch):
    from dataclasses import replace

    credential = replace(world.manager.credential(TENANT, "simulated"), expires_at=None)
    monkeypatch.setattr(type(made._source), "credential", lambda _: credential)
    assert made.expiry is None


def test_scopes_are_those_of_the_grant(made):
    from google.auth.credentials import with_scopes_if_required

    assert with_scopes_if_required(made, ["https://www.googleapis.com/auth/cloud-platform"]) is made


def test_another_project_may_pay(world, made):
    headers = {}
    made.with_quota_project("acme-billing").before_request(None, "GET", world.api.url, headers)
    assert headers == {"authorization": f"Bearer {world.token}", "x-goog-user-project": "acme-billing"}
    headers.clear()
    made.before_request(None, "GET", world.api.url, headers)
    assert "x-goog-user-project" not in headers


def test_a_refresh_without_a_refusal_renews_nothing(world, made):
    made.refresh(None)
    assert world.provider.refresh_count == 0


def test_a_session_that_refreshes_twice_renews_once(world, made):
    """As google-auth sets it; the second renewal would not help."""
    world.api.refuses = 3
    assert send(made, world.api.url) == 401
    assert world.api.statuses == [401, 401, 401]
    assert world.provider.refresh_count == 1
    world.pass_(SHORTEST_WAIT)
    world.api.refuses = 1
    assert send(made, world.api.url) == 200
    assert world.provider.refresh_count == 2


@AWAITING
def test_an_awaited_session_of_another_project_renews_once(world):
    from google.auth.aio.transport.sessions import AsyncAuthorizedSession

    from cloud_integrations.clients import async_google_credentials

    made = async_google_credentials(world.awaiting, TENANT, "simulated", quota_project_id="acme-billing")

    async def inside():
        headers = {}
        await made.before_request(object, "GET", world.api.url, headers)
        assert headers["x-goog-user-project"] == "acme-billing"
        session = AsyncAuthorizedSession(made)
        try:
            assert [(await session.get(world.api.url)).status_code for _ in range(2)] == [200, 200]
            token = world.end_token()
            answers = await asyncio.gather(*(session.get(world.api.url) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            for answer in answers:
                await answer.read()
            return token
        finally:
            await session.close()

    token = asyncio.run(inside())
    assert world.provider.refresh_count == 1
    assert world.api.tokens[-1] != token_id(token)


@AWAITING
def test_an_awaited_refresh_without_a_refusal_renews_nothing(world):
    from cloud_integrations.clients import async_google_credentials

    asyncio.run(async_google_credentials(world.awaiting, TENANT, "simulated").refresh(object))
    assert world.provider.refresh_count == 0
