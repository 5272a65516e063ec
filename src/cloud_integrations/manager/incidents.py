"""Incidents: stop the use of credentials, find out which ones leaked, end them, and report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.incident import Incident, IncidentReport, IncidentRun, Scope
from cloud_integrations.domain.rekeying import RekeyRun

from .freezing import AsyncFreezing, Freezing


class Incidents(Freezing):
    """What an operator does when access has leaked: `manager.incidents`.  Nothing here asks the host whether the actor may."""

    def scope(
        self,
        *,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        application: UUID | str | None = None,
        integration: UUID | str | None = None,
        slot: str = "",
        used_by: Actor | str | None = None,
        everything: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Scope:
        """Return which credentials were handed out in uses that fit all that is named, from the audit log, with counts.

        The names are those of `freeze`, but that a person behind an agent is not looked for; *since* (this time or later) and *until*
        (before this time) are aware datetimes.  What was used without a record (`Settings.use_window=None`) is not found.
        Raises `ValidationFailedError`, `ProviderNotFoundError` or `IntegrationNotFoundError`.
        """
        return self._run(
            flows.find_scope(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                application=application,
                integration=integration,
                slot=slot,
                used_by=used_by,
                everything=everything,
                since=since,
                until=until,
            )
        )

    def open(
        self,
        *,
        reason: str,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        application: UUID | str | None = None,
        integration: UUID | str | None = None,
        slot: str = "",
        used_by: Actor | str | None = None,
        everything: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Incident:
        """Store an incident with its scope, which is found as by `scope`; what a tenant connects later does not belong to it.

        *reason* is 1 to 255 printable characters for the audit log.  Raises as `scope`.
        """
        return self._run(
            flows.open_incident(
                self._wiring,
                reason=reason,
                tenant=tenant_id,
                provider=provider,
                application=application,
                integration=integration,
                slot=slot,
                used_by=used_by,
                everything=everything,
                since=since,
                until=until,
                caller=self._acting(actor, request_id),
            )
        )

    def get(self, incident_id: UUID | str) -> Incident:
        """Return an incident.  Raises `IncidentNotFoundError` or `ValidationFailedError`."""
        return self._run(flows.get_incident(self._wiring, incident_id))

    def approve(
        self, incident_id: UUID | str, *, reason: str, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Incident:
        """Agree that somebody else ends the access in an incident, which `Settings.four_eyes` asks for; that holds for a day.

        *reason* is 1 to 255 printable characters for the audit log.  Raises `IncidentNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.approve_incident(self._wiring, incident_id, reason=reason, caller=self._acting(actor, request_id)))

    def list(self) -> tuple[Incident, ...]:
        """Return all incidents, the oldest first."""
        return self._run(flows.list_incidents(self._wiring))

    def revoke(
        self,
        incident_id: UUID | str,
        *,
        dry_run: bool = False,
        revoke_keys: bool = True,
        per_second: int = 10,
        at_most: int | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> IncidentRun:
        """End the access of every integration of an incident at its provider; each stays, and asks its tenant to reconnect.

        May be killed, repeated, and called in several processes at once: each integration is done once, and a call goes on where another
        ended.  One that its tenant has connected again since the incident was opened is left alone.  *dry_run* changes nothing and counts
        what would be done (as `left`).  *revoke_keys* also revokes keys that were pasted, where the provider can.  *per_second* is how many
        integrations of one provider are begun in a second.  *at_most* is how many integrations this call looks at, those first about
        which nothing was done yet; None: all.  *progress* is told how many more were looked at.
        Raises `IncidentNotFoundError`, `IncidentNotApprovedError` or `ValidationFailedError`.
        """
        return self._run(
            flows.revoke_incident(
                self._wiring,
                incident_id,
                dry_run=dry_run,
                revoke_keys=revoke_keys,
                per_second=per_second,
                at_most=at_most,
                progress=progress,
                caller=self._acting(actor, request_id),
            )
        )

    def rotate(
        self,
        incident_id: UUID | str,
        *,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Give every tenant of an incident a new data key, as `keys.rotate`; may be repeated.

        *progress* is told how many more tenants were looked at.  Raises `IncidentNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.rotate_incident(self._wiring, incident_id, caller=caller, progress=progress))

    def report(self, incident_id: UUID | str) -> IncidentReport:
        """Return what was done about each integration of an incident, and what may still work.

        Raises `IncidentNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.report_incident(self._wiring, incident_id))


class AsyncIncidents(AsyncFreezing):
    """What an operator does when access has leaked: `manager.incidents`.  Nothing here asks the host whether the actor may."""

    async def scope(
        self,
        *,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        application: UUID | str | None = None,
        integration: UUID | str | None = None,
        slot: str = "",
        used_by: Actor | str | None = None,
        everything: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Scope:
        """Return which credentials were handed out in uses that fit all that is named, from the audit log, with counts.

        The names are those of `freeze`, but that a person behind an agent is not looked for; *since* (this time or later) and *until*
        (before this time) are aware datetimes.  What was used without a record (`Settings.use_window=None`) is not found.
        Raises `ValidationFailedError`, `ProviderNotFoundError` or `IntegrationNotFoundError`.
        """
        return await self._run(
            flows.find_scope(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                application=application,
                integration=integration,
                slot=slot,
                used_by=used_by,
                everything=everything,
                since=since,
                until=until,
            )
        )

    async def open(
        self,
        *,
        reason: str,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        application: UUID | str | None = None,
        integration: UUID | str | None = None,
        slot: str = "",
        used_by: Actor | str | None = None,
        everything: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Incident:
        """Store an incident with its scope, which is found as by `scope`; what a tenant connects later does not belong to it.

        *reason* is 1 to 255 printable characters for the audit log.  Raises as `scope`.
        """
        return await self._run(
            flows.open_incident(
                self._wiring,
                reason=reason,
                tenant=tenant_id,
                provider=provider,
                application=application,
                integration=integration,
                slot=slot,
                used_by=used_by,
                everything=everything,
                since=since,
                until=until,
                caller=self._acting(actor, request_id),
            )
        )

    async def get(self, incident_id: UUID | str) -> Incident:
        """Return an incident.  Raises `IncidentNotFoundError` or `ValidationFailedError`."""
        return await self._run(flows.get_incident(self._wiring, incident_id))

    async def approve(
        self, incident_id: UUID | str, *, reason: str, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Incident:
        """Agree that somebody else ends the access in an incident, which `Settings.four_eyes` asks for; that holds for a day.

        *reason* is 1 to 255 printable characters for the audit log.  Raises `IncidentNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.approve_incident(self._wiring, incident_id, reason=reason, caller=self._acting(actor, request_id)))

    async def list(self) -> tuple[Incident, ...]:
        """Return all incidents, the oldest first."""
        return await self._run(flows.list_incidents(self._wiring))

    async def revoke(
        self,
        incident_id: UUID | str,
        *,
        dry_run: bool = False,
        revoke_keys: bool = True,
        per_second: int = 10,
        at_most: int | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> IncidentRun:
        """End the access of every integration of an incident at its provider; each stays, and asks its tenant to reconnect.

        May be killed, repeated, and called in several processes at once: each integration is done once, and a call goes on where another
        ended.  One that its tenant has connected again since the incident was opened is left alone.  *dry_run* changes nothing and counts
        what would be done (as `left`).  *revoke_keys* also revokes keys that were pasted, where the provider can.  *per_second* is how many
        integrations of one provider are begun in a second.  *at_most* is how many integrations this call looks at, those first about
        which nothing was done yet; None: all.  *progress* is told how many more were looked at.
        Raises `IncidentNotFoundError`, `IncidentNotApprovedError` or `ValidationFailedError`.
        """
        return await self._run(
            flows.revoke_incident(
                self._wiring,
                incident_id,
                dry_run=dry_run,
                revoke_keys=revoke_keys,
                per_second=per_second,
                at_most=at_most,
                progress=progress,
                caller=self._acting(actor, request_id),
            )
        )

    async def rotate(
        self,
        incident_id: UUID | str,
        *,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Give every tenant of an incident a new data key, as `keys.rotate`; may be repeated.

        *progress* is told how many more tenants were looked at.  Raises `IncidentNotFoundError` or `ValidationFailedError`.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.rotate_incident(self._wiring, incident_id, caller=caller, progress=progress))

    async def report(self, incident_id: UUID | str) -> IncidentReport:
        """Return what was done about each integration of an incident, and what may still work.

        Raises `IncidentNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.report_incident(self._wiring, incident_id))
