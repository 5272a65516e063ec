"""The commands about incidents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloud_integrations import Actor, Freeze, IncidentReport, IncidentRun
from cloud_integrations.documents import FreezeOut, IncidentOut, IncidentReportOut, ScopeOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.bars import bar
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Document, Listing, shown_time
from cloud_integrations_cli.times import in_utc

_SELECTION = (
    "selection",
    "selection.tenantId",
    "selection.providerId",
    "selection.applicationId",
    "selection.integrationId",
    "selection.actor",
)

_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Frozen", lambda each: shown_selection(each["selection"])),
        Column("Renewals", lambda each: "go on" if each["renewals"] else "stopped"),
        Column("Reason", "reason"),
        Column("Begun", lambda each: shown_time(each["begunAt"])),
        Column("By", "begunBy.id"),
        Column("Lifted", lambda each: shown_time(each["liftedAt"])),
    ),
    fields=(
        "id",
        *_SELECTION,
        "renewals",
        "reason",
        "begunAt",
        "begunBy",
        "begunBy.type",
        "begunBy.id",
        "liftedAt",
        "liftedBy",
        "liftReason",
    ),
    empty="nothing is frozen",
)

_SCOPE = Listing(
    columns=(
        Column("Integration", "integrationId"),
        Column("Tenant", "tenantId"),
        Column("Records", lambda each: str(each["records"])),
        Column("First", lambda each: shown_time(each["firstAt"])),
        Column("Last", lambda each: shown_time(each["lastAt"])),
    ),
    fields=("tenantId", "integrationId", "records", "firstAt", "lastAt"),
    empty="no use fits",
)
_INCIDENTS = Listing(
    columns=(
        Column("ID", "id"),
        Column("About", lambda each: shown_selection(each["selection"])),
        Column("Reason", "reason"),
        Column("Opened", lambda each: shown_time(each["openedAt"])),
        Column("By", "openedBy.id"),
    ),
    fields=("id", *_SELECTION, "since", "until", "reason", "openedAt", "openedBy", "openedBy.type", "openedBy.id"),
    empty="no incidents",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the options name."""

    tenant: str | None
    provider: str | None
    application: str | None
    integration: str | None
    slot: str
    used_by: str | None
    everything: bool

    def read(self, configuration: Configuration, /) -> dict[str, Any]:
        """Return it in the words of `manager.incidents`.  Raises `ProviderNotFoundError` with near slugs."""
        provider = self.provider
        if provider is not None and wiring.read_id(provider) is None:
            provider = wiring.find_provider(configuration, provider).id
        return {
            "tenant_id": self.tenant,
            "provider": provider,
            "application": self.application,
            "integration": self.integration,
            "slot": self.slot,
            "used_by": None if self.used_by is None else read_actor(self.used_by),
            "everything": self.everything,
        }


def read_actor(text: str, /) -> Actor:
    """Return the actor of `type:id`, or of a user's id alone."""
    kind, separator, name = text.partition(":")
    return Actor(type=kind, id=name) if separator else Actor(id=text)


def shown_selection(selection: Document, /) -> str:
    """Write a selection for people."""
    actor = selection["actor"]
    named = {name.removesuffix("Id"): value for name, value in selection.items() if name != "actor" and value is not None}
    if actor is not None:
        named["used by"] = f"{actor['type']}:{actor['id']}"
    return ", ".join(f"{name} {value}" for name, value in named.items()) or "everything"


def freeze(screen: Screen, configuration: Configuration, named: Named, /, *, renewals: bool, reason: str, yes: bool) -> None:
    """Begin a freeze, and show it."""
    words = named.read(configuration)
    if named.everything:
        confirm("Stop handing out every credential of every tenant?", yes=yes)
    with wiring.open_manager(configuration) as manager:
        begun = manager.incidents.freeze(**words, renewals=renewals, reason=reason)
        seconds = manager.settings.token_cache.total_seconds()
    _show(screen, begun, f"in other processes after at most {seconds:g} seconds")


def unfreeze(screen: Screen, configuration: Configuration, freeze_id: str, /, *, reason: str) -> None:
    """Lift a freeze."""
    with wiring.open_manager(configuration) as manager:
        lifted = manager.incidents.unfreeze(freeze_id, reason=reason)
    _show(screen, lifted, "lifted")


def list_freezes(screen: Screen, configuration: Configuration, /, *, lifted: bool) -> None:
    """Show the freezes."""
    with wiring.open_manager(configuration) as manager:
        screen.show(_LISTING, [_document(each) for each in manager.incidents.freezes(lifted=lifted)])


def _document(freeze: Freeze) -> dict[str, Any]:
    return FreezeOut.of(freeze).as_json()


def _show(screen: Screen, freeze: Freeze, note: str) -> None:
    document = _document(freeze)
    if screen.as_json:
        screen.json({"data": document})
        return
    screen.text(str(freeze.id))
    screen.note(f"{shown_selection(document['selection'])}: {note}")


def scope(screen: Screen, configuration: Configuration, named: Named, /, *, since: datetime | None, until: datetime | None) -> None:
    """Show the uses that fit."""
    with wiring.open_manager(configuration) as manager:
        found = manager.incidents.scope(**named.read(configuration), since=in_utc(since), until=in_utc(until))
    screen.show(_SCOPE, ScopeOut.of(found).as_json()["uses"])
    screen.note(f"{found.records} uses of {len(found.uses)} integrations of {found.tenants} tenants")


