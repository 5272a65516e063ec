"""A host of the library as the benchmarks set it up: one tenant, connected by OAuth2 to the simulated provider."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import (
    Actor,
    AesGcmCipher,
    AsyncIntegrationManager,
    Authorization,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    Settings,
)
from cloud_integrations.ports import Clock
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing import AsyncSimulatedTransport, SimulatedProvider, SimulatedTransport

TENANT = "acme"
ACTOR = Actor(id="alice")
CALLBACK = "https://app.example.com/api/v1/oauth/callback"
READS_EVERY_TIME = Settings(callback_url=CALLBACK, token_cache=timedelta(0), use_window=None)
"""Nothing is handed out from memory, and uses are not recorded: each call is one read and one opening."""
READS_ONCE = Settings(callback_url=CALLBACK, token_cache=timedelta(days=1), use_window=None)


class Host:
    """What both doors share: a provider, its catalogue and keys."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.provider = SimulatedProvider(clock=self.clock, access_lifetime=timedelta(days=30))
        self.oauth, self.keys = self.provider.catalogue_entries()
        self._keyring = LocalKeyring([LocalKeyring.generate_key("bench")])

    def manager(self, store: Any, settings: Settings, /) -> IntegrationManager:
        """Return the blocking door over *store*."""
        return IntegrationManager(
            store=store, transport=SimulatedTransport(self.provider), keys=self._keyring, settings=settings, **self._common()
        )

    def async_manager(self, store: Any, settings: Settings, /) -> AsyncIntegrationManager:
        """Return the awaiting door over *store*."""
        return AsyncIntegrationManager(
            store=store,
            transport=AsyncSimulatedTransport(self.provider),
            keys=self._keyring,
            settings=settings,
            **self._common(),
        )

    def connect(self, manager: IntegrationManager, /) -> None:
        """Go through an authorization, as a person with a browser does."""
        acting = manager.acting_as(ACTOR)
        begun = acting.begin_oauth(TENANT, self.oauth.id, name="Production")
        acting.complete_oauth(begun.context_id, self._consent(begun), browser_token=begun.browser_token)

    async def connect_async(self, manager: AsyncIntegrationManager, /) -> None:
        """Do the same through the awaiting door."""
        acting = manager.acting_as(ACTOR)
        begun = await acting.begin_oauth(TENANT, self.oauth.id, name="Production")
        await acting.complete_oauth(begun.context_id, self._consent(begun), browser_token=begun.browser_token)

    def _consent(self, begun: Authorization) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)

    def _common(self) -> dict[str, Any]:
        return {
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(self.oauth, self.keys, Catalogue.builtin().require("aws")),
            "applications": [self.provider.application()],
            "clock": self.clock,
        }
