"""gRPC: a plugin that adds the credential to the metadata of calls.

Source: https://grpc.github.io/grpc/python/grpc.html#grpc.AuthMetadataPlugin.
"""

from __future__ import annotations

from uuid import UUID

import grpc

from cloud_integrations.errors import CloudIntegrationsError

from .source import CredentialSource, Manager, Named


def grpc_plugin(manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> GrpcPlugin:
    """Return a plugin for `grpc.metadata_call_credentials`, with the credential of an integration, renewed by itself.

    gRPC calls it on a thread of its own for each call, so it is for `grpc.aio` too.  *provider* and *slot* are as in
    `IntegrationManager.credential`.  Raises `ValidationFailedError` for a name that cannot be one.
    """
    return GrpcPlugin(CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))


class GrpcPlugin(Named, grpc.AuthMetadataPlugin):  # type: ignore[misc]  # grpcio ships no types
    """Adds the headers of a credential to the metadata of each call.  Made by `grpc_plugin`."""

    def __init__(self, source: CredentialSource, /) -> None:
        self._source = source

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:  # noqa: ARG002
        """Give the metadata to *callback*, or the error: gRPC makes a status of it, whose details begin with the error's code."""
        try:
            headers = self._source.credential().headers()
        except CloudIntegrationsError as error:
            callback((), _Refused(f"{error.code}: {error}"))
            return
        # Names of metadata are in lower case.
        callback(tuple((name.lower(), value) for name, value in headers.items()), None)


class _Refused(Exception):  # noqa: N818  # gRPC shows its text alone
    pass
