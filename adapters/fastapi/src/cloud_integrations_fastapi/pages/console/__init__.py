"""The console: what the people who run an installation see of all tenants, and do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from cloud_integrations import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_fastapi.authorization import Authorize, Permission
from cloud_integrations_fastapi.pages.branding import Branding
from cloud_integrations_fastapi.pages.page_route import PageRoute
from cloud_integrations_fastapi.route import PERMISSION
from cloud_integrations_fastapi.threaded import Threaded

from . import words
from .auditing import Auditing
from .desk import ConsoleShell, Desk
from .gate import ConsoleGate
from .incidents import Incidents
from .integrations import Integrations
from .key_pages import KeyPages
from .one_integration import OneIntegration
from .overview import OverviewPage
from .provider_pages import ProviderPages
from .verbs import Verbs

__all__ = ["create_console"]


def create_console(
    manager: AsyncIntegrationManager | IntegrationManager,
    *,
    authorize: Authorize,
    prefix: str = "/console",
    branding: Branding | None = None,
    loopback: bool = False,
    connect: str | None = None,
) -> APIRouter:
    """Return a router with the console, at *prefix*: it shows the integrations of all tenants, and never a secret.

    *authorize* is called as in `create_router`, on every page first for `operate` with no tenant, and then for what the page does: `read`
    and `audit` in the tenant whose integration or log is shown, `verify`, `update` and `delete` in each tenant for whose integrations a
    verb is used, `incidents` with no tenant for freezes and incidents.  So a tenant's own people, who are never allowed `operate`, see
    nothing of it.  *branding* is the look.  *loopback* is for development: cookies then work over http to this machine.  *connect* is
    where `create_connect_pages` is mounted, as `/connect`: then the page of a provider leads there, for an account of your own; that
    asks for `connect` in the tenant that it is for.
    Raises `TypeError` where *manager* is not a manager or *authorize* is not callable, `ConfigurationError` where *connect* is no path.
    """
    if not isinstance(manager, AsyncIntegrationManager | IntegrationManager):
        raise TypeError("manager must be an AsyncIntegrationManager or an IntegrationManager")
    if connect is not None and (not connect.startswith("/") or connect.startswith("//")):
        raise ConfigurationError(setting="connect", problem="must be the path of the connect pages on this site, such as /connect")
    door = manager if isinstance(manager, AsyncIntegrationManager) else cast("AsyncIntegrationManager", Threaded(manager))
    # Its words are English, so its pages say so, whatever the browser asks for.
    our_shell = ConsoleShell(
        prefix=prefix,
        branding=branding or Branding(),
        loopback=loopback,
        words=words,
        locale=lambda request: "en",  # noqa: ARG005
    )
    our_gate = ConsoleGate(door, authorize)

    class Page(PageRoute):
        gate = our_gate
        shell = our_shell
        methods_of: ClassVar[dict[str, set[str]]] = {}

    router = APIRouter(prefix=prefix, route_class=Page, include_in_schema=False)

    def file(request: Request, version: str, name: str) -> Response:
        return our_shell.assets.answer(request, version=version, name=name)

    # Styles and scripts hold nothing of a tenant, so nobody is asked who reads them.
    router.add_api_route("/static/{version}/{name}", file, methods=["GET"], include_in_schema=False, route_class_override=APIRoute)

    def add(method: str, path: str, endpoint: Callable[..., Any], permission: Permission) -> None:
        extra: dict[str, Any] = {PERMISSION: permission}
        router.add_api_route(path, endpoint, methods=[method], openapi_extra=extra)

    desk = Desk(door, our_shell, our_gate)
    overview, integrations, verbs, one = OverviewPage(desk), Integrations(desk), Verbs(desk), OneIntegration(desk)
    providers, incidents, auditing, keys = ProviderPages(desk, connect=connect), Incidents(desk), Auditing(desk), KeyPages(desk)
    add("GET", "", overview.show, Permission.OPERATE)
    add("GET", "/integrations", integrations.show, Permission.OPERATE)
    # Both ask for the verb's own permission, too, in each tenant whose integrations were selected.
    add("POST", "/integrations/confirm", verbs.confirm, Permission.OPERATE)
    add("POST", "/integrations/do", verbs.do, Permission.OPERATE)
    add("GET", "/integrations/{tenantId}/{integrationId}", one.show, Permission.READ)
    add("GET", "/providers", providers.show, Permission.OPERATE)
    add("GET", "/providers/{provider}", providers.show_one, Permission.OPERATE)
    if connect is not None:
        # It asks for `connect`, too, in the tenant that was entered.
        add("POST", "/providers/{provider}/connect", providers.connect, Permission.OPERATE)
    add("GET", "/incidents", incidents.show, Permission.OPERATE)
    add("POST", "/incidents", incidents.open, Permission.INCIDENTS)
    add("GET", "/incidents/new", incidents.show_scope, Permission.INCIDENTS)
    add("POST", "/freezes", incidents.freeze, Permission.INCIDENTS)
    add("POST", "/freezes/{freezeId}/lift", incidents.unfreeze, Permission.INCIDENTS)
    add("GET", "/incidents/{incidentId}", incidents.show_one, Permission.OPERATE)
    add("GET", "/incidents/{incidentId}/report.json", incidents.download, Permission.OPERATE)
    add("GET", "/incidents/{incidentId}/revoke", incidents.show_revocation, Permission.INCIDENTS)
    add("POST", "/incidents/{incidentId}/revoke", incidents.revoke, Permission.INCIDENTS)
    add("POST", "/incidents/{incidentId}/approve", incidents.approve, Permission.INCIDENTS)
    add("GET", "/audit", auditing.choose, Permission.OPERATE)
    # The operator's own log has what concerns no tenant or several.
    for log in ("/audit/operator", "/audit/tenants/{tenantId}"):
        add("GET", log, auditing.show, Permission.AUDIT)
        add("GET", f"{log}/export", auditing.export, Permission.AUDIT)
        add("POST", f"{log}/verify", auditing.verify, Permission.AUDIT)
    add("GET", "/keys", keys.show, Permission.OPERATE)
    add("GET", "/keys/tenant", keys.choose, Permission.OPERATE)
    add("GET", "/keys/tenants/{tenantId}", keys.show_tenant, Permission.OPERATE)
    return router
