"""The commands about integrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from cloud_integrations import (
    Integration,
    IntegrationManager,
    MethodSummary,
    ProviderSummary,
    Secret,
)
from cloud_integrations.documents import CheckOut, DeprecationOut, IntegrationDetailOut, ResourcesOut, SlottedIntegrationDetailOut
from cloud_integrations.errors import InvalidCredentialsError, ProviderNotFoundError, ProviderUnavailableError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.inputs import find_methods, read_inputs
from cloud_integrations_cli.prompts import read_secret
from cloud_integrations_cli.render import (
    Screen,
    account_name,
    moment,
    renewal_run_out,
)
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time
from cloud_integrations_cli.times import in_utc
from cloud_integrations_cli.words import say_word

from .providers import say_end

FACTS: Final = (
    "name",
    "status",
    "authType",
    "createdAt",
    "updatedAt",
    "scopes",
    "requestedScopes",
    "missingScopes",
    "expiresAt",
    "reconnectBefore",
    "lastUsedAt",
)
"""The members of an integration that every list of them has."""
STATE: Final = (
    "health",
    "health.state",
    "health.since",
    "health.reason",
    "health.advice",
    "account",
    "account.id",
    "account.label",
)
"""How it does, and whose it is."""
_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Provider", lambda each: each["provider"] or each["providerId"]),
        Column("Name", "name"),
        Column("Health", lambda each: say_word(each["health"]["state"])),
        Column("Expires", lambda each: shown_time(each["expiresAt"])),
    ),
    fields=(
        "id",
        "tenantId",
        "providerId",
        "provider",
        *FACTS,
        *STATE,
    ),
    empty="no integrations",
)
_RESOURCES = Listing(
    columns=(Column("ID", "id"), Column("Name", "label"), Column("Page", lambda each: each["url"] or ""), Column("Chosen", "chosen")),
    fields=("id", "label", "url", "chosen"),
    empty="the credential reaches nothing",
)
_TRUSTS: Mapping[str, str] = {
    "tight": "tight: the provider refuses what would let another tenant in",
    "loose": "LOOSE: the provider takes what would let another tenant in; the tenant must correct its trust policy",
    "unknown": "unknown: the provider gave no verdict",
}
_LISTING_WITH_SLOT = replace(
    _LISTING,
    columns=(*_LISTING.columns[:2], Column("Slot", "slot"), *_LISTING.columns[2:]),
    fields=(*_LISTING.fields, "slot"),
)


def _document(manager: IntegrationManager, integration: Integration, slug: str) -> dict[str, Any]:
    """Return an integration as the route for one integration shows it, with the slug of its provider."""
    kind = SlottedIntegrationDetailOut if manager.settings.slots else IntegrationDetailOut
    return kind.of(integration).as_json() | {"provider": slug}


def slugs_of(manager: IntegrationManager, /) -> dict[UUID, str]:
    """Return the slug of every provider, by its id."""
    return {summary.id: summary.slug for summary in manager.list_providers()}


def list_all(screen: Screen, configuration: Configuration, tenant: str, /, *, slot: str | None) -> None:
    """Show a tenant's integrations."""
    with wiring.open_manager(configuration) as manager:
        found = manager.list_integrations(tenant, slot=slot)
        slugs = slugs_of(manager)
        listing = _LISTING_WITH_SLOT if manager.settings.slots else _LISTING
        screen.show(listing, [_document(manager, each, slugs.get(each.provider_id, "")) for each in found])


