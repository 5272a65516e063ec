"""The interceptors of gRPC beyond what every client promises: streams, channels that are not secure, and calls of their own."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cloud_integrations.domain.replacement import SHORTEST_WAIT
from cloud_integrations.errors import ReconnectRequiredError
from cloud_integrations.testing import token_id

from .conftest import TENANT
from .grpc_front import ANSWERS, BOTH, REQUESTS, UNARY, front
from .packages import GRPC

pytestmark = pytest.mark.skipif(GRPC is None, reason="this session has no grpcio")


@pytest.fixture
def channel(world):
    from cloud_integrations.clients import grpc_interceptor

    with GRPC.secure_channel(front(), GRPC.local_channel_credentials()) as channel:
        yield GRPC.intercept_channel(channel, grpc_interceptor(world.manager, TENANT, "simulated"))


def awaiting(world, address=None, credentials=None):
    from cloud_integrations.clients import async_grpc_interceptors

    made = async_grpc_interceptors(world.awaiting, TENANT, "simulated")
    return GRPC.aio.secure_channel(address or front(), credentials or GRPC.local_channel_credentials(), interceptors=made)


def calls_of(channel):
    """Each kind of call with a stream in it, as a function that returns its answers."""
    return {
        "answers": lambda url: list(channel.unary_stream(ANSWERS)(url, timeout=60)),
        "requests": lambda url: [channel.stream_unary(REQUESTS)(iter([url]), timeout=60)],
        "both": lambda url: list(channel.stream_stream(BOTH)(iter([url]), timeout=60)),
    }


@pytest.mark.parametrize("kind", ["answers", "requests", "both"])
def test_a_stream_shows_the_credential_and_is_not_repeated(world, channel, kind):
    call, url = calls_of(channel)[kind], world.api.url.encode()
    assert call(url) == [b"200"]
    world.end_token()
    with pytest.raises(GRPC.RpcError) as caught:
        call(url)
    assert caught.value.code() is GRPC.StatusCode.UNAUTHENTICATED
    assert (world.api.statuses, world.provider.refresh_count) == ([200, 401], 0)


@pytest.mark.parametrize("kind", ["answers", "requests", "both"])
def test_an_awaited_stream_shows_the_credential_and_is_not_repeated(world, kind):
    async def answers(channel, url):
        if kind == "requests":
            return [await channel.stream_unary(REQUESTS)(iter([url]), timeout=60)]
        if kind == "answers":
            return [answer async for answer in channel.unary_stream(ANSWERS)(url, timeout=60)]
        return [answer async for answer in channel.stream_stream(BOTH)(iter([url]), timeout=60)]

    async def inside():
        async with awaiting(world) as channel:
            assert await answers(channel, world.api.url.encode()) == [b"200"]
            world.end_token()
            with pytest.raises(GRPC.RpcError) as caught:
                await answers(channel, world.api.url.encode())
            assert caught.value.code() is GRPC.StatusCode.UNAUTHENTICATED

    asyncio.run(inside())
    assert (world.api.statuses, world.provider.refresh_count) == ([200, 401], 0)


def test_a_future_gives_the_answer_or_our_error(world, channel):
    url = world.api.url.encode()
    world.end_token()
    assert channel.unary_unary(UNARY).future(url, timeout=60).result() == b"200"
    assert world.api.statuses == [401, 200]
    world.pass_(SHORTEST_WAIT)
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        channel.unary_unary(UNARY).future(url, timeout=60).result()


def test_a_channel_that_is_not_secure_gets_no_credential_and_spends_none(world):
    from cloud_integrations.clients import grpc_interceptor

    with GRPC.insecure_channel(front()) as plain:
        channel = GRPC.intercept_channel(plain, grpc_interceptor(world.manager, TENANT, "simulated"))
        with pytest.raises(GRPC.RpcError, match="sufficient security level"):
            channel.unary_unary(UNARY)(world.api.url.encode(), timeout=60)
    assert (world.api.seen, world.provider.refresh_count) == ([], 0)


class Own:
    """A plugin of the host, with another token."""

    def __call__(self, _context, callback):
        callback((("authorization", "Bearer fake-of-the-host"),), None)


@pytest.mark.parametrize(("path", "kind"), [(UNARY, "unary_unary"), (ANSWERS, "unary_stream")])
def test_a_call_with_credentials_of_its_own_shows_those_alone(world, channel, path, kind):
    own = GRPC.metadata_call_credentials(Own())
    with pytest.raises(GRPC.RpcError):
        list(getattr(channel, kind)(path)(world.api.url.encode(), credentials=own, timeout=60))

    async def inside():
        async with awaiting(world) as awaited:
            call = getattr(awaited, kind)(path)(world.api.url.encode(), credentials=own, timeout=60)
            assert await call.code() is GRPC.StatusCode.UNAUTHENTICATED

    asyncio.run(inside())
    assert world.api.tokens == [token_id("fake-of-the-host")] * 2
    assert world.provider.refresh_count == 0


def test_a_call_that_is_cancelled_ends(world):
    """The server is never reached, so the call waits until it is cancelled."""

    async def inside():
        async with awaiting(world, "localhost:1") as channel:
            call = channel.unary_unary(UNARY)(b"", wait_for_ready=True)
            sent = asyncio.ensure_future(call)
            # So often that the call has begun.
            for _ in range(10):
                await asyncio.sleep(0)
            sent.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sent
            assert call.cancelled()

    asyncio.run(inside())


def test_no_token_is_shown(world, channel, caplog):
    caplog.set_level(logging.DEBUG)
    channel.unary_unary(UNARY)(world.api.url.encode(), timeout=60)
    assert world.token not in caplog.text
