"""The answers to browsers after the callback: a redirect to the host's own path, or a page whose address has neither code nor state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import AsyncIntegrationManager, Connected, Integration, Status
from cloud_integrations.errors import CloudIntegrationsError

from .authorization import Gate, Permission
from .browser import Flow, flow_of, granted_mark, is_navigation, prefers_html
from .callback_pages import Pages
from .errors import Problem
from .results import ConnectionResult, Note, ResultCode, code_of, refusal, success

RESULT = "/oauth/result"
_FROM_CALLBACK = "../result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What is known of the flow with which a browser comes back."""

    return_to: str | None = None
    flow: Flow | None = None
    """What the browser's cookie holds about it."""


class Landing:
    """Answers browsers that come back from a provider; clients that prefer JSON are answered by the route."""

    def __init__(self, manager: AsyncIntegrationManager, gate: Gate, pages: Pages) -> None:
        self._manager = manager
        self._gate = gate
        self._pages = pages

    def note(self, request: Request, visit: Visit, /) -> None:
        """Remember *visit* with the request, for `arrived` and `refused`."""
        request.state.cloud_integrations_visit = visit

    def relay(self, request: Request, fields: list[tuple[str, str]], /, *, action: str) -> Response:
        """Return the page that posts a form once more."""
        return self._pages.relay(request, fields, action=action)

    def arrived(self, request: Request, connected: Connected, /, *, request_id: str) -> Response | None:
        """Return the answer to a browser whose flow succeeded; None where the client prefers JSON."""
        if connected.return_to is not None:
            # 303, so that a browser follows with GET and without a body (RFC 9110 §15.4.4).
            return RedirectResponse(_without_error(connected.return_to), 303)
        if not prefers_html(request):
            return None
        notes: list[Note] = []
        if connected.account_changed:
            notes.append("account_changed")
        if connected.shared:
            notes.append("shared")
        if connected.grants is not None:
            notes.append("several_grants")
        integration = connected.integration
        if is_navigation(request):
            flow = flow_of(integration)
            return _redirect("connected", flow, request_id=request_id, notes=tuple(notes))
        return self._pages.result(request, success("connected", integration, request_id=request_id, notes=tuple(notes)))

    async def refused(self, request: Request, error: Exception, problem: Problem, /, *, request_id: str) -> Response | None:
        """Return the answer to a browser whose flow failed; None where the client prefers JSON."""
        visit: Visit = getattr(request.state, "cloud_integrations_visit", Visit())
        code, flow = code_of(error), visit.flow
        if code == "not_yours" and flow is not None:
            code = "expired"  # this actor began it in this browser, and it is no longer pending
        if visit.return_to is not None:
            plain = _without_error(visit.return_to)
            return RedirectResponse(plain if code == "already_connected" else _with_error(plain, code), 303)
        if not prefers_html(request):
            return None
        if code not in {"already_connected", "expired"}:
            flow = None
        # Not sent on from a callback that was not looked at: reloaded in a moment, it goes on from there.
        if is_navigation(request) and "contextId" in request.path_params and code != "too_many":
            return _redirect(code, flow, request_id=request_id)
        result = refusal(code, request_id=request_id, retry_after=problem.retry_after)
        if flow is not None:
            result = await self._looked_up(request, code, flow, result)
        return self._pages.result(request, result)

    async def show(self, request: Request, code: ResultCode, flow: Flow | None, /, *, notes: tuple[Note, ...], request_id: str) -> Response:
        """Return the page that says how a connection ended, by its current state.  Raises `ForbiddenError` for another's tenant."""
        result = refusal("closed" if code in {"connected", "already_connected"} else code, request_id=request_id)
        if flow is not None:
            result = await self._look_up(request, code, flow, result, notes=notes)
        # The page itself was found; and a proxy would replace a page with status 502 by its own.
        return self._pages.result(request, replace(result, status=200))

    async def _looked_up(self, request: Request, code: ResultCode, flow: Flow, otherwise: ConnectionResult) -> ConnectionResult:
        try:
            return await self._look_up(request, code, flow, otherwise)
        except CloudIntegrationsError:
            return otherwise  # without access to the tenant, or while it cannot be read: say how this flow ended

    async def _look_up(
        self, request: Request, code: ResultCode, flow: Flow, otherwise: ConnectionResult, *, notes: tuple[Note, ...] = ()
    ) -> ConnectionResult:
        await self._gate.admit(request, Permission.CONNECT, flow.tenant_id, request_id=otherwise.request_id)
        integration = await find_integration(self._manager, flow)
        if integration is None or integration.status is not Status.ACTIVE:
            return otherwise
        if code == "expired" and granted_mark(integration) == flow.granted:
            return otherwise  # the earlier consent, not that of this flow
        return success(
            "connected" if code == "connected" else "already_connected", integration, request_id=otherwise.request_id, notes=notes
        )


async def find_integration(manager: AsyncIntegrationManager, flow: Flow, /) -> Integration | None:
    """Return the integration that *flow* connects: that of its tenant with its provider in its slot; None if there is none."""
    wanted = flow.provider_id, flow.slot
    return next((one for one in await manager.list_integrations(flow.tenant_id) if (one.provider_id, one.slot) == wanted), None)


def _redirect(code: ResultCode, flow: Flow | None, /, *, request_id: str, notes: tuple[Note, ...] = ()) -> Response:
    about: dict[str, Any] = {"result": code, "requestId": request_id}
    if flow is not None:
        about |= {"tenantId": flow.tenant_id, "providerId": flow.provider_id, "granted": flow.granted, "note": notes}
        if flow.slot:
            about["slot"] = flow.slot
    # Relative, so that it works behind any prefix and proxy.
    return RedirectResponse(f"{_FROM_CALLBACK}?{urlencode(about, doseq=True)}", 303)


def _without_error(return_to: str) -> str:
    """Return *return_to* without `error`: an earlier failure may have left it in the address from which the flow began again."""
    parts = urlsplit(return_to)
    kept = [pair for pair in parts.query.split("&") if pair.partition("=")[0] != "error"]
    return urlunsplit(parts._replace(query="&".join(kept)))


def _with_error(return_to: str, code: ResultCode) -> str:
    parts = urlsplit(return_to)
    query = f"{parts.query}&error={code}" if parts.query else f"error={code}"
    return urlunsplit(parts._replace(query=query))
