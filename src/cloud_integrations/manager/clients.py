"""Credentials that live in the HTTP clients of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from .parts import AsyncPart, Part

if TYPE_CHECKING:
    from cloud_integrations.clients import AsyncHttpAuth, HttpAuth
    from cloud_integrations.clients.narrowing import AsyncNarrowingManager, NarrowingManager
    from cloud_integrations.clients.source import AsyncManager, Manager


class Clients(Part):
    """The methods of `IntegrationManager` that give values for HTTP clients."""

    def auth(
        self, tenant_id: str, provider: str | UUID, *, slot: str = "", narrow: Mapping[str, Any] | None = None, **options: str
    ) -> HttpAuth:
        """Return a value for `auth=` of httpx, httpx2 and requests, with the credential of an integration, which is renewed by itself.

        An awaiting manager's is for the awaiting clients of httpx and httpx2.  Import the client first.  *provider* and *slot* are as in
        `credential`.  The value holds no secret, so it may live as long as the client.  A 401 is answered once with another credential,
        where the body can be sent again.  *options* are what a signature needs to know of the requests, such as `service` and `region` of
        AWS.  *narrow* is as in `credential`: what the requests may do at most.  The requests raise as `credential`.
        Raises `ValidationFailedError` for a name that cannot be one.
        """
        from cloud_integrations.clients import http, narrowed, source  # noqa: PLC0415  # loaded for who uses it

        manager: Manager = cast("Manager", self) if narrow is None else narrowed(cast("NarrowingManager", self), narrow)
        named = source.CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
        return http.make_auth(http.HttpAuth, options, source=named)


class AsyncClients(AsyncPart):
    """The methods of `AsyncIntegrationManager` that give values for HTTP clients."""

    def auth(
        self, tenant_id: str, provider: str | UUID, *, slot: str = "", narrow: Mapping[str, Any] | None = None, **options: str
    ) -> AsyncHttpAuth:
        """Return a value for `auth=` of httpx, httpx2 and requests, with the credential of an integration, which is renewed by itself.

        An awaiting manager's is for the awaiting clients of httpx and httpx2.  Import the client first.  *provider* and *slot* are as in
        `credential`.  The value holds no secret, so it may live as long as the client.  A 401 is answered once with another credential,
        where the body can be sent again.  *options* are what a signature needs to know of the requests, such as `service` and `region` of
        AWS.  *narrow* is as in `credential`: what the requests may do at most.  The requests raise as `credential`.
        Raises `ValidationFailedError` for a name that cannot be one.
        """
        from cloud_integrations.clients import async_narrowed, http, source  # noqa: PLC0415  # loaded for who uses it

        manager: AsyncManager = (
            cast("AsyncManager", self) if narrow is None else async_narrowed(cast("AsyncNarrowingManager", self), narrow)
        )
        named = source.AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
        return http.make_auth(http.AsyncHttpAuth, options, source=named)
