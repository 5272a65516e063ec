from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema, sqlite_engine
from cloud_integrations.backends.sqlalchemy.db_errors import is_unstorable, was_refused
from cloud_integrations.backends.sqlalchemy.tables import keys as key_table
from cloud_integrations.domain.envelope import KeyCheck
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import State
from cloud_integrations.errors import (
    CommitUnknownError,
    IntegrationExistsError,
    IntegrationNotFoundError,
    KeyRetiredError,
    SchemaError,
    StaleWriteError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import (
    AddIntegration,
    AddKey,
    AddKeyCheck,
    AddPending,
    AddRevocation,
    ClosePending,
    DestroyKey,
    EraseIntegration,
    EraseTenant,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
    RewrapKey,
    RotateKey,
    SaveFacts,
)
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    NEWCOMER,
    NEXT_KEY,
    PROVIDER,
    SEALING,
    SEALING_KEY,
    BlockingStore,
    StoreContract,
    a_credential,
    a_key,
    a_pending,
    a_revocation,
    add_sealing_keys,
    an_event,
    an_integration,
    applying,
    everything,
    lease,
    resealed,
    rotated,
    row_of,
    sealing,
    verified,
    write_in_parallel,
)

SOURCES = Path(__file__).parents[2] / "src"


def opened(engine):
    """Return a store whose tenants have a data key."""
    store = SqlAlchemyStore(engine)
    add_sealing_keys(store, ACME, GLOBEX)
    return store


@pytest.fixture
def store(engine):
    return opened(engine)


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


class TestTenThousandTransactions:
    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @pytest.mark.requirement("AUD-05")
    def test_parallel_writers_leave_no_gap_in_ten_thousand_transactions(self, engine, store):
        deadlocks = []

        def note(context):
            if was_refused(context.sqlalchemy_exception):
                deadlocks.append(context.original_exception)

        sa.event.listen(engine, "handle_error", note)
        with asyncio.Runner() as runner:
            write_in_parallel(BlockingStore(store, runner), writers=16, each=625)
        assert deadlocks == []  # none that trying again has hidden


class TestTheClock:
    def test_the_databases_clock_is_used(self, engine, store):
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()))
        before = datetime.now(UTC) - timedelta(milliseconds=2)  # SQLite tells milliseconds
        store.apply(lease(facts, length=timedelta(seconds=15)))
        found = store.find_integration(ACME, facts.id)
        after = datetime.now(UTC)
        assert before <= found.marks.lease_until - timedelta(seconds=15) <= after
        assert before <= found.read_at <= after
        assert found.read_at.tzinfo is UTC

    def test_a_naive_time_is_refused(self, store):
        with pytest.raises(TypeError):
            store.apply(AddIntegration(facts=an_integration(created_at=START.replace(tzinfo=None)), credential=a_credential()))


class TestTheSchema:
    @pytest.mark.requirement("ISO-02")
    def test_every_key_and_index_names_the_tenant(self):
        without = {
            constraint.name
            for table in schema.metadata.tables.values()
            for constraint in (*table.constraints, *table.indexes)
            if isinstance(constraint, sa.PrimaryKeyConstraint | sa.UniqueConstraint | sa.ForeignKeyConstraint | sa.Index)
            and "tenant_id" not in constraint.columns
        }
        # A state's hash is what a callback learns its tenant from; check values belong to the installation.
        assert without == {"ci_authorization_state", "ci_key_check_pk"}

    @pytest.mark.parametrize(
        "columns",
        [
            {"presented": None},
            {"renewal": None},
            {"renewal_rule": "keep"},
            {"renewal_rule": "reconnect"},
            {"renewal_rule": "mint", "renewal": None},
            {"renewal_rule": "another"},
        ],
    )
    def test_the_database_holds_what_the_rule_of_renewal_needs_and_no_more(self, engine, store, columns):
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()))
        with pytest.raises(sa.exc.DBAPIError) as caught, engine.begin() as connection:
            connection.execute(sa.update(schema.integration).values(**columns))
        assert is_unstorable(caught.value)

    def test_a_store_without_tables_says_so(self, tmp_path, postgresql):
        bare = sqlite_engine(tmp_path / "bare.db")
        with pytest.raises(SchemaError) as caught:
            SqlAlchemyStore(bare).prepare()
        assert "not there" in str(caught.value)
        assert SqlAlchemyStore(bare).report().schema is None
        bare.dispose()

    def test_a_store_of_another_version_says_so(self, engine, store):
        with engine.begin() as connection:
            connection.execute(sa.update(schema.version).values(version_num="9999"))
        try:
            with pytest.raises(SchemaError) as caught:
                store.prepare()
            assert caught.value.details == {"found": "9999", "expected": schema.VERSION}
        finally:
            with engine.begin() as connection:
                connection.execute(sa.update(schema.version).values(version_num=schema.VERSION))

    def test_the_report_names_database_and_schema(self, store, engine):
        report = store.report()
        assert (report.kind, report.schema) == (f"sqlalchemy+{engine.dialect.name}", schema.VERSION)


