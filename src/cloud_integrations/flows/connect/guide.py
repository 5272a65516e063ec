"""Show what a tenant does at a provider before a method can be connected."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cloud_integrations.domain.arguments import LONGEST_URL, read_provider, read_text, read_text_or_none, read_variables
from cloud_integrations.domain.guides.fill import fill_guide
from cloud_integrations.domain.guides.names import public_inputs
from cloud_integrations.domain.guides.template import GuideTemplate
from cloud_integrations.domain.guides.values import Guide
from cloud_integrations.domain.identifiers import TenantId, tenant_id
from cloud_integrations.domain.issuing import subject_of
from cloud_integrations.domain.provider import Method, Provider, fill, places
from cloud_integrations.errors import ConfigurationError, ProviderInactiveError, ValidationFailedError
from cloud_integrations.flows.shared.applications import known_variables, operator_variables, registered_redirect_uri
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.settings import Settings


def guide(
    wiring: Wiring,
    provider: str | UUID,
    /,
    *,
    method: str | None = None,
    tenant: str | None = None,
    variables: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Guide:
    """Return the setup guide of a method, with the values that are known; *tenant* is the id of the tenant for whom it is.

    Raises `ProviderNotFoundError`; `ProviderInactiveError` if the guide shows permissions and `Settings.policies` has none for this
    provider; `ValidationFailedError` if the method has no guide, or a value is not valid.
    """
    found = wiring.providers.require(read_provider(provider))
    method_id, given, known = read_text_or_none("method", method), read_variables(variables), _read_inputs(inputs)
    whose = None if tenant is None else tenant_id(tenant)
    template, its_method = _find_template(wiring, found, method_id)
    if not known.keys() <= public_inputs(its_method):
        # The name is not repeated, because the caller may have put a secret there.
        raise ValidationFailedError(field="inputs", problem="name a value that is no input of this method, or a secret one")
    values = guide_values(wiring, found, its_method, tenant=whose, variables=given, known=known)
    return _fill(wiring, found, template, values)


def setup_guide(
    wiring: Wiring, provider: Provider, method: Method, tenant: TenantId, /, *, variables: Mapping[str, str], known: Mapping[str, str]
) -> Guide | None:
    """Return the guide of a setup that has begun, where *known* is what was made for it.

    None if the method has no guide, or if its guide shows permissions that the settings do not have: a setup can begin without.
    """
    guides = wiring.providers.guides_of(provider)
    template = None if guides is None else guides.find(method.id)
    if template is None:
        return None
    values = guide_values(wiring, provider, method, tenant=tenant, variables=variables, known=known)
    try:
        return _fill(wiring, provider, template, values)
    except ProviderInactiveError:
        return None


def _fill(wiring: Wiring, provider: Provider, template: GuideTemplate, values: Mapping[str, str], /) -> Guide:
    """Return *template* filled with *values* and with the permissions of the settings."""
    return fill_guide(provider, template, values=values, permissions=wiring.settings.policies.get(provider.id))


def guide_values(
    wiring: Wiring,
    provider: Provider,
    method: Method,
    /,
    *,
    tenant: TenantId | None,
    variables: Mapping[str, str],
    known: Mapping[str, str],
) -> dict[str, str]:
    """Return the values that the guide of *method* can show in this installation, for a tenant with these *variables*.

    *known* are further values by name, which go before all others.
    """
    named = {variable.name: variable for variable in provider.variables}
    operators = operator_variables(wiring, provider)
    for name, value in variables.items():
        if name not in named or named[name].source == "application":
            raise ValidationFailedError(field="variables", problem="name a variable that this provider does not have, or the operator's")
        named[name].check(value)
    values = {**known_variables(wiring, provider, {**variables, **operators}), **known}
    values.setdefault("product", wiring.settings.product)
    for name, value in _of_issuer(wiring, method, tenant, values).items():
        values.setdefault(name, value)
    if (application := wiring.applications.get(provider.id)) is not None:
        values.setdefault("app_client_id", application.client_id)
    if (template_url := wiring.settings.template_urls.get(provider.id)) is not None:
        values.setdefault("template_url", template_url)
    if (redirect_uri := registered_redirect_uri(wiring, provider)) is not None:
        values.setdefault("redirect_uri", redirect_uri)
    return values


def _of_issuer(wiring: Wiring, method: Method, tenant: TenantId | None, values: Mapping[str, str]) -> dict[str, str]:
    """Return what the tenant's cloud must trust, if the method uses a token of our own issuer.

    Raises `ValidationFailedError` for a tenant id that cannot be a subject there.
    """
    told: dict[str, str] = {}
    for proof in method.proofs.values():
        if not proof.by_platform:
            continue
        if wiring.issuer is not None:
            told["issuer"] = wiring.issuer.url
        if tenant is not None:
            told["subject"] = subject_of(tenant, longest=proof.longest_sub)
        audience = proof.aud or ""
        if set(places(audience)) <= values.keys():
            told["audience"] = fill(audience, values)
    return told


def check_guide_settings(settings: Settings, providers: Providers, /) -> None:
    """Refuse permissions and templates for a provider that is not there.  Raises `ConfigurationError`."""
    known = {provider.id for provider in providers.list_providers()} if settings.policies or settings.template_urls else set[str]()
    for field, given in (("policies", settings.policies), ("template_urls", settings.template_urls)):
        if unknown := sorted(given.keys() - known):
            raise ConfigurationError(setting=f"{field}.{unknown[0]}", problem="is for a provider that the catalogue does not have")


def _find_template(wiring: Wiring, provider: Provider, method_id: str | None) -> tuple[GuideTemplate, Method]:
    guides = wiring.providers.guides_of(provider)
    template = None if guides is None else guides.find(method_id)
    method = None if template is None else provider.method_named(template.method)
    if template is None or method is None:
        there = "" if guides is None else f"; {', '.join(each.method for each in guides.methods)} of this provider has one"
        raise ValidationFailedError(field="method", problem=f"has no setup guide{there}")
    return template, method


def _read_inputs(inputs: Mapping[str, str] | None) -> dict[str, str]:
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping) or not all(isinstance(name, str) for name in inputs):
        raise ValidationFailedError(field="inputs", problem="must be a mapping of names to text")
    return {name: read_text("inputs", value, most=LONGEST_URL) for name, value in inputs.items()}
