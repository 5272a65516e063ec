"""List what a stored credential reaches, and choose which of it the integration is for."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.arguments import read_text
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import Health, Integration, StoredIntegration
from cloud_integrations.domain.provider import AfterConnecting, Method, Provider
from cloud_integrations.domain.resources import ResourceList
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared import resources
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.freezing import require_unfrozen
from cloud_integrations.flows.shared.lookup import find_named, known_tenant, load, load_named
from cloud_integrations.flows.shared.stale_writes import again
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SaveVariables

from .handing_out import fresh, opened


async def list_resources(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, caller: Caller) -> ResourceList:
    """Return what the integration's credential reaches, as the provider lists it now.

    Raises `IntegrationNotFoundError`, `ValidationFailedError` if nothing is to be chosen for its method, `ProviderUnavailableError` if the
    provider does not answer with a list, and what `get_token` raises for a credential that cannot be handed out.
    """
    tenant_id = await known_tenant(wiring, tenant)
    stored = await load_named(wiring, tenant_id, integration, slot=slot)
    return (await _listed(wiring, tenant_id, stored, caller=caller))[1]


async def choose_resource(
    wiring: Wiring, tenant: str, integration: UUID | str, resource: str, /, *, slot: str, caller: Caller
) -> Integration:
    """Let the integration be for one of the resources that its credential reaches, in the place of another one that was chosen before.

    Raises as `list_resources`, and `ValidationFailedError` for a resource that is not in a whole list.
    """
    tenant_id = await known_tenant(wiring, tenant)
    wanted = read_text("resource", resource, most=255)
    integration_id = await find_named(wiring, tenant_id, integration, slot=slot)

    async def choose() -> Integration:
        stored, found = await _listed(wiring, tenant_id, await load(wiring, tenant_id, integration_id), caller=caller)
        facts, now = stored.facts, wiring.clock.now()
        _require_reached(wiring, facts, found, wanted)
        if found.chosen == wanted:
            return facts.as_of(now)
        since = now if facts.health is Health.CHOOSE_RESOURCE else facts.state_since
        chosen = replace(facts, variables={**facts.variables, found.variable: wanted}, state_since=since, updated_at=now)
        event = happened(wiring, "integration.resource_chosen", Subject.of(facts), caller, fields=found.variable)
        await apply(wiring, SaveVariables(facts=chosen, expected_generation=stored.credential.generation), event)
        wiring.tokens.drop(tenant_id)
        return chosen.as_of(now)

    # If the credential is renewed or replaced in the meantime, ask again with the new one.
    return await again(choose, subject="integration")


def _require_reached(wiring: Wiring, facts: Integration, found: ResourceList, wanted: str) -> None:
    """Raise `ValidationFailedError` unless *wanted* can be the id of a resource that the credential reaches."""
    provider = wiring.providers.require(facts.provider_id)
    variable = next(each for each in provider.variables if each.name == found.variable)
    try:
        variable.check(wanted)
    except ValidationFailedError as error:
        raise ValidationFailedError(field="resource", problem=error.problem) from None
    if not found.may_have(wanted):
        raise ValidationFailedError(field="resource", problem="is none of those that the credential reaches")


async def _listed(
    wiring: Wiring, tenant_id: TenantId, stored: StoredIntegration, *, caller: Caller
) -> tuple[StoredIntegration, ResourceList]:
    """Return the row whose credential the provider was asked with, and what it reaches."""
    provider, method, facts = _require_choice(wiring, stored)
    await require_unfrozen(wiring, stored.to_use, caller)
    usable, _ = await fresh(wiring, stored.to_use, min_ttl=wiring.settings.min_ttl, caller=caller)
    await require_unfrozen(wiring, usable, caller)
    if usable.generation != stored.credential.generation:
        stored = await load(wiring, tenant_id, stored.facts.id)
    variables = known_variables(wiring, provider, stored.facts.variables)
    presented = await opened(wiring, stored.to_use)
    found = await resources.list_resources(wiring, provider, method, facts, presented=presented, variables=variables)
    return stored, replace(found, chosen=stored.facts.variables.get(facts.variable) or None)


def _require_choice(wiring: Wiring, stored: StoredIntegration) -> tuple[Provider, Method, AfterConnecting]:
    known = find_method(wiring, stored.facts.provider_id, stored.facts.method_id)
    if known is None or known[1].after_connecting is None:
        raise ValidationFailedError(field="integration", problem="needs no choice of a resource")
    return *known, known[1].after_connecting
