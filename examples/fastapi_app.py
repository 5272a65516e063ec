"""The router in an application that exists already: its own users, its own routes, one event loop.

`python examples/fastapi_app.py` plays a user against it, in memory; `uvicorn --app-dir examples fastapi_app:app` serves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request

from cloud_integrations import Actor, AesGcmCipher, AsyncIntegrationManager, AsyncMemoryStore, Catalogue, LocalKeyring, Settings
from cloud_integrations.testing import AsyncSimulatedTransport, SimulatedProvider
from cloud_integrations_fastapi import Denied, Permission, create_router

# What the application has: users, and sessions in a cookie.


@dataclass(frozen=True)
class User:
    """Somebody who is signed in."""

    id: str
    company: str
    is_admin: bool = False


SESSIONS = {"fake-session-1": User("alice", "acme", is_admin=True), "fake-session-2": User("rita", "acme")}


def find_user(request: Request) -> User | None:
    """Return who is signed in, if anybody."""
    return SESSIONS.get(request.cookies.get("session", ""))


def require_user(request: Request) -> User:
    """Return who is signed in, or answer 401."""
    user = find_user(request)
    if user is None:
        raise HTTPException(401)
    return user


# What it adds: a manager, and one function that says who may do what.  A real one has an `AsyncSqlAlchemyStore`,
# an `AsyncHttpxTransport`, keys that stay, and `Catalogue.builtin()`; this one has a provider in memory.

provider = SimulatedProvider()
manager = AsyncIntegrationManager(
    store=AsyncMemoryStore(provider.clock),
    transport=AsyncSimulatedTransport(provider),
    keys=LocalKeyring([LocalKeyring.generate_key("example")]),
    cipher=AesGcmCipher(),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
    clock=provider.clock,
)


async def authorize(request: Request, permission: Permission, tenant_id: str | None) -> Actor | Denied | None:
    """Let everybody look at their own company's integrations, and administrators change them."""
    user = find_user(request)
    if user is None:
        return None
    actor = Actor(id=user.id)
    if tenant_id not in {None, user.company}:
        return Denied(actor)
    if permission is Permission.OPERATE:
        return Denied(actor)
    looks = permission in {Permission.LIST, Permission.READ, Permission.PROVIDERS}
    return actor if looks or user.is_admin else Denied(actor)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Find a missing table or a wrong key now, and close connections at the end."""
    async with manager:
        yield


app = FastAPI(lifespan=lifespan)
app.include_router(create_router(manager, authorize=authorize))


@app.get("/profile")
async def show_profile(user: Annotated[User, Depends(require_user)]) -> dict[str, str]:
    """Be one of the application's own routes; they stay as they are."""
    return {"id": user.id, "company": user.company}


@app.post("/reports")
async def make_report(user: Annotated[User, Depends(require_user)]) -> dict[str, str]:
    """Use the company's credential: renewed first when it is about to end."""
    token = await manager.acting_as(user.id).credential(user.company, "simulated")
    answer = provider.handle("GET", "/me", headers=token.headers())  # where a real application calls the provider's API
    return {"status": str(answer.status)}


async def main() -> None:
    """Play a user: connect by OAuth2, as a browser does, then use what was connected."""
    transport = httpx.ASGITransport(app)
    async with manager, httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as browser:
        assert (await browser.get("/api/v1/tenants/acme/integrations")).status_code == 403
        browser.cookies.set("session", "fake-session-1")
        providers = (await browser.get("/api/v1/providers")).json()["data"]
        chosen = next(offer for offer in providers if offer["slug"] == "simulated")
        begun = await browser.post(
            "/api/v1/tenants/acme/authorizations", json={"providerId": chosen["id"], "name": "Production", "returnTo": "/profile"}
        )
        callback = provider.sign_in(begun.json()["data"]["authorizationUrl"])  # the user agrees at the provider
        back = await browser.get(callback, follow_redirects=True)
        print("back at", back.url.path, "as", back.json()["id"])
        integrations = (await browser.get("/api/v1/tenants/acme/integrations")).json()["data"]
        print("connected:", [(found["name"], found["status"]) for found in integrations])
        print("report:", (await browser.post("/reports")).json())

        browser.cookies.set("session", "fake-session-2")
        refused = await browser.delete(f"/api/v1/tenants/acme/integrations/{integrations[0]['id']}")
        print("rita may not delete it:", refused.status_code, refused.json()["error"]["code"])
        newest = await manager.acting_as("ada").audit.list("acme", limit=1)
        assert newest[0].event.outcome == "denied"


if __name__ == "__main__":
    asyncio.run(main())
