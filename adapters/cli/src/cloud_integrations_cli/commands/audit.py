"""The commands of `audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import (
    Fields,
    InSlot,
    OneTenant,
    Output,
    Since,
    Tenant,
    Until,
    Yes,
    complete,
    one_of,
    open_screen,
    read_settings,
)

app = new_noun("audit")
_FORMATS = ("json", "cloudevents", "ocsf")
Whose = Annotated[str | None, typer.Option("--tenant", "-t", metavar="ID", help="The tenant's id.", show_default=False)]
Operator = Annotated[bool, typer.Option("--operator", help="The operator's own log: freezes, incidents and whatever is of no tenant.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    tenant: Whose = None,
    operator: Operator = False,
    integration: Annotated[
        str | None,
        typer.Option("--integration", metavar="INTEGRATION", help="Only this integration: its id, or its provider's slug or UUID."),
    ] = None,
    slot: InSlot = "",
    actor: Annotated[str | None, typer.Option("--actor", metavar="TYPE:ID", help="Only events of this actor.", show_default=False)] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="ACTION", help="Only events with this action: credential.used.", show_default=False)
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="PROVIDER", help="Only events about this provider: its slug or UUID.")
    ] = None,
    since: Since = None,
    until: Until = None,
    before: Annotated[int | None, typer.Option("--before", metavar="NUMBER", min=1, help="Only events below this number.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=200, help="The number of events.")] = 50,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """List the events of a tenant, or of the operator, newest first."""
    actions.audit.list_events(
        open_screen(ctx, output, fields),
        read_settings(ctx),
        tenant,
        operator=operator,
        integration=integration,
        slot=slot,
        by=actor,
        action=action,
        provider=provider,
        since=since,
        until=until,
        before=before,
        limit=limit,
    )


@app.command()
def checkpoint(ctx: typer.Context, *, tenant: OneTenant = None, output: Output = None) -> None:
    """Print a signed checkpoint of the audit log.

    It has the number and hash of each tenant's newest event, as a signed note. Keep it where nobody can change both it and the database;
    `audit verify --against` then finds what was changed or cut off before.
    """
    actions.audit.checkpoint(open_screen(ctx, output), read_settings(ctx), tenant)


@app.command()
def export(
    ctx: typer.Context,
    *,
    tenant: Whose = None,
    operator: Operator = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(_FORMATS),
            help="How an event is written.",
            callback=one_of(*_FORMATS),
            autocompletion=complete(*_FORMATS),
        ),
    ] = "json",
    after: Annotated[int, typer.Option("--after", metavar="NUMBER", min=0, help="Only events above this number.")] = 0,
) -> None:
    """Print a tenant's events for another system.

    One on a line, the oldest first. The formats are JSON, CloudEvents 1.0 and OCSF 1.6.0.
    At the end it says after which number to go on the next time.
    """
    actions.audit.export(open_screen(ctx, None), read_settings(ctx), tenant, operator=operator, form=form, after=after)


@app.command()
def prune(
    ctx: typer.Context,
    *,
    days: Annotated[int, typer.Option("--days", metavar="COUNT", min=1, help="Keep the events of this many days.", show_default=False)],
    tenant: OneTenant = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Remove old events from the audit log.

    A statement that the keys of checkpoints sign stands in place of what went, so that the rest can still be verified. A log that is broken
    among its old events keeps them, and the command ends with exit code 11.
    """
    actions.audit.prune(open_screen(ctx, output), read_settings(ctx), tenant, days=days, yes=yes)


@app.command("erase-actor")
def erase_actor(
    ctx: typer.Context,
    who: Annotated[str, typer.Argument(metavar="TYPE:ID", help="The person, as the log names them; without a type: a user.")],
    *,
    tenant: Tenant,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Put a pseudonym in the place of a person in the log.

    The log still verifies, and nobody can find out from it who the person was. Copies elsewhere and backups keep the name.
    """
    actions.audit.erase_actor(open_screen(ctx, output), read_settings(ctx), tenant, who, yes=yes)


@app.command()
def keys(ctx: typer.Context, fields: Fields = None, output: Output = None) -> None:
    """Show the public keys by which checkpoints are verified.

    Auditors need these texts, and so do these settings (`checkpoints.trusted`) when a key is used no more.
    """
    actions.audit.keys(open_screen(ctx, output, fields), read_settings(ctx))


@app.command("new-key")
def new_key(
    ctx: typer.Context,
    *,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="The file with the private keys.")],
    output: Output = None,
) -> None:
    """Make a key that signs checkpoints.

    The private key is put at the start of the file, which only its owner can read, and is never shown. It signs from then on; the keys
    behind it verify the checkpoints that they have signed.
    """
    actions.audit.new_key(open_screen(ctx, output), file=file)


@app.command()
def verify(
    ctx: typer.Context,
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", metavar="ID", help="The tenant's id.", show_default=False)] = None,
    operator: Operator = False,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="A signed checkpoint; checks every tenant that it names, or the one of --tenant."),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="NUMBER:HASH", help="The end of an earlier report; finds a chain that was cut.")
    ] = None,
    output: Output = None,
) -> None:
    """Check that the audit log is complete.

    Finds events that were changed, removed, added or moved. Ends with exit code 11 if there are any.
    """
    actions.audit.verify(open_screen(ctx, output), read_settings(ctx), tenant, operator=operator, against=against, checkpoint=checkpoint)
