"""The commands about the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud_integrations import IntegrationManager, MemoryStore
from cloud_integrations.documents import ProviderOut
from cloud_integrations.kinds import auth_types
from cloud_integrations_cli import wiring
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing

if TYPE_CHECKING:
    from cloud_integrations import Provider, ProviderSummary

_LISTING = Listing(
    columns=(
        Column("Slug", "slug"),
        Column("Name", "name"),
        Column("Category", "category"),
        Column("Works here by", "authTypes"),
        Column("Active", "active"),
    ),
    fields=("id", "slug", "name", "category", "active", "authTypes", "documentation", "redirectUri", "methods"),
    empty="the catalogue is empty",
)


def list_all(screen: Screen, configuration: Configuration, /) -> None:
    """Show every provider and what works with it here; needs no database."""
    screen.show(_LISTING, [ProviderOut.of(summary).as_json() for summary in _summaries(configuration)])


def show(screen: Screen, configuration: Configuration, provider: str, /) -> None:
    """Show one provider: its ways, what it asks for, and the redirect URI to register."""
    entry = wiring.find_provider(configuration, provider)
    summary = next(each for each in _summaries(configuration) if each.slug == entry.id)
    if screen.as_json:
        screen.json({"data": ProviderOut.of(summary).as_json() | _asked(entry)})
        return
    facts = {
        "Slug": entry.id,
        "ID": str(entry.provider_id),
        "Name": entry.name,
        "Category": entry.category,
        "Active": "yes" if summary.active else "no",
        "Can connect by": ", ".join(kind.value for kind in auth_types(entry)) or "–",
        "Works here by": _ways(summary),
        "Redirect URI": summary.redirect_uri or _why_no_redirect_uri(entry, summary),
        "OAuth backend": "" if entry.backend == "standard" else entry.backend,
        "Documentation": entry.documentation,
    }
    facts |= {
        f"Asks for {given.name}": (given.label or given.name)
        + (" (secret)" if given.secret else "")
        + (f". {given.hint}" if given.hint else "")
        for method in entry.methods
        for given in method.inputs
    }
    facts |= {
        f"Variable {variable.name}": (variable.label or variable.hint or "a value that addresses need")
        + (f", {variable.default} by default" if variable.default else "" if variable.required else ", optional")
        for variable in entry.variables
    }
    screen.facts({name: value for name, value in facts.items() if value})


def _asked(entry: Provider) -> dict[str, Any]:
    return {
        "backend": entry.backend,
        "canConnectBy": [kind.value for kind in auth_types(entry)],
        "variables": [
            {
                "name": variable.name,
                "label": variable.label,
                "hint": variable.hint,
                "default": variable.default,
                "required": variable.required,
            }
            for variable in entry.variables
        ],
    }


def _ways(summary: ProviderSummary) -> str:
    return ", ".join(kind.value for kind in summary.auth_types) or "–"


def _why_no_redirect_uri(entry: Provider, summary: ProviderSummary) -> str:
    if "oauth2" not in auth_types(entry):
        return ""
    return "depends on the tenant's variables" if "oauth2" in summary.auth_types else "add an [[applications]] entry for it to the settings"


class _Unasked:
    """Stands for the parts that a list of providers does not ask: to load the real ones takes longer than the list."""

    waits = False

    def _refuse(self, *_: object, **__: object) -> None:
        raise NotImplementedError

    send = close = keks = primary = wrap = unwrap = seal = open = key_id_of = _refuse


def _summaries(configuration: Configuration) -> tuple[ProviderSummary, ...]:
    unasked: Any = _Unasked()
    manager = IntegrationManager(
        store=MemoryStore(),
        transport=unasked,
        keys=unasked,
        cipher=unasked,
        providers=wiring.catalogue(configuration),
        applications=configuration.oauth_applications(),
        settings=configuration.library_settings(),
    )
    return manager.list_providers()
