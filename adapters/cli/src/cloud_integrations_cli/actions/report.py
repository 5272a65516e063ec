"""`report compliance`: facts of this installation, by the controls that they concern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from cloud_integrations import AesGcmCipher, AuditReport, IntegrationManager, Settings, WorkReport
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.controls import CONTROLS
from cloud_integrations_cli.exits import AUDIT, sentence
from cloud_integrations_cli.key_services import open_key_service
from cloud_integrations_cli.render import Screen, report_out, timestamp
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Document, Listing, shown_time

from .keys import left_to_do
from .production import ENCRYPTION, NO_ROW_SECURITY, find_encryption, find_row_security, made_on, reveal_everything

_FACTS = Listing(
    columns=(Column("Fact", "title"), Column("Found", "found"), Column("Controls", lambda fact: ", ".join(fact["controls"]))),
    fields=("name", "title", "known", "found", "value", "controls"),
    empty="no facts",
)
_CONTROLS = Listing(
    columns=(
        Column("Control", "name"),
        Column("About", "about"),
        Column("More by", lambda control: "; ".join(control["commands"])),
    ),
    fields=("name", "about", "facts", "commands"),
    empty="no controls",
)
_LIMITS = ("begin_per_minute", "verify_per_minute", "reveal_per_minute", "callback_per_minute")
_LENGTHS = ("min_ttl", "token_cache", "data_key_grace", "pending_lifetime", "approval_wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact: a sentence for people and a value for programs; *known* says whether it could be found out."""

    name: str
    title: str
    found: str
    value: Any = None
    known: bool = True

    def as_document(self) -> Document:
        """Return the fact with the names of its controls."""
        return {
            "name": self.name,
            "title": self.title,
            "known": self.known,
            "found": self.found,
            "value": self.value,
            "controls": [control.name for control in CONTROLS if self.name in control.facts],
        }


def compliance(screen: Screen, configuration: Configuration, /) -> None:
    """Show what is known of this installation; ends with the exit code `AUDIT` when the operator's log is broken."""
    fields = _FACTS.read_fields(screen.fields)
    with wiring.open_manager(configuration) as manager:
        log = manager.audit.verify(None)
        facts = [fact.as_document() for fact in _find_all(configuration, manager, log)]
    controls: list[Document] = [
        {"name": each.name, "about": each.about, "facts": list(each.facts), "commands": _written(each.commands)} for each in CONTROLS
    ]
    if screen.as_json:
        screen.json({"data": {"facts": _FACTS.pick(facts, fields), "controls": controls}})
    else:
        screen.table(_FACTS, facts, fields)
        if screen.fields is None:
            screen.text("")
            screen.table(_CONTROLS, controls)
        screen.note("\nthis is no certificate: docs/explanation/compliance.md says what remains your work")
    if not log.whole:
        raise typer.Exit(AUDIT)


def _written(commands: tuple[str, ...]) -> list[str]:
    return [f"cloud-integrations {command}" for command in commands]


def _find_all(configuration: Configuration, manager: IntegrationManager, log: AuditReport) -> Iterator[Fact]:
    settings, work = configuration.library_settings(), manager.worker.report()
    now, version = datetime.now(UTC), import_module("cloud_integrations").__version__
    yield Fact(
        name="installation",
        title="Installation",
        found=f"cloud-integrations {version}, looked at {shown_time(timestamp(now))}",
        value={"version": version, "at": timestamp(now)},
    )
    yield _sealing()
    yield _wrapping_keys(configuration)
    yield _data_keys(manager)
    yield _database(configuration, manager)
    yield _row_security(configuration)
    yield _integrations(work)
    yield _operator_log(log)
    yield Fact(
        name="tenantLogs",
        title="Audit logs of tenants",
        found="not known: not checked here, and no check is recorded; audit verify --tenant or --against checks them",
        known=False,
    )
    yield _checkpoint_keys(configuration, manager)
    yield Fact(
        name="retention",
        title="Retention of audit logs",
        found="not known: no setting; events stay until audit prune --days is run",
        known=False,
        value={"operatorLogBeginsAfter": log.begins_after},
    )
    yield _uses(settings)
    yield _switch("events", "Events for webhooks", on=settings.events)
    yield _switch("fourEyes", "Four eyes in incidents", on=settings.four_eyes)
    yield _limits(settings)
    yield _tokens(configuration)
    yield _work(work)


def _sealing() -> Fact:
    # What the cipher of `wiring` writes at the start of each value: magic, version and suite.
    sealed = AesGcmCipher().seal(b"", key=bytes(32), key_id=bytes(16), context=(("purpose", "report"),))
    form, suite = f"{sealed[:2].decode()}{sealed[2]}", int.from_bytes(sealed[3:5], "big")
    told = f"{form}, suite {suite}: HKDF-SHA-512, AES-256-GCM, committed to key and context"
    return Fact(name="sealing", title="Sealing format", found=told, value={"format": form, "suite": suite})


