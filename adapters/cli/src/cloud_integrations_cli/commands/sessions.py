"""The commands of `sessions`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Output, Tenant, open_screen, read_settings

app = new_noun("sessions")

_READING = ["GET", "HEAD"]
_HOUR = 3600


@app.command("open")
def open_(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    agent: Annotated[str, typer.Option("--agent", metavar="ID", help="The agent's id, as the audit log names it.", show_default=False)],
    on_behalf_of: Annotated[
        str, typer.Option("--on-behalf-of", metavar="USER", help="The id of the person for whom it acts.", show_default=False)
    ],
    provider: Annotated[
        list[str],
        typer.Option(
            "--provider",
            metavar="PROVIDER",
            help="A provider that it may use, or an integration's id; may be repeated.",
            show_default=False,
        ),
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="[PROVIDER=]HOST",
            help="Where requests may go, such as api.example.com or *.example.com; may be repeated.",
            show_default="the provider's API",
        ),
    ] = None,
    http_method: Annotated[
        list[str], typer.Option("--http-method", metavar="METHOD", help="An HTTP method that it may use; may be repeated.")
    ] = _READING,
    ttl: Annotated[int, typer.Option("--ttl", metavar="SECONDS", min=1, help="How long it lasts; at most a day.")] = _HOUR,
    output: Output = None,
) -> None:
    """Let an agent use integrations for a person, without a token.

    The answer is the session's id. The session says what may be requested; it gives no credential to anybody.
    """
    actions.sessions.open_session(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        agent=agent,
        on_behalf_of=on_behalf_of,
        providers=provider,
        hosts=host or (),
        methods=http_method,
        ttl=ttl,
    )


@app.command("list")
def list_(ctx: typer.Context, *, tenant: Tenant, fields: Fields = None, output: Output = None) -> None:
    """List a tenant's sessions, until a day after their end."""
    actions.sessions.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant)


@app.command()
def revoke(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The session's id; `sessions list` shows it.")],
    *,
    tenant: Tenant,
    output: Output = None,
) -> None:
    """End a session now."""
    actions.sessions.revoke(open_screen(ctx, output), read_settings(ctx), tenant, session)
