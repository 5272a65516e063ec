"""The command `token`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import Output, ProviderName, Tenant, Yes, open_screen, read_settings

app = new_command()


@app.command()
def token(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the secret on stdout; asks first.")] = False,
    yes: Yes = False,
    min_ttl: Annotated[
        float | None, typer.Option("--min-ttl", metavar="SECONDS", min=0, help="The life it must still have.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Get a credential that works.

    It is renewed if need be, and printed only with --reveal. Every use is recorded in the audit under your name.
    """
    actions.token.get(open_screen(ctx, output), read_settings(ctx), tenant, provider, reveal=reveal, yes=yes, min_ttl=min_ttl)
