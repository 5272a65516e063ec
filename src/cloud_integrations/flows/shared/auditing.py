"""Audit events, made the same way everywhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.audit import AuditEvent, Caller, Outcome
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId, uuid7
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.outcome import UnreadMember
from cloud_integrations.errors import CloudIntegrationsError, OAuthBackendError, StorageUnavailableError
from cloud_integrations.ports.observer import Fact, FactName
from cloud_integrations.ports.store import Record
from cloud_integrations.ports.wiring import Wiring
from cloud_integrations.protocol.client import Client

_TELL_AGAIN: Final = timedelta(days=1)


def resource_of(integration_id: UUID, /) -> str:
    """Name an integration in the audit log."""
    return f"integration:{integration_id}"


def recorded(
    wiring: Wiring,
    tenant_id: TenantId,
    caller: Caller,
    action: str,
    resource: str,
    /,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    reason: str | None = None,
    **details: str,
) -> Record:
    """Return the change that records what *caller* did; details are names and facts, never secret values."""
    now = wiring.clock.now()
    return Record(
        event=AuditEvent(
            event_id=uuid7(now, wiring.entropy.bytes(10)),
            tenant_id=tenant_id,
            occurred_at=now,
            actor=caller.actor,
            action=action,
            resource=resource,
            outcome=outcome,
            reason=reason,
            request_id=caller.request_id,
            details=details,
        )
    )


def tell(
    wiring: Wiring, name: FactName, tenant_id: TenantId, provider_id: ProviderId, integration_id: UUID | None, /, **more: str | None
) -> None:
    """Tell the observer what happened with a provider, and with an integration where there is one; None in *more* is left out."""
    try:
        provider = wiring.providers.require(provider_id).id
    except CloudIntegrationsError:
        # It was taken out of the catalogue; what is stored still names it.
        provider = str(provider_id)
    about = {"tenant": tenant_id, "provider": provider, "provider_id": str(provider_id)}
    if integration_id is not None:
        about["integration"] = str(integration_id)
    wiring.observer.tell(Fact(name=name, facts={**about, **{key: value for key, value in more.items() if value is not None}}))


def tell_of(wiring: Wiring, name: FactName, facts: Integration, /, **more: str | None) -> None:
    """Tell the observer what happened with an integration."""
    tell(wiring, name, facts.tenant_id, facts.provider_id, facts.id, **more)


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
        tell(wiring, "credential.answer_unread", tenant_id, client.provider.provider_id, integration_id, members=",".join(members))


@contextmanager
def backend_failures_told(wiring: Wiring, tenant_id: TenantId, client: Client, integration_id: IntegrationId | None, /) -> Generator[None]:
    """Tell the observer of an OAuth backend that fails inside, before anything is sent; *integration_id* of a reconnect."""
    try:
        yield
    except OAuthBackendError as error:
        about = (tenant_id, client.provider.provider_id, integration_id)
        tell(wiring, "authorization.failed", *about, reason=error.reason, error_description=error.error_description)
        raise


async def record_failure(
    wiring: Wiring, tenant_id: TenantId, caller: Caller, action: str, resource: str, /, *, error: CloudIntegrationsError, **details: str
) -> None:
    """Record, in a transaction of its own, that an attempt failed, by the class of its error."""
    reason = str(error.details.get("reason", error.code))
    await wiring.store.apply(recorded(wiring, tenant_id, caller, action, resource, outcome=Outcome.FAILURE, reason=reason, **details))


async def record_denied(wiring: Wiring, tenant_id: TenantId, caller: Caller, action: str, resource: str, /, *, reason: str) -> None:
    """Record an attempt of somebody who may not make it, in windows: a stranger's patience must not fill a tenant's log (AUD-08).

    Only denials are gathered.  Who may act in a tenant is recorded act by act, also where an act fails.
    """
    if wiring.tenants is None and await wiring.store.find_audit_head(tenant_id) is None:
        # Nobody says that this tenant exists, and nothing has happened in it: there is nothing to tell anybody.
        return
    attempt = (action, resource, reason)
    covers = wiring.denials.admit(tenant_id, caller.actor, attempt)
    if covers is None:
        return
    try:
        await wiring.store.apply(
            recorded(wiring, tenant_id, caller, action, resource, outcome=Outcome.DENIED, reason=reason, covers=covers)
        )
    except BaseException:
        wiring.denials.withdraw(tenant_id, caller.actor, attempt)
        raise


@asynccontextmanager
async def failures_recorded(
    wiring: Wiring, tenant_id: TenantId, caller: Caller, action: str, resource: str, /, **details: str
) -> AsyncGenerator[None]:
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
        reason = "internal" if isinstance(error, Exception) else "interrupted"
        if isinstance(error, CloudIntegrationsError):
            reason = str(error.details.get("reason", error.code))
        record = recorded(wiring, tenant_id, caller, action, resource, outcome=Outcome.FAILURE, reason=reason, **details)
        if isinstance(error, CloudIntegrationsError) and not isinstance(error, StorageUnavailableError):
            await wiring.store.apply(record)
        else:
            with suppress(Exception):
                await wiring.store.apply(record)
        raise
