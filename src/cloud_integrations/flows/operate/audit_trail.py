"""Read the audit log, verify its chain, and record events of the host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.arguments import (
    read_actor,
    read_count,
    read_facts,
    read_moment_or_none,
    read_text,
)
from cloud_integrations.domain.audit import OPERATOR, Actor, AuditFilter, AuditRecord, Caller
from cloud_integrations.domain.events import Subject, find_registered
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError, ValidationFailedError
from cloud_integrations.flows.shared import events
from cloud_integrations.flows.shared.events import about, apply, event_of, happened, tell
from cloud_integrations.flows.shared.lookup import find_named, known_provider, known_tenant, load_named, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow

MAX_PAGE = 200
LONGEST_ACTION = 64
"""The longest action that an event can have, in characters."""


async def log_of(wiring: Wiring, tenant: str | None, /) -> TenantId:
    """Return whose log is meant: that of a tenant that is known, or for None the operator's own.  Raises `TenantNotFoundError`."""
    return OPERATOR if tenant is None else await known_tenant(wiring, tenant)


async def list_audit(
    wiring: Wiring,
    tenant: str | None,
    /,
    *,
    integration: UUID | str | None,
    slot: str,
    by: Actor | str | None,
    action: str | None,
    provider: UUID | str | None,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    caller: Caller,
) -> tuple[AuditRecord, ...]:
    """Return up to *limit* of a tenant's audit records, newest first: those that agree with every argument that is given.

    None: of the operator's own log, which has no integrations.
    The read itself is recorded (AUD-13).  If the head of the chain was edited, nothing can be recorded: the records are still
    returned, and the observer is told.  Raises `ValidationFailedError`, `IntegrationNotFoundError` or `ProviderNotFoundError`.
    """
    tenant_id = await log_of(wiring, tenant)
    limit = read_count("limit", limit, most=MAX_PAGE)
    before = None if before is None else read_count("before", before)
    subject = Subject(tenant_id=tenant_id, other="audit")
    _refuse_slot_alone(integration, slot)
    if integration is not None:
        if tenant is None:
            raise ValidationFailedError(field="tenantId", problem="must be given beside an integration")
        subject = Subject(tenant_id=tenant_id, integration_id=await find_named(wiring, tenant_id, integration, slot=slot))
    matching = AuditFilter(
        resource=None if integration is None else subject.resource,
        actor=None if by is None else read_actor(by, field="by"),
        action=None if action is None else _read_action(action),
        provider_id=None if provider is None else known_provider(wiring, provider),
        since=read_moment_or_none("since", since),
        until=read_moment_or_none("until", until),
    )
    found = await wiring.store.list_audit_newest(tenant_id, matching=matching, before=before, limit=limit)
    try:
        await apply(wiring, happened(wiring, "audit.read", subject, caller))
    except DamagedRowError as error:
        tell_damaged(wiring, DamagedRow(table=error.table, row=error.row, tenant_id=tenant_id))
    return found


def _refuse_slot_alone(integration: UUID | str | None, slot: str) -> None:
    if integration is None and slot != "":
        raise ValidationFailedError(field="slot", problem="can be given only beside the provider of an integration")


def _read_action(action: object) -> str:
    text = read_text("action", action, most=LONGEST_ACTION)
    if not text.isascii():
        raise ValidationFailedError(field="action", problem="must be ASCII")
    return text


async def record_denied(wiring: Wiring, tenant: str, /, *, action: str, resource: str, caller: Caller) -> None:
    """Record that the host refused *caller* an *action* on a *resource* (AUD-08).  Raises `ValidationFailedError`."""
    tenant_id = await known_tenant(wiring, tenant)
    action, resource = _read_action(action), read_text("resource", resource, most=200)
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
