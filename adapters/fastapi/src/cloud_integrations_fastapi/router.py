"""`create_router`: the library's manager as HTTP routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, cast
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic.alias_generators import to_camel

from cloud_integrations import (
    AsyncIntegrationManager,
    Authorization,
    DevicePending,
    IntegrationManager,
    Secret,
)
from cloud_integrations.documents import (
    ApplicationOut,
    CheckOut,
    DeviceAuthorizationOut,
    DevicePendingOut,
    SetupOut,
    TokenOut,
)
from cloud_integrations.errors import IntegrationNotFoundError, ValidationFailedError

from .answers import Done, IntegrationAnswers, Many, One, as_json, begun, key_done
from .audit_log import AuditEndpoints
from .authorization import Authorize, Gate, Permission
from .bodies import BeginAuthorization, CreateIntegration, EditIntegration, Reconnect, RevealToken, SaveApplication, Tenant
from .browser import NEVER, BrowserCookies, Flow, check_host, flow_of
from .callback_pages import Pages, StandardPages
from .catalogue import CatalogueEndpoints
from .landing import RESULT, Landing, Visit
from .openapi import describe
from .parameters import (
    ApplicationPath,
    AuthorizationPath,
    CallbackRequest,
    ContextPath,
    Granted,
    InSlot,
    IntegrationPath,
    RevokeKey,
    TenantPath,
)
from .reading import is_id, read_body, read_body_or_none, read_form, read_id, read_integration_id
from .resources import ResourceEndpoints
from .results import Note, ResultCode
from .route import Call, GuardedRoute
from .threaded import Threaded
from .visits import VisitorGate, Visits
from .webhooks import WebhookEndpoints

SIGN_IN = HTTPBearer(auto_error=False, scheme_name="signIn", description="How the host authenticates callers: by default a bearer token.")


def create_router(
    manager: AsyncIntegrationManager | IntegrationManager,
    *,
    authorize: Authorize,
    prefix: str = "/api/v1",
    token_route: bool = False,
    loopback: bool = False,
    pages: Pages | None = None,
    icons: Mapping[str, str] | None = None,
    security: Sequence[SecurityBase] = (SIGN_IN,),
) -> APIRouter:
    """Return a router that serves *manager* under *prefix*.

    *authorize* is called on every route before anything else of a request is read; see `Authorize`.  Calls of a blocking manager run in
    threads.  With *token_route* there is one more route, which returns credentials in plain text and needs the permission `reveal`.
    *loopback* is for development: cookies then work over http to this machine.  *pages* are for browsers that come back from a provider:
    `StandardPages`, or the host's own.  *icons* are SVG documents of the host's own by provider slug, which are shown in place of the
    library's letters.  *security* says in the OpenAPI document how the host authenticates callers: one or more of
    `fastapi.security`, made with `auto_error=False`.
    Raises `TypeError` where *manager* is not a manager or *authorize* is not callable.
    """
    if not isinstance(manager, AsyncIntegrationManager | IntegrationManager):
        raise TypeError("manager must be an AsyncIntegrationManager or an IntegrationManager")
    door = manager if isinstance(manager, AsyncIntegrationManager) else cast("AsyncIntegrationManager", Threaded(manager))
    their_gate, visitors = Gate(door, authorize), VisitorGate(door, authorize, Visits(door, loopback=loopback))

    class Guarded(GuardedRoute):
        gate = their_gate
        methods_of: ClassVar[dict[str, set[str]]] = {}

    their_landing = Landing(door, visitors, pages or StandardPages())

    class Result(Guarded):
        gate = visitors
        landing = their_landing

    class Callback(Result):
        by_address = True

    class FormCallback(Callback):
        forms = True

    # They only describe authentication in the OpenAPI document: `authorize` was called before.
    shown = [Security(cast("Callable[..., Any]", scheme)) for scheme in security]
    router = APIRouter(prefix=prefix, tags=["integrations"], route_class=Guarded, dependencies=shown)
    serve = _Endpoints(door, visitors, BrowserCookies(loopback=loopback), their_landing)
    every, one = "/tenants/{tenantId}/integrations", "/tenants/{tenantId}/integrations/{integrationId}"
    get, post, patch, delete = (partial(_add, router, method, slots=door.settings.slots) for method in ("GET", "POST", "PATCH", "DELETE"))
    get(every, serve.list_integrations, Permission.LIST)
    post(every, serve.create_integration, Permission.CONNECT)
    get(one, serve.get_integration, Permission.READ)
    patch(one, serve.edit_integration, Permission.UPDATE)
    delete(one, serve.delete_integration, Permission.DELETE)
    post(f"{one}/reconnect", serve.reconnect, Permission.CONNECT)
    post(f"{one}/verify", serve.verify, Permission.VERIFY)
    ResourceEndpoints(door).add_to(one, get, post)
    audit = AuditEndpoints(door)
    get(f"{one}/audit", audit.list_audit, Permission.AUDIT)
    get("/tenants/{tenantId}/audit", audit.list_tenant_audit, Permission.AUDIT)
    post("/tenants/{tenantId}/authorizations", serve.begin_authorization, Permission.CONNECT)
    post("/tenants/{tenantId}/authorizations/{authorizationId}/poll", serve.poll_device, Permission.CONNECT)
    applications = "/tenants/{tenantId}/applications"
    get(applications, serve.list_applications, Permission.APPLICATIONS)
    post(applications, serve.save_application, Permission.APPLICATIONS)
    delete(f"{applications}/{{applicationId}}", serve.remove_application, Permission.APPLICATIONS)
    if door.settings.events:
        hooks, webhooks = WebhookEndpoints(door), "/tenants/{tenantId}/webhooks"
        get(webhooks, hooks.list_webhooks, Permission.WEBHOOKS)
        post(webhooks, hooks.add_webhook, Permission.WEBHOOKS)
        patch(f"{webhooks}/{{webhookId}}", hooks.edit_webhook, Permission.WEBHOOKS)
        delete(f"{webhooks}/{{webhookId}}", hooks.remove_webhook, Permission.WEBHOOKS)
        post(f"{webhooks}/{{webhookId}}/secret", hooks.rotate_webhook_secret, Permission.WEBHOOKS)
        post(f"{webhooks}/{{webhookId}}/test", hooks.test_webhook, Permission.WEBHOOKS)
    get("/oauth/callback/{contextId}", serve.complete_authorization, Permission.CONNECT, route_class=Callback)
    post("/oauth/callback/{contextId}", serve.complete_posted_authorization, Permission.CONNECT, route_class=FormCallback)
    get(RESULT, serve.show_result, Permission.CONNECT, route_class=Result)
    catalogue = CatalogueEndpoints(door, icons or {})
    get("/providers", catalogue.list_providers, Permission.PROVIDERS)
    get("/providers/ageing", catalogue.report_ageing, Permission.OPERATE)
    get("/providers/{provider}/guide", catalogue.show_guide, Permission.PROVIDERS)
    get("/providers/{provider}/icon.svg", catalogue.show_icon, Permission.PROVIDERS)
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
    slots: bool,
    route_class: type[GuardedRoute] | None = None,
) -> None:
    description = describe(endpoint.__name__, permission, slots=slots)
    router.add_api_route(path, endpoint, methods=[method], route_class_override=route_class, **description)


class _Endpoints:
    """The endpoints: each parses, calls the manager once, and renders."""

    def __init__(self, manager: AsyncIntegrationManager, gate: Gate, cookies: BrowserCookies, landing: Landing) -> None:
        self._manager = manager
        self._gate = gate
        self._cookies = cookies
        self._landing = landing
        self._answers = IntegrationAnswers(slots=manager.settings.slots)

    async def list_integrations(self, request: Request, tenant_id: TenantPath) -> Response:
        """List a tenant's integrations, oldest first: at most one for each provider, or for each of its slots."""
        found = await self._manager.list_integrations(tenant_id, slot=request.query_params.get("slot"))
        return self._answers.many(found)

    async def create_integration(self, request: Request, tenant_id: TenantPath) -> Response:
        """Connect a provider by what the tenant enters, or by an OAuth2 code that the host's own front end received.

        What is entered is checked with the provider before anything is stored.
        """
        acting = self._acting(request)
        body = await read_body(request, CreateIntegration)
        named: dict[str, Any] = {"name": body.name, "slot": body.slot, "method": body.method, "variables": body.variables}
        if body.credentials is None:
            code, redirect_uri = body.by_code()
            integration = await acting.add_oauth_code(
                tenant_id, body.provider_id, code=code, redirect_uri=redirect_uri, state=body.state, **named
            )
        elif body.credentials.inputs is not None:
            integration = await acting.add(tenant_id, body.provider_id, **body.credentials.by_inputs(), **named)
        else:
            integration = await acting.add_api_key(tenant_id, body.provider_id, **body.credentials.by_key(), **named)
        return self._answers.one(integration, status=201)

    async def get_integration(self, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Show an integration with its health, and what to do about it."""
        found = await self._manager.get_integration(tenant_id, read_integration_id(integration_id))
        return self._answers.detail(found)

    async def edit_integration(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Rename an integration, disable it (`inactive`) or enable it again (`active`)."""
        acting = self._acting(request)
        body = await read_body(request, EditIntegration)
        edited = await acting.edit_integration(tenant_id, read_integration_id(integration_id), name=body.name, status=body.status)
        return self._answers.one(edited)

    async def delete_integration(
        self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath, *, revoke_key: RevokeKey = False
    ) -> Response:
        """Delete an integration and its credential; revoke its tokens at the provider.  What could not be revoked is retried."""
        acting = self._acting(request)
        removal = await acting.delete(tenant_id, read_integration_id(integration_id), revoke_key=revoke_key)
        return as_json(key_done(removal) if revoke_key else Done())

    async def reconnect(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Begin a new consent (OAuth2: the answer has the URL to open, or with `device` a code) or replace what was entered.

        Id and name stay.
        """
        acting = self._acting(request)
        body = await read_body(request, Reconnect)
        asked = read_integration_id(integration_id)
        if body.credentials is not None:
            if body.credentials.inputs is not None:
                replaced = await acting.reconnect(tenant_id, asked, **body.credentials.by_inputs(), method=body.method)
            else:
                replaced = await acting.replace_api_key(tenant_id, asked, **body.credentials.by_key(), method=body.method)
            return self._answers.one(replaced)
        await acting.limits.count("begin", tenant_id)
        if body.device:
            code = await acting.begin_device_reconnect(tenant_id, asked, scopes=body.scopes, method=body.method)
            return as_json(One[DeviceAuthorizationOut](data=DeviceAuthorizationOut.of(code)))
        held = await self._manager.get_integration(tenant_id, asked)
        self._check_host(request, held.provider_id)
        begun = await acting.begin_reconnect(tenant_id, asked, scopes=body.scopes, return_to=body.return_to, method=body.method)
        return self._begun(request, begun, flow_of(held), status=200)

    async def verify(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Ask the provider whether the stored credential works."""
        acting = self._acting(request)
        await acting.limits.count("verify", tenant_id)
        report = await acting.verify(tenant_id, read_integration_id(integration_id))
        return as_json(One[CheckOut](data=CheckOut.of(report)))

    async def begin_authorization(self, request: Request, tenant_id: TenantPath) -> Response:
        """Begin an OAuth2 connection: open the URL of the answer in the same browser within ten minutes.

        With `device` the answer has a short code, which the person enters at the provider in any browser (RFC 8628): poll until then.
        For a method with `needsSetup` the answer says what the tenant sets up at the provider, such as a role with this external id;
        `POST …/integrations` with the inputs that it names then connects it.
        """
        acting = self._acting(request)
        await acting.limits.count("begin", tenant_id)
        body = await read_body(request, BeginAuthorization)
        if self._needs_setup(body):
            return await self._begin_setup(acting, tenant_id, body)
        named: dict[str, Any] = {"method": body.method, "variables": body.variables, "slot": body.slot, "scopes": body.scopes}
        if body.device:
            code = await acting.begin_device(tenant_id, body.provider_id, name=body.name, **named)
            return as_json(One[DeviceAuthorizationOut](data=DeviceAuthorizationOut.of(code)), status=201)
        self._check_host(request, body.provider_id)
        begun = await acting.begin_oauth(tenant_id, body.provider_id, name=body.name, return_to=body.return_to, **named)
        flow = Flow(tenant_id=tenant_id, provider_id=body.provider_id, slot=body.slot, granted=NEVER)
        return self._begun(request, begun, flow, status=201)

    async def poll_device(self, request: Request, tenant_id: TenantPath, authorization_id: AuthorizationPath) -> Response:
        """Ask whether the person has entered the code at the provider: the answer is the integration, or how long to wait.

        Only the actor who began the authorization can ask.  Before `interval` seconds have passed, the provider is not asked.
        """
        polled = await self._acting(request).poll_device(tenant_id, read_id(authorization_id))
        if isinstance(polled, DevicePending):
            return as_json(One[DevicePendingOut](data=DevicePendingOut.of(polled)))
        return self._answers.one(polled.integration)

    async def list_applications(self, tenant_id: TenantPath) -> Response:
        """List the OAuth applications that the tenant registered itself, the one that was added last first."""
        return as_json(Many[ApplicationOut](data=tuple(map(ApplicationOut.of, await self._manager.applications.list(tenant_id)))))

    async def save_application(self, request: Request, tenant_id: TenantPath) -> Response:
        """Store an OAuth application of the tenant's own, or replace its secret.

        New authorizations of the tenant use it in place of the operator's.  Register the `redirectUri` of the answer at the provider.
        """
        acting = self._acting(request)
        body = await read_body(request, SaveApplication)
        saved = await acting.applications.save(
            tenant_id,
            body.provider_id,
            client_id=body.client_id,
            client_secret=body.secrets,
            method=body.method,
            scopes=body.scopes,
            variables=body.variables,
            client_auth=body.client_auth,
            issuer=body.issuer,
        )
        return as_json(One[ApplicationOut](data=ApplicationOut.of(saved)))

    async def remove_application(self, request: Request, tenant_id: TenantPath, application_id: ApplicationPath) -> Response:
        """Delete an OAuth application of the tenant's own that no integration uses any more."""
        await self._acting(request).applications.remove(tenant_id, read_id(application_id))
        return as_json(Done())

    async def complete_authorization(self, request: Request, context_id: ContextPath) -> Response:
        """Finish an OAuth2 connection.  The provider sends the browser here; it must be the browser and the actor that began."""
        params = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return await self._complete(request, context_id, params)

    async def complete_posted_authorization(self, request: Request, context_id: ContextPath) -> Response:
        """Finish an OAuth2 connection whose parameters come in a form (form_post).

        The first post comes from the provider's page, without cookies: the answer is a page that posts the form once more, with `relayed`.
        Only the second post finishes the connection.
        """
        return await self._complete(request, context_id, await read_form(request))

    async def _complete(self, request: Request, context_id: str, params: list[tuple[str, str]]) -> Response:
        call, acting = Call.of(request), self._acting(request)
        state = Secret(next((value for name, value in params if name == "state"), ""))
        flow = self._cookies.find(request, state, actor=call.actor)
        pending = await acting.find_authorization(state) if state else None
        # No provider sends a browser to a path whose context id is malformed.
        return_to = pending.return_to if pending is not None and is_id(context_id) else None
        self._landing.note(request, Visit(return_to=return_to, flow=flow))
        browser_token = None
        if pending is not None:
            await self._gate.admit(request, Permission.CONNECT, pending.tenant_id, request_id=call.request_id)
            browser_token = None if flow is None else flow.token
        # Without a pending authorization of this actor there is no browser token, so the manager refuses the call, and records it.
        connected = await acting.complete_oauth(read_id(context_id), params, browser_token=browser_token)
        response = self._landing.arrived(request, connected, request_id=call.request_id) or self._answers.one(connected.integration)
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
        slot: InSlot = "",
        granted: Granted = NEVER,
        note: Annotated[tuple[Note, ...], Query(max_length=3)] = (),
        request_id: CallbackRequest = None,
    ) -> Response:
        """Show how a connection ended, in its current state.  The callback sends browsers here.

        The integration is shown only to an actor who may connect in the tenant.
        """
        flow = None
        if tenant_id is not None and provider_id is not None:
            flow = Flow(tenant_id=tenant_id, provider_id=provider_id, slot=slot, granted=granted)
        return await self._landing.show(request, result, flow, notes=note, request_id=request_id or Call.of(request).request_id)

    async def reveal_token(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Return a credential that works, in plain text; with `narrow` one that can do less.  One event may stand for repeated uses."""
        acting = self._acting(request)
        await acting.limits.count("reveal", tenant_id)
        body = await read_body_or_none(request, RevealToken)
        asked = read_integration_id(integration_id)
        # By its id: the provider would name the integration in the default slot.
        token = await acting.credential(tenant_id, asked, narrow=None if body is None else body.narrow)
        if token.integration_id != asked:
            raise IntegrationNotFoundError
        return as_json(One[TokenOut](data=TokenOut.of(token)))

    def _acting(self, request: Request) -> AsyncIntegrationManager:
        """Return the manager as the caller's actor uses it."""
        call = Call.of(request)
        return self._manager.acting_as(call.actor, request_id=call.request_id)

    def _needs_setup(self, body: BeginAuthorization) -> bool:
        if body.method is None:
            return False
        offered = (method for known in self._manager.list_providers() if known.id == body.provider_id for method in known.methods)
        return any(method.id == body.method and method.needs_setup for method in offered)

    async def _begin_setup(self, acting: AsyncIntegrationManager, tenant_id: str, body: BeginAuthorization) -> Response:
        for field in ("scopes", "return_to", "device"):
            if field in body.model_fields_set:
                raise ValidationFailedError(field=to_camel(field), problem="is for OAuth2, and not for this method")
        begun = await acting.begin_setup(
            tenant_id, body.provider_id, name=body.name, method=body.method, variables=body.variables, slot=body.slot
        )
        return as_json(One[SetupOut](data=SetupOut.of(begun)), status=201)

    def _check_host(self, request: Request, provider_id: UUID) -> None:
        check_host(request, next((known.redirect_uri for known in self._manager.list_providers() if known.id == provider_id), None))

    def _begun(self, request: Request, authorization: Authorization, flow: Flow, *, status: int) -> Response:
        response = begun(authorization, status=status)
        self._cookies.keep(request, response, authorization, flow, actor=Call.of(request).actor)
        return response
