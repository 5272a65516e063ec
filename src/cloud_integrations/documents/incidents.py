"""Incidents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from cloud_integrations.domain.incident import Incident, IncidentItem, IncidentReport, Scope, Use

from .audit import ActorOut
from .base import Document
from .freezes import SelectionOut


@dataclass(slots=True, kw_only=True)
class UseOut(Document):
    """An integration whose credential was handed out, and how often the audit log has that."""

    tenant_id: str
    integration_id: UUID
    records: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, use: Use, /) -> Self:
        """Return the document of a use."""
        return cls._shown(use)


@dataclass(slots=True, kw_only=True)
class ScopeOut(Document):
    """The credentials that could have been read."""

    selection: SelectionOut
    since: datetime | None
    until: datetime | None
    tenants: int
    records: int
    uses: tuple[UseOut, ...]

    @classmethod
    def of(cls, scope: Scope, /) -> Self:
        """Return the document of a scope."""
        return cls._shown(scope, selection=SelectionOut.of(scope.selection), uses=tuple(map(UseOut.of, scope.uses)))


@dataclass(slots=True, kw_only=True)
class IncidentOut(Document):
    """An incident: which uses it is about, who opened it, when and why."""

    id: UUID
    selection: SelectionOut
    since: datetime | None
    until: datetime | None
    reason: str
    opened_at: datetime
    opened_by: ActorOut

    @classmethod
    def of(cls, incident: Incident, /) -> Self:
        """Return the document of an incident."""
        return cls._shown(incident, selection=SelectionOut.of(incident.selection), opened_by=ActorOut.of(incident.opened_by))


@dataclass(slots=True, kw_only=True)
class IncidentItemOut(Document):
    """What was done about one integration; the receipt is as that of a removal."""

    use: UseOut
    state: str
    still_works: bool
    receipt: dict[str, Any] | None
    settled_at: datetime | None

    @classmethod
    def of(cls, item: IncidentItem, /) -> Self:
        """Return the document of an item."""
        receipt = None if item.receipt is None else item.receipt.as_json()
        return cls._shown(item, use=UseOut.of(item.use), still_works=item.works_on, receipt=receipt)


@dataclass(slots=True, kw_only=True)
class IncidentReportOut(Document):
    """What was done about an incident, and what may still work."""

    incident: IncidentOut
    states: dict[str, int]
    waiting: int
    still_works: int
    manual_urls: tuple[str, ...]
    items: tuple[IncidentItemOut, ...]

    @classmethod
    def of(cls, report: IncidentReport, /) -> Self:
        """Return the document of a report."""
        return cls._shown(
            report,
            incident=IncidentOut.of(report.incident),
            states=dict(report.states),
            still_works=len(report.still_works),
            items=tuple(map(IncidentItemOut.of, report.items)),
        )
