"""The worker: rounds that renew due credentials, retry revocations and deliver events, until it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cloud_integrations.domain.arguments import read_count, read_duration, read_flag, read_listener
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.renewal import RoundFailed, WorkerRound
from cloud_integrations.errors import CloudIntegrationsError, SetupError
from cloud_integrations.flows.renew.refresh_due import MOST_AT_ONCE, refresh_due
from cloud_integrations.flows.shared.events import tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.repetition import Repetition, Step

from .deliver_events import deliver_events
from .prepare import prepare
from .retry_revocations import retry_revocations

_FIRST_BACKOFF = 1.0
_NEWS = 5.0
"""The longest pause between two rounds that deliver events, in seconds."""
_SPREAD = 0.2
"""Pauses vary at random by this part, so that workers which started together do not stay in step."""


async def run_worker(
    wiring: Wiring,
    repetition: Repetition,
    /,
    *,
    limit: int,
    interval: timedelta | float,
    once: bool,
    renew: bool,
    on_round: Callable[[WorkerRound], None] | None,
    caller: Caller,
) -> None:
    """Make rounds until *repetition* is stopped.

    *limit* is the largest number of integrations, revocations or events per round, *interval* (seconds or a timedelta) the pause between
    rounds.  With *once*, renew until nothing more is due, retry revocations once, deliver events once, and return.  Without *renew*,
    renew nothing.  Events are delivered every five seconds at least.
    *on_round* receives each round's result.  Raises `ValidationFailedError`; with *once* the first error of a round, otherwise only a
    `SetupError`.
    """
    rounds = _Rounds(wiring, read_count("limit", limit, most=MOST_AT_ONCE), read_listener("onRound", on_round), caller)
    idle = read_duration("interval", interval).total_seconds()
    steps = [(rounds.renew, idle)] if read_flag("renew", renew) else []
    steps.append((rounds.revoke, idle))
    if wiring.delivers:
        steps.append((rounds.deliver, min(idle, _NEWS)))
    if read_flag("once", once):
        for step, _ in steps:
            await repetition.repeat(step)
    else:
        # Repeated independently, so that a provider that is slow to revoke delays no renewal.
        await repetition.repeat(*(_patient(rounds, step, pause) for step, pause in steps))


class _Rounds:
    """The steps of the worker: each makes one round and reports it."""

    def __init__(self, wiring: Wiring, limit: int, on_round: Callable[[WorkerRound], None] | None, caller: Caller) -> None:
        self.wiring = wiring
        self._limit = limit
        self._on_round = on_round
        self._caller = caller
        self._ready = False

    async def renew(self) -> float | None:
        """Renew due integrations; return 0 after a full round, so that the next follows at once, otherwise None."""
        await self._prepare()
        run = await refresh_due(self.wiring, limit=self._limit, caller=self._caller)
        self.tell(run)
        return 0.0 if run.claimed == self._limit else None

    async def revoke(self) -> float | None:
        """Retry waiting revocations and delete expired authorizations; return None, to wait for the next interval."""
        await self._prepare()
        self.tell(await retry_revocations(self.wiring, limit=self._limit, caller=self._caller))
        return None

    async def deliver(self) -> float | None:
        """Deliver events; return 0 after a full round, so that the next follows at once, otherwise None."""
        await self._prepare()
        run = await deliver_events(self.wiring, limit=self._limit, caller=self._caller)
        self.tell(run)
        return 0.0 if run.events == self._limit or run.delivered >= self._limit else None

    def tell(self, done: WorkerRound) -> None:
        """Report a round to the caller; tell the observer if it failed."""
        if isinstance(done, RoundFailed):
            tell_of(self.wiring, "worker.round_failed", None, code=done.error.code)
        if self._on_round is not None:
            self._on_round(done)

    async def _prepare(self) -> None:
        # Inside a round, so that a store that is unavailable at the start is waited for, too.
        if not self._ready:
            await prepare(self.wiring)
            self._ready = True


def _patient(rounds: _Rounds, step: Step, interval: float) -> Step:
    """Return *step* with its pauses: *interval* seconds after a success; after failures 1, 2, 4 … seconds, up to *interval*."""
    backoff = _FIRST_BACKOFF

    async def patient() -> float | None:
        nonlocal backoff
        try:
            wait = await step()
        except SetupError:
            # Waiting does not help.
            raise
        except CloudIntegrationsError as error:
            pause = _around(rounds.wiring, min(backoff, interval))
            backoff *= 2
            rounds.tell(RoundFailed(error=error, retry_in=timedelta(seconds=pause)))
            return pause
        backoff = _FIRST_BACKOFF
        return _around(rounds.wiring, interval) if wait is None else wait

    return patient


def _around(wiring: Wiring, seconds: float) -> float:
    return seconds * (1 - _SPREAD + 2 * _SPREAD * wiring.entropy.fraction())