def _wrapping_keys(configuration: Configuration) -> Fact:
    keys = [(kek.kek_uri, made_on(kek.kek_uri)) for kek in open_key_service(configuration).keks()]
    told = [f"{uri} ({'age not known' if made is None else f'made on {made:%Y-%m-%d}'})" for uri, made in keys]
    value = {
        "services": list(dict.fromkeys(uri.partition(":")[0] for uri, _ in keys)),
        "keys": [
            {"uri": uri, "primary": place == 0, "madeOn": None if made is None else f"{made:%Y-%m-%d}"}
            for place, (uri, made) in enumerate(keys)
        ],
        "ofTenants": len(configuration.tenant_keys),
    }
    known = all(made is not None for _, made in keys)
    return Fact(name="wrappingKeys", title="Wrapping keys", found=f"{', '.join(told)}; the first wraps", value=value, known=known)


def _data_keys(manager: IntegrationManager) -> Fact:
    report = manager.keys.report()
    counts = Counter[str]()
    for usage in report.usage:
        counts[usage.state.value] += usage.keys
    rows = sum(usage.rows for usage in report.usage)
    left = "; ".join(line.partition(":")[0] for line in left_to_do(report)) or "no rotation is left to do"
    return Fact(
        name="dataKeys",
        title="Data keys",
        found=f"{sum(counts.values())} seal {rows} rows; {left}",
        value={
            "byState": dict(counts),
            "rows": rows,
            "misplaced": report.misplaced,
            "outdated": report.outdated,
            "returned": report.returned,
        },
    )


def _database(configuration: Configuration, manager: IntegrationManager) -> Fact:
    report = manager.report()
    try:
        connection = find_encryption(configuration)
    except SQLAlchemyError:
        connection = None
    told = "not known whether its connection is encrypted" if connection is None else f"its connection {ENCRYPTION[connection]}"
    return Fact(
        name="database",
        title="Database",
        found=f"{report.kind}, schema {report.schema}; {told}",
        value={"kind": report.kind, "schema": report.schema, "connection": connection},
        known=connection is not None,
    )


def _row_security(configuration: Configuration) -> Fact:
    found = find_row_security(configuration)
    told = "this database has none: statements keep tenants apart" if found is None else found
    value = {"on": found not in {None, NO_ROW_SECURITY}, "possible": found is not None}
    return Fact(name="rowSecurity", title="Row security", found=told, value=value)


def _integrations(work: WorkReport) -> Fact:
    counts = Counter[str]()
    for each in work.integrations:
        counts[each.provider] += each.count
    told = ", ".join(f"{provider} {count}" for provider, count in sorted(counts.items())) or "none"
    value = {
        "count": sum(counts.values()),
        "byProvider": [
            {"provider": each.provider, "health": each.health.value, "count": each.count}
            for each in sorted(work.integrations, key=lambda each: (each.provider, each.health))
        ],
    }
    return Fact(name="integrations", title="Integrations", found=told, value=value)


def _operator_log(log: AuditReport) -> Fact:
    ended = "whole" if log.whole else f"BROKEN: {log.problems[0].meaning}"
    return Fact(name="operatorLog", title="Operator's audit log", found=f"{ended}; {log.checked} events checked now", value=report_out(log))


def _checkpoint_keys(configuration: Configuration, manager: IntegrationManager) -> Fact:
    name, title = "checkpointKeys", "Checkpoint keys"
    if configuration.checkpoints is None:
        return Fact(name=name, title=title, found="none: no checkpoint is signed", value={"signs": False, "keys": []})
    try:
        keys = [str(key) for key in manager.audit.checkpoint_keys()]
    except CloudIntegrationsError as error:
        return Fact(name=name, title=title, found=f"not known: {sentence(error)}", known=False)
    signs = bool(configuration.checkpoints.keys)
    told = f"{len(keys)} as {configuration.checkpoints.name}; " + ("the first signs" if signs else "none signs here")
    return Fact(name=name, title=title, found=told, value={"signs": signs, "keys": keys})


def _uses(settings: Settings) -> Fact:
    window = settings.use_window
    told = "not recorded" if window is None else f"recorded, one event for {window.total_seconds():g} s of repeated uses"
    return Fact(name="uses", title="Uses of credentials", found=told, value={"windowSeconds": _seconds(window)})


def _switch(name: str, title: str, /, *, on: bool) -> Fact:
    return Fact(name=name, title=title, found="on" if on else "off", value={"on": on})


def _limits(settings: Settings) -> Fact:
    rates = {name: getattr(settings, name) for name in _LIMITS}
    lengths = {name: _seconds(getattr(settings, name)) for name in _LENGTHS}
    told = [f"{name.removesuffix('_per_minute')} {rate or 'without limit'}" for name, rate in rates.items()]
    found = f"a minute: {', '.join(told)}; a removed integration works up to {lengths['token_cache']:g} s elsewhere"
    return Fact(name="limits", title="Limits", found=found, value={"perMinute": rates, "seconds": lengths})


def _tokens(configuration: Configuration) -> Fact:
    everything = reveal_everything(configuration)
    found = f"{len(configuration.tokens)}; {len(everything)} may read the credentials of every tenant"
    return Fact(name="tokens", title="Tokens for serve", found=found, value={"count": len(configuration.tokens), "revealAll": everything})


def _work(work: WorkReport) -> Fact:
    waiting = {entries.kind: entries.count for entries in work.outbox}
    told = ", ".join([f"{work.due.count} renewals", *(f"{count} of kind {kind}" for kind, count in waiting.items())])
    value = {"renewals": work.due.count, "outbox": waiting}
    return Fact(name="work", title="Work that waits", found=told, value=value)


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
