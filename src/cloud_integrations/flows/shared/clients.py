"""The authorization servers that a tenant's grants come from: with the tenant's own application, or with the operator's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cloud_integrations.domain.application import ClientAuth, OAuthApplication
from cloud_integrations.domain.identifiers import ContextId, TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.parts import unpack
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.tenant_application import StoredApplication
from cloud_integrations.errors import AppMisconfiguredError, CloudIntegrationsError, StorageUnavailableError, ValidationFailedError
from cloud_integrations.kinds import find_consent_method
from cloud_integrations.protocol.client import Client

from .applications import client_with, operator_variables, require_active, require_consent_method
from .wiring import Wiring

APPLICATION_TABLE: Final = "ci_application"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An application with the method that it is for."""

    method: Method
    application: OAuthApplication = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    """The tenant's variables that the application's endpoints are made from."""
    owner: TenantId | None = None
    """The tenant that registered it; None: the operator."""
    context_id: ContextId | None = None
    """The authorization server that a tenant registered it for; None: the operator's is for every one of the provider's."""

    def is_for(self, client: Client, /) -> bool:
        """Whether the application may be used at *client*: its secret is sent to no endpoint that it was not registered for."""
        if self.context_id in {None, client.context_id}:
            return True
        # A callback may name another site of the provider, whose variables stand in the provider's data.
        sites = client.provider.sites.values() if client.method.callback.site_from is not None else ()
        return any(site.items() <= client.variables.items() for site in sites)


async def _list_own(wiring: Wiring, tenant_id: TenantId, provider: Provider) -> list[StoredApplication]:
    """Return the applications that the tenant registered at *provider* itself, the newest first."""
    return [stored for stored in await wiring.store.list_applications(tenant_id) if stored.facts.provider_id == provider.provider_id]


def application_of_tenant(
    wiring: Wiring,
    provider: Provider,
    /,
    *,
    client_id: str,
    client_secret: Secret | str | Sequence[Secret | str] | None,
    method_id: str,
    scopes: tuple[str, ...],
    client_auth: ClientAuth | None,
    issuer: str | None,
) -> OAuthApplication:
    """Return a tenant's application, with the installation's own variables and redirect URIs.  Raises as `OAuthApplication` does."""
    operators = wiring.applications.get(provider.id)
    return OAuthApplication(
        provider=provider.id,
        client_id=client_id,
        client_secret=client_secret,
        method_id=method_id,
        scopes=scopes or None,
        # The tenant registers the same addresses at the provider.
        redirect_uris=() if operators is None else operators.redirect_uris,
        variables=operator_variables(wiring, provider),
        client_auth=client_auth,
        issuer=issuer,
    )


async def open_application(wiring: Wiring, provider: Provider, stored: StoredApplication, /) -> Registered | None:
    """Return a stored application with its secrets; None if the provider's method is no longer in the catalogue."""
    facts = stored.facts
    method = find_consent_method(provider, facts.method_id)
    if method is None:
        return None
    packed = await wiring.sealer.open(
        facts.tenant_id,
        stored.sealed_secrets,
        table=APPLICATION_TABLE,
        row=str(facts.id),
        field="secrets",
        generation=stored.generation,
    )
    application = application_of_tenant(
        wiring,
        provider,
        client_id=facts.client_id,
        client_secret=tuple(unpack(packed).values()),
        method_id=facts.method_id,
        scopes=facts.scopes,
        client_auth=facts.client_auth,
        issuer=facts.issuer,
    )
    return Registered(method=method, application=application, variables=facts.variables, owner=facts.tenant_id, context_id=facts.id)


def client_of(wiring: Wiring, provider: Provider, registered: Registered, variables: Mapping[str, str], /) -> Client:
    """Return the provider's authorization server with an application, for a tenant with these *variables*.

    A variable that has no value there has the one that the application was registered with.  Raises as `resolve_client` does.
    """
    filled = {**registered.variables, **variables}
    return client_with(wiring, provider, registered.method, registered.application, filled, owner=registered.owner)


def operators_application(wiring: Wiring, provider: Provider, method_id: str | None = None, /) -> Registered:
    """Return the operator's application.  Raises as `require_consent_method` does."""
    method = require_consent_method(wiring, provider, method_id)
    return Registered(method=method, application=wiring.applications[provider.id])


async def choose_client(
    wiring: Wiring, tenant_id: TenantId, provider: Provider, method_id: str | None, variables: Mapping[str, str], /
) -> Client:
    """Return the authorization server for a new authorization, the one that *variables* choose.

    It has the tenant's newest application that was registered for it, else the operator's.  *method_id* is that of a method, None for
    that of the application.  Raises as `require_consent_method` and `resolve_client` do, and as `Sealer.open` does.
    """
    require_active(provider)
    refused: ValidationFailedError | None = None
    for stored in await _list_own(wiring, tenant_id, provider):
        if method_id not in {None, stored.facts.method_id}:
            continue
        registered = await open_application(wiring, provider, stored)
        if registered is None:
            continue
        try:
            client = client_of(wiring, provider, registered, variables)
        except ValidationFailedError as error:
            refused = refused or error
            continue
        if registered.is_for(client):
            return client
        refused = refused or ValidationFailedError(field="variables", problem="are not those of the tenant's own application")
    if refused is not None and provider.id not in wiring.applications:
        raise refused
    return client_of(wiring, provider, operators_application(wiring, provider, method_id), variables)


async def find_client(
    wiring: Wiring,
    tenant_id: TenantId,
    provider: Provider,
    context_id: ContextId | None,
    variables: Mapping[str, str],
    /,
    *,
    method_id: str,
) -> Client | None:
    """Return the authorization server with this id, for the method with this id; None if no application here makes it.

    A code, a refresh token and a client secret are sent to no other server (OAU-049).  Raises as the operator's application does, if
    it cannot be used and the tenant has none that is meant.
    """
    refused: CloudIntegrationsError | None = None
    try:
        configured = operators_application(wiring, provider)
        # An integration keeps its method, whatever the application is configured for now.
        method = find_consent_method(provider, method_id) or configured.method
        client = client_of(wiring, provider, replace(configured, method=method), variables)
        if client.context_id == context_id:
            return client
    except CloudIntegrationsError as error:
        refused = error
    for stored in await _list_own(wiring, tenant_id, provider):
        if stored.facts.id != context_id and not provider.sites:
            continue
        registered = await open_application(wiring, provider, stored)
        if registered is None:
            continue
        method = find_consent_method(provider, method_id) or registered.method
        try:
            client = client_of(wiring, provider, replace(registered, method=method), variables)
        except CloudIntegrationsError:
            # It was registered for another server of this provider.
            continue
        if client.context_id == context_id and registered.is_for(client):
            return client
    if refused is not None:
        raise refused
    return None


async def granting_client(wiring: Wiring, facts: Integration, /) -> Client:
    """Return the authorization server that issued an integration's grant.

    Raises `AppMisconfiguredError` if the application or an endpoint has changed since the grant was issued, and
    `StorageUnavailableError` if a tenant's own application cannot be read now.
    """
    provider_id = str(facts.provider_id)
    try:
        provider = wiring.providers.require(facts.provider_id)
        client = await find_client(wiring, facts.tenant_id, provider, facts.context_id, facts.variables, method_id=facts.method_id)
    except StorageUnavailableError:
        raise
    except CloudIntegrationsError:
        raise AppMisconfiguredError(provider_id=provider_id, reason="no_usable_application") from None
    if client is None:
        raise AppMisconfiguredError(provider_id=provider_id, reason="application_changed")
    return client
