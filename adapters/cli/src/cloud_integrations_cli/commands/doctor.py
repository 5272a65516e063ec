"""The command `doctor`."""

from __future__ import annotations

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import Output, open_screen

app = new_command()


@app.command()
def doctor(ctx: typer.Context, output: Output = None) -> None:
    """Check the installation, and say what to mend.

    Looks at settings, keys, schema, providers, applications, waiting revocations and clocks. Ends with exit code 8 when
    something is wrong.
    """
    actions.doctor.examine(open_screen(ctx, output), ctx.obj.config)
