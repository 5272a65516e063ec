"""The command `token`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import InSlot, Output, Tenant, Which, Yes, open_screen, read_settings

app = new_command()


@app.command()
def token(
    ctx: typer.Context,
    integration: Which,
    *,
    tenant: Tenant,
    slot: InSlot = "",
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the secret to stdout, after a question.")] = False,
    yes: Yes = False,
    min_ttl: Annotated[
        float | None,
        typer.Option("--min-ttl", metavar="SECONDS", min=0, help="How long the credential must still be valid.", show_default=False),
    ] = None,
    narrow: Annotated[
        Path | None,
        typer.Option(
            "--narrow", metavar="FILE", help="A JSON file that says what it may do at most; - is standard input.", show_default=False
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Get a credential that works.

    Renews it if necessary, and prints it only with --reveal. Every use is in the audit log, with your name.
    With --narrow it can do less: {"scopes": ["read"]}. What the provider cannot narrow is refused.
    """
    actions.token.get(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        integration,
        slot=slot,
        reveal=reveal,
        yes=yes,
        min_ttl=min_ttl,
        narrow=narrow,
    )
