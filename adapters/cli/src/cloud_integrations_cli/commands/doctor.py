"""The command `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import Output, open_screen

app = new_command()


@app.command()
def doctor(
    ctx: typer.Context,
    *,
    production: Annotated[bool, typer.Option("--production", help="Also check what an installation needs that serves others.")] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The newest checkpoint of the audit log, as you keep it; with --production."),
    ] = None,
    output: Output = None,
) -> None:
    """Check the installation, and say what to mend.

    Looks at settings, keys, schema, providers, applications, waiting revocations and clocks. Ends with exit code 8 when
    something is wrong. With --production also at the encryption of the database and of the public address, the age of keys, and
    whether a worker works; some warnings are then problems.
    """
    if checkpoint is not None and not production:
        raise CommandLineError("--checkpoint is for --production")
    screen = open_screen(ctx, output)
    if production:
        actions.production.examine(screen, ctx.obj.config, checkpoint=checkpoint)
    else:
        actions.doctor.examine(screen, ctx.obj.config)
