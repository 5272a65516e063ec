"""Give the credential for one request of an agent, if its session allows that request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cloud_integrations.domain.arguments import find_id, read_moment
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.session import AgentSession, Approval, ApprovalRequest, SessionAccess
from cloud_integrations.errors import ProviderNotFoundError, SessionRefusal, SessionRefusedError, ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened, record_denied
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.approval import AsyncApprover
from cloud_integrations.protocol.egress import find_address
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.protocol.session_rules import SessionRequest, decide
from cloud_integrations.protocol.shown_request import tenant_servers

from .get_token import get_token
from .refresh import replace_refused
from .sessions import find_session, subject_of, within

REMEMBERED: Final = 1.0
"""For how many seconds a session that was read is not read again, and so how long another process may still use one that was revoked."""
_MOST_APPROVALS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Who is asked about the requests of a session, and what was allowed until a time; None: nobody can be asked."""

    approver: AsyncApprover | None = None
    known: dict[tuple[str, str, str], datetime] = field(default_factory=dict, repr=False)
    """By provider, host and HTTP method."""


async def authorize_injection(
    wiring: Wiring, opened: AgentSession, request: SessionRequest, /, *, approvals: Approvals, request_id: str | None
) -> Credential:
    """Return the credential for *request*, which the stored session of *opened* allows.

    Raises `SessionRefusedError`, which is recorded; and as `get_token`.
    """
    access, caller = await _allowed(wiring, opened, request, request_id)
    if opened.needs_approval or approvals.approver is not None:
        if not await _approved(wiring, opened, request, approvals, named=access.name, caller=caller):
            raise await _refused(wiring, opened, request, caller, "not_approved")
        # A person may take minutes, in which the session may have ended.
        access, caller = await _allowed(wiring, opened, request, request_id, afresh=True)
    credential = await get_token(
        wiring, opened.tenant_id, access.integration_id, slot="", min_ttl=None, scopes=(), narrow=None, caller=caller
    )
    servers = tenant_servers(wiring.providers.require(credential.provider_id), credential)
    if servers and f"https://{request.host}" not in servers:
        # The tenant has entered another server since the session was opened.
        raise await _refused(wiring, opened, request, caller, "host")
    return credential


async def replace_injection(
    wiring: Wiring, opened: AgentSession, request: SessionRequest, refused: Credential, /, *, request_id: str | None
) -> Credential:
    """Return another credential for *request*, in place of one that the provider refused.

    The session is looked at again; what was approved is approved for the repetition.  Raises as `authorize_injection`.
    """
    access, caller = await _allowed(wiring, opened, request, request_id)
    if access.integration_id != refused.integration_id:
        raise await _refused(wiring, opened, request, caller, "provider")
    return await replace_refused(wiring, opened.tenant_id, refused, caller=caller)


async def refuse_injection(
    wiring: Wiring, opened: AgentSession, request: SessionRequest, reason: SessionRefusal, /, *, request_id: str | None
) -> SessionRefusedError:
    """Record that *request* is refused although its session was not asked, and return the error."""
    return await _refused(wiring, opened, request, within(opened, request_id), reason)


def draft_injection(wiring: Wiring, request: SessionRequest, credential: Credential, /) -> HttpRequest:
    """Return *request* without headers and body, with the addresses to which it may be sent."""
    provider = wiring.providers.require(credential.provider_id)
    return HttpRequest(
        method=request.http_method,
        url=request.url,
        provider_id=str(credential.provider_id),
        loopback=provider.loopback,
        private_host=provider.on_private_host(credential.variables) or f"https://{request.host}" in wiring.settings.private_servers,
        # Whoever opened the session named the host, which may be an address.
        tenant_server=find_address(urlsplit(request.url).hostname or "") is not None,
    )


