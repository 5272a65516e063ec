"""However many ask at once, in threads, tasks, loops or processes: an expired token is renewed once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, schema, sqlite_engine
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import AsyncSimulatedTransport, SimulatedProvider, SimulatedTransport

from .conftest import ACME, ALICE
from .watching import Interruption

STORES = ("memory", "sqlite", "postgresql")


class ShiftedClock:
    """The real clock, for races that are real; the test may shift it."""

    def __init__(self):
        self.shift = timedelta()
        self.monotonic = monotonic

    def now(self):
        return datetime.now(UTC) + self.shift


class Installation:
    """Any number of managers over one database and one provider.  Leases run on the database's own clock."""

    def __init__(self, tmp_path, request, kind):
        self.clock = ShiftedClock()
        self.provider = SimulatedProvider(clock=self.clock)
        self.keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        self.rows = MemoryStore()
        self._engines, self._async_engines = [], []
        self._url = None
        if kind != "memory":
            self._url = f"sqlite:///{tmp_path / 'store.db'}" if kind == "sqlite" else request.getfixturevalue("postgresql_url")
            engine = self._engine()
            migrate.upgrade(engine)
            with engine.begin() as connection:
                for table in schema.metadata.tables:
                    connection.exec_driver_sql(f"DELETE FROM {table}")  # the schema's own names
            self.rows = SqlAlchemyStore(engine)

    def _engine(self):
        url = sa.make_url(self._url)
        engine = sqlite_engine(url.database) if url.drivername == "sqlite" else sa.create_engine(url, pool_size=4, max_overflow=0)
        self._engines.append(engine)
        return engine

    def blocking(self):
        store = self.rows if self._url is None else SqlAlchemyStore(self._engine())
        return IntegrationManager(store=store, transport=self.transport(), keys=self.keyring, **self._parts())

    def awaiting(self, *, hops=False):
        if self._url is None:
            store = AsyncMemoryStore()
            store._store = self.rows
        elif hops or self._url.startswith("sqlite"):
            store = AsyncSqlAlchemyStore(self._engine())
        else:
            self._async_engines.append(
                create_async_engine(sa.make_url(self._url).set(drivername="postgresql+asyncpg"), pool_size=4, max_overflow=0)
            )
            store = AsyncSqlAlchemyStore(self._async_engines[-1])
        transport = AsyncSimulatedTransport(self.provider, before_send=lambda _: asyncio.sleep(0.01))
        return AsyncIntegrationManager(store=store, transport=transport, keys=self.keyring, **self._parts())

    def transport(self):
        # Held up for a moment, so that the others come while the request is out.
        return SimulatedTransport(self.provider, before_send=lambda _: threading.Event().wait(0.01))

    def _parts(self):
        return {
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(*self.provider.catalogue_entries()),
            "applications": [self.provider.application()],
            "settings": Settings(callback_url="https://app.example/oauth/callback"),
            "clock": self.clock,
        }

    def connect_and_expire(self):
        with self.blocking() as opened:
            manager = opened.acting_as(ALICE)
            begun = manager.begin_oauth(ACME, "simulated", name="Files of Acme")
            params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
            held = manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration
        self.clock.shift += self.provider.access_lifetime
        return held

    async def close(self):
        for engine in self._async_engines:
            await engine.dispose()
        for engine in self._engines:
            engine.dispose()

    def attempts(self):
        return [
            record.event.outcome.value for record in self.rows.list_audit(ACME, limit=1000) if record.event.action == "credential.refresh"
        ]


@pytest.fixture(params=STORES)
async def installation(request, tmp_path):
    made = Installation(tmp_path, request, request.param)
    yield made
    await made.close()


@pytest.fixture
async def in_memory(request, tmp_path):
    made = Installation(tmp_path, request, "memory")
    yield made
    await made.close()


def in_threads(managers, times):
    """Call from *times* threads that start together; a failure of any is raised."""
    barrier = threading.Barrier(times)

    def call(number):
        barrier.wait()
        return managers[number % len(managers)].credential(ACME, "simulated")

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(call, range(times)))


async def in_tasks(managers, times):
    return await asyncio.gather(*(managers[number % len(managers)].credential(ACME, "simulated") for number in range(times)))


def assert_one_refresh(installation, tokens):
    assert installation.provider.refresh_count == 1
    assert installation.attempts() == ["started", "success"]
    assert len({token.value.reveal() for token in tokens}) == 1
    assert {token.generation for token in tokens} == {2}
    assert all(installation.provider.is_alive(token.value) for token in tokens)


LIVES = pytest.mark.parametrize("life", [3600, 30, 5])


@LIVES
async def test_fifty_threads_renew_an_expired_token_once(installation, life):
    installation.provider.access_lifetime = timedelta(seconds=life)
    installation.connect_and_expire()
    with installation.blocking() as manager:
        assert_one_refresh(installation, await asyncio.to_thread(in_threads, [manager], 50))


@LIVES
async def test_fifty_tasks_renew_an_expired_token_once(installation, life):
    installation.provider.access_lifetime = timedelta(seconds=life)
    installation.connect_and_expire()
    async with installation.awaiting() as manager:
        assert_one_refresh(installation, await in_tasks([manager], 50))


