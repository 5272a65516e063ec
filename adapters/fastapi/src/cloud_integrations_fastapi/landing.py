"""Where a browser lands after the callback: at the host's own path, or on a page whose address holds neither code nor state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import AsyncIntegrationManager, Connected, Integration, Status
from cloud_integrations.errors import CloudIntegrationsError

from .authorization import Gate, Permission
from .browser import Flow, granted_mark, is_navigation, prefers_html
from .errors import Problem
from .pages import Pages
from .results import ConnectionResult, Note, ResultCode, code_of, refusal, success

RESULT = "/oauth/result"
_FROM_CALLBACK = "../result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What is known of the flow that a browser comes back from."""

    return_to: str | None = None
    flow: Flow | None = None
    """What the browser itself keeps of it."""


class Landing:
    """Answers browsers that come back from a provider; programs that prefer JSON are answered elsewhere."""

    def __init__(self, manager: AsyncIntegrationManager, gate: Gate, pages: Pages) -> None:
        self._manager = manager
        self._gate = gate
        self._pages = pages

    def note(self, request: Request, visit: Visit, /) -> None:
        """Remember what is known of the flow, for whichever end it has."""
        request.state.cloud_integrations_visit = visit

    def relay(self, request: Request, fields: list[tuple[str, str]], /, *, action: str) -> Response:
        """Return the page that posts a form once more."""
        return self._pages.relay(request, fields, action=action)

    def arrived(self, request: Request, connected: Connected, /, *, request_id: str) -> Response | None:
        """Answer a browser whose flow was finished; None where a program is to have JSON."""
        if connected.return_to is not None:
            # 303, so that no method or body is ever repeated at the target.
            return RedirectResponse(_without_error(connected.return_to), 303)
        if not prefers_html(request):
            return None
        notes: list[Note] = []
        if connected.account_changed:
            notes.append("account_changed")
        if connected.shared:
            notes.append("shared")
        integration = connected.integration
        if is_navigation(request):
            flow = Flow(tenant_id=integration.tenant_id, provider_id=integration.provider_id, granted=granted_mark(integration))
            return _redirect("connected", flow, request_id=request_id, notes=tuple(notes))
        return self._pages.result(request, success("connected", integration, request_id=request_id, notes=tuple(notes)))

    async def refused(self, request: Request, error: Exception, problem: Problem, /, *, request_id: str) -> Response | None:
        """Answer a browser whose flow was not finished; None where a program is to have JSON."""
        visit: Visit = getattr(request.state, "cloud_integrations_visit", Visit())
        code, flow = code_of(error), visit.flow
        if code == "not_yours" and flow is not None:
            code = "expired"  # this browser and this person began it, and it is not open any more
        if visit.return_to is not None:
            plain = _without_error(visit.return_to)
            return RedirectResponse(plain if code == "already_connected" else _with_error(plain, code), 303)
        if not prefers_html(request):
            return None
        if code not in {"already_connected", "expired"}:
            flow = None
        if is_navigation(request) and "contextId" in request.path_params:
            return _redirect(code, flow, request_id=request_id)
        result = refusal(code, request_id=request_id, retry_after=problem.retry_after)
        if flow is not None:
            result = await self._looked_up(request, code, flow, result)
        return self._pages.result(request, result)

    async def show(self, request: Request, code: ResultCode, flow: Flow | None, /, *, notes: tuple[Note, ...], request_id: str) -> Response:
        """Show how a connection ended, by what holds now; only to who may connect in that tenant."""
        result = refusal("closed" if code in {"connected", "already_connected"} else code, request_id=request_id)
        if flow is not None:
            result = await self._look_up(request, code, flow, result, notes=notes)
        # The page was found, whatever it says; and a proxy shows its own page in the place of one with 502.
        return self._pages.result(request, replace(result, status=200))

    async def _looked_up(self, request: Request, code: ResultCode, flow: Flow, otherwise: ConnectionResult) -> ConnectionResult:
        try:
            return await self._look_up(request, code, flow, otherwise)
        except CloudIntegrationsError:
            return otherwise  # who may not see the tenant, or cannot now, reads what ended this flow

    async def _look_up(
        self, request: Request, code: ResultCode, flow: Flow, otherwise: ConnectionResult, *, notes: tuple[Note, ...] = ()
    ) -> ConnectionResult:
        await self._gate.admit(request, Permission.CONNECT, flow.tenant_id, request_id=otherwise.request_id)
        integration = await find_integration(self._manager, flow.tenant_id, flow.provider_id)
        if integration is None or integration.status is not Status.ACTIVE:
            return otherwise
        if code == "expired" and granted_mark(integration) == flow.granted:
            return otherwise  # the consent of before, not of this flow
        return success(
            "connected" if code == "connected" else "already_connected", integration, request_id=otherwise.request_id, notes=notes
        )


async def find_integration(manager: AsyncIntegrationManager, tenant_id: str, provider_id: UUID, /) -> Integration | None:
    """Return a tenant's integration with a provider."""
    return next((one for one in await manager.list_integrations(tenant_id) if one.provider_id == provider_id), None)


def _redirect(code: ResultCode, flow: Flow | None, /, *, request_id: str, notes: tuple[Note, ...] = ()) -> Response:
    about: dict[str, Any] = {"result": code, "requestId": request_id}
    if flow is not None:
        about |= {"tenantId": flow.tenant_id, "providerId": flow.provider_id, "granted": flow.granted, "note": notes}
    # Relative, so that it holds behind any prefix and proxy.
    return RedirectResponse(f"{_FROM_CALLBACK}?{urlencode(about, doseq=True)}", 303)


def _without_error(return_to: str) -> str:
    """Take away what an earlier refusal left in the address from which somebody tries again."""
    parts = urlsplit(return_to)
    kept = [pair for pair in parts.query.split("&") if pair.partition("=")[0] != "error"]
    return urlunsplit(parts._replace(query="&".join(kept)))


def _with_error(return_to: str, code: ResultCode) -> str:
    parts = urlsplit(return_to)
    query = f"{parts.query}&error={code}" if parts.query else f"error={code}"
    return urlunsplit(parts._replace(query=query))
