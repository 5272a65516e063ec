"""New values take the place of those by which an integration was connected."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.entered import Entered
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.integration import Integration, State
from cloud_integrations.errors import GrantRefusedError, IntegrationInactiveError, ValidationFailedError
from cloud_integrations.flows.shared.entered import accept, fingerprint_of, read_entered, tell_hints
from cloud_integrations.flows.shared.events import happened, record_failure, recovery
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.setups import made_for, with_made
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.verification import is_other_account
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import by_consent
from cloud_integrations.ports.store import Change, ReplaceCredential


async def reconnect(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, entered: Entered, caller: Caller) -> Integration:
    """Check new values and store them in place of the old ones, which stay in use until then.

    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `GrantRefusedError` if accounts are pinned and the values belong to
    another account, and what `add` raises for values that are not accepted.
    """
    tenant_id = await known_tenant(wiring, tenant)
    stored = await load_named(wiring, tenant_id, integration, slot=slot)
    if by_consent(stored.facts.auth_type):
        raise ValidationFailedError(field="credentials", problem="is not how this integration was connected")
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(stored.facts.id))
    provider = wiring.providers.require(stored.facts.provider_id)
    subject = Subject.of(stored.facts)
    read = read_entered(wiring, provider, entered, variables=stored.facts.variables)
    if read.method.made_inputs:
        read = with_made(read, await made_for(wiring, stored, read.method))
    tell_hints(wiring, read, subject)
    await wiring.data_keys.at_start(tenant_id)
    accepted = await accept(wiring, read, failure="integration.not_reconnected", subject=subject, caller=caller)
    changed = is_other_account(stored.facts.account, accepted.account)
    if changed and wiring.settings.pin_accounts:
        error = GrantRefusedError(reason="other_account")
        await record_failure(wiring, "integration.not_reconnected", subject, caller, error=error)
        raise error
    now = wiring.clock.now()
    said = {"verified": str(accepted.is_verified).lower(), "account_changed": str(changed).lower()}
    events = [happened(wiring, "integration.reconnected", subject, caller, **said)]
    if changed:
        events.append(happened(wiring, "integration.account_changed", subject, caller))

    fingerprint = await fingerprint_of(wiring, stored.facts, accepted)

    async def write() -> Integration:
        found = await load(wiring, tenant_id, stored.facts.id)
        if found.facts.state is State.DISABLED:
            raise IntegrationInactiveError(integration_id=str(found.facts.id))
        facts = replace(
            found.facts,
            state=State.ACTIVE,
            state_since=now,
            reason=None,
            updated_at=now,
            expires_at=accepted.expires_at,
            renewal_rule=accepted.renewal_rule,
            account=accepted.account,
            method_id=read.method.id,
        )
        generation = found.credential.generation

        def changes(data_key: DataKey) -> list[Change | Event]:
            credential = wiring.sealer.seal_parts(
                data_key, facts.id, accepted.presented, accepted.renewal, generation=generation + 1, fingerprint=fingerprint
            )
            replacement = ReplaceCredential(facts=facts, credential=credential, expected_generation=generation, due_at=accepted.due_at)
            return [replacement, *events, *recovery(wiring, found.facts, facts, caller)]

        await apply_sealed(wiring, tenant_id, changes)
        return facts

    # If other values were stored at the same moment, these replace them.
    return await again(write, subject="integration")
