"""The stage of the fault tests: databases, a provider that is the oracle, replicas that are real processes, and the invariants.

Time passes by moving the times in the row (and the provider's clock), so no test sleeps and none is decided by speed.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from tests.databases import own_database

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, migrate, sqlite_engine
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.secret import Secret
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import FixedClock, ProviderServer, SimulatedProvider, SimulatedTransport, token_id

from .processes import Nursery

SERVERS = ("postgresql", "mariadb")
DATABASES = ("sqlite", *SERVERS)
MODES = ("none", "tolerant", "grace", "strict", "family")


LEASE = 30
_TIMES = (
    *("lease_until", "sent_at", "next_attempt_at", "expires_at", "state_since", "refreshed_at", "created_at", "due_at"),
    *("replaced_since", "replaced_at"),
)
_ACTOR = Actor(id="alice")


@pytest.fixture(scope="session")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("wires"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def keyring_entry():
    return LocalKeyring.generate_key("test").reveal()


class Database:
    """One database of this room, with the tables in it."""

    def __init__(self, url, engine):
        self.url, self.engine = url, engine
        migrate.upgrade(engine)

    @property
    def kind(self):
        return self.engine.dialect.name

    def cut(self):
        """End every connection to this database but the test's own, and wait until they have ended."""
        self.engine.dispose()
        while self._cut():
            pass

    def _cut(self):
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "postgresql":
                others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                end = "SELECT pg_terminate_backend({})"
            else:
                others = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
                end = "KILL CONNECTION {}"
            numbers = connection.execute(sa.text(others)).scalars().all()
            for number in numbers:
                with suppress(sa.exc.DBAPIError):  # it has ended meanwhile
                    connection.execute(sa.text(end.format(int(number))))
            connection.rollback()
        return numbers


@pytest.fixture(scope="session")
def _sqlite(tmp_path_factory):
    path = tmp_path_factory.mktemp("faults") / "faults.db"
    engine = sqlite_engine(path)
    yield Database(f"sqlite:///{path}", engine)
    engine.dispose()


@pytest.fixture(scope="session")
def _postgresql(postgresql_url):
    with on_a_server(postgresql_url) as database:
        yield database


@pytest.fixture(scope="session")
def _mariadb(mariadb_url):
    with on_a_server(mariadb_url) as database:
        yield database


@contextmanager
def on_a_server(server):
    """Give a database of its own on the server of a URL."""
    with own_database(server) as url:
        engine = sa.create_engine(url)
        yield Database(url.render_as_string(hide_password=False), engine)
        engine.dispose()


@pytest.fixture
def database(request):
    """The database that a test names by parameter: `@pytest.mark.parametrize("database", DATABASES, indirect=True)`."""
    return request.getfixturevalue(f"_{request.param}")


