"""A long run with faults leaves nothing behind: as many objects, threads and connections after it as before it."""

from __future__ import annotations

import gc
import random
import threading
from collections import Counter
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from tests.flows.conftest import CALLBACK_URL

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, migrate
from cloud_integrations.domain.audit import SYSTEM
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import AdvancingPause, FixedClock, Misbehaviour, SeededEntropy, SimulatedProvider, SimulatedTransport

SEED = 20261129
WARM, ROUNDS = 150, 1_500
POOL = 3
TENANTS = tuple(f"tenant-{number}" for number in range(5))


class Soak:
    """A manager over a real pool, and everything that tenants do with it, in an order that a seed gives."""

    def __init__(self, url):
        self.random = random.Random(SEED)
        self.clock = FixedClock()
        self.provider = SimulatedProvider(clock=self.clock, entropy=SeededEntropy("soak"))
        self.engine = sa.create_engine(url, pool_size=POOL, max_overflow=0)
        migrate.upgrade(self.engine)
        self.manager = IntegrationManager(
            store=SqlAlchemyStore(self.engine, clock=self.clock),
            transport=SimulatedTransport(self.provider),
            keys=LocalKeyring([LocalKeyring.generate_key("test")]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=Settings(callback_url=CALLBACK_URL),
            clock=self.clock,
            entropy=SeededEntropy("manager"),
            pause=AdvancingPause(self.clock),
        )
        self.acting = self.manager.acting_as(SYSTEM)
        self.ended = Counter()

    def close(self):
        self.manager.close()
        self.engine.dispose()

    def play(self, rounds):
        """Make *rounds* random calls, a third of them while the provider, the database or the tenant does something wrong."""
        for _ in range(rounds):
            self.clock.advance(self.provider.access_lifetime / self.random.choice([2, 10, 100]))
            if self.random.random() < 1 / 3:
                self.random.choice([self._misbehave, self._misbehave, self._cut_connections, self._end_grants])()
            call = self.random.choice([self._connect, self._use, self._use, self._use, self._work, self._verify, self._edit, self._delete])
            try:
                call(self.random.choice(TENANTS))
                self.ended["well"] += 1
            except CloudIntegrationsError as error:
                self.ended[type(error).__name__] += 1

    def _misbehave(self):
        self.provider.misbehave(self.random.choice([what for what in Misbehaviour if what is not Misbehaviour.HUGE_BODY]))

    def _cut_connections(self):
        if self.engine.dialect.name == "postgresql":
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            with sa.create_engine(self.engine.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as other:
                other.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    def _end_grants(self):
        self.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")

    def _connect(self, tenant):
        begun = self.acting.begin_oauth(tenant, self.provider.slug, name="Files")
        params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
        self.acting.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)

    def _use(self, tenant):
        assert self.acting.credential(tenant, self.provider.slug).value.reveal()

    def _work(self, tenant):
        self.acting.worker.refresh_due(limit=10)
        self.acting.worker.retry_revocations(limit=10)

    def _one(self, tenant):
        return next(iter(self.acting.list_integrations(tenant)), None)

    def _verify(self, tenant):
        if held := self._one(tenant):
            self.acting.verify(tenant, held.id)

    def _edit(self, tenant):
        if held := self._one(tenant):
            self.acting.edit_integration(tenant, held.id, name=f"Files {self.random.randrange(9)}")

    def _delete(self, tenant):
        if held := self._one(tenant):
            self.acting.delete(tenant, held.id)


def alive():
    """Count the objects of our classes and of SQLAlchemy's, by class.

    What the simulated provider remembers is left out: its own objects, and the secrets that it issued.
    """
    gc.collect()
    names = Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, gc.get_objects()))
    counted = ("cloud_integrations.", "sqlalchemy.", "threading.")
    left_out = ("cloud_integrations.testing.", "cloud_integrations.domain.secret.")
    return Counter({name: count for name, count in names.items() if name.startswith(counted) and not name.startswith(left_out)})


@pytest.mark.slow
@pytest.mark.requirement("TST-13")
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_long_run_with_faults_leaves_no_object_no_thread_and_no_connection(database, request, tmp_path):
    url = f"sqlite:///{tmp_path}/soak.db" if database == "sqlite" else request.getfixturevalue("own_postgresql_url")
    soak = Soak(url)
    try:
        soak.play(WARM)
        before, threads = alive(), threading.active_count()
        soak.play(ROUNDS)
        after = alive()
        assert soak.ended["well"] > ROUNDS / 3, soak.ended
        assert sum(soak.ended.values()) - soak.ended["well"] > ROUNDS / 20, soak.ended
        assert len(soak.ended) > 4, soak.ended
        assert after.total() <= before.total() * 1.01, after - before
        assert threading.active_count() <= threads
        assert (soak.engine.pool.checkedout(), soak.engine.pool.overflow() <= 0) == (0, True)
        if database == "postgresql":
            with soak.engine.connect() as connection:
                count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                assert connection.scalar(count) <= POOL
    finally:
        soak.close()


@pytest.mark.requirement("TST-13", "TST-17")
def test_what_is_kept_by_mistake_is_counted():
    before = alive()
    leaked = [Settings(callback_url=CALLBACK_URL) for _ in range(before.total() // 50)]
    assert alive().total() > before.total() * 1.01
    assert leaked
