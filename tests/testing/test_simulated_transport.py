from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cloud_integrations.errors import ProviderUnreachableError
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, Misbehaviour, SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.transport import PATIENT, TransportContract


class _InMemory(TransportContract):
    @pytest.fixture
    def base_url(self, provider):
        return provider.base_url


class TestSimulatedTransport(_InMemory):
    @pytest.fixture
    def transport(self, provider):
        return SimulatedTransport(provider)


class TestAsyncSimulatedTransport(_InMemory):
    @pytest.fixture
    def transport(self, provider):
        return AsyncSimulatedTransport(provider)


def who_am_i(provider):
    key = provider.valid_api_key.reveal()
    return HttpRequest(method="GET", url=f"{provider.base_url}/me", headers={"Authorization": f"Bearer {key}"}, provider_id="simulated")


def test_hooks_stand_before_and_after_the_provider():
    provider = SimulatedProvider()
    seen = []
    transport = SimulatedTransport(
        provider,
        before_send=lambda request: seen.append(("before", request.method, len(provider.requests))),
        after_send=lambda request, response: seen.append(("after", response.status, len(provider.requests))),
    )
    transport.send(who_am_i(provider), deadline=PATIENT)
    assert seen == [("before", "GET", 0), ("after", 200, 1)]


async def test_async_hooks_may_wait_and_requests_are_under_way_together():
    provider = SimulatedProvider()
    both = asyncio.Barrier(2)

    async def after(request, response):
        await both.wait()

    transport = AsyncSimulatedTransport(provider, before_send=lambda request: None, after_send=after)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(transport.send(who_am_i(provider), deadline=PATIENT))
    assert provider.concurrency_max == 2


def test_a_hook_that_raises_loses_the_answer():
    provider = SimulatedProvider()

    def lose(request, response):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SimulatedTransport(provider, after_send=lose).send(who_am_i(provider), deadline=PATIENT)
    assert len(provider.requests) == 1
    SimulatedTransport(provider).send(who_am_i(provider), deadline=PATIENT)
    assert provider.concurrency_max == 1


def test_a_delay_advances_a_fixed_clock():
    provider = SimulatedProvider(clock=FixedClock())
    start = provider.clock.now()
    provider.misbehave(Misbehaviour.SLOW, endpoint="me", delay=timedelta(seconds=3))
    response = SimulatedTransport(provider).send(who_am_i(provider), deadline=PATIENT)
    assert provider.clock.now() - start == timedelta(seconds=3)
    assert response.sent_at == start


async def test_a_delay_is_slept_where_the_clock_is_real():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.SLOW, endpoint="me", times=2, delay=timedelta(milliseconds=5))
    first = SimulatedTransport(provider).send(who_am_i(provider), deadline=PATIENT)
    second = await AsyncSimulatedTransport(provider).send(who_am_i(provider), deadline=PATIENT)
    assert first.status == second.status == 200
    assert second.sent_at - first.sent_at >= timedelta(milliseconds=5)


async def test_a_refused_connection_is_unreachable_and_no_request():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="me", times=2)
    processed = []
    with pytest.raises(ProviderUnreachableError):
        SimulatedTransport(provider, after_send=lambda *both: processed.append(both)).send(who_am_i(provider), deadline=PATIENT)
    with pytest.raises(ProviderUnreachableError):
        await AsyncSimulatedTransport(provider, after_send=lambda *both: processed.append(both)).send(who_am_i(provider), deadline=PATIENT)
    assert provider.requests == ()
    assert processed == [], "nothing was processed, so no hook sees an answer"
