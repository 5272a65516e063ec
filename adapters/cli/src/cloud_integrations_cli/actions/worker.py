"""`worker`: tokens are renewed before they end, in rounds, until it is asked to stop."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import typer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_integrations import AsyncIntegrationManager, CloudIntegrationsError, RenewalRun, RevocationRun
from cloud_integrations.errors import SetupError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.engines import database_name
from cloud_integrations_cli.exits import STORAGE, sentence
from cloud_integrations_cli.listening import Listening, bind
from cloud_integrations_cli.render import Screen, run_out, timestamp
from cloud_integrations_cli.settings import Configuration

_GRACE = 5.0
"""Seconds that a round has to end by itself, so that it is counted; then only what is already asking a provider goes on."""
_FIRST_BACKOFF = 1.0
_STALE_AFTER = 3
"""Intervals without a round after which the worker no longer says that it is well."""

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Totals:
    """What a worker has done since it began."""

    rounds: int = 0
    claimed: int = 0
    renewed: int = 0
    postponed: int = 0
    reconnect_required: int = 0
    gone: int = 0
    failed: int = 0
    revoked: int = 0
    abandoned: int = 0
    waiting: int | None = None
    """Revocations that wait; None: not looked yet."""
    last_round: datetime | None = None
    seen_at: float = field(default_factory=monotonic)
    """When the last round ended well, or the worker began."""

    def add_renewals(self, run: RenewalRun, /) -> None:
        """Count a round that ended well."""
        self.rounds += 1
        for name, count in _counts(run).items():
            setattr(self, name, getattr(self, name) + count)
        self.last_round = datetime.now(UTC)
        self.seen_at = monotonic()

    def add_revocations(self, run: RevocationRun, /) -> None:
        """Count a round over the revocations."""
        self.revoked += run.revoked
        self.abandoned += run.abandoned
        self.waiting = run.waiting

    def as_document(self) -> dict[str, Any]:
        """Return the counts, as programs read them."""
        return {
            "rounds": self.rounds,
            "claimed": self.claimed,
            "renewed": self.renewed,
            "postponed": self.postponed,
            "reconnectRequired": self.reconnect_required,
            "gone": self.gone,
            "failed": self.failed,
            "revoked": self.revoked,
            "abandoned": self.abandoned,
            "waitingRevocations": self.waiting,
        }

    def as_health(self, *, interval: float) -> tuple[int, dict[str, Any]]:
        """Return the status code and the body of the health endpoint: counts, and nobody's name."""
        well = monotonic() - self.seen_at <= _STALE_AFTER * interval
        counts = self.as_document()
        shown = ("rounds", "renewed", "postponed", "reconnectRequired", "failed", "waitingRevocations")
        body = {
            "status": "ok" if well else "stale",
            "lastRound": None if self.last_round is None else timestamp(self.last_round),
            **{name: counts[name] for name in shown},
        }
        return (200 if well else 503), body


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at once, and how often."""

    batch: int
    interval: float


class Worker:
    """Rounds over what is due, for as long as nobody asks it to stop."""

    def __init__(self, manager: AsyncIntegrationManager, screen: Screen, pace: Pace, /, *, database: str = "the storage") -> None:
        """Take the parts; *database* is what the database is called when it cannot be used."""
        self._database = database
        self.totals = Totals()
        self.stopping = asyncio.Event()
        self._manager = manager
        self._screen = screen
        self._pace = pace

    async def run(self) -> None:
        """Renew and revoke side by side, so that a provider that is slow to revoke holds up no renewal."""
        ways = [asyncio.create_task(self._repeat(way)) for way in (self.renew, self.revoke)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self.stopping.set()
            ended = await asyncio.gather(*ways, return_exceptions=True)
        for end in ended:
            if isinstance(end, BaseException):
                raise end
        self._tell("stopped", f"stopped; {_words(self.totals.as_document())}", self.totals.as_document())

    async def run_once(self) -> None:
        """Renew until nothing is due, then make one round over the revocations."""
        while not self.stopping.is_set() and await self.renew():
            pass
        if not self.stopping.is_set():
            await self.revoke()

    async def renew(self) -> bool:
        """Make one round of renewals; true: more may be due."""
        run = await self._unless_stopped(self._manager.worker.refresh_due(limit=self._pace.batch))
        if run is None:
            return False
        self.totals.add_renewals(run)
        if run.claimed:
            self._tell("round", _words(_counts(run)), {_camel(name): count for name, count in _counts(run).items()})
        return run.claimed == self._pace.batch

    async def revoke(self) -> bool:
        """Make one round over the tokens that are to be revoked, and sweep; the next one is for the next interval."""
        run = await self._unless_stopped(self._manager.worker.retry_revocations(limit=self._pace.batch))
        if run is not None:
            self.totals.add_revocations(run)
            if run.revoked or run.delayed or run.abandoned:
                self._tell("revocations", f"revocations: {_words(run_out(run))}", run_out(run))
        return False

    async def _repeat(self, way: Callable[[], Awaitable[bool]]) -> None:
        backoff = _FIRST_BACKOFF
        while not self.stopping.is_set():
            try:
                more = await way()
            except SetupError:
                raise
            except CloudIntegrationsError as error:
                wait = _around(min(backoff, self._pace.interval))
                backoff *= 2
                message = sentence(error).replace("the storage", self._database)
                self._tell("trouble", f"{message}; once more in {wait:.1f} s", {"code": error.code, "message": message})
                await self._sleep(wait)
            else:
                backoff = _FIRST_BACKOFF
                if not more:
                    await self._sleep(_around(self._pace.interval))

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """Return what *work* returns; None: it was asked to stop and did not end in time."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait((task,), timeout=_GRACE)
            return task.result() if task.done() else None
        finally:
            # What already asks a provider goes on in a task of its own, which closing the manager waits for.
            for future in (task, stop):
                future.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _tell(self, event: str, line: str, facts: dict[str, Any]) -> None:
        self._screen.progress({"event": event, **facts}, line)


