"""Ask the provider whether a stored credential works."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.check import CheckReport
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ProviderInactiveError
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.applications import operator_variables
from cloud_integrations.flows.shared.events import forecast
from cloud_integrations.flows.shared.freezing import require_unfrozen
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.trust import check_trust
from cloud_integrations.flows.shared.verification import check_credential, conclude
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import by_consent
from cloud_integrations.protocol.verification import CheckResult

from .handing_out import fresh, opened


async def verify(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, caller: Caller) -> CheckReport:
    """Check the credential with the provider, record the result and return it.

    A refused access token is renewed once and checked again.  An integration whose credential the provider refuses for good then
    needs a reconnect.  Raises `IntegrationNotFoundError`, `ProviderInactiveError` if the catalogue no longer has the method, and what
    `get_token` raises for a credential that cannot be handed out.
    """
    tenant_id = await known_tenant(wiring, tenant)
    stored = await load_named(wiring, tenant_id, integration, slot=slot)
    provider = wiring.providers.require(stored.facts.provider_id)
    method = provider.method_named(stored.facts.method_id)
    if method is None:
        raise ProviderInactiveError(provider_id=str(stored.facts.provider_id), problem="has no such method any more")
    with measured(wiring, "verify", tenant_id, provider.provider_id):
        await require_unfrozen(wiring, stored.to_use, caller)
        usable, _ = await fresh(wiring, stored.to_use, min_ttl=wiring.settings.min_ttl, caller=caller)
        await require_unfrozen(wiring, usable, caller)
        if usable.generation != stored.credential.generation:
            stored = await load(wiring, tenant_id, stored.facts.id)
        result, value = await _check(wiring, stored, provider, method)
        if result is not None and result.outcome == "dead" and stored.facts.renewable:
            # An access token can end before its time (RFC 6750 §3.1); the refresh token decides.
            stored = await renew(
                wiring,
                tenant_id,
                stored.facts.id,
                seen_generation=stored.credential.generation,
                caller=caller,
                patience=wiring.settings.wait_limit,
                access_is_dead=True,
            )
            result, value = await _check(wiring, stored, provider, method)
        if result is not None and result.accepted:
            forecast(wiring, stored.facts, result.expires_at or _end_of_key(stored))
        report = await conclude(wiring, stored, method, result=result, value=value, caller=caller)
        return replace(report, trust=await check_trust(wiring, stored, provider, method, caller=caller))


def _end_of_key(stored: StoredIntegration) -> datetime | None:
    """Return when the key ends, as it was said when it was entered.  The end of a grant is told by its renewals."""
    return None if by_consent(stored.facts.auth_type) else stored.facts.reconnect_before


async def _check(wiring: Wiring, stored: StoredIntegration, provider: Provider, method: Method) -> tuple[CheckResult | None, Secret | None]:
    credential = await opened(wiring, stored.to_use)
    variables = provider.fill_variables(stored.facts.variables, operator=operator_variables(wiring, provider))
    # A minted token or a proof is another one each time, so it identifies nobody.
    value = None if method.mint or method.shown_proofs else credential.value
    again = partial(opened, wiring, stored.to_use)
    return await check_credential(wiring, provider, method, presented=credential, variables=variables, again=again), value
