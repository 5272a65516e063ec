"""Sessions of agents: what an agent may use, without ever seeing a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import read_provider
from cloud_integrations.domain.audit import Actor, Caller
from cloud_integrations.domain.conformance import require_part
from cloud_integrations.domain.identifiers import SessionId
from cloud_integrations.domain.session import READING_METHODS, USUAL_SESSION, AgentSession
from cloud_integrations.ports.approval import Approver, AsyncApprover
from cloud_integrations.runtime.approval import TaskApprover, ThreadApprover

from .parts import AsyncFlowRunner, AsyncPart, FlowRunner, Part

if TYPE_CHECKING:
    from cloud_integrations.clients import AsyncSessionAuth, SessionAuth
    from cloud_integrations.domain.credential import Credential
    from cloud_integrations.domain.provider import Programs
    from cloud_integrations.errors import SessionRefusal, SessionRefusedError
    from cloud_integrations.protocol.http import HttpRequest
    from cloud_integrations.protocol.session_rules import SessionRequest

T = TypeVar("T")


class _Handle:
    """What both handles show of their session, which is no secret; they cannot be pickled, and a copy is the handle itself."""

    _opened: AgentSession

    @property
    def id(self) -> SessionId:
        """The id of the session, by which it can be attached to and revoked."""
        return self._opened.id

    @property
    def tenant_id(self) -> str:
        """The tenant whose integrations may be used."""
        return self._opened.tenant_id

    @property
    def agent(self) -> Actor:
        """Who uses the session."""
        return self._opened.agent

    @property
    def on_behalf_of(self) -> Actor:
        """The person for whom the agent acts."""
        return self._opened.on_behalf_of

    @property
    def expires_at(self) -> datetime:
        """When the session ends, unless it is revoked before."""
        return self._opened.expires_at

    @property
    def providers(self) -> tuple[str, ...]:
        """What may be used: slugs of providers, or ids of integrations."""
        return self._opened.providers

    @property
    def hosts(self) -> Mapping[str, tuple[str, ...]]:
        """The hosts to which requests may go, by the names in `providers`."""
        return self._opened.hosts

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods that requests may have."""
        return self._opened.methods

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.id)!r}, agent={str(self.agent)!r}, on_behalf_of={str(self.on_behalf_of)!r})"

    def __reduce_ex__(self, _protocol: object, /) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled; attach to the session in the other process, by its id")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object, /) -> Self:
        return self


