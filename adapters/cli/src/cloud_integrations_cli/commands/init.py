"""The command `init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import Output, open_screen

app = new_command()


@app.command()
def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder to write to.", show_default="this folder")] = Path(),
    output: Output = None,
) -> None:
    """Write settings, a key and a SQLite database.

    Nothing is overwritten.
    """
    actions.init.init(open_screen(ctx, output), folder)
