"""Row security of PostgreSQL: whose rows each operation sees, and what is refused where store and policies do not fit."""

from __future__ import annotations

import asyncio
import inspect
import typing

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, schema, tables
from cloud_integrations.backends.sqlalchemy.row_security import PROTECTED
from cloud_integrations.backends.sqlalchemy.tables import refresh
from cloud_integrations.backends.sqlalchemy.tables.handlers import HANDLERS, handles
from cloud_integrations.backends.sqlalchemy.visibility import Sees, mark_of, sight_of
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports.store import Change, Record, Store
from cloud_integrations.testing.contracts.store import (
    ACME,
)

from .conftest import opened

pytestmark = pytest.mark.requirement("ISO-09")

ACROSS_TENANTS = {
    "claim_due",
    "claim_entries",
    "count_due",
    "count_endings",
    "count_ends",
    "count_entries",
    "count_errors",
    "count_integrations",
    "count_items",
    "count_matching",
    "count_outbox",
    "count_renewals",
    "find_closed",
    "find_connect_session",
    "find_holders",
    "find_incident",
    "find_keys",
    "find_pending",
    "list_audit_heads",
    "list_due_keys",
    "list_ending",
    "list_freezes",
    "list_incidents",
    "list_items",
    "list_kek_ids",
    "list_replaced_keys",
    "list_returned_keys",
    "list_sealed",
    "list_unrenewed",
    "others_renewed",
    "search_integrations",
    "sweep_connect_sessions",
    "sweep_pending",
    "sweep_sessions",
    "take_pending",
}
OF_ALL_WITHOUT_A_NAME = {"count_uses", "list_entries", "list_key_usage", "list_keys"}
WITHOUT_TENANT = {"apply", "list_key_checks"}
NOT_OF_TABLES = {"prepare", "report"}
CHANGES_ACROSS = {"AddFreeze", "AddIncident", "BeginPoll", "EndPoll", "LiftFreeze", "Reseal"}
CHANGES_WITHOUT = {"AddKeyCheck"}


@pytest.fixture
def store(application):
    return SqlAlchemyStore(application, row_security=True)


