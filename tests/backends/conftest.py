"""Watches every statement that a store emits, from the moment tests are collected."""

from __future__ import annotations

import re
import shutil
from functools import lru_cache

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, event

from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, migrate, schema, sqlite_engine
from cloud_integrations.backends.sqlalchemy.clock import CLOCK_OPTION
from cloud_integrations.testing.contracts.store import ACME, GLOBEX, add_sealing_keys

TENANT_TABLES = "ci_integration|ci_authorization|ci_key|ci_key_floor|ci_outbox|ci_audit|ci_audit_head|ci_audit_cut"
_READS_OR_CHANGES = re.compile(rf"\b(?:FROM|UPDATE)\s+(?:{TENANT_TABLES})\b", re.IGNORECASE)
# Given as a parameter: another table's column says nothing.
_NAMES_THE_TENANT = re.compile(rf"\bWHERE\b.*\b(?:{TENANT_TABLES})\.tenant_id = [?%$:]", re.IGNORECASE | re.DOTALL)

# Statements that may cross tenants, each for its reason.
ACROSS_TENANTS = {
    "a callback knows only its state, and learns the tenant from it": re.compile(r"WHERE ci_authorization\.state_hash ="),
    "what expired is swept for all tenants": re.compile(
        r"FROM ci_authorization\s+WHERE (?:ci_authorization\.expires_at <=|ci_authorization\.state_hash IN)"
    ),
    "the outbox is worked off for all tenants": re.compile(
        r"FROM ci_outbox\s+WHERE ci_outbox\.kind = \S+ AND ci_outbox\.next_attempt_at <="
    ),
    "the worker renews for all tenants": re.compile(r"FROM ci_integration\s+WHERE ci_integration\.due_at IS NOT NULL"),
    "the worker announces for all tenants what ends": re.compile(
        r"FROM ci_integration\s+WHERE ci_integration\.(?:reconnect_before <=|renewal_rule = \S+ AND ci_integration\.expires_at <=)"
    ),
    "a row that was claimed is named by its whole key": re.compile(
        r"WHERE ci_integration\.tenant_id IN \(.*?\) AND \(?(?:ci_integration\.tenant_id, )?ci_integration\.integration_id\)? IN"
    ),
    "a token is not revoked while any tenant holds it": re.compile(
        r"SELECT ci_integration\.tenant_id, ci_integration\.integration_id\s+FROM ci_integration\s+"
        r"WHERE ci_integration\.provider_id = \S+ AND ci_integration\.presented_fingerprint ="
    ),
    "whose fault a refusal is, the other tenants of the application show": re.compile(
        r"SELECT max\(CASE WHEN \(ci_integration\.refreshed_at >=.*"
        r"WHERE ci_integration\.provider_id = \S+ AND ci_integration\.integration_id !=",
        re.DOTALL,
    ),
    "an operator has a provider's refused grants asked again": re.compile(
        r"FROM ci_integration\s+WHERE ci_integration\.provider_id = \S+ AND ci_integration\.state = \S+ "
        r"AND ci_integration\.renewal_rule IN"
    ),
    "an operator sees how many integrations are concerned by what ends": re.compile(
        r"\ASELECT ci_integration\.provider_id, ci_integration\.method_id, count\(\*\) AS total, count\(CASE[^;]*"
        r"GROUP BY ci_integration\.state, ci_integration\.provider_id, ci_integration\.method_id\Z"
    ),
    "an operator sees what waits": re.compile(r"FROM ci_outbox\s+WHERE ci_outbox\.kind = \S+(?: AND ci_outbox\.index_key = \S+)? ORDER BY"),
    "an operator sees how much waits": re.compile(r"SELECT count\(\*\) AS \w+\s+FROM ci_outbox\s+WHERE ci_outbox\.kind = \S+\Z"),
    "an operator sees how much of each kind waits": re.compile(
        r"SELECT ci_outbox\.kind, count\(\*\) AS \w+, [^?%$:]*\s+FROM ci_outbox GROUP BY ci_outbox\.kind"
    ),
    "an operator sees how many integrations work": re.compile(
        r"count\(\*\) AS \w+\s+FROM \(SELECT ci_integration\.provider_id AS provider_id, CASE WHEN .*\s+"
        r"FROM ci_integration\) AS \w+ GROUP BY",
        re.DOTALL,
    ),
    "an operator looks through the integrations of all tenants": re.compile(r"\bAS fits\s+FROM ci_integration\b"),
    "an operator sees how renewals went, by the hour": re.compile(
        r"\ASELECT looked\.provider_id, count\(\*\) AS number\s+FROM \(SELECT ci_audit\.provider_id AS provider_id\s+"
        r"FROM ci_audit\s+WHERE ci_audit\.action = "
    ),
    "an operator sees how the renewals with a provider fail": re.compile(
        r"AS at\s+FROM ci_integration\s+WHERE ci_integration\.state = \S+ AND ci_integration\.provider_id ="
    ),
    "an operator sees which integrations a leaked caller has used": re.compile(
        r"FROM ci_audit\s+WHERE ci_audit\.outcome = \S+ .*GROUP BY ci_audit\.resource ORDER BY", re.DOTALL
    ),
    "a checkpoint names the heads of all tenants": re.compile(r"FROM ci_audit_head\s+(?:WHERE ci_audit_head\.tenant_id > \S+ )?ORDER BY"),
    "keys of several tenants are read, each by its tenant": re.compile(r"\bWHERE ci_key\.tenant_id IN \("),
    "a row that is sealed anew is named by its tenant's key": re.compile(r"\bWHERE ci_\w+\.key_id IN \("),
    "data keys are replaced and wrapped anew for all tenants": re.compile(
        r"FROM ci_key\s+WHERE ci_key\.state [!<>=]+ \S+(?: AND ci_key\.tenant_id >= .*)? ORDER BY ci_key\.tenant_id, ci_key\.version",
        re.DOTALL,
    ),
    "rows are sealed anew for all tenants": re.compile(r"FROM ci_key\s+WHERE ci_key\.state = \S+ AND coalesce\("),
    "an operator sees what a backup brought back": re.compile(r"AND ci_key\.version <= ci_key_floor\.erased_version ORDER BY"),
    "an operator sees what each wrapping key protects": re.compile(r"SELECT ci_key\.kek_uri, ci_key\.state, count\(\*\)"),
    "an operator must know which keys are still needed": re.compile(r"SELECT DISTINCT ci_key\.kek_key_id\s+FROM ci_key"),
}


