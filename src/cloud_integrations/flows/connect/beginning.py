"""What an authorization begins with, whether it goes through a browser or by device code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from cloud_integrations.domain.arguments import read_provider, read_scopes, read_text_or_none, read_variables
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import State, StoredIntegration, integration_name
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    DecryptError,
    IntegrationInactiveError,
    KeyringError,
    KeyServiceUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.clients import choose_client
from cloud_integrations.flows.shared.lookup import known_tenant, load_named, read_chosen_slot, require_unconnected
from cloud_integrations.flows.shared.server_metadata import located
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import by_consent
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.scopes import scopes_to_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is to be connected, or connected again, and at which authorization server."""

    tenant_id: TenantId
    client: Client
    name: str
    slot: str
    scopes: tuple[str, ...]
    """The scopes to ask for; empty: the provider's defaults."""
    reconnects: StoredIntegration | None = None

    @property
    def scopes_to_ask(self) -> tuple[str, ...]:
        """The scopes to ask for, the provider's defaults if none were named."""
        return scopes_to_request(self.client, self.scopes or None)

    @property
    def integration_id(self) -> IntegrationId | None:
        """The id of the integration to reconnect; None: a new one."""
        return None if self.reconnects is None else self.reconnects.facts.id

    @property
    def event(self) -> EventName:
        """What the audit log says of it."""
        return "authorization.begun" if self.reconnects is None else "authorization.reconnect_begun"

    @property
    def generation(self) -> int | None:
        """The generation of the credential that a reconnect replaces."""
        return None if self.reconnects is None else self.reconnects.credential.generation


async def read_connection(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    name: str,
    slot: str,
    scopes: Sequence[str],
    method: str | None,
    variables: Mapping[str, str] | None,
) -> Beginning:
    """Return a new connection, with a provider with which the tenant has no integration in this slot yet.

    Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError` or `IntegrationExistsError`, and as `located`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    name = integration_name(name)
    slot = read_chosen_slot(wiring, slot)
    asked = read_scopes(scopes)
    asked_method = read_text_or_none("method", method)
    filled = read_variables(variables)
    provider = wiring.providers.require(read_provider(provider_ref))
    client = await choose_client(wiring, tenant_id, provider, asked_method, filled)
    await require_unconnected(wiring, tenant_id, provider.provider_id, slot=slot)
    client = await located(wiring, tenant_id, client)
    return Beginning(tenant_id=tenant_id, client=client, name=name, slot=slot, scopes=asked)


async def read_reconnection(
    wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, scopes: Sequence[str], method: str | None
) -> Beginning:
    """Return the reconnect of an existing integration.

    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ValidationFailedError` or `ProviderInactiveError`, and as `located`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    asked = read_scopes(scopes)
    asked_method = read_text_or_none("method", method)
    stored = await load_named(wiring, tenant_id, integration, slot=slot)
    facts = stored.facts
    if not by_consent(facts.auth_type):
        raise ValidationFailedError(field="credentials", problem="are needed to reconnect an API key")
    if facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(facts.id))
    provider = wiring.providers.require(facts.provider_id)
    client = await choose_client(wiring, tenant_id, provider, asked_method, facts.variables)
    wanted = asked or facts.requested_scopes
    if client.method.scopes.on_reconnect == "union":
        wanted = tuple(dict.fromkeys((*facts.scopes, *wanted)))
    client = await located(wiring, tenant_id, client)
    return Beginning(tenant_id=tenant_id, client=client, name=facts.name, slot=facts.slot, scopes=wanted, reconnects=stored)


async def held_key(wiring: Wiring, beginning: Beginning) -> Secret | None:
    """Return the key to which the tokens of the integration to reconnect are bound (RFC 9449), which stays; None: there is none.

    So a refresh token that the new consent leaves in use stays bound to the key of the connection.
    """
    if beginning.reconnects is None or not beginning.client.method.uses_dpop:
        return None
    try:
        return (await wiring.sealer.open_column(beginning.reconnects, "presented")).get(DPOP_KEY)
    except (DecryptError, KeyringError, KeyServiceUnavailableError):
        return None
