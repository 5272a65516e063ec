"""Renew a token because a caller asks for it, or because the provider refused the old one."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.arguments import read_instance
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Credential, CredentialWarning
from cloud_integrations.domain.freshness import Inactive, Reconnect, next_step
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.integration import Integration, State
from cloud_integrations.errors import IntegrationInactiveError, ReconnectRequiredError, ValidationFailedError
from cloud_integrations.flows.renew.leases import is_too_early
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.applications import find_method
from cloud_integrations.flows.shared.freezing import require_unfrozen, require_unfrozen_actor
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.shown_request import tenant_servers

from .handing_out import opened, record_use
from .narrowed import replace_narrowed


async def force_refresh(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, caller: Caller) -> Integration:
    """Renew a token now, however long it is still valid, and return the integration.

    If the provider said that the grant has ended, it is asked again.  Raises `ValidationFailedError` if there is nothing to renew,
    and what `renew` raises.
    """
    stored = await load_named(wiring, await known_tenant(wiring, tenant), integration, slot=slot)
    await require_unfrozen_actor(wiring, stored.to_use, caller)
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

    A token that was itself made in place of a refused one, a short while ago, comes back with the warning `refused_again`: a server
    that refuses everything has none made for each request.  The row says so, so every process knows it.
    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ReconnectRequiredError`, `ValidationFailedError` if the tenant has
    entered another server since, and what `renew` raises.
    """
    tenant_id = read_tenant_id(tenant)
    token = read_instance("token", token, Credential)
    if token.narrow is not None:
        row = await load(wiring, tenant_id, token.integration_id)
        await require_unfrozen(wiring, row.to_use, caller)
        return await replace_narrowed(wiring, row, token, token.narrow, caller=caller)
    warning: CredentialWarning | None = None
    try:
        stored = await load(wiring, tenant_id, token.integration_id)
        await require_unfrozen(wiring, stored.to_use, caller)
        if stored.credential.generation == token.generation and is_too_early(wiring, stored):
            warning = "refused_again"
    finally:
        # Where nothing is replaced, nothing is forgotten: narrowed credentials of the tenant would have to be asked for again.
        if warning is None:
            wiring.tokens.drop(tenant_id)
    match next_step(stored.to_use, now=wiring.clock.now(), min_ttl=wiring.settings.min_ttl):
        case Inactive():
            raise IntegrationInactiveError(integration_id=str(stored.facts.id))
        case Reconnect(reason):
            raise ReconnectRequiredError(integration_id=str(stored.facts.id), reason=reason)
        case _:
            pass
    if stored.credential.generation == token.generation and warning is None:
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
    replaced = await opened(wiring, stored.to_use, warning=warning, min_ttl=wiring.settings.min_ttl)
    known = find_method(wiring, stored.facts.provider_id, stored.facts.method_id)
    if known is not None and tenant_servers(known[0], replaced) != tenant_servers(known[0], token):
        # Whoever asks repeats a request, and a server that the tenant has left would get what is for the new one.
        raise ValidationFailedError(field="token", problem="is for another server than the tenant's: ask for a credential for that one")
    # Here too: a renewal takes a while.
    await require_unfrozen(wiring, stored.to_use, caller)
    await record_use(wiring, stored.to_use, caller)
    return replaced
