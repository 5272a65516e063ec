"""Renew a token because a caller asks for it, or because the provider refused the old one."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.arguments import read_instance
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.freshness import Inactive, Reconnect, next_step
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.integration import Integration, State
from cloud_integrations.errors import IntegrationInactiveError, ReconnectRequiredError, ValidationFailedError
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.wiring import Wiring

from .get_token import opened, record_use


async def force_refresh(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, caller: Caller) -> Integration:
    """Renew a token now, however long it is still valid, and return the integration.

    If the provider said that the grant has ended, it is asked again.  Raises `ValidationFailedError` if there is nothing to renew,
    and what `renew` raises.
    """
    stored = await load_named(wiring, await known_tenant(wiring, tenant), integration, slot=slot)
    if stored.facts.renewal_rule == "keep":
        raise ValidationFailedError(field="integration", problem="is an API key, which is not renewed")
    renewed = await renew(
        wiring,
        stored.facts.tenant_id,
        stored.facts.id,
        seen_generation=stored.credential.generation,
        caller=caller,
        patience=wiring.settings.wait_limit,
        forced=True,
        asks_again=stored.facts.state is State.NEEDS_REAUTH,
    )
    return renewed.facts


async def replace_refused(wiring: Wiring, tenant: str, token: Credential, /, *, caller: Caller) -> Credential:
    """Return another token in place of one that the provider refused; at most one refresh per generation (OAU-053).

    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ReconnectRequiredError`, and what `renew` raises.
    """
    tenant_id = read_tenant_id(tenant)
    token = read_instance("token", token, Credential)
    wiring.tokens.drop(tenant_id)
    stored = await load(wiring, tenant_id, token.integration_id)
    match next_step(stored.to_use, now=wiring.clock.now(), min_ttl=wiring.settings.min_ttl):
        case Inactive():
            raise IntegrationInactiveError(integration_id=str(stored.facts.id))
        case Reconnect(reason):
            raise ReconnectRequiredError(integration_id=str(stored.facts.id), reason=reason)
        case _:
            pass
    if stored.credential.generation == token.generation:
        if not stored.facts.renewable:
            raise ReconnectRequiredError(integration_id=str(stored.facts.id), reason="refused")
        stored = await renew(
            wiring,
            tenant_id,
            stored.facts.id,
            seen_generation=token.generation,
            caller=caller,
            patience=wiring.settings.wait_limit,
            access_is_dead=True,
        )
    replaced = await opened(wiring, stored.to_use, min_ttl=wiring.settings.min_ttl)
    await record_use(wiring, stored.to_use, caller)
    return replaced
