"""HTTP clients: what `auth=` of httpx, httpx2 and requests takes.

httpx and httpx2 have two unrelated classes `Auth`, and each accepts its own alone.  So an object here is of a class that is made from those
that are imported when it is made.  Sources: https://www.python-httpx.org/advanced/authentication/,
https://requests.readthedocs.io/en/latest/user/advanced/#custom-authentication.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final, TypeVar, cast

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.credential_auth import server_of
from cloud_integrations.errors import ConfigurationError

from .source import PLAIN, REFUSED, AsyncCredentialSource, CredentialSource, Named, read_options, refuse_event_loop

_CLIENTS: Final = ("httpx", "httpx2")
_FOR_AWAITING: Final = "is for httpx.AsyncClient and httpx2.AsyncClient, one of which is imported before it is made"

Auth = TypeVar("Auth", bound="_Auth")


@dataclass(frozen=True, kw_only=True)
class _Auth(Named):
    options: Mapping[str, str] = field(default_factory=dict)
    """What a signature needs to know of the requests, such as `service` and `region` of AWS."""

    def _first(self, request: Any, credential: Credential) -> Generator[Any, Any, Any]:
        """Send *request* of httpx with *credential*, and with what the server asks for; return the last answer."""
        if credential.forms == PLAIN:
            for name, value in credential.headers().items():
                request.headers[name] = value
            return (yield request)
        auth = credential.auth(**self.options)
        if not credential.answers:
            return (yield auth(request))
        flow = auth.auth_flow(request)  # type: ignore[attr-defined]  # a credential that answers has one
        response = yield next(flow)
        while True:
            try:
                request = flow.send(response)
            except StopIteration:
                return response
            response = yield request


class BlockingAuth(_Auth, ABC):
    """Sends requests of httpx, httpx2 and requests with a credential, and once more with another one after a 401."""

    @abstractmethod
    def _find(self, request: Any, /) -> Credential:
        """Return the credential for *request*, of httpx or requests."""

    @abstractmethod
    def _replace(self, request: Any, refused: Credential, /) -> Credential:
        """Return another credential for *request* in place of *refused*."""

    def __call__(self, request: Any, /) -> Any:
        """Add the credential to *request* of requests."""
        if not hasattr(request, "register_hook"):
            raise ConfigurationError(setting="auth", problem="was made before httpx was imported: import httpx first, or make it again")
        credential = self._find(request)
        # Headers alone are simply replaced.
        original = None if credential.forms == PLAIN else _copy(request)
        if original is None:
            request.headers.update(credential.headers())
        else:
            request = credential.auth(**self.options)(request)
        # It comes last, so it sees the answer to what the server asked for.
        request.register_hook("response", partial(self._repeat, credential, original, request.url))
        return request

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any]:
        """Send *request* of httpx with the credential, and once more with another one if it is refused."""
        credential = self._find(request)
        if _needs_body(credential):
            request.read()
        restore = _keep(request, credential)
        response = yield from self._first(request, credential)
        if _is_refused(request, response) and _can_repeat(request):
            restore()
            yield from self._first(request, self._replace(request, credential))

    async def async_auth_flow(self, _request: Any) -> AsyncGenerator[Any, Any]:
        """Raise `ConfigurationError`: a blocking manager would stop the event loop."""
        refuse_event_loop()
        yield

    def _repeat(self, credential: Credential, original: Any, url: str, response: Any, /, *_args: Any, **options: Any) -> Any:
        """Return the answer to the request with another credential, or *response* if it was not refused or cannot be sent again.

        *original* is the request without a credential; None: it had headers alone.  *url* is the URL that was sent.
        """
        sent = response.request if original is None else original
        can_repeat = sent.body is None or isinstance(sent.body, bytes | str)
        # A redirect has made another request of it, perhaps to another server, and requests would follow it again without an end.
        if response.status_code != REFUSED or not can_repeat or response.request.url != url:
            return response
        # The connection is free for the next request once the answer is read, whatever comes of the renewal.
        _ = response.content
        response.close()
        replaced = self._replace(sent, credential)
        repeated = replaced.auth(**self.options)(_copy(sent) if original is None else original)
        follow = response.connection.send(repeated, **options)
        follow.history.append(response)
        follow.request = repeated
        for hook in repeated.hooks["response"]:
            follow = hook(follow, **options) or follow
        return follow


@dataclass(frozen=True, kw_only=True)
class HttpAuth(BlockingAuth):
    """The credential of an integration for `auth=` of httpx, httpx2 and requests, renewed by itself.

    A 401 is answered once with another credential, where the body can be sent again.  Made by `IntegrationManager.auth`.
    """

    source: CredentialSource

    def _find(self, _request: Any, /) -> Credential:
        return self.source.credential()

    def _replace(self, _request: Any, refused: Credential, /) -> Credential:
        return self.source.replace_refused(refused)


class AwaitingAuth(_Auth, ABC):
    """As `BlockingAuth`, for the awaiting clients of httpx and httpx2."""

    @abstractmethod
    async def _find(self, request: Any, /) -> Credential:
        """Return the credential for *request* of httpx."""

    @abstractmethod
    async def _replace(self, request: Any, refused: Credential, /) -> Credential:
        """Return another credential for *request* in place of *refused*."""

    def __call__(self, _request: Any, /) -> Any:
        """Raise `ConfigurationError`: only the awaiting clients of httpx and httpx2 can await a credential."""
        raise ConfigurationError(setting="auth", problem=_FOR_AWAITING)

    def sync_auth_flow(self, _request: Any) -> Generator[Any, Any]:
        """Raise `ConfigurationError`, as a call does."""
        raise ConfigurationError(setting="auth", problem=_FOR_AWAITING)
        yield

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send *request* of httpx with the credential, and once more with another one if it is refused."""
        credential = await self._find(request)
        if _needs_body(credential):
            await request.aread()
        restore = _keep(request, credential)
        flow = self._first(request, credential)
        request = next(flow)
        replaced = False
        while True:
            response = yield request
            try:
                request = flow.send(response)
            except StopIteration:
                if replaced or not (_is_refused(request, response) and _can_repeat(request)):
                    return
                restore()
                flow, replaced = self._first(request, await self._replace(request, credential)), True
                request = next(flow)


