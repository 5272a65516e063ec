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
    actor: Annotated[str, typer.Option("--actor", metavar="TYPE:ID", help="The actor that the audit log shows for this token.")],
    tenant: Annotated[list[str], typer.Option("--tenant", "-t", metavar="ID", help="Allow this tenant; may be repeated; '*' allows all.")],
    permission: Annotated[
        list[str] | None,
        typer.Option(
            "--permission",
            metavar="NAME",
            help="Allow this; may be repeated. Left out: all but use, reveal, operate, incidents.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Make a bearer token for the HTTP API.

    The token is shown only once. The settings hold its SHA-256; the entry to add to them is printed too.
    """
    actions.tokens.generate(open_screen(ctx, output), actor=actor, tenants=tenant, permissions=permission)
