"""Rename an integration, or disable or enable it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from uuid import UUID

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import is_unresolved
from cloud_integrations.domain.integration import (
    APPLICATION_REASONS,
    SWITCHED_OFF,
    Integration,
    State,
    Status,
    StoredIntegration,
    integration_name,
    reconnect_reason,
)
from cloud_integrations.errors import ReconnectRequiredError, ValidationFailedError
from cloud_integrations.flows.shared.applications import find_method
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import find_named, known_tenant, load
from cloud_integrations.flows.shared.stale_writes import again
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SaveFacts, SetDue


async def edit_integration(
    wiring: Wiring,
    tenant: str,
    integration: UUID | str,
    /,
    *,
    slot: str,
    name: str | None,
    status: Status | Literal["active", "inactive"] | None,
    caller: Caller,
) -> Integration:
    """Change the name or the status of an integration, and return it.

    Raises `ValidationFailedError`, `IntegrationNotFoundError`, or `ReconnectRequiredError` if an integration is enabled whose
    credential was refused.
    """
    tenant_id = await known_tenant(wiring, tenant)
    if name is None and status is None:
        raise ValidationFailedError(field="name", problem="or status must be given")
    if name is not None:
        name = integration_name(name)
    if status is not None and status not in tuple(Status):
        raise ValidationFailedError(field="status", problem="must be active or inactive")
    integration_id = await find_named(wiring, tenant_id, integration, slot=slot)

    async def edit() -> Integration:
        stored = await load(wiring, tenant_id, integration_id)
        facts = _edited(wiring, stored, name=name, status=status)
        changed = [field for field in ("name", "state") if getattr(facts, field) != getattr(stored.facts, field)]
        if not changed:
            return stored.facts.as_of(wiring.clock.now())
        event = happened(wiring, _event(stored.facts, facts), Subject.of(facts), caller, fields=",".join(changed))
        await apply(wiring, SaveFacts(facts=facts, expected_state=stored.facts.state), *_check_at_once(wiring, stored, facts), event)
        wiring.tokens.drop(tenant_id)
        if status == Status.ACTIVE and facts.state is State.NEEDS_REAUTH:
            raise ReconnectRequiredError(integration_id=str(facts.id), reason=reconnect_reason(facts.reason))
        return facts.as_of(wiring.clock.now())

    # If a refresh changes the state in the meantime, decide again from the new state.
    return await again(edit, subject="integration")


def _edited(wiring: Wiring, stored: StoredIntegration, *, name: str | None, status: str | None) -> Integration:
    now, facts = wiring.clock.now(), stored.facts
    if name is not None and name != facts.name:
        facts = replace(facts, name=name, updated_at=now)
    if status == Status.INACTIVE and facts.state is not State.DISABLED:
        # The reason of a refused credential stays, so that enabling the integration again does not make it look usable.
        reason = facts.reason if facts.state is State.NEEDS_REAUTH else SWITCHED_OFF
        return replace(facts, state=State.DISABLED, state_since=now, reason=reason, updated_at=now)
    if status == Status.ACTIVE and facts.state is State.NEEDS_REAUTH:
        raise ReconnectRequiredError(integration_id=str(facts.id), reason=reconnect_reason(facts.reason))
    if status == Status.ACTIVE and facts.state is State.DISABLED:
        if facts.reason != SWITCHED_OFF:
            return replace(facts, state=State.NEEDS_REAUTH, state_since=now, updated_at=now)
        state, reason = _as_it_was(stored)
        return replace(facts, state=state, state_since=now, reason=reason, updated_at=now)
    return facts


def _check_at_once(wiring: Wiring, before: StoredIntegration, after: Integration) -> list[SetDue]:
    """Return the change that has the worker check what is switched on again, if it would end by disuse: nobody checked it meanwhile."""
    found = find_method(wiring, after.provider_id, after.method_id)
    if before.facts.state is not State.DISABLED or not after.state.is_refreshed or after.renewable or after.expires_at is not None:
        return []
    if found is None or found[1].idle is None:
        return []
    generation = before.credential.generation
    return [SetDue(tenant_id=after.tenant_id, integration_id=after.id, expected_generation=generation, due_at=wiring.clock.now())]


def _as_it_was(stored: StoredIntegration) -> tuple[State, str | None]:
    """Return the state and the reason from before the integration was disabled, read from its refresh marks."""
    if is_unresolved(stored):
        return State.UNKNOWN, stored.marks.last_error or "answer_lost"
    if stored.marks.last_error in APPLICATION_REASONS:
        return State.ACTIVE, stored.marks.last_error
    if stored.marks.next_attempt_at is not None:
        return State.RETRY, stored.marks.last_error
    return State.ACTIVE, None


def _event(before: Integration, after: Integration) -> EventName:
    if before.state is after.state:
        return "integration.renamed"
    return "integration.disabled" if after.state is State.DISABLED else "integration.enabled"
