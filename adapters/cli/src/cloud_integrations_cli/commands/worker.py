"""The command `worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import Output, open_logs, open_screen, read_settings

app = new_command()


@app.command()
def worker(
    ctx: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Work until nothing is due, print the counts, and end.")] = False,
    batch: Annotated[int, typer.Option("--batch", metavar="COUNT", min=1, max=1000, help="The most tokens that one round renews.")] = 100,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", metavar="SECONDS", min=1, max=3600, help="The time between two rounds while nothing is due, give or take 20 %."
        ),
    ] = 30,
    health_port: Annotated[
        int | None,
        typer.Option(
            "--health-port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Answer GET /health on this port; 0 takes a free one. Left out: nothing listens.",
            show_default=False,
        ),
    ] = None,
    health_host: Annotated[
        str, typer.Option("--health-host", metavar="ADDRESS", help="The address that the health endpoint listens on.")
    ] = "127.0.0.1",
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Answer GET /metrics beside /health, in the text format of Prometheus.")
    ] = False,
    output: Output = None,
) -> None:
    """Renew tokens before they end.

    Renews tokens that are due and retries revocations until it is interrupted; then it ends what it has begun. Any number of workers
    may share one database. Progress goes to stderr, as lines of JSON with --output json. With --once the counts go to stdout, and the
    exit code is 7 if the database failed in between.
    """
    if once and health_port is not None:
        raise CommandLineError("--once ends soon and has no --health-port")
    if metrics and health_port is None:
        raise CommandLineError("--metrics needs --health-port")
    pace = actions.worker.Pace(batch=batch, interval=interval)
    health = None if health_port is None else actions.worker.Health(host=health_host, port=health_port, metrics=metrics)
    screen, configuration = open_screen(ctx, output), read_settings(ctx)
    open_logs(ctx, configuration, screen)
    actions.worker.run(screen, configuration, pace=pace, once=once, health=health)
