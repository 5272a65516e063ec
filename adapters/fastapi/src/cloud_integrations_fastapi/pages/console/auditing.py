"""The audit log on the console: filter it, verify its chain, and export it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from fastapi import Request, Response

from cloud_integrations import AuditReport
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations_fastapi.pages.forms import read_own_form

from .asked import actor_of, day_of, end_of_day, number_of, text_of
from .desk import Desk

Form = Literal["json", "cloudevents", "ocsf"]
"""The forms of an export, as `manager.audit.export` has them."""
PAGE: Final = 50
MOST_EXPORTED: Final = 10_000
_FORMS: Final[tuple[Form, ...]] = get_args(Form)
_FILTERS: Final = ("by", "action", "provider", "integration", "since", "until")


class Auditing:
    """The pages of one tenant's log, or of the operator's, which has what concerns no tenant or several."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def choose(self, request: Request) -> Response:
        """Go on to the log of the tenant that was entered."""
        tenant = text_of(request.query_params, "tenant")
        return self._desk.go("audit", "operator") if tenant is None else self._desk.go("audit", "tenants", tenant)

    async def show(self, request: Request) -> Response:
        """Show the events that fit, the newest first."""
        return await self._page(request)

    async def verify(self, request: Request) -> Response:
        """Walk the chain, and show what was found."""
        await read_own_form(request, self._desk.shell)
        return await self._page(request, report=await self._desk.acting(request).audit.verify(self._tenant(request)))

    async def export(self, request: Request) -> Response:
        """Download the events after a number, each a line."""
        form = text_of(request.query_params, "form") or _FORMS[0]
        if form not in _FORMS:
            raise ValidationFailedError(field="form", problem=f"must be one of {', '.join(_FORMS)}")
        after = number_of(request.query_params, "after") or 0
        found = await self._desk.acting(request).audit.export(self._tenant(request), form=form, after=after, limit=MOST_EXPORTED)
        # The name of a tenant is its own: it may hold what a file's name must not.
        name = f"audit-{form}-{after + 1}-{found.last}.jsonl"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Audit-Last": str(found.last),
            "X-Audit-Behind": str(found.behind),
        }
        return Response("".join(f"{line}\n" for line in found.lines), headers=headers, media_type="application/x-ndjson")

    async def _page(self, request: Request, *, report: AuditReport | None = None) -> Response:
        asked, tenant = request.query_params, self._tenant(request)
        records = await self._desk.acting(request).audit.list(
            tenant, **_filter(asked, tenant), before=number_of(asked, "before"), limit=PAGE
        )
        kept = {name: text for name in _FILTERS if (text := text_of(asked, name)) is not None}
        path = ("audit", "operator") if tenant is None else ("audit", "tenants", tenant)
        url = self._desk.shell.url
        return self._desk.show(
            request,
            "audit",
            section="audit",
            tenant=tenant,
            own=url(*path),
            newest=url(*path, **kept) if "before" in asked else None,
            older=url(*path, before=str(records[-1].seq), **kept) if len(records) == PAGE else None,
            records=records,
            providers=self._desk.providers(),
            asked={name: asked.get(name, "") for name in _FILTERS},
            kept=kept,
            report=report,
            forms=_FORMS,
        )

    def _tenant(self, request: Request) -> str | None:
        found: str | None = request.path_params.get("tenantId")
        return found


def _filter(asked: Mapping[str, str], tenant: str | None) -> dict[str, Any]:
    """Return the filters of `manager.audit.list`."""
    found: dict[str, Any] = {
        "by": actor_of(asked, "by"),
        "action": text_of(asked, "action"),
        "provider": text_of(asked, "provider"),
        "since": day_of(asked, "since"),
        "until": end_of_day(asked, "until"),
        "integration": None if tenant is None else text_of(asked, "integration"),
    }
    return {name: value for name, value in found.items() if value is not None}
