"""Find what is wrong with provider files and guide files, beyond what makes a catalogue refuse them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import as_file, files
from itertools import chain
from pathlib import Path
from typing import Any

from cloud_integrations.domain.guides.check import guide_problems
from cloud_integrations.domain.guides.template import ProviderGuides
from cloud_integrations.domain.provider import CATEGORIES, VALUE, Method, Provider, Variable, places
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.kinds import shown_names

from .files import GUIDES, guide_files, read_guides, read_provider, toml_files

_EVIDENCE = "evidence"
_FIXED_END = re.compile(r"(?:(?:\\\.[a-z]+)+|\\\.\(\?:(?:[a-z-]+(?:\\\.[a-z]+)+\|?)+\))\$$")
"""A pattern that ends in a domain which is written out, or in one of several."""
_USED = re.compile(r"[{]([a-z0-9_]+)(?:\.[a-z0-9_]+)?[}]|ctx:([a-z0-9_]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: the file, the field in it, and the problem as the end of a sentence."""

    file: str
    field: str
    problem: str


def lint(*paths: str | Path, today: date | None = None) -> tuple[Finding, ...]:
    """Return what is wrong with the provider files of *paths* (files or folders) and the guides beside them.

    Without any path, the built-in files are checked.  A guide for a provider that is not in its folder is checked against the built-in one.
    *today* is the day in UTC if it is left out.
    """
    day = datetime.now(UTC).date() if today is None else today
    if paths:
        return tuple(finding for path in paths for finding in _lint_path(Path(path), day))
    with as_file(files("cloud_integrations.providers")) as folder:
        return tuple(_lint_path(folder, day, is_builtin=True))


def _lint_path(path: Path, today: date, *, is_builtin: bool = False) -> Iterator[Finding]:
    if not path.exists():
        yield Finding(file=str(path), field="", problem="is not there")
        return
    found: dict[str, Provider] = {}
    for file in toml_files(path):
        try:
            provider = read_provider(file.read_bytes, where="")
        except ConfigurationError as error:
            yield _refused(file, error)
            continue
        found[provider.id] = provider
        problems = chain(provider_problems(provider), _age_problems(provider, today))
        yield from (Finding(file=str(file), field=field, problem=problem) for field, problem in problems)
        if provider.checked is None and (is_builtin or (path / _EVIDENCE).is_dir()):
            yield Finding(file=str(file), field="checked", problem="is missing: when was it compared with its sources?")
        if provider.id != file.stem:
            yield Finding(file=str(file), field="id", problem="is not the name of its file")
    guides = guide_files(path)
    for file in guides:
        yield from _lint_guides(file, found)
    if path.is_dir():
        yield from _unread_documents(path / GUIDES, [file.stem for file in guides])
        yield from _missing_evidence(path, found)


def provider_problems(provider: Provider, /) -> Iterator[tuple[str, str]]:
    """Return what is wrong with a provider that a catalogue accepts: the field, and the problem as the end of a sentence."""
    for variable in provider.variables:
        field = f"variables.{variable.name}"
        if variable.pattern is not None and not is_anchored(variable.pattern):
            yield f"{field}.pattern", "is not anchored: begin it with ^ and end it with $, with alternatives in a group"
        if variable.in_host and not _has_fixed_domain(variable, provider):
            yield f"{field}.pattern", "lets a tenant choose the domain: give choices, or let it end in the provider's own domain"
    if provider.category not in CATEGORIES:
        yield "category", f"is not one of {', '.join(CATEGORIES)}"
    # What a key tells is handed out with it, and a person may name it to refuse another key.
    used = _used_names(provider) | provider.told_by.keys()
    for variable in provider.variables:
        if variable.name not in used:
            yield f"variables.{variable.name}", "is read nowhere"
    for method in provider.methods:
        yield from ((f"methods.{method.id}.{field}", problem) for field, problem in _method_problems(method, provider))
    yield from _program_problems(provider)


