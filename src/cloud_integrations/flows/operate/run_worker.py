"""The worker: rounds over what is due and what is to be revoked, until it is asked to stop."""

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

from .prepare import prepare
from .retry_revocations import retry_revocations

_FIRST_BACKOFF = 1.0
_SPREAD = 0.2
"""Pauses differ by this part, so that workers which began together drift apart."""


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
    """Make rounds; with *once* until nothing is due, and then one over the revocations."""
    rounds = _Rounds(wiring, read_count("limit", limit, most=MOST_AT_ONCE), read_listener("onRound", on_round), caller)
    idle = read_duration("interval", interval).total_seconds()
    steps = (rounds.renew, rounds.revoke) if read_flag("renew", renew) else (rounds.revoke,)
    if read_flag("once", once):
        for step in steps:
            await repetition.repeat(step)
    else:
        # Side by side, so that a provider that is slow to revoke holds up no renewal.
        await repetition.repeat(*(_patient(rounds, step, idle) for step in steps))


class _Rounds:
    """Steps that make one round each and tell it."""

    def __init__(self, wiring: Wiring, limit: int, on_round: Callable[[WorkerRound], None] | None, caller: Caller) -> None:
        self.wiring = wiring
        self._limit = limit
        self._on_round = on_round
        self._caller = caller
        self._ready = False

    async def renew(self) -> float | None:
        """Renew what is due.  A round that was full is followed by the next at once."""
        await self._prepare()
        run = await refresh_due(self.wiring, limit=self._limit, caller=self._caller)
        self.tell(run)
        return 0.0 if run.claimed == self._limit else None

    async def revoke(self) -> float | None:
        """Revoke what waits, and sweep; the next round is for the next interval."""
        await self._prepare()
        self.tell(await retry_revocations(self.wiring, limit=self._limit, caller=self._caller))
        return None

    def tell(self, done: WorkerRound) -> None:
        """Tell the caller, and the observer of trouble."""
        if isinstance(done, RoundFailed):
            tell_of(self.wiring, "worker.round_failed", None, code=done.error.code)
        if self._on_round is not None:
            self._on_round(done)

    async def _prepare(self) -> None:
        # Within a round, because a store that is away for a moment is waited for at the start, too.
        if not self._ready:
            await prepare(self.wiring)
            self._ready = True


def _patient(rounds: _Rounds, step: Step, interval: float) -> Step:
    """Return *step* with the pause after it: an interval, or, while it fails, 1, 2, 4 … seconds up to one."""
    backoff = _FIRST_BACKOFF

    async def patient() -> float | None:
        nonlocal backoff
        try:
            wait = await step()
        except SetupError:
            # No time heals it.
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
