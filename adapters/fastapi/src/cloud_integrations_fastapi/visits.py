"""Browsers that opened the link of a connect session: the cookie by which they are known, and who they are at the callback."""

from __future__ import annotations

import logging
import re
from uuid import UUID

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from cloud_integrations import Actor, AsyncIntegrationManager, ConnectSession, OpenedConnectSession, Secret
from cloud_integrations.errors import DamagedRowError, ForbiddenError, SessionNotFoundError

from .authorization import Authorize, Gate, Permission
from .browser import BrowserCookies, is_framed, set_partitioned

_NAME = re.compile(r"(?:__Host-)?ci_(?:visit|window)_[0-9a-f]{16}\Z")
_LIFETIME = 1800
_MOST = 5
"""The most visits of one browser at once; the oldest go first."""
_log = logging.getLogger("cloud_integrations.http")


class Visits:
    """Knows browsers by a cookie of their own for each session; the cookie holds the session's browser token and nothing else.

    A window that joined a session whose pages are in a frame has a cookie of another name, so that it is known as such.
    """

    def __init__(self, manager: AsyncIntegrationManager, *, loopback: bool) -> None:
        self._manager = manager
        self._cookies = BrowserCookies(loopback=loopback)

    def keep(self, request: Request, response: Response, opened: OpenedConnectSession, /, *, framed: bool) -> None:
        """Set the cookie of a session that was just opened; *framed*: also in a frame of another site, and for that site alone."""
        self._set(request, response, "visit", opened, framed=framed and not self._cookies.is_plain(request))

    def keep_window(self, request: Request, response: Response, opened: OpenedConnectSession, /) -> None:
        """Set the cookie of a window that has just joined a session."""
        self._set(request, response, "window", opened, framed=False)

    async def hand_over(self, request: Request, session: ConnectSession, /) -> Secret:
        """Return a token by which another window of this browser joins *session*, which this browser has opened or joined."""
        token, found = await self._held(request, session.id)
        if found is None:  # it ended just now
            raise SessionNotFoundError
        return await self._manager.connect_sessions.hand_over(token)

    def is_window(self, request: Request, session_id: UUID, /) -> bool:
        """Say whether the page is shown in a window that joined the session, and not in the frame that it came from."""
        return self._name(request, "window", session_id) in request.cookies and not is_framed(request)

    def _set(self, request: Request, response: Response, kind: str, opened: OpenedConnectSession, *, framed: bool) -> None:
        ours = [name for name in request.cookies if _NAME.match(name)]
        for name in ours[: 1 - _MOST]:
            response.set_cookie(name, "", max_age=0, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="lax")
        response.set_cookie(
            self._name(request, kind, opened.session.id),
            opened.browser_token.reveal(),
            max_age=_LIFETIME,
            path="/",
            secure=not self._cookies.is_plain(request),
            httponly=True,
            samesite="none" if framed else "lax",
        )
        if framed:
            set_partitioned(response)

    async def find(self, request: Request, session_id: UUID, /) -> ConnectSession | None:
        """Return the session with this id that this browser opened, while it lasts; None: there is none."""
        return (await self._held(request, session_id))[1]

    async def find_all(self, request: Request, /) -> list[ConnectSession]:
        """Return all sessions that this browser opened, while they last."""
        found = [await self._resume(value) for name, value in request.cookies.items() if _NAME.match(name)]
        return [each for each in found if each is not None]

    def began(self, request: Request, state: str, actor: Actor, /) -> bool:
        """Say whether *actor* began the authorization with this state in this browser."""
        return self._cookies.find(request, Secret(state), actor=actor) is not None

    async def _held(self, request: Request, session_id: UUID) -> tuple[str, ConnectSession | None]:
        """Return the session with this id after the token of the cookie by which this browser is known in it."""
        for kind in ("visit", "window"):
            token = request.cookies.get(self._name(request, kind, session_id), "")
            found = await self._resume(token)
            if found is not None and found.id == session_id:
                return token, found
        return "", None

    async def _resume(self, token: str) -> ConnectSession | None:
        if not token:
            return None
        try:
            return await self._manager.connect_sessions.resume(token)
        except DamagedRowError as error:
            _log.error("a visit is refused: %s", error.message)  # a traceback may hold secrets
            return None

    def _name(self, request: Request, kind: str, session_id: UUID) -> str:
        # The second half of the id is random.
        return f"{'' if self._cookies.is_plain(request) else '__Host-'}ci_{kind}_{session_id.hex[16:]}"


class VisitorGate(Gate):
    """Lets a browser with a connect session finish what it began; everybody else is the host's to admit."""

    def __init__(self, manager: AsyncIntegrationManager, authorize: Authorize, visits: Visits, /) -> None:
        super().__init__(manager, authorize)
        self._visits = visits

    async def admit(self, request: Request, permission: Permission, tenant_id: str | None, /, *, request_id: str) -> Actor:
        """Return the visitor who began the authorization that the request names, or who the host says it is."""
        visits = [each for each in await self._visits.find_all(request) if tenant_id in {None, each.tenant_id}]
        state = request.query_params.get("state", "")
        for visit in visits if state else ():
            if self._visits.began(request, state, visit.actor):
                return visit.actor
        try:
            return await super().admit(request, permission, tenant_id, request_id=request_id)
        except (ForbiddenError, HTTPException):
            visitors = {visit.actor for visit in visits}
            if len(visitors) != 1:
                raise
            return visitors.pop()
