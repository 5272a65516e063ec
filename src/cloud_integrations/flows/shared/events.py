"""What happened: written in the transaction of its change, and told to the observer when that is committed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Final

from cloud_integrations.domain.audit import AuditEvent, Caller
from cloud_integrations.domain.events import EVENTS, ITS_OWN, Event, EventKind, EventName, Fact, RecordedName, Subject, UnrecordedName
from cloud_integrations.domain.identifiers import IntegrationId, TenantId, uuid7
from cloud_integrations.domain.integration import Integration, is_recovery
from cloud_integrations.domain.outcome import UnreadMember
from cloud_integrations.errors import CloudIntegrationsError, OAuthBackendError, StorageUnavailableError
from cloud_integrations.ports.store import Change, Record
from cloud_integrations.protocol.client import Client

from .wiring import Wiring

_TELL_AGAIN: Final = timedelta(days=1)


def happened(wiring: Wiring, name: EventName, subject: Subject | None, caller: Caller, /, **facts: str | None) -> Event:
    """Return the event that *caller* brought about, for `apply` to write with its change; None in *facts* is left out.

    *facts* are names and words, never secret values.  The audit log's reason is the fact `error`, or `reason` where there is none.
    """
    return event_of(wiring, EVENTS[name], subject, caller, {key: value for key, value in facts.items() if value is not None})


def event_of(wiring: Wiring, kind: EventKind, subject: Subject | None, caller: Caller, facts: Mapping[str, str], /) -> Event:
    """Return an event of any kind, a registered one too, with what the audit log and the observer get of *facts*."""
    audit = fact = None
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
            details=kind.details.pick(facts),
        )
    if kind.fact is not None:
        fact = Fact(name=kind.fact, facts=kind.keys.pick({**about(wiring, subject), **facts}))
    return Event(audit=audit, fact=fact)


def about(wiring: Wiring, subject: Subject | None, /) -> dict[str, str]:
    """Return what facts say of their subject; nothing where there is none."""
    if subject is None:
        return {}
    said: dict[str, str] = {"tenant": subject.tenant_id}
    if subject.provider_id is not None:
        try:
            provider = wiring.providers.require(subject.provider_id).id
        except CloudIntegrationsError:
            # It was taken out of the catalogue; what is stored still names it.
            provider = str(subject.provider_id)
        said |= {"provider": provider, "provider_id": str(subject.provider_id)}
    if subject.integration_id is not None:
        said["integration"] = str(subject.integration_id)
    return said


async def apply(wiring: Wiring, /, *changes: Change | Event) -> None:
    """Make the changes and record the events among them in one transaction; when it is committed, tell the observer."""
    events = [change for change in changes if isinstance(change, Event)]
    records = [Record(event=event.audit) for event in events if event.audit is not None]
    await wiring.store.apply(*(change for change in changes if not isinstance(change, Event)), *records)
    tell(wiring, *events)


def tell(wiring: Wiring, /, *events: Event) -> None:
    """Forget remembered tokens, then tell the observer: of events whose transaction was committed.

    `apply` calls it where the store says at once that it was.
    """
    for event in events:
        if event.fact is None:
            continue
        if event.audit is not None:
            # Whoever is told finds no credential in memory from before the change.
            wiring.tokens.drop(event.audit.tenant_id)
        wiring.observer.tell(event.fact)


def tell_of(wiring: Wiring, name: UnrecordedName, subject: Subject | None, /, **facts: str | None) -> None:
    """Tell the observer of something that changes nothing in the store."""
    tell(wiring, happened(wiring, name, subject, Caller(), **facts))


def recovery(wiring: Wiring, before: Integration, after: Integration, caller: Caller, /) -> list[Event]:
    """Return the event that an integration works again, where that is so."""
    if not is_recovery(before, after):
        return []
    was = before.as_of(after.updated_at)
    return [happened(wiring, "credential.recovered", Subject.of(after), caller, since=was.state_since.isoformat(), was=was.health.value)]


def first_today(wiring: Wiring, what: str, integration_id: IntegrationId, /) -> bool:
    """Whether *what* was not told of an integration by this process within a day; from now on it was."""
    key = (what, integration_id)
    if wiring.uses.find(key) is not None:
        return False
    wiring.uses.put(key, "told", seconds=_TELL_AGAIN.total_seconds())
    return True


def tell_unread(
    wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, client: Client, members: Sequence[UnreadMember], /
) -> None:
    """Tell the observer, in one fact, what could not be read in a token endpoint's answer: names of members, never values."""
    if members:
        subject = Subject(tenant_id=tenant_id, provider_id=client.provider.provider_id, integration_id=integration_id)
        tell_of(wiring, "credential.answer_unread", subject, members=",".join(members))


@contextmanager
def backend_failures_told(wiring: Wiring, subject: Subject, /) -> Generator[None]:
    """Tell the observer of an OAuth backend that fails inside, before anything is sent; the *subject* has an integration in a reconnect."""
    try:
        yield
    except OAuthBackendError as error:
        tell_of(wiring, "authorization.failed", subject, reason=error.reason, error_description=error.error_description)
        raise


async def record_failure(
    wiring: Wiring, name: RecordedName, subject: Subject, caller: Caller, /, *, error: CloudIntegrationsError, **facts: str
) -> None:
    """Record, in a transaction of its own, that an attempt failed, by the class of its error."""
    await apply(wiring, happened(wiring, name, subject, caller, reason=_reason(error), **facts))


async def record_denied(wiring: Wiring, name: RecordedName, subject: Subject, caller: Caller, /, *, reason: str, **facts: str) -> None:
    """Record an attempt of somebody who may not make it, in windows: a stranger's patience must not fill a tenant's log (AUD-08).

    Only denials are gathered.  Who may act in a tenant is recorded act by act, also where an act fails.
    """
    tenant_id = subject.tenant_id
    if wiring.tenants is None and await wiring.store.find_audit_head(tenant_id) is None:
        # Nobody says that this tenant exists, and nothing has happened in it: there is nothing to tell anybody.
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
    """Record whatever ends the work inside, for work that spends something at a provider.

    That is also what is no error of ours: a mistake in a port (`internal`), or an interruption of the work itself (`interrupted`).
    Where the store cannot be used nothing can be recorded, and what ended the work is raised all the same.
    """
    try:
        yield
    except GeneratorExit:
        # Nobody runs this any more, so nothing can be awaited.
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
