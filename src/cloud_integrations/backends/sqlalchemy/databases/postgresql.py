"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, text

from .base import Code, Database, Driver, IdleLimit, Meaning, RowSecurity, attribute
from .poolers import FOR_ASYNCPG, FOR_PSYCOPG, PoolerGuard

_MIGRATING: Final = 0x63695F6D69677261
"""The key of the advisory lock for migrations: the bytes "ci_migra"."""
_MIXED_UP: Final = (
    "26000",  # a prepared statement of this name does not exist
    "42P05",  # a prepared statement of this name exists already
)
"""SQLSTATEs that can only come from a pooler, on our own connections."""
_PREPARE_NOTHING: Final = (
    f"a connection pooler mixes up prepared statements (SQLSTATE %s): set {FOR_PSYCOPG} for psycopg, {FOR_ASYNCPG} for asyncpg"
)

# A missing setting is NULL, one of a transaction that has ended is empty: neither is a tenant.  In a SELECT of its own, a setting is read
# once per statement and not once per row.
_POLICY: Final = (
    "CREATE POLICY ci_tenant ON {table} USING ("
    "tenant_id = (SELECT NULLIF(current_setting('cloud_integrations.tenant', true), '')) "
    "OR (SELECT current_setting('cloud_integrations.across_tenants', true)) = 'on')"
)
_DROP_POLICY: Final = "DROP POLICY IF EXISTS ci_tenant ON {table}"
_ROW_SECURITY: Final = RowSecurity(
    add=(
        _DROP_POLICY,
        _POLICY,
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    ),
    remove=(
        "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        _DROP_POLICY,
    ),
    # `true`: for this transaction alone, as SET LOCAL, which takes no parameters.
    choose=(
        "SELECT set_config('cloud_integrations.tenant', :tenant, true), set_config('cloud_integrations.across_tenants', :across, true)"
    ),
    inspect=(
        "SELECT c.relname, EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'ci_tenant'), "
        "row_security_active(c.oid), c.relforcerowsecurity, pg_has_role(c.relowner, 'USAGE') "
        "FROM pg_class c WHERE c.oid IN (SELECT to_regclass(name) FROM unnest(string_to_array(CAST(:tables AS text), ',')) AS name)"
    ),
)


def _field_of_message(error: BaseException, /) -> str | None:
    """Return the SQLSTATE from the fields of the server's message, which pg8000 passes on."""
    first = error.args[0] if error.args else None
    return str(first["C"]) if isinstance(first, Mapping) and "C" in first else None


class PostgreSQL(Database):
    """PostgreSQL, also behind a connection pooler."""

    __slots__ = ()

    names = ("postgresql",)
    title = "PostgreSQL"
    drivers: ClassVar[Mapping[str, Driver]] = {
        "psycopg": Driver(packages=("psycopg", "psycopg_binary", "psycopg_c"), find_code=attribute("sqlstate"), reads_in_autocommit=True),
        "psycopg2": Driver(packages=("psycopg2",), find_code=attribute("pgcode"), reads_in_autocommit=True),
        # pg8000 sends a statement and its values in two steps; behind a pooler, both reach the same server connection only in a
        # transaction.
        "pg8000": Driver(packages=("pg8000",), find_code=_field_of_message),
        # SQLAlchemy wraps asyncpg's errors in classes of its own.
        "asyncpg": Driver(
            packages=("asyncpg", "sqlalchemy.dialects.postgresql.asyncpg"), find_code=attribute("sqlstate"), reads_in_autocommit=True
        ),
    }
    idle_limit = IdleLimit(
        setting="idle_in_transaction_session_timeout",
        question="SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'",
    )

    encryption = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    row_security = _ROW_SECURITY

    # Not now(): that is the time at the start of the transaction, which may have waited for a lock since.
    clock = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"

    inserts_with_updates = True
    updates_return_joined_rows = True

    codes: ClassVar[Mapping[Code, Meaning]] = {
        "40001": Meaning.STOOD_IN_THE_WAY,  # could not serialize
        "40P01": Meaning.STOOD_IN_THE_WAY,  # deadlock
        "23505": Meaning.DUPLICATE,
        "42P01": Meaning.NO_SUCH_TABLE,
        **dict.fromkeys(_MIXED_UP, Meaning.MIXED_UP),
    }
    code_classes: ClassVar[Mapping[str, Meaning]] = {
        "22": Meaning.UNSTORABLE,  # data exception
        "23": Meaning.UNSTORABLE,  # constraint violation
    }
    code_title = "SQLSTATE"
    reasons: ClassVar[Mapping[Code, str]] = {
        **{code: _PREPARE_NOTHING % code for code in _MIXED_UP},
        "42501": "the role lacks a privilege on a table, or row security refuses the row (SQLSTATE 42501)",
    }
    said_when_away: ClassVar[Mapping[str, str]] = {
        "startup parameter": "a connection pooler refuses a parameter of the login (PgBouncer: ignore_startup_parameters)",
        "bind message": "a connection pooler mixes up prepared statements",
        "query_wait_timeout": "the connection pooler has no free connection",
        "authentication failed": "it refuses the login",
        "no password supplied": "it refuses the login",
        "no such database": "there is no such database",
        "does not exist": "there is no such database or user",
    }

    def guard(self) -> PoolerGuard:
        return PoolerGuard()

    def for_writing(self, connection: Connection, /) -> None:
        # Set on the connection: a level that the host gave its engine by `execution_options` would override a level of our engine view.
        connection.execution_options(isolation_level="READ COMMITTED")

    def lock_migrations(self, connection: Connection, /) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATING})

    def index_options(self, condition: str, /) -> Mapping[str, Any]:
        return {"postgresql_where": text(condition)}

    def tuning(self, table: str, /) -> tuple[str, ...]:
        # Claims leave dead entries in the index, which later claims may have to skip until a vacuum removes them.
        return (f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02)",)
