"""The commands of `tokens`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Output, open_screen

app = new_noun("tokens")


@app.command()
def generate(
    ctx: typer.Context,
    *,
    actor: Annotated[str, typer.Option("--actor", metavar="TYPE:ID", help="Who it stands for, as the audit names them.")],
    tenant: Annotated[list[str], typer.Option("--tenant", "-t", metavar="ID", help="For this tenant; may be repeated; '*' for all.")],
    permission: Annotated[
        list[str] | None,
        typer.Option("--permission", metavar="NAME", help="May be repeated. Left out: all but use and reveal.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Make a bearer token, shown this once.

    The settings keep its SHA-256 alone; the entry for them is printed, too.
    """
    actions.tokens.generate(open_screen(ctx, output), actor=actor, tenants=tenant, permissions=permission)
