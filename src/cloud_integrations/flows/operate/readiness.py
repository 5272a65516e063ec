"""Say what this installation can connect, what it lacks, what ends, and how many integrations that concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.readiness import (
    SOON,
    ApplicationReadiness,
    IntegrationCount,
    MethodReadiness,
    MissingPart,
    ProviderReadiness,
)
from cloud_integrations.flows.shared.applications import operator_variables, registered_redirect_uri, summarise_deprecation
from cloud_integrations.flows.shared.lookup import tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of, by_consent, find_consent_method
from cloud_integrations.ports.store import DamagedRow

_OLD = timedelta(days=365)


Counts = Mapping[tuple[ProviderId, str], IntegrationCount]


def report_providers(wiring: Wiring, /, counts: Counts | None = None) -> tuple[ProviderReadiness, ...]:
    """Return for every provider of the catalogue which methods work here, what the others lack, and what ends."""
    return tuple(_report(wiring, provider, counts) for provider in wiring.providers.list_providers())


async def report_ageing(wiring: Wiring, /) -> tuple[ProviderReadiness, ...]:
    """Return the same with the counts of stored integrations.  Raises `StorageUnavailableError`."""
    return report_providers(wiring, await count_endings(wiring))


async def count_endings(wiring: Wiring, /) -> Counts:
    """Return the counts of the stored integrations of all tenants by provider and method; tell the observer of rows without a method."""
    counts: dict[tuple[ProviderId, str], IntegrationCount] = {}
    for found in await wiring.store.count_endings(ending_before=wiring.clock.now() + SOON):
        if isinstance(found, DamagedRow):
            tell_damaged(wiring, found)
        else:
            counts[found.provider_id, found.method_id] = found
    return counts


def _report(wiring: Wiring, provider: Provider, counts: Counts | None) -> ProviderReadiness:
    today = wiring.clock.now().date()
    application = wiring.applications.get(provider.id)
    return ProviderReadiness(
        id=provider.provider_id,
        slug=provider.id,
        name=provider.name,
        active=provider.active,
        redirect_uri=registered_redirect_uri(wiring, provider),
        checked=provider.checked,
        is_old=_is_old(provider.checked, today),
        application=None if application is None else _report_application(application, today),
        methods=tuple(_report_method(wiring, provider, method, counts) for method in provider.methods),
    )


def _report_application(application: OAuthApplication, today: date) -> ApplicationReadiness:
    return ApplicationReadiness(
        client_id=application.client_id,
        client_secrets=len(application.client_secrets),
        secret_since=application.secret_since,
        is_old=_is_old(application.secret_since, today),
    )


def _is_old(day: date | None, today: date) -> bool:
    return day is not None and today - day > _OLD


def _report_method(wiring: Wiring, provider: Provider, method: Method, counts: Counts | None) -> MethodReadiness:
    found = None if counts is None else counts.get((provider.provider_id, method.id))
    none_found = None if counts is None else 0
    return MethodReadiness(
        id=method.id,
        auth_type=auth_type_of(method),
        missing=tuple(_missing(wiring, provider, method)),
        idle_seconds=_seconds(method.refresh_token.idle),
        absolute_seconds=_seconds(method.refresh_token.absolute),
        deprecated=summarise_deprecation(provider.deprecation_of(method.id)),
        integrations=none_found if found is None else found.total,
        ending_soon=none_found if found is None else found.ending,
        first_end=None if found is None else found.first_end,
    )


def _missing(wiring: Wiring, provider: Provider, method: Method) -> Iterator[MissingPart]:
    application = wiring.applications.get(provider.id)
    if by_consent(auth_type_of(method)) and (
        application is None or method is not find_consent_method(provider, application.method_id)
    ):  # an application belongs to one method
        yield MissingPart(what="application", name=provider.id)
    given = operator_variables(wiring, provider)
    for variable in provider.variables:
        if variable.source == "application" and variable.required and variable.default is None and variable.name not in given:
            yield MissingPart(what="variable", name=variable.name)
    if method.uses_platform and not wiring.platform.has(provider.id):
        yield MissingPart(what="platform", name=provider.id)
    if method.platform_proofs() and wiring.issuer is None:
        yield MissingPart(what="issuer", name=provider.id)


def _seconds(time: timedelta | None) -> int | None:
    return None if time is None else int(time.total_seconds())
