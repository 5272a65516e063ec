from __future__ import annotations

import asyncio
import contextlib
import inspect
import sqlite3
import traceback
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema, sqlite_engine
from cloud_integrations.domain.integration import State
from cloud_integrations.errors import IntegrationNotFoundError, StorageUnavailableError
from cloud_integrations.ports.store import (
    AddEntry,
    AddIntegration,
    AddKey,
    AsyncStore,
    Record,
    Reseal,
    RewrapKey,
    RotateKey,
    SaveFacts,
    Store,
)
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    NEWCOMER,
    PROVIDER,
    SEALING_KEY,
    StoreContract,
    a_credential,
    a_key,
    an_entry,
    an_event,
    an_integration,
    lease,
    row_of,
    verified,
)

from .conftest import opened


class TestOnSqlite(StoreContract):
    @pytest.fixture
    def store(self, clock, sqlite):
        return SqlAlchemyStore(sqlite, clock=clock)


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self, clock, migrated):
        engine = sqlite_engine(":memory:")
        with contextlib.closing(sqlite3.connect(migrated)) as source, engine.connect() as connection:
            source.backup(connection.connection.driver_connection)
        yield SqlAlchemyStore(engine, clock=clock)
        engine.dispose()


@pytest.mark.repeats
class TestOnSqliteBehindTheAwaitedStore(StoreContract):
    @pytest.fixture
    def store(self, clock, sqlite):
        return AsyncSqlAlchemyStore(sqlite, clock=clock)


class TestOnPostgresql(StoreContract):
    @pytest.fixture
    def store(self, clock, postgresql):
        return SqlAlchemyStore(postgresql, clock=clock)


@pytest.mark.drivers
class TestOnPostgresqlBehindTheAwaitedStore(StoreContract):
    @pytest.fixture
    def store(self, clock, postgresql):
        return AsyncSqlAlchemyStore(postgresql, clock=clock)


class TestOnPostgresqlAwaited(StoreContract):
    @pytest.fixture
    def store(self, clock, runner, postgresql):
        engine = create_async_engine(postgresql.url.set(drivername="postgresql+asyncpg"), pool_size=16)
        yield AsyncSqlAlchemyStore(engine, clock=clock)
        runner.run(engine.dispose())


class TestOnMariadb(StoreContract):
    @pytest.fixture
    def store(self, clock, mariadb):
        return SqlAlchemyStore(mariadb, clock=clock)


@pytest.mark.drivers
class TestOnMariadbBehindTheAwaitedStore(StoreContract):
    @pytest.fixture
    def store(self, clock, mariadb):
        return AsyncSqlAlchemyStore(mariadb, clock=clock)


class TestOnMariadbAwaited(StoreContract):
    @pytest.fixture
    def store(self, clock, runner, mariadb):
        engine = create_async_engine(mariadb.url.set(drivername="mariadb+asyncmy"), pool_size=16)
        yield AsyncSqlAlchemyStore(engine, clock=clock)
        runner.run(engine.dispose())


CANARY = b"fake-canary-token"


