"""Every grant that a provider gave is held, revoked or in the outbox, whatever many people do at once; the provider is the oracle.

Two ways to have it: coroutines stepped by a scheduler that draws from a seed, so a seed always plays the same, and threads over
each database.  `CI_SEED=7` plays one seed again.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from random import Random
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, migrate, schema, sqlite_engine
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.outbox import OUTBOX_TABLE
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import (
    AdvancingPause,
    AsyncSimulatedTransport,
    FixedClock,
    Misbehaviour,
    SeededEntropy,
    SimulatedProvider,
    SimulatedTransport,
    token_id,
)

from .conftest import rewire
from .scheduling import Flights, Pause, Scheduler, _pass

TENANTS = ("acme", "globex")
ACTORS = [Actor(id="ada"), Actor(id="grace")]
SEEDS = range(60)
if "CI_SEED" in os.environ:
    SEEDS = range(int(os.environ["CI_SEED"]), int(os.environ["CI_SEED"]) + 1)


class Yielding:
    """A port as one of many sees it: others get a turn before and after each call."""

    def __init__(self, port):
        self._port = port

    def __getattr__(self, name):
        method = getattr(self._port, name)

        async def call(*args, **named):
            await _pass()
            result = method(*args, **named)
            await _pass()
            return result

        return call


class YieldingTransport:
    def __init__(self, provider):
        self._inner = AsyncSimulatedTransport(provider)

    async def send(self, request, /, *, deadline):
        await _pass()
        response = await self._inner.send(request, deadline=deadline)
        await _pass()
        return response

    async def close(self): ...


def repeat_tokens(provider):
    """Let the provider give the same tokens at each consent of an account, as for a workspace's bot."""

    def repeating(make):
        given = {}

        def again(grant, **named):
            token = given.get(grant.account)
            if token is None or not provider.is_alive(token):
                token = given[grant.account] = make(grant, **named)
            return token

        return again

    provider._new_access, provider._new_refresh = repeating(provider._new_access), repeating(provider._new_refresh)


class Crowd:
    """People of two tenants at one provider, and what they do; each deed is one call or two."""

    def __init__(self, seed, store):
        self.rng = rng = Random(seed)
        self.clock = FixedClock()
        self.rows = store(self.clock)
        self.provider = SimulatedProvider(
            clock=self.clock,
            entropy=SeededEntropy(f"provider {seed}"),
            rotation=rng.choice(["always", "never"]),
            reuse=rng.choice(["strict", "family", "tolerant"]),
            kills=rng.choice(["token", "token", "grant"]),
        )
        self.declared = rng.choice([self.provider.kills, None])
        if self.provider.rotation == "never":
            self.provider.reuse = "tolerant"
        if self.provider.rotation == "never" and rng.random() < 0.5:
            repeat_tokens(self.provider)
        self.keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        self.people = 5
        """Where one revocation ends what others have just been given, one after the other: nobody can see a grant that is on its way."""
        if self.provider.kills == "grant" or "_new_access" in vars(self.provider):
            self.people = 1
        self.said = f"seed {seed}, ends {self.provider.kills}, declared {self.declared}, rotation {self.provider.rotation}"

    def parts(self):
        entry = self.provider.catalogue_entries()[0]
        [method] = entry.methods
        revoke = method.revoke.model_copy(update={"kills": self.declared})
        return {
            "keys": self.keyring,
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(entry.model_copy(update={"methods": (method.model_copy(update={"revoke": revoke}),)})),
            "applications": [self.provider.application()],
            "settings": Settings(callback_url="https://app.example/oauth/callback", token_cache=timedelta(0)),
            "clock": self.clock,
            "entropy": SeededEntropy(f"process {self.rng.random()}"),
        }

    def deed(self, rng):
        """Draw what somebody does: the names of calls, for a driver that awaits them or makes them."""
        if rng.random() < 0.1:
            self.provider.account = rng.choice(["acct-1", "acct-2"])
        if rng.random() < 0.05:
            self.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke")
        return rng.choice(["connect", "connect", "reconnect", "reconnect", "remove", "off", "on", "rename", "refresh", "token", "retry"])

    def comes_back(self, begun):
        return parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)

    # What must hold afterwards

    def check(self, manager):
        wiring = manager._wiring
        held, waiting = set(), set()
        for tenant in TENANTS:
            for facts in self.rows.list_integrations(tenant):
                row = self.rows.find_integration(tenant, facts.id)
                opened = {name: run_inline(wiring.sealer.open_token(row, name)) for name in ("access", "refresh")}
                held |= {token_id(token) for token in opened.values()}
                if facts.state is not State.NEEDS_REAUTH:
                    assert self.provider.is_alive(opened["refresh"]), f"{self.said}: what {tenant} holds was ended"
            for entry in self.rows.list_entries(tenant, "revocation", limit=1_000):
                place = {"table": OUTBOX_TABLE, "row": str(entry.id), "field": "payload"}
                waiting.add(token_id(run_inline(wiring.sealer.open(entry.tenant_id, entry.sealed_payload, **place))))
        living = self.living_grants()
        orphans = [ids for ids in living if not ids & (held | waiting)]
        assert orphans == [], f"{self.said}: of {len(living)} living grants {len(orphans)} are neither held nor wait to be revoked"

    def living_grants(self):
        """The living grants, as the provider counts them: one of each account where a revocation ends them all."""
        grants = self.provider.living_grants()
        if self.provider.kills == "token":
            return grants
        accounts = {digest[:16]: held.grant.account for digest, held in self.provider._tokens.items()}
        return [
            frozenset().union(*(ids for ids in grants if accounts[next(iter(ids))] == account))
            for account in {accounts[next(iter(ids))] for ids in grants}
        ]

    def clear(self, manager):
        """Remove everything, and work off the outbox: nothing lives on."""
        manager = manager.acting_as(ACTORS[0])
        self.provider.behave()
        for tenant in TENANTS:
            for facts in self.rows.list_integrations(tenant):
                manager.delete(tenant, facts.id)
        for _ in range(5):
            self.clock.advance(timedelta(days=1))
            manager.worker.retry_revocations(limit=1_000)
        assert (self.rows.count_entries("revocation"), self.provider.living_grants()) == (0, ()), self.said
        for tenant in TENANTS:
            assert manager.audit.verify(tenant).whole


