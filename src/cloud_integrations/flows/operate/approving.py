"""Four eyes: the access in an incident is ended after somebody else than the one who ends it has approved that."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.arguments import read_text
from cloud_integrations.domain.audit import Actor, AuditFilter, Caller, Outcome
from cloud_integrations.domain.freezing import LONGEST_REASON
from cloud_integrations.domain.incident import Incident
from cloud_integrations.errors import IncidentNotApprovedError
from cloud_integrations.flows.shared.events import apply, happened, record_denied
from cloud_integrations.flows.shared.wiring import Wiring

from .incidents import get_incident, subject_of

LASTS: Final = timedelta(days=1)
_PAGE: Final = 100
_ACTION: Final = "incident.approved"


async def approve_incident(wiring: Wiring, incident_id: UUID | str, /, *, reason: str, caller: Caller) -> Incident:
    """Record that *caller* agrees that somebody else ends the access in an incident, and return it; that holds for a day.

    Raises `IncidentNotFoundError` or `ValidationFailedError`.
    """
    reason = read_text("reason", reason, most=LONGEST_REASON)
    incident = await get_incident(wiring, incident_id)
    await apply(wiring, happened(wiring, "incident.approved", subject_of(incident), caller, reason=reason, incident=str(incident.id)))
    return incident


async def require_approval(wiring: Wiring, incident: Incident, caller: Caller, /) -> dict[str, str]:
    """Return who else has approved an incident within the last day, as a fact of an event; nothing where the settings do not ask.

    Raises `IncidentNotApprovedError`, which is recorded as denied.
    """
    if not wiring.settings.four_eyes:
        return {}
    subject, since = subject_of(incident), wiring.clock.now() - LASTS
    matching = AuditFilter(resource=subject.resource, action=_ACTION, since=since)
    before = None
    while page := await wiring.store.list_audit_newest(subject.tenant_id, matching=matching, before=before, limit=_PAGE):
        for record in page:
            if record.event.outcome is Outcome.SUCCESS and _is_another(record.event.actor, caller):
                return {"approved_by": str(record.event.actor)}
        before = page[-1].seq
    await record_denied(wiring, "incident.not_approved", subject, caller, reason="not_approved", incident=str(incident.id))
    raise IncidentNotApprovedError(incident_id=str(incident.id))


def _is_another(actor: Actor, caller: Caller) -> bool:
    # The same id under another type is the same person at another door.
    return actor.id not in {each.id for each in (caller.actor, caller.on_behalf_of) if each is not None}
