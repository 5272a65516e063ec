"""The commands about keys."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from cloud_integrations import KeyReport, LocalKeyring, RekeyRun
from cloud_integrations_cli import wiring
from cloud_integrations_cli.bars import bar
from cloud_integrations_cli.exits import SETUP, CommandLineError
from cloud_integrations_cli.files import append_private, move_to_front, prepend_private
from cloud_integrations_cli.key_services import open_key_service
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, timestamp
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time

from .tenants import require_known

_ACTIVE = "active"
_WORDS = {_ACTIVE: "seal and open", "decrypt_only": "open", "destroyed": "destroyed"}
_WRAPPING_KEYS = Listing(
    columns=(Column("Key", "uri"), Column("Use", lambda key: "wraps and unwraps" if key["primary"] else "unwraps")),
    fields=("uri", "primary"),
    empty="no key",
)
_USAGE_FIELDS = ("kekUri", "state", "keyId", "version", "createdAt", "keys", "rows")
_USAGE = Listing(
    columns=(
        Column("Wrapping key", "kekUri"),
        Column("Data keys", lambda usage: _WORDS[usage["state"]]),
        Column("How many", "keys"),
        Column("Rows", "rows"),
    ),
    fields=_USAGE_FIELDS,
    empty="nothing is sealed yet",
)
_DATA_KEYS = Listing(
    columns=(
        Column("Version", "version"),
        Column("Use", lambda usage: _WORDS[usage["state"]]),
        Column("Made", lambda usage: shown_time(usage["createdAt"])),
        Column("Wrapped by", "kekUri"),
        Column("Rows", "rows"),
    ),
    fields=_USAGE_FIELDS,
    empty="nothing is sealed for this tenant yet",
)


def new_kid() -> str:
    """Return a name of the day and four random hexadecimal digits, so that names differ and sort by age."""
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}"


def generate(screen: Screen, /, *, kid: str | None, file: Path | None, standby: bool) -> None:
    """Make a key and print it, or add it to a keyring *file*: first, where it wraps, or last (*standby*), where it only unwraps."""
    entry = LocalKeyring.generate_key(kid or new_kid())
    name = entry.reveal().partition(":")[0]
    if file is None:
        screen.note("this is a secret: keep it where backups of the database are not")
        screen.text(entry.reveal())
        return
    if file.exists() and name in LocalKeyring.from_file(file).kids:
        raise CommandLineError(f"{file} has a key of this name already; a name is for ever, choose another --kid")
    if standby and file.exists():
        append_private(file, f"{entry.reveal()}\n")
        screen.note(f"{file}: {name} stands by; when every process has it, `cloud-integrations keys promote {name} --file {file}`")
    else:
        prepend_private(file, f"{entry.reveal()}\n")
        screen.note(f"{file}: {name} is the primary key now; keep the file where backups of the database are not")
    if screen.as_json:
        screen.json({"data": {"kid": name, "file": str(file)}})


def promote(screen: Screen, kid: str, /, *, file: Path) -> None:
    """Put a key of a keyring file first, so that it wraps from now on."""
    if not move_to_front(file, lambda line: line.strip().partition(":")[0] == kid):
        raise CommandLineError(f"{file} has no key of this name")
    screen.note(f"{file}: {kid} is the primary key now; when every process has the file, `cloud-integrations keys rotate`")
    if screen.as_json:
        screen.json({"data": {"kid": kid, "file": str(file)}})


def list_all(screen: Screen, configuration: Configuration, /) -> None:
    """Show which wrapping keys there are, never a key."""
    uris = [kek.kek_uri for kek in open_key_service(configuration).keks()]
    screen.show(_WRAPPING_KEYS, [{"uri": uri, "primary": position == 0} for position, uri in enumerate(uris)])


def status(screen: Screen, configuration: Configuration, /, *, tenant: str | None) -> None:
    """Show what each wrapping key protects, or each data key of one tenant, and what is left to do."""
    listing = _USAGE if tenant is None else _DATA_KEYS
    fields = listing.read_fields(screen.fields)
    with wiring.open_manager(configuration) as manager:
        report = manager.keys.report(tenant_id=tenant)
    document = report.as_json()
    if screen.as_json:
        screen.json({"data": document | {"usage": listing.pick(document["usage"], fields)}})
        return
    screen.table(listing, document["usage"], fields)
    screen.note(f"\n{report.primary} wraps now")
    for line in left_to_do(report) or ["nothing is left to do"]:
        screen.note(line)


def rotate(
    screen: Screen, configuration: Configuration, /, *, tenant: str | None, data_keys: bool, before: datetime | None, dry_run: bool
) -> None:
    """Wrap every data key with the primary wrapping key, or make new data keys."""
    if before is not None and not data_keys:
        raise CommandLineError("--before goes with --data-keys")
    with wiring.open_manager(configuration) as manager:
        report = manager.keys.report(tenant_id=tenant)
        total = sum(usage.keys for usage in report.usage)
        if dry_run:
            active = sum(usage.keys for usage in report.usage if usage.state == _ACTIVE)
            what = (
                f"up to {_many(active, 'data key')} would be replaced"
                if data_keys
                else f"{_many(report.misplaced, 'data key')} would be wrapped anew"
            )
            _tell_plan(screen, what, {"dataKeys": active if data_keys else report.misplaced})
            return
        cutoff = before or datetime.now(UTC)
        if data_keys:
            screen.note(f"if this is interrupted, go on with --before {timestamp(cutoff)}")
        with bar(screen, "data keys", total) as progress:
            run = (
                manager.keys.rotate(tenant_id=tenant, created_before=cutoff, progress=progress)
                if data_keys
                else manager.keys.rewrap(tenant_id=tenant, progress=progress)
            )
        _finish(screen, run, manager.keys.report(tenant_id=tenant), "replaced" if data_keys else "wrapped anew")


def move(screen: Screen, configuration: Configuration, uri: str, /, *, dry_run: bool) -> None:
    """Wrap every data key with the wrapping key *uri*, which the settings must already name first."""
    keks = open_key_service(configuration).keks()
    if uri != keks[0].kek_uri:
        known = any(kek.kek_uri == uri for kek in keks)
        where = "stands behind another" if known else "is not there"
        raise CommandLineError(
            f"this key {where} in the settings: put it first in key_services, keep the old one behind it, and deploy that first"
        )
    rotate(screen, configuration, tenant=None, data_keys=False, before=None, dry_run=dry_run)


def reseal(screen: Screen, configuration: Configuration, /, *, destroy_after: int | None, share: float, dry_run: bool) -> None:
    """Destroy data keys that were replaced *destroy_after* days ago and seal no row; then reseal the rows of other replaced keys."""
    with wiring.open_manager(configuration) as manager:
        report = manager.keys.report()
        if dry_run:
            _tell_plan(screen, f"{_many(report.outdated, 'row')} would be sealed anew", {"rows": report.outdated})
            return
        if destroy_after is not None:
            # Destroying comes first: a key whose rows this run reseals is left for the next run, because a reader may still need it.
            retired_before = datetime.now(UTC) - timedelta(days=destroy_after)
            with bar(screen, "data keys", sum(usage.keys for usage in report.usage)) as progress:
                destroyed = manager.keys.destroy(retired_before=retired_before, progress=progress)
            screen.note(f"{_many(destroyed.changed, 'old data key')} destroyed")
        with bar(screen, "rows", report.outdated) as progress:
            run = manager.keys.reseal(share=share, progress=progress)
        _finish(screen, run, manager.keys.report(), "sealed anew")


def refuse(screen: Screen, configuration: Configuration, tenant: str, /, *, below: int, yes: bool) -> None:
    """Refuse what a tenant's older data keys have sealed."""
    with wiring.open_manager(configuration) as manager:
        require_known(manager, tenant)
        usage = [usage for usage in manager.keys.report(tenant_id=tenant).usage if usage.version is not None]
        lost = sum(each.rows for each in usage if (each.version or 0) < below)
        if 1 < below <= max([each.version or 0 for each in usage], default=1):
            confirm(f"{_many(lost, 'row')} will not open any more until this is taken back with --below 1. Go on?", yes=yes)
        manager.keys.refuse(tenant, below=below)
    screen.note(f"data keys of {tenant} below version {below} are refused" if below > 1 else f"no data key of {tenant} is refused any more")
    if screen.as_json:
        screen.json({"success": True})


