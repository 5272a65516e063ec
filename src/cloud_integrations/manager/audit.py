"""The audit log: list it, verify it, and record what the host did or denied."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import Progress
from cloud_integrations.domain.audit import Actor, ActorErasure, AuditExport, AuditHead, AuditRecord, ExportFormat, PruneRun
from cloud_integrations.domain.audit_check import AuditReport
from cloud_integrations.domain.signed_note import NoteKey

from .parts import AsyncPart, Part


class AuditLog(Part):
    """The audit log: `manager.audit`."""

    def list(
        self,
        tenant_id: str | None,
        *,
        integration: UUID | str | None = None,
        slot: str = "",
        by: Actor | str | None = None,
        action: str | None = None,
        provider: UUID | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's events, newest first; at most *limit* (1 to 200).  None: those of the operator's own log.

        *integration* selects the events of one integration, also of one that was deleted.  *by* selects those of one actor, *action* of
        one action, *provider* of one provider (slug or UUID), *since* those of this time or later, *until* those before this time.
        *before* selects events with a lower number (`seq`), for the next page.  The call itself is recorded as an event.
        Raises `TenantNotFoundError`, `IntegrationNotFoundError`, `ProviderNotFoundError` or `ValidationFailedError`.
        """
        return self._run(
            flows.list_audit(
                self._wiring,
                tenant_id,
                integration=integration,
                slot=slot,
                by=by,
                action=action,
                provider=provider,
                since=since,
                until=until,
                before=before,
                limit=limit,
                caller=self._acting(actor, request_id),
            )
        )

    def export(
        self,
        tenant_id: str | None,
        *,
        form: ExportFormat = "json",
        after: int = 0,
        limit: int = 1_000,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> AuditExport:
        """Return the tenant's events (None: the operator's) after the number *after*, in order, each a line; at most *limit* (to 10,000).

        *form* is `json`, `cloudevents` (CloudEvents 1.0) or `ocsf` (OCSF 1.6.0, classes 3004 and 6003).  Keep `last` and ask for what is
        after it: whatever happens to the other system, nothing is left out.  `behind` says how much there is still to fetch.
        The call is recorded as an event, which the next call gives.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.export_audit(self._wiring, tenant_id, form=form, after=after, limit=limit, caller=caller))

    def verify(self, tenant_id: str | None, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain, or for None the operator's, and return whether anything was changed, removed, added or moved.

        Keep the `head` of the report outside the database.  Passed as *checkpoint* to a later call, it also shows that the newest events
        were cut off.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    def checkpoint(self, tenant_id: str | None = None) -> str:
        """Return a signed note with the newest event of every tenant, or of one; keep it where nobody can change both it and the database.

        `verify_checkpoint` then finds what was changed or cut off before.  The manager needs `checkpoint_keys`.
        Raises `TenantNotFoundError`, `ConfigurationError`, `KeyringError`, `KeyServiceUnavailableError`, or `DamagedRowError` for a head
        that was edited.
        """
        return self._run(flows.take_checkpoint(self._wiring, tenant_id))

    def verify_checkpoint(self, note: str, *, tenant_id: str | None = None) -> tuple[AuditReport, ...]:
        """Walk the chains of the tenants that a signed checkpoint names, or of one, and compare them with it.

        Raises `ValidationFailedError` (field `note`) for a note that no trusted key has signed or that does not name the tenant, and
        `ConfigurationError` without `checkpoint_keys`.
        """
        return self._run(flows.verify_checkpoint(self._wiring, note, tenant=tenant_id))

    def checkpoint_keys(self) -> tuple[NoteKey, ...]:
        """Return the public keys by which checkpoints are verified; the first one signs.  Their `str` is what auditors are given.

        Raises `ConfigurationError`, `KeyringError` or `KeyServiceUnavailableError`.
        """
        return self._run(flows.list_checkpoint_keys(self._wiring))

    def prune(
        self,
        *,
        days: int,
        tenant_id: str | None = None,
        progress: Progress | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> PruneRun:
        """Remove the events of all tenants, or of one, that are older than *days*; what remains can still be verified.

        A statement that `checkpoint_keys` sign stands in place of what went.  A chain that is broken among its old events keeps them.
        *progress* is called with the number of events that each transaction has removed.
        Raises `TenantNotFoundError`, `ValidationFailedError`, `ConfigurationError`, `KeyringError` or `KeyServiceUnavailableError`.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.prune_audit(self._wiring, tenant_id, days=days, progress=progress, caller=caller))

    def erase_actor(
        self, tenant_id: str, who: Actor | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> ActorErasure:
        """Put a pseudonym in the place of a person in every event of the tenant so far; the log still verifies.

        Nobody can find out from the log who it was.  A statement that `checkpoint_keys` sign says which events were changed, so nobody can
        hide another event in this way.  The acting actor, who is recorded, must be another.
        Raises `TenantNotFoundError`, `ValidationFailedError`, `ConfigurationError`, `KeyringError` or `KeyServiceUnavailableError`.
        """
        return self._run(flows.erase_actor(self._wiring, tenant_id, who=who, caller=self._acting(actor, request_id)))

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
        tenant_id: str | None,
        *,
        integration: UUID | str | None = None,
        slot: str = "",
        by: Actor | str | None = None,
        action: str | None = None,
        provider: UUID | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's events, newest first; at most *limit* (1 to 200).  None: those of the operator's own log.

        *integration* selects the events of one integration, also of one that was deleted.  *by* selects those of one actor, *action* of
        one action, *provider* of one provider (slug or UUID), *since* those of this time or later, *until* those before this time.
        *before* selects events with a lower number (`seq`), for the next page.  The call itself is recorded as an event.
        Raises `TenantNotFoundError`, `IntegrationNotFoundError`, `ProviderNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(
            flows.list_audit(
                self._wiring,
                tenant_id,
                integration=integration,
                slot=slot,
                by=by,
                action=action,
                provider=provider,
                since=since,
                until=until,
                before=before,
                limit=limit,
                caller=self._acting(actor, request_id),
            )
        )

    async def export(
        self,
        tenant_id: str | None,
        *,
        form: ExportFormat = "json",
        after: int = 0,
        limit: int = 1_000,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> AuditExport:
        """Return the tenant's events (None: the operator's) after the number *after*, in order, each a line; at most *limit* (to 10,000).

        *form* is `json`, `cloudevents` (CloudEvents 1.0) or `ocsf` (OCSF 1.6.0, classes 3004 and 6003).  Keep `last` and ask for what is
        after it: whatever happens to the other system, nothing is left out.  `behind` says how much there is still to fetch.
        The call is recorded as an event, which the next call gives.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.export_audit(self._wiring, tenant_id, form=form, after=after, limit=limit, caller=caller))

    async def verify(self, tenant_id: str | None, *, checkpoint: AuditHead | None = None) -> AuditReport:
        """Walk the tenant's audit chain, or for None the operator's, and return whether anything was changed, removed, added or moved.

        Keep the `head` of the report outside the database.  Passed as *checkpoint* to a later call, it also shows that the newest events
        were cut off.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.verify_audit(self._wiring, tenant_id, checkpoint=checkpoint))

    async def checkpoint(self, tenant_id: str | None = None) -> str:
        """Return a signed note with the newest event of every tenant, or of one; keep it where nobody can change both it and the database.

        `verify_checkpoint` then finds what was changed or cut off before.  The manager needs `checkpoint_keys`.
        Raises `TenantNotFoundError`, `ConfigurationError`, `KeyringError`, `KeyServiceUnavailableError`, or `DamagedRowError` for a head
        that was edited.
        """
        return await self._run(flows.take_checkpoint(self._wiring, tenant_id))

    async def verify_checkpoint(self, note: str, *, tenant_id: str | None = None) -> tuple[AuditReport, ...]:
        """Walk the chains of the tenants that a signed checkpoint names, or of one, and compare them with it.

        Raises `ValidationFailedError` (field `note`) for a note that no trusted key has signed or that does not name the tenant, and
        `ConfigurationError` without `checkpoint_keys`.
        """
        return await self._run(flows.verify_checkpoint(self._wiring, note, tenant=tenant_id))

    async def checkpoint_keys(self) -> tuple[NoteKey, ...]:
        """Return the public keys by which checkpoints are verified; the first one signs.  Their `str` is what auditors are given.

        Raises `ConfigurationError`, `KeyringError` or `KeyServiceUnavailableError`.
        """
        return await self._run(flows.list_checkpoint_keys(self._wiring))

    async def prune(
        self,
        *,
        days: int,
        tenant_id: str | None = None,
        progress: Progress | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> PruneRun:
        """Remove the events of all tenants, or of one, that are older than *days*; what remains can still be verified.

        A statement that `checkpoint_keys` sign stands in place of what went.  A chain that is broken among its old events keeps them.
        *progress* is called with the number of events that each transaction has removed.
        Raises `TenantNotFoundError`, `ValidationFailedError`, `ConfigurationError`, `KeyringError` or `KeyServiceUnavailableError`.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.prune_audit(self._wiring, tenant_id, days=days, progress=progress, caller=caller))

    async def erase_actor(
        self, tenant_id: str, who: Actor | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> ActorErasure:
        """Put a pseudonym in the place of a person in every event of the tenant so far; the log still verifies.

        Nobody can find out from the log who it was.  A statement that `checkpoint_keys` sign says which events were changed, so nobody can
        hide another event in this way.  The acting actor, who is recorded, must be another.
        Raises `TenantNotFoundError`, `ValidationFailedError`, `ConfigurationError`, `KeyringError` or `KeyServiceUnavailableError`.
        """
        return await self._run(flows.erase_actor(self._wiring, tenant_id, who=who, caller=self._acting(actor, request_id)))

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