def run(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    pace: Pace,
    once: bool,
    health: tuple[str, int] | None,
) -> None:
    """Work until SIGTERM or SIGINT, or with *once* until nothing is due."""
    totals = asyncio.run(_run_once(screen, configuration, pace) if once else _run(screen, configuration, pace, health))
    if not once:
        return
    if screen.as_json:
        screen.json({"data": totals.as_document()})
    else:
        screen.facts({_title(name): str(0 if count is None else count) for name, count in totals.as_document().items()})
    if totals.failed:
        raise typer.Exit(STORAGE)


async def _run(screen: Screen, configuration: Configuration, pace: Pace, health: tuple[str, int] | None) -> Totals:
    # Not started yet: a database that is away for a moment is no reason to end.
    async with wiring.unstarted_async_manager(configuration) as manager:
        worker = Worker(manager, screen, pace, database=database_name(configuration))
        with_health = _serving(worker.totals, screen, pace, health) if health else _ready(screen, None)
        async with _until_signal(worker.stopping), with_health:
            await worker.run()
    return worker.totals


async def _run_once(screen: Screen, configuration: Configuration, pace: Pace) -> Totals:
    async with wiring.open_async_manager(configuration) as manager:
        worker = Worker(manager, screen, pace, database=database_name(configuration))
        async with _until_signal(worker.stopping):
            await worker.run_once()
    return worker.totals


@asynccontextmanager
async def _until_signal(stopping: asyncio.Event) -> AsyncGenerator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        # Asked twice, the process ends at once.
        for number in numbers:
            loop.remove_signal_handler(number)
        stopping.set()

    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _ready(screen: Screen, url: str | None) -> AsyncGenerator[None]:
    screen.progress({"event": "ready", "health": url}, "working (stop with Ctrl-C)" + (f"; health at {url}" if url else ""))
    yield


@asynccontextmanager
async def _serving(totals: Totals, screen: Screen, pace: Pace, health: tuple[str, int]) -> AsyncGenerator[None]:
    def show(_request: Request) -> Response:
        status, body = totals.as_health(interval=pace.interval)
        return JSONResponse(body, status, {"Cache-Control": "no-store"})

    host, port = health
    bound = bind(host, port)
    listening = asyncio.Event()
    server = Listening(Starlette(routes=[Route("/health", show)]), when_ready=listening.set)
    serving = asyncio.create_task(server.serve([bound]))
    try:
        await listening.wait()
        shown = f"[{host}]" if ":" in host else host
        async with _ready(screen, f"http://{shown}:{bound.getsockname()[1]}/health"):
            yield
    finally:
        server.should_exit = True
        await serving


def _counts(run: RenewalRun) -> dict[str, int]:
    names = ("claimed", "renewed", "postponed", "reconnect_required", "gone", "failed")
    return {name: getattr(run, name) for name in names}


def _around(seconds: float) -> float:
    # ± 20 %, so that workers that began together drift apart.
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load, keeps no secret


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def _title(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).capitalize()


def _words(counts: dict[str, Any]) -> str:
    return ", ".join(f"{_title(_camel(name)).lower()} {count}" for name, count in counts.items() if count) or "nothing to do"
