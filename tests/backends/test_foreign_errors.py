"""Every error of a database driver is provoked with unique fake secrets, and none of them comes out with the error of ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import struct
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, reason_of, schema, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, CommitUnknownError, StorageUnavailableError, UnstorableValueError
from cloud_integrations.ports.store import AddIntegration, Record
from cloud_integrations.testing.contracts.store import ACME, GLOBEX, a_credential, add_sealing_keys, an_event, an_integration

PASSWORD = "fake-canary-password"
PARAMETER = b"fake-canary-parameter"
CANARIES = (PASSWORD, PARAMETER.decode(), PARAMETER.hex())
OUR_OWN = {__file__, pytest.__file__}


def everything_of(error):
    """Yield as text whatever hangs on *error*: what led to it, its notes and attributes, and the variables of all frames but the test's."""
    seen, open_ends = set(), [error]
    while open_ends:
        one = open_ends.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        open_ends += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        yield f"{one!r} {one} {one.args!r} {vars(one)!r} {getattr(one, '__notes__', [])!r}"
        trace = one.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename not in OUR_OWN:
                for name, value in trace.tb_frame.f_locals.items():
                    with contextlib.suppress(Exception):  # a repr may fail, and then shows nothing
                        yield f"{trace.tb_frame.f_code.co_qualname}: {name} = {value!r} {getattr(value, '__dict__', '')!r}"
            trace = trace.tb_next


def shown_by(error):
    """The canaries that *error* shows, each with its place."""
    return [text[:300] for text in everything_of(error) if any(canary in text for canary in CANARIES)]


def check(error, kind=StorageUnavailableError):
    assert type(error) is kind
    assert (error.__cause__, error.__context__) == (None, None)
    assert shown_by(error) == []
    return getattr(error, "reason", None)


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


def fail(engine, call, runner):
    """Return the error that *call* ends with, on the store over this engine."""

    async def work():
        try:
            await call(AsyncSqlAlchemyStore(engine))
        finally:
            await engine.dispose()

    with pytest.raises(CloudIntegrationsError) as caught:
        call(SqlAlchemyStore(engine)) if isinstance(engine, sa.Engine) else runner.run(work())
    return caught.value


