"""Events: recorded and put into the outbox in the transaction of their change, and told to the observer once that is committed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from cloud_integrations.domain.announcements import Announced, end_value
from cloud_integrations.domain.audit import OPERATOR, SALT_LENGTH, STATED_REASON, AuditEvent, Caller, persons_in
from cloud_integrations.domain.event_message import EventMessage
from cloud_integrations.domain.event_names import EventName, RecordedName, UnrecordedName
from cloud_integrations.domain.events import EVENTS, ITS_OWN, Event, EventKind, Fact, Subject
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId, uuid7
from cloud_integrations.domain.integration import Integration, is_recovery, is_working
from cloud_integrations.domain.outcome import UnreadMember
from cloud_integrations.errors import CloudIntegrationsError, OAuthBackendError, StorageUnavailableError
from cloud_integrations.kinds import by_consent
from cloud_integrations.ports.store import AddEntry, Announce, Change, Record, Retract
from cloud_integrations.protocol.client import Client

from .wiring import Wiring

_TELL_AGAIN: Final = timedelta(days=1)
WARN_BEFORE: Final = timedelta(days=14)
"""How long before the end of a grant or a key the tenant is asked to reconnect."""


def happened(wiring: Wiring, name: EventName, subject: Subject | None, caller: Caller, /, **facts: str | None) -> Event:
    """Return an event that *caller* caused, to be passed to `apply` together with its change.

    *facts* are names and words, never secret values; those that are None are left out.  The audit log's reason is the fact `error`,
    or `reason` if there is no `error`.
    """
    return event_of(wiring, EVENTS[name], subject, caller, {key: value for key, value in facts.items() if value is not None})


def event_of(wiring: Wiring, kind: EventKind, subject: Subject | None, caller: Caller, facts: Mapping[str, str], /) -> Event:
    """Return an event of any kind, including those that a host registered.

    Its kind says which of *facts* go to the audit log, which to the observer and which to receivers outside.
    """
    audit = fact = message = announced = None
    if kind.action is not None and subject is not None:
        now = wiring.clock.now()
        audit = AuditEvent(
            event_id=uuid7(now, wiring.entropy.bytes(10)),
            tenant_id=subject.tenant_id,
            occurred_at=now,
            actor=caller.actor,
            action=facts["action"] if kind.action == ITS_OWN else kind.action,
            resource=subject.resource,
            outcome=kind.outcome,
            reason=facts.get("error", facts.get("reason")),
            request_id=caller.request_id,
            provider_id=subject.provider_id,
            context_id=subject.context_id,
            details=kind.details.pick({**_around(subject, caller), **facts}) | _stated(caller),
        )
        audit = replace(audit, salts={name: wiring.entropy.bytes(SALT_LENGTH) for name in persons_in(audit)})
    if kind.fact is not None:
        fact = Fact(name=kind.fact, facts=kind.keys.pick({**about(wiring, subject), **facts}))
    if kind.message is not None and subject is not None and wiring.delivers:
        now = wiring.clock.now()
        message = EventMessage(
            id=wiring.new_id() if audit is None else audit.event_id,
            name=kind.message,
            tenant_id=None if subject.tenant_id == OPERATOR else subject.tenant_id,
            integration_id=subject.integration_id,
            occurred_at=now,
            data=kind.data.pick({**about(wiring, subject), **facts}),
        )
        announced = _announced(kind, subject, facts)
    return Event(audit=audit, fact=fact, message=message, announced=announced)


def _announced(kind: EventKind, subject: Subject, facts: Mapping[str, str]) -> Announced | None:
    subject_id = subject.application_id or subject.integration_id
    name = kind.ends if kind.once is None else kind.once.announcement
    if subject_id is None or name is None:
        return None
    value = None if kind.once is None else kind.message if kind.once.by is None else facts[kind.once.by]
    is_lasting = kind.once is not None and kind.once.lasting
    return Announced(tenant_id=subject.tenant_id, subject_id=subject_id, name=name, value=value, lasting=is_lasting)


def _around(subject: Subject, caller: Caller) -> dict[str, str]:
    """Return the details that an event has by its subject and its caller."""
    found = {"slot": subject.slot} if subject.slot else {}
    if caller.on_behalf_of is not None:
        found |= {"on_behalf_of": str(caller.on_behalf_of), "session": str(caller.session_id)}
    return found


def _stated(caller: Caller) -> dict[str, str]:
    """Return the detail that every event of a caller has who said why."""
    return {} if caller.reason is None else {STATED_REASON: caller.reason}


def about(wiring: Wiring, subject: Subject | None, /) -> dict[str, str]:
    """Return the facts that name an event's subject: tenant, provider, integration and slot, as far as they are known."""
    if subject is None:
        return {}
    said: dict[str, str] = {} if subject.tenant_id == OPERATOR else {"tenant": subject.tenant_id}
    if subject.provider_id is not None:
        said |= {"provider": provider_name(wiring, subject.provider_id), "provider_id": str(subject.provider_id)}
    if subject.integration_id is not None:
        said["integration"] = str(subject.integration_id)
    if subject.slot:
        said["slot"] = subject.slot
    return said


