"""The commands about OAuth applications that tenants registered themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_integrations import Secret, TenantApplication
from cloud_integrations.documents import ApplicationOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.prompts import confirm, read_secret, read_secret_file
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time

from .integrations import read_variables, slugs_of

_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Provider", lambda each: each["provider"] or each["providerId"]),
        Column("Client id", "clientId"),
        Column("Updated", lambda each: shown_time(each["updatedAt"])),
    ),
    fields=(
        "id",
        "tenantId",
        "providerId",
        "provider",
        "method",
        "clientId",
        "secrets",
        "scopes",
        "issuer",
        "variables",
        "redirectUri",
        "createdAt",
        "updatedAt",
    ),
    empty="no applications: authorizations use those of the settings",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecrets:
    """Where the client secrets of an application come from; none of the three: a hidden prompt."""

    files: tuple[Path, ...] = ()
    stdin: bool = False
    public: bool = False

    def read(self) -> tuple[Secret, ...]:
        """Return the secrets, none for a public client.  Raises `CommandLineError`."""
        if (bool(self.files), self.stdin, self.public).count(True) > 1:
            raise CommandLineError("--client-secret-file, --client-secret-stdin and --public exclude each other")
        if self.public:
            return ()
        if self.files:
            return tuple(read_secret_file("--client-secret-file", file) for file in self.files)
        return (read_secret("client-secret", label="client secret", stdin=self.stdin),)


def _document(application: TenantApplication, slug: str) -> dict[str, Any]:
    return ApplicationOut.of(application).as_json() | {"provider": slug}


def list_all(screen: Screen, configuration: Configuration, tenant: str, /) -> None:
    """Show a tenant's applications."""
    with wiring.open_manager(configuration) as manager:
        slugs = slugs_of(manager)
        found = manager.applications.list(tenant)
        screen.show(_LISTING, [_document(application, slugs.get(application.provider_id, "")) for application in found])


def save(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    provider: str,
    /,
    *,
    client_id: str,
    secrets: ClientSecrets,
    method: str | None,
    scopes: Sequence[str],
    variables: Sequence[str],
    issuer: str | None,
) -> None:
    """Store an application, and show the redirect URI to register."""
    given = read_variables(variables)
    entry = wiring.find_provider(configuration, provider)
    client_secret = secrets.read()
    with wiring.open_manager(configuration) as manager:
        saved = manager.applications.save(
            tenant,
            entry.id,
            client_id=client_id,
            client_secret=client_secret or None,
            method=method,
            scopes=scopes,
            variables=given,
            issuer=issuer,
        )
    if screen.as_json:
        screen.json({"data": _document(saved, entry.id)})
        return
    screen.facts(
        {
            "ID": str(saved.id),
            "Tenant": saved.tenant_id,
            "Provider": f"{entry.id} {saved.provider_id}",
            "Client id": saved.client_id,
            "Secrets": str(saved.secrets),
            "Redirect URI": saved.redirect_uri or "",
            "Added": moment(saved.created_at),
        }
    )
    screen.note("\nregister the redirect URI at the provider; `connect` then uses this application")


def remove(screen: Screen, configuration: Configuration, tenant: str, application: str, /, *, yes: bool) -> None:
    """Delete an application with its secrets."""
    with wiring.open_manager(configuration) as manager:
        confirm(f"Delete the application {application} of {tenant}?", yes=yes)
        manager.applications.remove(tenant, application)
    if screen.as_json:
        screen.json({"success": True})
        return
    screen.note("removed")
