"""The commands of `events`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Output, TenantOrAll, complete, one_of, open_screen, read_settings

app = new_noun("events")

_STATES = ("waiting", "given_up")
_Receiver = Annotated[
    str | None, typer.Option("--receiver", metavar="KEY", help="Only this receiver, as the list names it.", show_default=False)
]


def _state(default: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        "--state",
        metavar="|".join(_STATES),
        help="Those that are still tried, or those that were given up.",
        callback=one_of(*_STATES),
        autocompletion=complete(*_STATES),
        show_default=default,
    )
    return option


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    tenant: TenantOrAll = None,
    state: Annotated[str, _state("waiting")] = "waiting",
    receiver: _Receiver = None,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=1_000, help="The most to show.")] = 100,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """List events that have not arrived, the oldest first."""
    actions.events.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant, state=state, receiver=receiver, limit=limit)


@app.command()
def retry(
    ctx: typer.Context,
    delivery: Annotated[
        list[str] | None, typer.Argument(metavar="[DELIVERY]...", help="Ids, as `events list` shows them. Left out: all.")
    ] = None,
    *,
    tenant: TenantOrAll = None,
    state: Annotated[str, _state("given_up")] = "given_up",
    receiver: _Receiver = None,
    output: Output = None,
) -> None:
    """Have events tried again at once.

    As if they were new; `worker` or `serve` delivers them.
    """
    actions.events.retry(open_screen(ctx, output), read_settings(ctx), tenant, ids=delivery or None, state=state, receiver=receiver)


@app.command("test")
def ping(
    ctx: typer.Context,
    webhook: Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id; `webhooks list` shows it.")],
    *,
    tenant: TenantOrAll = None,
    output: Output = None,
) -> None:
    """Send the event webhook.test to a webhook now."""
    actions.events.ping(open_screen(ctx, output), read_settings(ctx), tenant, webhook)
