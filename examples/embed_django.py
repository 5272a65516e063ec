"""Connect, use and disconnect in a Django project; its manager blocks, as Django's plain views do.

`python examples/embed_django.py` plays a person against it; `python examples/embed_django.py runserver` serves it.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.test import Client
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from cloud_integrations import Catalogue, IntegrationManager, LocalKeyring, Secret, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError, http_status
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

# settings.py: what the project has.  Django's own protection against cross-site requests covers what is added below.

settings.configure(
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["app.example.com"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    SESSION_COOKIE_SECURE=True,
    SESSION_COOKIE_SAMESITE="Lax",  # comes along when the provider sends the browser back
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{__name__}.Refusals",
    ],
)
django.setup()

# connections.py: the manager.  A real project makes it in `AppConfig.ready`, with its database, an `HttpxTransport`, a keyring that
# stays, and `Catalogue.builtin()`.  Its tables may lie in Django's database: they begin with `ci_`, and migrate apart from Django's.

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
COMPANIES = {"ada": "acme", "eve": "globex"}


class Refusals:
    """A middleware that answers the library's errors by its table; what has 500 is for the log alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer an error of the library; leave others to Django."""
        if not isinstance(error, CloudIntegrationsError):
            return None
        status = http_status(error)
        if status == 500:
            logging.getLogger("connections").error("%s", type(error).__name__)
            return JsonResponse({"code": "internal", "message": "something went wrong on our side"}, status=500)
        answer = JsonResponse({"code": error.code, "message": error.message, "advice": error.advice}, status=status)
        if error.retry_after is not None:
            answer["Retry-After"] = str(max(1, round(error.retry_after.total_seconds())))
        return answer


# views.py


@require_POST
def sign_in(request: HttpRequest, person: str) -> HttpResponse:
    """Stand for the project's own sign-in."""
    request.session["person"] = person
    return JsonResponse({"person": person})


def who(request: HttpRequest) -> tuple[str, IntegrationManager]:
    """Return the tenant, and the manager as this person uses it; both come from the session, never from the request."""
    person = request.session.get("person")
    if person not in COMPANIES:
        raise PermissionDenied
    return COMPANIES[person], manager.acting_as(person)


def cookie_of(state: str) -> str:
    """Name the cookie that ties an authorization to this browser; each has its own, so that two tabs do not disturb each other."""
    return f"__Host-connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


@require_POST
def connect(request: HttpRequest, slug: str) -> HttpResponse:
    """Send the browser to the provider, and keep in it what the callback must bring."""
    tenant, acting = who(request)
    begun = acting.begin_oauth(tenant, slug, name=f"{slug} of {tenant}", return_to="/connections")
    answer = HttpResponseRedirect(begun.url)
    cookie = cookie_of(begun.state.reveal())
    answer.set_cookie(cookie, begun.browser_token.reveal(), max_age=600, secure=True, httponly=True, samesite="Lax")
    return answer


@require_GET
def callback(request: HttpRequest, context_id: UUID) -> HttpResponse:
    """Finish; then go on to another page, so that neither code nor state stays in the address bar."""
    _, acting = who(request)
    cookie = cookie_of(request.GET.get("state", ""))
    kept = request.COOKIES.get(cookie)
    params = [(name, value) for name, values in request.GET.lists() for value in values]
    connected = acting.complete_oauth(context_id, params, browser_token=None if kept is None else Secret(kept))
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
    """Use the credential: renewed first if it is about to end."""
    tenant, acting = who(request)
    token = acting.credential(tenant, "simulated")
    answer = provider.handle("GET", "/me", headers=token.headers())  # where a real project calls the provider's API
    return JsonResponse({"status": answer.status})


@require_POST
def disconnect(request: HttpRequest, integration_id: UUID) -> HttpResponse:
    """Erase it, and revoke its tokens at the provider."""
    tenant, acting = who(request)
    removal = acting.delete(tenant, integration_id)
    return JsonResponse({"refresh_token": removal.refresh_token.value, "access_token": removal.access_token.value})


# urls.py

urlpatterns = [
    path("sign-in/<str:person>", sign_in),
    path("connections", connections),
    path("connections/callback/<uuid:context_id>", callback),
    path("connections/<slug:slug>/connect", connect),
    path("connections/<uuid:integration_id>/disconnect", disconnect),
    path("reports", report),
]


def main() -> None:
    """Play Ada, who connects her company, and Eve, who gets hold of Ada's callback."""
    ada, eve = (Client(headers={"host": "app.example.com"}) for _ in range(2))
    assert ada.post("/connections/simulated/connect", secure=True).status_code == 403
    ada.post("/sign-in/ada", secure=True)
    eve.post("/sign-in/eve", secure=True)

    sent = ada.post("/connections/simulated/connect", secure=True)
    came_back = urlsplit(provider.sign_in(sent["Location"]))  # the person agrees at the provider
    stolen = eve.get(f"{came_back.path}?{came_back.query}", secure=True)
    print("the callback in another browser:", stolen.status_code, stolen.json()["code"])
    assert stolen.status_code == 400

    sent = ada.post("/connections/simulated/connect", secure=True)
    came_back = urlsplit(provider.sign_in(sent["Location"]))
    done = ada.get(f"{came_back.path}?{came_back.query}", secure=True)
    print("connected, on to", done["Location"])
    assert done.status_code == 302
    [connection] = ada.get("/connections", secure=True).json()["connections"]
    print("connections:", connection["name"], connection["health"])
    print("report:", ada.post("/reports", secure=True).json())
    assert eve.post(f"/connections/{connection['id']}/disconnect", secure=True).status_code == 404
    print("disconnected:", ada.post(f"/connections/{connection['id']}/disconnect", secure=True).json())
    gone = ada.post("/reports", secure=True)
    print("report afterwards:", gone.status_code, gone.json()["code"])
    assert gone.status_code == 404


if __name__ == "__main__":
    with manager:
        execute_from_command_line(sys.argv) if sys.argv[1:] else main()
    engine.dispose()
    folder.cleanup()
