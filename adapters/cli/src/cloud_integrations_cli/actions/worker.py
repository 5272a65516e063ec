"""`worker`: runs the library's worker until a signal, prints what it does, and answers a health endpoint."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import typer
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_integrations import DeliveryRun, PrometheusMetrics, RenewalRun, RevocationRun, RoundFailed
from cloud_integrations_cli import wiring
from cloud_integrations_cli.engines import database_name
from cloud_integrations_cli.exits import STORAGE, sentence
from cloud_integrations_cli.listening import Listening, bind
from cloud_integrations_cli.render import Screen, timestamp
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_fastapi.host import MetricsEndpoint

_STALE_AFTER = 3
"""The number of intervals without a successful round after which the health endpoint answers `stale`."""


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
    delivered: int = 0
    given_up: int = 0
    waiting: int | None = None
    """Revocations that wait; None before the first count."""
    last_round: datetime | None = None
    seen_at: float = field(default_factory=monotonic)
    """The monotonic time at which the last round succeeded, or the worker began."""

    def add_renewals(self, run: RenewalRun, /) -> None:
        """Add the counts of a round of renewals."""
        self.rounds += 1
        for name, count in _counts(run).items():
            setattr(self, name, getattr(self, name) + count)
        self.last_round = datetime.now(UTC)
        self.seen_at = monotonic()

    def add_revocations(self, run: RevocationRun, /) -> None:
        """Add the counts of a round of revocations."""
        self.revoked += run.revoked
        self.abandoned += run.abandoned
        self.waiting = run.waiting

    def add_deliveries(self, run: DeliveryRun, /) -> None:
        """Add the counts of a round over events."""
        self.delivered += run.delivered
        self.given_up += run.given_up

    def as_document(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
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
            "delivered": self.delivered,
            "givenUp": self.given_up,
        }

    def as_health(self, *, interval: float) -> tuple[int, dict[str, Any]]:
        """Return the status code and the body of the health endpoint: counts, and no names of tenants."""
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
    """The largest number of renewals in a round, and the seconds between rounds."""

    batch: int
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Where the health endpoint listens, and whether it shows metrics, too."""

    host: str
    port: int
    metrics: bool = False


class Report:
    """Prints what the worker does in each round, and adds it up."""

    def __init__(self, screen: Screen, /, *, database: str = "the storage") -> None:
        """Take the screen; *database* is what the database is called when it cannot be used."""
        self.totals = Totals()
        self._screen = screen
        self._database = database

    def tell(self, done: RenewalRun | RevocationRun | DeliveryRun | RoundFailed) -> None:
        """Print a round that did something, or failed."""
        match done:
            case RenewalRun():
                self.totals.add_renewals(done)
                if done.claimed:
                    self._tell("round", _words(_counts(done)), {to_camel(name): count for name, count in _counts(done).items()})
            case RevocationRun():
                self.totals.add_revocations(done)
                if done.revoked or done.delayed or done.abandoned:
                    self._tell("revocations", f"revocations: {_words(done.as_json())}", done.as_json())
            case DeliveryRun():
                self.totals.add_deliveries(done)
                if done.delivered or done.delayed or done.given_up:
                    self._tell("events", f"events: {_words(done.as_json())}", done.as_json())
            case RoundFailed():
                message = sentence(done.error).replace("the storage", self._database)
                line = f"{message}; once more in {done.retry_in.total_seconds():.1f} s"
                self._tell("trouble", line, {"code": done.error.code, "message": message})

    def tell_stopped(self) -> None:
        """Print the sums."""
        counts = self.totals.as_document()
        self._tell("stopped", f"stopped; {_words(counts)}", counts)

    def _tell(self, event: str, line: str, facts: dict[str, Any]) -> None:
        self._screen.progress({"event": event, **facts}, line)


def run(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    pace: Pace,
    once: bool,
    health: Health | None,
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


async def _run(screen: Screen, configuration: Configuration, pace: Pace, health: Health | None) -> Totals:
    report = Report(screen, database=database_name(configuration))
    # The manager is not started here: the worker waits for a database that is away for a moment.
    metrics = PrometheusMetrics() if health is not None and health.metrics else None
    async with wiring.unstarted_async_manager(configuration, telemetry=[] if metrics is None else [metrics]) as manager:
        shown = None if metrics is None else MetricsEndpoint(manager, metrics)
        with_health = _serving(report.totals, screen, pace, health, shown) if health else _ready(screen, None)
        async with _until_signal() as stop, with_health:
            await manager.worker.run(stop, limit=pace.batch, interval=pace.interval, on_round=report.tell)
            report.tell_stopped()
    return report.totals


async def _run_once(screen: Screen, configuration: Configuration, pace: Pace) -> Totals:
    report = Report(screen)
    async with wiring.open_async_manager(configuration) as manager, _until_signal() as stop:
        await manager.worker.run(stop, limit=pace.batch, once=True, on_round=report.tell)
    return report.totals


@asynccontextmanager
async def _until_signal() -> AsyncGenerator[asyncio.Event]:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        # A second signal ends the process at once.
        for number in numbers:
            loop.remove_signal_handler(number)
        stopping.set()

    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield stopping
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _ready(screen: Screen, url: str | None) -> AsyncGenerator[None]:
    screen.progress({"event": "ready", "health": url}, "working (stop with Ctrl-C)" + (f"; health at {url}" if url else ""))
    yield


@asynccontextmanager
async def _serving(totals: Totals, screen: Screen, pace: Pace, health: Health, metrics: MetricsEndpoint | None) -> AsyncGenerator[None]:
    def show(_request: Request) -> Response:
        status, body = totals.as_health(interval=pace.interval)
        return JSONResponse(body, status, {"Cache-Control": "no-store"})

    def live(_request: Request) -> Response:
        # A database that is away is no reason to end a worker, which may hold new tokens for it.
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def show_metrics(_request: Request) -> Response:
        assert metrics is not None  # noqa: S101  # otherwise it has no route
        return await metrics.answer()

    routes = [Route("/health", show), Route("/health/live", live), *([] if metrics is None else [Route("/metrics", show_metrics)])]
    bound = bind(health.host, health.port)
    listening = asyncio.Event()
    server = Listening(Starlette(routes=routes), when_ready=listening.set)
    serving = asyncio.create_task(server.serve([bound]))
    try:
        await listening.wait()
        shown = f"[{health.host}]" if ":" in health.host else health.host
        async with _ready(screen, f"http://{shown}:{bound.getsockname()[1]}/health"):
            yield
    finally:
        server.should_exit = True
        await serving


def _counts(run: RenewalRun) -> dict[str, int]:
    names = ("claimed", "renewed", "postponed", "reconnect_required", "gone", "failed")
    return {name: getattr(run, name) for name in names}


def _title(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).capitalize()


def _words(counts: dict[str, Any]) -> str:
    return ", ".join(f"{_title(to_camel(name)).lower()} {count}" for name, count in counts.items() if count) or "nothing to do"
