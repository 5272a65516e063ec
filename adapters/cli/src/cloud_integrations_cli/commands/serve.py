"""The command `serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import Output, open_logs, open_screen, read_settings

app = new_command()


@app.command()
def serve(
    ctx: typer.Context,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="With a simulated provider and a temporary database.")] = False,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Serve the HTTP API and a page for browsers.

    Runs until it is interrupted. With --demo --output json, one line of JSON on stdout gives all addresses as soon as it is ready.
    """
    screen = open_screen(ctx, output)
    configuration = None if demo else read_settings(ctx)
    open_logs(ctx, configuration, screen)
    if configuration is None:
        actions.serve.run_demo(screen, host=host, port=port)
    else:
        actions.serve.run(screen, configuration, host=host, port=port)
