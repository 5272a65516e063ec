"""`create_router`: the library's manager as HTTP routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, cast
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from cloud_integrations import Actor, AsyncIntegrationManager, Authorization, Integration, IntegrationManager, Secret
from cloud_integrations.documents import AuditOut, AuthorizationOut, CheckOut, IntegrationDetailOut, IntegrationOut, ProviderOut, TokenOut
from cloud_integrations.errors import IntegrationNotFoundError

from .answers import Done, Many, One
from .authorization import Authorize, Gate, Permission
from .bodies import VISIBLE, BeginAuthorization, CreateIntegration, EditIntegration, Reconnect, Tenant
from .browser import NEVER, BrowserCookies, Flow, check_host, granted_mark
from .landing import RESULT, Landing, Visit
from .openapi import describe
from .pages import Pages, StandardPages
from .reading import is_id, read_body, read_form, read_id, read_integration_id
from .results import Note, ResultCode
from .route import Call, GuardedRoute

SIGN_IN = HTTPBearer(
    auto_error=False, scheme_name="signIn", description="As the host signs people in: a bearer token, unless it says otherwise."
)
TenantPath = Annotated[
    str,
    Path(
        alias="tenantId",
        min_length=1,
        max_length=255,
        description="The host's own id of the tenant: visible characters, no spaces.",
        json_schema_extra={"pattern": VISIBLE},
    ),
]
IntegrationPath = Annotated[str, Path(alias="integrationId", json_schema_extra={"format": "uuid"})]
EverPath = Annotated[str, Path(alias="integrationId", description="Also of an integration that is gone; what never was has no events.")]
ContextPath = Annotated[str, Path(alias="contextId", json_schema_extra={"format": "uuid"})]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only events with a lower number: the `seq` of the last one seen.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Granted = Annotated[str, Query(pattern=r"^(never|[0-9]{1,20})$", description="When the tenant had consented before.")]
CallbackRequest = Annotated[str | None, Query(alias="requestId", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="The callback's.")]


def create_router(
    manager: AsyncIntegrationManager | IntegrationManager,
    *,
    authorize: Authorize,
    prefix: str = "/api/v1",
    token_route: bool = False,
    loopback: bool = False,
    pages: Pages | None = None,
    security: Sequence[SecurityBase] = (SIGN_IN,),
) -> APIRouter:
    """Return a router that serves *manager* under *prefix*.

    *authorize* is asked before anything else of a request is read, on every route; see `Authorize`.  The blocking manager is
    served too, each call in a thread.  With *token_route* there is one more route, which hands out credentials in the open
    and needs the permission `reveal`.  *loopback* is for development: it lets the flow's cookie work over http to this machine.
    *security* is how people sign in, for the OpenAPI document: one or more of `fastapi.security`, made with `auto_error=False`.
    *pages* are what browsers are shown that come back from a provider: `StandardPages`, or the host's own.
    Raises `TypeError` for a manager that is none, and for an *authorize* that cannot be called.
    """
    if not isinstance(manager, AsyncIntegrationManager | IntegrationManager):
        raise TypeError("manager must be an AsyncIntegrationManager or an IntegrationManager")
    door = manager if isinstance(manager, AsyncIntegrationManager) else cast("AsyncIntegrationManager", _Threaded(manager))
    their_gate = Gate(door, authorize)

    class Guarded(GuardedRoute):
        gate = their_gate
        methods_of: ClassVar[dict[str, set[str]]] = {}

    their_landing = Landing(door, their_gate, pages or StandardPages())

    class Callback(Guarded):
        landing = their_landing

    class FormCallback(Callback):
        forms = True

    # They only say in the OpenAPI document how people sign in: `authorize` was asked before.
    shown = [Security(cast("Callable[..., Any]", scheme)) for scheme in security]
    router = APIRouter(prefix=prefix, tags=["integrations"], route_class=Guarded, dependencies=shown)
    serve = _Endpoints(door, their_gate, BrowserCookies(loopback=loopback), their_landing)
    every = "/tenants/{tenantId}/integrations"
    one = every + "/{integrationId}"
    get, post, patch, delete = (partial(_add, router, method) for method in ("GET", "POST", "PATCH", "DELETE"))
    get(every, serve.list_integrations, Permission.LIST)
    post(every, serve.create_integration, Permission.CONNECT)
    get(one, serve.get_integration, Permission.READ)
    patch(one, serve.edit_integration, Permission.UPDATE)
    delete(one, serve.delete_integration, Permission.DELETE)
    post(f"{one}/reconnect", serve.reconnect, Permission.CONNECT)
    post(f"{one}/verify", serve.verify, Permission.VERIFY)
    get(f"{one}/audit", serve.list_audit, Permission.AUDIT)
    post("/tenants/{tenantId}/authorizations", serve.begin_authorization, Permission.CONNECT)
    get("/oauth/callback/{contextId}", serve.complete_authorization, Permission.CONNECT, route_class=Callback)
    post("/oauth/callback/{contextId}", serve.complete_posted_authorization, Permission.CONNECT, route_class=FormCallback)
    get(RESULT, serve.show_result, Permission.CONNECT, route_class=Callback)
    get("/providers", serve.list_providers, Permission.PROVIDERS)
    if token_route:
        post(f"{one}/token", serve.reveal_token, Permission.REVEAL)
    return router


def _add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    permission: Permission,
    *,
    route_class: type[GuardedRoute] | None = None,
) -> None:
    description = describe(endpoint.__name__, permission)
    router.add_api_route(path, endpoint, methods=[method], route_class_override=route_class, **description)


class _Threaded:
    """The blocking manager, each call in a thread of the pool, so that the event loop stays free."""

    def __init__(self, manager: Any, /) -> None:
        self._manager = manager

    def acting_as(self, actor: Actor, *, request_id: str) -> _Threaded:
        return _Threaded(self._manager.acting_as(actor, request_id=request_id))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._manager, name)
        if not callable(value):
            return _Threaded(value)  # a group of methods
        # Listing providers awaits nothing in either manager.
        return value if name == "list_providers" else partial(run_in_threadpool, value)


class _Endpoints:
    """Each route: parse, call once, render."""

    def __init__(self, manager: AsyncIntegrationManager, gate: Gate, cookies: BrowserCookies, landing: Landing) -> None:
        self._manager = manager
        self._gate = gate
        self._cookies = cookies
        self._landing = landing

    async def list_integrations(self, tenant_id: TenantPath) -> Response:
        """List a tenant's integrations, oldest first: at most one for each provider."""
        found = await self._manager.list_integrations(tenant_id)
        return _json(Many[IntegrationOut](data=tuple(map(IntegrationOut.of, found))))

    async def create_integration(self, request: Request, tenant_id: TenantPath) -> Response:
        """Connect a provider by an API key, or by an OAuth2 code that the host's own front end received.

        A key is checked with the provider before anything is stored.
        """
        acting = self._acting(request)
        body = await read_body(request, CreateIntegration)
        if body.credentials is not None:
            integration = await acting.add_api_key(
                tenant_id,
                body.provider_id,
                name=body.name,
                api_key=body.credentials.api_key,
                secret_key=body.credentials.secret_key,
            )
        else:
            code, redirect_uri = body.by_code()
            integration = await acting.add_oauth_code(
                tenant_id,
                body.provider_id,
                name=body.name,
                code=code,
                redirect_uri=redirect_uri,
                state=body.state,
            )
        return _integration(integration, status=201)

    async def get_integration(self, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Show an integration, how it is doing, and what to do about it."""
        found = await self._manager.get_integration(tenant_id, read_integration_id(integration_id))
        return _json(One[IntegrationDetailOut](data=IntegrationDetailOut.of(found)))

    async def edit_integration(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Rename an integration, or switch it off (`inactive`) or on again (`active`)."""
        acting = self._acting(request)
        body = await read_body(request, EditIntegration)
        return _integration(
            await acting.edit_integration(tenant_id, read_integration_id(integration_id), name=body.name, status=body.status)
        )

    async def delete_integration(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Delete an integration, its secrets, and its grant at the provider.

        What the provider could not revoke now is kept sealed and retried.
        """
        acting = self._acting(request)
        await acting.delete(tenant_id, read_integration_id(integration_id))
        return _json(Done())

    async def reconnect(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Renew a consent (OAuth2: answers with the URL to open) or replace an API key; id and name stay."""
        acting = self._acting(request)
        body = await read_body(request, Reconnect)
        if body.credentials is not None:
            return _integration(
                await acting.replace_api_key(
                    tenant_id,
                    read_integration_id(integration_id),
                    api_key=body.credentials.api_key,
                    secret_key=body.credentials.secret_key,
                )
            )
        held = await self._manager.get_integration(tenant_id, read_integration_id(integration_id))
        self._check_host(request, held.provider_id)
        begun = await acting.begin_reconnect(
            tenant_id,
            read_integration_id(integration_id),
            scopes=body.scopes,
            return_to=body.return_to,
        )
        flow = Flow(tenant_id=tenant_id, provider_id=held.provider_id, granted=granted_mark(held))
        return self._begun(request, begun, flow, status=200)

    async def verify(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Ask the provider whether the held credential works."""
        acting = self._acting(request)
        report = await acting.verify(tenant_id, read_integration_id(integration_id))
        return _json(One[CheckOut](data=CheckOut.of(report)))

    async def list_audit(
        self, request: Request, tenant_id: TenantPath, integration_id: EverPath, before: Before = None, limit: Limit = 100
    ) -> Response:
        """List what happened to an integration, newest first; it can be asked after the integration is gone, too."""
        acting = self._acting(request)
        records = await acting.audit.list(tenant_id, integration=read_integration_id(integration_id), before=before, limit=limit)
        return _json(Many[AuditOut](data=tuple(map(AuditOut.of, records))))

    async def begin_authorization(self, request: Request, tenant_id: TenantPath) -> Response:
        """Begin an OAuth2 connection: open the URL of the answer in the same browser within ten minutes."""
        acting = self._acting(request)
        body = await read_body(request, BeginAuthorization)
        self._check_host(request, body.provider_id)
        begun = await acting.begin_oauth(
            tenant_id,
            body.provider_id,
            name=body.name,
            scopes=body.scopes,
            return_to=body.return_to,
        )
        return self._begun(request, begun, Flow(tenant_id=tenant_id, provider_id=body.provider_id, granted=NEVER), status=201)

    async def complete_authorization(self, request: Request, context_id: ContextPath) -> Response:
        """Receive a browser that comes back from a provider; only the one that began, signed in as the one who began."""
        params = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return await self._complete(request, context_id, params)

    async def complete_posted_authorization(self, request: Request, context_id: ContextPath) -> Response:
        """Receive a browser that comes back by a form (form_post).

        The first post comes from the provider's page, without cookies: the answer is a page that posts the form once more, with `relayed`.
        Only that second post is looked at.
        """
        return await self._complete(request, context_id, await read_form(request))

    async def _complete(self, request: Request, context_id: str, params: list[tuple[str, str]]) -> Response:
        call, acting = Call.of(request), self._acting(request)
        state = Secret(next((value for name, value in params if name == "state"), ""))
        flow = self._cookies.find(request, state, actor=call.actor)
        pending = await acting.find_authorization(state) if state else None
        # To a path that is nobody's callback no provider sends a browser.
        return_to = pending.return_to if pending is not None and is_id(context_id) else None
        self._landing.note(request, Visit(return_to=return_to, flow=flow))
        browser_token = None
        if pending is not None:
            await self._gate.admit(request, Permission.CONNECT, pending.tenant_id, request_id=call.request_id)
            browser_token = None if flow is None else flow.token
        # Without an authorization of this actor there is no browser token, so the manager refuses, and records it.
        connected = await acting.complete_oauth(read_id(context_id), params, browser_token=browser_token)
        response = self._landing.arrived(request, connected, request_id=call.request_id) or _integration(connected.integration)
        if flow is not None:
            self._cookies.end(request, response, state, flow, actor=call.actor)
        return response

    async def show_result(
        self,
        request: Request,
        *,
        result: ResultCode,
        tenant_id: Annotated[Tenant | None, Query(alias="tenantId")] = None,
        provider_id: Annotated[UUID | None, Query(alias="providerId")] = None,
        granted: Granted = NEVER,
        note: Annotated[tuple[Note, ...], Query(max_length=2)] = (),
        request_id: Annotated[
            str | None, Query(alias="requestId", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="The callback's.")
        ] = None,
    ) -> Response:
        """Show a browser how a connection ended; reloading shows what holds now.  The callback sends browsers here.

        What is connected is shown only to who may connect in that tenant.
        """
        flow = None
        if tenant_id is not None and provider_id is not None:
            flow = Flow(tenant_id=tenant_id, provider_id=provider_id, granted=granted)
        return await self._landing.show(request, result, flow, notes=note, request_id=request_id or Call.of(request).request_id)

    async def list_providers(self) -> Response:
        """List the providers, and what works with each of them here."""
        return _json(Many[ProviderOut](data=tuple(map(ProviderOut.of, self._manager.list_providers()))))

    async def reveal_token(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Hand out a credential that works, in the open; every call is recorded."""
        acting = self._acting(request)
        asked = read_integration_id(integration_id)
        held = await self._manager.get_integration(tenant_id, asked)
        token = await acting.credential(tenant_id, held.provider_id)
        if token.integration_id != asked:  # deleted and connected anew in between
            raise IntegrationNotFoundError
        return _json(One[TokenOut](data=TokenOut.of(token)))

    def _acting(self, request: Request) -> AsyncIntegrationManager:
        """Return the manager as whoever calls uses it."""
        call = Call.of(request)
        return self._manager.acting_as(call.actor, request_id=call.request_id)

    def _check_host(self, request: Request, provider_id: UUID) -> None:
        check_host(request, next((known.redirect_uri for known in self._manager.list_providers() if known.id == provider_id), None))

    def _begun(self, request: Request, authorization: Authorization, flow: Flow, *, status: int) -> Response:
        response = _json(One[AuthorizationOut](data=AuthorizationOut.of(authorization)), status=status)
        self._cookies.keep(request, response, authorization, flow, actor=Call.of(request).actor)
        return response


def _json(answer: BaseModel, *, status: int = 200) -> Response:
    return Response(answer.model_dump_json(by_alias=True), status, media_type="application/json")


def _integration(integration: Integration, *, status: int = 200) -> Response:
    return _json(One[IntegrationOut](data=IntegrationOut.of(integration)), status=status)
