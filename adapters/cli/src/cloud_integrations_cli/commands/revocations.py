"""The commands of `revocations`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Output, open_screen, read_settings

app = new_noun("revocations")


@app.command()
def count(ctx: typer.Context, output: Output = None) -> None:
    """Say how many wait."""
    actions.revocations.count(open_screen(ctx, output), read_settings(ctx))


@app.command()
def retry(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=1000, help="How many at most.")] = 100,
    output: Output = None,
) -> None:
    """Try those again whose time has come.

    Run it now and then, or use `serve` or `worker`, which do.
    """
    actions.revocations.retry(open_screen(ctx, output), read_settings(ctx), limit=limit)
