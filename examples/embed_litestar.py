"""Connect, use and disconnect in a Litestar application; its manager awaits, in the application's event loop.

`python examples/embed_litestar.py` plays a person against it; `uvicorn --app-dir examples embed_litestar:app` serves it.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
from litestar import Litestar, MediaType, Request, Response, delete, get, post
from litestar.datastructures import Cookie, MutableScopeHeaders
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.testing import TestClient
from litestar.types import Message, Scope

from cloud_integrations import AsyncIntegrationManager, Authorization, Catalogue, LocalKeyring, Secret, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, ReconnectRequiredError, http_status
from cloud_integrations.testing import FixedClock, Misbehaviour, ProviderServer, SimulatedProvider

# The manager.  A real program has an `AsyncEngine` over its database, a keyring that stays, and `Catalogue.builtin()`, and no provider of
# its own.  Over a SQLite engine, which blocks, the store works in threads.

resources = ExitStack()
folder = resources.enter_context(tempfile.TemporaryDirectory())
engine = sqlite_engine(Path(folder, "integrations.db"))
migrate.upgrade(engine)
provider = SimulatedProvider(clock=FixedClock())
api = resources.enter_context(ProviderServer(provider)).url
manager = AsyncIntegrationManager.over(
    engine,
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
async def sign_in(request: Request[Any, Any, Any], person: FromPath[str]) -> dict[str, str]:
    """Stand for the application's own sign-in."""
    request.session["person"] = person
    return {"person": person}


# What it adds: a dependency, six routes, and what an error looks like.


class Acting(NamedTuple):
    """The tenant, and the manager as a person uses it in one request."""

    tenant: str
    manager: AsyncIntegrationManager


async def acting(request: Request[Any, Any, Any]) -> Acting:
    """Take the person from the session, never from the request, and give the request an id for logs and the audit log."""
    person = request.session.get("person")
    if person not in COMPANIES:
        raise NotAuthorizedException
    request.state.id = str(uuid4())
    return Acting(COMPANIES[person], manager.acting_as(person, request_id=request.state.id))


async def tell_request_id(message: Message, scope: Scope) -> None:
    """Tell the id, so that a person who has a problem can quote it."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders(message)["X-Request-ID"] = scope["state"].get("id", "")


def cookie_of(state: str, token: str, *, lifetime: int) -> Cookie:
    """Make the cookie that ties an authorization to this browser; each has its own, so that two tabs do not disturb each other."""
    name = f"__Host-connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    return Cookie(name, value=token, max_age=lifetime, secure=True, httponly=True, samesite="lax")


def to_provider(begun: Authorization) -> Response[Any]:
    """Send the browser to the provider, and keep in it what the callback must bring."""
    return Redirect(begun.url, status_code=303, cookies=[cookie_of(begun.state.reveal(), begun.browser_token.reveal(), lifetime=600)])


@post("/connections/{slug:str}")
async def connect(acting: NamedDependency[Acting], slug: FromPath[str]) -> Response[Any]:
    """Begin a connection."""
    return to_provider(await acting.manager.begin_oauth(acting.tenant, slug, name=f"{slug} of {acting.tenant}", return_to="/connections"))


@post("/connections/{integration_id:uuid}/reconnect")
async def reconnect(acting: NamedDependency[Acting], integration_id: FromPath[UUID]) -> Response[Any]:
    """Begin a connection in place of one that has ended; it keeps its id."""
    return to_provider(await acting.manager.begin_reconnect(acting.tenant, integration_id, return_to="/connections"))


@get("/connections/callback/{context_id:uuid}")
async def callback(request: Request[Any, Any, Any], acting: NamedDependency[Acting], context_id: FromPath[UUID]) -> Response[Any]:
    """Finish; then go on to another page, so that neither code nor state stays in the address bar."""
    used = cookie_of(request.query_params.get("state", ""), "", lifetime=0)
    kept = request.cookies.get(used.key)
    connected = await acting.manager.complete_oauth(
        context_id, request.query_params.multi_items(), browser_token=None if kept is None else Secret(kept)
    )
    return Redirect(connected.return_to or "/connections", status_code=303, cookies=[used])


@get("/connections")
async def connections(acting: NamedDependency[Acting]) -> dict[str, Any]:
    """Show what is connected; there is no secret in an integration."""
    found = await acting.manager.list_integrations(acting.tenant)
    return {"connections": [{"id": str(each.id), "name": each.name, "health": each.health.value} for each in found]}


@post("/reports")
async def report(acting: NamedDependency[Acting]) -> dict[str, str]:
    """Call the provider for the tenant: the credential is renewed first if it is about to end, and replaced if it is refused."""
    async with httpx.AsyncClient(auth=acting.manager.auth(acting.tenant, "simulated")) as client:
        answer = await client.get(f"{api}/me")
    return {"account": answer.raise_for_status().json()["id"]}


@delete("/connections/{integration_id:uuid}", status_code=200)
async def disconnect(acting: NamedDependency[Acting], integration_id: FromPath[UUID]) -> dict[str, str]:
    """Erase it, and revoke its tokens at the provider."""
    removal = await acting.manager.delete(acting.tenant, integration_id)
    return {"refresh_token": removal.refresh_token.value, "access_token": removal.access_token.value}


RECONNECT_PAGE = """<!doctype html><title>Connect again</title>
<p>The provider no longer accepts this connection. Connect it again, and everything goes on as before.</p>
<form method="post" action="/connections/{}/reconnect"><button>Connect again</button></form>
"""


def ask_to_reconnect(_: Request[Any, Any, Any], error: ReconnectRequiredError) -> Response[str]:
    """Show the person the one thing that helps."""
    page = RECONNECT_PAGE.format(escape(str(error.details["integrationId"])))
    return Response(page, status_code=http_status(error), media_type=MediaType.HTML)


def refuse(request: Request[Any, Any, Any], error: CloudIntegrationsError) -> Response[dict[str, str]]:
    """Answer what may be repeated with 503 and when, and the rest by the library's table; what has 500 is for the log alone."""
    status = 503 if error.retryable else http_status(error)
    if status == 500:
        logging.getLogger("connections").error("%s in request %s", type(error).__name__, request.state.get("id"))
        return Response({"code": "internal", "message": "something went wrong on our side"}, status_code=500)
    wait = error.retry_after or timedelta(minutes=1)
    headers = {"Retry-After": str(max(1, round(wait.total_seconds())))} if error.retryable else {}
    return Response({"code": error.code, "message": error.message, "advice": error.advice}, status_code=status, headers=headers)


