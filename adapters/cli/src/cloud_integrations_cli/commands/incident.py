"""The commands of `incident`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import DryRun, Fields, OneTenant, Output, Since, Until, Yes, open_screen, read_settings

app = new_noun("incident")

Provider = Annotated[
    str | None, typer.Option("--provider", metavar="PROVIDER", help="Only this provider, by slug or UUID.", show_default="all")
]
Application = Annotated[
    str | None,
    typer.Option(
        "--application", metavar="ID", help="Only this OAuth application: the id at the end of its callback address.", show_default="all"
    ),
]
Integration = Annotated[
    str | None,
    typer.Option(
        "--integration",
        metavar="INTEGRATION",
        help="Only this one of --tenant, by its id or its provider.",
        show_default="all",
    ),
]
Slot = Annotated[
    str, typer.Option("--slot", metavar="SLOT", help="Beside a provider in --integration: its slot.", show_default="the default slot")
]
UsedBy = Annotated[
    str | None,
    typer.Option(
        "--used-by",
        metavar="[TYPE:]ID",
        help="Only what this actor asks for, such as service:billing.",
        show_default="all",
    ),
]
Everything = Annotated[bool, typer.Option("--everything", help="Say this where nothing is named.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.", show_default=False)]


@app.command()
def freeze(
    ctx: typer.Context,
    *,
    reason: Reason,
    tenant: OneTenant = None,
    provider: Provider = None,
    application: Application = None,
    integration: Integration = None,
    slot: Slot = "",
    used_by: UsedBy = None,
    everything: Everything = False,
    renewals: Annotated[bool, typer.Option("--renewals/--no-renewals", help="Whether credentials are renewed meanwhile.")] = True,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Stop that credentials are handed out, in every process.

    What is frozen fits all that is named. It works in other processes after at most `token_cache`. What was handed out before goes on
    working until it ends or is revoked.
    """
    actions.incident.freeze(
        open_screen(ctx, output),
        read_settings(ctx),
        actions.incident.Named(
            tenant=tenant,
            provider=provider,
            application=application,
            integration=integration,
            slot=slot,
            used_by=used_by,
            everything=everything,
        ),
        renewals=renewals,
        reason=reason,
        yes=yes,
    )


@app.command()
def unfreeze(
    ctx: typer.Context,
    freeze: Annotated[str, typer.Argument(metavar="FREEZE", help="The freeze's id; `incident freezes` shows it.")],
    *,
    reason: Reason,
    output: Output = None,
) -> None:
    """Lift a freeze; what another one stops stays stopped."""
    actions.incident.unfreeze(open_screen(ctx, output), read_settings(ctx), freeze, reason=reason)


@app.command()
def freezes(
    ctx: typer.Context,
    *,
    lifted: Annotated[bool, typer.Option("--all", help="Also those that were lifted.")] = False,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """List what is frozen."""
    actions.incident.list_freezes(open_screen(ctx, output, fields), read_settings(ctx), lifted=lifted)


IncidentId = Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id; `incident list` shows it.")]


@app.command()
def scope(
    ctx: typer.Context,
    *,
    tenant: OneTenant = None,
    provider: Provider = None,
    application: Application = None,
    integration: Integration = None,
    slot: Slot = "",
    used_by: UsedBy = None,
    everything: Everything = False,
    since: Since = None,
    until: Until = None,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """Show which credentials were handed out, from the audit log."""
    actions.incident.scope(
        open_screen(ctx, output, fields),
        read_settings(ctx),
        actions.incident.Named(
            tenant=tenant,
            provider=provider,
            application=application,
            integration=integration,
            slot=slot,
            used_by=used_by,
            everything=everything,
        ),
        since=since,
        until=until,
    )


@app.command("open")
def open_(
    ctx: typer.Context,
    *,
    reason: Reason,
    tenant: OneTenant = None,
    provider: Provider = None,
    application: Application = None,
    integration: Integration = None,
    slot: Slot = "",
    used_by: UsedBy = None,
    everything: Everything = False,
    since: Since = None,
    until: Until = None,
    output: Output = None,
) -> None:
    """Keep the scope of an incident, to be revoked and reported.

    The answer is the incident's id. What tenants connect from now on does not belong to it.
    """
    actions.incident.open_incident(
        open_screen(ctx, output),
        read_settings(ctx),
        actions.incident.Named(
            tenant=tenant,
            provider=provider,
            application=application,
            integration=integration,
            slot=slot,
            used_by=used_by,
            everything=everything,
        ),
        since=since,
        until=until,
        reason=reason,
    )


@app.command("list")
def list_(ctx: typer.Context, *, fields: Fields = None, output: Output = None) -> None:
    """List the incidents."""
    actions.incident.list_all(open_screen(ctx, output, fields), read_settings(ctx))


@app.command()
def approve(ctx: typer.Context, incident: IncidentId, *, reason: Reason, output: Output = None) -> None:
    """Agree that somebody else ends the access in an incident.

    Needed where the settings ask for a second person (`four_eyes`); it holds for a day.
    """
    actions.incident.approve(open_screen(ctx, output), read_settings(ctx), incident, reason=reason)


@app.command()
def revoke(
    ctx: typer.Context,
    incident: IncidentId,
    *,
    keep_keys: Annotated[bool, typer.Option("--keep-keys", help="Do not revoke keys that tenants pasted.")] = False,
    per_second: Annotated[
        int, typer.Option("--per-second", metavar="COUNT", min=1, help="Integrations of one provider that are begun in a second.")
    ] = 10,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """End the access of each integration of an incident.

    The integrations stay, and their tenants must reconnect. May be interrupted and repeated: it goes on where it ended.
    """
    actions.incident.revoke(
        open_screen(ctx, output), read_settings(ctx), incident, keep_keys=keep_keys, per_second=per_second, dry_run=dry_run, yes=yes
    )


@app.command()
def rotate(ctx: typer.Context, incident: IncidentId, *, yes: Yes = False, output: Output = None) -> None:
    """Give the tenants of an incident new data keys.

    `keys reseal` seals everything with them.
    """
    actions.incident.rotate(open_screen(ctx, output), read_settings(ctx), incident, yes=yes)


@app.command()
def report(
    ctx: typer.Context,
    incident: IncidentId,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown document.")] = False,
    output: Output = None,
) -> None:
    """Show what was done, and what may still work.

    It says where a person must act.
    """
    actions.incident.report(open_screen(ctx, output), read_settings(ctx), incident, markdown=markdown)
