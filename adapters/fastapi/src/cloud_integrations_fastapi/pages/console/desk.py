"""What every page of the console has: the manager as its actor uses it, the names of providers, and the way to show itself."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from fastapi import Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from cloud_integrations import AsyncIntegrationManager, ProviderSummary
from cloud_integrations_fastapi.authorization import Permission
from cloud_integrations_fastapi.errors import Problem
from cloud_integrations_fastapi.pages.shell import Shell
from cloud_integrations_fastapi.route import Call

from .gate import ConsoleGate

Section = Literal["overview", "integrations", "providers", "incidents", "audit", "keys"]
"""The part of the console that a page belongs to."""


class ConsoleShell(Shell):
    """Renders the console's pages, and its errors in the library's own words, which are for operators."""

    def problem(self, request: Request, problem: Problem, /, *, request_id: str) -> HTMLResponse:
        """Return the page that says why a request failed."""
        values: dict[str, Any] = {"problem": problem, "request_id": request_id, "section": None}
        return self.render(request, "console/problem.html", status=problem.status, **values)


class Desk:
    """The parts of the console that all of its pages use."""

    def __init__(self, manager: AsyncIntegrationManager, shell: ConsoleShell, gate: ConsoleGate) -> None:
        self.manager = manager
        self.shell = shell
        self._gate = gate

    def acting(self, request: Request, /, *, reason: str | None = None) -> AsyncIntegrationManager:
        """Return the manager as the actor of *request* uses it; *reason* is what they say why."""
        call = Call.of(request)
        return self.manager.acting_as(call.actor, request_id=call.request_id, reason=reason)

    async def require(self, request: Request, permission: Permission, tenant_id: str | None, /) -> None:
        """Raise `ForbiddenError` unless the actor of *request* has one more permission; a tenant's log then has the attempt."""
        await self._gate.admit(request, permission, tenant_id, request_id=Call.of(request).request_id)

    async def allows(self, request: Request, permission: Permission, tenant_id: str | None, /) -> bool:
        """Say whether the actor of *request* has one more permission."""
        return await self._gate.allows(request, permission, tenant_id)

    def providers(self) -> Mapping[UUID, ProviderSummary]:
        """Return the providers of the catalogue by id."""
        return {each.id: each for each in self.manager.list_providers()}

    def show(self, request: Request, page: str, /, *, section: Section, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """Return the page of a template in `templates/console`."""
        return self.shell.render(request, f"console/{page}.html", status=status, section=section, **values)

    def go(self, *segments: str, **query: str) -> Response:
        """Send the browser on to a page; 303, so that a reload sends nothing again (RFC 9110 §15.4.4)."""
        return RedirectResponse(self.shell.url(*segments, **query), HTTPStatus.SEE_OTHER)
