"""Put a pseudonym in the place of a person in a tenant's audit log, so that the log stays whole and nobody can tell who it was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

from cloud_integrations.domain.arguments import read_actor
from cloud_integrations.domain.audit import Actor, ActorErasure, AuditEvent, AuditRecord, Caller, persons_in
from cloud_integrations.domain.audit_chain import is_hidden, person_hash
from cloud_integrations.domain.audit_check import HiddenEvents, hidden_in
from cloud_integrations.domain.checkpoint import write_erasure
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.stale_writes import again
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import HidePerson

from .audit_proof import PAGE, require_checkpoint_keys

_STEP: Final = 5_000
"""The most events that one transaction changes; those of the next have another pseudonym, which differs in its number only."""
_DETAIL: Final = "details."


async def erase_actor(wiring: Wiring, tenant: str, /, *, who: Actor | str, caller: Caller) -> ActorErasure:
    """Put a pseudonym in the place of *who* in each event of the tenant so far, and return it.

    An event of its own, with a signed statement, accounts for the events that were changed.  Raises `ValidationFailedError` if *caller*
    is the person: the event would name them; `ConfigurationError` without keys of checkpoints, and what they raise.
    """
    tenant_id = await known_tenant(wiring, tenant)
    person = read_actor(who, field="who")
    if person in {caller.actor, caller.on_behalf_of}:
        raise ValidationFailedError(
            field="actor", problem="must be another one than the person who is erased, because the erasure names it"
        )
    require_checkpoint_keys(wiring)
    name = f"erased-{wiring.entropy.bytes(16).hex()}"
    pseudonyms: list[str] = []
    events = 0

    async def step() -> int:
        pseudonym = Actor(type=person.type, id=f"{name}-{len(pseudonyms) + 1}")
        found = [record async for record in _events_of(wiring, tenant_id, person)]
        if found:
            await _hide(wiring, found, person, pseudonym, caller)
            pseudonyms.append(str(pseudonym))
        return len(found)

    while changed := await again(step, subject="audit log"):
        events += changed
    return ActorErasure(tenant_id=tenant_id, events=events, pseudonyms=tuple(pseudonyms))


async def _events_of(wiring: Wiring, tenant_id: TenantId, person: Actor) -> AsyncGenerator[AuditRecord]:
    """Give the first `_STEP` events that name the person, in order."""
    after: int | None = None
    found = 0
    while found < _STEP and (page := await wiring.store.list_audit(tenant_id, after=after, limit=PAGE)):
        for record in page:
            if found < _STEP and record.readable and _texts_of(record.event, person):
                found += 1
                yield record
        before, after = after, page[-1].seq
        if before is not None and after <= before:
            break  # the numbers are forged


def _texts_of(event: AuditEvent, person: Actor) -> list[str]:
    """Return the names of the texts in *event* that name the person."""
    return [
        name
        for name, text in persons_in(event).items()
        if not is_hidden(event, name) and (event.actor == person if name == "actor_id" else text == str(person))
    ]


async def _hide(wiring: Wiring, records: list[AuditRecord], person: Actor, pseudonym: Actor, caller: Caller) -> None:
    hidden = HiddenEvents(first=records[0].seq)
    changes = []
    for record in records:
        event = _hidden(record.event, person, pseudonym)
        changes.append(HidePerson(seq=record.seq, hash=record.hash, event=event))
        for shown, name in hidden_in(event):
            if shown == str(pseudonym):
                hidden = hidden.and_(record.seq, name)
    subject = Subject(tenant_id=records[0].event.tenant_id, other=f"actor:{pseudonym}")
    told = {"events": str(hidden.count), "proof": hidden.proof.hex(), "pseudonym": str(pseudonym)}
    statement = await require_checkpoint_keys(wiring).sign(write_erasure(subject.tenant_id, told))
    await apply(wiring, *changes, happened(wiring, "actor.erased", subject, caller, statement=statement, **told))


def _hidden(event: AuditEvent, person: Actor, pseudonym: Actor) -> AuditEvent:
    names = _texts_of(event, person)
    details = {name: str(pseudonym) if f"{_DETAIL}{name}" in names else text for name, text in event.details.items()}
    salts = {**event.salts, **{name: person_hash(event, name) for name in names}}
    return replace(event, actor=pseudonym if "actor_id" in names else event.actor, details=details, salts=salts)
