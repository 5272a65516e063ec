"""The commands about the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cloud_integrations import Catalogue, IntegrationManager, Issuer, MemoryStore
from cloud_integrations.documents import ProviderOut
from cloud_integrations.kinds import auth_type_of, auth_types
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import VALIDATION
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing

if TYPE_CHECKING:
    from cloud_integrations import DeprecationSummary, OAuthApplication, Provider, ProviderSummary

_FORMS = {"text": "", "pem": "PEM file", "json": "JSON file", "origin": "https address"}
_LISTING = Listing(
    columns=(
        Column("Slug", "slug"),
        Column("Name", "name"),
        Column("Category", "category"),
        Column("Works here by", "authTypes"),
        Column("Active", "active"),
    ),
    fields=(
        *("id", "slug", "name", "category", "description", "aliases", "icon", "active", "authTypes", "documentation", "redirectUri"),
        *("methods", "variables", "icon.letters", "icon.background"),
        *("deprecated", "deprecated.ends", "deprecated.instead", "deprecated.source"),
    ),
    empty="the catalogue is empty",
)


def list_all(screen: Screen, configuration: Configuration, /, *, search: str | None, category: str | None) -> None:
    """Show the providers and what works with them here; needs no database."""
    found = open_catalogue(configuration).list_providers(search=search, category=category)
    listing = _LISTING if search is None and category is None else replace(_LISTING, empty="no provider fits")
    screen.show(listing, [ProviderOut.of(summary).as_json() for summary in found])


def show(screen: Screen, configuration: Configuration, provider: str, /) -> None:
    """Show one provider: its methods, their inputs, and the redirect URI to register."""
    entry = wiring.find_provider(configuration, provider)
    summary = open_catalogue(configuration).get_provider(entry.id)
    if screen.as_json:
        guided = _guided(configuration, entry)
        screen.json({"data": ProviderOut.of(summary).as_json() | _asked(entry) | {"guides": guided}})
        return
    facts = {
        "Slug": entry.id,
        "ID": str(entry.provider_id),
        "Name": entry.name,
        "Also called": ", ".join(entry.aliases),
        "Description": entry.description,
        "Category": entry.category,
        "Active": "yes" if summary.active else "no",
        "End": "" if summary.deprecated is None else say_end(summary.deprecated),
        "Can connect by": ", ".join(kind.value for kind in auth_types(entry)) or "–",
        "Works here by": _ways(summary),
        "Redirect URI": summary.redirect_uri or _why_no_redirect_uri(entry, summary),
        "OAuth backend": "" if entry.backend == "standard" else entry.backend,
        "Documentation": entry.documentation,
    }
    guided = _guided(configuration, entry)
    offered = {method.id for method in summary.methods}
    ends = {method.id: method.deprecated for method in summary.methods if method.deprecated is not None}
    for method in entry.methods:
        facts[f"Method {method.id}"] = (
            auth_type_of(method).value
            + ("" if method.id in offered else ", not configured here")
            + (", has a guide" if method.id in guided else "")
            + (", revokes the key if asked" if method.key_revocation is not None else "")
            + ("" if method.rotation is None else f", the provider can {method.rotation.does} a key")
            + (", endpoints from the server's metadata" if method.metadata is not None else "")
        )
        if summary.deprecated is None and method.id in ends:
            facts[f"  end of {method.id}"] = say_end(ends[method.id])
        facts |= _say_inputs(summary, method.id)
    facts |= _say_variables(entry)
    screen.facts({name: value for name, value in facts.items() if value})


def lint(screen: Screen, read: Callable[[], Configuration], paths: Sequence[Path], /) -> None:
    """Show what is wrong with provider files and guides; ends with the exit code `VALIDATION` if anything is."""
    if paths:
        found = Catalogue.lint(*paths)
    else:
        configuration = read()
        own = [configuration.folder / path for path in configuration.provider_files]
        found = (*Catalogue.lint(), *(Catalogue.lint(*own) if own else ()))
    if screen.as_json:
        screen.json({"data": {"ok": not found, "findings": [asdict(finding) for finding in found]}})
    else:
        for finding in found:
            screen.finding("✗", f"{finding.file}: {finding.field + ' ' if finding.field else ''}{finding.problem}")
        screen.note(f"\n{len(found)} to mend" if found else "nothing is wrong")
    if found:
        raise typer.Exit(VALIDATION)


def say_end(announced: DeprecationSummary, /) -> str:
    """Return when something ends, what to use instead, and the page that says so."""
    return f"{announced.ends or 'announced without a day'}. {announced.instead} {announced.source}"


def _say_inputs(summary: ProviderSummary, method_id: str) -> dict[str, str]:
    """Return what people should know of each input of a method; the name of the method tells inputs of the same name apart."""
    names = [given.name for method in summary.methods for given in method.inputs]
    facts = {}
    for given in (given for method in summary.methods if method.id == method_id for given in method.inputs):
        words = [
            "secret" if given.secret else "",
            _FORMS[given.form],
            "" if given.required or given.one_of else "optional",
            f"one of the group {given.one_of}" if given.one_of else "",
        ]
        about = ", ".join(word for word in words if word)
        option = f"  --input {given.name}" + (f" of {method_id}" if names.count(given.name) > 1 else "")
        facts[option] = given.label + (f" ({about})" if about else "") + (f". {given.hint}" if given.hint else "")
    return facts


def _guided(configuration: Configuration, entry: Provider) -> list[str]:
    """Return the ids of the methods that have a setup guide."""
    guides = wiring.catalogue(configuration).guides_of(entry)
    return [] if guides is None else [guide.method for guide in guides.methods]


def _say_variables(entry: Provider) -> dict[str, str]:
    facts = {}
    for variable in entry.variables:
        words = [
            _say_form(variable.choices, variable.domains, variable.pattern),
            f"{variable.default} by default" if variable.default else "" if variable.required else "optional",
            {"application": "the operator's choice", "token_reply": "also from the token answer"}.get(variable.source, ""),
            f"not needed where {' or '.join(told)} tells it" if (told := entry.told_by.get(variable.name, ())) else "",
        ]
        about = "; ".join(word for word in words if word)
        label = variable.label or variable.name
        facts[f"--variable {variable.name}"] = f"{label} ({about})" + (f". {variable.hint}" if variable.hint else "")
    return facts


def _say_form(choices: Sequence[str], domains: Sequence[str], pattern: str | None) -> str:
    if domains:
        return f"a host under {' or '.join(domains)}"
    return f"one of {', '.join(choices)}" if choices else f"in the form {pattern}"


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
                "required": variable.required and variable.name not in entry.told_by,
                "toldBy": list(entry.told_by.get(variable.name, ())),
                "pattern": variable.pattern,
                "choices": list(variable.choices),
                "source": variable.source,
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
    """Stands for the parts that a list of providers does not use: loading the real ones takes longer than the list."""

    waits = False

    def _refuse(self, *_: object, **__: object) -> None:
        raise NotImplementedError

    find = send = close = keks = primary = wrap = unwrap = seal = open = key_id_of = public_keys = sign = _refuse


def open_catalogue(configuration: Configuration, /) -> IntegrationManager:
    """Return a manager for `list_providers`, `report_providers` and `guide` alone: it has no database, no keys and no network."""
    return manager_of(configuration, wiring.catalogue(configuration), configuration.oauth_applications())


def manager_of(configuration: Configuration, catalogue: Catalogue, applications: Sequence[OAuthApplication] = (), /) -> IntegrationManager:
    """Return such a manager for the providers of *catalogue*."""
    unasked: Any = _Unasked()
    return IntegrationManager(
        store=MemoryStore(),
        transport=unasked,
        keys=unasked,
        cipher=unasked,
        providers=catalogue,
        applications=applications,
        platform={slug: unasked.find for slug in configuration.platform},  # noqa: C420  # a type checker loses the type of the values there
        settings=configuration.library_settings(),
        issuer=None if configuration.issuer is None else Issuer(url=configuration.issuer.url, keys=unasked),
    )
