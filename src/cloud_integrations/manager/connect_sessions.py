"""Connect sessions: links by which a browser connects accounts without the host's own sign-in."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import read_caller
from cloud_integrations.domain.audit import SYSTEM, Actor
from cloud_integrations.domain.connect_session import ConnectSession, NewConnectSession, OpenedConnectSession
from cloud_integrations.domain.secret import Secret

from .parts import AsyncPart, Part


class ConnectSessions(Part):
    """Links by which a browser connects accounts without your own sign-in: `manager.connect_sessions`."""

    def create(
        self,
        tenant_id: str,
        *,
        providers: Sequence[str | UUID] = (),
        slot: str = "",
        locale: str | None = None,
        return_to: str | None = None,
        origin: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> NewConnectSession:
        """Create a link by which one browser connects accounts for the tenant, on pages that `create_connect_pages` serves.

        *actor* is who will connect, and whom the audit log then names; that the session was created is recorded as the doing of a
        view's actor (`acting_as`), where there is one.  Your application decides whether that person may.  *providers* are slugs or
        UUIDs of those that may be connected; empty: all.  *slot* is where an account is connected.  *locale* is the language of the
        pages, as a tag.  *return_to* is where they lead back to: a path, or an https URL.  *origin* is the site that shows them in a
        frame or opens them in a window, and is told what happened.  The link can be opened once, for 30 minutes; then its browser has
        30 minutes.
        Raises `ValidationFailedError`, `TenantNotFoundError` or `ProviderNotFoundError`.
        """
        return self._run(
            flows.create_connect_session(
                self._wiring,
                tenant_id,
                providers=providers,
                slot=slot,
                locale=locale,
                return_to=return_to,
                origin=origin,
                connects_as=self._acting(actor, request_id).actor,
                caller=self._acting(None if self._caller is not None else actor, request_id),
            )
        )

    def find(self, link_token: Secret | str) -> ConnectSession | None:
        """Return the session whose link has this token and can still be opened; None: there is none.  Nothing is changed.

        Raises `ValidationFailedError` or `DamagedRowError`.
        """
        return self._run(flows.find_connect_link(self._wiring, link_token))

    def open(self, link_token: Secret | str, *, request_id: str | UUID | None = None) -> OpenedConnectSession:
        """Open a link for one browser, and return the session with the token by which that browser is known.

        Raises `SessionNotFoundError` for a link that was opened, has ended or does not exist; `ValidationFailedError` or `DamagedRowError`.
        """
        named = read_caller(SYSTEM, request_id).request_id
        return self._run(flows.open_connect_session(self._wiring, link_token, request_id=named))

    def resume(self, browser_token: Secret | str) -> ConnectSession | None:
        """Return the session that was opened by the browser with this token and has not ended; None: there is none.

        Raises `ValidationFailedError` or `DamagedRowError`.
        """
        return self._run(flows.resume_connect_session(self._wiring, browser_token))

    def hand_over(self, browser_token: Secret | str) -> Secret:
        """Return a token by which another window of the browser with this token joins its session; it can do so for ten minutes.

        A page in a frame has other cookies than a window, and the sign-in at a provider needs a window.  Let a window join only by a form
        of your own page.
        Raises `SessionNotFoundError`, `ValidationFailedError` or `DamagedRowError`.
        """
        return self._run(flows.hand_over_connect_session(self._wiring, browser_token))

    def join(self, join_token: Secret | str) -> OpenedConnectSession:
        """Let a window join a session, and return the session with the token by which that window is known.

        Raises `SessionNotFoundError` for a token that has ended or is none, and for a session that has ended; `ValidationFailedError` or
        `DamagedRowError`.
        """
        return self._run(flows.join_connect_session(self._wiring, join_token))

    def list(self, tenant_id: str) -> tuple[ConnectSession, ...]:
        """Return the connect sessions of a tenant that have not ended, the one that was created last first.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.list_connect_sessions(self._wiring, tenant_id))

    def revoke(
        self, tenant_id: str, session_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> None:
        """End a connect session now, whether it was opened or not.

        Raises `SessionNotFoundError`, `TenantNotFoundError` or `ValidationFailedError`.
        """
        self._run(flows.revoke_connect_session(self._wiring, tenant_id, session_id, caller=self._acting(actor, request_id)))


class AsyncConnectSessions(AsyncPart):
    """Links by which a browser connects accounts without your own sign-in: `manager.connect_sessions`."""

    async def create(
        self,
        tenant_id: str,
        *,
        providers: Sequence[str | UUID] = (),
        slot: str = "",
        locale: str | None = None,
        return_to: str | None = None,
        origin: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> NewConnectSession:
        """Create a link by which one browser connects accounts for the tenant, on pages that `create_connect_pages` serves.

        *actor* is who will connect, and whom the audit log then names; that the session was created is recorded as the doing of a
        view's actor (`acting_as`), where there is one.  Your application decides whether that person may.  *providers* are slugs or
        UUIDs of those that may be connected; empty: all.  *slot* is where an account is connected.  *locale* is the language of the
        pages, as a tag.  *return_to* is where they lead back to: a path, or an https URL.  *origin* is the site that shows them in a
        frame or opens them in a window, and is told what happened.  The link can be opened once, for 30 minutes; then its browser has
        30 minutes.
        Raises `ValidationFailedError`, `TenantNotFoundError` or `ProviderNotFoundError`.
        """
        return await self._run(
            flows.create_connect_session(
                self._wiring,
                tenant_id,
                providers=providers,
                slot=slot,
                locale=locale,
                return_to=return_to,
                origin=origin,
                connects_as=self._acting(actor, request_id).actor,
                caller=self._acting(None if self._caller is not None else actor, request_id),
            )
        )

    async def find(self, link_token: Secret | str) -> ConnectSession | None:
        """Return the session whose link has this token and can still be opened; None: there is none.  Nothing is changed.

        Raises `ValidationFailedError` or `DamagedRowError`.
        """
        return await self._run(flows.find_connect_link(self._wiring, link_token))

    async def open(self, link_token: Secret | str, *, request_id: str | UUID | None = None) -> OpenedConnectSession:
        """Open a link for one browser, and return the session with the token by which that browser is known.

        Raises `SessionNotFoundError` for a link that was opened, has ended or does not exist; `ValidationFailedError` or `DamagedRowError`.
        """
        named = read_caller(SYSTEM, request_id).request_id
        return await self._run(flows.open_connect_session(self._wiring, link_token, request_id=named))

    async def resume(self, browser_token: Secret | str) -> ConnectSession | None:
        """Return the session that was opened by the browser with this token and has not ended; None: there is none.

        Raises `ValidationFailedError` or `DamagedRowError`.
        """
        return await self._run(flows.resume_connect_session(self._wiring, browser_token))

    async def hand_over(self, browser_token: Secret | str) -> Secret:
        """Return a token by which another window of the browser with this token joins its session; it can do so for ten minutes.

        A page in a frame has other cookies than a window, and the sign-in at a provider needs a window.  Let a window join only by a form
        of your own page.
        Raises `SessionNotFoundError`, `ValidationFailedError` or `DamagedRowError`.
        """
        return await self._run(flows.hand_over_connect_session(self._wiring, browser_token))

    async def join(self, join_token: Secret | str) -> OpenedConnectSession:
        """Let a window join a session, and return the session with the token by which that window is known.

        Raises `SessionNotFoundError` for a token that has ended or is none, and for a session that has ended; `ValidationFailedError` or
        `DamagedRowError`.
        """
        return await self._run(flows.join_connect_session(self._wiring, join_token))

    async def list(self, tenant_id: str) -> tuple[ConnectSession, ...]:
        """Return the connect sessions of a tenant that have not ended, the one that was created last first.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.list_connect_sessions(self._wiring, tenant_id))

    async def revoke(
        self, tenant_id: str, session_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> None:
        """End a connect session now, whether it was opened or not.

        Raises `SessionNotFoundError`, `TenantNotFoundError` or `ValidationFailedError`.
        """
        await self._run(flows.revoke_connect_session(self._wiring, tenant_id, session_id, caller=self._acting(actor, request_id)))
