"""gRPC: interceptors and a plugin that add the credential to the metadata of calls.

Sources: https://grpc.github.io/grpc/python/grpc.html#grpc.AuthMetadataPlugin and #client-side-interceptor,
https://grpc.github.io/grpc/python/grpc_asyncio.html#grpc.aio.ClientInterceptor.
"""

# The stubs that pyright brings have a type for each kind of call, and one method serves three kinds.
# pyright: reportAssignmentType=false, reportIncompatibleMethodOverride=false
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import grpc
from grpc import aio

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import CloudIntegrationsError

from .source import AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named


def grpc_plugin(manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> GrpcPlugin:
    """Return a plugin for `grpc.metadata_call_credentials`, with the credential of an integration, renewed by itself.

    gRPC calls it on a thread of its own for each call, so it is for `grpc.aio` too, and tells it of no refusal; `grpc_interceptor` sees
    them.  *provider* and *slot* are as in `IntegrationManager.credential`.  Raises `ValidationFailedError` for a name that cannot be one.
    """
    return GrpcPlugin(CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))


def grpc_interceptor(manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> GrpcInterceptor:
    """Return an interceptor for `grpc.intercept_channel`, with the credential of an integration, renewed by itself.

    A call with one request and one answer that the server refuses (`UNAUTHENTICATED`) is repeated once with another credential; so
    `future` of such a call waits for the answer.  A call that names `credentials` of its own is sent with those alone.  The channel must
    be a secure one, as for every credential of gRPC.  *provider* and *slot* are as in `IntegrationManager.credential`.

    Calls raise as `IntegrationManager.credential` and `replace_refused`, and `ConfigurationError` inside an event loop.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    return GrpcInterceptor(CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))


def async_grpc_interceptors(
    manager: AsyncManager, tenant_id: str, provider: str | UUID, *, slot: str = ""
) -> tuple[AsyncGrpcInterceptor, ...]:
    """Return `interceptors` for a channel of `grpc.aio`, one for each kind of call, which do what `grpc_interceptor` says.

    Calls raise as `AsyncIntegrationManager.credential` and `replace_refused`.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    # A channel of grpc.aio uses each object for one kind alone.
    return _UnaryUnary(source), _UnaryStream(source), _StreamUnary(source), _StreamStream(source)


class GrpcPlugin(Named, grpc.AuthMetadataPlugin):  # type: ignore[misc]  # grpcio ships no types
    """Adds the headers of a credential to the metadata of each call.  Made by `grpc_plugin`."""

    def __init__(self, source: CredentialSource, /) -> None:
        self._source = source

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:  # noqa: ARG002
        """Give the metadata to *callback*, or the error: gRPC makes a status of it, whose details begin with the error's code."""
        try:
            metadata = _metadata(self._source.credential())
        except CloudIntegrationsError as error:
            callback((), _Refused(f"{error.code}: {error}"))
            return
        callback(metadata, None)


class _Refused(Exception):  # noqa: N818  # gRPC shows its text alone
    pass


class GrpcInterceptor(  # grpcio ships no types
    Named,
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
):
    """Adds the headers of a credential to each call, and repeats a refused one once.  Made by `grpc_interceptor`."""

    def __init__(self, source: CredentialSource, /) -> None:
        self._source = source

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any) -> Any:
        """Send *request* with the credential, and once more with another one if it is refused."""
        if client_call_details.credentials is not None:
            return continuation(client_call_details, request)
        credential = self._source.credential()
        shown = _Shown(credential)
        call = continuation(_Details(client_call_details, shown), request)
        if call.code() is not grpc.StatusCode.UNAUTHENTICATED or not shown.asked:
            return call
        return continuation(_Details(client_call_details, _Shown(self._source.replace_refused(credential))), request)

    def _intercept_stream(self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any) -> Any:
        """Send *request* with the credential; what is a stream may have been read already, so it is not repeated."""
        if client_call_details.credentials is not None:
            return continuation(client_call_details, request)
        return continuation(_Details(client_call_details, _Shown(self._source.credential())), request)

    intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _intercept_stream


class AsyncGrpcInterceptor(Named):
    """As `GrpcInterceptor`, for one kind of call of `grpc.aio`.  Made by `async_grpc_interceptors`."""

    def __init__(self, source: AsyncCredentialSource, /) -> None:
        self._source = source

    async def intercept_stream(self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any) -> Any:
        """Send *request* with the credential; what is a stream may have been read already, so it is not repeated."""
        if client_call_details.credentials is not None:
            return await continuation(client_call_details, request)
        return await continuation(_Details(client_call_details, _Shown(await self._source.credential())), request)


class _UnaryUnary(AsyncGrpcInterceptor, aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpcio ships no types
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Send *request* with the credential, and once more with another one if it is refused."""
        if client_call_details.credentials is not None:
            return await continuation(client_call_details, request)
        credential = await self._source.credential()
        call = await continuation(_Details(client_call_details, _Shown(credential)), request)
        try:
            code = await call.code()
        except asyncio.CancelledError:
            call.cancel()
            raise
        if code is not grpc.StatusCode.UNAUTHENTICATED:
            return call
        return await continuation(_Details(client_call_details, _Shown(await self._source.replace_refused(credential))), request)


class _UnaryStream(AsyncGrpcInterceptor, aio.UnaryStreamClientInterceptor):  # type: ignore[misc]  # grpcio ships no types
    intercept_unary_stream = AsyncGrpcInterceptor.intercept_stream


class _StreamUnary(AsyncGrpcInterceptor, aio.StreamUnaryClientInterceptor):  # type: ignore[misc]  # grpcio ships no types
    intercept_stream_unary = AsyncGrpcInterceptor.intercept_stream


class _StreamStream(AsyncGrpcInterceptor, aio.StreamStreamClientInterceptor):  # type: ignore[misc]  # grpcio ships no types
    intercept_stream_stream = AsyncGrpcInterceptor.intercept_stream


class _Shown(grpc.AuthMetadataPlugin):  # type: ignore[misc]  # grpcio ships no types
    """Adds the headers of one credential to one call; gRPC asks for none on a channel that is not secure."""

    def __init__(self, credential: Credential) -> None:
        self._metadata = _metadata(credential)
        self.asked = False

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:  # noqa: ARG002
        self.asked = True
        callback(self._metadata, None)


class _Details(grpc.ClientCallDetails):  # type: ignore[misc]  # grpcio ships no types
    """The details of a call, with a credential."""

    def __init__(self, details: Any, shown: _Shown) -> None:
        self.method, self.timeout, self.metadata = details.method, details.timeout, details.metadata
        self.wait_for_ready, self.compression = details.wait_for_ready, getattr(details, "compression", None)
        self.credentials = grpc.metadata_call_credentials(shown)


def _metadata(credential: Credential) -> tuple[tuple[str, str], ...]:
    # Names of metadata are in lower case.
    return tuple((name.lower(), value) for name, value in credential.headers().items())
