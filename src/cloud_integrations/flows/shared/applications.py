"""The operator's OAuth applications: which there are, and what works with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from cloud_integrations.domain.application import InputSummary, MethodSummary, OAuthApplication, ProviderSummary
from cloud_integrations.domain.identifiers import ContextId, ProviderId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    ConfigurationError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of, auth_types, by_consent, find_consent_method, input_methods
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.settings import Settings
from cloud_integrations.protocol.authorize import check_redirect_uri
from cloud_integrations.protocol.client import Client, client_auth_of, resolve_client
from cloud_integrations.protocol.guarded_backend import GuardedBackend
from cloud_integrations.protocol.scopes import is_scope

_ARGUMENTS: Final[tuple[Literal["api_key", "secret_key"], ...]] = ("api_key", "secret_key")


def index_applications(
    applications: Sequence[OAuthApplication], providers: Providers, settings: Settings, /
) -> dict[str, OAuthApplication]:
    """Check the applications and return them by provider slug.  Raises `ConfigurationError`."""
    if settings.deadline >= settings.lease:
        raise ConfigurationError(setting="deadline", problem="must be shorter than lease, or two workers could refresh at once")
    if settings.callback_url is not None:
        _check_uri("callback_url", settings.callback_url, loopback=settings.loopback)
    indexed: dict[str, OAuthApplication] = {}
    for application in _listed(applications):
        place = f"applications[{application.provider}]"
        try:
            provider = providers.require(application.provider)
        except (ProviderNotFoundError, ValidationFailedError):
            raise ConfigurationError(setting=place, problem="names a provider that the catalogue does not have") from None
        if provider.id in indexed:
            raise ConfigurationError(setting=place, problem="is there twice")
        method = find_consent_method(provider, application.method_id)
        if method is None:
            raise ConfigurationError(setting=place, problem="names a provider or method that does not work by authorization code")
        client_auth_of(method, application)
        _check_values(place, provider, application)
        for uri in application.redirect_uris:
            _check_uri(f"{place}.redirect_uris", uri, loopback=settings.loopback)
        if not application.redirect_uris and settings.callback_url is None:
            raise ConfigurationError(setting="callback_url", problem=f"is needed, because {place} names no redirect URI of its own")
        indexed[provider.id] = application
    return indexed


def _check_values(place: str, provider: Provider, application: OAuthApplication) -> None:
    """Refuse now what would fail in the hands of the first tenant who connects."""
    known = {variable.name: variable for variable in provider.variables}
    if unknown := sorted(application.variables.keys() - known.keys()):
        raise ConfigurationError(setting=f"{place}.variables", problem=f"name {unknown[0]}, which this provider does not have")
    if not all(map(is_scope, application.scopes or ())):
        raise ConfigurationError(setting=f"{place}.scopes", problem="hold a character that no scope may have")
    for name, value in application.variables.items():
        try:
            known[name].check(value)
        except ValidationFailedError as error:
            raise ConfigurationError(setting=f"{place}.{error.field}", problem=error.problem) from None


def _listed(applications: Sequence[OAuthApplication]) -> tuple[OAuthApplication, ...]:
    if isinstance(applications, Sequence) and all(isinstance(item, OAuthApplication) for item in applications):
        return tuple(applications)
    raise ConfigurationError(setting="applications", problem="must be a list of OAuthApplication values")


def list_providers(wiring: Wiring, /) -> tuple[ProviderSummary, ...]:
    """Return every provider, and what works with it here."""
    return tuple(_summary(wiring, provider) for provider in wiring.providers.list_providers())


def require_consent_method(wiring: Wiring, provider: Provider, /) -> Method:
    """Return the method to which a person consents.  Raises `ProviderInactiveError` or `ValidationFailedError`."""
    _require_active(provider)
    application = wiring.applications.get(provider.id)
    method = find_consent_method(provider, None if application is None else application.method_id)
    if method is None:
        raise ValidationFailedError(field="code", problem=_not_how(provider))
    if application is None:
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem="has no OAuth application configured here")
    return method


def require_input_methods(provider: Provider, /) -> tuple[Method, ...]:
    """Return the methods for which the tenant enters values.  Raises `ProviderInactiveError` or `ValidationFailedError`."""
    _require_active(provider)
    methods = input_methods(provider)
    if not methods:
        raise ValidationFailedError(field="credentials", problem=_not_how(provider))
    return methods


def _require_active(provider: Provider) -> None:
    if not provider.active:
        raise ProviderInactiveError(provider_id=str(provider.provider_id))


def _not_how(provider: Provider) -> str:
    return f"is not how this provider is connected (it supports {' and '.join(kind.value for kind in auth_types(provider))})"


def find_method(wiring: Wiring, provider_id: ProviderId, method_id: str, /) -> tuple[Provider, Method] | None:
    """Return the provider and its method by which something was connected; None where the catalogue no longer has them."""
    try:
        provider = wiring.providers.require(provider_id)
    except ProviderNotFoundError:
        return None
    method = provider.method_named(method_id)
    return None if method is None else (provider, method)


def client_of(wiring: Wiring, provider: Provider, method: Method, variables: Mapping[str, str], /) -> Client:
    """Return the authorization server that *provider* is here, for a tenant with these *variables*."""
    backend = GuardedBackend(provider.backend, wiring.providers.backend_of(provider))
    return resolve_client(provider, method, wiring.applications[provider.id], variables, backend=backend)


def granting_client(wiring: Wiring, facts: Integration, /) -> Client:
    """Return the authorization server that a grant was issued by, exactly as it was then.

    A refresh token goes to no other: where the application or an endpoint was changed since,
    `AppMisconfiguredError` is raised and nothing is sent (OAU-049).
    """
    provider_id = str(facts.provider_id)
    try:
        provider = wiring.providers.require(facts.provider_id)
        method = require_consent_method(wiring, provider)
        client = client_of(wiring, provider, find_consent_method(provider, facts.method_id) or method, facts.variables)
    except CloudIntegrationsError:
        raise AppMisconfiguredError(provider_id=provider_id, reason="no_usable_application") from None
    if client.context_id != facts.context_id:
        raise AppMisconfiguredError(provider_id=provider_id, reason="application_changed")
    return client


def operator_variables(wiring: Wiring, provider: Provider, /) -> Mapping[str, str]:
    """Return the variables that the operator configured for *provider*; a self-hosted edition's address, say."""
    application = wiring.applications.get(provider.id)
    return {} if application is None else application.variables


