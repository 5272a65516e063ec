"""PostgreSQL behind PgBouncer in transaction mode, under a host's plain engine."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, reason_of, schema, sqlite_engine
from cloud_integrations.backends.sqlalchemy.databases.poolers import FOR_PSYCOPG
from cloud_integrations.errors import ConfigurationError, StorageUnavailableError
from cloud_integrations.ports.store import AddIntegration, Record, SaveFacts
from cloud_integrations.testing.contracts.store import ACME, GLOBEX, a_credential, add_sealing_keys, an_event, an_integration

ROUNDS = 12
WORKERS = 6


@pytest.fixture
def direct(postgresql_url):
    engine = sa.create_engine(postgresql_url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(schema.metadata.tables)}")
    yield engine
    engine.dispose()


@pytest.fixture
def pooled(direct, pgbouncer_url):
    engine = sa.create_engine(pgbouncer_url, pool_size=WORKERS)
    yield engine
    engine.dispose()


def filled(store):
    """A store with one integration for each of two tenants."""
    add_sealing_keys(store, ACME, GLOBEX)
    for tenant in (ACME, GLOBEX):
        store.apply(AddIntegration(facts=an_integration(tenant), credential=a_credential()), Record(event=an_event(tenant)))
    return store


def use(store, tenant):
    """Read and write in turn, many more times than a driver waits before it prepares."""
    for number in range(ROUNDS):
        [facts] = store.list_integrations(tenant)
        assert facts.tenant_id == tenant
        assert store.find_integration(tenant, facts.id).facts.id == facts.id
        assert store.find_credential(tenant, facts.provider_id).integration_id == facts.id
        assert store.find_active_key(tenant).tenant_id == tenant
        assert store.find_pending(bytes(32)) is None
        store.apply(SaveFacts(facts=replace(facts, name=f"Name {number}"), expected_state=facts.state), Record(event=an_event(tenant)))
        assert store.count_entries("revocation") == 0


def use_in_threads(store):
    with ThreadPoolExecutor(WORKERS) as threads:
        # Each worker has a tenant of its own by turns; every error of any of them is raised here.
        list(threads.map(lambda number: use(store, (ACME, GLOBEX)[number % 2]), range(WORKERS)))


def prepared(engine):
    """The names of what psycopg prepared on a server connection behind *engine*."""
    with engine.connect() as connection:
        names = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements").scalars().all()
    return [name for name in names if name.startswith("_pg3_")]


def test_behind_a_pooler_nothing_is_mixed_up(direct, pooled, caplog):
    store = SqlAlchemyStore(pooled)
    with caplog.at_level(logging.WARNING, "cloud_integrations"):
        filled(store)
        use_in_threads(store)
    assert prepared(pooled) == []
    [told] = [record.getMessage() for record in caplog.records if "pooler" in record.getMessage()]
    assert FOR_PSYCOPG in told
    assert "stands before the database" in store.report().facts["pooler"]


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_drivers_that_name_no_statements_mix_up_nothing_either(direct, pgbouncer_url, driver):
    pytest.importorskip(driver)
    engine = sa.create_engine(sa.make_url(pgbouncer_url).set(drivername=f"postgresql+{driver}"), pool_size=WORKERS)
    store = filled(SqlAlchemyStore(engine))
    use_in_threads(store)
    assert len(store.list_audit(ACME)) == 1 + ROUNDS * WORKERS // 2
    engine.dispose()


def test_the_hosts_connections_prepare_as_before(direct, pooled):
    filled(SqlAlchemyStore(pooled))
    with pooled.connect() as connection:
        assert connection.connection.driver_connection.prepare_threshold == 5


def test_without_a_pooler_statements_are_prepared_as_the_host_has_it(direct):
    one = sa.create_engine(direct.url, pool_size=1, max_overflow=0)
    store = filled(SqlAlchemyStore(one))
    use(store, ACME)
    assert prepared(one)
    assert "pooler" not in store.report().facts
    one.dispose()


def test_an_engine_that_prepares_nothing_is_not_asked(direct, pgbouncer_url):
    engine = sa.create_engine(pgbouncer_url, connect_args={"prepare_threshold": None})
    asked = []
    sa.event.listen(engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    store = filled(SqlAlchemyStore(engine))
    use(store, ACME)
    assert not [statement for statement in asked if "pg_backend_pid" in statement]
    engine.dispose()


def test_a_pooler_is_asked_for_until_it_is_found(direct, pgbouncer_url):
    engine, asked = sa.create_engine(pgbouncer_url, poolclass=sa.NullPool), []
    sa.event.listen(engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    use(filled(SqlAlchemyStore(engine)), ACME)
    assert len([statement for statement in asked if "pg_backend_pid" in statement]) == 1
    with engine.connect() as connection:
        assert connection.connection.driver_connection.prepare_threshold == 5


def test_migrations_work_behind_a_pooler(direct, pooled):
    assert migrate.current(pooled) == schema.VERSION
    migrate.upgrade(pooled)


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


async def use_awaited(engine):
    store = AsyncSqlAlchemyStore(engine)
    try:
        await store.prepare()

        async def one(tenant):
            for _ in range(ROUNDS):
                [facts] = await store.list_integrations(tenant)
                assert facts.tenant_id == tenant
                assert (await store.find_integration(tenant, facts.id)).facts.id == facts.id
                assert await store.count_entries("revocation") == 0
                await store.apply(Record(event=an_event(tenant)))

        await asyncio.gather(*(one((ACME, GLOBEX)[number % 2]) for number in range(WORKERS)))
        return (await store.report()).facts
    finally:
        await engine.dispose()


def test_psycopg_awaited_behind_a_pooler_mixes_up_nothing(direct, pgbouncer_url, runner):
    filled(SqlAlchemyStore(direct))
    facts = runner.run(use_awaited(create_async_engine(pgbouncer_url, pool_size=WORKERS)))
    assert "pooler" in facts


def asyncpg_engine(url, **how):
    return create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg"), pool_size=WORKERS, **how)


def test_asyncpg_with_its_counted_names_is_refused_behind_a_pooler(direct, pgbouncer_url, runner):
    with pytest.raises(ConfigurationError) as caught:
        runner.run(use_awaited(asyncpg_engine(pgbouncer_url)))
    for setting in ("statement_cache_size", "prepared_statement_cache_size", "prepared_statement_name_func"):
        assert setting in caught.value.message


def test_asyncpg_set_up_for_a_pooler_mixes_up_nothing(direct, pgbouncer_url, runner):
    filled(SqlAlchemyStore(direct))
    args = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
    }
    assert "pooler" in runner.run(use_awaited(asyncpg_engine(pgbouncer_url, connect_args=args)))


def test_asyncpg_without_a_pooler_works_as_it_is(direct, runner):
    filled(SqlAlchemyStore(direct))
    assert "pooler" not in runner.run(use_awaited(asyncpg_engine(direct.url)))


# Stand-ins for what a driver says

MIXED_UP = [psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName]


@pytest.mark.parametrize("kind", MIXED_UP)
def test_a_mixed_up_statement_is_said_to_be_one_and_never_read_as_not_found(tmp_path, kind):
    engine = sqlite_engine(tmp_path / "store.db")
    migrate.upgrade(engine)
    store = filled(SqlAlchemyStore(engine))

    def refuse(*_):
        raise kind('prepared statement "_pg3_0" fake-value')

    sa.event.listen(engine, "do_execute", refuse)
    for call in (lambda: store.list_integrations(ACME), lambda: store.apply(Record(event=an_event()))):
        with pytest.raises(StorageUnavailableError) as caught:
            call()
        assert caught.value.retryable
        assert FOR_PSYCOPG in caught.value.reason
        assert "fake-value" not in caught.value.reason
    engine.dispose()


@pytest.mark.parametrize("kind", MIXED_UP)
def test_work_that_met_a_mixed_up_statement_is_tried_again(direct, kind):
    store, refused = filled(SqlAlchemyStore(direct)), []

    def refuse(*_):
        if not refused:
            refused.append(1)
            raise kind('prepared statement "_pg3_0" already exists')

    sa.event.listen(direct, "do_execute", refuse)
    assert len(store.list_integrations(ACME)) == 1
    assert refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("FATAL: unsupported startup parameter: options", "ignore_startup_parameters"),
        ("FATAL: query_wait_timeout", "no free connection"),
        ("FATAL: no such database: none", "no such database"),
    ],
)
def test_a_poolers_own_refusals_are_understood(words, said):
    assert said in reason_of(psycopg.OperationalError(words))
