"""The commands of `overview`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import (
    TIMES,
    Fields,
    InSlot,
    OneTenant,
    Output,
    ProviderName,
    Tenant,
    Which,
    complete,
    complete_provider,
    one_of,
    open_screen,
    read_settings,
)

app = new_noun("overview")

_HEALTHS = ("ok", "choose_resource", "retrying", "application_refused", "unknown", "reconnect_required", "disabled")
_OneProvider = Annotated[
    str | None,
    typer.Option(
        "--provider",
        "-p",
        metavar="PROVIDER",
        help="Only this provider.",
        autocompletion=complete_provider,
        show_default="all",
    ),
]
_OneMethod = Annotated[str | None, typer.Option("--method", metavar="ID", help="Only this method of a provider.", show_default="all")]
_OneHealth = Annotated[
    str | None,
    typer.Option(
        "--health",
        metavar="HEALTH",
        help=f"Only this health: {', '.join(_HEALTHS)}.",
        callback=one_of(*_HEALTHS),
        autocompletion=complete(*_HEALTHS),
        show_default="all",
    ),
]
_EndsBefore = Annotated[
    datetime | None,
    typer.Option("--ends-before", metavar="TIME", formats=TIMES, help="Only what works and ends before this time; without an offset: UTC."),
]
_UnusedSince = Annotated[
    datetime | None,
    typer.Option("--unused-since", metavar="TIME", formats=TIMES, help="Only those that nobody used since; without an offset: UTC."),
]
_KeyVersion = Annotated[
    int | None,
    typer.Option("--key-version", metavar="NUMBER", min=1, help="Only those sealed by this version of their tenant's data key."),
]


@app.command()
def report(ctx: typer.Context, output: Output = None) -> None:
    """Show what works, what ends soon and what waits, over all tenants."""
    actions.overview.report(open_screen(ctx, output), read_settings(ctx))


@app.command()
def search(
    ctx: typer.Context,
    *,
    tenant: OneTenant = None,
    provider: _OneProvider = None,
    method: _OneMethod = None,
    health: _OneHealth = None,
    ends_before: _EndsBefore = None,
    unused_since: _UnusedSince = None,
    key_version: _KeyVersion = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="TEXT", help="Go on where an earlier search ended.", show_default="begin")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=10_000, help="The most integrations to show.")] = 50,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """Find integrations of all tenants.

    All that is named must agree. Uses are known to a day.
    """
    matching = actions.overview.Matching(
        tenant=tenant,
        provider=provider,
        method=method,
        health=health,
        ends_before=ends_before,
        unused_since=unused_since,
        key_version=key_version,
    )
    actions.overview.search(open_screen(ctx, output, fields), read_settings(ctx), matching, after=after, limit=limit)


@app.command()
def count(
    ctx: typer.Context,
    *,
    tenant: OneTenant = None,
    provider: _OneProvider = None,
    method: _OneMethod = None,
    health: _OneHealth = None,
    ends_before: _EndsBefore = None,
    unused_since: _UnusedSince = None,
    key_version: _KeyVersion = None,
    output: Output = None,
) -> None:
    """Count integrations of all tenants.

    It stops after looking at 10,000.
    """
    matching = actions.overview.Matching(
        tenant=tenant,
        provider=provider,
        method=method,
        health=health,
        ends_before=ends_before,
        unused_since=unused_since,
        key_version=key_version,
    )
    actions.overview.count(open_screen(ctx, output), read_settings(ctx), matching)


@app.command()
def renewal(ctx: typer.Context, integration: Which, *, tenant: Tenant, slot: InSlot = "", output: Output = None) -> None:
    """Show how far the renewal of a credential is."""
    actions.overview.renewal(open_screen(ctx, output), read_settings(ctx), integration, tenant=tenant, slot=slot)


@app.command()
def history(
    ctx: typer.Context,
    *,
    hours: Annotated[int, typer.Option("--hours", metavar="COUNT", min=1, max=168, help="How many hours, with the present one.")] = 24,
    provider: _OneProvider = None,
    by_provider: Annotated[bool, typer.Option("--by-provider", help="Show each provider by itself.")] = False,
    output: Output = None,
) -> None:
    """Show how many renewals succeeded and failed in each hour.

    They are counted from the audit log, of an hour up to 10,000 of each.
    """
    actions.overview.history(open_screen(ctx, output), read_settings(ctx), hours=hours, provider=provider, by_provider=by_provider)


@app.command()
def ends(
    ctx: typer.Context,
    *,
    days: Annotated[int, typer.Option("--days", metavar="COUNT", min=1, max=366, help="How many days, from today.")] = 90,
    output: Output = None,
) -> None:
    """Show the days on which keys and grants end."""
    actions.overview.ends(open_screen(ctx, output), read_settings(ctx), days=days)


@app.command()
def errors(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            metavar="TIME",
            formats=TIMES,
            help="Only failures since this time; without an offset: UTC.",
            show_default="a day ago",
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Show how integrations with a provider fail."""
    actions.overview.errors(open_screen(ctx, output), read_settings(ctx), provider, since=since)
