"""Connect, use and disconnect in a Django project: in plain views, in an `async` view, and in a management command.

`python examples/embed_django.py` plays a person against it; `python examples/embed_django.py runserver` serves it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import django
import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command, execute_from_command_line
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections as django_connections
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from cloud_integrations import Actor, AsyncIntegrationManager, Authorization, Catalogue, IntegrationManager, LocalKeyring, Secret, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, ReconnectRequiredError, http_status
from cloud_integrations.testing import FixedClock, Misbehaviour, ProviderServer, SimulatedProvider

resources = ExitStack()
folder = resources.enter_context(tempfile.TemporaryDirectory())

# settings.py: what the project has.  Django's own protection against cross-site requests covers what is added below.

settings.configure(
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["app.example.com"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/product.db"}},
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    SESSION_COOKIE_SECURE=True,
    SESSION_COOKIE_SAMESITE="Lax",  # comes along when the provider sends the browser back
    MIDDLEWARE=[
        f"{__name__}.RequestIds",
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{__name__}.Refusals",
    ],
)
django.setup()

# connections.py: the managers.  A real project makes them in `AppConfig.ready`, with its database, a keyring that stays, and
# `Catalogue.builtin()`, and has no provider of its own.  Their tables may lie in Django's database: they begin with `ci_`, and migrate
# apart from Django's.

engine = sqlite_engine(Path(folder, "product.db"))
migrate.upgrade(engine)
provider = SimulatedProvider(clock=FixedClock())
api = resources.enter_context(ProviderServer(provider)).url
parts: dict[str, Any] = {
    "keys": LocalKeyring.generate_key("example"),
    "providers": Catalogue.of(*provider.catalogue_entries()),
    "applications": [provider.application()],
    "settings": Settings(callback_url="https://app.example.com/connections/callback"),
    "clock": provider.clock,
}
manager = IntegrationManager.over(engine, **parts)
async_manager = AsyncIntegrationManager.over(engine, **parts)  # for `async` views only
COMPANIES = {"ada": "acme", "eve": "globex"}


RECONNECT_PAGE = """<!doctype html><title>Connect again</title>
<p>The provider no longer accepts this connection. Connect it again, and everything goes on as before.</p>
<form method="post" action="/connections/{}/reconnect"><input type="hidden" name="csrfmiddlewaretoken" value="{}">
<button>Connect again</button></form>
"""


class Middleware:
    """What every middleware has."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)


class RequestIds(Middleware):
    """Gives each request an id, under which logs and the audit log name it."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Tell the id, so that a person who has a problem can quote it."""
        request.id = str(uuid4())
        response = super().__call__(request)
        response["X-Request-ID"] = request.id
        return response


class Refusals(Middleware):
    """Answers the library's errors."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Show what the person can do; answer what may be repeated with 503, and the rest by the library's table."""
        if isinstance(error, httpx.HTTPError):
            logging.getLogger("connections").warning("%s in request %s", type(error).__name__, request.id)
            return JsonResponse({"code": "provider", "message": "the provider did not do what we asked"}, status=502)
        if not isinstance(error, CloudIntegrationsError):
            return None
        status = 503 if error.retryable else http_status(error)
        if status == 500:  # for the log alone
            logging.getLogger("connections").error("%s in request %s", type(error).__name__, request.id)
            return JsonResponse({"code": "internal", "message": "something went wrong on our side"}, status=500)
        if isinstance(error, ReconnectRequiredError):
            page = format_html(RECONNECT_PAGE, error.details["integrationId"], get_token(request))
            return HttpResponse(page, status=status)
        answer = JsonResponse({"code": error.code, "message": error.message, "advice": error.advice}, status=status)
        if error.retryable:
            answer["Retry-After"] = str(max(1, round((error.retry_after or timedelta(minutes=1)).total_seconds())))
        return answer


# views.py

Manager = TypeVar("Manager", IntegrationManager, AsyncIntegrationManager)


@require_POST
def sign_in(request: HttpRequest, person: str) -> HttpResponse:
    """Stand for the project's own sign-in."""
    request.session["person"] = person
    return JsonResponse({"person": person})


def acting(request: HttpRequest, person: str | None, owner: Manager) -> tuple[str, Manager]:
    """Return the tenant, and the manager as this person uses it in this request; the person comes from the session."""
    if person not in COMPANIES:
        raise PermissionDenied
    return COMPANIES[person], owner.acting_as(person, request_id=request.id)


def who(request: HttpRequest) -> tuple[str, IntegrationManager]:
    """Do the same for a plain view."""
    return acting(request, request.session.get("person"), manager)


