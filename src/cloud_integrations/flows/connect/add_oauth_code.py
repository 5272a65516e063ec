"""Connect with an authorization code that the host's own front end received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import (
    LONGEST_URL,
    read_provider,
    read_secret,
    read_secret_or_none,
    read_text,
    read_text_or_none,
    read_variables,
)
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration, integration_name
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ValidationFailedError
from cloud_integrations.flows.shared.applications import callback_uri
from cloud_integrations.flows.shared.clients import choose_client
from cloud_integrations.flows.shared.events import failures_recorded, record_denied
from cloud_integrations.flows.shared.lookup import known_tenant, read_chosen_slot, require_unconnected
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.authorize import MAX_CODE
from cloud_integrations.protocol.pasted_keys import require_no_private_key
from cloud_integrations.protocol.scopes import scopes_to_request

from .begin_oauth import find_by_state
from .complete_oauth import check_pending, finish, take_own
from .exchange import NewGrant
from .grants import connect


async def add_oauth_code(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    name: str,
    slot: str,
    code: Secret | str,
    redirect_uri: str,
    state: Secret | str | None,
    method: str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Integration:
    """Exchange a posted authorization code and store the grant as a new integration.

    With *state*, the code must belong to the authorization that was begun here with this state.  Raises `ValidationFailedError`,
    `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`, `GrantRefusedError`, `AppMisconfiguredError` or
    `ProviderUnavailableError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    name = integration_name(name)
    slot = read_chosen_slot(wiring, slot)
    code = read_secret("code", code)
    state = read_secret_or_none("state", state)
    redirect_uri = read_text("redirectUri", redirect_uri, most=LONGEST_URL)
    asked_method = read_text_or_none("method", method)
    filled = read_variables(variables)
    provider = wiring.providers.require(read_provider(provider_ref))
    require_no_private_key(code, field="code")
    if len(code.reveal()) > MAX_CODE or not code.reveal().isascii() or not code.reveal().isprintable():
        raise ValidationFailedError(field="code", problem=f"must be 1 to {MAX_CODE} visible ASCII characters")
    if state is not None:
        return await _bound(
            wiring, tenant_id, provider, name=name, slot=slot, code=code, redirect_uri=redirect_uri, state=state, caller=caller
        )
    if wiring.settings.require_state:
        raise ValidationFailedError(field="state", problem="is required here")
    begun_under = await wiring.data_keys.id_at_start(tenant_id)
    client = await choose_client(wiring, tenant_id, provider, asked_method, filled)
    if client.method.installation is not None:
        # Without an authorization that was begun here, an installation could be slipped to a tenant.
        raise ValidationFailedError(field="state", problem="is required for an installation: begin an authorization first")
    if redirect_uri not in {*client.application.redirect_uris, callback_uri(wiring, client.context_id)}:
        raise ValidationFailedError(field="redirectUri", problem="is not one that is configured for this provider")
    await require_unconnected(wiring, tenant_id, provider.provider_id, slot=slot)
    integration_id = IntegrationId(wiring.new_id())
    subject = Subject(tenant_id=tenant_id, provider_id=provider.provider_id, integration_id=integration_id, slot=slot)

    async def work() -> Integration:
        async with failures_recorded(wiring, "integration.not_connected", subject, caller, bound="false"):
            if await wiring.store.has_pending(tenant_id, provider.provider_id, slot=slot):
                raise GrantRefusedError(reason="authorization_pending")
            wanted = NewGrant(
                tenant_id=tenant_id,
                integration_id=integration_id,
                name=name,
                slot=slot,
                client=client,
                scopes=scopes_to_request(client),
                begun_under=begun_under,
                bound=False,
            )
            return (await connect(wiring, wanted, code=code, redirect_uri=redirect_uri, verifier=None, caller=caller)).integration

    return await wiring.single_flight.shield(work)


async def _bound(
    wiring: Wiring,
    tenant_id: TenantId,
    provider: Provider,
    /,
    *,
    name: str,
    slot: str,
    code: Secret,
    redirect_uri: str,
    state: Secret,
    caller: Caller,
) -> Integration:
    # The authenticated caller posts the state itself, so the caller and the tenant are compared instead of the browser's token.
    pending = await find_by_state(wiring, state)
    if pending is None:
        raise GrantRefusedError(reason="state_not_valid")
    subject = Subject.named_by(pending)
    foreign = (pending.actor, pending.tenant_id, pending.provider_id) != (caller.actor, tenant_id, provider.provider_id)
    if foreign or pending.reconnects_generation is not None:
        await record_denied(wiring, "authorization.denied", subject, caller, reason="session_mismatch")
        raise GrantRefusedError(reason="state_not_valid")
    if pending.slot != slot:
        raise ValidationFailedError(field="slot", problem="is not the one that the authorization began with")
    if pending.redirect_uri != redirect_uri:
        raise ValidationFailedError(field="redirectUri", problem="is not the one that the authorization began with")

    async def work() -> Integration:
        begun_under = await wiring.data_keys.id_at_start(tenant_id)
        consumed = await take_own(wiring, pending)
        async with failures_recorded(wiring, "authorization.not_completed", subject, caller):
            client, stored = await check_pending(wiring, consumed)
            named = replace(consumed, name=name)
            return (await finish(wiring, named, client, stored, code=code, begun_under=begun_under, caller=caller)).integration

    return await wiring.single_flight.shield(work)
