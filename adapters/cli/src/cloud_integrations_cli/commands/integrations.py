"""The commands of `integrations`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import (
    ApiKeyFile,
    ApiKeyStdin,
    CallbackPort,
    Fields,
    NewName,
    NoBrowser,
    Output,
    Paste,
    ProviderName,
    Scopes,
    SecretKeyFile,
    Tenant,
    Variables,
    Wait,
    Which,
    Yes,
    open_screen,
    read_settings,
)

app = new_noun("integrations")


@app.command("list")
def list_(ctx: typer.Context, *, tenant: Tenant, fields: Fields = None, output: Output = None) -> None:
    """List a tenant's integrations."""
    actions.integrations.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant)


@app.command()
def show(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Show one integration and its health."""
    actions.integrations.show(open_screen(ctx, output), read_settings(ctx), tenant, integration)


@app.command()
def add(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    name: NewName = None,
    variable: Variables = None,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    secret_key_file: SecretKeyFile = None,
    output: Output = None,
) -> None:
    """Connect a provider with an API key.

    The key is asked for without echo, or read from a file or standard input; no option takes it. It is
    stored only if the provider accepts it.
    """
    actions.integrations.add(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant=tenant,
        provider=provider,
        name=name,
        variables=variable or (),
        api_key_file=api_key_file,
        api_key_stdin=api_key_stdin,
        secret_key_file=secret_key_file,
    )


@app.command()
def verify(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Ask the provider whether the credential works."""
    actions.integrations.verify(open_screen(ctx, output), read_settings(ctx), tenant, integration)


@app.command()
def refresh(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Renew the access token now.

    Works also where the provider has said that the grant ended: if it answers with tokens now, the integration is active again.
    """
    actions.integrations.refresh(open_screen(ctx, output), read_settings(ctx), tenant, integration)


@app.command()
def refresh_refused(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="WORD", help="Only integrations that must reconnect for this reason, for example revoked."),
    ] = None,
    output: Output = None,
) -> None:
    """Refresh all integrations that a provider has refused.

    Use it after an incident at the provider. An integration that is refused again stays as it is.
    """
    actions.integrations.refresh_refused(open_screen(ctx, output), read_settings(ctx), provider, reason=reason)


@app.command()
def rename(
    ctx: typer.Context,
    integration: Which,
    name: Annotated[str, typer.Argument(help="The new name, 3 to 50 characters.")],
    *,
    tenant: Tenant,
    output: Output = None,
) -> None:
    """Rename an integration."""
    actions.integrations.edit(open_screen(ctx, output), read_settings(ctx), tenant, integration, name=name)


@app.command()
def disable(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Switch an integration off.

    The credential stays stored, and is not handed out.
    """
    actions.integrations.edit(open_screen(ctx, output), read_settings(ctx), tenant, integration, status="inactive")


@app.command()
def enable(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Switch an integration on again."""
    actions.integrations.edit(open_screen(ctx, output), read_settings(ctx), tenant, integration, status="active")


@app.command()
def reconnect(
    ctx: typer.Context,
    integration: Which,
    *,
    tenant: Tenant,
    scope: Scopes = None,
    no_browser: NoBrowser = False,
    port: CallbackPort = None,
    paste: Paste = False,
    wait: Wait = 300,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    secret_key_file: SecretKeyFile = None,
    output: Output = None,
) -> None:
    """Replace the credential of an integration.

    In a browser, or with a new API key. Its id and name stay.
    """
    actions.connect.reconnect(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        integration,
        scopes=scope or (),
        way=actions.connect.Way(browser=not no_browser, port=port, paste=paste, wait=wait),
        api_key_file=api_key_file,
        api_key_stdin=api_key_stdin,
        secret_key_file=secret_key_file,
    )


@app.command()
def delete(ctx: typer.Context, integration: Which, *, tenant: Tenant, yes: Yes = False, output: Output = None) -> None:
    """Delete an integration and revoke its tokens.

    Shows for each token whether the provider revoked it. Failed revocations are retried.
    """
    actions.integrations.delete(open_screen(ctx, output), read_settings(ctx), tenant, integration, yes=yes)
