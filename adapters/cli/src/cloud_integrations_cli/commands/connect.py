"""The command `connect`."""

from __future__ import annotations

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command
from cloud_integrations_cli.options import (
    ByDevice,
    CallbackPort,
    Guide,
    MethodId,
    NewName,
    NewSlot,
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
    slot: NewSlot = "",
    name: NewName = None,
    method: MethodId = None,
    scope: Scopes = None,
    variable: Variables = None,
    no_browser: NoBrowser = False,
    port: CallbackPort = None,
    paste: Paste = False,
    wait: Wait = 300,
    device: ByDevice = False,
    guide: Guide = False,
    output: Output = None,
) -> None:
    """Connect a provider by OAuth2, in a browser.

    If the configured callback address is on this computer, the callback is received here; otherwise paste the browser's final
    address. With --device a short code is shown instead, to be entered at the provider in any browser until it ends.

    For a role, it shows what the tenant sets up at the provider; at a terminal it then asks for the role, and connects it.
    """
    if guide:
        asked = actions.guides.Asked(method=method, tenant=tenant, variables=tuple(variable or ()))
        actions.guides.show(open_screen(ctx, output), read_settings(ctx), provider, asked)
        return
    actions.connect.connect(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant=tenant,
        provider=provider,
        slot=slot,
        name=name,
        method=method,
        scopes=scope or (),
        variables=variable or (),
        way=actions.connect.Way(browser=not no_browser, port=port, paste=paste, wait=wait, device=device),
    )