def provider_name(wiring: Wiring, provider_id: ProviderId, /) -> str:
    """Return the slug of a provider; its id if it was removed from the catalogue while stored rows still name it."""
    try:
        return wiring.providers.require(provider_id).id
    except CloudIntegrationsError:
        return str(provider_id)


async def apply(wiring: Wiring, /, *changes: Change | Event) -> None:
    """Make the changes, record the events among them and put their messages into the outbox, in one transaction; then tell the observer.

    Raises what `Store.apply` raises; then nothing was changed and nothing is told.
    """
    events = [change for change in changes if isinstance(change, Event)]
    records = [Record(event=event.audit) for event in events if event.audit is not None]
    others = [change for change in changes if not isinstance(change, Event)]
    await wiring.store.apply(*others, *_messages(wiring, events), *records)
    tell(wiring, *events)


def _messages(wiring: Wiring, events: Sequence[Event]) -> list[Change]:
    """Return the changes that put the messages of *events* into the outbox, in the order of the events."""
    changes: list[Change] = []
    for event in events:
        if event.message is None:
            continue
        entry, announced = event.message.entry, event.announced
        if announced is None:
            changes.append(AddEntry(entry=entry, follows=True))
        elif announced.value is None:
            changes.append(Retract(tenant_id=announced.tenant_id, subject_id=announced.subject_id, name=announced.name, entry=entry))
        else:
            announce = Announce(
                subject_id=announced.subject_id,
                name=announced.name,
                value=announced.value,
                at=event.message.occurred_at,
                entry=entry,
                lasting=wiring.settings.trouble_after if announced.lasting else timedelta(),
                expected_generation=announced.expected_generation,
            )
            changes.append(announce)
    return changes


def tell(wiring: Wiring, /, *events: Event) -> None:
    """Tell the observer of each event that has a fact; if it was recorded, first forget the cached tokens of its tenant.

    For events whose transaction was committed.  `apply` calls it; a flow calls it itself only if it learns later that a commit
    with an unknown outcome succeeded.
    """
    for event in events:
        if event.fact is None:
            continue
        if event.audit is not None:
            # An observer that reacts by asking for a credential must not get a cached one from before the change.
            wiring.tokens.drop(event.audit.tenant_id)
        wiring.observer.tell(event.fact)


def tell_of(wiring: Wiring, name: UnrecordedName, subject: Subject | None, /, **facts: str | None) -> None:
    """Tell the observer of an event that changes nothing in the store and is not recorded."""
    tell(wiring, happened(wiring, name, subject, Caller(), **facts))


def recovery(wiring: Wiring, before: Integration, after: Integration, caller: Caller, /) -> list[Event]:
    """Return the event `credential.recovered` if the integration did not work *before* and works *after*.

    If it worked before, trouble may have been announced all the same, while it was disabled: then the event is that this has ended.
    """
    if not is_working(after):
        return []
    was = before.as_of(after.updated_at)
    event = happened(wiring, "credential.recovered", Subject.of(after), caller, since=was.state_since.isoformat(), was=was.health.value)
    if is_recovery(before, after):
        return [event]
    return [] if event.message is None else [replace(event, audit=None, fact=None)]


def first_today(wiring: Wiring, what: str, integration_id: IntegrationId, /) -> bool:
    """Return True at most once a day, in this process, for each subject *what* of an integration."""
    key = (what, integration_id)
    if wiring.uses.find(key) is not None:
        return False
    wiring.uses.put(key, "told", seconds=_TELL_AGAIN.total_seconds())
    return True