class TestTheHostsEngine:
    def test_a_blocking_host_does_not_load_what_only_an_awaiting_one_needs(self):
        program = (
            "import sys, cloud_integrations.backends.sqlalchemy; "
            "sys.exit({'alembic', 'sqlalchemy.ext.asyncio', 'sqlalchemy.orm'} & {*sys.modules} or 0)"
        )
        finished = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(SOURCES)}, check=False
        )
        assert (finished.returncode, finished.stderr) == (0, "")

    def test_the_hosts_own_connections_stay_as_they_were(self, engine):
        with engine.connect() as connection:
            level = connection.get_isolation_level()
        store = opened(engine)
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        store.list_integrations(ACME)
        with engine.connect() as connection:
            assert connection.get_isolation_level() == level
            # What the host does in a transaction can still be undone.
            connection.execute(sa.delete(schema.integration))
            connection.rollback()
        assert len(store.list_integrations(ACME)) == 1

    def test_a_host_that_commits_each_statement_has_whole_units_of_work_all_the_same(self, engine):
        store = opened(engine.execution_options(isolation_level="AUTOCOMMIT"))
        gone = EraseIntegration(tenant_id=ACME, integration_id=an_integration().id, expected_generation=1)
        with pytest.raises(IntegrationNotFoundError):
            store.apply(AddIntegration(facts=an_integration(), credential=a_credential()), gone)
        assert store.list_integrations(ACME) == ()
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        assert len(store.list_integrations(ACME)) == 1

    def test_a_host_may_call_mariadb_mysql(self, mariadb):
        engine = sa.create_engine(mariadb.url.set(drivername="mysql+pymysql"))
        store = opened(engine)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential(), due_at=START), Record(event=an_event()))
        assert store.find_integration(ACME, facts.id).facts == facts
        assert [due.integration_id for due in store.claim_due(limit=1, hold=timedelta(minutes=5))] == [facts.id]
        engine.dispose()

    def test_the_hosts_open_transaction_is_not_committed(self, postgresql):
        store = opened(postgresql)
        with postgresql.connect() as connection:
            connection.execute(sa.insert(schema.audit_head).values(tenant_id="host", seq=1, hash=bytes(32)))
            store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
            connection.rollback()
        assert store.find_audit_head("host") is None

    def test_a_host_that_begins_sqlite_transactions_itself_is_no_hindrance(self, sqlite):
        sa.event.listen(sqlite, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        store = opened(sqlite)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), Record(event=an_event()))
        assert store.list_integrations(ACME) == (facts,)


