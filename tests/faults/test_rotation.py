"""Keys are changed by real processes while others work, and by processes that are killed: nothing is lost, nothing is left behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from tests.sizes import FULL

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, schema, sqlite_engine
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.secret import Secret
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import ProviderServer, SimulatedProvider, SimulatedTransport

from .conftest import DATABASES, Database, on_a_server

ALICE = Actor(id="alice")
CALLBACK_URL = "https://app.example/oauth/callback"
WORKERS = 4
MOST_CALLS = 400
"""More calls of its store than a rotation of a handful of rows makes."""


class Installation:
    """Some tenants in a database of this room alone, and processes with this or that keyring."""

    def __init__(self, database, nursery):
        self.database, self._nursery = database, nursery
        self.old, self.new = (LocalKeyring.generate_key(kid).reveal() for kid in ("old", "new"))
        self.provider = SimulatedProvider(reuse="family", access_lifetime=timedelta(days=1))
        self.server = ProviderServer(self.provider)
        self.store = SqlAlchemyStore(database.engine)
        self.replicas = []
        self.held = {}
        """By tenant, its OAuth2 integration."""

    def __enter__(self):
        self.server.__enter__()
        with self.database.engine.begin() as connection:
            for table in schema.metadata.sorted_tables:
                connection.execute(table.delete())
        return self

    def __exit__(self, *_):
        for replica in self.replicas:
            replica.close()
        self.server.__exit__(None, None, None)

    def manager(self, *keyring):
        return IntegrationManager(
            store=self.store,
            transport=SimulatedTransport(self.provider),
            keys=LocalKeyring([Secret(entry) for entry in keyring]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=Settings(callback_url=CALLBACK_URL, token_cache=timedelta(), use_window=None),
        ).acting_as(ALICE)

    def connect(self, *tenants):
        """Give each tenant a grant and a key under the old wrapping key, and leave one authorization open."""
        manager = self.manager(self.old)
        for tenant in tenants:
            begun = manager.begin_oauth(tenant, self.provider.slug, name="Files")
            params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
            self.held[tenant] = manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration
            manager.add_api_key(tenant, f"{self.provider.slug}_keys", name="Key", api_key=self.provider.valid_api_key)
        return manager.begin_reconnect(tenants[0], self.held[tenants[0]].id)

    def replica(self, job, *keyring, count=1, **order):
        application = self.provider.application()
        replica = self._nursery.start(
            {
                "database": self.database.url,
                "keyring": keyring,
                "provider_url": self.server.url,
                "slug": self.provider.slug,
                "rotation": self.provider.rotation,
                "reuse": self.provider.reuse,
                "grace": self.provider.grace.total_seconds(),
                "access_lifetime": self.provider.access_lifetime.total_seconds(),
                "client_id": application.client_id,
                "client_secret": application.client_secret.reveal(),
                "failpoint": None,
                "action": None,
                "change": "SaveRenewal",
                "skew": 0.0,
                "jump": 0.0,
                "passed": 0.0,
                "settings": {"wait_limit": 20, "token_cache": 0},
                "job": job,
                "under_way": False,
                "count": count,
                **order,
            }
        )
        self.replicas.append(replica)
        return replica

    def workers(self, *keyring, count):
        tenants = list(self.held)
        return [
            self.replica(
                "work",
                *keyring,
                count=count,
                seed=number,
                tenants=tenants,
                own_tenant=f"own-{number}",
                integrations=[(tenant, str(facts.id)) for tenant, facts in self.held.items()],
                api_keys=[self.provider.issue_api_key().reveal() for _ in range(5)],
            )
            for number in range(WORKERS)
        ]

    # What a test looks at

    def keys(self, tenant):
        with self.database.engine.connect() as connection:
            key = schema.key.c
            rows = sa.select(key.version, key.state, key.kek_uri).where(key.tenant_id == tenant).order_by(key.version)
            return [tuple(row) for row in connection.execute(rows)]

    @property
    def outdated(self):
        return sum(usage.rows for usage in self.store.list_key_usage() if usage.state is KeyState.DECRYPT_ONLY)

    def check_all_opens(self, *keyring):
        """Every grant lives and is the newest, each counts every renewal it ever had, and the audit chains are whole."""
        manager = self.manager(*keyring)
        manager.start()
        for tenant, facts in self.held.items():
            row = self.store.find_integration(tenant, facts.id)
            refresh_token = run_inline(manager._wiring.sealer.open_token(row, "refresh"))
            assert self.provider.is_newest(refresh_token), "a renewal was overwritten"
            assert self.provider.is_alive(manager.credential(tenant, self.provider.slug).value)
            assert manager.credential(tenant, f"{self.provider.slug}_keys").value.reveal() == self.provider.valid_api_key.reveal()
            assert manager.audit.verify(tenant).whole
        generations = [self.store.find_integration(tenant, facts.id).credential.generation for tenant, facts in self.held.items()]
        assert sum(generations) - len(generations) == self.provider.refresh_count, "a renewal was lost"


@pytest.fixture(scope="module", params=DATABASES)
def room(request, tmp_path_factory):
    """A database whose rows are sealed by the keys of this module alone."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("rotation") / "rotation.db"
        engine = sqlite_engine(path)
        yield Database(f"sqlite:///{path}", engine)
        engine.dispose()
    else:
        with on_a_server(request.getfixturevalue(f"{request.param}_url")) as database:
            yield database