def show(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, slot: str) -> None:
    """Show one integration."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which, slot=slot)
        show_integration(screen, manager, integration)
        rotation = manager.find_key_rotation(tenant, integration.id)
        if rotation is not None:
            screen.note(f"a rotation of its key is {rotation.state} until {moment(rotation.ends_at)}; see `integrations rotate-key`")


def show_integration(screen: Screen, manager: IntegrationManager, integration: Integration, /) -> None:
    """Show all facts of *integration* and the end of its method, if that is announced; it holds no secret."""
    summary = _find_summary(manager, integration.provider_id)
    slug = "" if summary is None else summary.slug
    method = find_offered(manager, integration.provider_id, integration.method_id)
    ends = None if method is None else method.deprecated
    used = integration.last_used_at
    if screen.as_json:
        announced = None if ends is None else DeprecationOut.of(ends).as_json()
        screen.json({"data": _document(manager, integration, slug) | {"deprecated": announced}})
        return
    facts = {
        "ID": str(integration.id),
        "Tenant": integration.tenant_id,
        "Provider": f"{slug} {integration.provider_id}".strip(),
        "Slot": integration.slot,
        "Name": integration.name,
        "Connected by": integration.auth_type.value,
        "Status": integration.status.value,
        "Health": say_word(integration.health.value),
        "Since": moment(integration.state_since),
        "Why": say_word(integration.reason or ""),
        "What to do": integration.advice,
        "Account": account_name(integration.account),
        "Scopes": " ".join(integration.scopes),
        "Not granted": " ".join(integration.missing_scopes),
        "Expires": moment(integration.expires_at, unknown="unknown, or never"),
        "Reconnect before": moment(integration.reconnect_before, unknown=""),
        "Last used": "never, or not recorded" if used is None else used.date().isoformat(),
        "Method ends": "" if ends is None else say_end(ends),
        "Created": moment(integration.created_at),
        "Updated": moment(integration.updated_at),
    }
    screen.facts({name: value for name, value in facts.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entering:
    """The options that say where the values come from that a provider asks for."""

    method: str | None
    inputs: Sequence[str]
    api_key_file: Path | None
    api_key_stdin: bool
    secret_key_file: Path | None
    ends_at: datetime | None = None

    def read(self, screen: Screen, provider: ProviderSummary, /, *, current: str | None = None) -> dict[str, Any]:
        """Return the arguments of `add` or `reconnect`, or with the options for an API key those of `add_api_key`."""
        if not (self.api_key_file or self.api_key_stdin or self.secret_key_file):
            entered = read_inputs(screen, provider, self.inputs, method=self.method, current=current)
            return {"inputs": entered.inputs, "method": entered.method, **self._end}
        if self.inputs:
            raise CommandLineError("--input and the options for an API key exclude each other")
        api_key, secret_key = read_api_key(
            provider, method=self.method, file=self.api_key_file, stdin=self.api_key_stdin, secret_file=self.secret_key_file
        )
        return {"api_key": api_key, "secret_key": secret_key, "method": self.method, **self._end}

    @property
    def _end(self) -> dict[str, datetime]:
        return {} if self.ends_at is None else {"ends_at": in_utc(self.ends_at)}


def add(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    tenant: str,
    provider: str,
    slot: str,
    name: str | None,
    variables: Sequence[str],
    entering: Entering,
) -> None:
    """Connect a provider with an API key, or with the other values that it asks for."""
    named: dict[str, Any] = {"slot": slot, "variables": read_variables(variables)}
    with wiring.open_manager(configuration) as manager:
        entry = wiring.find_provider(configuration, provider)
        entered = entering.read(screen, manager.get_provider(entry.id))
        screen.note(f"asking {entry.name} whether it works …")
        if name is None and is_set_up(find_offered(manager, entry.provider_id, entered["method"])):
            if "ends_at" in entered:
                raise CommandLineError("--ends-at is for a key; what is set up at the provider has no end")
            # The setup has the name that it began with.
            integration = manager.complete_setup(tenant, entry.id, **entered, **named)
        else:
            put = manager.add if "inputs" in entered else manager.add_api_key
            integration = put(tenant, entry.id, **entered, **named, name=name or entry.name)
        screen.note("connected")
        show_integration(screen, manager, integration)


def is_set_up(method: MethodSummary | None, /) -> bool:
    """Return whether this method begins with a setup, so that the tenant has something at the provider that stays there."""
    return method is not None and method.needs_setup


def find_offered(manager: IntegrationManager, provider_id: UUID, method_id: str | None, /) -> MethodSummary | None:
    """Return a method as users of this installation see it; None if it is not offered."""
    summary = _find_summary(manager, provider_id)
    return None if summary is None else next((method for method in summary.methods if method.id == method_id), None)


def _find_summary(manager: IntegrationManager, provider_id: UUID) -> ProviderSummary | None:
    """Return a provider as users of this installation see it; None if the catalogue does not have it any more."""
    try:
        return manager.get_provider(provider_id)
    except ProviderNotFoundError:
        return None


def list_resources(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, slot: str) -> None:
    """Show what the credential reaches."""
    with wiring.open_manager(configuration) as manager:
        found = manager.resources(tenant, which, slot=slot)
    document = ResourcesOut.of(found).as_json()
    if screen.as_json:
        screen.json({"data": document})
        return
    rows = [each | {"chosen": "yes" if each["id"] == found.chosen else ""} for each in document["resources"]]
    screen.show(_RESOURCES, rows)
    if not found.is_complete:
        screen.note("the list may lack some")


def choose(screen: Screen, configuration: Configuration, tenant: str, which: str, resource: str, /, *, slot: str) -> None:
    """Choose one of them."""
    with wiring.open_manager(configuration) as manager:
        show_integration(screen, manager, manager.choose_resource(tenant, which, resource, slot=slot))


def verify(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, slot: str) -> None:
    """Ask the provider whether the credential works.

    Raises `InvalidCredentialsError` when it does not, `ProviderUnavailableError` when the answer does not say.
    """
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which, slot=slot)
        report = manager.verify(tenant, integration.id)
    if screen.as_json:
        screen.json({"data": CheckOut.of(report).as_json()})
    else:
        screen.facts(
            {
                "Works": "yes" if report.works else "unknown" if report.outcome == "unknown" else "no",
                "Answer": say_word(report.outcome) if report.verified else "this provider has no check",
                "Account": (account_name(report.account) or "–") + (" (another one than before)" if report.account_changed else ""),
                "Checked": moment(report.checked_at),
            }
            | ({} if report.trust is None else {"Trust": _TRUSTS[report.trust]})
        )
    if report.verified and report.outcome == "unknown":
        raise ProviderUnavailableError(provider_id=str(integration.provider_id))
    if report.verified and not report.works:
        raise InvalidCredentialsError(provider_id=str(integration.provider_id), reason=report.outcome)


def refresh(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, slot: str) -> None:
    """Renew the access token now."""
    with wiring.open_manager(configuration) as manager:
        renewed = manager.refresh(tenant, which, slot=slot)
        screen.note("renewed")
        show_integration(screen, manager, renewed)


def refresh_refused(screen: Screen, configuration: Configuration, provider: str, /, *, reason: str | None) -> None:
    """Ask a provider once more for every integration that must reconnect."""
    with wiring.open_manager(configuration) as manager:
        run = manager.worker.refresh_refused(
            wiring.find_provider(configuration, provider).id, reason=reason, progress=lambda asked: screen.note(f"{asked} asked for …")
        )
    if screen.as_json:
        screen.json({"data": renewal_run_out(run)})
        return
    counts = {
        "Asked": run.claimed,
        "Renewed": run.renewed,
        "Postponed": run.postponed,
        "Reconnect required": run.reconnect_required,
        "Gone": run.gone,
        "Failed": run.failed,
    }
    screen.facts({name: str(count) for name, count in counts.items() if count or name in {"Asked", "Renewed"}})


def edit(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    which: str,
    /,
    *,
    slot: str,
    status: Literal["active", "inactive"] | None = None,
    name: str | None = None,
) -> None:
    """Switch an integration on or off, or rename it."""
    with wiring.open_manager(configuration) as manager:
        edited = manager.edit_integration(tenant, which, slot=slot, status=status, name=name)
        show_integration(screen, manager, edited)


def replace_inputs(
    screen: Screen, configuration: Configuration, manager: IntegrationManager, integration: Integration, entering: Entering, /
) -> None:
    """Replace what *integration* was connected with."""
    entry = wiring.find_provider(configuration, integration.provider_id)
    entered = entering.read(screen, manager.get_provider(entry.id), current=integration.method_id)
    replace = manager.reconnect if "inputs" in entered else manager.replace_api_key
    replaced = replace(integration.tenant_id, integration.id, **entered)
    screen.note("reconnected")
    show_integration(screen, manager, replaced)


def read_api_key(
    provider: ProviderSummary, /, *, method: str | None, file: Path | None, stdin: bool, secret_file: Path | None
) -> tuple[Secret, Secret | None]:
    """Read an API key for *provider*, and its second half where it has one.  Raises `ValidationFailedError` where it takes none."""
    secrets = [expected for expected in find_methods(provider, method)[0].inputs if expected.secret]
    labels = [expected.label for expected in secrets]
    key = read_secret("api-key", label=labels[0], file=file, stdin=stdin)
    wants_second = len(secrets) > 1 and secrets[1].required
    if secret_file is None and not wants_second:
        return key, None
    return key, read_secret("secret-key", label=labels[1] if len(labels) > 1 else "Secret key", file=secret_file)


def read_variables(given: Sequence[str], /) -> Mapping[str, str]:
    """Read `name=value` pairs.  Raises `CommandLineError`."""
    pairs = [pair.partition("=") for pair in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise CommandLineError("--variable takes name=value")
    return {name: value for name, _, value in pairs}
