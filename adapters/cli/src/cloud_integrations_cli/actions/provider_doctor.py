"""`providers doctor`: what this installation can connect, what is missing, what ends, and how many integrations that concerns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cloud_integrations.documents import ProviderReadinessOut
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import sentence
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration

from .doctor import Finding, Result, show_findings
from .providers import open_catalogue, say_end

if TYPE_CHECKING:
    from cloud_integrations import MethodReadiness, MissingPart, ProviderReadiness

_DAY = 86_400


def examine(screen: Screen, configuration: Configuration, /) -> None:
    """Show every provider with its methods, and what to see to; ends with the exit code `SETUP` when something is a problem."""
    reports, not_counted = _report(configuration)
    if not screen.as_json:
        width = max((len(each.slug) for each in reports), default=0)
        for each in reports:
            ready = each.active and any(method.ready for method in each.methods)
            screen.finding("✓" if ready else " ", f"{each.slug:<{width}}  {_say_methods(each)}")
        screen.text("")
    findings = [*not_counted, *_findings(configuration, reports)]
    show_findings(screen, findings, providers=[ProviderReadinessOut.of(each).as_json() for each in reports])


def _report(configuration: Configuration) -> tuple[Sequence[ProviderReadiness], list[Finding]]:
    """Return the report; where the database cannot be asked, without counts, and a finding that says so."""
    try:
        with wiring.open_manager(configuration) as manager:
            return manager.report_ageing(), []
    except CloudIntegrationsError as error:
        message = f"were not counted: {sentence(error)}"
        advice = "`cloud-integrations doctor` looks at the database and the keys."
        finding = Finding(name="integrations", message=message, result=Result.WARNING, advice=advice)
        return open_catalogue(configuration).report_providers(), [finding]


def _say_methods(provider: ProviderReadiness) -> str:
    if not provider.active:
        return "not offered"
    ready = [method.id for method in provider.methods if method.ready]
    words = [f"ready by {', '.join(ready)}"] if ready else []
    words += [f"{method.id} needs {' and '.join(map(_say_missing, method.missing))}" for method in provider.methods if not method.ready]
    return "; ".join(words)


def _say_missing(part: MissingPart) -> str:
    return {
        "application": "an application",
        "variable": f"the application's variable {part.name}",
        "platform": f"platform.{part.name}",
        "issuer": "the issuer",
    }[part.what]


def _findings(configuration: Configuration, reports: Sequence[ProviderReadiness]) -> Iterator[Finding]:
    ready = sum(method.ready for each in reports if each.active for method in each.methods)
    offered = sum(any(method.ready for method in each.methods) for each in reports if each.active)
    yield Finding(name="providers", message=f"{offered} of {len(reports)} can be connected, by {ready} methods")
    for path in configuration.provider_files:
        yield Finding(name="provider files", message=f"{configuration.folder / path}: your own")
    with_application = {application.provider for application in configuration.applications}
    for provider in reports:
        if provider.slug in with_application:
            yield from _application(provider)
        for method in provider.methods:
            yield from _end(provider, method)
            yield from _ending_soon(provider, method)
        if provider.is_old:
            used = _used(sum(method.integrations or 0 for method in provider.methods))
            message = f"its file was compared with its sources on {provider.checked}, more than a year ago.{used}"
            advice = "Newer releases bring newer files; a file of your own, compare again and change `checked`."
            yield Finding(name=provider.slug, message=message, result=Result.WARNING, advice=advice)


def _application(provider: ProviderReadiness) -> Iterator[Finding]:
    where = provider.redirect_uri
    message = "its redirect URI depends on the tenant" if where is None else f"register the redirect URI {where}"
    yield Finding(name=provider.slug, message=message)
    if provider.application is not None and provider.application.is_old:
        message = f"its client secret was made on {provider.application.secret_since}, more than a year ago"
        advice = "Make a new one there, put it first, and keep the old one second until no process uses it."
        yield Finding(name=provider.slug, message=message, result=Result.WARNING, advice=advice)
    for method in provider.methods:
        if any(part.what == "application" for part in method.missing) or method.auth_type.value != "oauth2":
            continue  # the application belongs to another method
        for part in method.missing:
            message = f"{method.id} lacks {_say_missing(part)}, so nobody can be connected"
            yield Finding(name=provider.slug, message=message, result=Result.PROBLEM, advice="Add it to the settings.")
        if method.idle_seconds is not None:
            message = f"a grant of {method.id} ends after {_length(method.idle_seconds)} without a renewal"
            yield Finding(name=provider.slug, message=message, advice="Run `worker` or `serve`, which renew before that.")
        if method.absolute_seconds is not None:
            yield Finding(name=provider.slug, message=f"a grant of {method.id} ends {_length(method.absolute_seconds)} after the consent")


def _end(provider: ProviderReadiness, method: MethodReadiness) -> Iterator[Finding]:
    if method.deprecated is not None and ((provider.active and method.ready) or method.integrations):
        message = f"end of {method.id}: {say_end(method.deprecated)}{_used(method.integrations)}"
        yield Finding(name=provider.slug, message=message, result=Result.WARNING)


def _ending_soon(provider: ProviderReadiness, method: MethodReadiness) -> Iterator[Finding]:
    if not method.ending_soon or method.first_end is None:
        return
    message = f"{_number(method.ending_soon)} by {method.id} end within 30 days, the first at {method.first_end:%Y-%m-%d %H:%MZ}"
    if method.idle_seconds is not None and method.absolute_seconds is None:
        yield Finding(name=provider.slug, message=message, advice="By disuse: the worker renews or checks them before that, if it runs.")
    else:
        advice = "Their tenants must reconnect, or enter another key, before that."
        yield Finding(name=provider.slug, message=message, result=Result.WARNING, advice=advice)


def _used(integrations: int | None) -> str:
    return f" It concerns {_number(integrations)}." if integrations else ""


def _number(integrations: int) -> str:
    return f"{integrations} integration{'' if integrations == 1 else 's'}"


def _length(seconds: int) -> str:
    days, rest = divmod(seconds, _DAY)
    return f"{days} day{'' if days == 1 else 's'}" if not rest else f"{seconds} s"