class TestEveryOperation:
    def operations(self):
        return [name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")]

    def operation(self, name):
        return refresh.claim_due if name == "claim_due" else getattr(SqlAlchemyStore, name).__wrapped__

    def test_says_whose_rows_it_sees(self):
        names = set(self.operations()) - NOT_OF_TABLES
        marks = {name: mark_of(self.operation(name)) for name in names}
        assert {name for name in names if marks[name] is Sees.ALL} == ACROSS_TENANTS | OF_ALL_WITHOUT_A_NAME
        assert {name for name in names if marks[name] is Sees.NONE} == WITHOUT_TENANT
        for name in names - ACROSS_TENANTS - OF_ALL_WITHOUT_A_NAME - WITHOUT_TENANT:
            assert sight_of(self.operation(name))((ACME, "more"), {"tenant_id": ACME}) == ACME, name
        for name in OF_ALL_WITHOUT_A_NAME:
            sight = sight_of(self.operation(name))
            assert [sight((each, "more"), {"tenant_id": each}) for each in (ACME, None)] == [ACME, Sees.ALL], name
        for name in OF_ALL_WITHOUT_A_NAME - {"list_entries"}:
            assert sight_of(self.operation(name))((), {}) is Sees.ALL

    def test_is_the_same_in_both_stores(self):
        for name in set(self.operations()) - NOT_OF_TABLES - {"claim_due"}:
            assert getattr(AsyncSqlAlchemyStore, name).__wrapped__ is self.operation(name)

    def test_is_refused_without_a_tenant_or_a_mark(self):
        def forgetful(connection, name): ...

        def of_all_or_one(connection, *, tenant_id: str | None = None): ...

        for operation in (forgetful, of_all_or_one):
            with pytest.raises(TypeError, match="does not say whose rows it sees"):
                SqlAlchemyStore._read(operation)
            with pytest.raises(TypeError, match="does not say whose rows it sees"):
                AsyncSqlAlchemyStore._write(operation)

    def test_each_change_says_its_tenant(self, monkeypatch):
        changes = set(typing.get_args(Change))
        assert HANDLERS.keys() | {Record} == changes

        class Shape:
            """A value with the fields of its class, each with those of its own; every tenant is the same."""

            def __init__(self, kind):
                self._kind = kind

            def __getattr__(self, name):
                of_field = typing.get_type_hints(self._kind)[name]
                return ACME if name == "tenant_id" else Shape(of_field)

        def stop(_connection, whose):
            raise StopIteration(whose)

        monkeypatch.setattr(tables.handlers, "see", stop)
        seen = {}
        for kind, handler in HANDLERS.items():
            with pytest.raises(StopIteration) as caught:
                handler(None, Shape(kind))
            seen[kind.__name__] = caught.value.args[0]
        assert {name for name, whose in seen.items() if whose is Sees.ALL} == CHANGES_ACROSS
        assert {name for name, whose in seen.items() if whose is Sees.NONE} == CHANGES_WITHOUT
        assert {whose for whose in seen.values() if not isinstance(whose, Sees)} == {ACME}

    def test_a_handler_of_a_change_without_a_tenant_is_refused(self):
        with pytest.raises(TypeError, match="Record has no tenant_id"):
            handles(Record)(lambda connection, change: None)


class TestThePolicies:
    def test_every_table_of_tenants_has_one(self, superuser):
        assert set(PROTECTED) == {name for name, table in schema.metadata.tables.items() if "tenant_id" in table.c}
        assert set(schema.metadata.tables) - set(PROTECTED) == {"ci_key_check"}
        with superuser.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid WHERE relrowsecurity AND relforcerowsecurity"
            ).scalars()
            assert set(found) == set(PROTECTED)

    @pytest.mark.usefixtures("changing_policies")
    def test_they_are_added_and_removed_as_often_as_wanted(self, owner, superuser, store):
        migrate.add_row_security(owner)
        store.prepare()
        with owner.begin() as connection:
            migrate.remove_row_security(connection)
            migrate.remove_row_security(connection)
            assert not connection.exec_driver_sql("SELECT 1 FROM pg_policy").all()
        with pytest.raises(ConfigurationError, match="does not protect ci_announcement"):
            store.prepare()
        for line in migrate.row_security_sql("postgresql").splitlines():
            with superuser.begin() as connection:
                connection.exec_driver_sql(line)
        store.prepare()

    @pytest.mark.parametrize(
        "spoiled",
        [
            "DROP POLICY ci_tenant ON ci_webhook",
            "ALTER TABLE ci_webhook NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE ci_webhook DISABLE ROW LEVEL SECURITY",
        ],
    )
    @pytest.mark.usefixtures("changing_policies")
    def test_a_table_without_protection_is_found_at_the_start(self, superuser, store, spoiled):
        store.prepare()
        with superuser.begin() as connection:
            connection.exec_driver_sql(spoiled)
        with pytest.raises(ConfigurationError, match=r"ci_webhook|has no effect"):
            store.prepare()

    def test_a_user_whom_no_policy_binds_is_refused_at_the_start(self, superuser):
        with pytest.raises(ConfigurationError, match="no superuser and has not BYPASSRLS"):
            SqlAlchemyStore(superuser, row_security=True).prepare()

    def test_a_store_that_names_no_tenant_is_refused_at_the_start(self, application, superuser):
        with pytest.raises(ConfigurationError, match="row_security must be on"):
            SqlAlchemyStore(application).prepare()
        SqlAlchemyStore(superuser).prepare()

    def test_the_report_says_who_can_take_them_away(self, store, owner, superuser):
        assert store.report().facts["row_security"] == "on"
        assert SqlAlchemyStore(owner, row_security=True).report().facts["row_security"] == "on, but this user can take it away"
        assert "row_security" not in SqlAlchemyStore(superuser).report().facts

    def test_the_awaited_store_says_and_refuses_the_same(self, superuser, secured_database):
        async def look(url, **how):
            engine = create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg"))
            store = AsyncSqlAlchemyStore(engine, **how)
            try:
                await store.prepare()
                return (await store.report()).facts.get("row_security")
            finally:
                await engine.dispose()

        assert asyncio.run(look(secured_database.application, row_security=True)) == "on"
        assert asyncio.run(look(secured_database.superuser)) is None
        with pytest.raises(ConfigurationError, match="row_security must be on"):
            asyncio.run(look(secured_database.application))

    def test_the_owner_migrates_as_before(self, owner):
        migrate.upgrade(owner)
        assert migrate.current(owner) == schema.VERSION

    def test_a_dump_by_the_owner_fails_and_leaves_no_row_out(self, owner):
        with owner.begin() as connection:
            connection.exec_driver_sql("SET LOCAL row_security = off")  # as pg_dump does
            with pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
                connection.exec_driver_sql("SELECT * FROM ci_integration")

    @pytest.mark.parametrize("database", ["sqlite", "mariadb"])
    def test_other_databases_refuse_it(self, request, database):
        engine = request.getfixturevalue(database)
        for refused in (
            lambda: SqlAlchemyStore(engine, row_security=True),
            lambda: AsyncSqlAlchemyStore(engine, row_security=True),
            lambda: migrate.add_row_security(engine),
            lambda: migrate.remove_row_security(engine),
            lambda: migrate.row_security_sql(database),
        ):
            with pytest.raises(ConfigurationError, match=r"row_security is not possible with \w+, only with PostgreSQL"):
                refused()
        assert opened(engine).list_integrations(ACME) == ()
        SqlAlchemyStore(engine).prepare()
