"""Open, list and revoke the sessions of agents."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from cloud_integrations.domain.arguments import read_actor, read_duration, read_id, read_texts
from cloud_integrations.domain.audit import Actor, Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import SessionId, TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.provider import Provider, find_origin
from cloud_integrations.domain.session import (
    AGENT,
    HTTP_METHODS,
    LONGEST_SESSION,
    MOST_HOSTS,
    PERSON,
    AgentSession,
    SessionAccess,
    StoredSession,
)
from cloud_integrations.domain.url_template import fill_url
from cloud_integrations.errors import DamagedRowError, SessionNotFoundError, StaleWriteError, ValidationFailedError
from cloud_integrations.flows.shared.applications import known_variables
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.fingerprints import session_fingerprint
from cloud_integrations.flows.shared.lookup import known_tenant, load_named, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddSession, DamagedRow, RevokeSession
from cloud_integrations.protocol.session_rules import overlap, read_host
from cloud_integrations.protocol.shown_request import public_inputs

from .handing_out import opened

Hosts = Mapping[str, Sequence[str]] | Sequence[str]
"""Hosts by integration as it is named in `providers`; a list alone only where there is one integration."""
_TABLE: Final = "ci_session"


async def open_session(
    wiring: Wiring,
    tenant: str,
    /,
    *,
    on_behalf_of: Actor | str,
    providers: Sequence[str | UUID],
    hosts: Hosts | None,
    methods: Sequence[str],
    ttl: timedelta | float,
    needs_approval: bool,
    opened_by: Actor | None,
    caller: Caller,
) -> AgentSession:
    """Store a session in which the agent that *caller* names may use integrations of the tenant on behalf of a person.

    *opened_by* is who opens it for the agent; None: the agent itself.
    Raises `ValidationFailedError`, `TenantNotFoundError`, `IntegrationNotFoundError`, and what opening a credential raises where its
    values name the server.
    """
    tenant_id = await known_tenant(wiring, tenant)
    if caller.actor.type != AGENT:
        raise ValidationFailedError(field="actor", problem='must be an agent: Actor(type="agent", id=…)')
    person = read_actor(on_behalf_of, field="onBehalfOf")
    if person.type != PERSON:
        raise ValidationFailedError(field="onBehalfOf", problem="must be a person: a user's id, or an Actor of the type user")
    allowed = _read_methods(methods)
    life = read_duration("ttl", ttl)
    if not timedelta() < life <= LONGEST_SESSION:
        raise ValidationFailedError(field="ttl", problem="must be longer than 0 seconds and at most a day")
    access = await _read_access(wiring, tenant_id, providers, hosts)
    now = wiring.clock.now()
    session = AgentSession(
        id=SessionId(wiring.new_id()),
        tenant_id=tenant_id,
        agent=caller.actor,
        on_behalf_of=person,
        access=access,
        methods=allowed,
        needs_approval=needs_approval,
        opened_at=now,
        expires_at=now + life,
    )
    stored = StoredSession(facts=session, fingerprint=session_fingerprint(await wiring.data_keys.index(), session))
    about = {"expires_at": session.expires_at.isoformat(), "methods": ",".join(allowed), "providers": ",".join(session.providers)}
    if opened_by is not None:
        about["opened_by"] = str(opened_by)
    hosts_of = ",".join(host for each in access for host in each.hosts)
    event = happened(wiring, "session.opened", subject_of(session), within(session, caller.request_id), hosts=hosts_of, **about)
    await apply(wiring, AddSession(session=stored), event)
    return session


async def list_sessions(wiring: Wiring, tenant: str, /) -> tuple[AgentSession, ...]:
    """Return the sessions of the tenant, the one that was opened last first; those that ended more than a day ago are deleted.

    A session whose row was edited is left out, and the observer is told.
    """
    found = []
    for row in await wiring.store.list_sessions(await known_tenant(wiring, tenant)):
        try:
            found.append(await _trusted(wiring, row))
        except DamagedRowError as error:
            tell_damaged(
                wiring, DamagedRow(table=error.table, row=error.row, tenant_id=row.tenant_id if isinstance(row, DamagedRow) else None)
            )
    return tuple(found)


async def get_session(wiring: Wiring, tenant: str, session_id: UUID | str, /) -> AgentSession:
    """Return a session of the tenant, or raise `SessionNotFoundError`.  Raises `DamagedRowError` for one whose row was edited."""
    found = await find_session(wiring, await known_tenant(wiring, tenant), SessionId(read_id("sessionId", session_id)))
    if found is None:
        raise SessionNotFoundError
    return found


async def revoke_session(wiring: Wiring, tenant: str, session_id: UUID | str, /, *, caller: Caller) -> AgentSession:
    """End a session now, and return it; one that was revoked before is returned as it is.  Raises `SessionNotFoundError`."""
    tenant_id = await known_tenant(wiring, tenant)
    key = SessionId(read_id("sessionId", session_id))
    now = wiring.clock.now()
    subject = Subject(tenant_id=tenant_id, other=f"session:{key}")
    try:
        change = RevokeSession(tenant_id=tenant_id, session_id=key, revoked_at=now)
        await apply(wiring, change, happened(wiring, "session.revoked", subject, caller))
    except StaleWriteError:
        pass
    revoked = await get_session(wiring, tenant_id, key)
    # A request that read the row before this change remembers it for a moment, and looks here.
    wiring.sessions.put(("revoked", tenant_id, key), now, seconds=LONGEST_SESSION.total_seconds())
    return revoked


async def find_session(wiring: Wiring, tenant_id: TenantId, session_id: SessionId, /) -> AgentSession | None:
    """Return a session of the tenant; None: there is none.  Raises `DamagedRowError` for one whose row was edited."""
    row = await wiring.store.find_session(tenant_id, session_id)
    return None if row is None else await _trusted(wiring, row)


def subject_of(session: AgentSession, /) -> Subject:
    """Return a session as the subject of an event."""
    return Subject(tenant_id=session.tenant_id, other=f"session:{session.id}")


def within(session: AgentSession, request_id: str | None, /) -> Caller:
    """Return the agent as it acts in its session."""
    return Caller(actor=session.agent, request_id=request_id, on_behalf_of=session.on_behalf_of, session_id=session.id)


async def _trusted(wiring: Wiring, row: StoredSession | DamagedRow) -> AgentSession:
    """Return the facts of a row that nobody has edited.  Raises `DamagedRowError`."""
    if isinstance(row, DamagedRow):
        raise DamagedRowError(table=row.table, row=row.row)
    if not hmac.compare_digest(row.fingerprint, session_fingerprint(await wiring.data_keys.index(), row.facts)):
        raise DamagedRowError(table=_TABLE, row=str(row.facts.id))
    return row.facts


def _read_methods(methods: object) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(read_texts("methods", methods)))
    if not found or not set(found) <= set(HTTP_METHODS):
        raise ValidationFailedError(field="methods", problem=f"must be one or several of {', '.join(HTTP_METHODS)}")
    return found


async def _read_access(
    wiring: Wiring, tenant_id: TenantId, providers: Sequence[str | UUID], hosts: Hosts | None
) -> tuple[SessionAccess, ...]:
    named = _read_names(providers)
    given = _read_hosts(hosts, named)
    access = tuple([await _access(wiring, tenant_id, name, given.get(name)) for name in named])
    if len({each.integration_id for each in access}) < len(access):
        raise ValidationFailedError(field="providers", problem="name one integration twice")
    if sum(len(each.hosts) for each in access) > MOST_HOSTS:
        raise ValidationFailedError(field="hosts", problem=f"must be at most {MOST_HOSTS}")
    for number, one in enumerate(access):
        for other in access[:number]:
            if one.provider_id != other.provider_id and overlap(one.hosts, other.hosts):
                raise ValidationFailedError(
                    field="hosts", problem="give one host to two providers: a credential is sent to its own provider"
                )
    return access


def _read_names(providers: object) -> tuple[str, ...]:
    if isinstance(providers, str | bytes | Mapping) or not isinstance(providers, Iterable):
        raise ValidationFailedError(field="providers", problem="must be a list of providers or of ids of integrations")
    names = tuple(str(each) if isinstance(each, str | UUID) else "" for each in providers)
    if not 1 <= len(set(names)) == len(names) <= MOST_HOSTS:
        raise ValidationFailedError(field="providers", problem=f"must be 1 to {MOST_HOSTS}, none of them twice")
    return names


def _read_hosts(hosts: object, named: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    if hosts is None:
        return {}
    if not isinstance(hosts, Mapping):
        if len(named) > 1:
            raise ValidationFailedError(field="hosts", problem="must be a mapping of each provider to its hosts where there are several")
        hosts = dict.fromkeys(named, hosts)
    given = {str(name): tuple(dict.fromkeys(map(read_host, read_texts("hosts", found)))) for name, found in hosts.items()}
    if given.keys() - set(named):
        raise ValidationFailedError(field="hosts", problem="name a provider that is not among the providers")
    if not all(given.values()):
        raise ValidationFailedError(field="hosts", problem="must not be empty; left out, they are those of the provider's file")
    return given


async def _access(wiring: Wiring, tenant_id: TenantId, name: str, hosts: tuple[str, ...] | None) -> SessionAccess:
    try:
        stored = await load_named(wiring, tenant_id, name, slot="")
    except ValidationFailedError as error:
        raise ValidationFailedError(field="providers", problem=error.problem) from None
    provider = wiring.providers.require(stored.facts.provider_id)
    by_id = name.replace("-", "").lower() == stored.facts.id.hex
    return SessionAccess(
        name=str(stored.facts.id) if by_id else provider.id,
        provider_id=provider.provider_id,
        integration_id=stored.facts.id,
        hosts=await _own_hosts(wiring, provider, stored) if hosts is None else hosts,
    )


async def _own_hosts(wiring: Wiring, provider: Provider, stored: StoredIntegration) -> tuple[str, ...]:
    """Return the hosts of a provider's API, as its file names them."""
    known: dict[str, Any] = known_variables(wiring, provider, stored.facts.variables)
    method = provider.method_named(stored.facts.method_id)
    if method is not None and any(find_origin(url) for url in provider.base_urls.values()):
        # The tenant entered the address of the server; it is stored with the credential.
        known |= public_inputs(method, await opened(wiring, stored.to_use))
    # A resource that is still to be chosen is no part of a host.
    known = dict.fromkeys((each.name for each in provider.variables if not each.in_host), "-") | known
    found: list[str] = []
    for url in provider.base_urls.values():
        with suppress(KeyError, ValidationFailedError):
            found.append(read_host(urlsplit(fill_url(url, known.__getitem__)).netloc))
    if not found:
        raise ValidationFailedError(field="hosts", problem=f"must be given: what is known of {provider.id} names no host of its API")
    return tuple(dict.fromkeys(found))
