"""Row security of PostgreSQL: the whole store under a role that it binds, and what the database hides from statements of others."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema
from cloud_integrations.backends.sqlalchemy.row_security import PROTECTED
from cloud_integrations.backends.sqlalchemy.tables import integrations
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants, without_tenant
from cloud_integrations.errors import IntegrationExistsError, StorageUnavailableError
from cloud_integrations.ports.store import AddEntry, AddIntegration, Record, SetDue
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    StoreContract,
    a_credential,
    add_sealing_keys,
    an_entry,
    an_event,
    an_integration,
)

pytestmark = pytest.mark.requirement("ISO-09")


@pytest.fixture
def store(application):
    return SqlAlchemyStore(application, row_security=True)


@pytest.fixture
def filled(superuser, store):
    """The store with rows of two tenants in every table that a unit of work of one tenant reaches."""
    add_sealing_keys(store, ACME, GLOBEX)
    for tenant in (ACME, GLOBEX):
        facts = an_integration(tenant)
        store.apply(
            AddIntegration(facts=facts, credential=a_credential()),
            AddEntry(entry=replace(an_entry(), tenant_id=tenant)),
            Record(event=an_event(tenant)),
        )
    return store


FILLED = ("ci_audit", "ci_audit_head", "ci_integration", "ci_key", "ci_outbox")


def tenants_in(connection, table):
    # ONLY changes nothing here, and the watch over the store's own statements (`conftest`) does not know it.
    return set(connection.exec_driver_sql(f"SELECT tenant_id FROM ONLY {table}").scalars())  # ours


class TestOneConnection(StoreContract):
    @pytest.fixture
    def store(self, clock, application):
        return SqlAlchemyStore(application, clock=clock, row_security=True)


class TestAwaited(StoreContract):
    @pytest.fixture
    def store(self, clock, runner, superuser, secured_database):
        url = sa.make_url(secured_database.application).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, pool_size=16)
        yield AsyncSqlAlchemyStore(engine, clock=clock, row_security=True)
        runner.run(engine.dispose())


class TestWhatIsSeen:
    def test_a_statement_without_a_tenant_sees_one_tenant_in_its_transaction(self, filled, superuser):
        def look(connection, tenant_id, /):
            return {table: tenants_in(connection, table) for table in PROTECTED}

        for tenant in (ACME, GLOBEX, ACME):
            for run in (filled._engine.read, filled._engine.write):
                seen = run(look, tenant)
                assert {table: seen[table] for table in FILLED} == {table: {tenant} for table in FILLED}
                assert set().union(*seen.values()) == {tenant}
        with superuser.connect() as connection:
            assert tenants_in(connection, "ci_integration") == {ACME, GLOBEX}

    def test_an_operation_over_all_tenants_sees_all_and_one_without_a_tenant_none(self, filled):
        @across_tenants
        def of_all(connection):
            return tenants_in(connection, "ci_integration")

        @without_tenant
        def of_none(connection):
            return tenants_in(connection, "ci_integration")

        assert filled._engine.read(of_all) == {ACME, GLOBEX}
        assert filled._engine.read(of_none) == set()

    @pytest.mark.parametrize("role", ["application", "owner"])
    def test_without_a_setting_no_row_is_seen_changed_or_added_by_the_owner_either(self, filled, superuser, request, role):
        engine = request.getfixturevalue(role)
        for table in PROTECTED:
            with engine.begin() as connection:
                assert tenants_in(connection, table) == set()
                assert connection.exec_driver_sql(f"UPDATE {table} SET tenant_id = 'mallory'").rowcount == 0  # ours
                assert connection.exec_driver_sql(f"DELETE FROM {table}").rowcount == 0  # ours
        head = {"tenant_id": "mallory", "seq": 0, "hash": bytes(32)}
        with pytest.raises(sa.exc.ProgrammingError, match="row-level security"), engine.begin() as connection:
            connection.execute(sa.insert(schema.audit_head), head)
        with superuser.connect() as connection:
            assert {table: tenants_in(connection, table) for table in FILLED} == {table: {ACME, GLOBEX} for table in FILLED}

    def test_a_row_of_another_tenant_can_be_neither_written_nor_moved(self, filled):
        def add(connection, tenant_id, /, *, other):
            connection.execute(sa.insert(schema.audit_cut), {"tenant_id": other, "seq": 1, "note": "{}"})

        def move(connection, tenant_id, /, *, other):
            connection.execute(sa.update(schema.audit_head).where(schema.audit_head.c.tenant_id == tenant_id).values(tenant_id=other))

        for change in (add, move):
            with pytest.raises(StorageUnavailableError) as caught:
                filled._engine.write(change, ACME, other=GLOBEX)
            assert "row security refuses the row" in caught.value.reason

    def test_a_store_whose_statement_forgets_the_tenant_answers_with_one_tenants_rows(self, filled, monkeypatch):
        # A condition that is always true, which SQLAlchemy does not see through.
        query = sa.select(*integrations.FACTS).where(
            sa.or_(schema.integration.c.tenant_id == sa.bindparam("if_tenant"), sa.text("1 = 1")),
        )
        monkeypatch.setattr(integrations, "_LIST_INTEGRATIONS", query)
        assert [facts.tenant_id for facts in filled.list_integrations(GLOBEX)] == [GLOBEX]

    def test_a_hosts_own_statement_says_its_tenant_as_the_page_shows(self, filled, application):
        page = (Path(__file__).parents[2] / "docs/how-to/keep-tenants-apart-in-the-database.md").read_text(encoding="utf-8")
        [block] = [block for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if block.startswith("BEGIN")]
        begin, choose, ask, commit = block.splitlines()
        assert (begin, commit) == ("BEGIN;", "COMMIT;")
        with application.begin() as connection:
            connection.exec_driver_sql(choose)
            assert len(connection.exec_driver_sql(ask).all()) == 1
            assert tenants_in(connection, "ci_integration") == {ACME}

    def test_a_unit_of_work_over_two_tenants_makes_each_change_as_its_own(self, filled):
        held = {tenant: filled.list_integrations(tenant)[0] for tenant in (ACME, GLOBEX)}
        due = START + timedelta(hours=1)
        filled.apply(
            *[SetDue(tenant_id=tenant, integration_id=held[tenant].id, expected_generation=1, due_at=due) for tenant in held],
            *[Record(event=an_event(tenant)) for tenant in (GLOBEX, ACME)],
        )
        assert [len(filled.list_audit(tenant)) for tenant in held] == [2, 2]


class TestThePool:
    """One connection, reused across tenants."""

    def settings(self, engine):
        with engine.connect() as connection:
            read = "current_setting('cloud_integrations.{}', true)"
            found = connection.exec_driver_sql(f"SELECT {read.format('tenant')}, {read.format('across_tenants')}").one()
            return {value or "" for value in found}, tenants_in(connection, "ci_integration")

    def test_no_setting_outlives_a_transaction(self, filled, application):
        @across_tenants
        def fail(connection):
            raise ZeroDivisionError

        def fail_in_sql(connection, tenant_id, /):
            connection.exec_driver_sql("SELECT 1 / 0")

        assert self.settings(application) == ({""}, set())
        filled.list_integrations(ACME)
        assert self.settings(application) == ({""}, set())
        filled.count_entries("revocation")
        assert self.settings(application) == ({""}, set())
        for run in (filled._engine.read, filled._engine.write):
            with pytest.raises(ZeroDivisionError):
                run(fail)
            assert self.settings(application) == ({""}, set())
            with pytest.raises(Exception, match="cannot"):
                run(fail_in_sql, ACME)
            assert self.settings(application) == ({""}, set())
        [facts] = filled.list_integrations(ACME)
        with pytest.raises(IntegrationExistsError):
            filled.apply(AddIntegration(facts=an_integration(provider_id=facts.provider_id), credential=a_credential()))
        assert self.settings(application) == ({""}, set())

    def test_what_somebody_left_on_the_connection_does_not_count(self, filled, application):
        with application.connect() as connection:
            connection.exec_driver_sql("SET cloud_integrations.tenant = 'globex'")
            connection.exec_driver_sql("SET cloud_integrations.across_tenants = 'on'")
            connection.commit()
        assert [facts.tenant_id for facts in filled.list_integrations(ACME)] == [ACME]
        assert filled._engine.read(lambda connection, tenant_id, /: tenants_in(connection, "ci_integration"), ACME) == {ACME}

    def test_an_engine_in_autocommit_works(self, filled, application):
        store = SqlAlchemyStore(application.execution_options(isolation_level="AUTOCOMMIT"), row_security=True)
        assert len(store.list_integrations(ACME)) == 1

    @pytest.mark.drivers
    @pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
    def test_every_blocking_driver_says_the_tenant(self, filled, secured_database, driver):
        pytest.importorskip(driver)
        url = sa.make_url(secured_database.application).set(drivername=f"postgresql+{driver}")
        engine = sa.create_engine(url, pool_size=1, max_overflow=0)
        store = SqlAlchemyStore(engine, row_security=True)
        store.prepare()
        for tenant in (ACME, GLOBEX):
            store.apply(Record(event=an_event(tenant)))
            assert [facts.tenant_id for facts in store.list_integrations(tenant)] == [tenant]
            assert store.count_entries("revocation") == 2
            assert self.settings(engine) == ({""}, set())
        engine.dispose()

    def test_a_pooler_in_transaction_mode_mixes_up_nothing(self, filled, secured_database, pgbouncer_before):
        url = pgbouncer_before(secured_database.application)
        engine = sa.create_engine(url, pool_size=6)
        store = SqlAlchemyStore(engine, row_security=True)
        store.prepare()

        def use(number):
            tenant = (ACME, GLOBEX)[number % 2]
            for _ in range(8):
                assert [facts.tenant_id for facts in store.list_integrations(tenant)] == [tenant]
                store.apply(Record(event=an_event(tenant)))
                assert store.count_entries("revocation") == 2

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(use, range(6)))
        assert [len(store.list_audit(tenant)) for tenant in (ACME, GLOBEX)] == [25, 25]
        with engine.connect() as connection:
            assert tenants_in(connection, "ci_integration") == set()
        engine.dispose()

    def test_it_costs_one_statement_and_nothing_where_it_is_off(self, filled, application, superuser):
        def statements(store, engine, work):
            sent = []
            work(store)  # a new connection is asked for a pooler

            def note(_connection, _cursor, statement, *_):
                sent.append(statement)

            sa.event.listen(engine, "before_cursor_execute", note)
            work(store)
            sa.event.remove(engine, "before_cursor_execute", note)
            return sent

        plain = SqlAlchemyStore(superuser)
        for work in (lambda store: store.list_integrations(ACME), lambda store: store.apply(Record(event=an_event()))):
            without, sent = statements(plain, superuser, work), statements(filled, application, work)
            assert [statement for statement in sent if "set_config" not in statement] == without
            assert len(sent) == len(without) + 1
