"""Freeze and unfreeze: stop that credentials are handed out, in every process, and let it go on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from cloud_integrations.domain.arguments import read_actor, read_flag, read_id, read_integration, read_text
from cloud_integrations.domain.audit import OPERATOR, Actor, Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freezing import LONGEST_REASON, Freeze, Selection
from cloud_integrations.domain.identifiers import ContextId, FreezeId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.errors import DamagedRowError, FreezeNotFoundError, StaleWriteError, ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import find_named, known_provider, load, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddFreeze, DamagedRow, LiftFreeze


async def freeze(
    wiring: Wiring,
    /,
    *,
    tenant: str | None,
    provider: str | UUID | None,
    application: UUID | str | None,
    integration: UUID | str | None,
    slot: str,
    used_by: Actor | str | None,
    everything: bool,
    renewals: bool,
    reason: str,
    caller: Caller,
) -> Freeze:
    """Stop the hand-outs that fit all that is named, until `unfreeze`, and return the freeze.

    Raises `ValidationFailedError`, `ProviderNotFoundError` or `IntegrationNotFoundError`.
    """
    selection = await read_selection(
        wiring,
        tenant=tenant,
        provider=provider,
        application=application,
        integration=integration,
        slot=slot,
        used_by=used_by,
        everything=everything,
    )
    renewals = read_flag("renewals", renewals)
    if not renewals and selection.actor is not None:
        raise ValidationFailedError(
            field="renewals", problem="cannot be stopped for one actor: a renewal serves all who use the integration"
        )
    begun = Freeze(
        id=FreezeId(wiring.new_id()),
        selection=selection,
        renewals=renewals,
        reason=read_text("reason", reason, most=LONGEST_REASON),
        begun_at=wiring.clock.now(),
        begun_by=caller.actor,
    )
    facts = {**selection.words, "freeze": str(begun.id), "renewals": "on" if renewals else "off"}
    await _change(wiring, AddFreeze(freeze=begun), happened(wiring, "freeze.begun", _subject(begun), caller, reason=begun.reason, **facts))
    return begun


async def unfreeze(wiring: Wiring, freeze_id: UUID | str, /, *, reason: str, caller: Caller) -> Freeze:
    """Lift a freeze, and return it; one that was lifted before is returned as it is.  Others that stop the same stay.

    Raises `FreezeNotFoundError` or `ValidationFailedError`.
    """
    wanted = FreezeId(read_id("freezeId", freeze_id))
    reason = read_text("reason", reason, most=LONGEST_REASON)
    found = await _find(wiring, wanted)
    change = LiftFreeze(freeze_id=wanted, lifted_at=wiring.clock.now(), lifted_by=caller.actor, reason=reason)
    event = happened(wiring, "freeze.lifted", _subject(found), caller, reason=reason, freeze=str(wanted))
    with suppress(StaleWriteError):  # another operator was first; what that one wrote stands
        await _change(wiring, change, event)
    return await _find(wiring, wanted)


async def list_freezes(wiring: Wiring, /, *, lifted: bool) -> tuple[Freeze, ...]:
    """Return the freezes in force, the oldest first; with *lifted*, also those that are not any more.

    A freeze whose row was edited is left out, and the observer is told.
    """
    found = []
    for row in await wiring.store.list_freezes(lifted=read_flag("lifted", lifted)):
        if isinstance(row, DamagedRow):
            tell_damaged(wiring, row)
        else:
            found.append(row)
    return tuple(found)


async def read_selection(
    wiring: Wiring,
    /,
    *,
    tenant: str | None,
    provider: str | UUID | None,
    application: UUID | str | None,
    integration: UUID | str | None,
    slot: str,
    used_by: Actor | str | None,
    everything: bool,
) -> Selection:
    """Return what is named.  In an incident a wrong word must not select nothing, so what can be looked up is looked up.

    The host's `Tenants` is not asked: it may be out of order, and a tenant that it no longer knows may still have integrations.
    """
    named: dict[str, Any] = {}
    if tenant is not None:
        named["tenant_id"] = read_tenant_id(tenant)
    if provider is not None:
        named["provider_id"] = known_provider(wiring, provider)
    if application is not None:
        named["application_id"] = ContextId(read_id("application", application))
    if used_by is not None:
        named["actor"] = read_actor(used_by, field="usedBy")
    if integration is not None:
        wanted = read_integration(integration)
        if tenant is None:
            raise ValidationFailedError(field="tenantId", problem="must be given beside an integration")
        integration_id = await find_named(wiring, named["tenant_id"], wanted, slot=slot)
        named["integration_id"] = (await load(wiring, named["tenant_id"], integration_id)).facts.id
    elif slot != "":
        raise ValidationFailedError(field="slot", problem="can be given only beside the provider of an integration")
    if read_flag("everything", everything) is bool(named):
        raise ValidationFailedError(field="everything", problem="must be said where nothing else is named, and only there")
    return Selection(**named)


def _subject(found: Freeze) -> Subject:
    """Return the freeze as the subject of an event: in the log of its tenant, or else in the operator's."""
    return Subject(tenant_id=found.selection.tenant_id or OPERATOR, other=f"freeze:{found.id}")


async def _change(wiring: Wiring, change: AddFreeze | LiftFreeze, event: Any) -> None:
    try:
        await apply(wiring, change, event)
    finally:
        # Also where nobody knows whether it was committed.
        wiring.freezes.forget()


async def _find(wiring: Wiring, freeze_id: FreezeId) -> Freeze:
    for row in await wiring.store.list_freezes(lifted=True):
        if isinstance(row, DamagedRow):
            if row.row == str(freeze_id):
                raise DamagedRowError(table=row.table, row=row.row)
        elif row.id == freeze_id:
            return row
    raise FreezeNotFoundError
