"""The audit log: read it, prove it, and record what the host did and refused."""

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
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events, newest first, below number *before*; at most *limit* (up to 200)."""
        return self._run(
            flows.list_audit(
                self._wiring, tenant_id, integration=integration, before=before, limit=limit, caller=self._acting(actor, request_id)
            )
        )

    def verify(self, tenant_id: str, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain and say whether anything was changed, removed, added or moved.

        The head of an earlier report, kept elsewhere, given as *checkpoint* also finds a chain that was cut back.
        """
        return self._run(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    def record(
        self,
        tenant_id: str,
        *,
        event: str,
        integration: UUID | str | None = None,
        facts: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record and tell that *event*, a kind that was handed to `domain.events.register`, happened in the tenant, or to an integration.

        *facts* are names and short printable text, as the kind lists them, never secret values; what is known of tenant and
        integration (`tenant`, `provider`, `provider_id`, `integration`) is added.
        Raises `TenantNotFoundError`, `IntegrationNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        self._run(flows.record_event(self._wiring, tenant_id, event, integration=integration, facts=facts, caller=caller))

    def record_denied(
        self,
        tenant_id: str,
        *,
        action: str,
        resource: str,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record that the host refused the actor an action; *action* and *resource* are short printable text.

        Repetitions are not written again: within a minute, one row per attempt, 5 rows per actor and 50 per tenant, for each process.
        Where the manager was given no `tenants`, a tenant without any event stays without one.
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
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events, newest first, below number *before*; at most *limit* (up to 200)."""
        return await self._run(
            flows.list_audit(
                self._wiring, tenant_id, integration=integration, before=before, limit=limit, caller=self._acting(actor, request_id)
            )
        )

    async def verify(self, tenant_id: str, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain and say whether anything was changed, removed, added or moved."""
        return await self._run(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    async def record(
        self,
        tenant_id: str,
        *,
        event: str,
        integration: UUID | str | None = None,
        facts: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record and tell that *event*, a kind that was handed to `domain.events.register`, happened in the tenant, or to an integration.

        *facts* are names and short printable text, as the kind lists them, never secret values; what is known of tenant and
        integration (`tenant`, `provider`, `provider_id`, `integration`) is added.
        Raises `TenantNotFoundError`, `IntegrationNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        await self._run(flows.record_event(self._wiring, tenant_id, event, integration=integration, facts=facts, caller=caller))

    async def record_denied(
        self,
        tenant_id: str,
        *,
        action: str,
        resource: str,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Record that the host refused the actor an action; *action* and *resource* are short printable text.

        Repetitions are not written again: within a minute, one row per attempt, 5 rows per actor and 50 per tenant, for each process.
        Where the manager was given no `tenants`, a tenant without any event stays without one.
        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        await self._run(
            flows.record_denied(self._wiring, tenant_id, action=action, resource=resource, caller=self._acting(actor, request_id))
        )
