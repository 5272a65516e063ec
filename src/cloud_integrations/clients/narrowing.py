"""A manager whose credentials are narrowed, for every client that takes a manager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, Protocol
from uuid import UUID

from pydantic import JsonValue

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.narrowing import Narrow, read_narrow
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

from .source import AsyncManager, Manager


class NarrowingManager(Manager, Protocol):
    """What is asked of an `IntegrationManager`, or of the view of one that `acting_as` gives."""

    def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        slot: str = "",
        min_ttl: timedelta | float | None = None,
        narrow: Mapping[str, Any] | None = None,
    ) -> Credential:
        """Return a credential that works, narrowed to *narrow*."""
        ...


class AsyncNarrowingManager(AsyncManager, Protocol):
    """What is asked of an `AsyncIntegrationManager`."""

    async def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        slot: str = "",
        min_ttl: timedelta | float | None = None,
        narrow: Mapping[str, Any] | None = None,
    ) -> Credential:
        """Return a credential that works, narrowed to *narrow*."""
        ...


def narrowed(manager: NarrowingManager, narrow: Mapping[str, Any], /) -> Narrowed:
    """Return a view of a blocking *manager* that gives credentials narrowed to *narrow* alone, for the functions of this package.

    `boto3_session(narrowed(manager, {"policy": …}), tenant, "aws")`; *narrow* is as in `IntegrationManager.credential`.
    Raises `ValidationFailedError` for a *narrow* that no provider takes, and `ConfigurationError` for an awaiting manager.
    """
    if iscoroutinefunction(manager.credential):
        raise ConfigurationError(setting="the manager", problem="awaits: use async_narrowed")
    return Narrowed(manager=manager, narrow=_read(narrow))


def async_narrowed(manager: AsyncNarrowingManager, narrow: Mapping[str, Any], /) -> AsyncNarrowed:
    """Return a view of an awaiting *manager* that gives narrowed credentials alone; see `narrowed`.

    Raises `ValidationFailedError`, and `ConfigurationError` for a blocking manager.
    """
    if not iscoroutinefunction(manager.credential):
        raise ConfigurationError(setting="the manager", problem="blocks: use narrowed")
    return AsyncNarrowed(manager=manager, narrow=_read(narrow))


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """A view of an `IntegrationManager` that gives narrowed credentials alone; `narrowed` makes it."""

    manager: NarrowingManager = field(repr=False)
    narrow: Narrow

    def credential(self, tenant_id: str, provider: str | UUID, *, slot: str = "", min_ttl: timedelta | float | None = None) -> Credential:
        """Return a narrowed credential that works.  Raises as `IntegrationManager.credential`."""
        return self.manager.credential(tenant_id, provider, slot=slot, min_ttl=min_ttl, narrow=self.narrow.values)

    def replace_refused(self, tenant_id: str, token: Credential) -> Credential:
        """Return another narrowed credential in place of *token*.

        Raises as `IntegrationManager.replace_refused`, and `ValidationFailedError` for a credential that is narrowed otherwise.
        """
        return self.manager.replace_refused(tenant_id, _same(token, self.narrow))


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncNarrowed:
    """A view of an `AsyncIntegrationManager` that gives narrowed credentials alone; `async_narrowed` makes it."""

    manager: AsyncNarrowingManager = field(repr=False)
    narrow: Narrow

    async def credential(
        self, tenant_id: str, provider: str | UUID, *, slot: str = "", min_ttl: timedelta | float | None = None
    ) -> Credential:
        """Return a narrowed credential that works.  Raises as `AsyncIntegrationManager.credential`."""
        return await self.manager.credential(tenant_id, provider, slot=slot, min_ttl=min_ttl, narrow=self.narrow.values)

    async def replace_refused(self, tenant_id: str, token: Credential) -> Credential:
        """Return another narrowed credential in place of *token*.

        Raises as `AsyncIntegrationManager.replace_refused`, and `ValidationFailedError` for a credential that is narrowed otherwise.
        """
        return await self.manager.replace_refused(tenant_id, _same(token, self.narrow))


def _read(narrow: Mapping[str, JsonValue]) -> Narrow:
    read = read_narrow(narrow)
    if read is None:
        raise ValidationFailedError(field="narrow", problem="must be a mapping of names to values")
    return read


def _same(token: Credential, narrow: Narrow) -> Credential:
    """Return *token*, which the view has given: in place of a whole credential the manager would give a whole one."""
    if token.narrow != narrow:
        raise ValidationFailedError(field="token", problem="must be a credential that was narrowed in the same way")
    return token
