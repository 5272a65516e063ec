"""The reference page of a catalogue; `python -m cloud_integrations.providers.page` prints that of the built-in providers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files

from cloud_integrations.domain.provider import CATEGORIES, STANDARD_BACKEND, Method, Programs, Provider, RefreshTokenFacts, Revoke, Variable
from cloud_integrations.kinds import auth_type_of, auth_types, by_consent
from cloud_integrations.providers.catalogue import Catalogue

_HEAD = """# Providers

The built-in providers, printed from their files by `python -m cloud_integrations.providers.page`.
The sources of each fact, with grades, are in `evidence/` beside the files. None was tested against a live provider.

[Add a provider](../how-to/add-a-provider.md) says how to describe another one.

## At a glance

| Provider | Slug | Connects by | UUID |
|---|---|---|---|
"""
_CATEGORIES = """

## Categories

| Category | What belongs to it | Providers |
|---|---|---|
"""
_METHODS = """

## Methods

*Revocation*: tokens are revoked by request when an integration is removed, and keys only if that is asked for (`if asked`),
because they may serve elsewhere; `by hand` leaves it to a person.
*Identity* says whether the check tells whose access it is; `fingerprint`: a key is told from others by its fingerprint alone.
*Renewal* is how the next credential is made: `refresh` spends a refresh token, `mint` makes it anew from what was
entered, `keep` needs none.
*New key* is how the provider itself makes a key in a [rotation](../how-to/rotate-a-tenants-key.md): `create`, `roll`, or not at all.
*Limits* says which headers of the provider tell how much is left of its rate limit.
*Grade* is the weakest source of what the file says of a method, but for the page where a person ends the access:
`verified` at the provider, `corroborated` by others, or `memory`.
*Checked* is the day on which the file was last compared with its sources. *Ends* is the day that the provider has announced.

| Provider | Method | Check | Identity | Revocation | Renewal | New key | Limits | Guide | Grade | Checked | Ends |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
_GRADES = ("verified", "corroborated", "memory")
_REUSE = {
    "none": "the token stays the same",
    "tolerant": "old ones keep working",
    "grace": "an old one works for {grace}",
    "strict": "an old one never works",
}


def build_page(catalogue: Catalogue, /) -> str:
    """Return the page as Markdown: a table of all providers, and a section for each."""
    providers = catalogue.list_providers()
    rows = [
        f"| [{provider.name}](#{_anchor(provider.name)}) | `{provider.id}` | {', '.join(auth_types(provider))} | `{provider.provider_id}` |"
        for provider in providers
    ]
    methods = [_overview(catalogue, provider, method) for provider in providers for method in provider.methods]
    groups = "\n".join(_groups(providers))
    return (
        _HEAD
        + "\n".join(rows)
        + _CATEGORIES
        + groups
        + _METHODS
        + "\n".join(methods)
        + "\n\n"
        + "\n".join(_section(provider) for provider in providers)
    )


def _groups(providers: tuple[Provider, ...]) -> Iterator[str]:
    for category, meaning in CATEGORIES.items():
        slugs = [f"`{provider.id}`" for provider in providers if provider.category == category]
        yield f"| `{category}` | {meaning} | {', '.join(slugs) or '–'} |"


def _about(provider: Provider) -> list[str]:
    also = f"Also found as {', '.join(provider.aliases)}." if provider.aliases else ""
    about = " ".join(filter(None, (f"{provider.description}." if provider.description else "", also)))
    return [about, ""] if about else []


def _anchor(name: str) -> str:
    """Return the anchor that Markdown readers make of a heading."""
    return re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")


def _overview(catalogue: Catalogue, provider: Provider, method: Method) -> str:
    checks = [check for check in provider.verifications if not check.for_methods or method.id in check.for_methods]
    identity = "account" if any(check.identity for check in checks) else "–" if by_consent(auth_type_of(method)) else "fingerprint"
    ended = _ended(method)
    renewal = "mint" if method.mint else "refresh" if by_consent(auth_type_of(method)) else "keep"
    guides = catalogue.guides_of(provider)
    guided = guides is not None and any(guide.method == method.id for guide in guides.methods)
    made = "–" if method.rotation is None else method.rotation.does
    limits = provider.rate_limit.remaining
    cells = [f"`{provider.id}`", f"`{method.id}`", "yes" if checks else "no", identity, ended, renewal, made]
    cells += ["–" if limits is None else f"`{limits}`", "yes" if guided else "–"]
    announced = provider.deprecation_of(method.id)
    end = "–" if announced is None else str(announced.ends or "announced")
    return f"| {' | '.join([*cells, _grade(provider.id, method.id), str(provider.checked or '–'), end])} |"


def _ended(method: Method) -> str:
    if method.revoke is None:
        return "–"
    if method.key_revocation is not None:
        return "if asked"
    return "by hand" if method.revoke.url is None else "by request"


def _grade(slug: str, method_id: str) -> str:
    """Return the weakest grade of the evidence for a method; evidence is in a checkout alone."""
    file = files("cloud_integrations.providers") / "evidence" / f"{slug}.json"
    if not file.is_file():
        return "–"
    kept = json.loads(file.read_text(encoding="utf-8"))
    grades = [entry[1] for path, entry in kept.items() if path.startswith(f"methods.{method_id}.") and not path.endswith("manual_url")]
    return max(grades, key=_GRADES.index, default="–")


