"""Work that no caller waits for: renewals that are due, revocations to retry, and events to deliver."""

from __future__ import annotations

from asyncio import Event as AsyncEvent
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import read_instance
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.event_message import DeliveryRun
from cloud_integrations.domain.removal import RevocationRun
from cloud_integrations.domain.renewal import RenewalRun, WorkerRound
from cloud_integrations.domain.work_report import WorkReport
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
        """Call `refresh_due`, `retry_revocations` and `deliver_events` in rounds until *stop* is set; any number of processes may do so.

        A full round, which claimed *limit* renewals, is followed by the next at once; otherwise the next comes after *interval* (seconds,
        give or take a fifth); for events after five seconds, if that is shorter.  While the store or a key service does not answer, it is
        tried again after 1, 2, 4 … seconds, up to an interval.  *on_round* is told what each round did, or why it failed; an error that
        it raises ends the work.
        With *once* the work ends when nothing is due, and every error is raised; without *renew* nothing is renewed.
        `IntegrationManager` works in the calling thread: set the event from another thread or from a signal handler; the round under way
        is the last.  `AsyncIntegrationManager` renews and revokes side by side; after the stop a round has 5 s to end and be told, then
        only requests that are already sent go on, and closing the manager waits for them.
        Raises `SetupError`, which waiting does not repair.
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

    def report(self) -> WorkReport:
        """Return what waits to be done and how many integrations work, counted over all tenants by three queries.

        For gauges and alarms: what is due or waits in the outbox, since when, and the integrations by provider and health.  The
        integrations are all read for it, so ask at most a few times a minute.  Raises `StorageUnavailableError`.
        """
        return self._run(flows.work_report(self._wiring))

    def refresh_due(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Renew up to *limit* tokens that are due; call it regularly, from any number of processes and with any scheduler.

        Each due token is claimed in the database, so two processes do not renew the same one.
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
        """Refresh every integration with *provider* that must reconnect, in all tenants, once more, and return the counts.

        Use it after an incident in which the provider wrongly said that grants had ended.  *reason* selects those with this reason.  A
        success makes an integration active again; the others stay as they are, and disabled ones are left out.  *progress* is told how
        many were tried so far.
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
        """Retry up to *limit* revocations that failed before, and delete expired authorizations, of all tenants.

        Once a day, the first call also tells the observer of methods in use that their providers have announced to end (`method.ends`).
        Call it regularly, from any number of processes.
        """
        return self._run(flows.retry_revocations(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))

    def deliver_events(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> DeliveryRun:
        """Bring each receiver up to *limit* events that wait for it, and announce which integrations end soon, of all tenants.

        Call it regularly, from any number of processes.  A process delivers to webhooks, and to the handlers that its manager has: give
        each worker the same handlers, because who finds the receivers of an event knows its own.
        """
        return self._run(flows.deliver_events(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))


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
        """Call `refresh_due`, `retry_revocations` and `deliver_events` in rounds until *stop* is set; any number of processes may do so.

        A full round, which claimed *limit* renewals, is followed by the next at once; otherwise the next comes after *interval* (seconds,
        give or take a fifth); for events after five seconds, if that is shorter.  While the store or a key service does not answer, it is
        tried again after 1, 2, 4 … seconds, up to an interval.  *on_round* is told what each round did, or why it failed; an error that
        it raises ends the work.
        With *once* the work ends when nothing is due, and every error is raised; without *renew* nothing is renewed.
        `IntegrationManager` works in the calling thread: set the event from another thread or from a signal handler; the round under way
        is the last.  `AsyncIntegrationManager` renews and revokes side by side; after the stop a round has 5 s to end and be told, then
        only requests that are already sent go on, and closing the manager waits for them.
        Raises `SetupError`, which waiting does not repair.
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

    async def report(self) -> WorkReport:
        """Return what waits to be done and how many integrations work, counted over all tenants by three queries.

        For gauges and alarms: what is due or waits in the outbox, since when, and the integrations by provider and health.  The
        integrations are all read for it, so ask at most a few times a minute.  Raises `StorageUnavailableError`.
        """
        return await self._run(flows.work_report(self._wiring))

    async def refresh_due(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RenewalRun:
        """Renew up to *limit* tokens that are due; call it regularly, from any number of processes and with any scheduler.

        Each due token is claimed in the database, so two processes do not renew the same one.
        """
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
        """Refresh every integration with *provider* that must reconnect, in all tenants, once more, and return the counts.

        Use it after an incident in which the provider wrongly said that grants had ended.  *reason* selects those with this reason.  A
        success makes an integration active again; the others stay as they are, and disabled ones are left out.  *progress* is told how
        many were tried so far.
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
        """Retry up to *limit* revocations that failed before, and delete expired authorizations, of all tenants.

        Once a day, the first call also tells the observer of methods in use that their providers have announced to end (`method.ends`).
        Call it regularly, from any number of processes.
        """
        return await self._run(flows.retry_revocations(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))

    async def deliver_events(
        self,
        *,
        limit: int = 100,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> DeliveryRun:
        """Bring each receiver up to *limit* events that wait for it, and announce which integrations end soon, of all tenants.

        Call it regularly, from any number of processes.  A process delivers to webhooks, and to the handlers that its manager has: give
        each worker the same handlers, because who finds the receivers of an event knows its own.
        """
        return await self._run(flows.deliver_events(self._wiring, limit=limit, caller=self._acting_or_system(actor, request_id)))
