"""The commands about the database's schema."""

from __future__ import annotations

from cloud_integrations.backends.sqlalchemy import migrate
from cloud_integrations_cli.engines import open_engine
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration


def upgrade(screen: Screen, configuration: Configuration, /) -> None:
    """Apply the migrations that are missing."""
    before, after = migrate_database(configuration)
    if screen.as_json:
        screen.json({"data": {"before": before, "revision": after}})
    else:
        screen.note(
            f"the schema was {before or 'not there'} and is {after}" if before != after else f"nothing to do: the schema is {after}"
        )


def current(screen: Screen, configuration: Configuration, /) -> None:
    """Show which schema the database has."""
    found = find_revision(configuration)
    if screen.as_json:
        screen.json({"data": {"revision": found}})
    elif found is None:
        screen.note("no schema; `cloud-integrations db upgrade` makes it")
    else:
        screen.text(found)


def sql(screen: Screen, dialect: str, /, *, row_security: str | None) -> None:
    """Print the SQL of the migrations, or that of the policies of row security, to be run by hand."""
    if row_security is None:
        screen.text(migrate.upgrade_sql(dialect).rstrip())
    else:
        screen.text(migrate.row_security_sql(dialect, remove=row_security == "remove").rstrip())


def migrate_database(configuration: Configuration, /) -> tuple[str | None, str | None]:
    """Bring the database to this version's schema, and return the revision before and after."""
    with open_engine(configuration) as engine:
        before = migrate.current(engine)
        migrate.upgrade(engine)
        return before, migrate.current(engine)


def find_revision(configuration: Configuration, /) -> str | None:
    """Return the revision of the database's schema, or None."""
    with open_engine(configuration) as engine:
        return migrate.current(engine)