# Stepped, in memory


async def act(manager, crowd, rng, deed, tenant):
    manager = manager.acting_as(rng.choice(ACTORS))
    if deed == "connect":
        begun = await manager.begin_oauth(tenant, "simulated", name="Files")
        await manager.complete_oauth(begun.context_id, crowd.comes_back(begun), browser_token=begun.browser_token)
    elif deed == "retry":
        await manager.worker.retry_revocations(limit=3)
    elif deed == "token":
        await manager.credential(tenant, "simulated")
    else:
        for facts in await manager.list_integrations(tenant):
            if deed == "reconnect":
                begun = await manager.begin_reconnect(tenant, facts.id)
                await manager.complete_oauth(begun.context_id, crowd.comes_back(begun), browser_token=begun.browser_token)
            elif deed == "remove":
                await manager.delete(tenant, facts.id)
            elif deed == "refresh":
                await manager.refresh(tenant, facts.id)
            elif deed == "rename":
                await manager.edit_integration(tenant, facts.id, name=f"Files {rng.randrange(100)}")
            else:
                await manager.edit_integration(tenant, facts.id, status="inactive" if deed == "off" else "active")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_grant_is_held_revoked_or_in_the_outbox(seed):
    crowd = Crowd(seed, MemoryStore)
    scheduler = Scheduler(crowd.rng, crowd.clock)
    crowd.scheduler = scheduler
    replicas = []
    for number in range(2):
        manager = AsyncIntegrationManager(
            store=Yielding(crowd.rows), transport=YieldingTransport(crowd.provider), pause=Pause(crowd.clock), **crowd.parts()
        )
        rewire(manager, single_flight=Flights(crowd, number))
        manager._runner._ready = True
        replicas.append(manager)

    async def person(number):
        for _ in range(40 // crowd.people):
            with suppress(CloudIntegrationsError):
                await act(replicas[number % 2], crowd, crowd.rng, crowd.deed(crowd.rng), crowd.rng.choice(TENANTS))

    for number in range(crowd.people):
        scheduler.begin(person(number), number % 2)
    while scheduler.step():
        pass
    outside = IntegrationManager(
        store=crowd.rows, transport=SimulatedTransport(crowd.provider), pause=AdvancingPause(crowd.clock), **crowd.parts()
    )
    crowd.check(outside)
    crowd.clear(outside)


# In threads, on each store


@pytest.fixture
def sqlite(tmp_path):
    engine = sqlite_engine(tmp_path / "store.db")
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql(postgresql_url):
    engine = sa.create_engine(postgresql_url, pool_size=16)
    yield engine
    engine.dispose()


@pytest.fixture
def mariadb(mariadb_url):
    engine = sa.create_engine(mariadb_url, pool_size=16)
    yield engine
    engine.dispose()


@pytest.fixture(
    params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.slow), pytest.param("mariadb", marks=pytest.mark.slow)]
)
def store(request):
    """Make a store of an empty database."""
    if request.param == "memory":
        return MemoryStore
    engine = request.getfixturevalue(request.param)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        for table in schema.metadata.tables:
            connection.exec_driver_sql(f"DELETE FROM {table}")
    return lambda clock: SqlAlchemyStore(engine, clock=clock)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_grant_is_held_revoked_or_in_the_outbox_on_every_store(store, seed):
    crowd = Crowd(seed, store)
    managers = [
        IntegrationManager(
            store=crowd.rows, transport=SimulatedTransport(crowd.provider), pause=AdvancingPause(crowd.clock), **crowd.parts()
        )
        for _ in range(2)
    ]
    doors = [_Awaited(manager) for manager in managers]

    def person(number):
        rng = Random(f"{seed} {number}")
        for _ in range(40 // crowd.people):
            with suppress(CloudIntegrationsError):
                run_inline(act(doors[number % 2], crowd, rng, crowd.deed(rng), rng.choice(TENANTS)))

    with ThreadPoolExecutor(crowd.people) as threads:
        for done in [threads.submit(person, number) for number in range(crowd.people)]:
            done.result()
    crowd.check(managers[0])
    crowd.clear(managers[0])
    for manager in managers:
        manager.close()


class _Awaited:
    """A blocking manager behind the words of the awaiting one."""

    def __init__(self, manager):
        self._manager = manager

    def acting_as(self, actor):
        return _Awaited(self._manager.acting_as(actor))

    def __getattr__(self, name):
        method = getattr(self._manager, name)
        if not callable(method):
            return _Awaited(method)

        async def call(*args, **named):
            return method(*args, **named)

        return call