@dataclass(frozen=True, kw_only=True)
class AsyncHttpAuth(AwaitingAuth):
    """As `HttpAuth`, for the awaiting clients of httpx and httpx2.  Made by `AsyncIntegrationManager.auth`."""

    source: AsyncCredentialSource

    async def _find(self, _request: Any, /) -> Credential:
        return await self.source.credential()

    async def _replace(self, _request: Any, refused: Credential, /) -> Credential:
        return await self.source.replace_refused(refused)


def make_auth(kind: type[Auth], options: Mapping[str, str], /, **named: Any) -> Auth:
    """Return an object of *kind* that each HTTP client takes which is imported now.  Raises `ValidationFailedError` for other options."""
    made: Auth = _made(cast(Any, kind), tuple(name for name in _CLIENTS if name in sys.modules))(options=read_options(options), **named)
    return made


@cache
def _made(kind: type[Any], clients: tuple[str, ...]) -> type[Any]:
    bases = tuple(sys.modules[name].Auth for name in clients)
    return type(kind.__name__, (kind, *bases), {"__module__": kind.__module__})


def _keep(request: Any, credential: Credential) -> Callable[[], None]:
    """Return a function that takes the credential out of *request* again; headers alone are simply replaced."""
    if credential.forms == PLAIN:
        return _nothing
    url, headers = request.url, request.headers.copy()

    def restore() -> None:
        request.url, request.headers = url, headers

    return restore


def _nothing() -> None:
    return


def _copy(request: Any) -> Any:
    """Return a copy of *request* of requests, without its hooks, which a copy would share."""
    copied = request.copy()
    copied.hooks = {"response": []}
    return copied


def _needs_body(credential: Credential) -> bool:
    # A signature covers it, and what a server asks for is answered with it.
    return "sign" in credential.forms or credential.answers


def _is_refused(request: Any, response: Any) -> bool:
    # After a redirect to another server, a 401 says nothing of the credential.
    return response.status_code == REFUSED and server_of(str(response.url)) == server_of(str(request.url))


def _can_repeat(request: Any) -> bool:
    try:
        _ = request.content
    except RuntimeError:  # httpx, of a stream that nobody has read
        return False
    return True
