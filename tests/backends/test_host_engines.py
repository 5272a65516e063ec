"""Engines as hosts have them: other drivers, other servers, other isolation levels."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, execution, migrate
from cloud_integrations.backends.sqlalchemy.db_errors import code_of
from cloud_integrations.domain.integration import State
from cloud_integrations.errors import ConfigurationError, StaleWriteError, UnstorableValueError
from cloud_integrations.ports.store import AddIntegration, Record, RefuseKeys, SaveFacts
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    BlockingStore,
    a_credential,
    add_sealing_keys,
    an_event,
    an_integration,
    write_in_parallel,
)


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


# What is refused at the start


def an_engine_of(name, driver):
    """An engine that is never connected, whose dialect says that it is over this driver."""
    made = sa.create_engine("sqlite://")
    made.dialect.name, made.dialect.driver = name, driver
    return made


@pytest.mark.parametrize(
    ("name", "driver", "said"),
    [
        (
            "postgresql",
            "psycopg2cffi",
            "psycopg2cffi, which is not supported for postgresql; supported are psycopg, ",
        ),
        ("mysql", "mysqlconnector", "mysqlconnector, which is not supported for mysql; supported are pymysql, mysqldb, asyncmy"),
        ("mariadb", "mariadbconnector", "mariadbconnector, which is not"),
        ("mysql", "aiomysql", "aiomysql, which is not"),
        ("sqlite", "pysqlcipher", "pysqlcipher, which is not supported for sqlite; supported are pysqlite, aiosqlite"),
        ("mssql", "pyodbc", "is one for mssql, which is not supported; supported are SQLite, PostgreSQL and MariaDB"),
        ("cockroachdb", "psycopg", "is one for cockroachdb"),
    ],
)
@pytest.mark.parametrize("make", [SqlAlchemyStore, AsyncSqlAlchemyStore, migrate.current, migrate.upgrade])
def test_a_driver_that_is_not_tested_is_refused_by_name_at_the_start(make, name, driver, said):
    host = an_engine_of(name, driver)
    with pytest.raises(ConfigurationError, match=r"^engine ") as caught:
        make(host)
    assert said in caught.value.message
    host.dispose()


@pytest.mark.parametrize("drivername", ["sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg_async", "mysql+asyncmy"])
@pytest.mark.parametrize("work", [SqlAlchemyStore, AsyncSqlAlchemyStore, migrate.current, migrate.upgrade])
def test_a_driver_that_is_awaited_is_refused_where_the_engine_is_called(work, drivername):
    host = sa.create_engine(f"{drivername}://")
    with pytest.raises(ConfigurationError, match="which is awaited: make it with create_async_engine"):
        work(host)
    if work in {migrate.current, migrate.upgrade}:
        with pytest.raises(ConfigurationError, match="run_sync"):
            work(create_async_engine(f"{drivername}://"))


@pytest.mark.parametrize("work", [migrate.current, migrate.upgrade])
def test_a_connection_of_a_database_that_is_not_supported_is_refused(work):
    host = sa.create_engine("sqlite://")
    with host.connect() as connection:
        host.dialect.name = "strange"
        with pytest.raises(ConfigurationError, match="strange"):
            work(connection)
    host.dispose()


@pytest.fixture
def says(monkeypatch):
    """Let the server answer `SELECT VERSION()` with something else."""
    real = MySQLDialect._parse_server_version
    return lambda version: monkeypatch.setattr(MySQLDialect, "_parse_server_version", lambda self, _: real(self, version))


@pytest.fixture
def mysql(mariadb_url, says):
    """A MariaDB that says it is MySQL; were it newer, SQLAlchemy would ask for a variable that MariaDB has not."""
    says("5.7.19")
    return sa.make_url(mariadb_url)


STARTS = [migrate.current, migrate.upgrade, lambda host: SqlAlchemyStore(host).prepare(), lambda host: SqlAlchemyStore(host).report()]


@pytest.mark.parametrize("work", STARTS, ids=["current", "upgrade", "prepare", "report"])
@pytest.mark.parametrize("drivername", ["mysql+pymysql", "mariadb+pymysql"])
def test_mysql_is_refused_before_anything_is_done(mysql, drivername, work):
    host = sa.create_engine(mysql.set(drivername=drivername))
    done = []
    sa.event.listen(host, "before_cursor_execute", lambda *about: done.append(about[2]))
    with pytest.raises(ConfigurationError) as caught:
        work(host)
    assert caught.value.message == "engine leads to MySQL, which is not supported; MariaDB from 10.6 on is"
    assert not [statement for statement in done if "ci_" in statement or not statement.startswith("SELECT")]
    host.dispose()


def test_a_migration_in_the_callers_transaction_refuses_mysql(mysql):
    host = sa.create_engine(mysql.set(drivername="mysql+pymysql"))
    with host.connect() as connection, pytest.raises(ConfigurationError, match="leads to MySQL"):
        migrate.upgrade(connection)
    host.dispose()


def test_a_mariadb_that_is_too_old_is_refused(mariadb_url, says):
    says("5.5.5-10.5.27-MariaDB")
    host = sa.create_engine(mariadb_url)
    with pytest.raises(ConfigurationError, match=r"MariaDB before 10\.6"):
        migrate.upgrade(host)
    host.dispose()


# What drivers say


def said(module, *args, **attributes):
    """An error of a driver."""
    error = type("Said", (Exception,), {"__module__": module})(*args)
    vars(error).update(attributes)
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (said("psycopg.errors", "", sqlstate="40P01"), "40P01"),
        (said("psycopg", "of its own", sqlstate=None), None),
        (said("sqlalchemy.dialects.postgresql.asyncpg", "", sqlstate="40P01"), "40P01"),
        (said("asyncpg.exceptions", "", sqlstate="28P01"), "28P01"),
        (said("psycopg2.errors", "", pgcode="23505"), "23505"),
        (said("psycopg2", "of its own", pgcode=None), None),
        (said("pg8000.exceptions", {"S": "ERROR", "C": "42P01", "M": ""}), "42P01"),
        (said("pg8000.exceptions", {"M": "of its own"}), None),
        (said("pg8000.exceptions", "of its own"), None),
        (said("MySQLdb", 1213, ""), 1213),
        (said("asyncmy.errors", 1213, ""), 1213),
        (said("pymysql.err", 1062, "", sqlstate="23000"), 1062),
        (said("pymysql.err", 0, "of its own"), None),
        (said("sqlite3", "", sqlite_errorname="SQLITE_CONSTRAINT_UNIQUE"), "SQLITE_CONSTRAINT_UNIQUE"),
        (said("a_stranger", 1062, sqlstate="23505"), None),
        (said("psycopg2"), None),
        (OSError(5, "the network"), None),
        (None, None),
    ],
)
def test_a_code_is_found_where_the_driver_keeps_it(error, code):
    assert code_of(error) == code


# Isolation levels


WAYS = ["engine", "options", "server"]
LEVELS = ["SERIALIZABLE", "REPEATABLE READ"]


def host_engine(server, way, level):
    """An engine whose host has chosen a level, in one of the ways that there are."""
    if way == "engine":
        return sa.create_engine(server.url, pool_size=16, isolation_level=level)
    if way == "options":
        return sa.create_engine(server.url, pool_size=16).execution_options(isolation_level=level)
    if server.dialect.name == "postgresql":
        word = level.lower().replace(" ", "\\ ")
        return sa.create_engine(server.url, pool_size=16, connect_args={"options": f"-cdefault_transaction_isolation={word}"})
    init = f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"
    return sa.create_engine(server.url, pool_size=16, connect_args={"init_command": init})


@pytest.mark.requirement("AUD-05")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_hosts_level_is_not_that_of_the_stores_transactions(runner, server, way, level):
    host = host_engine(server, way, level)
    store, seen = SqlAlchemyStore(host), set()

    def look(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO ci_audit ") and server.dialect.name == "postgresql":
            cursor.execute("SHOW transaction_isolation")
            seen.update(cursor.fetchone())

    sa.event.listen(host, "before_cursor_execute", look)
    write_in_parallel(BlockingStore(store, runner), writers=8, each=3)
    assert seen <= {"read committed"}
    host.dispose()


@pytest.mark.requirement("AUD-05")
@pytest.mark.parametrize("level", LEVELS)
def test_an_awaiting_hosts_level_does_no_harm(runner, postgresql, level):
    host = create_async_engine(postgresql.url.set(drivername="postgresql+asyncpg"), isolation_level=level, pool_size=16)
    write_in_parallel(BlockingStore(AsyncSqlAlchemyStore(host), runner), writers=8, each=3)
    runner.run(host.dispose())


@pytest.fixture(params=LEVELS)
def snapshots(request, monkeypatch):
    """Let a unit of work see one snapshot, as with a database that knows no other level."""
    level = request.param
    monkeypatch.setattr(
        "cloud_integrations.backends.sqlalchemy.databases.PostgreSQL.for_writing",
        lambda _, connection: connection.execution_options(isolation_level=level),
    )


@pytest.mark.requirement("AUD-05")
def test_the_first_events_of_a_tenant_do_not_meet_a_snapshot_without_its_head(runner, postgresql, snapshots):
    write_in_parallel(BlockingStore(SqlAlchemyStore(postgresql), runner), writers=8, each=3)


def between(host, beginning, work):
    """Do *work* once, before the first statement that begins like this."""
    done = []

    def look(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith(beginning) and not done:
            done.append(statement)
            work()

    sa.event.listen(host, "before_cursor_execute", look)
    return done


def test_a_row_that_a_snapshot_does_not_show_is_looked_for_again(postgresql, snapshots):
    host = sa.create_engine(postgresql.url)
    store, other = SqlAlchemyStore(host), SqlAlchemyStore(postgresql)
    # The snapshot is taken by the first statement; the head that somebody else then adds is not in it.
    done = between(host, "INSERT INTO ci_audit_head", lambda: other.apply(Record(event=an_event())))
    store.apply(Record(event=an_event()))
    assert done
    assert [record.seq for record in store.list_audit(ACME)] == [1, 2]
    host.dispose()


def test_a_floor_that_a_snapshot_does_not_show_is_set_all_the_same(postgresql, snapshots):
    host = sa.create_engine(postgresql.url)
    store, other = SqlAlchemyStore(host), SqlAlchemyStore(postgresql)
    add_sealing_keys(other, ACME)
    facts = an_integration()
    other.apply(AddIntegration(facts=facts, credential=a_credential()))
    done = between(host, "INSERT INTO ci_key_floor", lambda: other.apply(RefuseKeys(tenant_id=ACME, min_version=1)))
    # What comes first takes the snapshot.
    store.apply(SaveFacts(facts=facts, expected_state=State.ACTIVE), RefuseKeys(tenant_id=ACME, min_version=2))
    assert done
    assert store.find_active_key(ACME) is None
    host.dispose()


# Errors that are no driver's


def test_text_that_a_driver_cannot_encode_is_refused_for_good(server):
    add_sealing_keys(SqlAlchemyStore(server), ACME, GLOBEX)
    with pytest.raises(UnstorableValueError):
        SqlAlchemyStore(server).apply(AddIntegration(facts=an_integration(name="half \ud800"), credential=a_credential()))


def test_a_constraint_that_is_no_key_is_not_taken_for_a_row_that_is_there(sqlite):
    with sqlite.begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER refuse BEFORE INSERT ON ci_key_floor BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(UnstorableValueError):
        SqlAlchemyStore(sqlite).apply(RefuseKeys(tenant_id=ACME, min_version=2))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_a_host_that_commits_each_statement_and_skips_rollbacks_gets_all_or_nothing(engine):
    host = sa.create_engine(engine.url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, pool_size=1, max_overflow=0)
    store = SqlAlchemyStore(host)
    add_sealing_keys(store, ACME)
    facts = an_integration()
    with pytest.raises(StaleWriteError):
        store.apply(
            AddIntegration(facts=facts, credential=a_credential()),
            SaveFacts(facts=facts, expected_state=State.RETRY),
            Record(event=an_event()),
        )
    store.apply(Record(event=an_event()))
    assert SqlAlchemyStore(engine).list_integrations(ACME) == ()
    assert len(SqlAlchemyStore(engine).list_audit(ACME)) == 1
    host.dispose()


# An awaited store over a blocking engine


@pytest.fixture
def slow(sqlite):
    """A store whose reads wait in the database until `go_on` is set; `arrived` says that one does."""
    store, arrived, go_on = AsyncSqlAlchemyStore(sqlite), threading.Event(), threading.Event()

    def wait(*_):
        arrived.set()
        go_on.wait(60)

    sa.event.listen(sqlite, "before_cursor_execute", wait)
    yield SimpleNamespace(engine=sqlite, store=store, arrived=arrived, go_on=go_on)
    go_on.set()
    # Its thread has given the connection back before the engine is disposed of.
    for _ in range(6_000):
        if sqlite.pool.checkedout() == 0:
            break
        time.sleep(0.01)
    sa.event.remove(sqlite, "before_cursor_execute", wait)


async def begin_reading(slow):
    """Return a task whose thread is in the database."""
    task = asyncio.create_task(slow.store.list_integrations(ACME))
    await asyncio.to_thread(slow.arrived.wait, 60)
    return task


async def test_a_cancelled_operation_gives_its_connection_back_before_its_caller_goes_on(slow):
    task = await begin_reading(slow)
    task.cancel()
    await asyncio.sleep(0)
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.engine.pool.checkedout() == 0


async def test_a_database_that_hangs_does_not_keep_whoever_was_cancelled(slow, monkeypatch):
    monkeypatch.setattr(execution, "_GRACE", 0.01)
    task = await begin_reading(slow)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.engine.pool.checkedout() == 1


async def test_an_operation_that_fails_after_its_caller_was_cancelled_logs_nothing(slow, caplog):
    task = await begin_reading(slow)
    sa.event.listen(slow.engine, "after_cursor_execute", lambda *_: 1 / 0, once=True)
    task.cancel()
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert caplog.records == []