def known_variables(wiring: Wiring, provider: Provider, stored: Mapping[str, str], /) -> dict[str, str]:
    """Return the variables of an integration as they are stored, with the operator's and with defaults; nothing is checked."""
    defaults = {variable.name: variable.default for variable in provider.variables if variable.default is not None}
    return {**defaults, **stored, **operator_variables(wiring, provider)}


def callback_uri(wiring: Wiring, context_id: ContextId, /) -> str | None:
    """Return the redirect URI of our own callback: a path that is distinct per authorization server."""
    base = wiring.settings.callback_url
    return None if base is None else f"{base.rstrip('/')}/{context_id}"


def redirect_uri_of(wiring: Wiring, client: Client, /) -> str:
    """Return the redirect URI for new authorizations: the application's own first one, else our callback."""
    own = client.application.redirect_uris
    uri = own[0] if own else callback_uri(wiring, client.context_id)
    if uri is None:
        raise ConfigurationError(setting="callback_url", problem="is not set")
    return uri


def _summary(wiring: Wiring, provider: Provider) -> ProviderSummary:
    application = wiring.applications.get(provider.id)
    redirect_uri = None
    if application is not None and (method := find_consent_method(provider, application.method_id)) is not None:
        try:
            redirect_uri = redirect_uri_of(wiring, client_of(wiring, provider, method, {}))
        except ValidationFailedError:
            # It depends on a variable that only a tenant can give.
            redirect_uri = None
    offered = [method for method in provider.methods if _is_offered(provider, method, application)]
    return ProviderSummary(
        id=provider.provider_id,
        slug=provider.id,
        name=provider.name,
        category=provider.category,
        active=provider.active,
        auth_types=tuple(dict.fromkeys(map(auth_type_of, offered))),
        documentation=provider.documentation,
        redirect_uri=redirect_uri,
        methods=tuple(_method_summary(wiring, provider, method) for method in offered),
    )


def _is_offered(provider: Provider, method: Method, application: OAuthApplication | None) -> bool:
    if not by_consent(auth_type_of(method)):
        return True
    return application is not None and method is find_consent_method(provider, application.method_id)


def _method_summary(wiring: Wiring, provider: Provider, method: Method) -> MethodSummary:
    # The first two secrets are the key and its second half.
    arguments = dict(zip((given.name for given in method.inputs if given.secret), _ARGUMENTS, strict=False))
    return MethodSummary(
        id=method.id,
        auth_type=auth_type_of(method),
        inputs=tuple(
            InputSummary(
                name=given.name,
                label=given.label or given.name,
                hint=given.hint,
                required=given.required,
                secret=given.secret,
                argument=arguments.get(given.name),
            )
            for given in method.inputs
        ),
        manual_url=None if method.revoke is None else method.revoke.find_manual_url(known_variables(wiring, provider, {})),
    )


def _check_uri(setting: str, uri: str, *, loopback: bool) -> None:
    try:
        check_redirect_uri(uri, loopback=loopback)
    except ValidationFailedError as error:
        raise ConfigurationError(setting=setting, problem=error.problem) from None
