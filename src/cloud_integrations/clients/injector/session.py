"""What the proxy asks of a session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Protocol
from urllib.parse import urlsplit

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.provider import Programs
from cloud_integrations.errors import ConfigurationError, SessionRefusal, SessionRefusedError
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.protocol.session_rules import SessionRequest, overlap


class InjectingSession(Protocol):
    """What is asked of a `Session`."""

    @property
    def hosts(self) -> Mapping[str, tuple[str, ...]]:
        """The hosts to which requests may go, by provider."""
        ...

    def _programs(self) -> tuple[Programs, ...]: ...

    def _time_left(self) -> timedelta: ...

    def _authorize(self, request: SessionRequest, /) -> Credential: ...

    def _replace(self, request: SessionRequest, refused: Credential, /) -> Credential: ...

    def _draft(self, request: SessionRequest, credential: Credential, /) -> HttpRequest: ...

    def _refuse(self, request: SessionRequest, reason: SessionRefusal, /) -> SessionRefusedError: ...


class SessionInjector:
    """A session, and the requests of a child, which name no provider: the host says which one is meant.

    Raises `ConfigurationError` for a session that awaits.
    """

    def __init__(self, session: InjectingSession, /) -> None:
        if iscoroutinefunction(session._authorize):  # noqa: SLF001  # what gives a credential is no method for an agent; so below
            raise ConfigurationError(setting="session", problem="awaits, and this waits for nobody: open it with an IntegrationManager")
        self._session = session
        self._hosts = tuple(host for hosts in session.hosts.values() for host in hosts)
        self.names = tuple(dict.fromkeys(urlsplit(f"//{host}").hostname or "" for host in self._hosts))
        """The hosts without their ports."""
        self.programs = session._programs()  # noqa: SLF001
        """How programs find credentials of the session's providers."""
        self.life = session._time_left()  # noqa: SLF001
        """How long the session may still last."""

    def authorize(self, http_method: str, url: str, headers: Mapping[str, str], /) -> Credential:
        """Return the credential for a request.  Raises `SessionRefusedError`, which is recorded, and as `IntegrationManager.credential`."""
        return self._session._authorize(SessionRequest(http_method=http_method, url=url, headers=headers))  # noqa: SLF001

    def replace_refused(self, http_method: str, url: str, headers: Mapping[str, str], refused: Credential, /) -> Credential:
        """Return another credential for a request, in place of *refused*.  Raises as `authorize`."""
        return self._session._replace(SessionRequest(http_method=http_method, url=url, headers=headers), refused)

    def draft(self, http_method: str, url: str, credential: Credential, /) -> HttpRequest:
        """Return a request that says to which addresses it may be sent."""
        return self._session._draft(SessionRequest(http_method=http_method, url=url), credential)  # noqa: SLF001

    def require_host(self, authority: str, /) -> None:
        """Raise `SessionRefusedError`, which is recorded, if no request at all may go to *authority* (a host, with its port)."""
        if not overlap(self._hosts, [authority]):
            raise self._session._refuse(SessionRequest(http_method="CONNECT", url=f"https://{authority}/"), "host")  # noqa: SLF001

    def record(self, reason: SessionRefusal, authority: str | None, http_method: str | None, /) -> None:
        """Record that a request was refused before the session was asked."""
        url = "" if authority is None else f"https://{authority}/"
        self._session._refuse(SessionRequest(http_method=http_method or "", url=url), reason)  # noqa: SLF001