@pytest.fixture
def installation(room, nursery):
    with Installation(room, nursery) as installation:
        yield installation


@pytest.mark.slow
@pytest.mark.requirement("ENC-10")
def test_keys_change_under_load_and_no_read_fails_and_nothing_is_lost(installation):
    installation.connect("acme", "globex", "hooli")
    old, new = installation.old, installation.new
    # Two that change everything, each to its own wrapping key, while four work.
    rings = ((new, old), (old, new))
    changing = [installation.replica("rotate", *ring, count=40 if FULL else 5, beside_another=True) for ring in rings]
    working = installation.workers(old, new, count=600 if FULL else 80)
    for replica in (*working, *changing):
        replica.go()
    outcomes = [replica.end_one() for replica in working]
    rotations = [replica.end_one() for replica in changing]
    assert [outcome["wrong"] for outcome in outcomes] == [{}] * WORKERS
    assert all(rotation["changed"]["rotated"] > 0 and rotation["changed"]["rewrapped"] > 0 for rotation in rotations)
    # Who loses five races for a row says so, and leaves it to the next run.
    assert all(set(rotation["failures"]) <= {"kept_changing"} for rotation in rotations)
    last = installation.replica("rotate", new, old).go().end_one()
    assert last["failures"] == {}
    assert installation.outdated == 0
    installation.check_all_opens(new)
    manager = installation.manager(new)
    for number, outcome in enumerate(outcomes):
        assert manager.credential(f"own-{number}", "simulated_keys").value.reveal() == outcome["written"]
    report = manager.keys.report()
    assert ({usage.kek_uri for usage in report.usage}, report.misplaced) == ({"local:new"}, 0)


@pytest.mark.slow
@pytest.mark.requirement("ENC-13")
def test_processes_with_the_previous_keys_work_while_the_new_one_is_only_known(installation):
    installation.connect("acme", "globex")
    old, new = installation.old, installation.new
    changing = installation.replica("rotate", old, new, count=5)
    working = installation.workers(old, count=40)
    for replica in (changing, *working):
        replica.go()
    assert [replica.end_one()["wrong"] for replica in working] == [{}] * WORKERS
    assert set(changing.end_one()["failures"]) <= {"kept_changing"}
    installation.check_all_opens(old)


@pytest.mark.slow
@pytest.mark.requirement("ENC-12")
def test_several_processes_that_rotate_at_once_make_one_new_key_for_each_tenant(installation):
    tenants = ("acme", "globex", "hooli", "initech")
    installation.connect(*tenants)
    cutoff = datetime.now(UTC).isoformat()
    ring = (installation.new, installation.old)
    replicas = [installation.replica("rotate", *ring, created_before=cutoff) for _ in range(3)]
    for replica in replicas:
        replica.go()
    outcomes = [replica.end_one() for replica in replicas]
    assert sum(outcome["changed"]["rotated"] for outcome in outcomes) == len(tenants)
    assert [outcome["failures"] for outcome in outcomes] == [{}] * 3
    for tenant in tenants:
        assert installation.keys(tenant) == [(1, "decrypt_only", "local:new"), (2, "active", "local:new")]
    assert installation.outdated == 0
    installation.check_all_opens(installation.new)


@pytest.mark.slow
@pytest.mark.requirement("ENC-11")
@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
def test_a_rotation_killed_at_every_call_of_its_store_and_repeated_ends_the_same(room, nursery, afterwards):
    for nth in range(1, MOST_CALLS):
        with Installation(room, nursery) as installation:
            begun = installation.connect("acme", "globex")
            order = {"created_before": datetime.now(UTC).isoformat()}
            ring = (installation.new, installation.old)
            victim = installation.replica("rotate", *ring, **order, dies={"nth": nth, "afterwards": afterwards})
            survived = victim.go().end() != []
            # Whatever it left, both keys open.
            installation.check_all_opens(*ring)
            again = installation.replica("rotate", *ring, **order).go().end_one()
            assert again["failures"] == {}
            for tenant in installation.held:
                assert installation.keys(tenant) == [(1, "decrypt_only", "local:new"), (2, "active", "local:new")], nth
            assert installation.outdated == 0
            installation.check_all_opens(installation.new)
            params = parse_qsl(urlsplit(installation.provider.sign_in(begun.url)).query)
            completed = installation.manager(installation.new).complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
            assert completed.integration.tenant_id == "acme"
            if survived:
                assert again["changed"] == {"rotated": 0, "rewrapped": 0, "resealed": 0}
                break
    else:
        pytest.fail("a rotation has more calls than were looked at")
    # Two tenants: a replacement, a wrapping and a sealing each, with the reads around them.
    assert nth > 15
