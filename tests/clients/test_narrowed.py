"""Narrowed credentials in the clients that people have."""

from __future__ import annotations

import asyncio

import pytest

from cloud_integrations.clients import async_narrowed, narrowed
from cloud_integrations.clients.source import AsyncCredentialSource, CredentialSource
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.testing import SimulatedProvider

from .conftest import TENANT, opened
from .packages import HTTPX

READ = {"scopes": ["read"]}
BY_EACH = pytest.mark.parametrize("package", HTTPX.values(), ids=HTTPX)


@pytest.fixture
def world():
    with opened(SimulatedProvider(auto_approve=True, rotation="never")) as world:
        yield world


def scopes_of(world, number=-1):
    """The scopes of a token that came to the API."""
    [token] = [held for digest, held in world.provider._tokens.items() if digest.startswith(world.api.tokens[number])]
    return token.grant.scopes if token.scopes is None else token.scopes


@BY_EACH
def test_auth_shows_what_is_narrowed_and_heals_a_refusal_with_what_is_narrowed(world, package):
    auth = world.manager.auth(TENANT, "simulated", narrow=READ)
    with package.Client(auth=auth, trust_env=False) as client:
        assert client.get(world.api.url).status_code == 200
        assert scopes_of(world) == ("read",)
        world.api.refuses = 1
        assert client.get(world.api.url).status_code == 200
    assert (scopes_of(world), scopes_of(world, 0), world.api.tokens[0] != world.api.tokens[-1]) == (("read",), ("read",), True)
    with package.Client(auth=world.manager.auth(TENANT, "simulated"), trust_env=False) as client:
        client.get(world.api.url)
    assert scopes_of(world) == ("read", "write")


@BY_EACH
def test_auth_awaits_a_narrowed_one(world, package):
    async def call():
        async with package.AsyncClient(auth=world.awaiting.auth(TENANT, "simulated", narrow=READ), trust_env=False) as client:
            world.api.refuses = 1
            return await client.get(world.api.url)

    assert asyncio.run(call()).status_code == 200
    assert [scopes_of(world, number) for number in (0, 1)] == [("read",), ("read",)]


def test_a_view_gives_narrowed_ones_to_whatever_takes_a_manager(world):
    view = narrowed(world.manager.acting_as("agent"), READ)
    source = CredentialSource(manager=view, tenant_id=TENANT, integration="simulated")
    less = source.credential(min_ttl=60)
    assert (less.scopes, source.replace_refused(less).scopes) == (("read",), ("read",))
    awaiting = AsyncCredentialSource(manager=async_narrowed(world.awaiting, READ), tenant_id=TENANT, integration="simulated")

    async def both():
        less = await awaiting.credential()
        return less, await awaiting.replace_refused(less)

    assert [token.narrowed for token in asyncio.run(both())] == [("scopes",)] * 2
    assert "read" not in repr(view)


def test_a_view_never_gives_a_whole_one(world):
    whole = world.manager.credential(TENANT, "simulated")
    other = world.manager.credential(TENANT, "simulated", narrow={"scopes": ["write"]})
    for token in (whole, other):
        with pytest.raises(ValidationFailedError, match="narrowed in the same way"):
            narrowed(world.manager, READ).replace_refused(TENANT, token)
        with pytest.raises(ValidationFailedError, match="narrowed in the same way"):
            asyncio.run(async_narrowed(world.awaiting, READ).replace_refused(TENANT, token))


@pytest.mark.parametrize("narrow", [{}, None, 5, {"Scopes": []}])
def test_what_no_provider_takes_is_refused_when_the_value_is_made(world, narrow):
    for make in (lambda: narrowed(world.manager, narrow), lambda: async_narrowed(world.awaiting, narrow)):
        with pytest.raises(ValidationFailedError):
            make()
    if narrow is not None:
        with pytest.raises(ValidationFailedError):
            world.manager.auth(TENANT, "simulated", narrow=narrow)


def test_a_manager_of_the_wrong_colour_is_refused(world):
    with pytest.raises(ConfigurationError, match="use async_narrowed"):
        narrowed(world.awaiting, READ)
    with pytest.raises(ConfigurationError, match="use narrowed"):
        async_narrowed(world.manager, READ)
