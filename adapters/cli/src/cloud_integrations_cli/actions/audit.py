"""The commands about the audit log."""

from __future__ import annotations

from typing import Any

import typer

from cloud_integrations import AuditHead, Outcome
from cloud_integrations.documents import AuditOut
from cloud_integrations.errors import TenantNotFoundError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import AUDIT, CommandLineError
from cloud_integrations_cli.render import Screen, report_out
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Document, Listing, shown_time


def _what(event: Document) -> str:
    """Return the action and its reason; the outcome only where it is no success."""
    ended = [] if event["outcome"] == Outcome.SUCCESS.value else [event["outcome"]]
    return " ".join([event["action"], *ended, *([f"({event['reason']})"] if event["reason"] else [])])


_LISTING = Listing(
    columns=(
        Column("No.", lambda event: str(event["seq"])),
        Column("When", lambda event: shown_time(event["occurredAt"])),
        Column("Who", lambda event: f"{event['actor']['type']}:{event['actor']['id']}"),
        Column("What", _what),
        Column("About", lambda event: event["resource"].removeprefix("integration:")),
    ),
    fields=(
        "seq",
        "eventId",
        "occurredAt",
        "actor",
        "actor.type",
        "actor.id",
        "action",
        "resource",
        "outcome",
        "reason",
        "requestId",
        "details",
        "hash",
    ),
    empty="no events",
)


def list_events(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    /,
    *,
    integration: str | None,
    slot: str,
    before: int | None,
    limit: int,
) -> None:
    """Show a tenant's newest events."""
    with wiring.open_manager(configuration) as manager:
        # An integration that was deleted keeps its history, so its id need not exist.
        records = manager.audit.list(tenant, integration=integration, slot=slot, before=before, limit=limit)
    screen.show(_LISTING, [AuditOut.of(record).as_json() for record in records])


def verify(screen: Screen, configuration: Configuration, tenant: str, /, *, checkpoint: str | None) -> None:
    """Check a tenant's audit chain; ends with the exit code `AUDIT` when it is broken."""
    with wiring.open_manager(configuration) as manager:
        report = manager.audit.verify(tenant, checkpoint=_read_checkpoint(tenant, checkpoint))
    if report.head is None and report.whole and not report.checked:
        # Nothing was ever recorded for it, so its name may be mistyped.
        raise TenantNotFoundError(tenant_id=tenant)
    if screen.as_json:
        screen.json({"data": report_out(report)})
    else:
        screen.facts(
            {
                "Whole": "yes" if report.whole else "no",
                "Events checked": str(report.checked),
                "Checkpoint": "–" if report.head is None else f"{report.head.seq}:{report.head.hash.hex()}",
                **{f"At {problem.seq}": problem.kind.replace("_", " ") for problem in report.problems},
            }
        )
    if not report.whole:
        raise typer.Exit(AUDIT)


def _read_checkpoint(tenant: Any, text: str | None) -> AuditHead | None:
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    try:
        return AuditHead(tenant_id=tenant, seq=int(seq), hash=bytes.fromhex(digest))
    except ValueError:
        raise CommandLineError("--checkpoint takes number:hash, as an earlier `audit verify` printed it") from None
