"""An application of the host's, with the router in it, over both doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from cloud_integrations import (
    SYSTEM,
    Actor,
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    Settings,
)
from cloud_integrations.errors import TenantNotFoundError
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, SimulatedProvider, SimulatedTransport
from cloud_integrations_fastapi import Denied, Permission, create_router

CALLBACK = "https://app.example.com/api/v1/oauth/callback"
Door = Literal["awaiting", "blocking"]
NO_COROUTINES = {"get_provider", "guide", "list_providers"}


class Item(BaseModel):
    name: str
    price: float


@dataclass
class Host:
    """Who is who: `Authorization: Bearer <name>`; readers may look, writers may do everything, in their own tenants."""

    readers: dict[str, set[str]] = field(default_factory=lambda: {"rita": {"acme"}, "admin": {"acme", "globex"}})
    writers: dict[str, set[str]] = field(default_factory=lambda: {"alice": {"acme"}, "bob": {"globex"}, "admin": {"acme", "globex"}})
    asked: list[tuple[Permission, str | None]] = field(default_factory=list)
    challenges: bool = False
    """Whether nobody gets the host's own 401."""

    async def authorize(self, request: Request, permission: Permission, tenant_id: str | None) -> Actor | Denied | None:
        self.asked.append((permission, tenant_id))
        name = request.headers.get("authorization", "").removeprefix("Bearer ")
        if name not in self.readers.keys() | self.writers.keys():
            if self.challenges:
                raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
            return None
        actor = Actor(id=name)
        looks = permission in {Permission.LIST, Permission.READ, Permission.PROVIDERS}
        allowed = (self.readers | self.writers if looks else self.writers).get(name, set())
        return actor if (tenant_id is None or tenant_id in allowed) and (looks or allowed) else Denied(actor)


class Tenants:
    """The host knows two."""

    def require(self, tenant_id: str, /) -> None:
        if tenant_id not in {"acme", "globex"}:
            raise TenantNotFoundError(tenant_id=tenant_id)


class AsyncTenants(Tenants):
    async def require(self, tenant_id: str, /) -> None:
        super().require(tenant_id)


class Unlimited:
    """Limits nobody."""

    def take(self, quotas: Any, /) -> None:
        del quotas


class AsyncUnlimited(Unlimited):
    async def take(self, quotas: Any, /) -> None:
        super().take(quotas)


class Api:
    """The application, and what a test needs to know of it."""

    def __init__(
        self,
        door: Door,
        *,
        settings: Settings | None = None,
        redirect_uris: tuple[str, ...] = (),
        more: Any = None,
        guides: Iterable[Any] = (),
        platform: Any = None,
        applications: Iterable[Any] = (),
        transport: Any = None,
        issuer: Any = None,
        device_codes: bool = False,
        revokes_keys: bool = False,
        rotation: Literal["always", "never"] = "always",
        limited: bool = True,
        resources: Any = None,
        **router: Any,
    ) -> None:
        self.clock = FixedClock()
        self.provider = SimulatedProvider(
            clock=self.clock, device_codes=device_codes, revokes_keys=revokes_keys, rotation=rotation, resources=resources
        )
        self.oauth, self.keys = self.provider.catalogue_entries()
        self.host = Host()
        keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        common: dict[str, Any] = {
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(self.oauth, self.keys, *([more(self.provider)] if more else [])).with_(guides=guides),
            "applications": [self.provider.application(redirect_uris=redirect_uris), *applications],
            "settings": settings or Settings(callback_url=CALLBACK, events=True),
            "clock": self.clock,
            "platform": platform,
            "issuer": issuer,
        }
        if not limited:
            common["rate_limiter"] = AsyncUnlimited() if door == "awaiting" else Unlimited()
        self.manager: AsyncIntegrationManager | IntegrationManager
        self.store: MemoryStore
        """The rows, whoever asks for them."""
        if door == "awaiting":
            store = AsyncMemoryStore(self.clock)
            self.store = store._store
            self.manager = AsyncIntegrationManager(
                store=store,
                transport=transport or AsyncSimulatedTransport(self.provider),
                keys=keyring,
                tenants=AsyncTenants(),
                **common,
            )
        else:
            self.store = MemoryStore(self.clock)
            self.manager = IntegrationManager(
                store=self.store,
                transport=transport or SimulatedTransport(self.provider),
                keys=keyring,
                tenants=Tenants(),
                **common,
            )
        self.app = FastAPI(title="The host's application")
        # What `include_router` does, but for building each route once more, which takes longer than the most of the tests.
        self.app.router.routes.extend(create_router(self.manager, authorize=self.host.authorize, **router).routes)

        @self.app.post("/items")
        async def create_item(item: Item) -> Item:
            return item

    def client(self, name: str | None = "alice", *, address: str = "127.0.0.1", **options: Any) -> httpx.AsyncClient:
        """Return an HTTP client at an address, signed in as *name*."""
        options.setdefault("base_url", "https://app.example.com/api/v1")
        headers = {} if name is None else {"Authorization": f"Bearer {name}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app, client=(address, 50_000)), headers=headers, **options)

    def key_body(self, **changes: Any) -> dict[str, Any]:
        """Return a body that connects by an API key."""
        key = self.provider.valid_api_key.reveal()
        return {"providerId": str(self.keys.provider_id), "name": "Production", "credentials": {"apiKey": key}} | changes

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call the manager behind the router, whichever it is."""
        acting = self.manager if method == "close" else self.manager.acting_as(SYSTEM)
        result = attrgetter(method)(acting)(*args, **kwargs)
        return await result if isinstance(self.manager, AsyncIntegrationManager) and method not in NO_COROUTINES else result

    async def connect_key(self, tenant: str = "acme", name: str = "alice") -> dict[str, Any]:
        """Connect *tenant* by an API key."""
        async with self.client(name) as client:
            response = await client.post(f"/tenants/{tenant}/integrations", json=self.key_body())
        assert response.status_code == 201, response.text
        return response.json()["data"]

    async def begin(self, client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
        """Begin an authorization."""
        body = {"providerId": str(self.oauth.provider_id), "name": "Production"} | changes
        response = await client.post("/tenants/acme/authorizations", json=body)
        assert response.status_code == 201, response.text
        return response.json()["data"]

    async def connect_oauth(self) -> dict[str, Any]:
        """Connect acme by OAuth2, as a browser does."""
        async with self.client() as client:
            begun = await self.begin(client)
            response = await client.get(self.provider.sign_in(begun["authorizationUrl"]))
        assert response.status_code == 200, response.text
        return response.json()["data"]


@pytest.fixture(params=["awaiting", "blocking"])
def door(request: pytest.FixtureRequest) -> Door:
    return request.param


@pytest.fixture
async def make_api(door: Door) -> AsyncIterator[Any]:
    """Build an application over this door; what was built is closed at the end."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> Api:
            api = Api(door, **options)
            stack.push_async_callback(api.call, "close")
            return api

        yield make


@pytest.fixture
def api(make_api: Any) -> Api:
    return make_api()


@pytest.fixture
async def alice(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client of somebody who may do everything in acme."""
    async with api.client() as client:
        yield client


@pytest.fixture
def make_sync_api(door: Door) -> Any:
    """Build an application for a test that has no event loop of its own; the stores in memory need no closing."""
    return lambda **options: Api(door, **options)
