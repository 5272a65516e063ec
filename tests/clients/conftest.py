"""Both managers over one store, a tenant with a grant, and an API that takes its tokens."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.domain.integration import Integration
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, SimulatedProvider, SimulatedTransport

from .api import Api

TENANT = "acme"


class RunningClock:
    """The clock of this machine, which a test may set ahead."""

    def __init__(self):
        self._clock, self._ahead = SystemClock(), timedelta()

    def now(self):
        return self._clock.now() + self._ahead

    def monotonic(self):
        return self._clock.monotonic() + self._ahead.total_seconds()

    def advance(self, by):
        self._ahead += by


@dataclass(frozen=True, kw_only=True)
class World:
    """What a host has: two managers of one installation, and a provider with an API."""

    provider: SimulatedProvider
    api: Api
    manager: IntegrationManager
    awaiting: AsyncIntegrationManager
    integration: Integration
    clock: RunningClock | FixedClock

    @property
    def token(self) -> str:
        """The access token that is handed out now."""
        return self.manager.credential(TENANT, "simulated").value.reveal()

    def end_token(self) -> str:
        """End the token at the provider, without telling anybody."""
        token = self.token
        self.provider.expire_access(token)
        return token

    def pass_(self, by: timedelta) -> None:
        """Let time pass for the managers."""
        self.clock.advance(by)


@pytest.fixture
def world():
    with opened(SimulatedProvider(auto_approve=True)) as world:
        yield world


@contextmanager
def opened(provider, *, programs=(), clock=None):
    """Give a world around *provider*, whose file has *programs*, with a grant of the tenant; *clock* is the managers'."""
    clock = clock or RunningClock()
    rows = MemoryStore(clock)
    awaited = AsyncMemoryStore()
    awaited._store = rows
    parts = {
        "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
        "cipher": AesGcmCipher(),
        "providers": Catalogue.of(*(entry.model_copy(update={"programs": programs}) for entry in provider.catalogue_entries())),
        "applications": [provider.application()],
        "settings": Settings(callback_url="https://app.example/oauth/callback", token_cache=timedelta(minutes=5)),
        "clock": clock,
    }
    manager = IntegrationManager(store=rows, transport=SimulatedTransport(provider), **parts)
    awaiting = AsyncIntegrationManager(store=awaited, transport=AsyncSimulatedTransport(provider), **parts)
    ada = manager.acting_as("ada")
    begun = ada.begin_oauth(TENANT, "simulated", name="Files of Acme")
    answer = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
    integration = ada.complete_oauth(begun.context_id, answer, browser_token=begun.browser_token).integration
    with Api(provider) as api:
        yield World(provider=provider, api=api, manager=manager, awaiting=awaiting, integration=integration, clock=clock)
    manager.close()
