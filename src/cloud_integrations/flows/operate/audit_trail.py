"""Read the audit log, verify its chain, and record events of the host."""

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
    wiring: Wiring, tenant: str, /, *, integration: UUID | str | None, slot: str, before: int | None, limit: int, caller: Caller
) -> tuple[AuditRecord, ...]:
    """Return up to *limit* of a tenant's audit records (of one integration), newest first, with a number below *before*.

    The read itself is recorded (AUD-13).  If the head of the chain was edited, nothing can be recorded: the records are still
    returned, and the observer is told.  Raises `ValidationFailedError` or `IntegrationNotFoundError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    limit = read_count("limit", limit, most=MAX_PAGE)
    before = None if before is None else read_count("before", before)
    subject = Subject(tenant_id=tenant_id, other="audit")
    _refuse_slot_alone(integration, slot)
    if integration is not None:
        subject = Subject(tenant_id=tenant_id, integration_id=await find_named(wiring, tenant_id, integration, slot=slot))
    resource = None if integration is None else subject.resource
    found = await wiring.store.list_audit_newest(tenant_id, resource=resource, before=before, limit=limit)
    try:
        await apply(wiring, happened(wiring, "audit.read", subject, caller))
    except DamagedRowError as error:
        tell_damaged(wiring, DamagedRow(table=error.table, row=error.row, tenant_id=tenant_id))
    return found


def _refuse_slot_alone(integration: UUID | str | None, slot: str) -> None:
    if integration is None and slot != "":
        raise ValidationFailedError(field="slot", problem="can be given only beside the provider of an integration")


async def verify_audit(wiring: Wiring, tenant: str, /, *, checkpoint: AuditHead | None) -> AuditReport:
    """Check the hash chain of a tenant's audit log up to its head at the start, and against an earlier *checkpoint*."""
    tenant_id = await known_tenant(wiring, tenant)
    check = ChainCheck(tenant_id, checkpoint=read_checkpoint(checkpoint))
    head = await _head(wiring, tenant_id)
    after: int | None = None
    while page := await wiring.store.list_audit(tenant_id, after=after, limit=MAX_PAGE):
        # Events that are written during this check belong to the next check, unless the head shows that they are forged.
        known = [record for record in page if head is not None and record.seq <= head.seq]
        check.feed(known)
        before, after = after, page[-1].seq
        if before is not None and after <= before:
            # The numbers are forged: the check has noted them, and no next page can be read.
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
        # Treated like a missing head: the check reports that the head does not fit the events.
        return None


async def record_denied(wiring: Wiring, tenant: str, /, *, action: str, resource: str, caller: Caller) -> None:
    """Record that the host refused *caller* an *action* on a *resource* (AUD-08).  Raises `ValidationFailedError`."""
    tenant_id = await known_tenant(wiring, tenant)
    action, resource = read_text("action", action, most=64), read_text("resource", resource, most=200)
    if not action.isascii():
        raise ValidationFailedError(field="action", problem="must be ASCII")
    subject = Subject(tenant_id=tenant_id, other=resource)
    await events.record_denied(wiring, "access.denied", subject, caller, reason="forbidden", action=action)


async def record_event(
    wiring: Wiring,
    tenant: str,
    event: str,
    /,
    *,
    integration: UUID | str | None,
    slot: str,
    facts: Mapping[str, str] | None,
    caller: Caller,
) -> None:
    """Record an event of a kind that the host has registered, or tell the observer of it, as its kind says.

    Raises `ValidationFailedError` for an event that is not registered or that lacks a fact, `IntegrationNotFoundError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    event, said = read_text("event", event), read_facts("facts", facts)
    subject = Subject(tenant_id=tenant_id)
    _refuse_slot_alone(integration, slot)
    if integration is not None:
        subject = Subject.of((await load_named(wiring, tenant_id, integration, slot=slot)).facts)
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
