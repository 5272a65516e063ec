"""Connect, use and disconnect in a Flask application that exists already; its manager blocks, as Flask does.

`python examples/embed_flask.py` plays a person against it; `flask --app examples/embed_flask run` serves it.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import requests
from flask import Flask, Response, abort, g, redirect, render_template_string, request, session
from flask.testing import FlaskClient

from cloud_integrations import Authorization, Catalogue, IntegrationManager, LocalKeyring, Secret, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, ReconnectRequiredError, http_status
from cloud_integrations.testing import FixedClock, Misbehaviour, ProviderServer, SimulatedProvider

# The manager.  A real program has its database, a keyring that stays, and `Catalogue.builtin()`, and no provider of its own.  A server
# that forks makes engine and manager in each worker, after the fork.

resources = ExitStack()
folder = resources.enter_context(tempfile.TemporaryDirectory())
engine = sqlite_engine(Path(folder, "integrations.db"))
migrate.upgrade(engine)
provider = SimulatedProvider(clock=FixedClock())
api = resources.enter_context(ProviderServer(provider)).url
manager = IntegrationManager.over(
    engine,
    keys=LocalKeyring.generate_key("example"),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/connections/callback"),
    clock=provider.clock,
)

# What the application has: people who are signed in, and an id for each request.  `Lax` lets the session come along when the provider
# sends the browser back, and keeps it away from what another site posts.

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
COMPANIES = {"ada": "acme", "eve": "globex"}


@app.before_request
def name_request() -> None:
    """Give the request an id, under which logs and the audit log name it."""
    g.request_id = str(uuid4())


@app.after_request
def tell_request_id(response: Response) -> Response:
    """Tell the id, so that a person who has a problem can quote it."""
    response.headers["X-Request-ID"] = g.request_id
    return response


@app.post("/sign-in/<person>")
def sign_in(person: str) -> dict[str, str]:
    """Stand for the application's own sign-in."""
    session["person"] = person
    return {"person": person}


def who() -> tuple[str, IntegrationManager]:
    """Return the tenant, and the manager as this person uses it in this request; both come from the session, never from the request."""
    person = session.get("person")
    if person not in COMPANIES:
        abort(401)
    return COMPANIES[person], manager.acting_as(person, request_id=g.request_id)


# What it adds: six routes and what an error looks like.


def cookie_of(state: str) -> str:
    """Name the cookie that ties an authorization to this browser; each has its own, so that two tabs do not disturb each other."""
    return f"__Host-connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def to_provider(begun: Authorization) -> Response:
    """Send the browser to the provider, and keep in it what the callback must bring."""
    answer = redirect(begun.url, 303)
    cookie = cookie_of(begun.state.reveal())
    answer.set_cookie(cookie, begun.browser_token.reveal(), max_age=600, secure=True, httponly=True, samesite="Lax")
    return answer


@app.post("/connections/<slug>")
def connect(slug: str) -> Response:
    """Begin a connection."""
    tenant, acting = who()
    return to_provider(acting.begin_oauth(tenant, slug, name=f"{slug} of {tenant}", return_to="/connections"))


@app.post("/connections/<uuid:integration_id>/reconnect")
def reconnect(integration_id: UUID) -> Response:
    """Begin a connection in place of one that has ended; it keeps its id."""
    tenant, acting = who()
    return to_provider(acting.begin_reconnect(tenant, integration_id, return_to="/connections"))


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
def report() -> dict[str, str]:
    """Call the provider for the tenant; the credential is renewed first if it is about to end, and replaced if it is refused."""
    tenant, acting = who()
    answer = requests.get(f"{api}/me", auth=acting.auth(tenant, "simulated"), timeout=10)
    answer.raise_for_status()
    return {"account": answer.json()["id"]}


@app.delete("/connections/<uuid:integration_id>")
def disconnect(integration_id: UUID) -> dict[str, str]:
    """Erase it, and revoke its tokens at the provider."""
    tenant, acting = who()
    removal = acting.delete(tenant, integration_id)
    return {"refresh_token": removal.refresh_token.value, "access_token": removal.access_token.value}


RECONNECT_PAGE = """<!doctype html><title>Connect again</title>
<p>The provider no longer accepts this connection. Connect it again, and everything goes on as before.</p>
<form method="post" action="/connections/{{ integration_id }}/reconnect"><button>Connect again</button></form>
"""


