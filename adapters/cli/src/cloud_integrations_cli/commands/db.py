"""The commands of `db`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Output, complete, one_of, open_screen, read_settings

app = new_noun("db")
_DIALECTS = ("postgresql", "sqlite", "mariadb")


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
) -> None:
    """Print the migrations as SQL.

    For databases whose schema is changed by hand.
    """
    actions.db.sql(open_screen(ctx, None), dialect)
