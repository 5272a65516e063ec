"""Work that nobody waits for: renewals that are due, revocations that are left."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.removal import RevocationRun
from cloud_integrations.domain.renewal import RenewalRun

from .parts import AsyncPart, Part


class Worker(Part):
    """Work in the background: `manager.worker`."""

    def refresh_due(self, *, limit: int = 100) -> RenewalRun:
        """Renew up to *limit* tokens whose time has come; call it now and then, from any number of processes.

        The database says whose turn it is, so no token is renewed twice.  Needs no worker of ours: any scheduler will do.
        """
        return self._run(flows.refresh_due(self._wiring, limit=limit))

    def refresh_refused(
        self,
        provider: str | UUID,
        *,
        reason: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Ask *provider* once more for every integration, of all tenants, that must reconnect (for *reason*), and return the counts.

        For after an incident in which a provider said of grants that they had ended.  A success makes an integration active
        again; the others stay as they are, and so does what is switched off.  *progress* is told how many were asked for.
        Raises `ProviderNotFoundError`.
        """
        return self._run(
            flows.refresh_refused(self._wiring, provider, reason=reason, caller=read_caller(actor, request_id), progress=progress)
        )

    def retry_revocations(
        self, *, limit: int = 100, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> RevocationRun:
        """Try again to revoke tokens whose provider did not take it, and delete authorizations that expired, of all tenants.

        Call it now and then, from any number of processes.  *actor* is the person who asks for it; left out, the system does.
        """
        return self._run(flows.retry_revocations(self._wiring, limit=limit, caller=read_caller(actor, request_id)))


class AsyncWorker(AsyncPart):
    """Work in the background: `manager.worker`."""

    async def refresh_due(self, *, limit: int = 100) -> RenewalRun:
        """Renew up to *limit* tokens whose time has come; call it now and then, from any number of processes."""
        return await self._run(flows.refresh_due(self._wiring, limit=limit))

    async def refresh_refused(
        self,
        provider: str | UUID,
        *,
        reason: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Ask *provider* once more for every integration, of all tenants, that must reconnect (for *reason*), and return the counts.

        For after an incident in which a provider said of grants that they had ended.  A success makes an integration active
        again; the others stay as they are, and so does what is switched off.  *progress* is told how many were asked for.
        Raises `ProviderNotFoundError`.
        """
        return await self._run(
            flows.refresh_refused(self._wiring, provider, reason=reason, caller=read_caller(actor, request_id), progress=progress)
        )

    async def retry_revocations(
        self, *, limit: int = 100, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> RevocationRun:
        """Try again to revoke tokens whose provider did not take it, and delete authorizations that expired, of all tenants.

        Call it now and then, from any number of processes.  *actor* is the person who asks for it; left out, the system does.
        """
        return await self._run(flows.retry_revocations(self._wiring, limit=limit, caller=read_caller(actor, request_id)))