@lru_cache(maxsize=10_000)
def tenant_is_missing(statement: str) -> bool:
    """Whether *statement* reads or changes tenants' rows and does not say whose."""
    return (
        _READS_OR_CHANGES.search(statement) is not None
        and _NAMES_THE_TENANT.search(statement) is None
        and not any(allowed.search(statement) for allowed in ACROSS_TENANTS.values())
    )


@event.listens_for(Engine, "before_cursor_execute")
def _watch(connection, cursor, statement, parameters, context, executemany):
    # The option marks the store's own connections; a test that tampers with rows uses another.
    if CLOCK_OPTION in connection.get_execution_options():
        assert not tenant_is_missing(statement), f"no tenant in: {statement}"


@pytest.fixture(name="tenant_is_missing")
def _tenant_is_missing():
    return tenant_is_missing


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """An empty database with the tables in it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    engine = sqlite_engine(path)
    migrate.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite(migrated, tmp_path):
    engine = sqlite_engine(shutil.copyfile(migrated, tmp_path / "store.db"))
    # No test cuts the power, so none waits for the disk.
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield engine
    engine.dispose()


def emptied(engine):
    """Bring a server's database to the tables of this version, without rows."""
    if migrate.current(engine) != schema.VERSION:
        migrate.upgrade(engine)
    with engine.begin() as connection:
        # TRUNCATE makes files anew, which takes thirty times as long.
        for table in sorted(schema.metadata.tables):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    return engine


@pytest.fixture
def postgresql(postgresql_url):
    engine = sa.create_engine(postgresql_url, pool_size=16)
    yield emptied(engine)
    engine.dispose()


@pytest.fixture
def mariadb(mariadb_url):
    engine = sa.create_engine(mariadb_url, pool_size=16)
    yield emptied(engine)
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    """A database with a network between."""
    return request.getfixturevalue(request.param)


def opened(engine):
    """Return a store whose tenants have a data key."""
    store = SqlAlchemyStore(engine)
    add_sealing_keys(store, ACME, GLOBEX)
    return store


@pytest.fixture
def store(engine):
    return opened(engine)


# Of row security: the roles of one database whose tables have policies.


@pytest.fixture(scope="module")
def unbound(secured_database):
    """An engine that no policy binds."""
    engine = sa.create_engine(secured_database.superuser)
    yield engine
    engine.dispose()


@pytest.fixture
def superuser(unbound):
    """The same, over tables without rows."""
    with unbound.begin() as connection:
        for table in sorted(schema.metadata.tables):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    return unbound


@pytest.fixture
def changing_policies(superuser):
    """For tests that change policies: they are as they were afterwards."""
    yield
    migrate.add_row_security(superuser)


@pytest.fixture
def application(secured_database, superuser):
    """An engine of the role that may only read and write rows, with one connection that all share."""
    engine = sa.create_engine(secured_database.application, pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


@pytest.fixture
def owner(secured_database, superuser):
    """An engine of the role that owns the tables."""
    engine = sa.create_engine(secured_database.owner, pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()
