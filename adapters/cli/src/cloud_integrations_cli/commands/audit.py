"""The commands of `audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, InSlot, Output, Tenant, open_screen, read_settings

app = new_noun("audit")


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    integration: Annotated[
        str | None,
        typer.Option("--integration", metavar="INTEGRATION", help="Only this integration: its id, or its provider's slug or UUID."),
    ] = None,
    slot: InSlot = "",
    before: Annotated[int | None, typer.Option("--before", metavar="NUMBER", min=1, help="Only events below this number.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=200, help="The number of events.")] = 50,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """List a tenant's events, newest first."""
    actions.audit.list_events(
        open_screen(ctx, output, fields), read_settings(ctx), tenant, integration=integration, slot=slot, before=before, limit=limit
    )


@app.command()
def verify(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="NUMBER:HASH", help="The end of an earlier report; finds a chain that was cut.")
    ] = None,
    output: Output = None,
) -> None:
    """Check that a tenant's audit log is complete.

    Finds events that were changed, removed, added or moved. Ends with exit code 11 if there are any.
    """
    actions.audit.verify(open_screen(ctx, output), read_settings(ctx), tenant, checkpoint=checkpoint)
