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
from cloud_integrations.flows.shared.applications import announced_end
from cloud_integrations.flows.shared.entered import accept, facts_with, fingerprint_of, replacement
from cloud_integrations.flows.shared.events import happened, record_failure, recovery
from cloud_integrations.flows.shared.key_rotation import replaced
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.resources import settle_entered
from cloud_integrations.flows.shared.setups import read_next
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.verification import is_other_account
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.kinds import by_consent
from cloud_integrations.ports.store import Change


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
    subject = Subject.of(stored.facts)
    read = await read_next(wiring, stored, entered)
    await wiring.data_keys.at_start(tenant_id)
    with measured(wiring, "connect", tenant_id, stored.facts.provider_id):
        accepted = await accept(wiring, read, failure="integration.not_reconnected", subject=subject, caller=caller)
        changed = is_other_account(stored.facts.account, accepted.account)
        if changed and wiring.settings.pin_accounts:
            error = GrantRefusedError(reason="other_account")
            await record_failure(wiring, "integration.not_reconnected", subject, caller, error=error)
            raise error
        chosen = await settle_entered(
            wiring, read, accepted, before=stored.facts.variables, failure="integration.not_reconnected", subject=subject, caller=caller
        )
        now = wiring.clock.now()
        said = {"verified": str(accepted.is_verified).lower(), "account_changed": str(changed).lower()}
        ends = announced_end(read.provider, read.method.id)
        events = [happened(wiring, "integration.reconnected", subject, caller, **said, ends=ends)]
        if changed:
            events.append(happened(wiring, "integration.account_changed", subject, caller))

        fingerprint = await fingerprint_of(wiring, stored.facts, accepted)

        async def write() -> Integration:
            found = await load(wiring, tenant_id, stored.facts.id)
            if found.facts.state is State.DISABLED:
                raise IntegrationInactiveError(integration_id=str(found.facts.id))
            facts = facts_with(found.facts, accepted, read.method, now=now, told=read.told)
            facts = replace(facts, variables={**facts.variables, **chosen})
            ended = await replaced(wiring, tenant_id, facts.id, caller)

            def changes(data_key: DataKey) -> list[Change | Event]:
                change = replacement(wiring, data_key, found, facts, accepted, fingerprint=fingerprint)
                return [change, *ended(data_key), *events, *recovery(wiring, found.facts, facts, caller)]

            await apply_sealed(wiring, tenant_id, changes)
            return facts

        # If other values were stored at the same moment, these replace them.
        return await again(write, subject="integration")
