"""An account is connected by values that the tenant enters: checked with the provider first, then sealed and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import read_provider, read_variables
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.entered import Entered
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.integration import Integration, integration_name
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.applications import announced_end
from cloud_integrations.flows.shared.entered import accept, read_entered, store_new, tell_hints
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.lookup import known_tenant, read_chosen_slot, require_unconnected
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.resources import settle_entered
from cloud_integrations.flows.shared.setups import find_setup_of, require_setup_method, with_made
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import auth_type_of
from cloud_integrations.ports.store import ClosePending


async def add(
    wiring: Wiring,
    tenant: str,
    provider_ref: str | UUID,
    /,
    *,
    name: str | None,
    slot: str,
    entered: Entered,
    variables: Mapping[str, str] | None,
    caller: Caller,
) -> Integration:
    """Check what was entered with its provider and store it as a new integration.

    For a method with something to set up, this completes the setup; without *name*, with the name that the setup began with.
    Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
    `InvalidCredentialsError` or `ProviderUnavailableError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    name = None if name is None else integration_name(name)
    slot = read_chosen_slot(wiring, slot)
    given = read_variables(variables)
    provider = wiring.providers.require(read_provider(provider_ref))
    if name is None:
        entered = replace(entered, method_id=require_setup_method(provider, entered.method_id).id)
    setup = await find_setup_of(wiring, tenant_id, provider, entered, slot=slot)
    before: Mapping[str, str] = {}
    if setup is not None:
        before = setup.pending.variables
        name = name or setup.pending.name
    read = read_entered(wiring, provider, entered, variables=given, before=before)
    if setup is not None:
        read = with_made(read, setup.made)
    if name is None:
        raise ValidationFailedError(field="method", problem="has no open setup that could be completed; begin one first")
    tell_hints(wiring, read, Subject(tenant_id=tenant_id, provider_id=provider.provider_id, slot=slot))
    begun_under = await wiring.data_keys.id_at_start(tenant_id)
    # Looked up before the provider is asked, so that a repeated attempt sends its key nowhere.
    await require_unconnected(wiring, tenant_id, provider.provider_id, slot=slot)
    now = wiring.clock.now()
    integration_id = IntegrationId(wiring.new_id()) if setup is None else setup.pending.integration_id
    subject = Subject(tenant_id=tenant_id, provider_id=provider.provider_id, integration_id=integration_id, slot=slot)
    with measured(wiring, "connect", tenant_id, provider.provider_id):
        accepted = await accept(wiring, read, failure="integration.not_connected", subject=subject, caller=caller)
        found = await settle_entered(
            wiring, read, accepted, before=None, failure="integration.not_connected", subject=subject, caller=caller
        )
        facts = Integration(
            id=integration_id,
            tenant_id=tenant_id,
            provider_id=provider.provider_id,
            name=name,
            slot=slot,
            auth_type=auth_type_of(read.method),
            state_since=now,
            created_at=now,
            updated_at=now,
            expires_at=accepted.expires_at,
            renewal_rule=accepted.renewal_rule,
            reconnect_before=accepted.reconnect_before,
            account=accepted.account,
            variables={**provider.tenant_variables(read.variables), **accepted.variables, **found},
            method_id=read.method.id,
        )
        said = {"provider": provider.id, "verified": str(accepted.is_verified).lower(), "ends": announced_end(provider, read.method.id)}
        event = happened(wiring, "integration.connected", subject, caller, **said)
        closes = [] if setup is None else [ClosePending(tenant_id=tenant_id, provider_id=provider.provider_id, slot=slot)]
        await store_new(wiring, facts, accepted, event, begun_under=begun_under, closes=closes)
        return facts