@app.errorhandler(ReconnectRequiredError)
def ask_to_reconnect(error: ReconnectRequiredError) -> tuple[str, int]:
    """Show the person the one thing that helps."""
    return render_template_string(RECONNECT_PAGE, integration_id=error.details["integrationId"]), http_status(error)


@app.errorhandler(CloudIntegrationsError)
def refuse(error: CloudIntegrationsError) -> tuple[dict[str, str], int, dict[str, str]]:
    """Answer what may be repeated with 503 and when, and the rest by the library's table; what has 500 is for the log alone."""
    status = 503 if error.retryable else http_status(error)
    if status == 500:
        app.logger.error("%s in request %s", type(error).__name__, g.request_id)
        return {"code": "internal", "message": "something went wrong on our side"}, 500, {}
    wait = error.retry_after or timedelta(minutes=1)
    headers = {"Retry-After": str(max(1, round(wait.total_seconds())))} if error.retryable else {}
    return {"code": error.code, "message": error.message, "advice": error.advice}, status, headers


@app.errorhandler(requests.RequestException)
def blame_provider(error: requests.RequestException) -> tuple[dict[str, str], int]:
    """Answer what the provider's API did not do: that has nothing to do with the credential.  The error's text may hold a URL."""
    app.logger.warning("%s in request %s", type(error).__name__, g.request_id)
    return {"code": "provider", "message": "the provider did not do what we asked"}, 502


# The demonstration.


class Person:
    """A person with a browser."""

    def __init__(self, name: str) -> None:
        self.browser: FlaskClient = app.test_client()
        self.post(f"/sign-in/{name}")

    def __getattr__(self, method: str) -> Any:
        return lambda path: getattr(self.browser, method)(path, base_url="https://app.example.com")


def agree(sent: Any) -> str:
    """Agree at the provider, and return where it sends the browser."""
    came_back = urlsplit(provider.sign_in(sent.headers["Location"]))
    return f"{came_back.path}?{came_back.query}"


def main() -> None:
    """Play Ada, who connects her company, and Eve, who gets hold of Ada's callback."""
    assert app.test_client().post("/reports").status_code == 401
    ada, eve = Person("ada"), Person("eve")

    stolen = eve.get(agree(ada.post("/connections/simulated")))
    print("the callback in another browser:", stolen.status_code, stolen.json["code"])
    assert stolen.status_code == 400

    done = ada.get(agree(ada.post("/connections/simulated")))
    print("connected, on to", done.headers["Location"])
    assert done.status_code == 303
    [connection] = ada.get("/connections").json["connections"]
    print("connections:", connection["name"], connection["health"])

    made = ada.post("/reports")
    print("report:", made.json)
    [used] = [record.event for record in manager.acting_as("ada").audit.list("acme") if record.event.action == "credential.used"]
    print("in the audit log:", used.actor, "- with the id of the request:", used.request_id == made.headers["X-Request-ID"])
    assert used.request_id == made.headers["X-Request-ID"]

    provider.clock.advance(timedelta(hours=1))
    print("an hour later:", ada.post("/reports").json, "- renewals at the provider:", provider.refresh_count)
    assert provider.refresh_count == 1

    provider.clock.advance(timedelta(hours=1))
    provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh", retry_after=timedelta(seconds=20))
    busy = ada.post("/reports")
    print("the token has ended, and the provider is busy:", busy.status_code, "Retry-After:", busy.headers["Retry-After"])
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "20")
    provider.clock.advance(timedelta(seconds=21))
    assert ada.post("/reports").status_code == 200

    provider.revoke_grant()
    ended = ada.post("/reports")
    print("consent was withdrawn:", ended.status_code, "and a page with a button: Connect again")
    assert (ended.status_code, "Connect again" in ended.text) == (409, True)
    ada.get(agree(ada.post(f"/connections/{connection['id']}/reconnect")))
    print("connected again:", ada.post("/reports").json)

    assert eve.delete(f"/connections/{connection['id']}").status_code == 404
    print("disconnected:", ada.delete(f"/connections/{connection['id']}").json)
    gone = ada.post("/reports")
    print("report afterwards:", gone.status_code, gone.json["code"])
    assert gone.status_code == 404


if __name__ == "__main__":
    with resources, manager:
        main()
        engine.dispose()
