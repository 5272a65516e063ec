"""Sign-in from a frame: it goes on in a window of its own, because no provider shows its pages in a frame.

The window has other cookies than the frame.  A form in the frame gives it a token, by which it joins the visit; what it does there is
done as everywhere else, in its own cookies, up to the callback.  The frame asks this site until the integration is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import AsyncIntegrationManager, ConnectSession, ProviderSummary
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations_fastapi.authorization import Authorize
from cloud_integrations_fastapi.browser import Flow, granted_mark, is_framed
from cloud_integrations_fastapi.landing import find_integration
from cloud_integrations_fastapi.pages.shell import Shell, session_of
from cloud_integrations_fastapi.reading import read_form
from cloud_integrations_fastapi.visits import Visits

from .fields import find_provider
from .visiting import VisitGate

WINDOW: Final = "window"
"""The first segment of the addresses at which a window joins a visit."""
_JOIN: Final = "join"
"""The field with the token by which it joins."""
Endpoint = Callable[[Request], Awaitable[Response]]


class WindowGate(VisitGate):
    """Admits a window that a page in a frame has opened, by the token in its form."""

    def __init__(self, manager: AsyncIntegrationManager, authorize: Authorize, visits: Visits, shell: Shell, /) -> None:
        super().__init__(manager, authorize, visits)
        self._shell = shell

    async def _find(self, request: Request) -> ConnectSession | None:
        # Only a page of ours can make a browser send this, so nobody puts a visit of his own into the browser of another.
        self._shell.check_origin(request, named=True)
        try:
            joined = await self._manager.connect_sessions.join(dict(await read_form(request)).get(_JOIN, ""))
        except ValidationFailedError:
            return None
        request.state.cloud_integrations_joined = joined
        return joined.session if joined.session.id == request.path_params["sessionId"] else None


class Windows:
    """The pages around a sign-in that begins in a frame."""

    def __init__(self, manager: AsyncIntegrationManager, shell: Shell, visits: Visits, *, framed: bool) -> None:
        self._manager = manager
        self._shell = shell
        self._visits = visits
        self._framed = framed

    def needed(self, request: Request, /) -> bool:
        """Say whether a sign-in that this request asks for needs another window: where a site may show the pages in a frame, and does."""
        return self._framed and is_framed(request)

    async def offer(self, request: Request, provider: ProviderSummary, flow: Flow, /, *segments: str, **fields: str) -> Response:
        """Show the form that opens the window; it sends *fields* to the page that *segments* name."""
        session = session_of(request)
        waiting = {"provider": provider.slug, "slot": flow.slot, "since": flow.granted}
        if session is None:
            action = self._shell.url_in(request, flow.tenant_id, *segments)
        else:
            action = self._shell.url(WINDOW, str(session.id), *segments)
            fields[_JOIN] = (await self._visits.hand_over(request, session)).reveal()
        return self._shell.render(
            request,
            "connect/window.html",
            tenant=flow.tenant_id,
            provider=provider,
            action=action,
            fields=fields,
            waiting=self._shell.url_in(request, flow.tenant_id, "waiting", **waiting),
        )

    async def wait(self, request: Request) -> Response:
        """Show that the window is waited for; go on to the result when the integration has the consent that was given there."""
        tenant_id, session, query = request.path_params["tenantId"], session_of(request), request.query_params
        slug, slot = query.get("provider", ""), query.get("slot", "") if session is None else session.slot
        provider, since = find_provider(self._manager.list_providers(), slug, session), query.get("since", "")
        flow = Flow(tenant_id=tenant_id, provider_id=provider.id, slot=slot, granted=since)
        integration = await find_integration(self._manager, flow)
        if granted_mark(integration) == since:
            return self._shell.render(request, "connect/waiting.html", tenant=tenant_id, provider=provider, integration=integration)
        done = {"provider": slug} | ({"slot": slot} if slot else {})
        return RedirectResponse(self._shell.url_in(request, tenant_id, "done", **done), 303)

    def joined(self, endpoint: Endpoint, /) -> Endpoint:
        """Return *endpoint* for a window that joins a visit: it is known from its answer on."""

        async def in_window(request: Request) -> Response:
            response = await endpoint(request)
            self._visits.keep_window(request, response, request.state.cloud_integrations_joined)
            return response

        return in_window
