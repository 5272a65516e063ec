"""The operator's OAuth applications, and the providers and methods that work with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal
from uuid import UUID

from cloud_integrations.domain.application import (
    DeprecationSummary,
    InputSummary,
    MethodSummary,
    OAuthApplication,
    ProviderSummary,
    VariableSummary,
)
from cloud_integrations.domain.arguments import read_provider, read_search, read_text_or_none
from cloud_integrations.domain.identifiers import ContextId, ProviderId, TenantId
from cloud_integrations.domain.provider import CATEGORIES, Deprecation, Method, Provider, places
from cloud_integrations.domain.provider_search import search_providers
from cloud_integrations.errors import (
    ConfigurationError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.client_secrets import preferred
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of, auth_types, by_consent, find_consent_method, input_methods
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.settings import Settings
from cloud_integrations.protocol.authorize import check_redirect_uri
from cloud_integrations.protocol.certificates import check_client_certificate
from cloud_integrations.protocol.client import Client, client_auth_of, resolve_client
from cloud_integrations.protocol.guarded_backend import GuardedBackend
from cloud_integrations.protocol.scopes import is_scope

_ARGUMENTS: Final[tuple[Literal["api_key", "secret_key"], ...]] = ("api_key", "secret_key")


def index_applications(
    applications: Sequence[OAuthApplication], providers: Providers, settings: Settings, /
) -> dict[str, OAuthApplication]:
    """Check the applications and return them by provider slug.

    Raises `ConfigurationError` for an application, a setting or a redirect URI that cannot work.
    """
    if settings.deadline >= settings.lease:
        raise ConfigurationError(setting="deadline", problem="must be shorter than lease, or two workers could refresh at once")
    if settings.callback_url is not None:
        _check_uri("callback_url", settings.callback_url, loopback=settings.loopback)
    indexed: dict[str, OAuthApplication] = {}
    for application in _listed(applications):
        setting = f"applications[{application.provider}]"
        try:
            provider = providers.require(application.provider)
        except (ProviderNotFoundError, ValidationFailedError):
            raise ConfigurationError(setting=setting, problem="names a provider that the catalogue does not have") from None
        if provider.id in indexed:
            raise ConfigurationError(setting=setting, problem="is there twice")
        method = find_consent_method(provider, application.method_id)
        if method is None:
            raise ConfigurationError(setting=setting, problem="names a provider or method that does not work by authorization code")
        if client_auth_of(method, application) == "tls":
            _check_certificates(setting, application)
        _check_values(setting, provider, method, application)
        for uri in application.redirect_uris:
            _check_uri(f"{setting}.redirect_uris", uri, loopback=settings.loopback)
        if not application.redirect_uris and settings.callback_url is None:
            raise ConfigurationError(setting="callback_url", problem=f"is needed, because {setting} names no redirect URI of its own")
        indexed[provider.id] = application
    return indexed


def _check_certificates(setting: str, application: OAuthApplication) -> None:
    """Raise `ConfigurationError` for a client certificate that cannot be used; one that has ended is refused by the provider."""
    for secret in application.client_secrets:
        try:
            check_client_certificate(secret, field="client_secret", now=None)
        except ValidationFailedError as error:
            problem = error.problem
        else:
            continue
        raise ConfigurationError(setting=f"{setting}.client_secret", problem=problem)


def _check_values(setting: str, provider: Provider, method: Method, application: OAuthApplication) -> None:
    """Raise `ConfigurationError` now for values that would make the first tenant's authorization fail."""
    known = {variable.name: variable for variable in provider.variables}
    if unknown := sorted(application.variables.keys() - known.keys()):
        raise ConfigurationError(setting=f"{setting}.variables", problem=f"name {unknown[0]}, which this provider does not have")
    operators = {name for name, variable in known.items() if variable.source == "application" and variable.default is None}
    server = method.issuer if method.metadata is not None else f"{method.authorize_url or ''}{method.token_url or ''}"
    named = places(server or "")
    if missing := [name for name in named if name in operators - application.variables.keys()]:
        raise ConfigurationError(setting=f"{setting}.variables.{missing[0]}", problem="is required by this provider")
    if not all(map(is_scope, application.scopes or ())):
        raise ConfigurationError(setting=f"{setting}.scopes", problem="hold a character that no scope may have")
    for name, value in application.variables.items():
        try:
            known[name].check(value)
        except ValidationFailedError as error:
            raise ConfigurationError(setting=f"{setting}.{error.field}", problem=error.problem) from None


def _listed(applications: Sequence[OAuthApplication]) -> tuple[OAuthApplication, ...]:
    if isinstance(applications, Sequence) and all(isinstance(item, OAuthApplication) for item in applications):
        return tuple(applications)
    raise ConfigurationError(setting="applications", problem="must be a list of OAuthApplication values")


