"""The commands about integrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cloud_integrations import AuthType, Integration, IntegrationManager, Provider, RevocationOutcome, Secret
from cloud_integrations.documents import CheckOut, IntegrationDetailOut
from cloud_integrations.errors import InvalidCredentialsError, ValidationFailedError
from cloud_integrations.kinds import input_methods
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.prompts import confirm, read_secret
from cloud_integrations_cli.render import (
    Screen,
    account_name,
    moment,
    renewal_run_out,
)
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time
from cloud_integrations_cli.words import say_word

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
        "health",
        "health.state",
        "health.since",
        "health.reason",
        "health.advice",
        "account",
        "account.id",
        "account.label",
    ),
    empty="no integrations",
)


def _document(integration: Integration, slug: str) -> dict[str, Any]:
    """Return an integration as the detail route shows it, and the slug of its provider."""
    return IntegrationDetailOut.of(integration).as_json() | {"provider": slug}


def list_all(screen: Screen, configuration: Configuration, tenant: str, /) -> None:
    """Show a tenant's integrations."""
    with wiring.open_manager(configuration) as manager:
        found = manager.list_integrations(tenant)
        slugs = {summary.id: summary.slug for summary in manager.list_providers()}
    screen.show(_LISTING, [_document(each, slugs.get(each.provider_id, "")) for each in found])


def show(screen: Screen, configuration: Configuration, tenant: str, which: str, /) -> None:
    """Show one integration."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which)
        show_integration(screen, manager, integration)


def show_integration(screen: Screen, manager: IntegrationManager, integration: Integration, /) -> None:
    """Show everything that may be shown of *integration*."""
    slug = next((summary.slug for summary in manager.list_providers() if summary.id == integration.provider_id), "")
    if screen.as_json:
        screen.json({"data": _document(integration, slug)})
        return
    facts = {
        "ID": str(integration.id),
        "Tenant": integration.tenant_id,
        "Provider": f"{slug} {integration.provider_id}".strip(),
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
        "Created": moment(integration.created_at),
        "Updated": moment(integration.updated_at),
    }
    screen.facts({name: value for name, value in facts.items() if value})


def add(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    tenant: str,
    provider: str,
    name: str | None,
    variables: Sequence[str],
    api_key_file: Path | None,
    api_key_stdin: bool,
    secret_key_file: Path | None,
) -> None:
    """Connect a provider with an API key."""
    given = read_variables(variables)
    with wiring.open_manager(configuration) as manager:
        entry = wiring.find_provider(configuration, provider)
        api_key, secret_key = read_api_key(entry, file=api_key_file, stdin=api_key_stdin, secret_file=secret_key_file)
        screen.note(f"asking {entry.name} whether the key works …")
        integration = manager.add_api_key(
            tenant, entry.id, name=name or entry.name, api_key=api_key, secret_key=secret_key, variables=given
        )
        screen.note("connected")
        show_integration(screen, manager, integration)


def verify(screen: Screen, configuration: Configuration, tenant: str, which: str, /) -> None:
    """Ask the provider whether the credential works; raises `InvalidCredentialsError` when it does not."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which)
        report = manager.verify(tenant, integration.id)
    if screen.as_json:
        screen.json({"data": CheckOut.of(report).as_json()})
    else:
        screen.facts(
            {
                "Works": "yes" if report.works else "no" if report.verified else "unknown",
                "Answer": say_word(report.outcome) if report.verified else "this provider has no check",
                "Account": (account_name(report.account) or "–") + (" (another one than before)" if report.account_changed else ""),
                "Checked": moment(report.checked_at),
            }
        )
    if report.verified and not report.works:
        raise InvalidCredentialsError(provider_id=str(integration.provider_id), reason=report.outcome)


def refresh(screen: Screen, configuration: Configuration, tenant: str, which: str, /) -> None:
    """Renew the access token now."""
    with wiring.open_manager(configuration) as manager:
        renewed = manager.refresh(tenant, which)
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
    status: Literal["active", "inactive"] | None = None,
    name: str | None = None,
) -> None:
    """Switch an integration on or off, or rename it."""
    with wiring.open_manager(configuration) as manager:
        edited = manager.edit_integration(tenant, which, status=status, name=name)
        show_integration(screen, manager, edited)


def delete(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, yes: bool) -> None:
    """Delete an integration, and say what became of each token."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which)
        what = "? Its key goes on working at the provider" if integration.auth_type is AuthType.API_KEY else " and revoke its tokens?"
        confirm(f"Delete {integration.name} ({integration.id}) of {tenant}{what}", yes=yes)
        removal = manager.delete(tenant, integration.id)
    if screen.as_json:
        screen.json({"success": True, **removal.as_json()})
        return
    screen.note("deleted; the local credential is gone")
    if integration.auth_type is AuthType.API_KEY:
        outcomes = {
            "API key": "still works at the provider"
            if removal.api_key is RevocationOutcome.UNSUPPORTED
            else "refused by the provider before"
        }
    else:
        outcomes = {
            "Refresh token": _outcome_text(removal.refresh_token, removal.refresh_reason),
            "Access token": _outcome_text(removal.access_token, removal.access_reason),
        }
    screen.facts(outcomes | ({"Withdraw it at": removal.manual_url} if removal.manual_url else {}))
    if RevocationOutcome.SHARED in {removal.refresh_token, removal.access_token}:
        screen.note("shared: another tenant's integration holds the same token; the one that is deleted last revokes it")
    if "ends_grant" in {removal.refresh_reason, removal.access_reason}:
        screen.note("ends_grant: revoking it may end what another integration of the same account lives on, so it is left until that goes")
    if removal.waiting:
        screen.note(f"{removal.waiting} tokens of earlier connections are still to be revoked")
    if removal.waiting or RevocationOutcome.FAILED in {removal.refresh_token, removal.access_token}:
        screen.note("what was not revoked yet is kept sealed and tried again: `cloud-integrations revocations retry`")


def _outcome_text(outcome: RevocationOutcome, reason: str | None) -> str:
    return outcome.value if reason is None else f"{outcome.value} ({reason})"


def replace_key(
    screen: Screen,
    configuration: Configuration,
    manager: IntegrationManager,
    integration: Integration,
    /,
    *,
    api_key_file: Path | None,
    api_key_stdin: bool,
    secret_key_file: Path | None,
) -> None:
    """Put a new API key in the place of the old one."""
    entry = wiring.find_provider(configuration, integration.provider_id)
    api_key, secret_key = read_api_key(entry, file=api_key_file, stdin=api_key_stdin, secret_file=secret_key_file)
    replaced = manager.replace_api_key(integration.tenant_id, integration.id, api_key=api_key, secret_key=secret_key)
    screen.note("reconnected")
    show_integration(screen, manager, replaced)


def read_api_key(entry: Provider, /, *, file: Path | None, stdin: bool, secret_file: Path | None) -> tuple[Secret, Secret | None]:
    """Ask for what *entry* wants: a key, and its second half where there is one."""
    method = next(iter(input_methods(entry)), None)
    if method is None:
        raise ValidationFailedError(field="provider", problem="takes no API key; use `cloud-integrations connect`")
    secrets = [expected for expected in method.inputs if expected.secret]
    labels = [expected.label or expected.name for expected in secrets]
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
