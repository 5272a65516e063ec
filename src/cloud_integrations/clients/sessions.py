"""The session of an agent in HTTP clients: what `auth=` of httpx, httpx2 and requests takes.

The credential is in a request only while that is sent.  A redirect does not carry it on, and neither the request nor its response shows
it afterwards.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

from cloud_integrations.domain.credential import Credential
from cloud_integrations.protocol.session_rules import SessionRequest

from .http import AwaitingAuth, BlockingAuth
from .source import refuse_event_loop


class BlockingSession(Protocol):
    """What is asked of a `Session`."""

    def _authorize(self, request: SessionRequest, /) -> Credential: ...

    def _replace(self, request: SessionRequest, refused: Credential, /) -> Credential: ...


class AwaitingSession(Protocol):
    """What is asked of an `AsyncSession`."""

    async def _authorize(self, request: SessionRequest, /) -> Credential: ...

    async def _replace(self, request: SessionRequest, refused: Credential, /) -> Credential: ...


@dataclass(frozen=True, kw_only=True)
class SessionAuth(BlockingAuth):
    """The credential of a session's provider for `auth=` of httpx, httpx2 and requests.  Made by `Session.auth`.

    A request that the session does not allow raises `SessionRefusedError` and is not sent.
    """

    session: BlockingSession
    provider: str

    def _find(self, request: Any, /) -> Credential:
        refuse_event_loop()
        return self.session._authorize(_asked(request, self.provider))  # noqa: SLF001  # for clients only: it gives a credential

    def _replace(self, request: Any, refused: Credential, /) -> Credential:
        refuse_event_loop()
        return self.session._replace(_asked(request, self.provider), refused)  # as above

    def __call__(self, request: Any, /) -> Any:
        """Add the credential to *request* of requests, until it is answered."""
        before = _Before(request)
        request = super().__call__(request)
        request.register_hook("response", before.restore_answered)
        return request

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any]:
        """Send *request* of httpx with the credential, and once more with another one if it is refused."""
        before = _Before(request)
        flow = super().sync_auth_flow(request)
        try:
            sent = next(flow)
            while True:
                response = yield before.hide(sent)
                if response.request is not sent:
                    return  # A redirect was followed, without the credential: the answer says nothing of it.
                before.show(sent)
                sent = flow.send(response)
        except StopIteration:
            return
        finally:
            flow.close()
            before.restore(request)


@dataclass(frozen=True, kw_only=True)
class AsyncSessionAuth(AwaitingAuth):
    """As `SessionAuth`, for the awaiting clients of httpx and httpx2.  Made by `AsyncSession.auth`."""

    session: AwaitingSession
    provider: str

    async def _find(self, request: Any, /) -> Credential:
        return await self.session._authorize(_asked(request, self.provider))  # noqa: SLF001  # for clients only: it gives a credential

    async def _replace(self, request: Any, refused: Credential, /) -> Credential:
        return await self.session._replace(_asked(request, self.provider), refused)  # as above

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send *request* of httpx with the credential, and once more with another one if it is refused."""
        before = _Before(request)
        flow = super().async_auth_flow(request)
        try:
            sent = await anext(flow)
            while True:
                response = yield before.hide(sent)
                if response.request is not sent:
                    return  # A redirect was followed, without the credential: the answer says nothing of it.
                before.show(sent)
                sent = await flow.asend(response)
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()
            before.restore(request)


class _Before:
    """A request as it was before it got a credential."""

    def __init__(self, request: Any, /) -> None:
        self._url = request.url
        self._headers = request.headers.copy()
        self._hooks = {name: list(hooks) for name, hooks in getattr(request, "hooks", {}).items()}
        self._shown: Any = None

    def hide(self, request: Any, /) -> Any:
        """Return *request* of httpx with headers in which only what sends them sees the credential.

        httpx copies the headers for a redirect, and drops `Authorization` alone where that leads to another server.
        """
        self._shown = request.headers
        request.headers = _hiding(cast(Any, type(self._headers)))(self._headers, self._shown)
        return request

    def show(self, request: Any, /) -> None:
        """Give *request* of httpx back the headers that it was sent with, for whoever answers a challenge."""
        request.headers = self._shown

    def restore(self, request: Any, /) -> None:
        """Take the credential out of *request*."""
        request.url, request.headers = self._url, self._headers

    def restore_answered(self, response: Any, /, *_args: Any, **_options: Any) -> None:
        """Take the credential out of the requests of requests that led to *response*, before a redirect copies the last one."""
        for each in (response, *response.history):
            self.restore(each.request)
            each.request.headers = self._headers.copy()
            # The hooks hold the credential, for the repetition.
            each.request.hooks = {name: list(hooks) for name, hooks in self._hooks.items()}
            each.url = self._url


@cache
def _hiding(kind: Any, /) -> type[Any]:
    """Return a class of headers of httpx that gives some headers to what sends them (`raw`), and to nobody else."""

    def begin(self: Any, visible: Any, sent: Any, /) -> None:
        known = {(name.lower(), value) for name, value in visible.raw}
        self._hidden = [(name, value) for name, value in sent.raw if (name.lower(), value) not in known]
        replaced = {name.lower() for name, _ in self._hidden}
        kind.__init__(self, [(name, value) for name, value in visible.raw if name.lower() not in replaced])

    def raw(self: Any) -> list[tuple[bytes, bytes]]:
        return [*kind.raw.fget(self), *self._hidden]

    return type(kind.__name__, (kind,), {"__init__": begin, "raw": property(raw)})


def _asked(request: Any, provider: str) -> SessionRequest:
    return SessionRequest(http_method=request.method, url=str(request.url), headers=dict(request.headers), provider=provider)
