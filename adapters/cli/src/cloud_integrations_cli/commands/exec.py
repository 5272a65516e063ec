"""The command `exec`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import InSlot, Tenant, open_screen, read_settings

app = new_command()

_READING = ["GET", "HEAD"]
_HOUR = 3600


@app.command(context_settings={"allow_interspersed_args": False})
def exec(  # noqa: A001  # the command's name
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The program and its arguments, after --.")],
    *,
    tenant: Tenant,
    provider: Annotated[str, typer.Option("--provider", metavar="PROVIDER", help="The provider whose credential it gets.")] = "aws",
    slot: InSlot = "",
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="The region that AWS's SDKs use there.", show_default="yours")
    ] = None,
    inject: Annotated[
        bool,
        typer.Option("--inject", help="Attach the credential to its requests, as a session of an agent, and do not give it."),
    ] = False,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="With --inject: use this session, and not a new one that ends with the program."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="ID", help="With --inject: the agent's id, as the audit log names it.")
    ] = None,
    on_behalf_of: Annotated[
        str | None, typer.Option("--on-behalf-of", metavar="USER", help="With --inject: the id of the person for whom it acts.")
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", metavar="HOST", help="With --inject: where requests may go; may be repeated.", show_default="the provider's API"
        ),
    ] = None,
    http_method: Annotated[
        list[str] | None,
        typer.Option(
            "--http-method",
            metavar="METHOD",
            help="With --inject: an HTTP method that it may use; may be repeated.",
            show_default=", ".join(_READING),
        ),
    ] = None,
    ttl: Annotated[
        int | None,
        typer.Option(
            "--ttl", metavar="SECONDS", min=1, help="With --inject: how long it may last; at most a day.", show_default=str(_HOUR)
        ),
    ] = None,
) -> None:
    """Run a program with a tenant's credential.

    Programs of AWS, Azure and Google Cloud ask this process for it, and it is renewed while they run. Others find it in variables of their
    environment, with the life that it has. The program's exit code is passed on.

    With --inject it finds none: a proxy on 127.0.0.1 attaches the credential to its requests to the allowed hosts, and refuses all others.
    """
    limits = (agent, on_behalf_of, host, http_method, ttl)
    if inject:
        if session is not None and any(limits):
            raise CommandLineError("--inject with --session does what that session allows, and takes no other limits")
        if session is None and not (agent and on_behalf_of):
            raise CommandLineError("--inject needs --session, or --agent and --on-behalf-of")
        opening = actions.running.Opening(
            provider=provider,
            slot=slot,
            agent=agent or "",
            on_behalf_of=on_behalf_of or "",
            hosts=host or (),
            methods=http_method or _READING,
            ttl=ttl or _HOUR,
        )
        code = actions.running.run_injected(read_settings(ctx), tenant, command, session=session or opening)
        raise typer.Exit(code)
    if session or any(limits):
        raise CommandLineError("--session, --agent, --on-behalf-of, --host, --http-method and --ttl go with --inject")
    screen = open_screen(ctx, None)
    raise typer.Exit(actions.running.run(screen, read_settings(ctx), tenant, provider, command, slot=slot, region=region))
