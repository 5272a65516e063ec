"""The providers on the console: what works with each here, what ends, and what went wrong lately."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import Health
from cloud_integrations.errors import ProviderNotFoundError
from cloud_integrations_fastapi.authorization import Permission
from cloud_integrations_fastapi.pages.forms import read_own_form
from cloud_integrations_fastapi.route import Call

from .charts import renewals_chart
from .desk import Desk


class ProviderPages:
    """The list of providers that this installation uses, and the page of each."""

    def __init__(self, desk: Desk, *, connect: str | None) -> None:
        self._desk = desk
        self._connect = connect

    async def show(self, request: Request) -> Response:
        """Show the providers with integrations, and those that can be connected; with `?all`, the whole catalogue."""
        reports = await self._desk.manager.report_ageing()
        healths = await self._healths()
        frozen = {each.selection.provider_id for each in await self._desk.manager.incidents.freezes()}
        used = [each for each in reports if each.id in healths]
        ready = [each for each in reports if each.id not in healths and each.active and any(method.ready for method in each.methods)]
        return self._desk.show(
            request,
            "providers",
            section="providers",
            reports=reports if "all" in request.query_params else [*used, *ready] if len(ready) <= len(used) + 20 else used,
            shows_all="all" in request.query_params,
            known=len(reports),
            healths=healths,
            frozen=frozen,
        )

    async def show_one(self, request: Request) -> Response:
        """Show one provider."""
        slug = request.path_params["provider"]
        report = next((each for each in await self._desk.manager.report_ageing() if each.slug == slug), None)
        if report is None:
            raise ProviderNotFoundError(provider=slug[:64])
        freezes = [each for each in await self._desk.manager.incidents.freezes() if each.selection.provider_id == report.id]
        return self._desk.show(
            request,
            "provider",
            section="providers",
            report=report,
            summary=self._desk.manager.get_provider(report.id),
            healths=(await self._healths()).get(report.id, Counter()),
            freezes=freezes,
            connects=self._connect is not None and report.active and any(method.ready for method in report.methods),
            circuit=await self._desk.manager.overview.circuit(report.id),
            errors=await self._desk.manager.overview.errors(report.id),
            chart=renewals_chart(await self._desk.manager.overview.history(provider=report.id)),
        )

    async def connect(self, request: Request) -> Response:
        """Send the operator's browser to the connect page, where it connects an account for the tenant that was entered."""
        fields = await read_own_form(request, self._desk.shell)
        tenant, slug = fields.get("tenant", "").strip(), request.path_params["provider"]
        await self._desk.require(request, Permission.CONNECT, tenant)
        new = await self._desk.acting(request).connect_sessions.create(
            tenant, actor=Call.of(request).actor, providers=[slug], return_to=self._desk.shell.url("providers", slug)
        )
        # The token is in the address, as in every link to that page; it opens the page once.
        return RedirectResponse(f"{self._connect}/start?{urlencode({'link': new.link_token.reveal()})}", HTTPStatus.SEE_OTHER)

    async def _healths(self) -> dict[Any, Counter[Health]]:
        """Return the number of integrations by health, of each provider that has some."""
        found: dict[Any, Counter[Health]] = {}
        for each in (await self._desk.manager.worker.report()).integrations:
            found.setdefault(each.provider_id, Counter())[each.health] += each.count
        return found
