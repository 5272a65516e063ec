"""All or nothing, and again where it failed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema
from cloud_integrations.backends.sqlalchemy.db_errors import was_refused
from cloud_integrations.domain.envelope import KeyCheck
from cloud_integrations.domain.integration import State
from cloud_integrations.errors import CommitUnknownError, StorageUnavailableError
from cloud_integrations.ports.store import (
    AddEntry,
    AddIntegration,
    AddKey,
    AddKeyCheck,
    AddPending,
    EraseTenant,
    Record,
    RefuseKeys,
    Reseal,
    SaveFacts,
)
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    NEWCOMER,
    BlockingStore,
    a_credential,
    a_key,
    a_pending,
    an_entry,
    an_event,
    an_integration,
    everything,
    lease,
    resealed,
    rotated,
    row_of,
    verified,
    write_in_parallel,
)

from .conftest import opened


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


def a_whole_unit_of_work(facts):
    return (
        AddIntegration(facts=an_integration(provider_id=facts.id), credential=a_credential()),
        SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE),
        lease(facts),
        AddPending(pending=a_pending()),
        AddEntry(entry=an_entry()),
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