def blame_provider(request: Request[Any, Any, Any], error: httpx.HTTPError) -> Response[dict[str, str]]:
    """Answer what the provider's API did not do: that has nothing to do with the credential.  The error's text may hold a URL."""
    logging.getLogger("connections").warning("%s in request %s", type(error).__name__, request.state.get("id"))
    return Response({"code": "provider", "message": "the provider did not do what we asked"}, status_code=502)


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """Find a missing table or a wrong key now; at the end let refreshes finish."""
    async with manager:
        yield


app = Litestar(
    [sign_in, connect, reconnect, callback, connections, report, disconnect],
    dependencies={"acting": Provide(acting)},
    middleware=[sessions.middleware],
    before_send=[tell_request_id],
    exception_handlers={ReconnectRequiredError: ask_to_reconnect, CloudIntegrationsError: refuse, httpx.HTTPError: blame_provider},
    lifespan=[lifespan],
    logging_config=None,  # logging is yours; keep the query of a callback out of it, since it holds a code
)


# The demonstration.


def agree(sent: Any) -> str:
    """Agree at the provider, and return where it sends the browser."""
    came_back = urlsplit(provider.sign_in(sent.headers["Location"]))
    return f"{came_back.path}?{came_back.query}"


def main() -> None:
    """Play Ada, who connects her company, and Eve, who gets hold of Ada's callback."""
    with TestClient(app, base_url="https://app.example.com") as ada:
        eve = TestClient(app, base_url="https://app.example.com")
        for browser in (ada, eve):
            browser.follow_redirects = False
        assert ada.post("/reports").status_code == 401
        ada.post("/sign-in/ada")
        eve.post("/sign-in/eve")

        stolen = eve.get(agree(ada.post("/connections/simulated")))
        print("the callback in another browser:", stolen.status_code, stolen.json()["code"])
        assert stolen.status_code == 400

        done = ada.get(agree(ada.post("/connections/simulated")))
        print("connected, on to", done.headers["Location"])
        assert done.status_code == 303
        [connection] = ada.get("/connections").json()["connections"]
        print("connections:", connection["name"], connection["health"])

        made = ada.post("/reports")
        print("report:", made.json())
        log = ada.blocking_portal.call(manager.acting_as("ada").audit.list, "acme")
        [used] = [record.event for record in log if record.event.action == "credential.used"]
        print("in the audit log:", used.actor, "- with the id of the request:", used.request_id == made.headers["X-Request-ID"])
        assert used.request_id == made.headers["X-Request-ID"]

        provider.clock.advance(timedelta(hours=1))
        print("an hour later:", ada.post("/reports").json(), "- renewals at the provider:", provider.refresh_count)
        assert provider.refresh_count == 1

        provider.clock.advance(timedelta(hours=1))
        provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh", retry_after=timedelta(seconds=20))
        busy = ada.post("/reports")
        print("the token has ended, and the provider is busy:", busy.status_code, "Retry-After:", busy.headers["Retry-After"])
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "20")
        provider.clock.advance(timedelta(seconds=21))
        assert ada.post("/reports").status_code == 201

        provider.revoke_grant()
        ended = ada.post("/reports")
        print("consent was withdrawn:", ended.status_code, "and a page with a button: Connect again")
        assert (ended.status_code, "Connect again" in ended.text) == (409, True)
        ada.get(agree(ada.post(f"/connections/{connection['id']}/reconnect")))
        print("connected again:", ada.post("/reports").json())

        assert eve.delete(f"/connections/{connection['id']}").status_code == 404
        print("disconnected:", ada.delete(f"/connections/{connection['id']}").json())
        gone = ada.post("/reports")
        print("report afterwards:", gone.status_code, gone.json()["code"])
        assert gone.status_code == 404


if __name__ == "__main__":
    with resources:
        main()
        engine.dispose()
