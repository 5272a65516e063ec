"""Many integrations: a refused application, one second in which everything ends, and no growth."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.sizes import FULL

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.domain.audit import SYSTEM
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.freshness import due_at
from cloud_integrations.domain.identifiers import IntegrationId, uuid7
from cloud_integrations.domain.integration import State
from cloud_integrations.errors import AppMisconfiguredError
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.ports.store import AddIntegration
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.single_flight import TaskSingleFlight, ThreadSingleFlight, _Flight
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import (
    AdvancingPause,
    AsyncAdvancingPause,
    AsyncSimulatedTransport,
    FixedClock,
    Misbehaviour,
    SeededEntropy,
    SimulatedProvider,
    SimulatedTransport,
)

from .processes import PATIENCE, until

MANY = 10_000 if FULL else 2_000
SETTINGS = Settings(callback_url="https://app.example/oauth/callback", use_window=None)


class Crowd:
    """*count* tenants, each with one integration whose token ends in the same second."""

    def __init__(self, count, *, settings=SETTINGS, handlers=None):
        self.settings = settings
        self.handlers = handlers
        """For the awaiting manager, which works in the background."""
        self.clock = FixedClock()
        self.provider = SimulatedProvider(clock=self.clock, entropy=SeededEntropy("crowd"))
        self.rows = MemoryStore(self.clock)
        self.keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        self.manager = self._open(IntegrationManager, self.rows, SimulatedTransport(self.provider), self.keyring, AdvancingPause).acting_as(
            SYSTEM
        )
        awaited = AsyncMemoryStore(self.clock)
        awaited._store = self.rows
        self.awaiting = self._open(
            AsyncIntegrationManager, awaited, AsyncSimulatedTransport(self.provider), self.keyring, AsyncAdvancingPause
        )
        self.tenants = [f"tenant-{number}" for number in range(count)]
        begun = self.manager.begin_oauth(self.tenants[0], self.provider.slug, name="Files")
        params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
        self.first = self.manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration
        for tenant in self.tenants[1:]:
            self._add(tenant)

    def _open(self, manager, store, transport, keys, pause):
        return manager(
            store=store,
            transport=transport,
            keys=keys,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=self.settings,
            handlers=self.handlers if manager is AsyncIntegrationManager else None,
            clock=self.clock,
            entropy=SeededEntropy("manager"),
            pause=pause(self.clock),
        )

    def _add(self, tenant):
        wiring, issued = self.manager._wiring, self.provider.issue_grant()
        facts = replace(self.first, id=IntegrationId(uuid7(self.clock.now(), wiring.entropy.bytes(10))), tenant_id=tenant)
        grant = Grant(access_token=issued.access, refresh_token=issued.refresh, expires_at=facts.expires_at, scopes=facts.scopes)
        key, index = run_inline(wiring.data_keys.active(tenant)), run_inline(wiring.data_keys.index())
        credential = wiring.sealer.seal_grant(key, index, facts, grant, generation=1, application=facts.context_id)
        self.rows.apply(AddIntegration(facts=facts, credential=credential, due_at=facts.expires_at - timedelta(minutes=10)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("REF-12")
def test_a_refused_application_with_thousands_of_integrations_marks_none_and_is_hardly_asked():
    crowd = Crowd(MANY)
    crowd.clock.advance(crowd.provider.access_lifetime)
    crowd.provider.misbehave(Misbehaviour.INVALID_CLIENT, times=None, endpoint="refresh")
    # All of them, over five minutes.
    for number, tenant in enumerate(crowd.tenants):
        if number % 100 == 0:
            crowd.clock.advance(timedelta(seconds=3))
        with pytest.raises(AppMisconfiguredError):
            crowd.manager.credential(tenant, crowd.provider.slug)
    states = Counter(row.facts.state for row in crowd.rows._tables.integrations.values())
    assert states == {State.ACTIVE: MANY}
    times = [request.at for request in crowd.provider.requests if request.endpoint == "refresh"]
    assert max(sum(at <= other < at + timedelta(seconds=30) for other in times) for at in times) <= 5


@pytest.mark.requirement("REF-13")
@pytest.mark.parametrize("life", [timedelta(minutes=10), timedelta(hours=1), timedelta(hours=8)], ids=str)
def test_what_ends_in_one_second_is_renewed_at_times_that_are_spread(life):
    clock, entropy = FixedClock(), SeededEntropy("spread")
    ends = clock.now() + life
    times = [due_at(expires_at=ends, now=clock.now(), chance=entropy.fraction()) for _ in range(10_000)]
    lead = min(max(life / 5, timedelta(seconds=60)), timedelta(seconds=600))
    assert all(ends - 2 * lead <= at <= ends - lead for at in times)
    per_second = Counter((ends - at) // timedelta(seconds=1) for at in times)
    # Evenly, there would be so many in a second; the busiest one is not much worse.
    even = 10_000 / lead.total_seconds()
    assert len(per_second) >= lead.total_seconds() * 0.99
    assert max(per_second.values()) <= even + 6 * even**0.5


@pytest.mark.requirement("REF-13")
async def test_a_round_of_renewals_never_has_more_than_eight_requests_out():
    crowd = Crowd(200)
    crowd.clock.advance(crowd.provider.access_lifetime - timedelta(minutes=1))
    assert (await crowd.awaiting.worker.refresh_due(limit=200)).renewed == 200
    assert crowd.provider.refresh_count == 200
    assert 1 < crowd.provider.concurrency_max <= 8


@pytest.mark.requirement("REF-03")
def test_threads_that_come_while_work_is_under_way_begin_none(monkeypatch):
    waiting = threading.Semaphore(0)

    class Counted(_Flight):
        def wait(self):
            waiting.release()
            super().wait()

    monkeypatch.setattr("cloud_integrations.runtime.single_flight._Flight", Counted)
    single_flight, go_on, begun = ThreadSingleFlight(), threading.Event(), []

    async def work():
        begun.append(threading.get_ident())
        go_on.wait(PATIENCE)

    threads = [threading.Thread(target=lambda: run_inline(single_flight.run("key", work))) for _ in range(5)]
    threads[0].start()
    until(lambda: begun, "the first work")
    for thread in threads[1:]:
        thread.start()
    try:
        assert all(waiting.acquire(timeout=PATIENCE) for _ in threads)
        assert len(begun) == 1
    finally:
        go_on.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.requirement("REF-16")
async def test_a_hundred_thousand_pieces_of_shared_work_leave_nothing_behind():
    tasks, threads = TaskSingleFlight(), ThreadSingleFlight()

    async def work():
        return None

    for number in range(100_000):
        await tasks.run(number, work)
    for number in range(100_000 if FULL else 5_000):
        await threads.run(number, work)
    assert not tasks._tasks
    assert not threads._flights


@pytest.mark.slow
@pytest.mark.requirement("REF-16")
def test_refreshes_leave_no_growth_in_maps_and_caches():
    crowd = Crowd(10)
    wiring, times = crowd.manager._wiring, 100_000 if FULL else 2_000

    def sizes():
        parts = (wiring.single_flight, wiring.tokens, wiring.key_memory, wiring.uses, wiring.breaker)
        return [len(held) for part in parts for held in vars(part).values() if isinstance(held, dict)]

    def refresh(count):
        for number in range(count):
            crowd.clock.advance(crowd.provider.access_lifetime)
            crowd.manager.credential(crowd.tenants[number % 10], crowd.provider.slug)

    refresh(20)
    before = sizes()
    assert len(before) >= 4
    refresh(times)
    assert crowd.provider.refresh_count == times + 20
    assert sizes() == before
