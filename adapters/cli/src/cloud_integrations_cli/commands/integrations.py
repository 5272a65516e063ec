"""The commands of `integrations`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import (
    ApiKeyFile,
    ApiKeyStdin,
    ByDevice,
    CallbackPort,
    EndsAt,
    Fields,
    Inputs,
    InSlot,
    MethodId,
    NewName,
    NewSlot,
    NoBrowser,
    OneSlot,
    Output,
    Paste,
    ProviderName,
    Scopes,
    SecretKeyFile,
    Tenant,
    Variables,
    Wait,
    Which,
    Yes,
    open_screen,
    read_settings,
)

app = new_noun("integrations")


@app.command("list")
def list_(ctx: typer.Context, *, tenant: Tenant, slot: OneSlot = None, fields: Fields = None, output: Output = None) -> None:
    """List a tenant's integrations."""
    actions.integrations.list_all(open_screen(ctx, output, fields), read_settings(ctx), tenant, slot=slot)


@app.command()
def show(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """Show one integration and its health."""
    actions.integrations.show(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot)


@app.command()
def add(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    slot: NewSlot = "",
    name: NewName = None,
    method: MethodId = None,
    input_: Inputs = None,
    variable: Variables = None,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    secret_key_file: SecretKeyFile = None,
    ends_at: EndsAt = None,
    output: Output = None,
) -> None:
    """Connect a provider with an API key or similar values.

    The provider's methods say which values. Each that is not given is asked for, a secret without echo; no
    option takes a secret itself. `--api-key-file`, `--api-key-stdin` and `--secret-key-file` are short for
    `--input` with the first two secrets. Nothing is stored unless the provider accepts it.
    """
    actions.integrations.add(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant=tenant,
        provider=provider,
        slot=slot,
        name=name,
        variables=variable or (),
        entering=actions.integrations.Entering(
            method=method,
            inputs=input_ or (),
            api_key_file=api_key_file,
            api_key_stdin=api_key_stdin,
            secret_key_file=secret_key_file,
            ends_at=ends_at,
        ),
    )


@app.command()
def verify(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """Ask the provider whether the credential works."""
    actions.integrations.verify(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot)


@app.command()
def resources(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """List what the credential reaches at the provider.

    Of an integration whose health is "choose resource", one of them must be chosen.
    """
    actions.integrations.list_resources(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot)


@app.command()
def choose(
    ctx: typer.Context,
    integration: Which,
    resource: Annotated[str, typer.Argument(help="The id of a resource, as `integrations resources` lists it.")],
    *,
    tenant: Tenant,
    slot: InSlot = "",
    output: Output = None,
) -> None:
    """Choose the resource that the integration is for."""
    actions.integrations.choose(open_screen(ctx, output), read_settings(ctx), tenant, integration, resource, slot=slot)


@app.command()
def refresh(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """Renew the access token now.

    Works also where the provider has said that the grant ended: if it answers with tokens now, the integration is active again.
    """
    actions.integrations.refresh(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot)


@app.command()
def refresh_refused(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="WORD", help="Only integrations that must reconnect for this reason, for example revoked."),
    ] = None,
    output: Output = None,
) -> None:
    """Refresh all integrations that a provider has refused.

    Use it after an incident at the provider. An integration that is refused again stays as it is.
    """
    actions.integrations.refresh_refused(open_screen(ctx, output), read_settings(ctx), provider, reason=reason)


@app.command()
def rename(
    ctx: typer.Context,
    integration: Which,
    name: Annotated[str, typer.Argument(help="The new name, 3 to 50 characters.")],
    *,
    tenant: Tenant,
    slot: InSlot = "",
    output: Output = None,
) -> None:
    """Rename an integration."""
    actions.integrations.edit(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot, name=name)


@app.command()
def disable(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """Switch an integration off.

    The credential stays stored, and is not handed out.
    """
    actions.integrations.edit(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot, status="inactive")


@app.command()
def enable(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """Switch an integration on again."""
    actions.integrations.edit(open_screen(ctx, output), read_settings(ctx), tenant, integration, slot=slot, status="active")


@app.command()
def reconnect(
    ctx: typer.Context,
    integration: Which,
    *,
    tenant: Tenant,
    slot: InSlot = "",
    method: MethodId = None,
    input_: Inputs = None,
    scope: Scopes = None,
    no_browser: NoBrowser = False,
    port: CallbackPort = None,
    paste: Paste = False,
    wait: Wait = 300,
    device: ByDevice = False,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    secret_key_file: SecretKeyFile = None,
    ends_at: EndsAt = None,
    output: Output = None,
) -> None:
    """Replace the credential of an integration.

    In a browser, by device code, or with a new API key or other values, which are asked for as by `integrations add`. Its id and name stay.
    """
    actions.connect.reconnect(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        integration,
        slot=slot,
        scopes=scope or (),
        way=actions.connect.Way(browser=not no_browser, port=port, paste=paste, wait=wait, device=device),
        entering=actions.integrations.Entering(
            method=method,
            inputs=input_ or (),
            api_key_file=api_key_file,
            api_key_stdin=api_key_stdin,
            secret_key_file=secret_key_file,
            ends_at=ends_at,
        ),
    )


@app.command()
def rotate_key(
    ctx: typer.Context,
    integration: Which,
    *,
    tenant: Tenant,
    slot: InSlot = "",
    method: MethodId = None,
    input_: Inputs = None,
    ends_at: EndsAt = None,
    overlap: Annotated[
        float, typer.Option("--overlap", metavar="HOURS", min=0, help="How many hours the old key stays after the switch.")
    ] = 24,
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Do not revoke the old key at the provider in the end.")] = False,
    create: Annotated[
        bool, typer.Option("--create", help="Have the provider make another key, where it can; `providers show` says so.")
    ] = False,
    roll: Annotated[
        bool, typer.Option("--roll", help="Have the provider give the key a new value, where it can. The old value ends at once.")
    ] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Hand out the new key from now on.")] = False,
    now: Annotated[bool, typer.Option("--now", help="With --finish: end the old key within minutes.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Forget the new key, or go back to the old one.")] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Rotate the key of an integration.

    Without --finish and --cancel: asks for a new key as `integrations add` does, checks it, and stores it beside the old one,
    which stays in use. With --create the provider makes that key. --finish hands out the new key; the worker revokes the old one after
    the overlap, where the provider can. With --roll the provider gives the key a new value, which is in use at once.
    """
    actions.rotating.rotate(
        open_screen(ctx, output),
        read_settings(ctx),
        tenant,
        integration,
        slot=slot,
        step=actions.rotating.Step(finish=finish, now=now, cancel=cancel),
        new_key=actions.rotating.NewKey(
            method=method, inputs=input_ or (), ends_at=ends_at, create=create, roll=roll, overlap=overlap, revoke=not keep_old, yes=yes
        ),
    )


@app.command()
def delete(
    ctx: typer.Context,
    integration: Which,
    *,
    tenant: Tenant,
    slot: InSlot = "",
    revoke_key: Annotated[
        bool, typer.Option("--revoke-key", help="Also revoke the API key at the provider. Whatever else uses the key stops working.")
    ] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Delete an integration and revoke its tokens.

    Shows for each token whether the provider revoked it. Failed revocations are retried.
    An API key goes on working, unless you ask to revoke it too and the provider can.
    """
    screen, settings = open_screen(ctx, output), read_settings(ctx)
    actions.removing.delete(screen, settings, tenant, integration, slot=slot, revoke_key=revoke_key, yes=yes)
