"""The commands of `keys`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import DryRun, Fields, OneTenant, Output, Tenant, Yes, open_screen, read_settings

app = new_noun("keys")


@app.command()
def generate(
    ctx: typer.Context,
    *,
    kid: Annotated[
        str | None,
        typer.Option("--kid", metavar="NAME", help="The key's name; it cannot be changed later.", show_default="made from the date"),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Add the key to this keyring file, as the first.")] = None,
    standby: Annotated[bool, typer.Option("--standby", help="Add the key as the last: it only unwraps until it is promoted.")] = False,
    output: Output = None,
) -> None:
    """Make a key.

    The key is printed, or added to a keyring file as its primary. With --standby it only unwraps at first, so that every process can
    have it before one of them wraps with it.
    """
    actions.keys.generate(open_screen(ctx, output), kid=kid, file=file, standby=standby)


@app.command()
def promote(
    ctx: typer.Context,
    kid: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    *,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="The keyring file.")],
    output: Output = None,
) -> None:
    """Make a key the primary: it wraps from now on."""
    actions.keys.promote(open_screen(ctx, output), kid, file=file)


@app.command("list")
def list_(ctx: typer.Context, fields: Fields = None, output: Output = None) -> None:
    """Show the names of the wrapping keys, never a key."""
    actions.keys.list_all(open_screen(ctx, output, fields), read_settings(ctx))


@app.command()
def status(ctx: typer.Context, *, tenant: OneTenant = None, fields: Fields = None, output: Output = None) -> None:
    """Show what each key protects, and what is left to do."""
    actions.keys.status(open_screen(ctx, output, fields), read_settings(ctx), tenant=tenant)


@app.command()
def rotate(
    ctx: typer.Context,
    *,
    tenant: OneTenant = None,
    data_keys: Annotated[bool, typer.Option("--data-keys", help="Make new data keys instead of wrapping the old ones again.")] = False,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Only data keys made before this time (ISO 8601).", show_default="now")
    ] = None,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Wrap all data keys again, or replace them.

    Without --data-keys, every data key is wrapped with the primary wrapping key; with it, each tenant gets a new one.
    Nothing has to stop meanwhile. It can be interrupted and started again, on any number of machines.
    """
    actions.keys.rotate(
        open_screen(ctx, output), read_settings(ctx), tenant=tenant, data_keys=data_keys, before=_time(before), dry_run=dry_run
    )


@app.command()
def reseal(
    ctx: typer.Context,
    *,
    destroy_after: Annotated[
        int | None,
        typer.Option(
            "--destroy-after",
            metavar="DAYS",
            min=1,
            max=36_500,
            help="First destroy unused data keys that were replaced this many days ago.",
        ),
    ] = None,
    share: Annotated[float, typer.Option("--share", min=0.01, max=1, help="Work for this fraction of the time, pause for the rest.")] = 1,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Seal again what replaced data keys have sealed.

    Set --destroy-after to the time that you keep backups: older backups can then no longer be opened.
    """
    actions.keys.reseal(open_screen(ctx, output), read_settings(ctx), destroy_after=destroy_after, share=share, dry_run=dry_run)


@app.command()
def move(
    ctx: typer.Context,
    uri: Annotated[str, typer.Argument(metavar="URI", help="The URI of the new wrapping key, which is already the first in the settings.")],
    *,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Move all data keys to another wrapping key, or key service."""
    actions.keys.move(open_screen(ctx, output), read_settings(ctx), uri, dry_run=dry_run)


@app.command()
def refuse(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    below: Annotated[int, typer.Option("--below", metavar="VERSION", min=1, help="Refuse data keys below this version; 1 refuses none.")],
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Refuse what a tenant's older data keys have sealed.

    Use it when one of them may have leaked. Other processes follow when their cached keys expire.
    """
    actions.keys.refuse(open_screen(ctx, output), read_settings(ctx), tenant, below=below, yes=yes)


def _time(text: str | None) -> datetime | None:
    """Read an ISO 8601 time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandLineError("--before takes a time such as 2026-11-01T00:00:00Z") from None
