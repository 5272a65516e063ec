"""The command `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import DryRun, Output, open_screen, read_settings

app = new_command()


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="JSON Lines; - for standard input.")] = None,
    *,
    query: Annotated[str | None, typer.Option("--query", metavar="SQL", help="Import the rows of this query instead.")] = None,
    database_url_file: Annotated[
        Path | None,
        typer.Option(
            "--database-url-file",
            metavar="FILE",
            help="A file with the URL of the database for the query.",
            show_default="the database of the settings",
        ),
    ] = None,
    fernet_key_file: Annotated[
        Path | None, typer.Option("--fernet-key-file", metavar="FILE", help="Decrypt the secrets with these Fernet keys, one per line.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Check each credential with its provider.")] = True,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Import credentials that an application already holds.

    Each line or row has tenantId, provider, name, and either accessToken, refreshToken, expiresAt, scopes, or apiKey, secretKey.
    Tokens that are bound to a key (DPoP) come with dpopKey, its private key in PEM.
    With the setting slots also slot, if it is not for the default slot.
    An integration that exists is left as it is, so the command can be repeated.
    """
    actions.import_.run(
        open_screen(ctx, output),
        read_settings(ctx),
        file=file,
        query=query,
        database_url_file=database_url_file,
        fernet_key_file=fernet_key_file,
        verify=verify,
        dry_run=dry_run,
    )
