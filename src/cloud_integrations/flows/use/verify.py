"""Ask the provider whether a stored credential works."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.check import CheckReport
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.integration import AccountFacts, State, StoredIntegration
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ProviderInactiveError, StaleWriteError
from cloud_integrations.flows.renew.renew import renew
from cloud_integrations.flows.shared.applications import operator_variables
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.trust import check_trust
from cloud_integrations.flows.shared.verification import check_credential, identify, is_other_account
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SaveFacts
from cloud_integrations.protocol.verification import CheckResult

from .get_token import fresh, opened


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
    usable, _ = await fresh(wiring, stored.to_use, min_ttl=wiring.settings.min_ttl, caller=caller)
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
    report = await _conclude(wiring, stored, method, result=result, value=value, caller=caller)
    return replace(report, trust=await check_trust(wiring, stored, provider, method, caller=caller))


async def _check(wiring: Wiring, stored: StoredIntegration, provider: Provider, method: Method) -> tuple[CheckResult | None, Secret | None]:
    credential = await opened(wiring, stored.to_use)
    variables = provider.fill_variables(stored.facts.variables, operator=operator_variables(wiring, provider))
    # A minted token or a proof is another one each time, so it identifies nobody.
    value = None if method.mint or method.shown_proofs else credential.value
    again = partial(opened, wiring, stored.to_use)
    return await check_credential(wiring, provider, method, presented=credential, variables=variables, again=again), value


async def _conclude(
    wiring: Wiring, stored: StoredIntegration, method: Method, /, *, result: CheckResult | None, value: Secret | None, caller: Caller
) -> CheckReport:
    facts = stored.facts
    now = wiring.clock.now()
    account = AccountFacts()
    if result is not None and result.accepted:  # any other answer names nobody
        account = await identify(wiring, facts.tenant_id, method, result.account, value)
    changed = is_other_account(facts.account, account)
    outcome = "unknown" if result is None else result.outcome
    said = {"error": outcome, "account_changed": str(changed).lower()}
    event = happened(
        wiring,
        "integration.verified" if result is not None and result.accepted else "integration.not_verified",
        Subject.of(facts),
        caller,
        **said,
    )
    if outcome == "dead" and facts.state is not State.NEEDS_REAUTH:
        closed = replace(facts, state=State.NEEDS_REAUTH, state_since=now, reason="refused", updated_at=now)
        refused = happened(wiring, "integration.refused", Subject.of(facts), caller, reason="refused", **said)
        try:
            await apply(wiring, SaveFacts(facts=closed, expected_state=facts.state), refused)
        except StaleWriteError:
            # It was reconnected or disabled in the meantime, so this answer is about the old credential.
            await apply(wiring, event)
    else:
        await apply(wiring, event)
    return CheckReport(
        integration_id=facts.id,
        outcome=outcome,
        account=account if account.account_id is not None else facts.account,
        account_changed=changed,
        checked_at=now,
        verified=result is not None,
    )
