"""The commands of `tenants`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Output, Tenant, Yes, open_screen, read_settings

app = new_noun("tenants")


@app.command()
def erase(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    receipt: Annotated[Path | None, typer.Option("--receipt", metavar="FILE", help="Write the receipt to this new file.")] = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Revoke everything and destroy the keys.

    Revokes and deletes every integration of the tenant, then overwrites its data keys. This cannot be undone.
    """
    actions.tenants.erase(open_screen(ctx, output), read_settings(ctx), tenant, yes=yes, receipt=receipt)


@app.command()
def verify_erasure(
    ctx: typer.Context,
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="The file that `tenants erase --receipt` wrote.")],
    output: Output = None,
) -> None:
    """Check that an erased tenant is still erased.

    Finds keys of the tenant that a restored backup has brought back.
    """
    actions.tenants.verify_erasure(open_screen(ctx, output), read_settings(ctx), receipt)