def forecast(wiring: Wiring, facts: Integration, end: datetime | None, /) -> None:
    """Tell the observer, once a day, that the tenant must reconnect soon, because the grant or the key ends at *end*; None: not known."""
    if end is not None and end - wiring.clock.now() <= WARN_BEFORE and first_today(wiring, "forecast", facts.id):
        tell(wiring, ends_soon(wiring, facts, end))


def ends_soon(wiring: Wiring, facts: Integration, end: datetime, /) -> Event:
    """Return the event that the grant or the key of an integration ends at *end*."""
    name: EventName = "credential.reconnect_soon" if by_consent(facts.auth_type) else "credential.key_ends_soon"
    return happened(wiring, name, Subject.of(facts), Caller(), before=end.isoformat(), until=end_value(end))


def tell_unread(
    wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, client: Client, members: Sequence[UnreadMember], /
) -> None:
    """Tell the observer which members of a token endpoint's answer could not be read; their names, never their values."""
    if members:
        subject = Subject(tenant_id=tenant_id, provider_id=client.provider.provider_id, integration_id=integration_id)
        tell_of(wiring, "credential.answer_unread", subject, members=",".join(members))


@contextmanager
def backend_failures_told(wiring: Wiring, subject: Subject, /) -> Generator[None]:
    """Tell the observer if an OAuth backend fails inside this block, and raise its `OAuthBackendError` again.

    *subject* names an integration only in a reconnect; otherwise the integration does not exist yet.
    """
    try:
        yield
    except OAuthBackendError as error:
        tell_of(wiring, "authorization.failed", subject, reason=error.reason, error_description=error.error_description)
        raise


async def record_failure(
    wiring: Wiring, name: RecordedName, subject: Subject, caller: Caller, /, *, error: CloudIntegrationsError, **facts: str
) -> None:
    """Record, in a transaction of its own, that an attempt failed; the reason is that of *error*, or its code."""
    await apply(wiring, happened(wiring, name, subject, caller, reason=_reason(error), **facts))


async def record_denied(wiring: Wiring, name: RecordedName, subject: Subject, caller: Caller, /, *, reason: str, **facts: str) -> None:
    """Record an attempt that *caller* was not allowed to make (AUD-08).

    One record may cover several attempts of a time window, so that a stranger cannot fill a tenant's audit log.  Acts of callers
    that are allowed to act in the tenant are recorded one by one, including those that fail.
    """
    tenant_id = subject.tenant_id
    if wiring.tenants is None and await wiring.store.find_audit_head(tenant_id) is None:
        # No host says that this tenant exists and its log is empty: a stranger must not create audit rows for invented tenants.
        return
    attempt = (facts.get("action", name), subject.resource, reason)
    covers = wiring.denials.admit(tenant_id, caller.actor, attempt)
    if covers is None:
        return
    try:
        await apply(wiring, happened(wiring, name, subject, caller, reason=reason, covers=covers, **facts))
    except BaseException:
        wiring.denials.withdraw(tenant_id, caller.actor, attempt)
        raise


@asynccontextmanager
async def failures_recorded(wiring: Wiring, name: RecordedName, subject: Subject, caller: Caller, /, **facts: str) -> AsyncGenerator[None]:
    """Record a failure of this block, for work that spends something at a provider, and raise the error again.

    An error that is not ours is recorded too: as `internal` if a port has a fault, as `interrupted` if the work was interrupted.
    If the store cannot be used, nothing is recorded and the original error is still raised.
    """
    try:
        yield
    except GeneratorExit:
        # The coroutine is being closed, so nothing can be awaited.
        raise
    except BaseException as error:
        event = happened(wiring, name, subject, caller, reason=_reason(error), **facts)
        if isinstance(error, CloudIntegrationsError) and not isinstance(error, StorageUnavailableError):
            await apply(wiring, event)
        else:
            with suppress(Exception):
                await apply(wiring, event)
        raise


def _reason(error: BaseException) -> str:
    if isinstance(error, CloudIntegrationsError):
        return str(error.details.get("reason", error.code))
    return "internal" if isinstance(error, Exception) else "interrupted"