def cookie_of(state: str) -> str:
    """Name the cookie that ties an authorization to this browser; each has its own, so that two tabs do not disturb each other."""
    return f"__Host-connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def to_provider(begun: Authorization) -> HttpResponse:
    """Send the browser to the provider, and keep in it what the callback must bring."""
    answer = HttpResponseRedirect(begun.url)
    cookie = cookie_of(begun.state.reveal())
    answer.set_cookie(cookie, begun.browser_token.reveal(), max_age=600, secure=True, httponly=True, samesite="Lax")
    return answer


@require_POST
def connect(request: HttpRequest, slug: str) -> HttpResponse:
    """Begin a connection."""
    tenant, mine = who(request)
    return to_provider(mine.begin_oauth(tenant, slug, name=f"{slug} of {tenant}", return_to="/connections"))


@require_POST
def reconnect(request: HttpRequest, integration_id: UUID) -> HttpResponse:
    """Begin a connection in place of one that has ended; it keeps its id."""
    tenant, mine = who(request)
    return to_provider(mine.begin_reconnect(tenant, integration_id, return_to="/connections"))


@require_GET
def callback(request: HttpRequest, context_id: UUID) -> HttpResponse:
    """Finish; then go on to another page, so that neither code nor state stays in the address bar."""
    _, mine = who(request)
    cookie = cookie_of(request.GET.get("state", ""))
    kept = request.COOKIES.get(cookie)
    params = [(name, value) for name, values in request.GET.lists() for value in values]
    connected = mine.complete_oauth(context_id, params, browser_token=None if kept is None else Secret(kept))
    answer = HttpResponseRedirect(connected.return_to or "/connections")
    answer.set_cookie(cookie, "", max_age=0, secure=True, httponly=True, samesite="Lax")
    return answer


@require_GET
def connections(request: HttpRequest) -> HttpResponse:
    """Show what is connected; there is no secret in an integration."""
    tenant, _ = who(request)
    found = manager.list_integrations(tenant)
    return JsonResponse({"connections": [{"id": str(each.id), "name": each.name, "health": each.health.value} for each in found]})


@require_POST
def report(request: HttpRequest) -> HttpResponse:
    """Call the provider for the tenant: the credential is renewed first if it is about to end, and replaced if it is refused."""
    tenant, mine = who(request)
    answer = httpx.get(f"{api}/me", auth=mine.auth(tenant, "simulated"))
    return JsonResponse({"account": answer.raise_for_status().json()["id"]})


@require_POST
async def report_async(request: HttpRequest) -> HttpResponse:
    """Do the same in an `async` view, with the manager that awaits."""
    tenant, mine = acting(request, await request.session.aget("person"), async_manager)
    async with httpx.AsyncClient(auth=mine.auth(tenant, "simulated")) as client:
        answer = await client.get(f"{api}/me")
    return JsonResponse({"account": answer.raise_for_status().json()["id"]})


@require_POST
def disconnect(request: HttpRequest, integration_id: UUID) -> HttpResponse:
    """Erase it, and revoke its tokens at the provider."""
    tenant, mine = who(request)
    removal = mine.delete(tenant, integration_id)
    return JsonResponse({"refresh_token": removal.refresh_token.value, "access_token": removal.access_token.value})


# urls.py

urlpatterns = [
    path("sign-in/<str:person>", sign_in),
    path("connections", connections),
    path("connections/callback/<uuid:context_id>", callback),
    path("connections/<slug:slug>/connect", connect),
    path("connections/<uuid:integration_id>/reconnect", reconnect),
    path("connections/<uuid:integration_id>/disconnect", disconnect),
    path("reports", report),
    path("reports/async", report_async),
]

# asgi.py

django_application = get_asgi_application()


async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Serve Django; open the awaiting manager before, and let its renewals end after, which Django has no place for."""
    if scope["type"] != "lifespan":
        return await django_application(scope, receive, send)
    async with async_manager:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
    return await send({"type": "lifespan.shutdown.complete"})


# management/commands/make_reports.py


class Command(BaseCommand):
    """`python manage.py make_reports acme globex`."""

    help = "Call the provider for each tenant."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the tenants."""
        parser.add_argument("tenants", nargs="+")

    def handle(self, *, tenants: list[str], **_: object) -> None:
        """Go on with the next tenant where one cannot be served."""
        mine = manager.acting_as(Actor(type="service", id="make-reports"), request_id=uuid4())
        failed = []
        for tenant in tenants:
            try:
                account = httpx.get(f"{api}/me", auth=mine.auth(tenant, "simulated")).raise_for_status().json()["id"]
            except (CloudIntegrationsError, httpx.HTTPError) as error:
                failed.append(tenant)
                problem = error.code if isinstance(error, CloudIntegrationsError) else type(error).__name__
                self.stderr.write(f"  {tenant}: {problem}")
            else:
                self.stdout.write(f"  {tenant}: {account}")
        if failed:
            raise CommandError(f"no report for {', '.join(failed)}")


