"""The commands of `connect-sessions`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, NewSlot, Output, Tenant, open_screen, read_settings

app = new_noun("connect-sessions")


@app.command()
def create(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    person: Annotated[str, typer.Option("--for", metavar="USER", help="The id of the person who will connect.", show_default=False)],
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="URL", help="Where your application serves the pages: https://app.example.com/connect.", show_default=False
        ),
    ],
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="PROVIDER", help="A provider that may be connected; may be repeated.", show_default="all"),
    ] = None,
    slot: NewSlot = "",
    locale: Annotated[
        str | None, typer.Option("--locale", metavar="TAG", help="The language of the pages, such as de.", show_default="the browser's")
    ] = None,
    return_to: Annotated[
        str | None,
        typer.Option("--return-to", metavar="URL", help="Where the pages lead back to: a path, or an https URL.", show_default="nowhere"),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option("--origin", metavar="URL", help="The site that shows the pages and is told what happened.", show_default="none"),
    ] = None,
    output: Output = None,
) -> None:
    """Create a link by which one browser connects accounts for a tenant.

    The link works once, for 30 minutes. Whoever opens it connects in the name of the person, so give it to nobody else.
    """
    actions.connect_sessions.create(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        person=person,
        at=at,
        providers=provider or (),
        slot=slot,
        locale=locale,
        return_to=return_to,
        origin=origin,
    )


@app.command("list")
def list_(ctx: typer.Context, *, tenant: Tenant, fields: Fields = None, output: Output = None) -> None:
    """List a tenant's connect sessions that have not ended."""
    actions.connect_sessions.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant)


@app.command()
def revoke(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The session's id; `connect-sessions list` shows it.")],
    *,
    tenant: Tenant,
    output: Output = None,
) -> None:
    """End a connect session now, whether its link was opened or not."""
    actions.connect_sessions.revoke(open_screen(ctx, output), read_settings(ctx), tenant, session)
