"""Audit events, made the same way everywhere."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.audit import AuditEvent, Caller, Outcome
from cloud_integrations.domain.identifiers import TenantId, uuid7
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.ports.store import Record
from cloud_integrations.ports.wiring import Wiring


def resource_of(integration_id: UUID, /) -> str:
    """Name an integration in the audit log."""
    return f"integration:{integration_id}"


def recorded(
    wiring: Wiring,
    tenant_id: TenantId,
    caller: Caller,
    action: str,
    resource: str,
    /,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    reason: str | None = None,
    **details: str,
) -> Record:
    """Return the change that records what *caller* did; details are names and facts, never secret values."""
    now = wiring.clock.now()
    return Record(
        event=AuditEvent(
            event_id=uuid7(now, wiring.entropy.bytes(10)),
            tenant_id=tenant_id,
            occurred_at=now,
            actor=caller.actor,
            action=action,
            resource=resource,
            outcome=outcome,
            reason=reason,
            request_id=caller.request_id,
            details=details,
        )
    )


async def record_failure(
    wiring: Wiring, tenant_id: TenantId, caller: Caller, action: str, resource: str, /, *, error: CloudIntegrationsError, **details: str
) -> None:
    """Record, in a transaction of its own, that an attempt failed, by the class of its error."""
    reason = str(error.details.get("reason", error.code))
    await wiring.store.apply(recorded(wiring, tenant_id, caller, action, resource, outcome=Outcome.FAILURE, reason=reason, **details))
