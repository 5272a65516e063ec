"""Row security as an option: the policies of the tables, and the check that database and store agree about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from cloud_integrations.errors import ConfigurationError

from . import schema
from .databases import Database, RowSecurity, database_of, registered
from .visibility import without_tenant

PROTECTED: Final = tuple(sorted(name for name, table in schema.metadata.tables.items() if "tenant_id" in table.columns))
"""The tables whose rows are of tenants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSecurity:
    """What the database says of one table and the user of this connection."""

    name: str
    has_policy: bool
    """Whether the table has our policy."""
    is_active: bool
    """Whether rows are hidden from this user: false for a superuser, and for a role with BYPASSRLS."""
    is_forced: bool
    """Whether rows are hidden from the owner, too."""
    is_own: bool
    """Whether this user can act as the owner, who may remove the policy."""


def row_security_of(database: Database, /) -> RowSecurity:
    """Return how *database* hides rows.  Raises `ConfigurationError` for a database that cannot."""
    if database.row_security is None:
        able = " and ".join(each.title for each in registered() if each.row_security is not None)
        raise ConfigurationError(setting="row_security", problem=f"is not possible with {database.title}, only with {able}")
    return database.row_security


def statements(database: Database, /, *, remove: bool = False) -> tuple[str, ...]:
    """Return the statements that give each table its policy, or take it away.  Raises as `row_security_of` does."""
    security = row_security_of(database)
    return tuple(line.format(table=table) for table in PROTECTED for line in (security.remove if remove else security.add))


@without_tenant
def find_security(connection: Connection, /) -> tuple[TableSecurity, ...]:
    """Return what the database says of each table that exists; nothing where it cannot hide rows."""
    security = database_of(connection).row_security
    if security is None:
        return ()
    rows = connection.execute(text(security.inspect), {"tables": ",".join(PROTECTED)})
    return tuple(
        [
            TableSecurity(name=name, has_policy=policy, is_active=active, is_forced=forced, is_own=own)
            for name, policy, active, forced, own in rows
        ]
    )


@without_tenant
def require_row_security(connection: Connection, /, *, wanted: bool) -> None:
    """Raise `ConfigurationError` if the database hides rows of which the store does not say whose it needs, or the reverse."""
    tables = find_security(connection)
    if not wanted:
        # Otherwise the store would find no row, and nobody would know why.
        if any(each.has_policy and each.is_active for each in tables):
            problem = "must be on, because the tables have policies that hide all rows from a transaction that names no tenant"
            raise ConfigurationError(setting="row_security", problem=problem)
        return
    if any(not each.is_active for each in tables if each.has_policy):
        problem = "has no effect for this user of the database: connect as a role that is no superuser and has not BYPASSRLS"
        raise ConfigurationError(setting="row_security", problem=problem)
    protected = {each.name for each in tables if each.has_policy and each.is_active and each.is_forced}
    if missing := [name for name in PROTECTED if name not in protected]:
        problem = f"is on, but the database does not protect {', '.join(missing)}: run `cloud-integrations db sql --row-security add`"
        raise ConfigurationError(setting="row_security", problem=problem)