def open_incident(
    screen: Screen,
    configuration: Configuration,
    named: Named,
    /,
    *,
    since: datetime | None,
    until: datetime | None,
    reason: str,
) -> None:
    """Keep a scope, and show the incident."""
    with wiring.open_manager(configuration) as manager:
        incident = manager.incidents.open(**named.read(configuration), since=in_utc(since), until=in_utc(until), reason=reason)
    if screen.as_json:
        screen.json({"data": IncidentOut.of(incident).as_json()})
        return
    screen.text(str(incident.id))


def list_all(screen: Screen, configuration: Configuration, /) -> None:
    """Show the incidents."""
    with wiring.open_manager(configuration) as manager:
        screen.show(_INCIDENTS, [IncidentOut.of(each).as_json() for each in manager.incidents.list()])


def approve(screen: Screen, configuration: Configuration, incident: str, /, *, reason: str) -> None:
    """Agree to the revocation of an incident, and show it."""
    with wiring.open_manager(configuration) as manager:
        found = manager.incidents.approve(incident, reason=reason)
    if screen.as_json:
        screen.json({"data": IncidentOut.of(found).as_json()})
        return
    screen.text(str(found.id))
    screen.note("approved for a day: somebody else may revoke it")


def revoke(
    screen: Screen,
    configuration: Configuration,
    incident: str,
    /,
    *,
    keep_keys: bool,
    per_second: int,
    dry_run: bool,
    yes: bool,
) -> None:
    """End the access of everything in an incident."""
    with wiring.open_manager(configuration) as manager:
        foreseen = manager.incidents.revoke(incident, dry_run=True)
        if dry_run:
            _show_run(screen, foreseen, "would be ended")
            return
        confirm(f"End the access of {foreseen.left} integrations? Their tenants must reconnect.", yes=yes)
        with bar(screen, "integrations", foreseen.left) as progress:
            run = manager.incidents.revoke(incident, revoke_keys=not keep_keys, per_second=per_second, progress=progress)
    _show_run(screen, run, "are left: repeat the command")


def _show_run(screen: Screen, run: IncidentRun, left: str) -> None:
    if screen.as_json:
        screen.json({"data": run.as_json()})
        return
    screen.note(f"{run.revoked} ended, {run.reconnected} connected again since, {run.gone} gone before")
    if run.left:
        screen.note(f"{run.left} {left}")
    if run.not_ended:
        screen.finding("!", f"{run.not_ended} may still work: `cloud-integrations incident report` says which")


def rotate(screen: Screen, configuration: Configuration, incident: str, /, *, yes: bool) -> None:
    """Give the tenants of an incident new data keys."""
    with wiring.open_manager(configuration) as manager:
        found = manager.incidents.report(incident)
        tenants = len({item.use.tenant_id for item in found.items})
        confirm(f"Make a new data key for each of {tenants} tenants?", yes=yes)
        with bar(screen, "tenants", tenants) as progress:
            run = manager.incidents.rotate(incident, progress=progress)
    if screen.as_json:
        screen.json({"data": {"changed": run.changed, "failures": [failure.tenant_id for failure in run.failures]}})
        return
    screen.note(f"{run.changed} data keys made; `cloud-integrations keys reseal` seals everything with them")
    for failure in run.failures:
        screen.finding("✗", f"{failure.tenant_id}: {failure.reason.replace('_', ' ')}")


def report(screen: Screen, configuration: Configuration, incident: str, /, *, markdown: bool) -> None:
    """Show what was done about an incident."""
    with wiring.open_manager(configuration) as manager:
        found = manager.incidents.report(incident)
    if screen.as_json:
        screen.json({"data": IncidentReportOut.of(found).as_json()})
        return
    for line in _lines(found, markdown=markdown):
        screen.text(line)


def _lines(report: IncidentReport, *, markdown: bool) -> list[str]:
    incident, point = report.incident, "- " if markdown else ""
    about = shown_selection(IncidentOut.of(incident).as_json()["selection"])
    lines = [
        f"{'# ' if markdown else ''}Incident {incident.id}",
        "",
        f"{point}Reason: {incident.reason}",
        f"{point}About: {about}",
        f"{point}Opened: {moment(incident.opened_at)} by {incident.opened_by}",
        f"{point}Integrations: {len(report.items)} of {len({item.use.tenant_id for item in report.items})} tenants",
        *(f"{point}{state.capitalize()}: {number}" for state, number in sorted(report.states.items())),
        f"{point}Tokens that the outbox still has to revoke: {report.waiting}",
    ]
    if report.still_works:
        lines += ["", f"{'## ' if markdown else ''}May still work", ""]
    for item in report.still_works:
        url = "" if item.receipt is None or item.receipt.manual_url is None else f", to be ended by a person at {item.receipt.manual_url}"
        lines.append(f"{point}{item.use.integration_id} of {item.use.tenant_id}: {_why(item.receipt)}{url}")
    return lines


def _why(receipt: Any) -> str:
    if receipt is None:
        return "nothing was done yet"
    kinds = {
        "refresh token": (receipt.refresh_token, receipt.refresh_reason),
        "access token": (receipt.access_token, receipt.access_reason),
        "key": (receipt.api_key, receipt.key_reason),
        "other key": (receipt.other_key, receipt.other_key_reason),
        "installation": (receipt.installation, None),
    }
    told = {name: reason or outcome.value for name, (outcome, reason) in kinds.items()}
    return ", ".join(f"{name} {word.replace('_', ' ')}" for name, word in told.items() if word not in {"revoked", "skipped"})