def _age_problems(provider: Provider, today: date) -> Iterator[tuple[str, str]]:
    """Return what is wrong with the days in a file, and with what it says of ends."""
    if provider.checked is not None and provider.checked > today:
        yield "checked", f"is later than today, {today}"
    for index, announced in enumerate(provider.deprecations):
        if not announced.source.startswith("https://"):
            yield f"deprecations.{index}.source", "is not the https address of a page"
        if provider.active and not announced.methods and announced.ends is not None and announced.ends <= today:
            yield "active", f"offers new connections, and the provider ended on {announced.ends}"


def is_anchored(pattern: str, /) -> bool:
    """Return whether a regular expression begins with `^` and ends with `$`, and no alternative of it stands outside of these."""
    if not pattern.startswith("^") or not pattern.endswith("$") or pattern.endswith("\\$"):
        return False
    # Without escaped characters and classes, the groups are taken away from the inside.
    rest = re.sub(r"\[\^?\]?[^\]]*\]", "", re.sub(r"\\.", "", pattern))
    while (shorter := re.sub(r"\([^()]*\)", "", rest)) != rest:
        rest = shorter
    return "|" not in rest


def _method_problems(method: Method, provider: Provider) -> Iterator[tuple[str, str]]:
    for given in method.inputs:
        patterns = [(f"patterns.{index}", pattern) for index, pattern in enumerate(given.patterns)]
        patterns += [(f"derives.{index}.pattern", rule.pattern) for index, rule in enumerate(given.derives)]
        for field, pattern in patterns:
            if not is_anchored(pattern):
                yield f"inputs.{given.name}.{field}", "is not anchored: begin it with ^ and end it with $"
    used = _used_names(provider, method)
    secrets = [given for given in method.inputs if given.secret]
    for given in method.inputs:
        # `{value}` is the first secret input.
        first = bool(secrets) and given is secrets[0] and VALUE in used
        # A signature knows the inputs that it reads, and has checked them.
        if method.present.sign is None and not first and not used & {given.name, *given.part_names}:
            yield f"inputs.{given.name}", "is read nowhere"
    if not any(not check.for_methods or method.id in check.for_methods for check in provider.verifications):
        yield "verification", "is missing: no check fits this method, so nobody sees whether its credentials work"
    if method.revoke is None or (method.revoke.url is None and method.revoke.manual_url is None):
        yield "revoke", "is missing: give the request that ends the access, or manual_url, the page where a person does it"
    elif method.revoke.manual_url is None:
        yield "revoke.manual_url", "is missing: a person needs a page if the request fails"


def _program_problems(provider: Provider) -> Iterator[tuple[str, str]]:
    rest = list(provider.methods)
    variables = {variable.name: variable for variable in provider.variables}
    for index, programs in enumerate(provider.programs):
        fitting = [method for method in rest if not programs.for_methods or method.id in programs.for_methods]
        rest = rest if programs.when else [method for method in rest if method not in fitting]
        if not fitting:
            yield f"programs.{index}", "is for no method: those before it take them all"
        for method in fitting:
            public = {name for given in method.inputs for name in given.public_names}
            for name in sorted(set(programs.names()) - {VALUE, *shown_names(method), *public, *variables}):
                yield f"programs.{index}", f"names {name}, which is no part of a credential of {method.id}"
        for host in (host for login in (programs.git, programs.docker) if login is not None for host in login.hosts):
            for name in places(host):
                if name not in variables or not variables[name].in_host:
                    yield f"programs.{index}", f"has {name} in a host; only a variable that is marked in_host may stand there"


def _used_names(provider: Provider, method: Method | None = None) -> set[str]:
    """Return the names that the templates of a provider use; with *method*, of that method and of the provider alone."""
    content: dict[str, Any] = provider.model_dump(mode="json", exclude={"variables", "methods"})
    methods = provider.methods if method is None else (method,)
    content["methods"] = [each.model_dump(mode="json", exclude={"inputs"}) for each in methods]
    used = {name for found in _USED.findall(json.dumps(content)) for name in found if name}
    used |= {name for check in provider.verifications for name in check.needs}
    used |= {step.when for each in methods for step in each.mint if step.when is not None}
    if any(step.client_auth for each in methods for step in each.mint):
        used |= {"client_id", "client_secret"}
    return used | {name for values in provider.sites.values() for name in values}