async def _allowed(
    wiring: Wiring, opened: AgentSession, request: SessionRequest, request_id: str | None, *, afresh: bool = False
) -> tuple[SessionAccess, Caller]:
    caller = within(opened, request_id)
    session = await _read(wiring, opened, afresh=afresh)
    over: SessionRefusal | None = "ended" if session is None else session.over(wiring.clock.now())
    if session is None or over is not None:
        raise await _refused(wiring, opened, request, caller, over or "ended")
    if wiring.sessions.find(("revoked", session.tenant_id, session.id)) is not None:
        raise await _refused(wiring, opened, request, caller, "revoked")
    decided = decide(_meant(wiring, session, request), session.methods, request, local=_local(wiring, session))
    if not isinstance(decided, SessionAccess):
        raise await _refused(wiring, opened, request, caller, decided)
    return decided, caller


async def _read(wiring: Wiring, opened: AgentSession, *, afresh: bool) -> AgentSession | None:
    key = ("session", opened.tenant_id, opened.id)
    known: AgentSession | None = None if afresh else wiring.sessions.find(key)
    if known is not None:
        return known
    found = await find_session(wiring, opened.tenant_id, opened.id)
    if found is not None:
        wiring.sessions.put(key, found, seconds=REMEMBERED)
    return found


def _meant(wiring: Wiring, session: AgentSession, request: SessionRequest) -> Collection[SessionAccess]:
    """Return the integrations that *request* may mean: those of the provider that it names, else all."""
    if request.provider is None:
        return session.access
    try:
        provider_id = wiring.providers.require(request.provider).provider_id
    except (ProviderNotFoundError, ValidationFailedError):
        integration_id = find_id(request.provider)
        return [access for access in session.access if access.integration_id == integration_id]
    return [access for access in session.access if access.provider_id == provider_id]


def _local(wiring: Wiring, session: AgentSession) -> frozenset[ProviderId]:
    found = set()
    for access in session.access:
        try:
            if wiring.providers.require(access.provider_id).loopback:
                found.add(access.provider_id)
        except ProviderNotFoundError:
            continue
    return frozenset(found)


async def _approved(
    wiring: Wiring, session: AgentSession, request: SessionRequest, approvals: Approvals, /, *, named: str, caller: Caller
) -> bool:
    host = request.host or ""  # it was read when the request was allowed
    key = (named, host, request.http_method)
    until = approvals.known.get(key)
    if approvals.approver is None:
        return False
    if until is not None and wiring.clock.now() < until:
        return True
    asked = ApprovalRequest(
        tenant_id=session.tenant_id,
        session_id=session.id,
        agent=session.agent,
        on_behalf_of=session.on_behalf_of,
        provider=named,
        host=host,
        http_method=request.http_method,
    )
    try:
        until = _read_answer(await approvals.approver.approve(asked))
    except Exception:  # noqa: BLE001  # whatever fails in a host's part, nobody has said yes
        return False
    facts = {"provider": named, "host": host, "method": request.http_method}
    if until is not None:
        facts["until"] = until.isoformat()
    await apply(wiring, happened(wiring, "session.approved", subject_of(session), caller, **facts))
    if until is not None:
        if len(approvals.known) >= _MOST_APPROVALS:
            approvals.known.clear()
        approvals.known[key] = until
    return True


def _read_answer(answer: object) -> datetime | None:
    """Return until when an approval lasts; None: for one request.  Raises `ValueError` for anything but a yes."""
    if not isinstance(answer, Approval) or answer.approved is not True:
        raise ValueError
    return None if answer.until is None else read_moment("until", answer.until)


async def _refused(
    wiring: Wiring, session: AgentSession, request: SessionRequest, caller: Caller, reason: SessionRefusal
) -> SessionRefusedError:
    """Record a refusal, and return its error.  A host or method is recorded where it is one: an agent may have put anything there."""
    facts = {"host": request.host, "method": request.word, "provider": request.provider}
    said = {name: fact for name, fact in facts.items() if fact is not None and fact.isprintable() and len(fact) <= 300}
    await record_denied(wiring, "session.refused", subject_of(session), caller, reason=reason, **said)
    return SessionRefusedError(session_id=str(session.id), reason=reason)