def _section(provider: Provider) -> str:
    lines = [f"## {provider.name}", "", *_about(provider), f"[Documentation]({provider.documentation})", ""]
    for announced in provider.deprecations:
        what = ", ".join(f"`{name}`" for name in announced.methods) or provider.name
        when = "is announced to end" if announced.ends is None else f"ends on {announced.ends}"
        lines += [f"**{what} {when}.** {announced.instead} [Source]({announced.source})", ""]
    lines += [
        "| Method | Kind | PKCE | Client authentication | Refresh token | Revocation |",
        "|---|---|---|---|---|---|",
        *(_row(method) for method in provider.methods),
        "",
    ]
    if provider.backend != STANDARD_BACKEND:
        lines.append(f"- OAuth backend `{provider.backend}`")
    lines += [f"- API `{name}`: `{url}`" for name, url in provider.base_urls.items()]
    lines += [
        f"- Variable `{variable.name}`: {variable.label or 'variable'}"
        + (f", {variable.default} by default" if variable.default else "" if variable.required else ", optional")
        + (" (the operator's choice)" if variable.source == "application" else "")
        + _told(provider, variable)
        + (", found after connecting" if variable.source == "after_connecting" else "")
        + (f", from the answer, a host under {' or '.join(variable.domains)}" if variable.domains else "")
        + (f". {variable.hint}" if variable.hint else "")
        for variable in provider.variables
    ]
    lines += [
        f"- Input `{given.name}` of `{method.id}`: {given.label or given.name}"
        + ("" if given.required else ", optional")
        + (f". {given.hint}" if given.hint else "")
        for method in provider.methods
        for given in method.inputs
    ]
    for check in provider.verifications:
        who = " + ".join(f"`{path}`" for path in check.identity) or "a keyed fingerprint of the credential"
        for_whom = f" ({', '.join(check.for_methods)})" if check.for_methods else ""
        ends = "" if check.expires is None else "; it says when the key ends"
        lines.append(f"- Check{for_whom}: `{check.method} {check.url}`; account: {who}{ends}")
    lines += [
        f"- Resources (`{method.id}`): `GET {method.after_connecting.url}` lists what gives `{method.after_connecting.variable}`"
        for method in provider.methods
        if method.after_connecting is not None
    ]
    lines += [_programs(provider, programs) for programs in provider.programs]
    return "\n".join([*lines, ""])


def _told(provider: Provider, variable: Variable) -> str:
    inputs = provider.told_by.get(variable.name, ())
    return f"; not needed where {' or '.join(f'`{name}`' for name in inputs)} tells it" if inputs else ""


def _programs(provider: Provider, programs: Programs) -> str:
    logins = {"git": programs.git, "docker": programs.docker}
    found = [f"variables {', '.join(f'`{name}`' for name in programs.environment)}"] if programs.environment else []
    found += [f"an endpoint (`{programs.endpoint}`)"] if programs.endpoint is not None else []
    found += [f"{tool} at {', '.join(f'`{host}`' for host in login.hosts)}" for tool, login in logins.items() if login is not None]
    found += ["clusters of Kubernetes"] if programs.kubernetes is not None else []
    limits = [*programs.for_methods] if len(provider.methods) > 1 else []
    limits += [f"{name} is {value}" for name, value in programs.when.items()]
    for_whom = f" ({', '.join(limits)})" if limits else ""
    return f"- Programs{for_whom}: {'; '.join(found)}"


def _row(method: Method) -> str:
    oauth = by_consent(auth_type_of(method))
    pkce = {"off": "off", "s256": "S256", "required": "S256, required"}[method.pkce] if oauth else "–"
    client_auth = ", ".join(method.client_auth) if oauth else "–"
    renewal = _refresh(method.refresh_token) if oauth else "–"
    return f"| `{method.id}` | {method.kind} | {pkce} | {client_auth} | {renewal} | {_revoke(method.revoke)} |"


def _refresh(facts: RefreshTokenFacts) -> str:
    parts = [f"rotates: {facts.rotates}", _REUSE[facts.reuse_rule].format(grace=_length(facts.grace))]
    if not facts.issued:
        parts.insert(0, "not always issued")
    if facts.ends_old_access:
        parts.append("a refresh ends the access token before it")
    if facts.idle:
        parts.append(f"dies after {_length(facts.idle)} unused")
    if facts.max_live:
        parts.append(f"at most {facts.max_live} of one account live, the oldest ends")
    return "; ".join(parts)


def _length(time: timedelta) -> str:
    days = f"{time.days} day{'s' if time.days > 1 else ''}" if time.days else ""
    return " ".join(filter(None, (days, f"{time.seconds} s" if time.seconds or not days else "")))


def _revoke(revoke: Revoke | None) -> str:
    if revoke is None:
        return "–"
    if revoke.key is not None:
        return f"`{revoke.key.method}`, ends the key, if asked; by hand: {revoke.manual_url}"
    if revoke.url is None:
        return f"by hand: {revoke.manual_url}"
    what = {"access": "the access token", "refresh": "the refresh token", "both": "either token"}[revoke.which]
    ends = {"token": "ends that token", "grant": "ends the whole grant", None: "may end the whole grant"}[revoke.kills]
    return f"`{revoke.method}`, takes {what}, {ends}"


if __name__ == "__main__":
    sys.stdout.write(build_page(Catalogue.builtin()))
