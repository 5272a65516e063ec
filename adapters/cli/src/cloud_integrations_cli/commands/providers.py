"""The commands of `providers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Inputs, MethodId, Output, ProviderName, Variables, open_screen, read_settings

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


@app.command()
def guide(
    ctx: typer.Context,
    provider: ProviderName,
    method: MethodId = None,
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", metavar="ID", help="The tenant for whom it is.", show_default=False)
    ] = None,
    variable: Variables = None,
    given: Inputs = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Write the documents into this folder, and show the rest.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Show what to do at a provider before connecting.

    Steps, links, documents, and what to delete afterwards.  The permissions are those of the setting `policies`.
    """
    actions.guides.show(
        open_screen(ctx, output),
        read_settings(ctx),
        provider,
        actions.guides.Asked(method=method, tenant=tenant, variables=tuple(variable or ()), inputs=tuple(given or ()), to=to),
    )


@app.command()
def lint(
    ctx: typer.Context,
    path: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]", help="Provider files, or folders of them.", show_default="the built-in ones and those of the settings"
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Check provider files and setup guides.

    It ends with exit code 4 if something is wrong.
    """
    actions.providers.lint(open_screen(ctx, output), lambda: read_settings(ctx), path or ())
