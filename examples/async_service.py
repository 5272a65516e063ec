"""Serve many requests at once with the awaiting manager: one refresh for all of them, and an outage while the token still works."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import AesGcmCipher, AsyncIntegrationManager, AsyncMemoryStore, Catalogue, LocalKeyring, Settings
from cloud_integrations.errors import ProviderUnavailableError, ReconnectRequiredError
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, Misbehaviour, SimulatedProvider


def build(clock: FixedClock, provider: SimulatedProvider) -> AsyncIntegrationManager:
    """Put the parts together; a real service takes `AsyncHttpxTransport` and `AsyncSqlAlchemyStore` instead."""
    return AsyncIntegrationManager(
        store=AsyncMemoryStore(clock),
        transport=AsyncSimulatedTransport(provider),
        keys=LocalKeyring([LocalKeyring.generate_key("service")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
        clock=clock,
    )


async def connect(manager: AsyncIntegrationManager, provider: SimulatedProvider, tenant_id: str) -> None:
    """Connect a tenant, with the simulated person in front of the browser."""
    grace = manager.acting_as("grace")
    begun = await grace.begin_oauth(tenant_id, "simulated", name="Cloud account")
    came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
    await grace.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)


async def handle(manager: AsyncIntegrationManager, tenant_id: str) -> str:
    """Answer one request of the service, as its log would say."""
    try:
        token = await manager.credential(tenant_id, "simulated")
    except ReconnectRequiredError as error:
        return f"ask the tenant to reconnect ({error.reason})"
    except ProviderUnavailableError as error:
        return f"try again later ({error.reason})"
    return "called the provider" if token.warning is None else f"called the provider, though {token.warning}"


async def main() -> None:
    """Run the service for a simulated day."""
    clock = FixedClock()
    provider = SimulatedProvider(clock=clock)
    async with build(clock, provider) as manager:
        await connect(manager, provider, "acme")
        answers = await asyncio.gather(*(handle(manager, "acme") for _ in range(50)))
        print(f"50 requests     {set(answers)}")

        clock.advance(timedelta(hours=1))
        answers = await asyncio.gather(*(handle(manager, "acme") for _ in range(50)))
        print(f"an hour later   {set(answers)}, refresh requests: {provider.refresh_count}, at once: {provider.in_flight_max}")
        assert provider.refresh_count == 1

        clock.advance(timedelta(minutes=59, seconds=45))
        provider.misbehave(Misbehaviour.CONNECTION_REFUSED)
        print(f"an outage       {await handle(manager, 'acme')}")

        provider.revoke_grant()
        clock.advance(timedelta(minutes=5))
        print(f"grant revoked   {await handle(manager, 'acme')}")
        (integration,) = await manager.list_integrations("acme")
        print(f"its health      {integration.health}: {integration.advice}")


asyncio.run(main())