class Session(_Handle, Part):
    """A session of an agent: it attaches credentials to the requests that it allows, and never returns one.

    Made by `manager.sessions.open` and `manager.sessions.attach`.
    """

    def __init__(self, runner: FlowRunner, opened: AgentSession, approvals: flows.Approvals, caller: Caller | None, /) -> None:
        super().__init__(runner, caller)
        self._opened = opened
        self._approvals = approvals

    def auth(self, provider: str | UUID, **options: str) -> SessionAuth:
        """Return a value for `auth=` of httpx, httpx2 and requests, which attaches the credential to what the session allows.

        An awaiting session's is for the awaiting clients of httpx and httpx2.  Import the client first.  *provider* is one of `providers`.
        A 401 is answered once with another credential, and a redirect does not carry the credential on.  *options* are what a signature
        needs to know of the requests.  The requests raise `SessionRefusedError`, and as `credential`.
        Raises `ValidationFailedError` for a name that cannot be one.
        """
        from cloud_integrations.clients import http, sessions  # noqa: PLC0415  # loaded for who uses it

        return http.make_auth(sessions.SessionAuth, options, session=self, provider=str(read_provider(provider)))

    def revoke(self, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> None:
        """End the session now; recorded as its agent's doing where nobody is named.  Raises `SessionNotFoundError`."""
        caller = self._named(actor, request_id) or Caller(actor=self.agent)
        self._run(flows.revoke_session(self._wiring, self.tenant_id, self.id, caller=caller))

    def _authorize(self, request: SessionRequest, /) -> Credential:
        """Return the credential for *request*: for what sends it, and for nobody who speaks for the agent."""
        return self._run(
            flows.authorize_injection(self._wiring, self._opened, request, approvals=self._approvals, request_id=_request_id(self._caller))
        )

    def _replace(self, request: SessionRequest, refused: Credential, /) -> Credential:
        """Return another credential for *request*, in place of one that the provider refused."""
        return self._run(flows.replace_injection(self._wiring, self._opened, request, refused, request_id=_request_id(self._caller)))

    def _draft(self, request: SessionRequest, credential: Credential, /) -> HttpRequest:
        """Return *request* without headers and body, with the addresses to which it may be sent."""
        return flows.draft_injection(self._wiring, request, credential)

    def _refuse(self, request: SessionRequest, reason: SessionRefusal, /) -> SessionRefusedError:
        """Record that *request* is refused although the session was not asked, and return the error."""
        return self._run(flows.refuse_injection(self._wiring, self._opened, request, reason, request_id=_request_id(self._caller)))

    def _programs(self) -> tuple[Programs, ...]:
        """Return how programs find credentials of the session's providers."""
        found = {access.provider_id for access in self._opened.access}
        return tuple(each for provider_id in found for each in self._wiring.providers.require(provider_id).programs)

    def _time_left(self) -> timedelta:
        """Return for how long the session may still be used."""
        return max(timedelta(), self.expires_at - self._wiring.clock.now())


class AsyncSession(_Handle, AsyncPart):
    """A session of an agent: it attaches credentials to the requests that it allows, and never returns one.

    Made by `manager.sessions.open` and `manager.sessions.attach`.
    """

    def __init__(self, runner: AsyncFlowRunner, opened: AgentSession, approvals: flows.Approvals, caller: Caller | None, /) -> None:
        super().__init__(runner, caller)
        self._opened = opened
        self._approvals = approvals

    def auth(self, provider: str | UUID, **options: str) -> AsyncSessionAuth:
        """Return a value for `auth=` of httpx, httpx2 and requests, which attaches the credential to what the session allows.

        An awaiting session's is for the awaiting clients of httpx and httpx2.  Import the client first.  *provider* is one of `providers`.
        A 401 is answered once with another credential, and a redirect does not carry the credential on.  *options* are what a signature
        needs to know of the requests.  The requests raise `SessionRefusedError`, and as `credential`.
        Raises `ValidationFailedError` for a name that cannot be one.
        """
        from cloud_integrations.clients import http, sessions  # noqa: PLC0415  # loaded for who uses it

        return http.make_auth(sessions.AsyncSessionAuth, options, session=self, provider=str(read_provider(provider)))

    async def revoke(self, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> None:
        """End the session now; recorded as its agent's doing where nobody is named.  Raises `SessionNotFoundError`."""
        caller = self._named(actor, request_id) or Caller(actor=self.agent)
        await self._run(flows.revoke_session(self._wiring, self.tenant_id, self.id, caller=caller))

    async def _authorize(self, request: SessionRequest, /) -> Credential:
        """Return the credential for *request*: for what sends it, and for nobody who speaks for the agent."""
        return await self._run(
            flows.authorize_injection(self._wiring, self._opened, request, approvals=self._approvals, request_id=_request_id(self._caller))
        )

    async def _replace(self, request: SessionRequest, refused: Credential, /) -> Credential:
        """Return another credential for *request*, in place of one that the provider refused."""
        return await self._run(flows.replace_injection(self._wiring, self._opened, request, refused, request_id=_request_id(self._caller)))


class Sessions(Part):
    """Sessions in which agents use integrations on behalf of people: `manager.sessions`."""

    def __init__(self, runner: FlowRunner, caller: Caller | None = None, /) -> None:
        super().__init__(runner, caller)
        self._runner = runner

    def open(
        self,
        tenant_id: str,
        *,
        on_behalf_of: Actor | str,
        providers: Sequence[str | UUID],
        hosts: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
        methods: Sequence[str] = READING_METHODS,
        ttl: timedelta | float = USUAL_SESSION,
        approve: Approver | None = None,
        actor: Actor | None = None,
        request_id: str | UUID | None = None,
    ) -> Session:
        """Open a session in which an agent uses integrations of the tenant on behalf of a person, and never sees a token.

        *actor* is the agent, `Actor(type="agent", id=…)`; if a view (`acting_as`) has another actor, that one is recorded as who opened
        the session.  *on_behalf_of* is the person; your application decides whether this person may
        let this agent act.  *providers* are slugs or UUIDs of providers, or ids of integrations.  *hosts* are where their credentials may
        be sent, by provider, or a list where there is one provider: `api.example.com`, `api.example.com:8443`, or `*.example.com` for every
        name below it; left out, those of the provider's API that its file names.  *methods* are HTTP methods.  *ttl* is at most a day, in
        seconds or as a `timedelta`.  With *approve*, each request waits for its yes; later such a session works only with an approver.
        Raises `ValidationFailedError`, `TenantNotFoundError`, `IntegrationNotFoundError`, or `ConfigurationError` for *approve*.
        """
        approvals = self._asking(approve)
        caller = self._acting(actor, request_id)
        opened = self._run(
            flows.open_session(
                self._wiring,
                tenant_id,
                on_behalf_of=on_behalf_of,
                providers=providers,
                hosts=hosts,
                methods=methods,
                ttl=ttl,
                needs_approval=approve is not None,
                opened_by=None if actor is None or self._caller is None else self._caller.actor,
                caller=caller,
            )
        )
        return Session(self._runner, opened, approvals, caller)

    def attach(self, tenant_id: str, session_id: UUID | str, *, approve: Approver | None = None) -> Session:
        """Return a handle of a session that was opened elsewhere, for example in another process.

        A session that was opened with an approver refuses everything without *approve*.
        Raises `SessionNotFoundError`, `TenantNotFoundError`, `ValidationFailedError`, or `ConfigurationError` for *approve*.
        """
        opened = self._run(flows.get_session(self._wiring, tenant_id, session_id))
        return Session(self._runner, opened, self._asking(approve), self._caller)

    def get(self, tenant_id: str, session_id: UUID | str) -> AgentSession:
        """Return what a session allows.  Raises `SessionNotFoundError`, `TenantNotFoundError` or `ValidationFailedError`."""
        return self._run(flows.get_session(self._wiring, tenant_id, session_id))

    def list(self, tenant_id: str) -> tuple[AgentSession, ...]:
        """Return the sessions of a tenant, the one that was opened last first, until a day after their end.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.list_sessions(self._wiring, tenant_id))

    def revoke(
        self, tenant_id: str, session_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> AgentSession:
        """End a session now: in this process at once, in others within a second.  May be repeated.

        Raises `SessionNotFoundError`, `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.revoke_session(self._wiring, tenant_id, session_id, caller=self._acting(actor, request_id)))

    def _asking(self, approve: Approver | None) -> flows.Approvals:
        if approve is None:
            return flows.Approvals()
        require_part("approve", approve, Approver)
        return flows.Approvals(approver=ThreadApprover(approve, wait=self._wiring.settings.approval_wait))


class AsyncSessions(AsyncPart):
    """Sessions in which agents use integrations on behalf of people: `manager.sessions`."""

    def __init__(self, runner: AsyncFlowRunner, caller: Caller | None = None, /) -> None:
        super().__init__(runner, caller)
        self._runner = runner

    async def open(
        self,
        tenant_id: str,
        *,
        on_behalf_of: Actor | str,
        providers: Sequence[str | UUID],
        hosts: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
        methods: Sequence[str] = READING_METHODS,
        ttl: timedelta | float = USUAL_SESSION,
        approve: AsyncApprover | None = None,
        actor: Actor | None = None,
        request_id: str | UUID | None = None,
    ) -> AsyncSession:
        """Open a session in which an agent uses integrations of the tenant on behalf of a person, and never sees a token.

        *actor* is the agent, `Actor(type="agent", id=…)`; if a view (`acting_as`) has another actor, that one is recorded as who opened
        the session.  *on_behalf_of* is the person; your application decides whether this person may
        let this agent act.  *providers* are slugs or UUIDs of providers, or ids of integrations.  *hosts* are where their credentials may
        be sent, by provider, or a list where there is one provider: `api.example.com`, `api.example.com:8443`, or `*.example.com` for every
        name below it; left out, those of the provider's API that its file names.  *methods* are HTTP methods.  *ttl* is at most a day, in
        seconds or as a `timedelta`.  With *approve*, each request waits for its yes; later such a session works only with an approver.
        Raises `ValidationFailedError`, `TenantNotFoundError`, `IntegrationNotFoundError`, or `ConfigurationError` for *approve*.
        """
        approvals = self._asking(approve)
        caller = self._acting(actor, request_id)
        opened = await self._run(
            flows.open_session(
                self._wiring,
                tenant_id,
                on_behalf_of=on_behalf_of,
                providers=providers,
                hosts=hosts,
                methods=methods,
                ttl=ttl,
                needs_approval=approve is not None,
                opened_by=None if actor is None or self._caller is None else self._caller.actor,
                caller=caller,
            )
        )
        return AsyncSession(self._runner, opened, approvals, caller)

    async def attach(self, tenant_id: str, session_id: UUID | str, *, approve: AsyncApprover | None = None) -> AsyncSession:
        """Return a handle of a session that was opened elsewhere, for example in another process.

        A session that was opened with an approver refuses everything without *approve*.
        Raises `SessionNotFoundError`, `TenantNotFoundError`, `ValidationFailedError`, or `ConfigurationError` for *approve*.
        """
        opened = await self._run(flows.get_session(self._wiring, tenant_id, session_id))
        return AsyncSession(self._runner, opened, self._asking(approve), self._caller)

    async def get(self, tenant_id: str, session_id: UUID | str) -> AgentSession:
        """Return what a session allows.  Raises `SessionNotFoundError`, `TenantNotFoundError` or `ValidationFailedError`."""
        return await self._run(flows.get_session(self._wiring, tenant_id, session_id))

    async def list(self, tenant_id: str) -> tuple[AgentSession, ...]:
        """Return the sessions of a tenant, the one that was opened last first, until a day after their end.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.list_sessions(self._wiring, tenant_id))

    async def revoke(
        self, tenant_id: str, session_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> AgentSession:
        """End a session now: in this process at once, in others within a second.  May be repeated.

        Raises `SessionNotFoundError`, `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.revoke_session(self._wiring, tenant_id, session_id, caller=self._acting(actor, request_id)))

    def _asking(self, approve: AsyncApprover | None) -> flows.Approvals:
        if approve is None:
            return flows.Approvals()
        require_part("approve", approve, AsyncApprover, awaits=True)
        return flows.Approvals(approver=TaskApprover(approve, wait=self._wiring.settings.approval_wait))


def _request_id(caller: Caller | None) -> str | None:
    return None if caller is None else caller.request_id
