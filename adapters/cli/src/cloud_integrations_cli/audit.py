"""The commands about the audit."""

from __future__ import annotations

from typing import Any

import typer

from cloud_integrations import AuditEvent, AuditHead, Outcome

from . import wiring
from .exits import AUDIT, CommandLineError
from .render import Screen, moment, record_out, report_out
from .settings import Configuration
from .tenants import require_known


def list_events(
    screen: Screen, configuration: Configuration, tenant: str, /, *, integration: str | None, before: int | None, limit: int
) -> None:
    """Show a tenant's newest events."""
    with wiring.open_manager(configuration) as manager:
        # An integration that was deleted keeps its history, so its id need not exist.
        which = None if integration is None else wiring.find_integration_id(manager, tenant, integration)
        records = manager.list_audit(tenant, integration_id=which, before=before, limit=limit, actor=wiring.cli_actor())
    if screen.as_json:
        screen.json({"data": [record_out(record) for record in records]})
        return
    screen.table(
        ("No.", "When", "Who", "What", "About"),
        [
            (
                str(record.seq),
                moment(record.event.occurred_at),
                str(record.event.actor),
                _what(record.event),
                record.event.resource.removeprefix("integration:"),
            )
            for record in records
        ],
        folding=("About", "Who"),
        empty="no events",
    )


def verify(screen: Screen, configuration: Configuration, tenant: str, /, *, checkpoint: str | None) -> None:
    """Walk a tenant's chain; ends with the audit's exit code when it is broken."""
    with wiring.open_manager(configuration) as manager:
        require_known(manager, tenant)
        report = manager.verify_audit(tenant, checkpoint=_read_checkpoint(tenant, checkpoint))
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


def _what(event: AuditEvent) -> str:
    """Say what happened; success goes without saying."""
    ended = [] if event.outcome is Outcome.SUCCESS else [event.outcome.value]
    return " ".join([event.action, *ended, *([f"({event.reason})"] if event.reason else [])])


def _read_checkpoint(tenant: Any, text: str | None) -> AuditHead | None:
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    try:
        return AuditHead(tenant_id=tenant, seq=int(seq), hash=bytes.fromhex(digest))
    except ValueError:
        raise CommandLineError("--checkpoint takes number:hash, as an earlier `audit verify` printed it") from None
