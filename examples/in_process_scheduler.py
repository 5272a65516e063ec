"""Renew tokens beside a program's own work: the worker runs in the program's event loop, without a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import (
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    LocalKeyring,
    RenewalRun,
    RevocationRun,
    RoundFailed,
    Settings,
)
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, SimulatedProvider


@asynccontextmanager
async def renewing(manager: AsyncIntegrationManager, *, every: float) -> AsyncIterator[None]:
    """Renew what is due while the block runs, about *every* so many seconds."""
    stop = asyncio.Event()
    task = asyncio.create_task(manager.worker.run(stop, interval=every, on_round=tell))
    try:
        yield
    finally:
        stop.set()
        await task


def tell(done: RenewalRun | RevocationRun | RoundFailed) -> None:
    """Say what could not be done; it is tried again."""
    if isinstance(done, RoundFailed):
        print(f"  this round did not work: {done.error}")


async def main() -> None:
    """Connect a tenant, let an hour pass, and find the token renewed though nobody asked for it."""
    clock = FixedClock()
    provider = SimulatedProvider(clock=clock)
    async with AsyncIntegrationManager(
        store=AsyncMemoryStore(clock),
        transport=AsyncSimulatedTransport(provider),
        keys=LocalKeyring([LocalKeyring.generate_key("service")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
        clock=clock,
    ) as manager:
        grace = manager.acting_as("grace")
        begun = await grace.begin_oauth("acme", "simulated", name="Cloud account")
        came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
        await grace.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)

        # A real program looks every 30 seconds; this one has its own clock, and no time.
        async with renewing(manager, every=0.01):
            for minutes in (10, 20, 29):
                clock.advance(timedelta(minutes=minutes))
                await asyncio.sleep(0.1)
                print(f"{clock.now():%H:%M}  refresh requests so far: {provider.refresh_count}")

        assert provider.refresh_count == 1
        token = await manager.credential("acme", "simulated")
        print(f"the token that was waiting works until {token.expires_at:%H:%M}, and its caller waited for nobody")


asyncio.run(main())
