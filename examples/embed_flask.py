"""Connect, use and disconnect in a Flask application that exists already; its manager blocks, as Flask does.

`python examples/embed_flask.py` plays a person against it; `flask --app examples/embed_flask run` serves it.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask, Response, abort, redirect, request, session

from cloud_integrations import Catalogue, IntegrationManager, LocalKeyring, Secret, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, http_status
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

# The manager.  A real program has its database, an `HttpxTransport`, a keyring that stays, and `Catalogue.builtin()`.  A server that
# forks makes engine and manager in each worker, after the fork.

folder = tempfile.TemporaryDirectory()
engine = sqlite_engine(Path(folder.name, "integrations.db"))
migrate.upgrade(engine)
provider = SimulatedProvider()
manager = IntegrationManager.over(
    engine,
    transport=SimulatedTransport(provider),
    keys=LocalKeyring.generate_key("example"),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/connections/callback"),
    clock=provider.clock,
)

# What the application has: people who are signed in.  `Lax` lets the session come along when the provider sends the browser back,
# and keeps it away from what another site posts.

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
COMPANIES = {"ada": "acme", "eve": "globex"}


@app.post("/sign-in/<person>")
def sign_in(person: str) -> dict[str, str]:
    """Stand for the application's own sign-in."""
    session["person"] = person
    return {"person": person}


def who() -> tuple[str, IntegrationManager]:
    """Return the tenant, and the manager as this person uses it; both come from the session, never from the request."""
    person = session.get("person")
    if person not in COMPANIES:
        abort(401)
    return COMPANIES[person], manager.acting_as(person)


# What it adds: five routes and what an error looks like.


def cookie_of(state: str) -> str:
    """Name the cookie that ties an authorization to this browser; each has its own, so that two tabs do not disturb each other."""
    return f"__Host-connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


@app.post("/connections/<slug>")
def connect(slug: str) -> Response:
    """Send the browser to the provider, and keep in it what the callback must bring."""
    tenant, acting = who()
    begun = acting.begin_oauth(tenant, slug, name=f"{slug} of {tenant}", return_to="/connections")
    answer = redirect(begun.url, 303)
    cookie = cookie_of(begun.state.reveal())
    answer.set_cookie(cookie, begun.browser_token.reveal(), max_age=600, secure=True, httponly=True, samesite="Lax")
    return answer


@app.get("/connections/callback/<uuid:context_id>")
def callback(context_id: UUID) -> Response:
    """Finish; then go on to another page, so that neither code nor state stays in the address bar."""
    _, acting = who()
    cookie = cookie_of(request.args.get("state", ""))
    kept = request.cookies.get(cookie)
    connected = acting.complete_oauth(
        context_id, list(request.args.items(multi=True)), browser_token=None if kept is None else Secret(kept)
    )
    answer = redirect(connected.return_to or "/connections", 303)
    answer.delete_cookie(cookie, secure=True, httponly=True, samesite="Lax")
    return answer


@app.get("/connections")
def connections() -> dict[str, Any]:
    """Show what is connected; there is no secret in an integration."""
    tenant, _ = who()
    found = manager.list_integrations(tenant)
    return {"connections": [{"id": str(each.id), "name": each.name, "health": each.health.value} for each in found]}


@app.post("/reports")
def report() -> dict[str, int]:
    """Use the credential: renewed first if it is about to end."""
    tenant, acting = who()
    token = acting.credential(tenant, "simulated")
    answer = provider.handle("GET", "/me", headers=token.headers())  # where a real application calls the provider's API
    return {"status": answer.status}


@app.delete("/connections/<uuid:integration_id>")
def disconnect(integration_id: UUID) -> dict[str, str]:
    """Erase it, and revoke its tokens at the provider."""
    tenant, acting = who()
    removal = acting.delete(tenant, integration_id)
    return {"refresh_token": removal.refresh_token.value, "access_token": removal.access_token.value}


@app.errorhandler(CloudIntegrationsError)
def refuse(error: CloudIntegrationsError) -> tuple[dict[str, str], int, dict[str, str]]:
    """Answer an error by the library's table; what has 500 is for the log alone."""
    status = http_status(error)
    if status == 500:
        app.logger.error("%s", type(error).__name__)
        return {"code": "internal", "message": "something went wrong on our side"}, 500, {}
    wait = {} if error.retry_after is None else {"Retry-After": str(max(1, round(error.retry_after.total_seconds())))}
    return {"code": error.code, "message": error.message, "advice": error.advice}, status, wait


def main() -> None:
    """Play Ada, who connects her company, and Eve, who gets hold of Ada's callback."""
    https = "https://app.example.com"
    ada, eve = app.test_client(), app.test_client()
    assert ada.post("/connections/simulated", base_url=https).status_code == 401
    ada.post("/sign-in/ada", base_url=https)
    eve.post("/sign-in/eve", base_url=https)

    sent = ada.post("/connections/simulated", base_url=https)
    came_back = urlsplit(provider.sign_in(sent.headers["Location"]))  # the person agrees at the provider
    address = f"{came_back.path}?{came_back.query}"
    stolen = eve.get(address, base_url=https)
    print("the callback in another browser:", stolen.status_code, stolen.json["code"])
    assert stolen.status_code == 400

    sent = ada.post("/connections/simulated", base_url=https)
    came_back = urlsplit(provider.sign_in(sent.headers["Location"]))
    done = ada.get(f"{came_back.path}?{came_back.query}", base_url=https)
    print("connected, on to", done.headers["Location"])
    assert done.status_code == 303
    [connection] = ada.get("/connections", base_url=https).json["connections"]
    print("connections:", connection["name"], connection["health"])
    print("report:", ada.post("/reports", base_url=https).json)
    assert eve.delete(f"/connections/{connection['id']}", base_url=https).status_code == 404
    print("disconnected:", ada.delete(f"/connections/{connection['id']}", base_url=https).json)
    gone = ada.post("/reports", base_url=https)
    print("report afterwards:", gone.status_code, gone.json["code"])
    assert gone.status_code == 404


if __name__ == "__main__":
    with manager:
        main()
    engine.dispose()
    folder.cleanup()