class TestErrors:
    def test_a_database_that_is_not_there_is_unavailable(self, tmp_path, runner):
        stores = [
            SqlAlchemyStore(sqlite_engine(tmp_path / "no" / "such" / "folder.db")),
            SqlAlchemyStore(sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", poolclass=NullPool)),
        ]
        for store in stores:
            with pytest.raises(StorageUnavailableError):
                store.list_integrations(ACME)
            with pytest.raises(StorageUnavailableError):
                store.apply(Record(event=an_event()))
            with pytest.raises(StorageUnavailableError):
                store.prepare()
        awaited = AsyncSqlAlchemyStore(create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", poolclass=NullPool))
        with pytest.raises(StorageUnavailableError):
            runner.run(awaited.list_integrations(ACME))

    @pytest.fixture
    def runner(self):
        with asyncio.Runner() as runner:
            yield runner

    def test_a_pool_without_a_free_connection_is_unavailable(self, postgresql_url, postgresql):
        small = sa.create_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=0.01)
        with small.connect(), pytest.raises(StorageUnavailableError):
            SqlAlchemyStore(small).list_integrations(ACME)
        small.dispose()

    def test_a_locked_file_is_unavailable(self, tmp_path, sqlite):
        impatient = sqlite_engine(tmp_path / "store.db", timeout=0.01)
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store = SqlAlchemyStore(impatient)
        with pytest.raises(StorageUnavailableError):
            store.apply(Record(event=an_event()))
        assert store.list_audit(ACME) == ()
        other.execute("ROLLBACK")
        other.close()
        impatient.dispose()

    def test_a_file_that_may_only_be_read_is_unavailable_for_writing(self, tmp_path, sqlite):
        read_only = sa.create_engine(f"sqlite:///file:{tmp_path / 'store.db'}?mode=ro&uri=true")
        store = SqlAlchemyStore(read_only)
        assert store.list_integrations(ACME) == ()
        with pytest.raises(StorageUnavailableError):
            store.apply(Record(event=an_event()))
        read_only.dispose()

    def test_a_full_disk_is_unavailable_and_changes_nothing(self, sqlite):
        store = opened(sqlite)
        with sqlite.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

        def limit(dbapi_connection, record, proxy):
            dbapi_connection.execute(f"PRAGMA max_page_count = {pages + 1}")

        sqlite.dispose()
        sa.event.listen(sqlite, "checkout", limit)
        with pytest.raises(StorageUnavailableError):
            store.apply(
                Record(event=an_event()),
                AddIntegration(facts=an_integration(), credential=replace(a_credential(), presented=bytes(60_000))),
            )
        assert store.list_integrations(ACME) == ()
        assert store.list_audit(ACME) == ()

    def test_no_error_shows_what_was_to_be_stored(self, engine):
        # The host's engine shows parameters, and the table is made to refuse.
        shouting = sa.create_engine(engine.url, hide_parameters=False)
        store = opened(shouting)
        facts = an_integration()
        credential = replace(a_credential(), presented=CANARY)
        store.apply(AddIntegration(facts=facts, credential=credential))
        entry = replace(an_entry(), sealed_payload=CANARY)
        failing = [
            (AddIntegration(facts=an_integration(), credential=credential),),
            (
                AddIntegration(
                    facts=an_integration(provider_id=facts.id, renewal_rule="keep"), credential=replace(a_credential(), renewal=CANARY)
                ),
            ),
            (AddKey(key=a_key(NEWCOMER, wrapped=CANARY)), AddKey(key=a_key(NEWCOMER, wrapped=CANARY))),
            (RotateKey(key=a_key(wrapped=CANARY), replaces=SEALING_KEY),),
            (RewrapKey(before=a_key(key_id=SEALING_KEY), kek_uri="k" * 600, kek_key_id=bytes(16), wrapped=CANARY), lease(an_integration())),
            (
                Reseal(rows=((row_of(facts), replace(row_of(facts), sealed={"presented": CANARY, "renewal": CANARY * 9000})),)),
                lease(an_integration()),
            ),
            (AddEntry(entry=entry), AddEntry(entry=entry)),
        ]
        for changes in failing:
            with pytest.raises(Exception) as caught:
                store.apply(*changes)
            shown = "".join(traceback.format_exception(caught.value))
            assert CANARY.decode() not in shown
            assert CANARY.hex() not in shown
        shouting.dispose()


COPY_THE_THIRD = (
    "INSERT INTO ci_audit SELECT tenant_id, 4, event_id, occurred_at, actor_type, actor_id, action, resource, outcome, reason,"
    " request_id, provider_id, context_id, details, salts, previous_hash, hash FROM ci_audit WHERE tenant_id = 'acme' AND seq = 3"
)


class TestTheChain:
    """AUD-04: whoever can write to the database is found out."""

    @pytest.fixture(autouse=True)
    def chain(self, store):
        for number in range(6):
            store.apply(Record(event=an_event(action=f"action.{number}")), Record(event=an_event(GLOBEX, action=f"action.{number}")))

    @pytest.mark.requirement("AUD-04")
    @pytest.mark.parametrize(
        ("tampering", "seq"),
        [
            (["UPDATE ci_audit SET action = 'other' WHERE tenant_id = 'acme' AND seq = 3"], 3),
            (["UPDATE ci_audit SET details = '{}' WHERE tenant_id = 'acme' AND seq = 3"], 3),
            (["UPDATE ci_audit SET occurred_at = occurred_at + 1 WHERE tenant_id = 'acme' AND seq = 3"], 3),
            (["UPDATE ci_audit SET reason = NULL WHERE tenant_id = 'acme' AND seq = 3"], 3),
            (["UPDATE ci_audit SET actor_id = 'mallory' WHERE tenant_id = 'acme' AND seq = 6"], 6),
            (["DELETE FROM ci_audit WHERE tenant_id = 'acme' AND seq = 3"], 3),
            (["DELETE FROM ci_audit WHERE tenant_id = 'acme' AND seq = 1"], 1),
            (
                [
                    "DELETE FROM ci_audit WHERE tenant_id = 'acme' AND seq = 3",
                    "UPDATE ci_audit SET seq = seq + 100 WHERE tenant_id = 'acme' AND seq > 3",
                    "UPDATE ci_audit SET seq = seq - 101 WHERE tenant_id = 'acme' AND seq > 100",
                ],
                3,
            ),
            (
                [
                    "UPDATE ci_audit SET seq = seq + 100 WHERE tenant_id = 'acme' AND seq > 3",
                    "UPDATE ci_audit SET seq = seq - 99 WHERE tenant_id = 'acme' AND seq > 100",
                    COPY_THE_THIRD,
                ],
                4,
            ),
            (
                [
                    "UPDATE ci_audit SET seq = 100 WHERE tenant_id = 'acme' AND seq = 2",
                    "UPDATE ci_audit SET seq = 2 WHERE tenant_id = 'acme' AND seq = 3",
                    "UPDATE ci_audit SET seq = 3 WHERE tenant_id = 'acme' AND seq = 100",
                ],
                2,
            ),
            (
                [
                    "UPDATE ci_audit SET tenant_id = 'x' WHERE tenant_id = 'acme' AND seq = 4",
                    "UPDATE ci_audit SET tenant_id = 'acme' WHERE tenant_id = 'globex' AND seq = 4",
                ],
                4,
            ),
            (["DELETE FROM ci_audit WHERE tenant_id = 'acme' AND seq = 6"], 6),
            (["DELETE FROM ci_audit WHERE tenant_id = 'acme'"], 1),
            (["DELETE FROM ci_audit_head WHERE tenant_id = 'acme'"], 1),
        ],
        ids=[
            "an action is edited",
            "details are edited",
            "a time is edited",
            "a reason is removed",
            "the last actor is edited",
            "an event is deleted",
            "the first event is deleted",
            "an event is deleted and the rest renumbered",
            "an event is inserted",
            "two events change places",
            "an event comes from another tenant",
            "the tail is cut off",
            "all is deleted",
            "the head is deleted",
        ],
    )
    def test_tampering_is_found_and_located(self, engine, store, tampering, seq):
        assert verified(store).whole
        with engine.begin() as connection:
            for statement in tampering:
                connection.exec_driver_sql(statement)
        report = verified(store)
        assert not report.whole
        assert min(problem.seq for problem in report.problems) == seq

    @pytest.mark.requirement("AUD-04")
    def test_a_shorter_chain_with_its_old_head_is_found_by_a_checkpoint(self, engine, store):
        checkpoint = store.find_audit_head(ACME)
        fourth = store.list_audit(ACME)[3]
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM ci_audit WHERE tenant_id = 'acme' AND seq > 4")
            connection.execute(sa.update(schema.audit_head).where(schema.audit_head.c.tenant_id == ACME).values(seq=4, hash=fourth.hash))
        assert verified(store).whole  # nothing inside the database can show this
        report = verified(store, checkpoint=checkpoint)
        assert [(problem.seq, problem.kind) for problem in report.problems] == [(5, "truncated")]


class TestTheTenantWatch:
    @pytest.mark.requirement("ISO-03")
    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT ci_integration.name FROM ci_integration WHERE ci_integration.integration_id = ?",
            "SELECT ci_integration.tenant_id FROM ci_integration ORDER BY ci_integration.tenant_id",
            "UPDATE ci_integration SET name = ? WHERE ci_integration.integration_id = ?",
            "DELETE FROM ci_audit",
            "SELECT ci_key.wrapped FROM ci_key WHERE ci_key.key_id = ?",
            "SELECT count(*) AS count_1 FROM ci_integration",
        ],
    )
    def test_a_statement_without_a_tenant_is_noticed(self, tenant_is_missing, statement):
        assert tenant_is_missing(statement)

    @pytest.mark.requirement("ISO-03")
    def test_a_store_whose_statement_forgets_the_tenant_fails(self, engine, store, monkeypatch):
        from cloud_integrations.backends.sqlalchemy.tables import integrations

        monkeypatch.setattr(integrations, "_LIST_INTEGRATIONS", sa.select(schema.integration.c.name))
        with pytest.raises(AssertionError, match="no tenant in"):
            store.list_integrations(ACME)

    def test_a_statement_with_a_tenant_passes(self, store):
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        assert store.find_credential(ACME, PROVIDER) is not None
        with pytest.raises(IntegrationNotFoundError):
            store.apply(SaveFacts(facts=an_integration(), expected_state=State.ACTIVE))


@pytest.mark.parametrize(("store", "port"), [(SqlAlchemyStore, Store), (AsyncSqlAlchemyStore, AsyncStore)])
def test_each_method_shows_the_parameters_of_its_port_and_says_what_it_does(store, port):
    for name, asked in inspect.getmembers(port, inspect.isfunction):
        if not name.startswith("_"):
            method = getattr(store, name)
            assert (method.__name__, inspect.signature(method)) == (name, inspect.signature(asked))
            assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(asked)
            assert method.__doc__