# The demonstration.


class Person:
    """A person with a browser."""

    def __init__(self, name: str) -> None:
        self.browser = Client(headers={"host": "app.example.com"})
        self.post(f"/sign-in/{name}")

    def __getattr__(self, method: str) -> Any:
        return lambda address: getattr(self.browser, method)(address, secure=True)


def agree(sent: HttpResponse) -> str:
    """Agree at the provider, and return where it sends the browser."""
    came_back = urlsplit(provider.sign_in(sent["Location"]))
    return f"{came_back.path}?{came_back.query}"


async def play_async(session: str) -> tuple[int, Any]:
    """Ask for a report in the `async` view, as a server that speaks ASGI does: one event loop for all, begun and ended by lifespan."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    server = asyncio.create_task(application({"type": "lifespan"}, told.get, said.put))
    await told.put({"type": "lifespan.startup"})
    await said.get()
    browser = AsyncClient(headers={"host": "app.example.com"})
    browser.cookies[settings.SESSION_COOKIE_NAME] = session
    answer = await browser.post("/reports/async", secure=True)
    await told.put({"type": "lifespan.shutdown"})
    await server
    return answer.status_code, answer.json()


def main() -> None:
    """Play Ada, who connects her company, and Eve, who gets hold of Ada's callback."""
    assert Client(headers={"host": "app.example.com"}).post("/reports", secure=True).status_code == 403
    ada, eve = Person("ada"), Person("eve")

    stolen = eve.get(agree(ada.post("/connections/simulated/connect")))
    print("the callback in another browser:", stolen.status_code, stolen.json()["code"])
    assert stolen.status_code == 400

    done = ada.get(agree(ada.post("/connections/simulated/connect")))
    print("connected, on to", done["Location"])
    assert done.status_code == 302
    [connection] = ada.get("/connections").json()["connections"]
    print("connections:", connection["name"], connection["health"])

    made = ada.post("/reports")
    print("report:", made.json())
    log = manager.acting_as("ada").audit
    [used] = [record.event for record in log.list("acme") if record.event.action == "credential.used"]
    print("in the audit log:", used.actor, "- with the id of the request:", used.request_id == made["X-Request-ID"])
    assert used.request_id == made["X-Request-ID"]

    provider.clock.advance(timedelta(hours=1))
    status, body = asyncio.run(play_async(ada.browser.cookies[settings.SESSION_COOKIE_NAME].value))
    print("an hour later, in the async view:", body, "- renewals at the provider:", provider.refresh_count)
    assert (status, provider.refresh_count) == (200, 1)

    print("the management command:")
    try:
        call_command(Command(), "acme", "globex")
    except CommandError as error:
        print(f"  it ends with exit code {error.returncode}: {error}")
    assert {"user:ada", "service:make-reports"} == {
        str(each.event.actor) for each in log.list("acme") if each.event.action == "credential.used"
    }

    provider.clock.advance(timedelta(hours=1))
    provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh", retry_after=timedelta(seconds=20))
    busy = ada.post("/reports")
    print("the token has ended, and the provider is busy:", busy.status_code, "Retry-After:", busy["Retry-After"])
    assert (busy.status_code, busy["Retry-After"]) == (503, "20")
    provider.clock.advance(timedelta(seconds=21))
    assert ada.post("/reports").status_code == 200

    provider.revoke_grant()
    ended = ada.post("/reports")
    print("consent was withdrawn:", ended.status_code, "and a page: Connect again")
    assert (ended.status_code, b"Connect again" in ended.content) == (409, True)
    ada.get(agree(ada.post(f"/connections/{connection['id']}/reconnect")))
    print("connected again:", ada.post("/reports").json())

    assert eve.post(f"/connections/{connection['id']}/disconnect").status_code == 404
    print("disconnected:", ada.post(f"/connections/{connection['id']}/disconnect").json())
    gone = ada.post("/reports")
    print("report afterwards:", gone.status_code, gone.json()["code"])
    assert gone.status_code == 404
    print("Django's own connections that were opened:", len(django_connections.all(initialized_only=True)))
    assert django_connections.all(initialized_only=True) == []


if __name__ == "__main__":
    with resources, manager:
        execute_from_command_line(sys.argv) if sys.argv[1:] else main()
        engine.dispose()
