"""The commands of `issuer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Output, open_screen, read_settings

app = new_noun("issuer")
KeyFile = Annotated[Path, typer.Option("--file", metavar="FILE", help="The file with the private keys.")]


@app.command("new-key")
def new_key(ctx: typer.Context, *, file: KeyFile, output: Output = None) -> None:
    """Make a signing key.

    The private key is added at the end of the file, which only its owner can read, and is never shown. It is published from then on, and
    signs when it is promoted; the first key of a new file signs at once.
    """
    actions.issuer.new_key(open_screen(ctx, output), file=file)


@app.command()
def promote(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `issuer show` lists it.")],
    *,
    file: KeyFile,
    output: Output = None,
) -> None:
    """Make a key the one that signs.

    Do it a day after the key was published everywhere, because providers keep the key set that they have read.
    """
    actions.issuer.promote(open_screen(ctx, output), key, file=file)


@app.command()
def show(ctx: typer.Context, fields: Fields = None, output: Output = None) -> None:
    """Show the issuer's public keys, and which one signs."""
    actions.issuer.show(open_screen(ctx, output, fields), read_settings(ctx))
