"""aiohttp: a client middleware that puts the credential into requests.

Source: https://docs.aiohttp.org/en/stable/client_middleware_cookbook.html.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.payload import BytesPayload
from yarl import URL

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import CredentialFormError, ValidationFailedError

from .source import PLAIN, REFUSED, AsyncCredentialSource, AsyncManager, Named, read_options


def aiohttp_middleware(
    manager: AsyncManager, tenant_id: str, provider: str | UUID, *, origins: Collection[str], slot: str = "", **options: str
) -> AiohttpMiddleware:
    """Return a middleware for `middlewares=` of `aiohttp.ClientSession`, with the credential of an integration, renewed by itself.

    *origins* are the servers that are shown the credential, such as `["https://api.github.com"]`; aiohttp calls a middleware for each
    redirect, too.  *provider*, *slot* and *options* are as in `AsyncIntegrationManager.auth`, and the requests raise as there.
    Raises `ValidationFailedError` for a name that cannot be one, and where *origins* are none.
    """
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return AiohttpMiddleware(source=source, origins=_read_origins(origins), options=read_options(options))


@dataclass(frozen=True, slots=True, kw_only=True)
class AiohttpMiddleware(Named):
    """Adds the credential to requests to `origins`, and answers a 401 once with another one.  Made by `aiohttp_middleware`."""

    source: AsyncCredentialSource
    origins: frozenset[URL]
    options: Mapping[str, str] = field(default_factory=dict)
    """What a signature needs to know of the requests, such as `service` and `region` of AWS."""

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType, /) -> ClientResponse:
        """Send *request* with the credential, and once more with another one if it is refused and its body can be sent again."""
        if request.url.origin() not in self.origins:
            return await handler(request)
        credential = await self.source.credential()
        url, headers = request.url, request.headers.copy()
        response = await self._send(request, handler, credential)
        if response.status != REFUSED or not _can_repeat(request):
            return response
        # The connection is free for the next request, whatever comes of the renewal.
        response.release()
        replaced = await self.source.replace_refused(credential)
        _set(request, url, headers)
        return await self._send(request, handler, replaced)

    async def _send(self, request: ClientRequest, handler: ClientHandlerType, credential: Credential) -> ClientResponse:
        """Send *request* with *credential*, and with what the server asks for."""
        if credential.forms == PLAIN:
            request.headers.update(credential.headers())
            return await handler(request)
        unsigned = await _show(request, credential, self.options)
        response = await handler(request)
        for again in (False, True):
            asked = credential.repeat(unsigned, response.headers, again=again) if response.status == REFUSED else None
            if asked is None or not _can_repeat(request):
                break
            response.release()
            request.headers.update(asked)
            response = await handler(request)
        return response


async def _show(request: ClientRequest, credential: Credential, options: Mapping[str, str]) -> Unsigned:
    """Put *credential* into *request*, and return the request as it was before."""
    if not {"headers", "params", "digest", "sign"} & set(credential.forms):
        raise CredentialFormError(form="auth", fits=credential.forms)
    signs = "sign" in credential.forms
    unsigned = Unsigned(
        method=request.method, url=str(request.url), headers=dict(request.headers), body=await _body_of(request) if signs else b""
    )
    if signs:
        signed = credential.sign(unsigned, **options)
        # The signature covers the URL as it is written.
        _set(request, URL(signed.url, encoded=True), signed.headers)
        return unsigned
    request.url = URL(credential.show_in(unsigned.url), encoded=True)
    if "headers" in credential.forms:
        request.headers.update(credential.headers())
    return unsigned


def _set(request: ClientRequest, url: URL, headers: Mapping[str, str]) -> None:
    request.url = url
    request.headers.clear()
    request.headers.update(headers)


async def _body_of(request: ClientRequest) -> bytes:
    if not _can_repeat(request):
        raise ValidationFailedError(field="request", problem="must have a body of bytes or text, because the signature covers it")
    return await request.body.as_bytes() if isinstance(request.body, BytesPayload) else b""


def _can_repeat(request: ClientRequest) -> bool:
    # Others are read while they are sent, perhaps still by the first request.
    return not request.body or isinstance(request.body, BytesPayload)


def _read_origins(origins: Collection[str]) -> frozenset[URL]:
    try:
        read = frozenset(URL(origin).origin() for origin in origins if not isinstance(origins, str))
    except (TypeError, ValueError):
        read = frozenset()
    if not read:
        raise ValidationFailedError(field="origins", problem='must list servers, such as ["https://api.github.com"]')
    return read
