"""The connect page: where the people of a tenant connect, repair and remove accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from cloud_integrations import AsyncIntegrationManager, IntegrationManager
from cloud_integrations_fastapi.authorization import Authorize, Gate, Permission
from cloud_integrations_fastapi.browser import BrowserCookies
from cloud_integrations_fastapi.pages.branding import Branding
from cloud_integrations_fastapi.pages.page_route import PageRoute
from cloud_integrations_fastapi.pages.shell import VISIT, Shell
from cloud_integrations_fastapi.route import PERMISSION
from cloud_integrations_fastapi.threaded import Threaded
from cloud_integrations_fastapi.visits import Visits

from . import words
from .connecting import Connecting, Names, NamesOf
from .managing import Managing
from .picking import Picking
from .visiting import LinkGate, VisitGate, Visiting
from .windows import WINDOW, WindowGate, Windows

__all__ = ["Names", "create_connect_pages"]


def create_connect_pages(
    manager: AsyncIntegrationManager | IntegrationManager,
    *,
    authorize: Authorize,
    prefix: str = "/connect",
    branding: Branding | None = None,
    frames: Sequence[str] = (),
    rights: Mapping[str, Sequence[str]] | None = None,
    names: NamesOf | None = None,
    locale: Callable[[Request], str | None] | None = None,
    loopback: bool = False,
) -> APIRouter:
    """Return a router with the connect page of each tenant, at `{prefix}/{tenantId}`.

    *authorize* is called on every page before anything else of a request is read, as in `create_router`, which the host mounts as well:
    providers send the browser back to its callback.  *branding* is the look; *frames* are the origins whose pages may show these ones in
    a frame.  *rights* says in words what your product will be able to do, one sentence each, by the slugs of providers.  *locale* returns
    the language that a person has chosen in your product, as a tag such as `de`; without one, the browser's is taken.
    *names* returns what the person and the workspace are called in your product, for the page on which they agree to go on; without it
    their ids are shown.
    Other sites load `{prefix}/embed.js`, which shows the page of a connect session on theirs.
    *loopback* is for development: cookies then work over http to this machine.
    Raises `TypeError` where *manager* is not a manager or *authorize* is not callable, and `ValueError` for an origin that is none.
    """
    if not isinstance(manager, AsyncIntegrationManager | IntegrationManager):
        raise TypeError("manager must be an AsyncIntegrationManager or an IntegrationManager")
    door = manager if isinstance(manager, AsyncIntegrationManager) else cast("AsyncIntegrationManager", Threaded(manager))
    their_shell = Shell(prefix=prefix, branding=branding or Branding(), frames=frames, loopback=loopback, words=words, locale=locale)

    class Page(PageRoute):
        gate = Gate(door, authorize)
        shell = their_shell
        methods_of: ClassVar[dict[str, set[str]]] = {}

    visits = Visits(door, loopback=loopback)

    class VisitPage(Page):
        gate = VisitGate(door, authorize, visits)

    class LinkPage(Page):
        gate = LinkGate(door, authorize)
        by_address = True

    class WindowPage(Page):
        gate = WindowGate(door, authorize, visits, their_shell)
        by_address = True

    router = APIRouter(prefix=prefix, route_class=Page, include_in_schema=False)

    def add(method: str, path: str, endpoint: Callable[..., Any], permission: Permission) -> None:
        """Add a page of a tenant, and the same page of a connect session."""
        for base, kind in ((f"/{VISIT}/{{sessionId:uuid}}", VisitPage), ("/{tenantId}", Page)):
            extra: dict[str, Any] = {PERMISSION: permission}
            router.add_api_route(base + path, endpoint, methods=[method], openapi_extra=extra, route_class_override=kind)

    def file(request: Request, version: str, name: str) -> Response:
        return their_shell.assets.answer(request, version=version, name=name)

    # Styles and scripts hold nothing of a tenant, so nobody is asked who reads them.
    router.add_api_route("/static/{version}/{name}", file, methods=["GET"], include_in_schema=False, route_class_override=APIRoute)
    router.add_api_route(
        "/embed.js", their_shell.assets.answer_to_all, methods=["GET"], include_in_schema=False, route_class_override=APIRoute
    )
    picking, windows = Picking(door, their_shell), Windows(door, their_shell, visits, framed=bool(frames))
    connecting = Connecting(door, their_shell, BrowserCookies(loopback=loopback), windows, rights=rights or {}, names=names)
    managing = Managing(door, their_shell, BrowserCookies(loopback=loopback), windows)
    visiting = Visiting(door, their_shell, visits, framed=bool(frames))
    for method, endpoint in (("GET", visiting.show), ("POST", visiting.open)):
        asked: dict[str, Any] = {PERMISSION: Permission.CONNECT}
        router.add_api_route("/start", endpoint, methods=[method], openapi_extra=asked, route_class_override=LinkPage)
    begins = (("/new/{provider}/authorize", connecting.authorize), ("/integrations/{integrationId}/reconnect", managing.reconnect))
    for path, begin in begins if frames else ():
        asked = {PERMISSION: Permission.CONNECT}
        router.add_api_route(
            f"/{WINDOW}/{{sessionId:uuid}}{path}",
            windows.joined(begin),
            methods=["POST"],
            openapi_extra=asked,
            route_class_override=WindowPage,
        )
    add("GET", "", picking.show, Permission.LIST)
    add("GET", "/providers/{provider}", picking.show_provider, Permission.LIST)
    add("GET", "/waiting", windows.wait, Permission.LIST)
    add("GET", "/done", connecting.show_result, Permission.LIST)
    one = "/integrations/{integrationId}"
    add("GET", one, managing.show, Permission.READ)
    add("POST", f"{one}/rename", managing.rename, Permission.UPDATE)
    add("POST", f"{one}/verify", managing.verify, Permission.VERIFY)
    add("GET", f"{one}/reconnect", managing.show_reconnect, Permission.CONNECT)
    add("POST", f"{one}/reconnect", managing.reconnect, Permission.CONNECT)
    add("GET", f"{one}/replace", managing.show_replace, Permission.CONNECT)
    add("POST", f"{one}/replace", managing.replace, Permission.CONNECT)
    add("POST", f"{one}/replace/finish", managing.finish_replace, Permission.CONNECT)
    add("POST", f"{one}/replace/cancel", managing.cancel_replace, Permission.CONNECT)
    add("GET", f"{one}/resource", managing.show_resources, Permission.VERIFY)
    add("POST", f"{one}/resource", managing.choose, Permission.UPDATE)
    add("GET", f"{one}/remove", managing.show_remove, Permission.DELETE)
    add("POST", f"{one}/remove", managing.remove, Permission.DELETE)
    add("GET", "/new/{provider}", connecting.show, Permission.CONNECT)
    add("POST", "/new/{provider}/authorize", connecting.authorize, Permission.CONNECT)
    add("POST", "/new/{provider}/setup", connecting.set_up, Permission.CONNECT)
    add("POST", "/new/{provider}", connecting.connect, Permission.CONNECT)
    return router
