"""A code that the host's own front end received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import LONGEST_URL, read_provider, read_secret, read_secret_or_none, read_text, read_variables
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration, integration_name
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ValidationFailedError
from cloud_integrations.flows.shared.applications import callback_uri, client_of, require_consent_method
from cloud_integrations.flows.shared.events import failures_recorded, record_denied
from cloud_integrations.flows.shared.lookup import known_tenant, require_unconnected
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.authorize import MAX_CODE
from cloud_integrations.protocol.pasted_keys import require_no_private_key
from cloud_integrations.protocol.scopes import scopes_to_request

from .begin_oauth import hash_of
from .complete_oauth import check_pending, finish, take_own
from .grants import NewGrant, connect


async def add_oauth_code(
    wiring: Wiring,
    tenant: str,
    provider: str | UUID,
    /,
    *,
    name: str,
    code: Secret | str,
    redirect_uri: str,
    state: Secret | str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Integration:
    """Connect with a posted code, bound to an authorization begun here if it brings that one's state."""
    tenant_id = await known_tenant(wiring, tenant)
    name = integration_name(name)
    code = read_secret("code", code)
    state = read_secret_or_none("state", state)
    redirect_uri = read_text("redirectUri", redirect_uri, most=LONGEST_URL)
    filled = read_variables(variables)
    entry = wiring.providers.require(read_provider(provider))
    method = require_consent_method(wiring, entry)
    require_no_private_key(code, field="code")
    if len(code.reveal()) > MAX_CODE or not code.reveal().isascii() or not code.reveal().isprintable():
        raise ValidationFailedError(field="code", problem=f"must be 1 to {MAX_CODE} visible ASCII characters")
    if state is not None:
        return await _bound(wiring, tenant_id, entry, name=name, code=code, redirect_uri=redirect_uri, state=state, caller=caller)
    if wiring.settings.require_state:
        raise ValidationFailedError(field="state", problem="is required here")
    client = client_of(wiring, entry, method, filled)
    if redirect_uri not in {*client.application.redirect_uris, callback_uri(wiring, client.context_id)}:
        raise ValidationFailedError(field="redirectUri", problem="is not one that is configured for this provider")
    begun_under = await wiring.data_keys.id_at_start(tenant_id)
    await require_unconnected(wiring, tenant_id, entry.provider_id)
    integration_id = IntegrationId(wiring.new_id())
    subject = Subject(tenant_id=tenant_id, provider_id=entry.provider_id, integration_id=integration_id)

    async def work() -> Integration:
        async with failures_recorded(wiring, "integration.not_connected", subject, caller, bound="false"):
            if await wiring.store.has_pending(tenant_id, entry.provider_id):
                raise GrantRefusedError(reason="authorization_pending")
            wanted = NewGrant(
                tenant_id=tenant_id,
                integration_id=integration_id,
                name=name,
                client=client,
                scopes=scopes_to_request(client),
                begun_under=begun_under,
                bound=False,
            )
            return (await connect(wiring, wanted, code=code, redirect_uri=redirect_uri, verifier=None, caller=caller)).integration

    return await wiring.single_flight.shield(work)


async def _bound(
    wiring: Wiring, tenant_id: TenantId, provider: Provider, /, *, name: str, code: Secret, redirect_uri: str, state: Secret, caller: Caller
) -> Integration:
    # The caller is authenticated and posts the state itself, so principal and tenant stand for the browser here.
    pending = await wiring.store.find_pending(hash_of(state))
    if pending is None:
        raise GrantRefusedError(reason="state_not_valid")
    subject = Subject.named_by(pending)
    foreign = (pending.actor, pending.tenant_id, pending.provider_id) != (caller.actor, tenant_id, provider.provider_id)
    if foreign or pending.reconnects_generation is not None:
        await record_denied(wiring, "authorization.denied", subject, caller, reason="session_mismatch")
        raise GrantRefusedError(reason="state_not_valid")
    if pending.redirect_uri != redirect_uri:
        raise ValidationFailedError(field="redirectUri", problem="is not the one that the authorization began with")

    async def work() -> Integration:
        begun_under = await wiring.data_keys.id_at_start(tenant_id)
        taken = await take_own(wiring, pending)
        async with failures_recorded(wiring, "authorization.not_completed", subject, caller):
            client, stored = await check_pending(wiring, taken)
            named = replace(taken, name=name)
            return (await finish(wiring, named, client, stored, code=code, begun_under=begun_under, caller=caller)).integration

    return await wiring.single_flight.shield(work)
