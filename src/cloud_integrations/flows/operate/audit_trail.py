"""What happened, and the proof that nothing is missing."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cloud_integrations.domain.arguments import read_checkpoint, read_count, read_facts, read_text
from cloud_integrations.domain.audit import AuditHead, AuditRecord, AuditReport, Caller, ChainCheck
from cloud_integrations.domain.events import Subject, find_registered
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError, ValidationFailedError
from cloud_integrations.flows.shared import events
from cloud_integrations.flows.shared.events import about, apply, event_of, happened, tell
from cloud_integrations.flows.shared.lookup import find_named, known_tenant, load_named, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow

MAX_PAGE = 200


async def list_audit(
    wiring: Wiring, tenant: str, /, *, integration: UUID | str | None, before: int | None, limit: int, caller: Caller
) -> tuple[AuditRecord, ...]:
    """Return the newest events first; reading them is an event too (AUD-13).

    Where the head of the chain was edited nothing can be added to it: the list goes on without the event, and the observer is told.
    """
    tenant_id = await known_tenant(wiring, tenant)
    limit = read_count("limit", limit, most=MAX_PAGE)
    before = None if before is None else read_count("before", before)
    subject = Subject(tenant_id=tenant_id, other="audit")
    if integration is not None:
        subject = Subject(tenant_id=tenant_id, integration_id=await find_named(wiring, tenant_id, integration))
    resource = None if integration is None else subject.resource
    found = await wiring.store.list_audit_newest(tenant_id, resource=resource, before=before, limit=limit)
    try:
        await apply(wiring, happened(wiring, "audit.read", subject, caller))
    except DamagedRowError as error:
        tell_damaged(wiring, DamagedRow(table=error.table, row=error.row, tenant_id=tenant_id))
    return found


async def verify_audit(wiring: Wiring, tenant: str, /, *, checkpoint: AuditHead | None) -> AuditReport:
    """Walk the chain page by page up to the head as it was at the start."""
    tenant_id = await known_tenant(wiring, tenant)
    check = ChainCheck(tenant_id, checkpoint=read_checkpoint(checkpoint))
    head = await _head(wiring, tenant_id)
    after: int | None = None
    while page := await wiring.store.list_audit(tenant_id, after=after, limit=MAX_PAGE):
        # Events written while we walk belong to the next walk, unless the head says they are forged.
        known = [record for record in page if head is not None and record.seq <= head.seq]
        check.feed(known)
        before, after = after, page[-1].seq
        if before is not None and after <= before:
            # Forged numbers: the check has noted them, and there is no next page to ask for.
            break
        if len(known) < len(page):
            latest = await _head(wiring, tenant_id)
            if latest is not None and head is not None and latest.seq > head.seq:
                break
            check.feed(page[len(known) :])
    return check.finish(head)


async def _head(wiring: Wiring, tenant_id: TenantId) -> AuditHead | None:
    try:
        return await wiring.store.find_audit_head(tenant_id)
    except DamagedRowError:
        # The same as a head that is gone: the check says that it does not fit the events.
        return None


async def record_denied(wiring: Wiring, tenant: str, /, *, action: str, resource: str, caller: Caller) -> None:
    """Record that the host refused *caller* an action (AUD-08)."""
    tenant_id = await known_tenant(wiring, tenant)
    action, resource = read_text("action", action, most=64), read_text("resource", resource, most=200)
    if not action.isascii():
        raise ValidationFailedError(field="action", problem="must be ASCII")
    subject = Subject(tenant_id=tenant_id, other=resource)
    await events.record_denied(wiring, "access.denied", subject, caller, reason="forbidden", action=action)


async def record_event(
    wiring: Wiring, tenant: str, event: str, /, *, integration: UUID | str | None, facts: Mapping[str, str] | None, caller: Caller
) -> None:
    """Record and tell, as its kind says, an event that the host has registered."""
    tenant_id = await known_tenant(wiring, tenant)
    event, said = read_text("event", event), read_facts("facts", facts)
    subject = Subject(tenant_id=tenant_id)
    if integration is not None:
        subject = Subject.of((await load_named(wiring, tenant_id, integration)).facts)
    kind = find_registered(event)
    if kind is None:
        raise ValidationFailedError(field="event", problem="is not one that was registered")
    known = about(wiring, subject)
    if unlisted := sorted(said.keys() - (kind.names - known.keys())):
        raise ValidationFailedError(field="facts", problem=f"have {unlisted[0]}, which is not for the caller to say of this event")
    if missing := sorted(kind.needed - said.keys() - known.keys()):
        raise ValidationFailedError(field="facts", problem=f"need {missing[0]}, which this event always has")
    happening = event_of(wiring, kind, subject, caller, {**known, **said})
    if happening.audit is None:
        tell(wiring, happening)
    else:
        await apply(wiring, happening)
