"""The plugin of gRPC against a server on loopback: it reads the credential for each call, and answers with errors, too.

gRPC tells a plugin nothing of refusals, so it is not among the subjects of every client.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from cloud_integrations.errors import ReconnectRequiredError, ValidationFailedError
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import TENANT
from .packages import GRPC

pytestmark = pytest.mark.skipif(GRPC is None, reason="this session has no grpcio")
METHOD = "/acme.Files/List"


class Server:
    """Answers each call and remembers the tokens that came."""

    def __init__(self, made):
        self.made, self.tokens = made, []
        self._threads = ThreadPoolExecutor(4)
        self._server = GRPC.server(self._threads)
        handler = GRPC.unary_unary_rpc_method_handler(self._list)
        self._server.add_generic_rpc_handlers([GRPC.method_handlers_generic_handler("acme.Files", {"List": handler})])
        self.address = f"localhost:{self._server.add_secure_port('localhost:0', GRPC.local_server_credentials())}"

    def _list(self, _request, context):
        shown = [value for name, value in context.invocation_metadata() if name == "authorization"]
        self.tokens += [token_id(value.removeprefix("Bearer ")) for value in shown]
        return b"fake answer"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()
        self._threads.shutdown()

    @property
    def credentials(self):
        calls = GRPC.metadata_call_credentials(self.made)
        return GRPC.composite_channel_credentials(GRPC.local_channel_credentials(), calls)

    def call(self, times=1):
        with GRPC.secure_channel(self.address, self.credentials) as channel:
            method = channel.unary_unary(METHOD)
            return [sent.result() for sent in [method.future(b"", timeout=60) for _ in range(times)]]


@pytest.fixture
def made(world):
    from cloud_integrations.clients import grpc_plugin

    return grpc_plugin(world.manager, TENANT, "simulated")


@pytest.fixture
def server(made):
    with Server(made) as server:
        yield server


def end_at_once(world):
    """Renew into a token that has ended already."""
    world.provider.access_lifetime = timedelta(0)
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)


def test_each_call_shows_the_token_of_now(world, server):
    first = world.token
    assert server.call() == [b"fake answer"]
    world.manager.acting_as("ada").refresh(TENANT, world.integration.id)
    server.call()
    assert server.tokens == [token_id(first), token_id(world.token)]
    assert server.tokens[0] != server.tokens[1]


def test_fifty_calls_at_once_renew_once(world, server):
    end_at_once(world)
    world.provider.access_lifetime = timedelta(hours=1)
    before = world.provider.refresh_count
    assert server.call(50) == [b"fake answer"] * 50
    assert server.tokens == [token_id(world.token)] * 50
    assert world.provider.refresh_count == before + 1


def test_a_grant_that_was_revoked_is_named_in_the_details(world, server):
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        world.manager.replace_refused(TENANT, world.manager.credential(TENANT, "simulated"))
    with pytest.raises(GRPC.RpcError) as caught:
        server.call()
    assert "integration/reconnect-required: the tenant must reconnect" in caught.value.details()
    assert server.tokens == []


def test_an_outage_is_named_in_the_details(world, server):
    end_at_once(world)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    with pytest.raises(GRPC.RpcError) as caught:
        server.call()
    assert "integration/oauth-error: the provider cannot be used right now" in caught.value.details()


def test_it_works_in_an_event_loop(world, server):
    async def inside():
        async with GRPC.aio.secure_channel(server.address, server.credentials) as channel:
            return await channel.unary_unary(METHOD)(b"", timeout=60)

    assert asyncio.run(inside()) == b"fake answer"
    assert server.tokens == [token_id(world.token)]


def test_no_token_is_shown(world, server, made, caplog):
    caplog.set_level(logging.DEBUG)
    server.call()
    shown = [repr(made), str(made), repr(vars(made)), *(record.getMessage() for record in caplog.records)]
    assert [text for text in shown if world.token in text] == []
    assert "acme" in repr(made)


def test_it_cannot_be_pickled_and_a_copy_is_the_same(made):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made)
    assert copy.copy(made) is copy.deepcopy(made) is made


def test_a_name_that_cannot_be_one_is_refused_at_once(world):
    from cloud_integrations.clients import grpc_plugin

    with pytest.raises(ValidationFailedError):
        grpc_plugin(world.manager, "", "simulated")
