"""Visits: a browser opens the link of a connect session once, and then sees the pages that the session is for."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import SYSTEM, Actor, AsyncIntegrationManager, ConnectSession
from cloud_integrations.errors import ForbiddenError, IntegrationNotFoundError, SessionNotFoundError, ValidationFailedError
from cloud_integrations_fastapi.authorization import Authorize, Gate, Permission
from cloud_integrations_fastapi.pages.forms import read_own_form
from cloud_integrations_fastapi.pages.shell import VISIT, Shell
from cloud_integrations_fastapi.reading import read_integration_id
from cloud_integrations_fastapi.route import Call
from cloud_integrations_fastapi.visits import Visits

LINK: Final = "link"
"""The query parameter, and the field, with the token of a link: queries are left out of the logs that servers keep."""
_ALLOWED: Final = frozenset({Permission.LIST, Permission.READ, Permission.CONNECT, Permission.VERIFY, Permission.UPDATE})
"""What a visitor may do: all but remove, which whoever got a link by mail should not."""


class LinkGate(Gate):
    """Lets everybody ask for a link: its token is what admits them."""

    async def admit(self, request: Request, permission: Permission, tenant_id: str | None, /, *, request_id: str) -> Actor:
        """Return nobody in particular."""
        del request, permission, tenant_id, request_id
        return SYSTEM


class VisitGate(Gate):
    """Admits the browser of a connect session to what the session is for, as the session's actor."""

    def __init__(self, manager: AsyncIntegrationManager, authorize: Authorize, visits: Visits, /) -> None:
        super().__init__(manager, authorize)
        self._visits = visits

    async def admit(self, request: Request, permission: Permission, tenant_id: str | None, /, *, request_id: str) -> Actor:
        """Return the session's actor.  Raises `SessionNotFoundError`, `ForbiddenError` or `IntegrationNotFoundError`."""
        del tenant_id, request_id
        session = await self._find(request)
        if session is None:
            raise SessionNotFoundError
        if permission not in _ALLOWED:
            raise ForbiddenError
        if "integrationId" in request.path_params:
            await self._require_allowed(session, request.path_params["integrationId"])
        # The pages are those of the session's tenant.
        request.path_params["tenantId"] = session.tenant_id
        request.state.cloud_integrations_connect_session = session
        request.state.cloud_integrations_window = self._visits.is_window(request, session.id)
        return session.actor

    async def _find(self, request: Request) -> ConnectSession | None:
        return await self._visits.find(request, request.path_params["sessionId"])

    async def _require_allowed(self, session: ConnectSession, named: str) -> None:
        integration = await self._manager.get_integration(session.tenant_id, read_integration_id(named))
        slugs = [each.slug for each in self._manager.list_providers() if each.id == integration.provider_id]
        if not any(session.allows(slug, integration.slot) for slug in slugs):
            raise IntegrationNotFoundError


class Visiting:
    """The page of a link, which opens it."""

    def __init__(self, manager: AsyncIntegrationManager, shell: Shell, visits: Visits, *, framed: bool) -> None:
        self._manager = manager
        self._shell = shell
        self._visits = visits
        self._framed = framed

    async def show(self, request: Request) -> Response:
        """Show what the link is for, and a button: what looks at links by itself, such as a mail scanner, opens none."""
        token = request.query_params.get(LINK, "")
        session = await self._find(token)
        if session is None:
            shown = self._shell.render(request, "connect/no_link.html", status=HTTPStatus.NOT_FOUND)
        else:
            # For its language and its frame.
            request.state.cloud_integrations_connect_session = session
            shown = self._shell.render(request, "connect/link.html", link=token)
        # The address has the token, which no later request of ours should repeat.
        shown.headers["Referrer-Policy"] = "strict-origin"
        return shown

    async def open(self, request: Request) -> Response:
        """Open the link for this browser, and go on to the pages."""
        fields = await read_own_form(request, self._shell)
        try:
            opened = await self._manager.connect_sessions.open(fields.get(LINK, ""), request_id=Call.of(request).request_id)
        except (SessionNotFoundError, ValidationFailedError):
            return self._shell.render(request, "connect/no_link.html", status=HTTPStatus.NOT_FOUND)
        only = opened.session.providers
        rest = ("new", only[0]) if len(only) == 1 else ()
        # 303, so that the address has no token, and a reload opens nothing.
        response = RedirectResponse(self._shell.url(VISIT, str(opened.session.id), *rest), 303)
        self._visits.keep(request, response, opened, framed=self._framed)
        return response

    async def _find(self, token: str) -> ConnectSession | None:
        try:
            return await self._manager.connect_sessions.find(token)
        except ValidationFailedError:
            return None
