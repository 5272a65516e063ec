"""Begin a setup: make what the tenant needs before the access can be set up at the provider."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cloud_integrations.domain.arguments import read_provider, read_text_or_none, read_variables
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import integration_name
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.setup import Setup
from cloud_integrations.flows.shared.applications import operator_variables
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.lookup import known_tenant, read_chosen_slot, require_unconnected
from cloud_integrations.flows.shared.minting import require_platform
from cloud_integrations.flows.shared.setups import OpenSetup, find_setup, require_setup_method, setup_hash
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.trust import make_value
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddPending

from .guide import setup_guide


async def begin_setup(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    name: str,
    slot: str,
    method: str | None,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Setup:
    """Begin a setup, or return the one that is open for this tenant, provider, method and slot.

    *method* is the id of a method with something to set up, None for the provider's first one.  Raises `ValidationFailedError`,
    `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`, or `AppMisconfiguredError` if the operator has no
    credential of its own at the provider.
    """
    tenant_id = await known_tenant(wiring, tenant)
    name = integration_name(name)
    slot = read_chosen_slot(wiring, slot)
    asked = read_text_or_none("method", method)
    given = read_variables(variables)
    provider = wiring.providers.require(read_provider(provider_ref))
    chosen = require_setup_method(provider, asked)
    filled = provider.fill_variables(given, operator=operator_variables(wiring, provider))
    await require_unconnected(wiring, tenant_id, provider.provider_id, slot=slot)
    platform = await require_platform(wiring, provider, chosen)
    principal = None if platform is None else platform.principal

    async def attempt() -> OpenSetup:
        found = await find_setup(wiring, tenant_id, provider.provider_id, chosen, slot=slot)
        if found is not None:
            return found
        return await _begin(
            wiring, tenant_id, provider, chosen, name=name, slot=slot, variables=provider.tenant_variables(filled), caller=caller
        )

    # If another call begins the same setup at this moment, its values are returned.
    begun = await again(attempt, subject="setup")
    known = {name: value.reveal() for name, value in begun.made.items()} | ({} if principal is None else {"principal": principal})
    return Setup(
        integration_id=begun.pending.integration_id,
        provider_id=provider.provider_id,
        method_id=chosen.id,
        slot=slot,
        made=begun.made,
        principal=principal,
        guide=setup_guide(wiring, provider, chosen, tenant_id, variables={**begun.pending.variables, **given}, known=known),
        inputs=tuple(each.name for each in chosen.entered_inputs),
        expires_at=begun.pending.expires_at,
    )


async def _begin(
    wiring: Wiring,
    tenant_id: TenantId,
    provider: Provider,
    method: Method,
    /,
    *,
    name: str,
    slot: str,
    variables: dict[str, str],
    caller: Caller,
) -> OpenSetup:
    now = wiring.clock.now()
    made = {each.name: make_value(wiring) for each in method.made_inputs}
    pending = PendingAuthorization(
        state_hash=setup_hash(tenant_id, provider.provider_id, method.id, slot),
        awaits="setup",
        tenant_id=tenant_id,
        provider_id=provider.provider_id,
        slot=slot,
        method_id=method.id,
        integration_id=IntegrationId(wiring.new_id()),
        actor=caller.actor,
        browser_hash=None,
        name=name,
        variables=variables,
        created_at=now,
        expires_at=now + wiring.settings.setup_lifetime,
    )
    subject = Subject.named_by(pending)
    event = happened(wiring, "authorization.begun", subject, caller, provider=provider.id)
    await apply_sealed(wiring, tenant_id, lambda key: (AddPending(pending=wiring.sealer.seal_pending(key, pending, made)), event))
    return OpenSetup(pending=pending, made=made)
