"""A tenant registers its own OAuth application at a provider, and its new authorizations use it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args
from uuid import UUID

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.arguments import read_id, read_provider, read_scopes, read_text_or_none, read_variables
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.identifiers import ContextId, TenantId
from cloud_integrations.domain.parts import pack
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.tenant_application import StoredApplication, TenantApplication
from cloud_integrations.errors import (
    ApplicationInUseError,
    ApplicationNotFoundError,
    ConfigurationError,
    ProviderNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.applications import callback_uri, redirect_uri_of, require_active
from cloud_integrations.flows.shared.clients import APPLICATION_TABLE, Registered, application_of_tenant, client_of
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.revocation_entries import waiting_revocations
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import find_consent_method
from cloud_integrations.ports.store import RemoveApplication, SaveApplication
from cloud_integrations.protocol.certificates import check_client_certificate
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.pasted_keys import require_no_private_key
from cloud_integrations.protocol.scopes import is_scope

_ARGUMENTS = {"client_id": "clientId", "client_secret": "clientSecret", "issuer": "issuer"}
"""The settings of an `OAuthApplication` that are arguments here, by their names in answers."""
_ALL = 1_000_000


async def save_application(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    client_id: str,
    client_secret: Secret | str | Sequence[Secret | str] | None,
    method: str | None,
    scopes: Sequence[str],
    variables: Mapping[str, str] | None,
    client_auth: ClientAuth | None,
    issuer: str | None,
    caller: Caller,
) -> TenantApplication:
    """Store a tenant's application, or replace the one with the same client id and the same endpoints.

    Raises `ValidationFailedError`, `ProviderNotFoundError` or `ProviderInactiveError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    asked_method = read_text_or_none("method", method)
    asked = read_scopes(scopes)
    filled = read_variables(variables)
    if client_auth is not None and client_auth not in get_args(ClientAuth):
        raise ValidationFailedError(field="clientAuth", problem=f"must be one of {', '.join(get_args(ClientAuth))}")
    provider = wiring.providers.require(read_provider(provider_ref))
    chosen = _require_method(provider, asked_method)
    if not all(map(is_scope, asked)):
        raise ValidationFailedError(field="scopes", problem="hold a character that no scope may have")
    with _named_as_arguments():
        application = application_of_tenant(
            wiring,
            provider,
            client_id=client_id,
            client_secret=client_secret,
            method_id=chosen.id,
            scopes=asked,
            client_auth=client_auth,
            issuer=issuer,
        )
        # The client id is no secret, and is shown: what was pasted into the wrong field must not be stored as one.
        require_no_private_key(Secret(application.client_id), field="clientId")
        if Secret(application.client_id) in application.client_secrets:
            raise ValidationFailedError(field="clientId", problem="must not be the client secret")
        registered = Registered(method=chosen, application=application, variables=filled, owner=tenant_id)
        for secret in application.client_secrets:
            if "tls" not in (chosen.client_auth if client_auth is None else (client_auth,)):
                require_no_private_key(secret, field="clientSecret")
        client = client_of(wiring, provider, registered, {})
        for secret in application.client_secrets if client.client_auth == "tls" else ():
            check_client_certificate(secret, field="clientSecret", now=wiring.clock.now())
        # A provider sends browsers only to the addresses that are registered there.
        redirect_uri_of(wiring, client)
    begun_under = await wiring.data_keys.id_at_start(tenant_id)

    async def save() -> TenantApplication:
        held = await _find(wiring, tenant_id, client.context_id)
        facts = _facts(wiring, client, tenant_id, filled, held)
        generation = 1 if held is None else held.generation + 1
        secrets = pack({f"client_secret_{place}": secret for place, secret in enumerate(application.client_secrets, 1)})

        def changes(key: DataKey) -> tuple[SaveApplication, Event]:
            sealed = wiring.sealer.seal(key, secrets, table=APPLICATION_TABLE, row=str(facts.id), field="secrets", generation=generation)
            stored = StoredApplication(facts=facts, generation=generation, key_id=key.key_id, sealed_secrets=sealed)
            name: EventName = "application.added" if held is None else "application.changed"
            return SaveApplication(application=stored), happened(wiring, name, _subject(facts), caller, provider=provider.id)

        await apply_sealed(wiring, tenant_id, changes, begun_under=begun_under)
        return _shown(wiring, facts, provider)

    return await again(save, subject="application")


async def list_applications(wiring: Wiring, tenant: str, /) -> tuple[TenantApplication, ...]:
    """Return the applications that a tenant registered, the one that was added last first, without their secrets."""
    tenant_id = await known_tenant(wiring, tenant)
    found = [stored.facts for stored in await wiring.store.list_applications(tenant_id)]
    return tuple(_shown(wiring, facts, _find_provider(wiring, facts)) for facts in found)


async def remove_application(wiring: Wiring, tenant: str, application: UUID | str, /, *, caller: Caller) -> None:
    """Delete a tenant's application with its secrets.

    Raises `ApplicationNotFoundError`, and `ApplicationInUseError` while an integration has a grant that was issued to it, or a token of
    one waits for its revocation: without the application it could neither be renewed nor revoked.
    """
    tenant_id = await known_tenant(wiring, tenant)
    application_id = ContextId(read_id("applicationId", application))

    async def remove() -> None:
        held = await _find(wiring, tenant_id, application_id)
        if held is None:
            raise ApplicationNotFoundError
        integrations = await wiring.store.list_integrations(tenant_id)
        waiting = await waiting_revocations(wiring, tenant_id, provider_id=held.facts.provider_id, limit=_ALL)
        if any(getattr(row, "context_id", None) == application_id for row in (*integrations, *waiting)):
            raise ApplicationInUseError(application_id=str(application_id))
        change = RemoveApplication(tenant_id=tenant_id, application_id=application_id, expected_generation=held.generation)
        provider = _find_provider(wiring, held.facts)
        said = str(held.facts.provider_id) if provider is None else provider.id
        await apply(wiring, change, happened(wiring, "application.removed", _subject(held.facts), caller, provider=said))

    await again(remove, subject="application")


def _require_method(provider: Provider, method_id: str | None) -> Method:
    require_active(provider)
    method = find_consent_method(provider, method_id)
    if method is None:
        field = "provider" if method_id is None else "method"
        raise ValidationFailedError(field=field, problem="has no access by consent, so there is no OAuth application to register")
    if method.installation is not None:
        raise ValidationFailedError(field="method", problem="is an installation of the operator's own application")
    return method


@contextmanager
def _named_as_arguments() -> Generator[None]:
    """Turn an error about a setting of the operator's into one about the argument that the tenant gave."""
    try:
        yield
    except ConfigurationError as error:
        name = error.setting.removeprefix("OAuthApplication.")
        # Anything else than the name of an argument is about the application as a whole.
        field = _ARGUMENTS.get(name, "application")
        raise ValidationFailedError(field=field, problem=str(error).removeprefix(f"{error.setting} ")) from None


def _facts(
    wiring: Wiring, client: Client, tenant_id: TenantId, variables: Mapping[str, str], held: StoredApplication | None
) -> TenantApplication:
    now = wiring.clock.now()
    application = client.application
    return TenantApplication(
        id=client.context_id,
        tenant_id=tenant_id,
        provider_id=client.provider.provider_id,
        method_id=client.method.id,
        client_id=application.client_id,
        secrets=len(application.client_secrets),
        scopes=application.scopes or (),
        client_auth=application.client_auth,
        issuer=application.issuer,
        variables=dict(variables),
        created_at=now if held is None else held.facts.created_at,
        updated_at=now,
    )


def _shown(wiring: Wiring, facts: TenantApplication, provider: Provider | None) -> TenantApplication:
    """Return *facts* with the redirect URI that the tenant has to register at the provider."""
    operators = None if provider is None else wiring.applications.get(provider.id)
    own = operators.redirect_uris if operators is not None else ()
    return replace(facts, redirect_uri=own[0] if own else callback_uri(wiring, facts.id))


def _find_provider(wiring: Wiring, facts: TenantApplication) -> Provider | None:
    try:
        return wiring.providers.require(facts.provider_id)
    except ProviderNotFoundError:
        return None


async def _find(wiring: Wiring, tenant_id: TenantId, application_id: ContextId) -> StoredApplication | None:
    stored = await wiring.store.list_applications(tenant_id)
    return next((application for application in stored if application.facts.id == application_id), None)


def _subject(facts: TenantApplication) -> Subject:
    return Subject(tenant_id=facts.tenant_id, provider_id=facts.provider_id, application_id=facts.id)