class RefusingPostgresql(threading.Thread):
    """Speaks enough of PostgreSQL's protocol to ask for a password and refuse it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                # Whether TLS or GSSAPI may be used comes first, and is declined.
                while struct.unpack("!II", connection.recv(8))[1] in {80877103, 80877104}:
                    connection.sendall(b"N")
                connection.recv(4096)
                connection.sendall(b"R" + struct.pack("!II", 8, 3))
                connection.recv(4096)
                fields = f'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "{PASSWORD}"\0\0'.encode()
                connection.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)


@pytest.fixture
def refusing():
    server = RefusingPostgresql()
    server.start()
    yield server.port
    server.listener.close()


POSTGRESQL = ["postgresql+psycopg", "postgresql+psycopg2", "postgresql+pg8000", "postgresql+asyncpg"]
MARIADB = ["mariadb+pymysql", "mysql+asyncmy"]
DRIVERS = [*POSTGRESQL, *MARIADB]
AWAITED = {"postgresql+asyncpg", "mysql+asyncmy"}


def engine_of(url, *, awaited=False):
    make = create_async_engine if awaited or url.drivername in AWAITED else sa.create_engine
    # A host that shows parameters.
    return make(url, poolclass=sa.NullPool, hide_parameters=False)


def a_url(driver, **place):
    return sa.URL.create(driver, username="fake-user", password=PASSWORD, database="none", **place)


CALLS = [lambda store: store.list_integrations(ACME), lambda store: store.apply(Record(event=an_event())), lambda store: store.prepare()]


@pytest.mark.requirement("OAU-081")
@pytest.mark.parametrize("call", CALLS, ids=["reading", "writing", "preparing"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_unreachable_server_shows_no_password(runner, driver, call):
    assert check(fail(engine_of(a_url(driver, host="127.0.0.1", port=1)), call, runner)).startswith("nothing listens there")


@pytest.mark.requirement("OAU-081")
@pytest.mark.parametrize("host", ["a..b", f"{'x' * 64}.example", "xn--a"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_host_that_cannot_be_encoded_or_found_shows_no_password(runner, driver, host, monkeypatch):
    real = socket.getaddrinfo

    def getaddrinfo(name, *args, **named):
        if isinstance(name, str) and name == host:
            name.encode("idna")
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    reason = check(fail(engine_of(a_url(driver, host=host, port=1)), CALLS[0], runner))
    assert reason
    assert host not in reason


@pytest.mark.requirement("OAU-081")
@pytest.mark.parametrize(
    ("driver", "awaited"), [*[(driver, False) for driver in POSTGRESQL], ("postgresql+psycopg", True), ("postgresql+asyncpg", True)]
)
def test_a_refused_password_is_not_shown_by_postgresql(runner, driver, awaited, refusing):
    engine = engine_of(a_url(driver, host="127.0.0.1", port=refusing), awaited=awaited)
    reason = check(fail(engine, CALLS[0], runner))
    assert reason.startswith("it refuses the login")


@pytest.mark.requirement("OAU-081")
@pytest.mark.parametrize("driver", MARIADB)
def test_a_refused_password_is_not_shown_by_mariadb(runner, driver, mariadb_url):
    real = sa.make_url(mariadb_url)
    engine = engine_of(a_url(driver, host=real.host, port=real.port))
    assert check(fail(engine, CALLS[0], runner)).startswith("it refuses the login (")


@pytest.mark.requirement("OAU-081")
def test_a_refused_password_is_not_shown_by_migrations(refusing):
    engine = engine_of(a_url("postgresql+psycopg", host="127.0.0.1", port=refusing))
    for work in (migrate.current, migrate.upgrade):
        with pytest.raises(StorageUnavailableError) as caught:
            work(engine)
        assert check(caught.value).startswith("it refuses the login")


def test_connect_arguments_that_a_driver_does_not_take_show_no_password(runner):
    engine = sa.create_engine("sqlite://", connect_args={"fake": PASSWORD})
    assert check(fail(engine, CALLS[0], runner)) == "TypeError"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request, tmp_path):
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path / "store.db", timeout=0.01)
    else:
        engine = sa.create_engine(request.getfixturevalue(f"{request.param}_url"), hide_parameters=False)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        for table in sorted(schema.metadata.tables):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    add_sealing_keys(SqlAlchemyStore(engine), ACME, GLOBEX)
    yield engine
    engine.dispose()


def adding(**changes):
    credential = a_credential()
    return AddIntegration(facts=an_integration(**changes), credential=type(credential)(**{**fields_of(credential), "presented": PARAMETER}))


def fields_of(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


@pytest.mark.requirement("OAU-081")
def test_a_constraint_shows_no_parameter(engine):
    store, change = SqlAlchemyStore(engine), adding()
    store.apply(change)
    with pytest.raises(CloudIntegrationsError) as caught:
        store.apply(change)
    # The frames of the work itself hold what is to be written, sealed; those of the driver are gone.
    assert caught.value.__context__ is None
    with pytest.raises(UnstorableValueError) as refused:
        store.apply(adding(name=None))
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)
    assert shown_by(refused.value) == []


@pytest.mark.requirement("OAU-081")
def test_a_connection_lost_in_mid_query_shows_nothing(engine):
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "do_execute", lambda *_: lose(sqlite3.OperationalError(f"disk I/O error {PASSWORD}")))
    else:
        sa.event.listen(engine, "before_cursor_execute", cut)
    with pytest.raises(StorageUnavailableError) as caught:
        SqlAlchemyStore(engine).apply(adding(), Record(event=an_event()))
    assert check(caught.value)


def lose(error):
    raise error


def cut(connection, cursor, statement, _parameters, _context, _executemany):
    if not statement.startswith("INSERT INTO ci_integration"):
        return
    question, end = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({}, 5000)"),
        "mysql": ("SELECT CONNECTION_ID()", "KILL {}"),
        "mariadb": ("SELECT CONNECTION_ID()", "KILL {}"),
    }[connection.dialect.name]
    with contextlib.closing(connection.connection.cursor()) as own:
        own.execute(question)
        number = own.fetchone()[0]
    other = sa.create_engine(connection.engine.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with other.connect() as ending:
        ending.exec_driver_sql(end.format(number))


@pytest.mark.requirement("OAU-081")
@pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_lost_while_committing_shows_nothing(engine):
    def break_off(connection):
        connection.connection.driver_connection.close()

    sa.event.listen(engine, "commit", break_off, once=True)
    with pytest.raises(CommitUnknownError) as caught:
        SqlAlchemyStore(engine).apply(adding(), Record(event=an_event()))
    assert check(caught.value, CommitUnknownError)


@pytest.mark.requirement("OAU-081")
def test_a_lock_that_is_not_had_shows_nothing(tmp_path):
    engine = sqlite_engine(tmp_path / "store.db", timeout=0.01)
    migrate.upgrade(engine)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailableError) as caught:
        SqlAlchemyStore(engine).apply(adding(), Record(event=an_event()))
    assert check(caught.value) == "the file is locked by another writer"
    other.close()
    engine.dispose()


# What is said


def test_the_reason_stands_in_a_traceback_and_not_in_the_message():
    error = StorageUnavailableError(reason="it refuses the login (SQLSTATE 28P01)")
    assert error.__notes__ == ["it refuses the login (SQLSTATE 28P01)"]
    assert "login" not in f"{error} {error.message} {error.details}"
    assert not hasattr(StorageUnavailableError(), "__notes__")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError(f"something about {PASSWORD}"), "OperationalError"),
        (sqlite3.OperationalError(), "OperationalError"),
        (ConnectionRefusedError(111, "Connect call failed"), "nothing listens there"),
        (OSError(5, PASSWORD), "OSError"),
        (UnicodeError("label too long"), "the host has a name that cannot be encoded"),
    ],
)
def test_the_reason_holds_none_of_the_drivers_words(error, said):
    assert reason_of(error) == said


def test_what_is_left_out_would_show_the_password():
    engine = engine_of(a_url("postgresql+psycopg", host="127.0.0.1", port=1))
    with pytest.raises(sa.exc.OperationalError) as caught:
        engine.connect()
    assert shown_by(caught.value)
    error = StorageUnavailableError()
    error.__context__ = caught.value
    assert shown_by(error)
    assert shown_by(alone(error)) == []
