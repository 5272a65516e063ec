"""The store's contract over every driver that the pages name and no other test runs, and over databases that keep to one snapshot."""

from __future__ import annotations

import asyncio
import os
from importlib import import_module

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema
from cloud_integrations.errors import CommitUnknownError, SchemaError, StorageUnavailableError, UnstorableValueError
from cloud_integrations.ports.store import AddIntegration, Record
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    BlockingStore,
    StoreContract,
    a_credential,
    add_sealing_keys,
    an_event,
    an_integration,
    applying,
    refused,
)

pytestmark = [
    pytest.mark.drivers,
    # pg8000 leaves the file over a socket that the server ended to be collected; Python 3.13 tells what its last flush met.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.BufferedWriter:pytest.PytestUnraisableExceptionWarning"),
]

PACKAGES = {
    "postgresql+psycopg2": "psycopg2",
    "postgresql+pg8000": "pg8000",
    "postgresql+psycopg_async": "psycopg",
    "postgresql+asyncpg": "asyncpg",
    "mariadb+mysqldb": "MySQLdb",
    "mariadb+asyncmy": "asyncmy",
    "sqlite+aiosqlite": "aiosqlite",
}
AWAITED = {"postgresql+psycopg_async", "postgresql+asyncpg", "mariadb+asyncmy", "sqlite+aiosqlite"}
CONTRACT_ELSEWHERE = {"postgresql+asyncpg", "mariadb+asyncmy"}
SERVERS = [name for name in PACKAGES if not name.startswith("sqlite")]


@pytest.fixture
def drivername(request):
    """The parameter; its driver has to be there where CI is set."""
    try:
        import_module(PACKAGES[request.param])
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail(f"{PACKAGES[request.param]} is not installed", pytrace=False)
        pytest.skip(f"{PACKAGES[request.param]} is not installed")
    return request.param


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def database(request, drivername):
    """An empty database with the tables, as the default driver of the tests sees it."""
    return request.getfixturevalue(drivername.partition("+")[0])


@pytest.fixture
def connect(drivername, database, runner):
    """Open stores over the driver."""
    engines = []

    def open_store(place=None, **how):
        url = (place or database.url).set(drivername=drivername)
        engine = create_async_engine(url, **how) if drivername in AWAITED else sa.create_engine(url, **how)
        engines.append(engine)
        return engine

    yield open_store
    for engine in engines:
        runner.run(engine.dispose()) if drivername in AWAITED else engine.dispose()


def store_over(engine, **how):
    return SqlAlchemyStore(engine, **how) if isinstance(engine, sa.Engine) else AsyncSqlAlchemyStore(engine, **how)


@pytest.mark.parametrize("drivername", sorted(PACKAGES.keys() - CONTRACT_ELSEWHERE), indirect=True)
class TestOverADriver(StoreContract):
    @pytest.fixture
    def store(self, clock, connect):
        return store_over(connect(pool_size=16), clock=clock)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
class TestOverSnapshots(StoreContract):
    @pytest.fixture
    def store(self, clock, postgresql, level, monkeypatch):
        monkeypatch.setattr(
            "cloud_integrations.backends.sqlalchemy.databases.PostgreSQL.for_writing",
            lambda _, connection: connection.execution_options(isolation_level=level),
        )
        return SqlAlchemyStore(postgresql, clock=clock)


@pytest.fixture
def blocking(connect, runner):
    return BlockingStore(store_over(connect()), runner)


@pytest.mark.parametrize("drivername", PACKAGES, indirect=True)
def test_a_database_without_our_tables_is_one_that_is_not_migrated(database, blocking):
    with database.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {schema.VERSION_TABLE} RENAME TO elsewhere")
    try:
        with pytest.raises(SchemaError) as caught:
            blocking.prepare()
        assert caught.value.details["found"] is None
    finally:
        with database.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE elsewhere RENAME TO {schema.VERSION_TABLE}")


@pytest.mark.parametrize("drivername", PACKAGES, indirect=True)
def test_text_that_cannot_be_encoded_is_refused_for_good(blocking):
    add_sealing_keys(blocking, ACME)
    with pytest.raises(UnstorableValueError):
        blocking.apply(AddIntegration(facts=an_integration(name="half \ud800"), credential=a_credential()))