def a_whole_unit_of_work(facts):
    return (
        AddIntegration(facts=an_integration(provider_id=facts.id), credential=a_credential()),
        SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE),
        lease(facts),
        AddPending(pending=a_pending()),
        AddRevocation(revocation=a_revocation()),
        AddKey(key=a_key(NEWCOMER)),
        AddKeyCheck(check=KeyCheck(kek_uri="local:test", kek_key_id=b"fake-kek-16bytes", canary=b"fake check")),
        rotated(),
        Reseal(rows=(resealed(row_of(facts)),)),
        RefuseKeys(tenant_id=ACME, min_version=1),
        EraseTenant(tenant_id=NEWCOMER, erased_at=START),
        Record(event=an_event()),
        Record(event=an_event(GLOBEX)),
    )


class InterruptedHereError(Exception):
    """Nothing that a database raises."""


class TestAllOrNothing:
    @pytest.mark.requirement("AUD-01", "AUD-07")
    @pytest.mark.parametrize("where", ["before_cursor_execute", "after_cursor_execute"])
    def test_wherever_it_fails_nothing_is_left(self, engine, store, where):
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), Record(event=an_event()))
        before = (everything(store), store.find_audit_head(GLOBEX))
        work = a_whole_unit_of_work(facts)
        for number in range(1, 100):
            seen = []

            def interrupt(connection, cursor, statement, parameters, context, executemany, seen=seen, number=number):
                seen.append(statement)
                if len(seen) == number:
                    raise InterruptedHereError

            sa.event.listen(engine, where, interrupt)
            try:
                store.apply(*work)
            except InterruptedHereError:
                pass
            else:
                break
            finally:
                sa.event.remove(engine, where, interrupt)
            assert (everything(store), store.find_audit_head(GLOBEX)) == before, seen[-1]
        assert number > len(work)
        assert everything(store) != before[0]
        assert verified(store).whole
        assert verified(store, GLOBEX).whole

    @pytest.mark.requirement("AUD-01")
    def test_a_connection_lost_while_committing_is_an_unknown_outcome(self, server):
        store = opened(server)
        sa.event.listen(server, "commit", lambda connection: kill(server, number_of(connection)), once=True)
        with pytest.raises(CommitUnknownError):
            store.apply(AddIntegration(facts=an_integration(), credential=a_credential()), Record(event=an_event()))
        assert len(store.list_integrations(ACME)) == len(store.list_audit(ACME))

    def test_a_connection_lost_before_every_commit_changes_nothing(self, server):
        store = opened(server)

        def cut(connection, cursor, statement, parameters, context, executemany):
            if "INSERT INTO ci_audit " in statement:
                kill(server, number_of(connection))

        sa.event.listen(server, "before_cursor_execute", cut)
        with pytest.raises(StorageUnavailableError) as caught:
            store.apply(AddIntegration(facts=an_integration(), credential=a_credential()), Record(event=an_event()))
        sa.event.remove(server, "before_cursor_execute", cut)
        assert not isinstance(caught.value, CommitUnknownError)
        assert store.list_integrations(ACME) == ()


