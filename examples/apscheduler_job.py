"""Renew tokens with APScheduler 3, in the event loop of a program that has other work to do."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from cloud_integrations import AsyncIntegrationManager, Catalogue, LocalKeyring, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, SimulatedProvider

EVERY = 0.2
"""Seconds; a real program looks every 30."""


def say_error(event: JobExecutionEvent) -> None:
    """Say that a round did not work; the next one comes as planned."""
    print(f"  this round did not work: {event.exception}")


def schedule(manager: AsyncIntegrationManager) -> AsyncIOScheduler:
    """Plan the rounds.  `coalesce` makes one of those that were missed, `max_instances` lets a slow one end first."""
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
    scheduler.add_listener(say_error, EVENT_JOB_ERROR)
    scheduler.add_job(manager.worker.refresh_due, "interval", seconds=EVERY, jitter=EVERY / 5)
    scheduler.add_job(manager.worker.retry_revocations, "interval", seconds=EVERY, jitter=EVERY / 5)
    return scheduler


async def main() -> None:
    """Connect a tenant, let an hour pass, and find the token renewed though nobody asked for it."""
    clock = FixedClock()
    provider = SimulatedProvider(clock=clock)
    with tempfile.TemporaryDirectory() as folder:
        engine = sqlite_engine(Path(folder, "integrations.db"))
        migrate.upgrade(engine)
        async with AsyncIntegrationManager.over(
            engine,
            transport=AsyncSimulatedTransport(provider),
            keys=LocalKeyring.generate_key("service"),
            providers=Catalogue.of(*provider.catalogue_entries()),
            applications=[provider.application()],
            settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
            clock=clock,
        ) as manager:
            grace = manager.acting_as("grace")
            begun = await grace.begin_oauth("acme", "simulated", name="Cloud account")
            came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
            await grace.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)

            scheduler = schedule(manager)
            scheduler.start()
            print(f"{clock.now():%H:%M}  connected; the scheduler runs")
            clock.advance(timedelta(minutes=59))
            print(f"{clock.now():%H:%M}  the token ends soon")
            for _ in range(300):
                if provider.refresh_count:
                    break
                await asyncio.sleep(0.1)
            # Before the manager closes: a round that begins afterwards would find it closed.
            scheduler.shutdown()

            assert provider.refresh_count == 1
            token = await manager.credential("acme", "simulated")
            print(f"the token that was waiting works until {token.expires_at:%H:%M}; refresh requests: {provider.refresh_count}")
        engine.dispose()


asyncio.run(main())
