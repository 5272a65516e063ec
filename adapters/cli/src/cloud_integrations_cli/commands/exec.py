"""The command `exec`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import InSlot, Tenant, read_settings

app = new_command()


@app.command(context_settings={"allow_interspersed_args": False})
def exec(  # noqa: A001  # the command's name
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The program and its arguments, after --.")],
    *,
    tenant: Tenant,
    provider: Annotated[str, typer.Option("--provider", metavar="PROVIDER", help="The provider whose keys it gets.")] = "aws",
    slot: InSlot = "",
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="The region that AWS's SDKs use there.", show_default="yours")
    ] = None,
) -> None:
    """Run a program with a tenant's AWS keys.

    AWS's SDKs in it ask this process for keys, which are renewed while it runs. Its exit code is passed on.
    """
    raise typer.Exit(actions.running.run(read_settings(ctx), tenant, provider, command, slot=slot, region=region))
