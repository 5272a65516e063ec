"""The value for PyGithub against an API on loopback.

PyGithub tells it nothing of refusals and repeats none, so it is not among the subjects of every client.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from cloud_integrations.errors import ConfigurationError, ProviderUnavailableError, ReconnectRequiredError, ValidationFailedError
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import TENANT
from .packages import GITHUB

pytestmark = pytest.mark.skipif(GITHUB is None, reason="this session has no PyGithub")


@pytest.fixture
def made(world):
    from cloud_integrations.clients import github_auth

    world.api.bodies["/user"] = {"login": "ada"}
    return github_auth(world.manager, TENANT, "simulated")


def login(made, world):
    client = GITHUB.Github(auth=made, base_url=world.api.url, retry=None)
    try:
        return client.get_user().login
    finally:
        client.close()


def end_at_once(world):
    """Renew into a token that has ended already."""
    world.provider.access_lifetime = timedelta(0)
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)


def test_each_request_shows_the_token_of_now(world, made):
    first = world.token
    assert login(made, world) == "ada"
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)
    assert login(made, world) == "ada"
    assert world.api.tokens == [token_id(first), token_id(world.token)]


def test_fifty_threads_renew_once(world, made):
    end_at_once(world)
    world.provider.access_lifetime = timedelta(hours=1)
    before = world.provider.refresh_count
    with ThreadPoolExecutor(50) as threads:
        assert list(threads.map(lambda _: login(made, world), range(50))) == ["ada"] * 50
    assert world.provider.refresh_count == before + 1


def test_a_refusal_is_pygithubs_own_error(world, made):
    world.end_token()
    with pytest.raises(GITHUB.GithubException) as caught:
        login(made, world)
    assert caught.value.status == 401
    assert world.provider.refresh_count == 0


def test_a_grant_that_was_revoked_asks_for_a_reconnect(world, made):
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        world.manager.replace_refused(TENANT, world.manager.credential(TENANT, "simulated"))
    with pytest.raises(ReconnectRequiredError):
        login(made, world)


def test_an_outage_may_be_tried_again(world, made):
    end_at_once(world)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as caught:
        login(made, world)
    assert caught.value.retryable


def test_no_token_is_shown(world, made, caplog):
    caplog.set_level(logging.DEBUG)
    login(made, world)
    shown = [repr(made), str(made), repr(vars(made)), *(record.getMessage() for record in caplog.records)]
    assert [text for text in shown if world.token in text] == []


def test_it_cannot_be_pickled_and_a_copy_is_the_same(made):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made)
    assert copy.copy(made) is copy.deepcopy(made) is made


def test_it_refuses_to_run_in_an_event_loop(world, made):
    async def inside():
        with pytest.raises(ConfigurationError, match=r"asyncio\.to_thread"):
            login(made, world)

    asyncio.run(inside())
    assert world.api.seen == []


def test_a_name_that_cannot_be_one_is_refused_at_once(world):
    from cloud_integrations.clients import github_auth

    with pytest.raises(ValidationFailedError):
        github_auth(world.manager, "", "simulated")