def number_of(connection):
    """Return what the server calls this connection."""
    query = "SELECT pg_backend_pid()" if connection.dialect.name == "postgresql" else "SELECT CONNECTION_ID()"
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def kill(engine, number):
    """Let the server end a connection."""
    other = sa.create_engine(engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.exec_driver_sql(
            f"SELECT pg_terminate_backend({number}, 5000)" if engine.dialect.name == "postgresql" else f"KILL {number}"
        )


class TestTryingAgain:
    def test_a_pooled_connection_that_died_is_not_noticed(self, server):
        store = SqlAlchemyStore(server)
        for use in (lambda: store.list_integrations(ACME), lambda: store.apply(Record(event=an_event()))):
            with server.connect() as connection:
                number = number_of(connection)
            kill(server, number)
            use()
        assert len(store.list_audit(ACME)) == 1

    @pytest.mark.parametrize("drivername", ["postgresql+asyncpg", "mariadb+asyncmy"])
    def test_nor_behind_the_awaited_store(self, request, drivername):
        server = request.getfixturevalue(drivername.partition("+")[0])

        async def use_dead_connections():
            engine = create_async_engine(server.url.set(drivername=drivername))
            store = AsyncSqlAlchemyStore(engine)
            for use in (lambda: store.list_integrations(ACME), lambda: store.apply(Record(event=an_event()))):
                async with engine.connect() as connection:
                    number = await connection.run_sync(number_of)
                kill(server, number)
                await use()
            records = await store.list_audit(ACME)
            await engine.dispose()
            return records

        assert len(asyncio.run(use_dead_connections())) == 1

    def test_a_connection_lost_on_the_way_is_replaced(self, server):
        store = opened(server)
        cut = []

        def cut_once(connection, cursor, statement, parameters, context, executemany):
            if "INSERT INTO ci_audit " in statement and not cut:
                cut.append(statement)
                kill(server, number_of(connection))

        sa.event.listen(server, "before_cursor_execute", cut_once)
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()), Record(event=an_event()))
        assert cut
        assert (len(store.list_integrations(ACME)), len(store.list_audit(ACME))) == (1, 1)

    def test_of_two_who_wait_for_each_other_both_succeed(self, server):
        # PostgreSQL looks for circles only after a while.
        options = {"options": "-cdeadlock_timeout=10ms"} if server.dialect.name == "postgresql" else {}
        engine = sa.create_engine(server.url, connect_args=options)
        store = opened(engine)
        one, two = an_integration(), an_integration(GLOBEX)
        store.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in (one, two)])
        both_hold_one = threading.Barrier(2)
        refusals, held = [], threading.local()

        def meet(connection, cursor, statement, parameters, context, executemany):
            if statement.startswith("UPDATE") and not hasattr(held, "one"):
                held.one = True
                both_hold_one.wait(timeout=300)

        def note(context):
            refusals.append(was_refused(context.sqlalchemy_exception))

        sa.event.listen(engine, "after_cursor_execute", meet)
        sa.event.listen(engine, "handle_error", note)
        with ThreadPoolExecutor(2) as threads:
            for done in [
                threads.submit(
                    store.apply, *[SaveFacts(facts=replace(facts, name=f"By {who}"), expected_state=State.ACTIVE) for facts in order]
                )
                for who, order in {"one": (one, two), "two": (two, one)}.items()
            ]:
                done.result()
        assert refusals == [True]
        names = {store.find_integration(facts.tenant_id, facts.id).facts.name for facts in (one, two)}
        assert len(names) == 1
        engine.dispose()

    def test_a_serialization_failure_at_the_commit_is_no_unknown_outcome(self, postgresql):
        with postgresql.begin() as connection:
            # Sequences are not rolled back: the second time it goes well.
            for statement in (
                "CREATE SEQUENCE refused_once",
                (
                    "CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                    "IF nextval('refused_once') = 1 THEN RAISE EXCEPTION 'fake' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$"
                ),
                (
                    "CREATE CONSTRAINT TRIGGER refuse_once AFTER INSERT ON ci_audit DEFERRABLE INITIALLY DEFERRED "
                    "FOR EACH ROW EXECUTE FUNCTION refuse_once()"
                ),
            ):
                connection.exec_driver_sql(statement)
        try:
            store = SqlAlchemyStore(postgresql)
            store.apply(Record(event=an_event()))
            assert len(store.list_audit(ACME)) == 1
        finally:
            with postgresql.begin() as connection:
                connection.exec_driver_sql("DROP TRIGGER refuse_once ON ci_audit")
                connection.exec_driver_sql("DROP FUNCTION refuse_once")
                connection.exec_driver_sql("DROP SEQUENCE refused_once")

    def test_who_waited_long_for_a_lock_is_not_sent_to_wait_again(self, mariadb, monkeypatch):
        impatient = sa.create_engine(mariadb.url, connect_args={"init_command": "SET innodb_lock_wait_timeout = 0"})
        store = SqlAlchemyStore(impatient)
        store.apply(Record(event=an_event()))
        tries = []
        sa.event.listen(impatient, "handle_error", lambda context: tries.append(context.original_exception.args[0]))
        with mariadb.begin() as connection:
            connection.execute(sa.select(schema.audit_head).with_for_update())
            with pytest.raises(StorageUnavailableError):
                store.apply(Record(event=an_event()))
            assert tries == [1205] * 20
            tries.clear()
            monkeypatch.setattr("cloud_integrations.backends.sqlalchemy.execution._Retries._SECONDS", -1.0)
            with pytest.raises(StorageUnavailableError):
                store.apply(Record(event=an_event()))
            assert tries == [1205]
        assert len(store.list_audit(ACME)) == 1
        impatient.dispose()