@pytest.mark.parametrize("drivername", SERVERS, indirect=True)
def test_of_two_who_wait_for_each_other_both_succeed(database, connect, runner):
    engine, refusals = connect(pool_size=16), []
    sync_engine = getattr(engine, "sync_engine", engine)
    store = BlockingStore(store_over(engine), runner)
    add_sealing_keys(store, ACME, GLOBEX)
    one, two = an_integration(), an_integration(GLOBEX)
    store.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in (one, two)])
    sa.event.listen(sync_engine, "handle_error", lambda context: refusals.append(context.original_exception))
    # Each writes both chains; a trigger of the database makes one of them fail as deadlocks do.
    refuse_once(database)
    try:
        answers = store.together([applying(Record(event=an_event())) for _ in range(4)])
    finally:
        refuse_no_more(database)
    assert refused(answers) == []
    assert refusals
    assert len(store.list_audit(ACME)) == 4


def refuse_once(database):
    with database.begin() as connection:
        if database.dialect.name == "postgresql":
            connection.exec_driver_sql("CREATE SEQUENCE refused_once")
            connection.exec_driver_sql(
                "CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "IF nextval('refused_once') = 1 THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$"
            )
            connection.exec_driver_sql("CREATE TRIGGER refuse_once BEFORE INSERT ON ci_audit FOR EACH ROW EXECUTE FUNCTION refuse_once()")
        else:
            connection.exec_driver_sql("CREATE SEQUENCE refused_once")
            connection.exec_driver_sql(
                "CREATE TRIGGER refuse_once BEFORE INSERT ON ci_audit FOR EACH ROW BEGIN IF NEXT VALUE FOR refused_once = 1 THEN "
                "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'deadlock'; END IF; END"
            )


def refuse_no_more(database):
    with database.begin() as connection:
        if database.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP TRIGGER refuse_once ON ci_audit")
            connection.exec_driver_sql("DROP FUNCTION refuse_once")
        else:
            connection.exec_driver_sql("DROP TRIGGER refuse_once")
        connection.exec_driver_sql("DROP SEQUENCE refused_once")


NUMBERS = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({}, 5000)"),
    "mariadb": ("SELECT CONNECTION_ID()", "KILL {}"),
}


def cut_before(engine, database, moment):
    """End the server's side of the connection once, before the statement that says this, or before a commit."""
    question, end = NUMBERS[database.dialect.name]
    done = []

    def cut(connection):
        if done:
            return
        done.append(moment)
        number = connection.exec_driver_sql(question).scalar_one()
        with database.connect() as other:
            other.exec_driver_sql(end.format(number))

    if moment == "commit":
        sa.event.listen(engine, "commit", cut)
    else:
        sa.event.listen(engine, "before_cursor_execute", lambda connection, _cursor, statement, *_: moment in statement and cut(connection))
    return done


@pytest.mark.parametrize("drivername", SERVERS, indirect=True)
def test_a_connection_lost_on_the_way_is_replaced(database, connect, runner):
    engine = connect()
    store = BlockingStore(store_over(engine), runner)
    store.prepare()
    done = cut_before(getattr(engine, "sync_engine", engine), database, "INSERT INTO ci_audit ")
    store.apply(Record(event=an_event()))
    assert done
    assert len(store.list_audit(ACME)) == 1


@pytest.mark.parametrize("drivername", SERVERS, indirect=True)
def test_a_connection_lost_in_a_commit_leaves_it_open_whether_it_was_made(database, connect, runner):
    engine = connect()
    store = BlockingStore(store_over(engine), runner)
    store.prepare()
    cut_before(getattr(engine, "sync_engine", engine), database, "commit")
    with pytest.raises(CommitUnknownError):
        store.apply(Record(event=an_event()))


@pytest.mark.parametrize("drivername", SERVERS, indirect=True)
def test_a_server_that_is_not_there_is_told(database, connect, runner):
    store = BlockingStore(store_over(connect(database.url.set(host="127.0.0.1", port=1))), runner)
    with pytest.raises(StorageUnavailableError) as caught:
        store.prepare()
    assert caught.value.reason.startswith("nothing listens there")
