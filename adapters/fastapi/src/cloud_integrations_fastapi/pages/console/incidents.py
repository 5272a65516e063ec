"""Incidents on the console: stop the use of credentials, find out which ones leaked, end them, and report."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import Request, Response

from cloud_integrations import Incident, IncidentRun
from cloud_integrations.documents import IncidentReportOut
from cloud_integrations.errors import IncidentNotApprovedError, ValidationFailedError
from cloud_integrations_fastapi.pages.forms import read_own_form
from cloud_integrations_fastapi.reading import read_id

from .asked import YES, day_of, end_of_day, number_of, selection_of, text_of
from .desk import Desk

AT_ONCE: Final = 25
"""How many integrations one request ends: it must end before a browser or a proxy loses patience."""
SHOWN: Final = 100
"""How many integrations of an incident a page lists; the download has all."""
_NAMED: Final = ("tenant", "provider", "application", "integration", "used_by", "everything", "since", "until")


class Incidents:
    """The pages of freezes and incidents."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """Show the freezes and the incidents."""
        incidents = self._desk.manager.incidents
        return self._desk.show(
            request,
            "incidents",
            section="incidents",
            freezes=[
                each
                for each in reversed(await incidents.freezes(lifted=True))
                if each.lifted_at is None or "lifted" in request.query_params
            ],
            shows_lifted="lifted" in request.query_params,
            incidents=tuple(reversed(await incidents.list())),
            providers=self._desk.providers(),
        )

    async def freeze(self, request: Request) -> Response:
        """Begin a freeze."""
        fields = await read_own_form(request, self._desk.shell)
        await self._desk.acting(request).incidents.freeze(
            reason=fields.get("reason", ""), renewals=fields.get("renewals") == YES, **selection_of(fields)
        )
        return self._desk.go("incidents")

    async def unfreeze(self, request: Request) -> Response:
        """Lift a freeze."""
        fields = await read_own_form(request, self._desk.shell)
        freeze_id = read_id(request.path_params["freezeId"])
        await self._desk.acting(request).incidents.unfreeze(freeze_id, reason=fields.get("reason", ""))
        return self._desk.go("incidents")

    async def show_scope(self, request: Request) -> Response:
        """Show the form of a new incident, with the integrations that it would have: nothing is stored."""
        asked = request.query_params
        scope = None
        if any(text_of(asked, name) for name in _NAMED):
            scope = await self._desk.acting(request).incidents.scope(**self._scope(asked))
        return self._desk.show(
            request,
            "new_incident",
            section="incidents",
            asked={name: asked.get(name, "") for name in _NAMED},
            scope=scope,
            shown=SHOWN,
            providers=self._desk.providers(),
        )

    async def open(self, request: Request) -> Response:
        """Store the incident with its scope."""
        fields = await read_own_form(request, self._desk.shell)
        incident = await self._desk.acting(request).incidents.open(reason=fields.get("reason", ""), **self._scope(fields))
        return self._desk.go("incidents", str(incident.id))

    async def show_one(self, request: Request) -> Response:
        """Show an incident: how far it has come, and what may still work."""
        return await self._page(request)

    async def show_revocation(self, request: Request) -> Response:
        """Show what a revocation would do, and ask."""
        incident = await self._find(request)
        run = await self._desk.acting(request).incidents.revoke(incident.id, dry_run=True)
        report = await self._desk.manager.incidents.report(incident.id)
        return self._desk.show(
            request, "revoke_incident", section="incidents", incident=incident, run=run, count=len(report.items), at_once=AT_ONCE
        )

    async def revoke(self, request: Request) -> Response:
        """End the access of the next integrations; whoever comes back goes on where this ended."""
        fields = await read_own_form(request, self._desk.shell)
        incident = await self._find(request)
        count = len((await self._desk.manager.incidents.report(incident.id)).items)
        if fields.get("count", "").strip() != str(count):
            raise ValidationFailedError(field="count", problem="must be the number of integrations in the incident, typed as it is shown")
        acting = self._desk.acting(request, reason=text_of(fields, "reason"))
        try:
            # Those that the request before could not end are looked at first again, and must not take the place of others.
            more = min(number_of(fields, "failed") or 0, count)
            run = await acting.incidents.revoke(incident.id, at_most=AT_ONCE + more, revoke_keys=fields.get("revoke_keys") == YES)
        except IncidentNotApprovedError as error:
            return await self._page(request, refused=error)
        return await self._page(request, run=run, again=fields)

    async def approve(self, request: Request) -> Response:
        """Agree that somebody else revokes."""
        fields = await read_own_form(request, self._desk.shell)
        incident = await self._find(request)
        await self._desk.acting(request).incidents.approve(incident.id, reason=fields.get("reason", ""))
        return self._desk.go("incidents", str(incident.id))

    async def download(self, request: Request) -> Response:
        """Download the report, with every receipt."""
        incident = await self._find(request)
        report = await self._desk.manager.incidents.report(incident.id)
        headers = {
            "Content-Disposition": f'attachment; filename="incident-{incident.id}.json"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(json.dumps(IncidentReportOut.of(report).as_json(), indent=2), headers=headers, media_type="application/json")

    async def _page(
        self,
        request: Request,
        *,
        run: IncidentRun | None = None,
        again: dict[str, str] | None = None,
        refused: IncidentNotApprovedError | None = None,
    ) -> Response:
        incident = await self._find(request)
        report = await self._desk.manager.incidents.report(incident.id)
        # What may still work comes first: that is what somebody must look at.
        items = sorted(report.items, key=lambda item: not item.works_on)
        return self._desk.show(
            request,
            "incident",
            section="incidents",
            status=200 if refused is None else 409,
            incident=incident,
            report=report,
            items=items[:SHOWN],
            run=run,
            again=again,
            refused=refused,
            four_eyes=self._desk.manager.settings.four_eyes,
            providers=self._desk.providers(),
        )

    async def _find(self, request: Request) -> Incident:
        return await self._desk.manager.incidents.get(read_id(request.path_params["incidentId"]))

    def _scope(self, asked: Any) -> dict[str, Any]:
        return {**selection_of(asked), "since": day_of(asked, "since"), "until": end_of_day(asked, "until")}