@pytest.mark.requirement("REF-03", "Q34")
@pytest.mark.parametrize("replicas", [2, 5])
async def test_two_hundred_threads_over_several_processes_renew_once(installation, replicas):
    installation.connect_and_expire()
    managers = [installation.blocking() for _ in range(replicas)]
    for manager in managers:
        manager.start()
    assert_one_refresh(installation, await asyncio.to_thread(in_threads, managers, 200))
    assert installation.provider.in_flight_max == 1


@pytest.mark.requirement("REF-03", "Q34")
@pytest.mark.parametrize("replicas", [2, 5])
async def test_two_hundred_tasks_over_several_processes_renew_once(installation, replicas):
    installation.connect_and_expire()
    managers = [installation.awaiting() for _ in range(replicas)]
    assert_one_refresh(installation, await in_tasks(managers, 200))
    assert installation.provider.in_flight_max == 1


@pytest.mark.requirement("REF-03")
async def test_both_doors_over_one_database_renew_once(installation):
    installation.connect_and_expire()
    with installation.blocking() as blocking:
        async with installation.awaiting() as awaiting:
            threads = asyncio.create_task(asyncio.to_thread(in_threads, [blocking], 20))
            tokens = await in_tasks([awaiting], 20) + await threads
    assert_one_refresh(installation, tokens)


async def test_several_loops_on_one_manager_renew_once(installation):
    installation.connect_and_expire()
    manager = installation.awaiting(hops=True)
    barrier = threading.Barrier(4)

    def in_a_loop(_):
        barrier.wait()

        async def all_at_once():
            tokens = await in_tasks([manager], 10)
            await manager._wiring.single_flight.drain()
            return tokens

        return asyncio.run(all_at_once())

    def in_four_loops():
        with ThreadPoolExecutor(4) as threads:
            return [token for tokens in threads.map(in_a_loop, range(4)) for token in tokens]

    assert_one_refresh(installation, await asyncio.to_thread(in_four_loops))


@pytest.mark.requirement("REF-10")
async def test_the_first_task_is_cancelled_and_the_others_have_the_token(installation):
    installation.connect_and_expire()
    async with installation.awaiting() as manager:
        out, go_on = asyncio.Event(), asyncio.Event()

        async def hold(_request, _response):
            out.set()
            await go_on.wait()

        manager._wiring.transport.after_send = hold
        first = asyncio.create_task(manager.credential(ACME, "simulated"))
        await out.wait()
        others = [asyncio.create_task(manager.credential(ACME, "simulated")) for _ in range(49)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        assert_one_refresh(installation, await asyncio.gather(*others))


@pytest.mark.requirement("REF-10")
def test_ctrl_c_in_the_first_thread_loses_nothing(tmp_path, request):
    assert threading.current_thread() is threading.main_thread()
    in_memory = Installation(tmp_path, request, "memory")
    in_memory.connect_and_expire()
    with in_memory.blocking() as manager, Interruption(KeyboardInterrupt) as interruption:
        # The provider has rotated the token; the answer is on its way.
        manager._wiring.transport._port.after_send = lambda _request, _response: interruption.strike()
        others = ThreadPoolExecutor(10)
        try:
            with pytest.raises(KeyboardInterrupt):
                manager.credential(ACME, "simulated")
            waiting = [others.submit(manager.credential, ACME, "simulated") for _ in range(10)]
        finally:
            interruption.leave()
        tokens = [future.result() for future in waiting]
        others.shutdown()
    assert_one_refresh(in_memory, tokens)


@pytest.mark.requirement("REF-10")
async def test_closing_waits_for_a_renewal_that_is_out(in_memory):
    held = in_memory.connect_and_expire()
    manager = in_memory.awaiting()
    out, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_request, _response):
        out.set()
        await go_on.wait()

    manager._wiring.transport.after_send = hold
    caller = asyncio.create_task(manager.credential(ACME, "simulated"))
    await out.wait()
    caller.cancel()
    closing = asyncio.create_task(manager.close())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing
    assert in_memory.rows.find_integration(ACME, held.id).credential.generation == 2


@pytest.mark.requirement("REF-10")
def test_closing_the_blocking_door_waits_for_a_renewal_that_is_out(tmp_path, request):
    in_memory = Installation(tmp_path, request, "memory")
    held = in_memory.connect_and_expire()
    manager = in_memory.blocking()
    out, go_on = threading.Event(), threading.Event()

    def hold(_request, _response):
        out.set()
        go_on.wait(300)

    manager.start()
    manager._wiring.transport._port.after_send = hold
    with ThreadPoolExecutor(2) as threads:
        caller = threads.submit(manager.credential, ACME, "simulated")
        assert out.wait(300)
        closing = threads.submit(manager.close)
        assert not closing.done()
        go_on.set()
        closing.result(300)
        assert in_memory.rows.find_integration(ACME, held.id).credential.generation == 2
        assert caller.result(300).generation == 2
