"""The commands of `db`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Output, complete, one_of, open_screen, read_settings

app = new_noun("db")
_DIALECTS = ("postgresql", "sqlite", "mariadb")
_CHANGES = ("add", "remove")


@app.command()
def upgrade(ctx: typer.Context, output: Output = None) -> None:
    """Apply the migrations that are missing."""
    actions.db.upgrade(open_screen(ctx, output), read_settings(ctx))


@app.command()
def current(ctx: typer.Context, output: Output = None) -> None:
    """Show which schema the database has."""
    actions.db.current(open_screen(ctx, output), read_settings(ctx))


@app.command()
def sql(
    ctx: typer.Context,
    dialect: Annotated[
        str,
        typer.Argument(metavar="|".join(_DIALECTS), help="The database.", callback=one_of(*_DIALECTS), autocompletion=complete(*_DIALECTS)),
    ] = "postgresql",
    *,
    row_security: Annotated[
        str | None,
        typer.Option(
            "--row-security",
            metavar="|".join(_CHANGES),
            help="Print instead the policies by which PostgreSQL hides other tenants' rows, or what removes them.",
            callback=one_of(*_CHANGES),
            autocompletion=complete(*_CHANGES),
        ),
    ] = None,
) -> None:
    """Print the migrations as SQL.

    For databases whose schema is changed by hand. With --row-security add, print the policies of row security instead; run them as
    the owner of the tables, after each upgrade, and set row_security = true.
    """
    actions.db.sql(open_screen(ctx, None), dialect, row_security=row_security)
