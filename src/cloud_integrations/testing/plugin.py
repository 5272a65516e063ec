"""The pytest plugin: fixtures for tests of applications that use this library.

A fixture imports what it needs when a test asks for it, so that other tests do not wait for the imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
    from cloud_integrations.testing.simulated_provider.provider import SimulatedProvider
    from cloud_integrations.testing.simulated_provider.server import ProviderServer

    from .clock import FixedClock

CALLBACK_URL = "https://app.example/oauth/callback"
"""The `callback_url` of the managers that the fixtures give."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the contract suites, for hosts that run pytest with strict markers."""
    config.addinivalue_line("markers", "requirement(*ids): the requirements of the security list that this test proves")


@pytest.fixture
def ci_clock() -> FixedClock:
    """A clock that moves only when the test advances it; the other fixtures use it."""
    from .clock import FixedClock  # noqa: PLC0415  # see the module's docstring; so below

    return FixedClock()


@pytest.fixture
def ci_provider(ci_clock: FixedClock) -> SimulatedProvider:
    """A simulated provider in memory: authorization server, API and oracle."""
    from cloud_integrations.testing.simulated_provider.provider import SimulatedProvider  # noqa: PLC0415

    return SimulatedProvider(clock=ci_clock)


@pytest.fixture
def ci_provider_server(ci_provider: SimulatedProvider) -> Iterator[ProviderServer]:
    """`ci_provider` as a real HTTP server on 127.0.0.1; its address is `.url`."""
    from cloud_integrations.testing.simulated_provider.server import ProviderServer  # noqa: PLC0415

    with ProviderServer(ci_provider) as server:
        yield server


@pytest.fixture
def ci_manager(ci_clock: FixedClock, ci_provider: SimulatedProvider) -> Iterator[IntegrationManager]:
    """A blocking manager with the providers of `ci_provider`, a store in memory and a key of its own; its pauses take no time."""
    from cloud_integrations.backends.aes_gcm import AesGcmCipher  # noqa: PLC0415
    from cloud_integrations.backends.keys.local import LocalKeyring  # noqa: PLC0415
    from cloud_integrations.backends.memory.store import MemoryStore  # noqa: PLC0415
    from cloud_integrations.manager import IntegrationManager  # noqa: PLC0415
    from cloud_integrations.ports.settings import Settings  # noqa: PLC0415
    from cloud_integrations.providers.catalogue import Catalogue  # noqa: PLC0415
    from cloud_integrations.testing.simulated_provider.transport import SimulatedTransport  # noqa: PLC0415

    from .clock import AdvancingPause  # noqa: PLC0415

    with IntegrationManager(
        store=MemoryStore(ci_clock),
        transport=SimulatedTransport(ci_provider),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*ci_provider.catalogue_entries()),
        applications=[ci_provider.application()],
        settings=Settings(callback_url=CALLBACK_URL),
        clock=ci_clock,
        pause=AdvancingPause(ci_clock),
    ) as manager:
        yield manager


@pytest.fixture
def ci_async_manager(ci_clock: FixedClock, ci_provider: SimulatedProvider) -> AsyncIntegrationManager:
    """An awaiting manager with the same parts as `ci_manager` and a store of its own; it is not entered."""
    from cloud_integrations.backends.aes_gcm import AesGcmCipher  # noqa: PLC0415
    from cloud_integrations.backends.keys.local import LocalKeyring  # noqa: PLC0415
    from cloud_integrations.backends.memory.store import AsyncMemoryStore  # noqa: PLC0415
    from cloud_integrations.manager import AsyncIntegrationManager  # noqa: PLC0415
    from cloud_integrations.ports.settings import Settings  # noqa: PLC0415
    from cloud_integrations.providers.catalogue import Catalogue  # noqa: PLC0415
    from cloud_integrations.testing.simulated_provider.transport import AsyncSimulatedTransport  # noqa: PLC0415

    from .clock import AsyncAdvancingPause  # noqa: PLC0415

    return AsyncIntegrationManager(
        store=AsyncMemoryStore(ci_clock),
        transport=AsyncSimulatedTransport(ci_provider),
        keys=LocalKeyring([LocalKeyring.generate_key("test")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*ci_provider.catalogue_entries()),
        applications=[ci_provider.application()],
        settings=Settings(callback_url=CALLBACK_URL),
        clock=ci_clock,
        pause=AsyncAdvancingPause(ci_clock),
    )