LOWEST_ID, HIGHEST_ID = UUID("00000000-0000-7000-8000-000000000000"), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")
WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mariadb": (
        "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist ON id = trx_mysql_thread_id"
        " WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()"
    ),
}


def until_somebody_waits(engine):
    """Return when the server says that a transaction in this database waits for a lock."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2_000):
            if connection.exec_driver_sql(WAITING[engine.dialect.name]).scalar():
                return
            # MariaDB looks again only when nobody has asked for a tenth of a second.
            threading.Event().wait(0.15)
    raise AssertionError("nobody waits")


def apply_while_open(server, first, second):
    """Make *first*; before its commit *second* begins on another connection and waits.  Return what *second* raised, or None."""
    engine = sa.create_engine(server.url)
    with ThreadPoolExecutor(1) as threads:
        seconds = []

        def begin_the_second(connection):
            seconds.append(threads.submit(SqlAlchemyStore(server).apply, *second))
            until_somebody_waits(server)
            assert not seconds[0].done()

        sa.event.listen(engine, "commit", begin_the_second, once=True)
        SqlAlchemyStore(engine).apply(*first)
        engine.dispose()
        return seconds[0].exception()


class TestTheFence:
    @pytest.mark.requirement("ENC-10")
    @pytest.mark.parametrize("what", SEALING)
    def test_a_rotation_waits_for_who_writes_under_the_old_key_and_then_nobody_does(self, server, what):
        store = opened(server)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), lease(facts))
        store.apply(Record(event=an_event()))
        writing = (sealing(what, facts, SEALING_KEY), Record(event=an_event()))
        assert apply_while_open(server, writing, (rotated(), Record(event=an_event()))) is None
        assert len(store.list_sealed([(ACME, SEALING_KEY)], limit=10)) == (1 if what in {"a reconnect", "a renewal"} else 2)
        assert store.find_active_key(ACME).key_id == NEXT_KEY
        with pytest.raises(KeyRetiredError):
            store.apply(AddRevocation(revocation=a_revocation()))

    @pytest.mark.parametrize("what", SEALING)
    def test_who_comes_while_a_key_is_being_replaced_is_told(self, server, what):
        store = opened(server)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), lease(facts))
        before = store.find_integration(ACME, facts.id)
        error = apply_while_open(server, (rotated(),), (sealing(what, facts, SEALING_KEY), Record(event=an_event())))
        assert isinstance(error, KeyRetiredError)
        assert [row.row for row in store.list_sealed([(ACME, SEALING_KEY), (ACME, NEXT_KEY)], limit=10)] == [str(facts.id)]
        assert store.find_integration(ACME, facts.id).credential == before.credential
        assert store.list_audit(ACME) == ()

    def test_what_is_resealed_while_its_new_key_is_being_replaced_is_left(self, server):
        store = opened(server)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), rotated())
        third = RotateKey(key=a_key(version=3), replaces=NEXT_KEY)
        assert apply_while_open(server, (third,), (Reseal(rows=(resealed(row_of(facts)),)),)) is None
        assert store.find_integration(ACME, facts.id).credential == a_credential()

    @pytest.mark.requirement("ENC-14")
    def test_an_erasure_waits_for_what_is_being_connected_and_refuses(self, server):
        store = opened(server)
        connecting = AddIntegration(facts=an_integration(), credential=a_credential())
        error = apply_while_open(server, (connecting,), (EraseTenant(tenant_id=ACME, erased_at=START),))
        assert isinstance(error, StaleWriteError)
        assert store.find_key(ACME, SEALING_KEY) is not None
        assert len(store.list_integrations(ACME)) == 1

    @pytest.mark.requirement("ENC-14")
    def test_an_erasure_takes_the_key_that_a_rotation_has_just_brought(self, server):
        store = opened(server)
        # Before and behind the old one, in the order of ids.
        for tenant_id, key_id in ((ACME, LOWEST_ID), (GLOBEX, HIGHEST_ID)):
            change = rotated(tenant_id, key_id=key_id)
            assert apply_while_open(server, (change,), (EraseTenant(tenant_id=tenant_id, erased_at=START),)) is None
            assert store.list_keys(tenant_id=tenant_id, limit=10) == ()
            assert store.last_key_version(tenant_id) == 2
            with pytest.raises(StaleWriteError):
                store.apply(AddKey(key=a_key(tenant_id, version=2)))

    def test_a_tenant_whose_keys_do_not_end_is_not_erased(self, engine, store, monkeypatch):
        monkeypatch.setattr(key_table, "_PASSES", 1)
        with pytest.raises(StaleWriteError):
            store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert store.find_key(ACME, SEALING_KEY) is not None

    def test_a_key_of_a_new_life_is_not_erased_with_the_old_one(self, server):
        store = opened(server)
        store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        second = a_key(version=2)
        engine = sa.create_engine(server.url)

        def begin_anew(connection, cursor, statement, parameters, context, executemany):
            if "DELETE FROM ci_revocation" in statement:
                store.apply(AddKey(key=second))

        sa.event.listen(engine, "before_cursor_execute", begin_anew)
        SqlAlchemyStore(engine).apply(EraseTenant(tenant_id=ACME, erased_at=START))
        engine.dispose()
        assert store.find_active_key(ACME) == second
        assert store.list_returned_keys(limit=10) == ()

    @pytest.mark.parametrize("awaited", [False, True], ids=["blocking", "awaited"])
    def test_nobody_waits_in_a_circle(self, server, awaited):
        """Writers, rotations, erasures and resealings of few tenants at once; trying again hides no deadlock."""
        engine = server
        if awaited:
            drivername = {"postgresql": "postgresql+asyncpg", "mariadb": "mariadb+asyncmy"}[server.dialect.name]
            engine = create_async_engine(server.url.set(drivername=drivername), pool_size=16)
        deadlocks = []

        def note(context):
            if was_refused(context.sqlalchemy_exception):
                deadlocks.append((context.statement, context.original_exception))

        sa.event.listen(engine.sync_engine if awaited else engine, "handle_error", note)
        store = opened(server)
        held = [an_integration(tenant_id) for tenant_id in (ACME, GLOBEX)]
        with asyncio.Runner() as runner:
            blocking = BlockingStore(AsyncSqlAlchemyStore(engine) if awaited else store, runner)
            for round_ in range(3):
                keys = [store.find_active_key(facts.tenant_id) or a_key(facts.tenant_id, version=2 * round_ + 2) for facts in held]
                for facts, key in zip(held, keys, strict=True):
                    with contextlib.suppress(StaleWriteError):
                        store.apply(AddKey(key=key))
                    with contextlib.suppress(IntegrationExistsError):
                        store.apply(AddIntegration(facts=facts, credential=replace(a_credential(), key_id=key.key_id)))
                blocking.together(
                    [call for facts, key in zip(held, keys, strict=True) for call in everything_at_once(facts, key, version=2 * round_ + 3)]
                )
            if awaited:
                runner.run(engine.dispose())
        # MariaDB locks the gap where a tenant's first floor goes, for two erasures at once; the store tries again.
        assert [statement for statement, _ in deadlocks if "INTO ci_key_floor" not in statement] == []
        for tenant_id in (ACME, GLOBEX):
            assert verified(store, tenant_id).whole


def everything_at_once(facts, key, *, version):
    """Return calls that lock the same rows of one tenant, each several times."""
    tenant_id = facts.tenant_id
    record = Record(event=an_event(tenant_id))
    entry = a_revocation(tenant_id, key_id=key.key_id)
    rows = [replace(row_of(facts), key_id=uuid4()), row_of(facts)]
    erasing = EraseIntegration(tenant_id=tenant_id, integration_id=facts.id, expected_generation=1)
    units = [
        (ReplaceCredential(facts=facts, credential=replace(a_credential(1), key_id=key.key_id), expected_generation=1), record),
        (RotateKey(key=a_key(tenant_id, version=version), replaces=key.key_id), record),
        (AddPending(pending=a_pending(tenant_id, key_id=key.key_id)), record),
        (AddRevocation(revocation=entry), erasing, ClosePending(tenant_id=tenant_id, provider_id=PROVIDER), record),
        (Reseal(rows=tuple(resealed(row, key.key_id) for row in rows)),),
        (EraseTenant(tenant_id=tenant_id, erased_at=START), record),
        (RefuseKeys(tenant_id=tenant_id, min_version=1), record),
    ]
    return [applying(*unit) for unit in units * 2]


class TestDestroyedKeys:
    def test_the_wrapped_bytes_are_overwritten(self, engine, store):
        store.apply(rotated(), DestroyKey(tenant_id=ACME, key_id=SEALING_KEY, destroyed_at=START))
        store.apply(rotated(GLOBEX), EraseTenant(tenant_id=GLOBEX, erased_at=START))
        with engine.connect() as connection:
            rows = connection.execute(sa.select(schema.key.c.tenant_id, schema.key.c.version, schema.key.c.wrapped))
            left = {(row.tenant_id, row.version): row.wrapped for row in rows}
        assert left == {(ACME, 1): b"", (ACME, 2): a_key().wrapped, (GLOBEX, 1): b"", (GLOBEX, 2): b""}

    @pytest.mark.requirement("ENC-14")
    def test_a_key_that_a_backup_brings_back_is_found_out_and_of_no_use(self, engine, store):
        key = store.find_active_key(ACME)
        with engine.connect() as connection:
            row = connection.execute(sa.select(schema.key).where(schema.key.c.tenant_id == ACME)).one()._asdict()
        store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        with engine.begin() as connection:
            connection.execute(sa.delete(schema.key).where(schema.key.c.tenant_id == ACME))
            assert store.last_key_version(ACME) == 1
            connection.execute(sa.insert(schema.key).values(**row))
        assert store.list_returned_keys(limit=10) == (key,)
        assert store.list_keys(tenant_id=ACME, limit=10) == (key,)
        assert store.find_key(ACME, SEALING_KEY) is None
        assert store.find_active_key(ACME) is None
        with pytest.raises(KeyRetiredError):
            store.apply(AddRevocation(revocation=a_revocation()))
        # Erasing again mends it.
        store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert store.list_returned_keys(limit=10) == ()
        store.apply(AddKey(key=a_key(version=2)))
        assert store.find_active_key(ACME).version == 2


class TestPlans:
    """Among five thousand tenants, a statement reads what an index leads it to and not a table."""

    @pytest.fixture
    def keys(self, engine, store):
        """The key of each tenant, which seals one integration; the later the tenant, the later it is due."""
        keys = [a_key(TenantId(f"tenant-{number}")) for number in range(5000)]
        first = AddIntegration(
            facts=an_integration(keys[0].tenant_id), credential=replace(a_credential(), key_id=keys[0].key_id), due_at=START
        )
        store.apply(AddKey(key=keys[0]), first)
        with engine.begin() as connection:
            # The others are copies of the first one's rows: through the store they would take ten thousand statements.
            for table in (schema.key, schema.integration):
                found = sa.select(table).where(table.c.tenant_id == keys[0].tenant_id)
                row = dict(connection.execute(found).mappings().one())
                copies = [row | {"tenant_id": key.tenant_id, "key_id": key.key_id} for key in keys]
                if table is schema.integration:
                    copies = [copy | {"due_at": row["due_at"] + number * 1_000_000} for number, copy in enumerate(copies)]
                connection.execute(sa.insert(table), copies[1:])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in ("ci_integration", "ci_key"):
                connection.exec_driver_sql(f"ANALYZE TABLE {table}" if engine.dialect.name == "mariadb" else f"ANALYZE {table}")
        return keys

    @contextlib.contextmanager
    def statements(self, engine, pattern):
        """Collect the statements that match *pattern*, with their parameters."""
        emitted = []

        def note(connection, cursor, statement, parameters, context, executemany):
            if re.search(pattern, statement):
                emitted.append((statement, parameters))

        sa.event.listen(engine, "before_cursor_execute", note)
        yield emitted
        sa.event.remove(engine, "before_cursor_execute", note)

    @contextlib.contextmanager
    def plans(self, engine, pattern):
        """Collect the plans of the statements that match *pattern*."""
        plans = []
        with self.statements(engine, pattern) as emitted:
            yield plans
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        with engine.connect() as connection:
            plans += [
                "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))
                for statement, parameters in emitted
            ]

    def test_a_claim_reads_the_index_and_not_the_table(self, engine, store, keys):
        with self.plans(engine, "ci_integration") as plans:
            assert len(store.claim_due(limit=10, hold=timedelta(minutes=5))) == 10
            assert store.count_due() == 4990
        assert len(plans) == (2 if engine.dialect.name == "postgresql" else 3)
        claim, *hold, count = plans
        assert "ci_integration_due" in claim
        assert "ci_integration_due" in count or engine.dialect.name == "postgresql"  # all are due: there it reads the table, which is small
        assert all("PRIMARY" in plan or "USING INDEX" in plan for plan in hold)
        assert "Seq Scan" not in claim
        assert "'ALL'" not in claim.replace("<derived", "")

    def test_a_claim_begins_where_the_last_one_ended(self, engine, store, keys):
        with self.statements(engine, "ORDER BY ci_integration.due_at") as statements:
            for _ in range(3):
                assert len(store.claim_due(limit=10, hold=timedelta(minutes=5))) == 10
        times = [int((START + timedelta(seconds=number)).timestamp() * 1_000_000) for number in (9, 19)]
        values = [list(given.values() if isinstance(given, dict) else given) for _, given in statements]
        assert [[time in each for time in times] for each in values] == [[False, False], [True, False], [False, True]]

    @pytest.mark.requirement("ENC-12")
    def test_resealing_reads_the_rows_and_keys_that_it_names(self, engine, store, keys):
        old = keys[::1000]
        new = [replace(key, key_id=uuid4(), version=2) for key in old]
        store.apply(*[RotateKey(key=key, replaces=before.key_id) for before, key in zip(old, new, strict=True)])
        places = [(key.tenant_id, key.key_id) for key in old]
        with self.plans(engine, r"^SELECT[^(]+FROM ci_(integration|key)\b") as plans:
            rows = store.list_sealed(places, limit=10)
            assert len(rows) == 5
            assert len(store.find_keys({key.tenant_id for key in old})) == 10
            active = {key.tenant_id: key.key_id for key in new}
            store.apply(Reseal(rows=tuple(resealed(row, active[row.tenant_id]) for row in rows)))
        assert len(plans) == 3
        for plan in plans:
            assert not re.search(r"SCAN ci_|Seq Scan on ci_(integration|key)\b|'ci_(integration|key)', 'ALL'", plan), plan
        assert store.list_sealed(places, limit=10) == ()


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
            (AddRevocation(revocation=replace(a_revocation(), sealed_token=CANARY, method_id=None)),),
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
    " request_id, details, previous_hash, hash FROM ci_audit WHERE tenant_id = 'acme' AND seq = 3"
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
