from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.databases import own_database

from cloud_integrations.backends.sqlalchemy import migrate, schema, sqlite_engine
from cloud_integrations.errors import StorageUnavailableError


@pytest.fixture
def sqlite(tmp_path):
    engine = sqlite_engine(tmp_path / "migrated.db")
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql(own_postgresql_url):
    engine = sa.create_engine(own_postgresql_url)
    yield engine
    engine.dispose()


@pytest.fixture
def mariadb(mariadb_url):
    with own_database(mariadb_url) as url:
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request):
    return request.getfixturevalue(request.param)


def definitions(engine):
    """Return every table, column, index and constraint as the database itself describes them."""
    if engine.dialect.name == "mariadb":
        queries = [f"SHOW CREATE TABLE {table}" for table in sa.inspect(engine).get_table_names() if table != schema.VERSION_TABLE]
    elif engine.dialect.name == "sqlite":
        queries = ["SELECT type, name, sql FROM sqlite_master ORDER BY name"]
    else:
        queries = [
            (
                "SELECT table_name, ordinal_position, column_name, data_type, character_maximum_length, is_nullable, column_default "
                "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
            ),
            "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1",
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        ]
    with engine.connect() as connection:
        answers = [connection.exec_driver_sql(query).all() for query in queries]
    if engine.dialect.name == "mariadb":
        # SQLAlchemy keeps a table's indexes in a set: they are created in any order, and shown in that order.
        answers = [[sorted(line.rstrip(",") for line in row[1].splitlines())] for [row] in answers]
    # Alembic indents with spaces in text and with tabs elsewhere.
    return [[str(tuple(row)).replace("\\t", "    ") for row in rows if schema.VERSION_TABLE not in str(row)] for rows in answers]


def test_the_migrated_schema_is_the_declared_one(engine):
    migrate.upgrade(engine)
    migrated = definitions(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert compare_metadata(context, schema.metadata) == []
    with engine.begin() as connection:
        schema.metadata.drop_all(connection)
        schema.metadata.create_all(connection)
    assert definitions(engine) == migrated
    assert all(migrated)


def test_the_newest_script_is_the_version_that_the_store_expects(engine):
    config = migrate._config({})
    assert ScriptDirectory.from_config(config).get_current_head() == schema.VERSION
    assert migrate.current(engine) is None
    migrate.upgrade(engine)
    assert migrate.current(engine) == schema.VERSION


def test_upgrading_again_changes_nothing(engine):
    migrate.upgrade(engine)
    before = definitions(engine)
    migrate.upgrade(engine)
    assert definitions(engine) == before


def test_processes_that_start_together_upgrade_once(engine):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate.upgrade, [engine] * 4))
    assert migrate.current(engine) == schema.VERSION


@pytest.fixture
def failing(engine):
    """The same engine; the next upgrade breaks off at the last table."""

    def refuse(connection, cursor, statement, parameters, context, executemany):
        if "CREATE TABLE" in statement and "ci_audit_head" in statement:
            raise InterruptedError

    sa.event.listen(engine, "before_cursor_execute", refuse)
    with pytest.raises(StorageUnavailableError) as caught:
        migrate.upgrade(engine)
    assert caught.value.reason == "InterruptedError"
    sa.event.remove(engine, "before_cursor_execute", refuse)
    return engine


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
def test_a_migration_that_fails_leaves_nothing(failing):
    assert sa.inspect(failing).get_table_names() == []
    migrate.upgrade(failing)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_where_tables_are_committed_one_by_one_the_next_upgrade_goes_on(failing):
    # MariaDB cannot undo a CREATE.
    assert migrate.current(failing) is None
    assert "ci_audit" in sa.inspect(failing).get_table_names()
    migrate.upgrade(failing)
    finished = definitions(failing)
    with failing.begin() as connection:
        schema.metadata.drop_all(connection)
        schema.metadata.create_all(connection)
    assert definitions(failing) == finished
    assert migrate.current(failing) == schema.VERSION


def test_the_callers_transaction_is_the_callers_to_commit(postgresql):
    with postgresql.connect() as connection:
        migrate.upgrade(connection)
        assert migrate.current(connection) == schema.VERSION
        connection.rollback()
    assert migrate.current(postgresql) is None


def test_the_hosts_history_is_its_own(engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('host')")
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["host"]


def test_a_hosts_autogenerate_leaves_our_tables_alone(engine):
    migrate.upgrade(engine)
    host = sa.MetaData()
    sa.Table("host_table", host, sa.Column("id", sa.Integer, primary_key=True))

    def proposals(**options):
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": host, **options})
            return [
                (type(proposal).__name__, getattr(proposal, "table_name", None))
                for proposal in produce_migrations(context, host).upgrade_ops.ops
            ]

    assert ("DropTableOp", "ci_integration") in proposals()
    assert proposals(include_object=migrate.include_object) == [("CreateTableOp", "host_table")]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mariadb"])
def test_the_statements_can_be_had_as_text(dialect):
    script = migrate.upgrade_sql(dialect)
    created = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", script))
    assert created == schema.TABLE_NAMES
    assert f"'{schema.VERSION}'" in script


def test_the_statements_as_text_make_the_same_database(sqlite, tmp_path):
    migrate.upgrade(sqlite)
    by_hand = sqlite_engine(tmp_path / "by_hand.db")
    with by_hand.connect() as connection:
        connection.connection.driver_connection.executescript(migrate.upgrade_sql("sqlite"))
    assert definitions(by_hand) == definitions(sqlite)
    assert migrate.current(by_hand) == schema.VERSION
    by_hand.dispose()


def test_the_statements_as_text_make_the_same_database_on_mariadb(mariadb):
    migrate.upgrade(mariadb)
    migrated = definitions(mariadb)
    with mariadb.begin() as connection:
        for table in schema.TABLE_NAMES:
            connection.exec_driver_sql(f"DROP TABLE {table}")
        for statement in re.sub(r"(?m)^--.*", "", migrate.upgrade_sql("mariadb")).split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    assert definitions(mariadb) == migrated
    assert migrate.current(mariadb) == schema.VERSION


def test_mariadb_compares_text_byte_by_byte():
    script = migrate.upgrade_sql("mariadb")
    texts = re.findall(r"(?:VARCHAR\(\d+\)|TEXT)(.*)", script.replace("version_num VARCHAR(32) NOT NULL", ""))
    assert texts
    assert all("utf8mb4_nopad_bin" in text for text in texts)
