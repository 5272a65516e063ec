"""The audit log: list it, verify it, and record what the host did or denied."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor, AuditHead, AuditRecord, AuditReport

from .parts import AsyncPart, Part


class AuditLog(Part):
    """The audit log: `manager.audit`."""

    def list(
        self,
        tenant_id: str,
        *,
        integration: UUID | str | None = None,
        slot: str = "",
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's events, newest first; at most *limit* (1 to 200).

        *integration* selects the events of one integration, also of one that was deleted.  *before* selects events with a lower number
        (`seq`), for the next page.  The call itself is recorded as an event.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(
            flows.list_audit(
                self._wiring,
                tenant_id,
                integration=integration,
                slot=slot,
                before=before,
                limit=limit,
                caller=self._acting(actor, request_id),
            )
        )

    def verify(self, tenant_id: str, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain and return whether anything was changed, removed, added or moved.

        Keep the `head` of the report outside the database.  Passed as *checkpoint* to a later call, it also shows that the newest events
        were cut off.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    def record(
        self,
        tenant_id: str,
        *,
        event: str,
        integration: UUID | str | None = None,
        slot: str = "",
        facts: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record an event of the host's own in the tenant, or about one *integration*, and tell the observer.

        *event* names a kind that the host has registered with `domain.events.register`.  *facts* are the names that the kind lists, each
        with a short printable text and never a secret; `tenant`, `provider`, `provider_id` and `integration` are added where known.
        Raises `TenantNotFoundError`, `IntegrationNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        self._run(flows.record_event(self._wiring, tenant_id, event, integration=integration, slot=slot, facts=facts, caller=caller))

    def record_denied(
        self,
        tenant_id: str,
        *,
        action: str,
        resource: str,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record that the host denied the actor an action; *action* and *resource* are short printable text.

        Repeated denials are not all written: in each process and minute, one row per attempt, 5 per actor and 50 per tenant.
        Where the manager has no `tenants`, nothing is written for a tenant that has no event yet.
        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        self._run(flows.record_denied(self._wiring, tenant_id, action=action, resource=resource, caller=self._acting(actor, request_id)))


class AsyncAuditLog(AsyncPart):
    """The audit log: `manager.audit`."""

    async def list(
        self,
        tenant_id: str,
        *,
        integration: UUID | str | None = None,
        slot: str = "",
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's events, newest first; at most *limit* (1 to 200).

        *integration* selects the events of one integration, also of one that was deleted.  *before* selects events with a lower number
        (`seq`), for the next page.  The call itself is recorded as an event.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(
            flows.list_audit(
                self._wiring,
                tenant_id,
                integration=integration,
                slot=slot,
                before=before,
                limit=limit,
                caller=self._acting(actor, request_id),
            )
        )

    async def verify(self, tenant_id: str, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain and return whether anything was changed, removed, added or moved.

        Keep the `head` of the report outside the database.  Passed as *checkpoint* to a later call, it also shows that the newest events
        were cut off.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    async def record(
        self,
        tenant_id: str,
        *,
        event: str,
        integration: UUID | str | None = None,
        slot: str = "",
        facts: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record an event of the host's own in the tenant, or about one *integration*, and tell the observer.

        *event* names a kind that the host has registered with `domain.events.register`.  *facts* are the names that the kind lists, each
        with a short printable text and never a secret; `tenant`, `provider`, `provider_id` and `integration` are added where known.
        Raises `TenantNotFoundError`, `IntegrationNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        await self._run(flows.record_event(self._wiring, tenant_id, event, integration=integration, slot=slot, facts=facts, caller=caller))

    async def record_denied(
        self,
        tenant_id: str,
        *,
        action: str,
        resource: str,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record that the host denied the actor an action; *action* and *resource* are short printable text.

        Repeated denials are not all written: in each process and minute, one row per attempt, 5 per actor and 50 per tenant.
        Where the manager has no `tenants`, nothing is written for a tenant that has no event yet.
        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        await self._run(
            flows.record_denied(self._wiring, tenant_id, action=action, resource=resource, caller=self._acting(actor, request_id))
        )
