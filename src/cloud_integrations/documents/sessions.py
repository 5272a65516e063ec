"""Sessions of agents, and connect sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from cloud_integrations.domain.connect_session import ConnectSession
from cloud_integrations.domain.session import AgentSession, SessionAccess

from .audit import ActorOut
from .base import Document


@dataclass(slots=True, kw_only=True)
class SessionAccessOut(Document):
    """One integration that a session may use, and the hosts to which its credential may be sent."""

    name: str
    provider_id: UUID
    integration_id: UUID
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, access: SessionAccess, /) -> Self:
        """Return the document of what a session may use."""
        return cls._shown(access)


@dataclass(slots=True, kw_only=True)
class SessionOut(Document):
    """A session of an agent: who acts for whom, with what, and until when."""

    id: UUID
    tenant_id: str
    agent: ActorOut
    on_behalf_of: ActorOut
    access: tuple[SessionAccessOut, ...]
    methods: tuple[str, ...]
    needs_approval: bool
    opened_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, session: AgentSession, /) -> Self:
        """Return the document of a session."""
        return cls._shown(
            session,
            agent=ActorOut.of(session.agent),
            on_behalf_of=ActorOut.of(session.on_behalf_of),
            access=tuple(map(SessionAccessOut.of, session.access)),
        )


@dataclass(slots=True, kw_only=True)
class ConnectSessionOut(Document):
    """A connect session: who may connect what, and until when."""

    id: UUID
    tenant_id: str
    actor: ActorOut
    providers: tuple[str, ...]
    slot: str
    locale: str | None
    return_to: str | None
    origin: str | None
    created_at: datetime
    expires_at: datetime
    opened_at: datetime | None

    @classmethod
    def of(cls, session: ConnectSession, /) -> Self:
        """Return the document of a connect session."""
        return cls._shown(session, actor=ActorOut.of(session.actor))
