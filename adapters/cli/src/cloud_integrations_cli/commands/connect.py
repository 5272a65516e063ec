"""The command `connect`."""

from __future__ import annotations

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import (
    CallbackPort,
    NewName,
    NoBrowser,
    Output,
    Paste,
    ProviderName,
    Scopes,
    Tenant,
    Variables,
    Wait,
    open_screen,
    read_settings,
)

app = new_command()


@app.command()
def connect(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    name: NewName = None,
    scope: Scopes = None,
    variable: Variables = None,
    no_browser: NoBrowser = False,
    port: CallbackPort = None,
    paste: Paste = False,
    wait: Wait = 300,
    output: Output = None,
) -> None:
    """Connect a provider by OAuth2, in a browser.

    If the configured callback address is on this computer, the callback is received here; otherwise paste the browser's final
    address.
    """
    actions.connect.connect(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant=tenant,
        provider=provider,
        name=name,
        scopes=scope or (),
        variables=variable or (),
        way=actions.connect.Way(browser=not no_browser, port=port, paste=paste, wait=wait),
    )