def _tell_plan(screen: Screen, what: str, facts: dict[str, int]) -> None:
    screen.note(what)
    if screen.as_json:
        screen.json({"data": {"dryRun": True, **facts}})


def _finish(screen: Screen, run: RekeyRun, report: KeyReport, done: str) -> None:
    if screen.as_json:
        failures = [{"tenantId": failure.tenant_id, "reason": failure.reason} for failure in run.failures]
        screen.json({"data": {"changed": run.changed, "failures": failures, "left": report.as_json()}})
    else:
        screen.note(f"{run.changed} {done}")
        for line in left_to_do(report) or ["nothing is left to do"]:
            screen.note(line)
        for failure in run.failures:
            screen.finding("✗", f"{failure.tenant_id}: {failure.reason.replace('_', ' ')}")
    if run.failures:
        raise typer.Exit(SETUP)


def left_to_do(report: KeyReport, /) -> list[str]:
    """Return a line for everything that rotation, or a restored backup, has left to do."""
    lines = []
    if report.misplaced:
        lines.append(f"{_many(report.misplaced, 'data key')} wrapped by another key: `cloud-integrations keys rotate`")
    if report.outdated:
        lines.append(f"{_many(report.outdated, 'row')} sealed under a data key that was replaced: `cloud-integrations keys reseal`")
    if report.returned:
        lines.append(
            f"{_many(report.returned, 'data key')} of erased tenants brought back by a backup: `cloud-integrations tenants erase` again"
        )
    return lines


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
