"""What every live object promises, whichever client it is for."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from cloud_integrations.domain.replacement import SHORTEST_WAIT
from cloud_integrations.errors import (
    ConfigurationError,
    IntegrationFrozenError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import TENANT
from .subjects import SUBJECTS

MANY = 50


class Client:
    """One subject in a world, called without awaiting whichever it is."""

    def __init__(self, world, subject):
        self.world, self.subject = world, subject
        self.manager = world.awaiting if subject.awaits else world.manager
        world.api.challenge = subject.challenge or world.api.challenge
        world.api.body = {} if subject.body is None else subject.body
        world.api.refusal = subject.refusal or world.api.refusal
        self.made = subject.make(self.manager, world.api.url)

    def get(self, path="/things"):
        sent = self.subject.send(self.made, self.world.api.url + path)
        return asyncio.run(sent) if self.subject.awaits else sent

    def at_once(self, times, path="/things"):
        url = self.world.api.url + path
        if self.subject.awaits:

            async def gather():
                return await asyncio.gather(*(self.subject.send(self.made, url) for _ in range(times)))

            return asyncio.run(gather())
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(lambda _: self.subject.send(self.made, url), range(times)))


@pytest.fixture(params=SUBJECTS)
def client(request, world):
    return Client(world, SUBJECTS[request.param])


def cause_of(error):
    """The error of ours: itself, or what it was raised from."""
    while error is not None and not type(error).__module__.startswith("cloud_integrations"):
        in_group = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = in_group or error.__cause__ or error.__context__
    return error


def test_a_token_that_changes_between_two_calls_is_seen(world, client):
    assert client.get() == 200
    first = world.token
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)
    world.provider.expire_access(first)
    assert client.get() == 200
    assert world.api.tokens[-1] != token_id(first)


def test_a_refused_token_is_replaced_once_and_the_request_repeated(world, client):
    world.end_token()
    assert client.get() == 200
    assert world.api.statuses == [401, 200]
    assert world.provider.refresh_count == 1


def test_a_request_that_is_refused_twice_is_reported(world, client):
    client.get()
    world.api.refuses = 2
    assert client.get() == 401
    assert world.api.statuses == [200, 401, 401]
    assert world.provider.refresh_count == 1


def test_a_server_that_refuses_everything_has_no_token_made_for_each_request(world, client):
    world.api.refuses = 1000
    assert [client.get() for _ in range(5)] == [401] * 5
    assert world.provider.refresh_count == 1
    world.pass_(SHORTEST_WAIT)
    assert [client.get() for _ in range(5)] == [401] * 5
    # azure-core has claims that it was answered once answered by no other token.
    renewed = world.provider.refresh_count
    assert renewed <= 2
    world.api.refuses = 0
    assert client.get() == 200
    assert world.provider.refresh_count == renewed


def test_fifty_callers_at_once_renew_once(world, client):
    world.end_token()
    assert client.at_once(MANY) == [200] * MANY
    assert world.provider.refresh_count == 1


def test_a_grant_that_was_revoked_asks_for_a_reconnect(world, client):
    world.provider.revoke_grant()
    with pytest.raises(Exception) as caught:  # each client may have its own
        client.get()
    assert isinstance(cause_of(caught.value), ReconnectRequiredError)


def test_an_outage_may_be_tried_again(world, client):
    world.end_token()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    with pytest.raises(Exception) as caught:  # each client may have its own
        client.get()
    ours = cause_of(caught.value)
    assert isinstance(ours, ProviderUnavailableError)
    assert ours.retryable


def test_a_frozen_credential_is_not_handed_out_whichever_process_froze_it(world, client):
    client.get()
    reason = "a token was found in a log"
    begun = asyncio.run(world.awaiting.acting_as("ada").incidents.freeze(everything=True, reason=reason))
    world.pass_(timedelta(minutes=5))
    seen, refreshed = len(world.api.statuses), world.provider.refresh_count
    with pytest.raises(Exception) as caught:  # each client may have its own
        client.get()
    ours = cause_of(caught.value)
    assert isinstance(ours, IntegrationFrozenError)
    assert not ours.retryable
    assert (len(world.api.statuses), world.provider.refresh_count) == (seen, refreshed)
    world.manager.acting_as("ada").incidents.unfreeze(begun.id, reason="over")
    world.pass_(timedelta(minutes=5))
    assert client.get() == 200


def test_no_token_is_shown(world, client, caplog):
    caplog.set_level(logging.DEBUG)
    token = world.token
    client.get()
    world.provider.revoke_grant()
    with pytest.raises(Exception) as caught:  # whatever the client raises
        client.get()
    error = caught.value
    # The locals of a client's own frames hold the request, whose headers it shows as it pleases.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if "cloud_integrations/clients" in frame.f_code.co_filename]
    shown = ["".join(traceback.format_exception(error)), *(repr(value) for frame in frames for value in frame.f_locals.values())]
    shown += [record.getMessage() for record in caplog.records]
    shown += [repr(client.made), str(client.made), repr(vars_of(client.made))]
    assert [text for text in shown if token in text] == []


def vars_of(made):
    return getattr(made, "__dict__", {})


def test_it_cannot_be_pickled_and_a_copy_is_the_same(client):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client.made)
    assert copy.copy(client.made) is client.made
    assert copy.deepcopy(client.made) is client.made


def test_a_name_that_cannot_be_one_is_refused_at_once(world, client):
    with pytest.raises(ValidationFailedError):
        client.manager.auth("", "simulated")


def test_each_use_is_in_the_audit_log(world, client):
    client.get()
    actions = [record.event.action for record in world.manager.acting_as("ada").audit.list(TENANT, limit=100)]
    assert "credential.used" in actions


@pytest.mark.parametrize("name", [name for name, subject in SUBJECTS.items() if not subject.awaits])
def test_a_blocking_object_refuses_to_run_in_an_event_loop(world, name):
    client = Client(world, SUBJECTS[name])

    async def inside():
        with pytest.raises(Exception, match=r"asyncio\.to_thread") as caught:
            client.subject.send(client.made, world.api.url)
        assert isinstance(cause_of(caught.value), ConfigurationError)

    asyncio.run(inside())
    assert world.api.seen == []