def _has_fixed_domain(variable: Variable, provider: Provider) -> bool:
    """Return whether the host that *variable* is a part of ends in a domain that no tenant chooses."""
    if variable.choices or variable.domains or variable.source == "application":
        return True
    pattern = variable.pattern or ""
    if _FIXED_END.search(pattern):
        return True
    if re.fullmatch(pattern, "a.b") is not None:
        return False
    # Then it is one label, and every address must go on with a fixed domain, or with one of the choices.
    chosen = "|".join(each.name for each in provider.variables if each.in_host and each.choices) or "-"
    fixed = rf"\{{{variable.name}\}}(?:[a-z0-9-]*|[a-z0-9.-]+)\.(?:[a-z0-9-]+(?:\.[a-z]+)+|[a-z]+|\{{(?:{chosen})\}})(?:[:/]|$)"
    templates = [template for _, template in _url_templates(provider) if variable.name in places(template)]
    return bool(templates) and all(re.search(fixed, template) for template in templates)


def _url_templates(provider: Provider) -> Iterator[tuple[str, str]]:
    """Return every URL of the provider that can have a variable in its host."""
    yield from provider.base_urls.items()
    for method in provider.methods:
        for name in ("authorize_url", "token_url", "par_url", "refresh_url", "issuer"):
            if (template := getattr(method, name)) is not None:
                yield name, template
        if method.revoke is not None:
            yield from (("revoke", url) for url in (method.revoke.url, method.revoke.manual_url) if url is not None)
        yield from (("mint", step.url) for step in method.mint)
    yield from (("verification", check.url) for check in provider.verifications)


def _lint_guides(file: Path, found: dict[str, Provider]) -> Iterator[Finding]:
    try:
        guides: ProviderGuides = read_guides(file.parent, file.stem, where="")
    except ConfigurationError as error:
        yield _refused(file, error)
        return
    provider = found.get(guides.provider) or _find_builtin(guides.provider)
    if provider is None:
        yield Finding(file=str(file), field="provider", problem="is no provider that is known")
        return
    yield from (Finding(file=str(file), field=field, problem=problem) for field, problem in guide_problems(guides, provider))
    named = {document.file for guide in guides.methods for document in guide.documents}
    for document in sorted((file.parent / file.stem).glob("*")):
        if document.name not in named:
            yield Finding(file=str(document), field="", problem="is named by no guide")


def _find_builtin(slug: str) -> Provider | None:
    file = files("cloud_integrations.providers") / f"{slug}.toml"
    return read_provider(file.read_bytes, where=file.name) if slug.isidentifier() and file.is_file() else None


def _unread_documents(folder: Path, slugs: list[str]) -> Iterator[Finding]:
    for inner in sorted(folder.glob("*/")):
        if inner.is_dir() and inner.name not in slugs:
            yield Finding(file=str(inner), field="", problem="belongs to no guide")


def _missing_evidence(path: Path, found: dict[str, Provider]) -> Iterator[Finding]:
    """Say where evidence is missing, or newer than its file, if a folder keeps it; the installed package does not bring it."""
    if not (path / _EVIDENCE).is_dir():
        return
    for slug, provider in found.items():
        file = path / _EVIDENCE / f"{slug}.json"
        try:
            kept = json.loads(file.read_bytes())
        except (OSError, ValueError):
            yield Finding(file=str(file), field="", problem="is missing, or no JSON")
            continue
        newest = max((checked_on for _, _, checked_on, *_ in kept.values()), default="")
        if provider.checked is not None and str(provider.checked) < newest:
            yield Finding(file=str(path / f"{slug}.toml"), field="checked", problem=f"is older than its evidence, which is of {newest}")
        if (path / GUIDES / f"{slug}.toml").is_file() and not any(name.startswith(f"{GUIDES}.") for name in kept):
            yield Finding(file=str(file), field=GUIDES, problem="has no source for the guide")


def _refused(file: Path, error: ConfigurationError) -> Finding:
    return Finding(file=str(file), field=error.setting.removeprefix(":").strip(), problem=error.message.removeprefix(error.setting).strip())
