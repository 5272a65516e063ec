"""The application: the routes of the router, of sign-in and of the pages."""

from __future__ import annotations

import asyncio
import gc
import hmac
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from cloud_integrations import Actor, AsyncIntegrationManager, DeliveryRun, PrometheusMetrics, RenewalRun, RevocationRun, RoundFailed
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations_fastapi import Denied, Permission, create_issuer_router, create_router, result_text
from cloud_integrations_fastapi.errors import problem_of

from . import pages
from .access_log import AccessLog
from .metrics import MetricsEndpoint
from .sessions import Session, Sessions
from .tokens import Access, Tokens

RETRY_EVERY = 30.0
_PREFIX = "/api/v1"
CONNECT_PAGES = "/connect"
CONSOLE = "/console"
_BODY_LIMIT = 4096
_log = logging.getLogger("cloud_integrations.serve")


def build_app(
    manager: AsyncIntegrationManager, *, tokens: Tokens, sessions: Sessions, base_url: str, metrics: PrometheusMetrics | None = None
) -> FastAPI:
    """Return the reference server as an ASGI application.

    *tokens* are the bearer tokens that it accepts, *sessions* its browser sessions; *base_url* is the URL at which browsers reach it.  With
    an http URL, cookies work without `Secure`.  *metrics* are those of the manager's `telemetry`: GET /metrics shows them to bearers of a
    token with the permission `operate` for all tenants.  The manager must be started and closed by the caller.
    """
    host = _Host(manager, tokens, sessions, base_url=base_url, metrics=metrics)
    app = FastAPI(title="cloud-integrations", lifespan=host.lifespan, docs_url=None, redoc_url=None)
    app.include_router(create_router(manager, authorize=host.authorize, prefix=_PREFIX, token_route=True, loopback=not host.secure))
    if manager.issuer.url is not None:
        app.include_router(create_issuer_router(manager))
    for page_router in _page_routers(manager, host):
        app.include_router(page_router)
    app.add_api_route("/", host.show, methods=["GET"], include_in_schema=False)
    app.add_api_route("/session", host.sign_in, methods=["POST"], include_in_schema=False)
    app.add_api_route("/session", host.end_session, methods=["DELETE"], include_in_schema=False)
    app.add_api_route("/sign-out", host.sign_out, methods=["POST"], include_in_schema=False)
    app.add_api_route("/health", host.health, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health/live", host.live, methods=["GET"], include_in_schema=False)
    if metrics is not None:
        app.add_api_route("/metrics", host.show_metrics, methods=["GET"], include_in_schema=False)
    app.add_middleware(AccessLog)
    return app


def _page_routers(manager: AsyncIntegrationManager, host: _Host) -> list[APIRouter]:
    """Return the connect pages and the console; nothing where their extra is not installed."""
    try:
        from cloud_integrations_fastapi.pages import Branding, create_connect_pages, create_console  # noqa: PLC0415  # an extra of its own
    except ImportError:
        return []
    host.has_pages = True
    branding, loopback = Branding(product=manager.settings.product), not host.secure
    return [
        create_connect_pages(manager, authorize=host.authorize, prefix=CONNECT_PAGES, branding=branding, loopback=loopback),
        create_console(manager, authorize=host.authorize, prefix=CONSOLE, branding=branding, loopback=loopback, connect=CONNECT_PAGES),
    ]


class _Host:
    def __init__(
        self, manager: AsyncIntegrationManager, tokens: Tokens, sessions: Sessions, *, base_url: str, metrics: PrometheusMetrics | None
    ) -> None:
        self.has_pages = False
        """Whether the connect pages and the console are there."""
        self.secure = secure = base_url.startswith("https://")
        self._origin = _origin(base_url)
        self._manager = manager
        self._metrics = MetricsEndpoint(manager, metrics or PrometheusMetrics())
        self._tokens = tokens
        self._sessions = sessions
        # A browser accepts a name with __Host- only from this very host, over https, and for every path (RFC 6265bis §4.1.3.2).
        self._session_cookie = "__Host-ci_session" if secure else "ci_session"
        self._form_cookie = "__Host-ci_form" if secure else "ci_form"

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncGenerator[None]:
        """Retry revocations beside the requests, and exclude what is loaded at the start from garbage collection."""
        stop = asyncio.Event()
        retrying = asyncio.create_task(self._retry_revocations(stop))
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            stop.set()
            await retrying

    async def _retry_revocations(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._manager.worker.run(stop, interval=RETRY_EVERY, renew=False, on_round=_log_round)
            except CloudIntegrationsError as error:
                _log.warning("revocations are not retried any more: %s", error.message)
                return
            except Exception as error:  # noqa: BLE001  # one fault must not end the retries of a server that goes on
                # The text of a foreign error may hold secrets.
                _log.error("revocations could not be retried: %s", type(error).__name__)  # as above
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RETRY_EVERY)
            else:
                return

    async def authorize(self, request: Request, permission: Permission, tenant_id: str | None) -> Actor | Denied | None:
        """Return the actor, `Denied` without the permission, or None for an unknown caller (see `Authorize`)."""
        access = self._access_of(request)
        if access is None:
            return None
        return access.actor if access.may(permission, tenant_id) else Denied(access.actor)

    async def show(self, request: Request) -> Response:
        """Show the sign-in form, the choice of a tenant, or the page of one tenant."""
        session = self._session_of(request)
        if session is None:
            return self._sign_in_form(request)
        tenant = request.query_params.get("tenant")
        if tenant is None:
            console = CONSOLE if self.has_pages and session.access.may(Permission.OPERATE, None) else None
            return HTMLResponse(pages.tenants_page(session, console=console), headers=pages.HEADERS)
        if not session.access.may(Permission.LIST, tenant):
            return _html_problem(session, 403, "Not allowed", "You may not see this tenant.")
        try:
            found = await self._manager.list_integrations(tenant)
        except CloudIntegrationsError as error:
            problem = problem_of(error)
            return _html_problem(session, problem.status, "Not shown", f"{problem.message[:1].upper()}{problem.message[1:]}.")
        quoted = quote(tenant, safe="")
        html = pages.tenant_page(
            session,
            tenant=tenant,
            api=f"{_PREFIX}/tenants/{quoted}",
            providers_api=f"{_PREFIX}/providers",
            integrations=found,
            providers=self._manager.list_providers(),
            back=f"/?tenant={quoted}",
            slots=self._manager.settings.slots,
            connect_page=f"{CONNECT_PAGES}/{quoted}" if self.has_pages else None,
            problem=result_text(request.query_params.get("error", "")) or "",
        )
        return HTMLResponse(html, headers=pages.HEADERS)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, with a bearer token in the header or from the form."""
        if request.headers.get("authorization"):
            access = self._bearer_of(request)
            if access is None:
                return _problem(401, "auth/forbidden", "this token is not known here", {"WWW-Authenticate": "Bearer"})
            response: Response = JSONResponse({"data": _who(access, self._sessions.seconds)}, 201, {"Cache-Control": "no-store"})
            return self._begin_session(response, access)
        fields = await _read_form(request)
        if not self._is_own_form(request, fields):
            return _html_problem(None, 403, "Not allowed", "This form is too old, or not from here. Open the page again.")
        access = self._tokens.find(fields.get("token", "").strip())
        if access is None:
            return self._sign_in_form(request, refused=True)
        return self._begin_session(RedirectResponse("/", 303), access)

    async def end_session(self, request: Request) -> Response:
        """End the session of the cookie."""
        if not self._is_same_origin(request):
            return _problem(403, "auth/forbidden", "not allowed")
        return self._without_session(request, JSONResponse({"success": True}))

    async def sign_out(self, request: Request) -> Response:
        """End the session, from the form."""
        session = self._session_of(request)
        fields = await _read_form(request)
        if session is not None and not hmac.compare_digest(fields.get("form_token", "").encode(), session.form_token.encode()):
            return _html_problem(session, 403, "Not allowed", "This form is not from here. Open the page again.")
        return self._without_session(request, RedirectResponse("/", 303))

    async def live(self) -> Response:
        """Say that this process answers; a database that is away is no reason to end it."""
        return JSONResponse({"status": "ok"})

    async def health(self) -> Response:
        """Say whether the database answers."""
        try:
            report = await self._manager.report()
        except CloudIntegrationsError:
            return JSONResponse({"status": "unavailable"}, 503)
        return JSONResponse({"status": "ok", "store": report.kind, "schema": report.schema})

    async def show_metrics(self, request: Request) -> Response:
        """Show the metrics, which count all tenants; a browser's session is not enough."""
        access = self._bearer_of(request)
        if access is None:
            return _problem(401, "auth/forbidden", "a token is needed", {"WWW-Authenticate": "Bearer"})
        if access.tenants is not None or not access.may(Permission.OPERATE, None):
            return _problem(403, "auth/forbidden", "not allowed")
        return await self._metrics.answer()

    def _access_of(self, request: Request) -> Access | None:
        if request.headers.get("authorization"):
            return self._bearer_of(request)
        session = self._session_of(request)
        # A browser sends the cookie also with requests that another site causes.
        if session is None or (request.method not in {"GET", "HEAD"} and not self._is_same_origin(request)):
            return None
        return session.access

    def _bearer_of(self, request: Request) -> Access | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self._tokens.find(token.strip()) if scheme.lower() == "bearer" else None

    def _session_of(self, request: Request) -> Session | None:
        session_id = request.cookies.get(self._session_cookie)
        return None if session_id is None else self._sessions.find(session_id)

    def _begin_session(self, response: Response, access: Access) -> Response:
        self._set(response, self._session_cookie, self._sessions.open(access), seconds=int(self._sessions.seconds))
        return response

    def _without_session(self, request: Request, response: Response) -> Response:
        self._sessions.close(request.cookies.get(self._session_cookie, ""))
        self._set(response, self._session_cookie, "", seconds=0)
        return response

    def _sign_in_form(self, request: Request, *, refused: bool = False) -> Response:
        form_token = request.cookies.get(self._form_cookie) or secrets.token_urlsafe(32)
        html = pages.sign_in_page(form_token=form_token, refused=refused)
        response = HTMLResponse(html, 403 if refused else 200, pages.HEADERS)
        self._set(response, self._form_cookie, form_token, seconds=3600)
        return response

    def _is_own_form(self, request: Request, fields: dict[str, str]) -> bool:
        kept = request.cookies.get(self._form_cookie, "")
        return bool(kept) and hmac.compare_digest(kept.encode(), fields.get("form_token", "").encode()) and self._is_same_origin(request)

    def _is_same_origin(self, request: Request) -> bool:
        """Say whether the request comes from a page of this server; clients other than browsers send neither header, and are allowed."""
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = request.headers.get("origin")
        try:
            # A proxy may replace Host, so the configured URL counts, too.
            return origin is None or urlsplit(origin).netloc == request.headers.get("host") or _origin(origin) == self._origin
        except ValueError:
            return False  # no URL, such as http://[

    def _set(self, response: Response, name: str, value: str, *, seconds: int) -> None:
        # Lax, so that the browser sends the cookie when a provider redirects back.
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _log_round(done: RenewalRun | RevocationRun | DeliveryRun | RoundFailed) -> None:
    match done:
        case RoundFailed():
            _log.warning("revocations could not be retried: %s", done.error.message)
        case RevocationRun() if done.revoked or done.abandoned:
            _log.info("revocations: %d done, %d given up, %d waiting", done.revoked, done.abandoned, done.waiting)
        case DeliveryRun() if done.delivered or done.given_up:
            _log.info("events: %d delivered, %d delayed, %d given up", done.delivered, done.delayed, done.given_up)
        case _:
            pass


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_LIMIT:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _who(access: Access, seconds: float) -> dict[str, Any]:
    return {
        "actor": {"type": access.actor.type, "id": access.actor.id},
        "tenants": "*" if access.tenants is None else sorted(access.tenants),
        "permissions": sorted(access.permissions),
        "expiresIn": int(seconds),
    }


def _problem(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"success": False, "error": {"code": code, "message": message, "details": {}}}, status, headers)


def _html_problem(session: Session | None, status: int, title: str, text: str) -> Response:
    return HTMLResponse(pages.problem_page(session, title=title, text=text), status, pages.HEADERS)