def list_providers(wiring: Wiring, /, *, search: str | None = None, category: str | None = None) -> tuple[ProviderSummary, ...]:
    """Return the providers of the catalogue, with the methods that can be used with the applications configured here.

    With *search* those that fit it, the best first; with *category* those of it.
    Raises `ValidationFailedError` for a category that does not exist and that no provider has.
    """
    text, wanted = read_search(search), read_text_or_none("category", category)
    found = wiring.providers.list_providers()
    if wanted is not None:
        if wanted not in CATEGORIES and not any(provider.category == wanted for provider in found):
            raise ValidationFailedError(field="category", problem=f"must be one of {', '.join(CATEGORIES)}")
        found = tuple(provider for provider in found if provider.category == wanted)
    return tuple(_summary(wiring, provider) for provider in search_providers(text, found))


def get_provider(wiring: Wiring, provider: str | UUID, /) -> ProviderSummary:
    """Return one provider as `list_providers` has it.  Raises `ProviderNotFoundError`."""
    return _summary(wiring, wiring.providers.require(read_provider(provider)))


def require_consent_method(wiring: Wiring, provider: Provider, method_id: str | None = None, /) -> Method:
    """Return the method by which a person authorizes the provider's configured application.

    Raises `ProviderInactiveError` if the provider is inactive or has no application here, `ValidationFailedError` if it has no
    such method, or another one than *method_id*: an application belongs to one method.
    """
    require_active(provider)
    application = wiring.applications.get(provider.id)
    method = find_consent_method(provider, None if application is None else application.method_id)
    if method is None:
        raise ValidationFailedError(field="code", problem=_not_how(provider))
    if application is None:
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem="has no OAuth application configured here")
    if method_id not in {None, method.id}:
        raise ValidationFailedError(field="method", problem=f"must be {method.id}, for which this provider has an OAuth application here")
    return method


def require_input_methods(provider: Provider, /) -> tuple[Method, ...]:
    """Return the methods for which the tenant enters values, an API key for example.

    Raises `ProviderInactiveError` if the provider is inactive, `ValidationFailedError` if it has no such method.
    """
    require_active(provider)
    methods = input_methods(provider)
    if not methods:
        raise ValidationFailedError(field="credentials", problem=_not_how(provider))
    return methods


def require_active(provider: Provider, /) -> None:
    """Raise `ProviderInactiveError` if the provider is inactive."""
    if not provider.active:
        raise ProviderInactiveError(provider_id=str(provider.provider_id))


def _not_how(provider: Provider) -> str:
    return f"is not how this provider is connected (it supports {' and '.join(kind.value for kind in auth_types(provider))})"


def find_method(wiring: Wiring, provider_id: ProviderId, method_id: str, /) -> tuple[Provider, Method] | None:
    """Return a provider and its method by their ids; None if the catalogue no longer has them."""
    try:
        provider = wiring.providers.require(provider_id)
    except ProviderNotFoundError:
        return None
    method = provider.method_named(method_id)
    return None if method is None else (provider, method)


def client_with(
    wiring: Wiring,
    provider: Provider,
    method: Method,
    application: OAuthApplication,
    variables: Mapping[str, str],
    /,
    *,
    owner: TenantId | None = None,
) -> Client:
    """Return the provider's authorization server with an application of the operator or of *owner*, for these *variables*.

    Raises as `resolve_client` does.
    """
    backend = GuardedBackend(provider.backend, wiring.providers.backend_of(provider))
    return preferred(wiring, resolve_client(provider, method, application, variables, backend=backend, owner=owner))


def operator_variables(wiring: Wiring, provider: Provider, /) -> Mapping[str, str]:
    """Return the variables that the operator configured for *provider*, for example the address of a self-hosted edition."""
    application = wiring.applications.get(provider.id)
    return {} if application is None else application.variables


def known_variables(wiring: Wiring, provider: Provider, stored: Mapping[str, str], /) -> dict[str, str]:
    """Return an integration's *stored* variables, completed by the operator's and by the provider's defaults, without checking them.

    A resource that is still to be chosen is left out.
    """
    defaults = {variable.name: variable.default for variable in provider.variables if variable.default is not None}
    chosen = {name: value for name, value in stored.items() if value}
    return {**defaults, **chosen, **operator_variables(wiring, provider)}


def callback_uri(wiring: Wiring, context_id: ContextId, /) -> str | None:
    """Return the redirect URI of our own callback, which differs per authorization server; None without the setting `callback_url`."""
    base = wiring.settings.callback_url
    return None if base is None else f"{base.rstrip('/')}/{context_id}"