class Stage:
    """One tenant with one integration whose token is about to be renewed, the provider, and replicas on demand."""

    def __init__(self, database, keyring_entry, nursery, mode, *, grace, access_lifetime):
        self.database, self.mode = database, mode
        self._nursery, self._keyring_entry = nursery, keyring_entry
        self.tenant = f"tenant-{secrets.token_hex(4)}"
        self.clock = FixedClock(datetime.now(UTC))
        self.provider = SimulatedProvider(
            clock=self.clock,
            rotation="never" if mode == "none" else "always",
            reuse="tolerant" if mode == "none" else mode,
            grace=timedelta(seconds=grace),
            access_lifetime=timedelta(seconds=access_lifetime),
        )
        self._server = ProviderServer(self.provider)
        self.store = SqlAlchemyStore(database.engine)
        self.replicas = []
        self.stored = []
        """(how many refresh requests the provider had seen, the stored refresh token's id), at each look."""

    def __enter__(self):
        self._server.__enter__()
        self.manager = IntegrationManager(
            store=self.store,
            transport=SimulatedTransport(self.provider),
            keys=LocalKeyring([Secret(self._keyring_entry)]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=Settings(callback_url="https://app.example/oauth/callback"),
        ).acting_as(_ACTOR)
        begun = self.manager.begin_oauth(self.tenant, self.provider.slug, name="Files")
        params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
        self.held = self.manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration
        self.first_refresh_token = [request for request in self.provider.requests if request.endpoint == "exchange"][-1].issued[1]
        self.look()
        return self

    def __exit__(self, *_):
        for replica in self.replicas:
            replica.close()
        self._server.__exit__(None, None, None)

    def replica(
        self,
        failpoint=None,
        action=None,
        *,
        change="SaveRenewal",
        callers=1,
        skew=0.0,
        jump=0.0,
        passed=0.0,
        calls="token",
        url=None,
        **settings,
    ):
        """Start a replica that is ready to go, its clocks wrong by *skew*, set by *jump* and *passed* at the failpoint (seconds)."""
        application = self.provider.application()
        replica = self._nursery.start(
            {
                "database": url or self.database.url,
                "keyring_entry": self._keyring_entry,
                "provider_url": self._server.url,
                "slug": self.provider.slug,
                "rotation": self.provider.rotation,
                "reuse": self.provider.reuse,
                "grace": self.provider.grace.total_seconds(),
                "access_lifetime": self.provider.access_lifetime.total_seconds(),
                "client_id": application.client_id,
                "client_secret": application.client_secret.reveal(),
                "tenant": self.tenant,
                "integration_id": str(self.held.id),
                "failpoint": failpoint,
                "action": action,
                "change": change,
                "callers": callers,
                "skew": skew,
                "jump": jump,
                "passed": passed,
                "calls": calls,
                "settings": {"wait_limit": 0.05, "deadline": 15, "lease": LEASE, **settings},
            }
        )
        self.replicas.append(replica)
        return replica

    def ask(self, **named):
        """Let a new replica ask for the token, and return what its one caller got."""
        outcome = self.replica(**named).go().end_one()
        self.look()
        return outcome

    def pass_time(self, seconds):
        """Let time pass for the row and for the provider."""
        self.clock.advance(timedelta(seconds=seconds))
        self.move_the_row(seconds)

    def move_the_row(self, seconds):
        """Let time pass for the row alone; below 0, for as long as all that is in it is further ahead."""
        moved = ", ".join(f"{name} = {name} - :by" for name in _TIMES)
        with self.database.engine.begin() as connection:
            connection.execute(
                sa.text(f"UPDATE ci_integration SET {moved} WHERE tenant_id = :tenant"),
                {"by": int(seconds * 1_000_000), "tenant": self.tenant},
            )

    def expire(self):
        """Let the access token end."""
        self.pass_time(self.provider.access_lifetime.total_seconds() + 1)

    @property
    def row(self):
        row = self.store.find_integration(self.tenant, self.held.id)
        assert row is not None
        return row

    def stored_secret(self, field):
        return run_inline(self.manager._wiring.sealer.open_token(self.row, field))

    def look(self):
        """Remember which refresh token is stored, for I2."""
        self.stored.append((len(self.refreshes), token_id(self.stored_secret("refresh"))))

    @property
    def refreshes(self):
        return [request for request in self.provider.requests if request.endpoint == "refresh"]

    @property
    def attempts(self):
        """The outcomes of each attempt in the audit log, by attempt id."""
        found = {}
        for record in self.store.list_audit(self.tenant, limit=10_000):
            if record.event.action == "credential.refresh":
                found.setdefault(record.event.details["attempt"], []).append(record.event.outcome.value)
        return found

    def check_invariants(self, *, died=0, late=0, given_up=0, without_intent=0):
        """I1 to I6 of the protocol.

        *died*: how many attempts ended with their process, so that their outcome is missing.  *late*: how many requests left
        a process that had been held up for longer than its lease (a provider knows no fencing numbers; see refresh.md).
        *given_up*: how many requests the provider was still at when their sender had recorded that nobody knows.
        *without_intent*: how many attempts may lack it, because the transaction with it was lost before anything was sent.
        """
        self.look()
        row, provider, refreshes = self.row, self.provider, self.refreshes
        refresh_token = self.stored_secret("refresh")
        order = [self.first_refresh_token, *(request.issued[1] for request in refreshes if len(request.issued) > 1)]
        place = {name: number for number, name in enumerate(order)}
        assert provider.in_flight_max <= 1 + given_up, "I1"
        older = sum(
            place[request.presented] < max(place[name] for seen, name in self.stored if seen <= number)
            for number, request in enumerate(refreshes)
        )
        assert older <= late, "I2"
        living = [name for replica in self.replicas if replica.outcomes for name in replica.received]
        if not late:
            assert place[token_id(refresh_token)] >= max((place[name] for name in living), default=0), "I3"
        assert row.facts.state in {State.ACTIVE, State.NEEDS_REAUTH}, "REF-17"
        if row.facts.state is State.NEEDS_REAUTH:
            assert not provider.is_alive(refresh_token), "I4"
        elif not late:
            assert provider.is_alive(refresh_token), "I5"
            assert provider.is_alive(self.stored_secret("access")), "I5"
        attempts = self.attempts
        assert list(attempts.values()).count(["failure"]) <= without_intent, "I6"
        intended = [outcomes for outcomes in attempts.values() if outcomes != ["failure"]]
        assert all(outcomes[0] == "started" and len(outcomes) <= 2 for outcomes in intended), "I6"
        assert intended.count(["started"]) == died, "I6"
        assert self.manager.audit.verify(self.tenant).whole, "I6"


@pytest.fixture
def stage(keyring_entry, nursery):
    """Open a stage: `stage(database, mode)`; everything on it ends with the test."""
    opened = []

    def open_stage(database, mode="strict", *, grace=30.0, access_lifetime=3600.0):
        opened.append(Stage(database, keyring_entry, nursery, mode, grace=grace, access_lifetime=access_lifetime))
        return opened[-1].__enter__()

    yield open_stage
    for one in opened:
        one.__exit__(None, None, None)
