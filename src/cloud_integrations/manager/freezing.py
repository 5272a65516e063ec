"""Freezes: stop the use of credentials, and let it go on."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.freezing import Freeze

from .parts import AsyncPart, Part


class Freezing(Part):
    """What `manager.incidents` does about freezes."""

    def freeze(
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
        renewals: bool = True,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Freeze:
        """Stop that credentials are handed out: in this process at once, in others after at most `Settings.token_cache`.

        What is frozen fits all that is named: *tenant_id*; *provider*; *application*, the context id with which its callback address ends;
        *integration* of the tenant, with *slot* as in `credential`; *used_by*, who asks for credentials, or the person for whom an agent
        does.  *everything* must be said where nothing is named.  *renewals* says whether credentials are renewed meanwhile; one that is
        not may end.  *reason* is 1 to 255 printable characters for the audit log.
        What was handed out before goes on working until it ends or is revoked.
        Raises `ValidationFailedError`, `ProviderNotFoundError` or `IntegrationNotFoundError`.
        """
        return self._run(
            flows.freeze(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                application=application,
                integration=integration,
                slot=slot,
                used_by=used_by,
                everything=everything,
                renewals=renewals,
                reason=reason,
                caller=self._acting(actor, request_id),
            )
        )

    def unfreeze(
        self, freeze_id: UUID | str, *, reason: str, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Freeze:
        """Lift one freeze; what another one stops stays stopped.  May be repeated: who lifted it first is who lifted it.

        Raises `FreezeNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.unfreeze(self._wiring, freeze_id, reason=reason, caller=self._acting(actor, request_id)))

    def freezes(self, *, lifted: bool = False) -> tuple[Freeze, ...]:
        """Return the freezes in force, the oldest first; with *lifted*, also those that are not any more."""
        return self._run(flows.list_freezes(self._wiring, lifted=lifted))


class AsyncFreezing(AsyncPart):
    """What `manager.incidents` does about freezes."""

    async def freeze(
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
        renewals: bool = True,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Freeze:
        """Stop that credentials are handed out: in this process at once, in others after at most `Settings.token_cache`.

        What is frozen fits all that is named: *tenant_id*; *provider*; *application*, the context id with which its callback address ends;
        *integration* of the tenant, with *slot* as in `credential`; *used_by*, who asks for credentials, or the person for whom an agent
        does.  *everything* must be said where nothing is named.  *renewals* says whether credentials are renewed meanwhile; one that is
        not may end.  *reason* is 1 to 255 printable characters for the audit log.
        What was handed out before goes on working until it ends or is revoked.
        Raises `ValidationFailedError`, `ProviderNotFoundError` or `IntegrationNotFoundError`.
        """
        return await self._run(
            flows.freeze(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                application=application,
                integration=integration,
                slot=slot,
                used_by=used_by,
                everything=everything,
                renewals=renewals,
                reason=reason,
                caller=self._acting(actor, request_id),
            )
        )

    async def unfreeze(
        self, freeze_id: UUID | str, *, reason: str, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> Freeze:
        """Lift one freeze; what another one stops stays stopped.  May be repeated: who lifted it first is who lifted it.

        Raises `FreezeNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.unfreeze(self._wiring, freeze_id, reason=reason, caller=self._acting(actor, request_id)))

    async def freezes(self, *, lifted: bool = False) -> tuple[Freeze, ...]:
        """Return the freezes in force, the oldest first; with *lifted*, also those that are not any more."""
        return await self._run(flows.list_freezes(self._wiring, lifted=lifted))
