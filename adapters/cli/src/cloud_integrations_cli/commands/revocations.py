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
    """Count the tokens that wait to be revoked."""
    actions.revocations.count(open_screen(ctx, output), read_settings(ctx))


@app.command()
def retry(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=1000, help="The most tokens to revoke.")] = 100,
    output: Output = None,
) -> None:
    """Retry the revocations that are due.

    Run it regularly, or run `serve` or `worker`, which do the same.
    """
    actions.revocations.retry(open_screen(ctx, output), read_settings(ctx), limit=limit)
