"""The commands about the audit log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from cloud_integrations import Actor, AuditHead, AuditReport, LocalCheckpointKeys, Outcome
from cloud_integrations.documents import AuditOut
from cloud_integrations.errors import ConfigurationError, TenantNotFoundError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import AUDIT, CommandLineError
from cloud_integrations_cli.files import prepend_private
from cloud_integrations_cli.issuers import open_checkpoint_keys
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, report_out
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Document, Listing, shown_time
from cloud_integrations_cli.times import in_utc

_EXPORTED = 10_000
"""The number of events that are fetched at once for an export."""


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
        "providerId",
        "contextId",
        "details",
        "hash",
    ),
    empty="no events",
)


def list_events(
    screen: Screen,
    configuration: Configuration,
    tenant: str | None,
    /,
    *,
    operator: bool,
    integration: str | None,
    slot: str,
    by: str | None,
    since: datetime | None,
    until: datetime | None,
    **asked: Any,
) -> None:
    """Show the newest events of a tenant or of the operator, as far as they agree with what is asked."""
    _require_one(tenant, operator=operator)
    actor = None if by is None else _read_actor(by)
    with wiring.open_manager(configuration) as manager:
        # An integration that was deleted keeps its history, so its id need not exist.
        records = manager.audit.list(
            tenant, integration=integration, slot=slot, by=actor, since=in_utc(since), until=in_utc(until), **asked
        )
    screen.show(_LISTING, [AuditOut.of(record).as_json() for record in records])


def _require_one(tenant: str | None, /, *, operator: bool) -> None:
    if operator is (tenant is not None):
        raise CommandLineError("give --tenant, or --operator for the operator's own log")


def _read_actor(text: str) -> Actor:
    type_, colon, name = text.partition(":")
    return Actor(type=type_, id=name) if colon else Actor(id=text)


def verify(
    screen: Screen,
    configuration: Configuration,
    tenant: str | None,
    /,
    *,
    operator: bool,
    against: Path | None,
    checkpoint: str | None,
) -> None:
    """Check audit chains; ends with the exit code `AUDIT` when one is broken."""
    if against is not None and checkpoint is not None:
        raise CommandLineError("give --against or --checkpoint, not both")
    if against is not None and not operator:
        _verify_against(screen, configuration, tenant, against)
        return
    if against is not None or operator is (tenant is not None):
        raise CommandLineError("give one of --tenant, --operator, and --against with a signed checkpoint")
    with wiring.open_manager(configuration) as manager:
        # Only a report says by which name the operator's log is known.
        whose = manager.audit.verify(None).tenant_id if tenant is None and checkpoint is not None else tenant
        report = manager.audit.verify(tenant, checkpoint=_read_checkpoint(whose, checkpoint))
    if tenant is not None and report.head is None and report.whole and not report.checked:
        # Nothing was ever recorded for it, so its name may be mistyped.
        raise TenantNotFoundError(tenant_id=tenant)
    if screen.as_json:
        screen.json({"data": report_out(report)})
    else:
        _show(screen, report)
    if not report.whole:
        raise typer.Exit(AUDIT)


def _verify_against(screen: Screen, configuration: Configuration, tenant: str | None, against: Path) -> None:
    note = _read_file(against)
    with wiring.open_manager(configuration) as manager:
        reports = manager.audit.verify_checkpoint(note, tenant_id=tenant)
    if screen.as_json:
        screen.json({"data": [report_out(report) for report in reports]})
    else:
        for report in reports:
            _show(screen, report)
    if not all(report.whole for report in reports):
        raise typer.Exit(AUDIT)


def _show(screen: Screen, report: AuditReport) -> None:
    screen.facts(
        {
            "Tenant": report.tenant_id,
            "Whole": "yes" if report.whole else "no",
            "Events checked": str(report.checked),
            "Checkpoint": "–" if report.head is None else f"{report.head.seq}:{report.head.hash.hex()}",
        }
    )
    for problem in report.problems:
        screen.finding("✗", problem.meaning)
    if report.unlisted:
        screen.finding("✗", f"{report.unlisted} more")


def checkpoint(screen: Screen, configuration: Configuration, tenant: str | None, /) -> None:
    """Print a signed checkpoint of one tenant or of all."""
    with wiring.open_manager(configuration) as manager:
        note = manager.audit.checkpoint(tenant)
    if screen.as_json:
        screen.json({"data": {"note": note}})
    else:
        screen.text(note.removesuffix("\n"))


def export(screen: Screen, configuration: Configuration, tenant: str | None, /, *, operator: bool, form: Any, after: int) -> None:
    """Print the events of a tenant or of the operator up to the newest one at the start."""
    _require_one(tenant, operator=operator)
    with wiring.open_manager(configuration) as manager:
        end: int | None = None
        while end is None or after < end:
            # Each call is recorded as an event, so the end is that of the first one.
            page = manager.audit.export(tenant, form=form, after=after, limit=_EXPORTED)
            end = page.last + page.behind if end is None else end
            for line in page.lines:
                screen.text(line)
            if page.last == after:
                break
            after = page.last
    screen.note(f"go on with --after {after}")


def prune(screen: Screen, configuration: Configuration, tenant: str | None, /, *, days: int, yes: bool) -> None:
    """Remove old events; ends with the exit code `AUDIT` when a log is broken among them."""
    whose = "every tenant" if tenant is None else tenant
    with wiring.open_manager(configuration) as manager:
        confirm(f"Remove the events of {whose} that are older than {days} days? They cannot be brought back.", yes=yes)
        removed = 0

        def tell(count: int) -> None:
            nonlocal removed
            removed += count
            screen.progress({"removed": removed}, f"{removed} removed")

        run = manager.audit.prune(days=days, tenant_id=tenant, progress=tell)
    if screen.as_json:
        screen.json({"data": run.as_json()})
    else:
        screen.facts({"Events removed": str(run.events), "Tenants": str(run.tenants)})
        for name in run.broken:
            screen.finding("✗", f"{name}: the log is broken among its old events, which stay; run audit verify")
    if run.broken:
        raise typer.Exit(AUDIT)


def erase_actor(screen: Screen, configuration: Configuration, tenant: str, who: str, /, *, yes: bool) -> None:
    """Put a pseudonym in the place of a person."""
    with wiring.open_manager(configuration) as manager:
        confirm(f"Put a pseudonym in the place of {who} in the audit log of {tenant}? The name cannot be brought back.", yes=yes)
        erased = manager.audit.erase_actor(tenant, _read_actor(who))
    if screen.as_json:
        screen.json({"data": erased.as_json()})
    else:
        screen.facts({"Events": str(erased.events), "Pseudonym": ", ".join(erased.pseudonyms) or "–"})


_KEYS = Listing(
    columns=(Column("Key", "key"), Column("Use", lambda key: "signs" if key["signs"] else "verifies")),
    fields=("key", "name", "signs"),
    empty="no key",
)


def keys(screen: Screen, configuration: Configuration, /) -> None:
    """Show the public keys of checkpoints; a private key is never shown."""
    opened = open_checkpoint_keys(configuration)
    if configuration.checkpoints is None or opened is None:
        raise ConfigurationError(setting="checkpoints", problem="is not set")
    known, signs = opened.public_keys(), bool(configuration.checkpoints.keys)
    screen.show(_KEYS, [{"key": str(key), "name": key.name, "signs": signs and place == 0} for place, key in enumerate(known)])


def new_key(screen: Screen, /, *, file: Path) -> None:
    """Put a new private key at the start of *file*."""
    if file.exists():
        LocalCheckpointKeys.from_file(file, name="unnamed")  # raises before a key is added to what is no file of keys
    prepend_private(file, LocalCheckpointKeys.generate_key().reveal())
    screen.note(f"{file}: the new key signs, in every process that starts now; keep the file where backups of the database are not")
    if screen.as_json:
        screen.json({"data": {"file": str(file)}})


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandLineError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandLineError(f"{path} is not UTF-8") from None


def _read_checkpoint(tenant: Any, text: str | None) -> AuditHead | None:
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    try:
        return AuditHead(tenant_id=tenant, seq=int(seq), hash=bytes.fromhex(digest))
    except ValueError:
        raise CommandLineError("--checkpoint takes number:hash, as an earlier `audit verify` printed it") from None
