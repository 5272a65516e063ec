"""The commands of `webhooks`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Output, TenantOrAll, Yes, complete, one_of, open_screen, read_settings

app = new_noun("webhooks")

_FORMATS = ("standard", "cloudevents")
_Webhook = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id; `webhooks list` shows it.")]
_Events = Annotated[list[str] | None, typer.Option("--event", metavar="NAME", help="Only this event; may be repeated. Left out: all.")]
_Providers = Annotated[
    list[str] | None,
    typer.Option("--provider", metavar="PROVIDER", help="Only those about this provider; may be repeated. Left out: all."),
]


@app.command("list")
def list_(ctx: typer.Context, *, tenant: TenantOrAll = None, fields: Fields = None, output: Output = None) -> None:
    """List the webhooks of a tenant, or of the installation."""
    actions.webhooks.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant)


@app.command()
def add(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="An https address; a tenant's must be public.")],
    *,
    tenant: TenantOrAll = None,
    event: _Events = None,
    provider: _Providers = None,
    body_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(_FORMATS),
            help="The body: as Standard Webhooks has it, or a CloudEvent.",
            callback=one_of(*_FORMATS),
            autocompletion=complete(*_FORMATS),
        ),
    ] = "standard",
    output: Output = None,
) -> None:
    """Have events sent to an address.

    They are signed by Standard Webhooks. Without --tenant it gets the events of all tenants.
    The answer has the secret, which is not shown again.
    """
    actions.webhooks.add(
        open_screen(ctx, output), read_settings(ctx), tenant, url, events=event or (), providers=provider or (), body_format=body_format
    )


@app.command("rotate-secret")
def rotate_secret(
    ctx: typer.Context,
    webhook: _Webhook,
    *,
    tenant: TenantOrAll = None,
    overlap: Annotated[
        int, typer.Option("--overlap", metavar="SECONDS", min=0, help="How long the secret before signs beside the new one.")
    ] = 86_400,
    output: Output = None,
) -> None:
    """Give a webhook a new secret, which is not shown again."""
    actions.webhooks.rotate_secret(open_screen(ctx, output), read_settings(ctx), tenant, webhook, overlap=overlap)


@app.command()
def enable(ctx: typer.Context, webhook: _Webhook, *, tenant: TenantOrAll = None, output: Output = None) -> None:
    """Switch a webhook on again.

    Also one that switched itself off.
    """
    actions.webhooks.switch(open_screen(ctx, output), read_settings(ctx), tenant, webhook, enabled=True)


@app.command()
def disable(ctx: typer.Context, webhook: _Webhook, *, tenant: TenantOrAll = None, output: Output = None) -> None:
    """Switch a webhook off.

    What happens meanwhile it does not get.
    """
    actions.webhooks.switch(open_screen(ctx, output), read_settings(ctx), tenant, webhook, enabled=False)


@app.command()
def remove(ctx: typer.Context, webhook: _Webhook, *, tenant: TenantOrAll = None, yes: Yes = False, output: Output = None) -> None:
    """Delete a webhook; what waits for it is not sent."""
    actions.webhooks.remove(open_screen(ctx, output), read_settings(ctx), tenant, webhook, yes=yes)
