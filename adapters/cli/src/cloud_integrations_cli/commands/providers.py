"""The commands of `providers`."""

from __future__ import annotations

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Output, ProviderName, open_screen, read_settings

app = new_noun("providers")


@app.command("list")
def list_(ctx: typer.Context, fields: Fields = None, output: Output = None) -> None:
    """List all providers, and what is configured for them."""
    actions.providers.list_all(open_screen(ctx, output, fields), read_settings(ctx))


@app.command()
def show(ctx: typer.Context, provider: ProviderName, output: Output = None) -> None:
    """Show one provider.

    With its methods, their inputs, and the redirect URI to register.
    """
    actions.providers.show(open_screen(ctx, output), read_settings(ctx), provider)