def redirect_uri_of(wiring: Wiring, client: Client, /) -> str:
    """Return the redirect URI for new authorizations: the application's first one, otherwise our callback.

    Raises `ConfigurationError` if there is neither.
    """
    own = client.application.redirect_uris
    uri = own[0] if own else callback_uri(wiring, client.context_id)
    if uri is None:
        raise ConfigurationError(setting="callback_url", problem="is not set")
    return uri


def registered_redirect_uri(wiring: Wiring, provider: Provider, /) -> str | None:
    """Return the redirect URI to register at *provider*; None without an application, or if a variable of the tenant is needed."""
    application = wiring.applications.get(provider.id)
    method = None if application is None else find_consent_method(provider, application.method_id)
    if application is None or method is None:
        return None
    try:
        return redirect_uri_of(wiring, client_with(wiring, provider, method, application, {}))
    except ValidationFailedError:
        return None


def _summary(wiring: Wiring, provider: Provider) -> ProviderSummary:
    application = wiring.applications.get(provider.id)
    offered = [method for method in provider.methods if _is_offered(wiring, provider, method, application)]
    return ProviderSummary(
        id=provider.provider_id,
        slug=provider.id,
        name=provider.name,
        category=provider.category,
        description=provider.description,
        aliases=provider.aliases,
        active=provider.active,
        auth_types=tuple(dict.fromkeys(map(auth_type_of, offered))),
        documentation=provider.documentation,
        redirect_uri=registered_redirect_uri(wiring, provider),
        methods=tuple(_method_summary(wiring, provider, method) for method in offered),
        variables=_variable_summaries(wiring, provider),
        deprecated=summarise_deprecation(next((each for each in provider.deprecations if not each.methods), None)),
    )


def summarise_deprecation(announced: Deprecation | None, /) -> DeprecationSummary | None:
    """Return what people see of an end that a provider has announced; None if there is none."""
    if announced is None:
        return None
    return DeprecationSummary(ends=announced.ends, instead=announced.instead, source=announced.source)


def announced_end(provider: Provider, method_id: str, /) -> str | None:
    """Return the day on which the provider ends a method, as a fact says it: ISO 8601, or `announced` without a day; None: it does not."""
    announced = provider.deprecation_of(method_id)
    if announced is None:
        return None
    return "announced" if announced.ends is None else announced.ends.isoformat()


def _variable_summaries(wiring: Wiring, provider: Provider) -> tuple[VariableSummary, ...]:
    configured = operator_variables(wiring, provider)
    return tuple(
        VariableSummary(
            name=variable.name,
            label=variable.label or variable.name,
            hint=variable.hint,
            required=variable.source == "input"
            and variable.required
            and variable.default is None
            and variable.name not in provider.told_by,
            told_by=provider.told_by.get(variable.name, ()),
            pattern=variable.pattern,
            choices=variable.choices,
            default=variable.default,
        )
        for variable in provider.variables
        if variable.source in {"input", "after_connecting"} and variable.name not in configured
    )


def _is_offered(wiring: Wiring, provider: Provider, method: Method, application: OAuthApplication | None) -> bool:
    if not by_consent(auth_type_of(method)):
        return wiring.issuer is not None or not method.platform_proofs()
    return application is not None and method is find_consent_method(provider, application.method_id)


def _method_summary(wiring: Wiring, provider: Provider, method: Method) -> MethodSummary:
    # The first secret input is passed as the argument `api_key`, the second as `secret_key`.
    arguments = dict(zip((known.name for known in method.entered_inputs if known.secret), _ARGUMENTS, strict=False))
    return MethodSummary(
        id=method.id,
        auth_type=auth_type_of(method),
        inputs=tuple(
            InputSummary(
                name=known.name,
                label=known.label or known.name,
                hint=known.hint,
                required=known.required,
                secret=known.secret,
                form=known.form,
                one_of=known.one_of,
                argument=arguments.get(known.name),
                patterns=known.patterns,
            )
            for known in method.entered_inputs
        ),
        needs_setup=bool(method.made_inputs),
        revokes_key=method.key_revocation is not None,
        makes_key=None if method.rotation is None else method.rotation.does,
        manual_url=None if method.revoke is None else method.revoke.find_manual_url(known_variables(wiring, provider, {})),
        deprecated=summarise_deprecation(provider.deprecation_of(method.id)),
    )


def _check_uri(setting: str, uri: str, *, loopback: bool) -> None:
    try:
        check_redirect_uri(uri, loopback=loopback)
    except ValidationFailedError as error:
        raise ConfigurationError(setting=setting, problem=error.problem) from None
