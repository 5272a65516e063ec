"""Work that nobody waits for: renewals that are due, revocations that are left."""

from __future__ import annotations

from asyncio import Event as AsyncEvent
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import read_instance
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.removal import RevocationRun
from cloud_integrations.domain.renewal import RenewalRun, WorkerRound
from cloud_integrations.runtime.repetition import TaskRepetition, ThreadRepetition
from cloud_integrations.runtime.sync import run_inline

from .parts import AsyncPart, Part


class Worker(Part):
    """Work in the background: `manager.worker`."""

    def run(
        self,
        stop: Event,
        *,
        limit: int = 100,
        interval: timedelta | float = 30,
        once: bool = False,
        renew: bool = True,
        on_round: Callable[[WorkerRound], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Call `refresh_due` and `retry_revocations` again and again, until *stop* is set; in any number of processes.

        A round that claimed all of *limit* is followed by the next at once, else after *interval* (seconds, give or take a fifth).
        While the store or a key service does not answer, it is tried again after 1, 2, 4 … seconds, up to an interval.
        *on_round* is told what each round did, or that it was not made; what it raises ends the work.  With *once* it ends when
        nothing is due, and raises every error; without *renew* it makes rounds over the revocations alone.
        In the calling thread; set the event from another one, or from a signal handler.  The round that is under way when it is set
        is the last one.  Raises `SetupError`, which no time heals.
        """
        repetition = ThreadRepetition(read_instance("stop", stop, Event), self._wiring.pause, self._wiring.clock)
        run_inline(
            flows.run_worker(
                self._wiring,
                repetition,
                limit=limit,
                interval=interval,
                once=once,
                renew=renew,
                on_round=on_round,
                caller=self._acting_or_system(actor, request_id),
            )
        )

    def refresh_due(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Renew up to *limit* tokens whose time has come; call it now and then, from any number of processes.

        The database says whose turn it is, so no token is renewed twice.  Needs no worker of ours: any scheduler will do.
        """
        return self._run(flows.refresh_due(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))

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
            flows.refresh_refused(self._wiring, provider, reason=reason, caller=self._acting(actor, request_id), progress=progress)
        )

    def retry_revocations(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RevocationRun:
        """Try again to revoke tokens whose provider did not take it, and delete authorizations that expired, of all tenants.

        Call it now and then, from any number of processes.
        """
        return self._run(flows.retry_revocations(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))


class AsyncWorker(AsyncPart):
    """Work in the background: `manager.worker`."""

    async def run(
        self,
        stop: AsyncEvent,
        *,
        limit: int = 100,
        interval: timedelta | float = 30,
        once: bool = False,
        renew: bool = True,
        on_round: Callable[[WorkerRound], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Call `refresh_due` and `retry_revocations` again and again, until *stop* is set; in any number of processes.

        A round that claimed all of *limit* is followed by the next at once, else after *interval* (seconds, give or take a fifth).
        While the store or a key service does not answer, it is tried again after 1, 2, 4 … seconds, up to an interval.
        *on_round* is told what each round did, or that it was not made; what it raises ends the work.  With *once* it ends when
        nothing is due, and raises every error; without *renew* it makes rounds over the revocations alone.
        Renewals and revocations go on side by side.  After the stop, a round has 5 s to end, so that it is told; then only
        requests that are out already go on, and closing the manager waits for them.  Raises `SetupError`, which no time heals.
        """
        repetition = TaskRepetition(read_instance("stop", stop, AsyncEvent), self._wiring.pause)
        await flows.run_worker(
            self._wiring,
            repetition,
            limit=limit,
            interval=interval,
            once=once,
            renew=renew,
            on_round=on_round,
            caller=self._acting_or_system(actor, request_id),
        )

    async def refresh_due(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Renew up to *limit* tokens whose time has come; call it now and then, from any number of processes."""
        return await self._run(flows.refresh_due(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))

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
            flows.refresh_refused(self._wiring, provider, reason=reason, caller=self._acting(actor, request_id), progress=progress)
        )

    async def retry_revocations(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RevocationRun:
        """Try again to revoke tokens whose provider did not take it, and delete authorizations that expired, of all tenants.

        Call it now and then, from any number of processes.
        """
        return await self._run(flows.retry_revocations(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))
