"""Connecting by device code (RFC 8628) against an authorization server that is not ours, through both managers."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    Connected,
    DevicePending,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    OAuthApplication,
    Secret,
    Settings,
)
from cloud_integrations.errors import GrantRefusedError
from cloud_integrations.testing.clock import FixedClock

from .authorization_server import AuthorizationServer
from .real_server import provider_of, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT = "acme"
INTERVAL = timedelta(seconds=5)


class Door:
    """One of the managers, and the clock that it polls by."""

    def __init__(self, server: AuthorizationServer, *, blocking: bool) -> None:
        provider = provider_of(server, device={"url": server.endpoints.device_authorization})
        self.clock = FixedClock()
        common: dict[str, Any] = {
            "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(provider),
            "applications": [
                OAuthApplication(provider=provider.id, client_id=server.client_id, client_secret=Secret(server.client_secret))
            ],
            "settings": Settings(callback_url="http://127.0.0.1/callback", loopback=True, token_cache=timedelta()),
            "clock": self.clock,
        }
        self.manager: IntegrationManager | AsyncIntegrationManager = (
            IntegrationManager(store=MemoryStore(clock=self.clock), transport=HttpxTransport(), **common)
            if blocking
            else AsyncIntegrationManager(store=AsyncMemoryStore(clock=self.clock), transport=AsyncHttpxTransport(), **common)
        )

    async def call(self, name: str, /, *arguments: Any, **named: Any) -> Any:
        """Call one of the manager's methods as the person who began."""
        answer = getattr(self.manager.acting_as("ada"), name)(*arguments, **named)
        return await answer if inspect.isawaitable(answer) else answer

    async def begin(self) -> Any:
        return await self.call("begin_device", TENANT, "real_server", name="By device", scopes=("openid", "email", "read"))

    async def poll(self, begun: Any, /) -> Any:
        """Poll as soon as the server allows it."""
        self.clock.advance(INTERVAL)
        return await self.call("poll_device", TENANT, begun.authorization_id)

    async def close(self) -> None:
        closing = self.manager.close()
        if inspect.isawaitable(closing):
            await closing


@pytest.fixture(scope="module")
def server() -> Iterator[AuthorizationServer]:
    with running_server() as running:
        yield running


over_both = pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])


@pytest.mark.requirement("OAU-060", "OAU-062")
@over_both
async def test_a_person_at_another_device_connects_refreshes_and_removes(server: AuthorizationServer, blocking: bool) -> None:
    door = Door(server, blocking=blocking)
    begun = await door.begin()
    assert isinstance(await door.poll(begun), DevicePending)
    server.enter_code(begun.verification_uri, begun.user_code.reveal(), account="alice")
    connected = await door.poll(begun)
    assert isinstance(connected, Connected)
    integration = connected.integration
    assert integration.account.account_id == "alice"
    first = (await door.call("credential", TENANT, "real_server")).headers()["Authorization"]
    await door.call("refresh", TENANT, integration.id)
    second = (await door.call("credential", TENANT, "real_server")).headers()
    assert second["Authorization"] != first
    assert (await door.call("verify", TENANT, integration.id)).outcome == "alive"
    await door.call("delete", TENANT, integration.id)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(server.endpoints.userinfo, headers=second)).status_code == 401
    await door.close()


@pytest.mark.requirement("OAU-061")
@over_both
async def test_a_person_who_aborts_at_the_server_connects_nothing(server: AuthorizationServer, blocking: bool) -> None:
    door = Door(server, blocking=blocking)
    begun = await door.begin()
    server.enter_code(begun.verification_uri, begun.user_code.reveal(), consents=False)
    with pytest.raises(GrantRefusedError) as caught:
        await door.poll(begun)
    assert caught.value.reason == "access_denied"
    assert list(await door.call("list_integrations", TENANT)) == []
    await door.close()


@pytest.mark.requirement("OAU-061")
async def test_a_server_that_is_down_during_a_poll_has_refused_nothing() -> None:
    with running_server() as server:
        door = Door(server, blocking=True)
        begun = await door.begin()
        assert isinstance(await door.poll(begun), DevicePending)
    pending = await door.poll(begun)
    assert isinstance(pending, DevicePending)
    assert pending.wait == 2 * INTERVAL
    await door.close()
