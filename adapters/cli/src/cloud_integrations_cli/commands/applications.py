"""The commands of `applications`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import (
    Fields,
    MethodId,
    Output,
    ProviderName,
    Scopes,
    Tenant,
    Variables,
    Yes,
    open_screen,
    read_settings,
)

app = new_noun("applications")


@app.command("list")
def list_(ctx: typer.Context, *, tenant: Tenant, fields: Fields = None, output: Output = None) -> None:
    """List the applications that a tenant registered."""
    actions.applications.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant)


@app.command()
def save(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    client_id: Annotated[str, typer.Option("--client-id", metavar="ID", help="The application's client id.", show_default=False)],
    client_secret_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--client-secret-file",
            metavar="FILE",
            help="Read the client secret from a file; while it is rotated, repeated, the new one first.",
        ),
    ] = None,
    client_secret_stdin: Annotated[bool, typer.Option("--client-secret-stdin", help="Read the client secret from standard input.")] = False,
    public: Annotated[bool, typer.Option("--public", help="The application has no client secret.")] = False,
    method: MethodId = None,
    scope: Scopes = None,
    variable: Variables = None,
    issuer: Annotated[
        str | None, typer.Option("--issuer", metavar="URL", help="The issuer to expect in callbacks (RFC 9207).", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Store an application that the tenant registered itself.

    The tenant's new authorizations use it in place of the operator's. With the same client id it replaces the
    stored secret. The answer names the redirect URI to register at the provider.
    """
    actions.applications.save(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        provider,
        client_id=client_id,
        secrets=actions.applications.ClientSecrets(files=tuple(client_secret_file or ()), stdin=client_secret_stdin, public=public),
        method=method,
        scopes=scope or (),
        variables=variable or (),
        issuer=issuer,
    )


@app.command()
def remove(
    ctx: typer.Context,
    application: Annotated[str, typer.Argument(metavar="APPLICATION", help="The application's id; `applications list` shows it.")],
    *,
    tenant: Tenant,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Delete an application that no integration uses."""
    actions.applications.remove(open_screen(ctx, output), read_settings(ctx), tenant, application, yes=yes)
