"""What each database's file says, and how it is found."""

from __future__ import annotations

from typing import ClassVar

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from cloud_integrations.backends.sqlalchemy import databases, reason_of, schema
from cloud_integrations.backends.sqlalchemy.clock import NOW, NOW_ONCE
from cloud_integrations.backends.sqlalchemy.databases import Driver, PostgreSQL, SQLite
from cloud_integrations.backends.sqlalchemy.db_errors import is_duplicate
from cloud_integrations.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    """What a test registers is gone with it."""
    monkeypatch.setattr(databases, "_BY_NAME", dict(databases._BY_NAME))


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb", "mysql"])
def test_a_dialect_and_whatever_has_one_lead_to_the_same_description(name):
    engine = sa.create_mock_engine(f"{name}://", None)
    assert databases.database_of(engine) is databases.database_of(engine.dialect)
    assert name in databases.database_of(engine).names


def test_a_description_cannot_be_changed():
    with pytest.raises(AttributeError):
        databases.database_of(sa.create_engine("sqlite://")).clock = "never"


# Migrations ask for these when they run: whoever changes one here writes a migration for the databases that have the old one.
COLUMNS = {
    "sqlite": ("VARCHAR(64)", "TEXT", "BLOB", "BLOB", {}, {"sqlite_where"}),
    "postgresql": ("VARCHAR(64)", "TEXT", "BYTEA", "BYTEA", {}, {"postgresql_where"}),
    "mariadb": (
        "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "VARBINARY(64)",
        "MEDIUMBLOB",
        {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"},
        set(),
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_what_tables_were_made_with_is_written_down(name):
    dialect = sa.create_mock_engine(f"{name}://", None).dialect
    database = databases.database_of(dialect)
    types = (database.text(64), database.text(), database.key_bytes(64), database.many_bytes())
    assert (
        *(kind.compile(dialect=dialect) for kind in types),
        database.table_options,
        database.index_options("due_at IS NOT NULL").keys(),
    ) == COLUMNS[name]


def test_a_statement_is_shown_without_a_database():
    shown = str(sa.select(NOW, NOW_ONCE, schema.audit.c.details, schema.audit.c.hash))
    assert "coalesce(:clock, clock())" in shown


def test_a_database_that_is_registered_again_replaces_the_one_before():
    class WithAnotherDriver(SQLite):
        drivers: ClassVar = {**SQLite.drivers, "another": Driver(packages=("another",), find_code=databases.attribute("code"))}

    dialect = sa.create_engine("sqlite://").dialect
    dialect.driver = "another"
    with pytest.raises(ConfigurationError, match="supported are pysqlite, aiosqlite"):
        databases.require_driver(dialect)
    databases.register(WithAnotherDriver())
    assert databases.require_driver(dialect).packages == ("another",)
    assert [database.title for database in databases.registered()] == ["SQLite", "PostgreSQL", "MariaDB"]


def test_databases_that_share_a_driver_each_say_what_its_codes_mean():
    class Fork(PostgreSQL):
        names = ("fork",)
        title = "Fork"
        codes: ClassVar = {"CR000": databases.Meaning.DUPLICATE}

    class Refused(psycopg.Error):
        sqlstate = "CR000"

    error = sa.exc.DBAPIError("INSERT", {}, Refused())
    assert not is_duplicate(error)
    databases.register(Fork())
    assert is_duplicate(error)


def test_a_hosts_own_kind_of_a_drivers_error_is_the_drivers():
    class Traced(pymysql.err.IntegrityError):
        pass

    assert is_duplicate(sa.exc.IntegrityError("INSERT", {}, Traced(1062, "Duplicate entry")))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        # Of two addresses of one host, each with its own refusal, the one that was reached says more.
        (psycopg.OperationalError("Connection refused; FATAL: password authentication failed for user"), "it refuses the login"),
        (psycopg.OperationalError('FATAL: database "none" does not exist'), "there is no such database or user"),
        (psycopg.errors.InvalidSqlStatementName(), "a connection pooler mixes up prepared statements (SQLSTATE 26000): set "),
        (pymysql.err.OperationalError(1045, "Access denied for user"), "it refuses the login (error 1045)"),
        (pymysql.err.OperationalError(1049, "Unknown database 'none'"), "there is no such database (error 1049)"),
        (
            pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'none' ([Errno -2] Name or service not known)"),
            "the host is not known",
        ),
        (pymysql.err.OperationalError(1040, "Too many connections"), "it takes no more connections (error 1040)"),
    ],
)
def test_a_reason_is_in_our_words_with_the_databases_code(error, said):
    assert reason_of(error).startswith(said)
