"""Connect, use and disconnect in a Litestar application; its manager awaits, in the application's event loop.

`python examples/embed_litestar.py` plays a person against it; `uvicorn --app-dir examples embed_litestar:app` serves it.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Litestar, Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.response import Redirect
from litestar.testing import TestClient

from cloud_integrations import AsyncIntegrationManager, Catalogue, LocalKeyring, Secret, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, http_status
from cloud_integrations.testing import AsyncSimulatedTransport, SimulatedProvider

# The manager.  A real program has an `AsyncEngine` over its database, an `AsyncHttpxTransport`, a keyring that stays, and
# `Catalogue.builtin()`.  Over a SQLite engine, which blocks, the store works in threads.

folder = tempfile.TemporaryDirectory()
engine = sqlite_engine(Path(folder.name, "integrations.db"))
migrate.upgrade(engine)
provider = SimulatedProvider()
manager = AsyncIntegrationManager.over(
    engine,
    transport=AsyncSimulatedTransport(provider),
    keys=LocalKeyring.generate_key("example"),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/connections/callback"),
    clock=provider.clock,
)

# What the application has: people who are signed in.  `lax` lets the session come along when the provider sends the browser back,
# and keeps it away from what another site posts.

sessions = CookieBackendConfig(secret=secrets.token_bytes(32), secure=True, httponly=True, samesite="lax")
COMPANIES = {"ada": "acme", "eve": "globex"}


@post("/sign-in/{person:str}")
async def sign_in(request: Request[Any, Any, Any], person: str) -> dict[str, str]:
    """Stand for the application's own sign-in."""
    request.session["person"] = person
    return {"person": person}


def who(request: Request[Any, Any, Any]) -> tuple[str, AsyncIntegrationManager]:
    """Return the tenant, and the manager as this person uses it; both come from the session, never from the request."""
    person = request.session.get("person")
    if person not in COMPANIES:
        raise NotAuthorizedException
    return COMPANIES[person], manager.acting_as(person)


# What it adds: five routes and what an error looks like.


def cookie_of(state: str, token: str, *, lifetime: int) -> Cookie:
    """Make the cookie that ties an authorization to this browser; each has its own, so that two tabs do not disturb each other."""
    name = f"__Host-connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    return Cookie(name, value=token, max_age=lifetime, secure=True, httponly=True, samesite="lax")


@post("/connections/{slug:str}")
async def connect(request: Request[Any, Any, Any], slug: str) -> Response[Any]:
    """Send the browser to the provider, and keep in it what the callback must bring."""
    tenant, acting = who(request)
    begun = await acting.begin_oauth(tenant, slug, name=f"{slug} of {tenant}", return_to="/connections")
    cookie = cookie_of(begun.state.reveal(), begun.browser_token.reveal(), lifetime=600)
    return Redirect(begun.url, status_code=303, cookies=[cookie])


@get("/connections/callback/{context_id:uuid}")
async def callback(request: Request[Any, Any, Any], context_id: UUID) -> Response[Any]:
    """Finish; then go on to another page, so that neither code nor state stays in the address bar."""
    _, acting = who(request)
    used = cookie_of(request.query_params.get("state", ""), "", lifetime=0)
    kept = request.cookies.get(used.key)
    connected = await acting.complete_oauth(
        context_id, request.query_params.multi_items(), browser_token=None if kept is None else Secret(kept)
    )
    return Redirect(connected.return_to or "/connections", status_code=303, cookies=[used])


@get("/connections")
async def connections(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Show what is connected; there is no secret in an integration."""
    tenant, _ = who(request)
    found = await manager.list_integrations(tenant)
    return {"connections": [{"id": str(each.id), "name": each.name, "health": each.health.value} for each in found]}


@post("/reports")
async def report(request: Request[Any, Any, Any]) -> dict[str, int]:
    """Use the credential: renewed first if it is about to end."""
    tenant, acting = who(request)
    token = await acting.credential(tenant, "simulated")
    answer = provider.handle("GET", "/me", headers=token.headers())  # where a real application calls the provider's API
    return {"status": answer.status}


@delete("/connections/{integration_id:uuid}", status_code=200)
async def disconnect(request: Request[Any, Any, Any], integration_id: UUID) -> dict[str, str]:
    """Erase it, and revoke its tokens at the provider."""
    tenant, acting = who(request)
    removal = await acting.delete(tenant, integration_id)
    return {"refresh_token": removal.refresh_token.value, "access_token": removal.access_token.value}


def refuse(_: Request[Any, Any, Any], error: CloudIntegrationsError) -> Response[dict[str, str]]:
    """Answer an error by the library's table; what has 500 is for the log alone."""
    status = http_status(error)
    if status == 500:
        logging.getLogger("connections").error("%s", type(error).__name__)
        return Response({"code": "internal", "message": "something went wrong on our side"}, status_code=500)
    wait = {} if error.retry_after is None else {"Retry-After": str(max(1, round(error.retry_after.total_seconds())))}
    return Response({"code": error.code, "message": error.message, "advice": error.advice}, status_code=status, headers=wait)


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """Find a missing table or a wrong key now; at the end let refreshes finish."""
    async with manager:
        yield


app = Litestar(
    [sign_in, connect, callback, connections, report, disconnect],
    middleware=[sessions.middleware],
    exception_handlers={CloudIntegrationsError: refuse},
    lifespan=[lifespan],
    logging_config=None,  # logging is yours; keep the query of a callback out of it, since it holds a code
)


def main() -> None:
    """Play Ada, who connects her company, and Eve, who gets hold of Ada's callback."""
    with TestClient(app, base_url="https://app.example.com") as ada:
        eve = TestClient(app, base_url="https://app.example.com")
        assert ada.post("/connections/simulated").status_code == 401
        ada.post("/sign-in/ada")
        eve.post("/sign-in/eve")

        sent = ada.post("/connections/simulated", follow_redirects=False)
        came_back = urlsplit(provider.sign_in(sent.headers["Location"]))  # the person agrees at the provider
        stolen = eve.get(f"{came_back.path}?{came_back.query}")
        print("the callback in another browser:", stolen.status_code, stolen.json()["code"])
        assert stolen.status_code == 400

        sent = ada.post("/connections/simulated", follow_redirects=False)
        came_back = urlsplit(provider.sign_in(sent.headers["Location"]))
        done = ada.get(f"{came_back.path}?{came_back.query}", follow_redirects=False)
        print("connected, on to", done.headers["Location"])
        assert done.status_code == 303
        [connection] = ada.get("/connections").json()["connections"]
        print("connections:", connection["name"], connection["health"])
        print("report:", ada.post("/reports").json())
        assert eve.delete(f"/connections/{connection['id']}").status_code == 404
        print("disconnected:", ada.delete(f"/connections/{connection['id']}").json())
        gone = ada.post("/reports")
        print("report afterwards:", gone.status_code, gone.json()["code"])
        assert gone.status_code == 404


if __name__ == "__main__":
    main()
    engine.dispose()
    folder.cleanup()
