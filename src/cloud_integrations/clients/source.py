"""Where the clients' objects get their credential: a manager, and the names of a tenant and an integration."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Final, NoReturn, Protocol
from uuid import UUID

from cloud_integrations.domain.arguments import read_provider, read_slot
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

REFUSED: Final = 401
"""The status by which a server refuses a credential (RFC 9110 §15.5.2)."""
PLAIN: Final = ("headers",)
"""The forms of a credential that is headers alone, which most are; it takes a short way."""


class Manager(Protocol):
    """What is asked of an `IntegrationManager`, or of the view of one that `acting_as` gives."""

    def credential(self, tenant_id: str, provider: str | UUID, *, slot: str = "", min_ttl: timedelta | float | None = None) -> Credential:
        """Return a credential that works."""
        ...

    def replace_refused(self, tenant_id: str, token: Credential) -> Credential:
        """Return another credential in place of one that the provider refused."""
        ...


class AsyncManager(Protocol):
    """What is asked of an `AsyncIntegrationManager`."""

    async def credential(
        self, tenant_id: str, provider: str | UUID, *, slot: str = "", min_ttl: timedelta | float | None = None
    ) -> Credential:
        """Return a credential that works."""
        ...

    async def replace_refused(self, tenant_id: str, token: Credential) -> Credential:
        """Return another credential in place of one that the provider refused."""
        ...


class Named:
    """Shows where its credential comes from, and refuses to be pickled: a copy in another process would have no manager there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)['_source']!r})"

    def __reduce_ex__(self, _protocol: object, /) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled; make one in the other process, from a manager of its own")

    def __copy__(self) -> Named:
        return self

    def __deepcopy__(self, _memo: object, /) -> Named:
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSource(Named):
    """Gives the credential of one integration, from a blocking manager; it holds no secret.

    *integration* is the slug or UUID of a provider, or the id of an integration; *slot* is as in `IntegrationManager.credential`.  The
    manager's view (`acting_as`) says who acts, and in which request.
    Raises `ValidationFailedError` for a name that cannot be one, and `ConfigurationError` for an awaiting manager.
    """

    manager: Manager = field(repr=False)
    tenant_id: str
    integration: str | UUID
    slot: str = ""

    def __post_init__(self) -> None:
        _check(self.tenant_id, self.integration, self.slot)
        if iscoroutinefunction(self.manager.credential):
            raise ConfigurationError(setting="the manager", problem="awaits, and this waits for nobody: use an IntegrationManager")

    def credential(self, *, min_ttl: timedelta | float | None = None) -> Credential:
        """Return a credential that works.  Raises as `IntegrationManager.credential`, and `ConfigurationError` inside an event loop."""
        refuse_event_loop()
        return self.manager.credential(self.tenant_id, self.integration, slot=self.slot, min_ttl=min_ttl)

    def replace_refused(self, refused: Credential, /) -> Credential:
        """Return another credential in place of *refused*.  Raises as `IntegrationManager.replace_refused`, and as `credential`."""
        refuse_event_loop()
        return self.manager.replace_refused(self.tenant_id, refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncCredentialSource(Named):
    """Gives the credential of one integration, from an `AsyncIntegrationManager`; see `CredentialSource`.

    Raises `ValidationFailedError` for a name that cannot be one, and `ConfigurationError` for a blocking manager.
    """

    manager: AsyncManager = field(repr=False)
    tenant_id: str
    integration: str | UUID
    slot: str = ""

    def __post_init__(self) -> None:
        _check(self.tenant_id, self.integration, self.slot)
        if not iscoroutinefunction(self.manager.credential):
            raise ConfigurationError(setting="the manager", problem="blocks, and this awaits: use an AsyncIntegrationManager")

    async def credential(self, *, min_ttl: timedelta | float | None = None) -> Credential:
        """Return a credential that works.  Raises as `AsyncIntegrationManager.credential`."""
        return await self.manager.credential(self.tenant_id, self.integration, slot=self.slot, min_ttl=min_ttl)

    async def replace_refused(self, refused: Credential, /) -> Credential:
        """Return another credential in place of *refused*.  Raises as `AsyncIntegrationManager.replace_refused`."""
        return await self.manager.replace_refused(self.tenant_id, refused)


def read_options(options: Mapping[str, str], /) -> Mapping[str, str]:
    """Return what a signature is told of requests.  Raises `ValidationFailedError`, which names the option, for what is no text."""
    for name, value in options.items():
        if not isinstance(value, str):
            raise ValidationFailedError(field=name, problem="must be text")
    return options


def _check(tenant_id: str, integration: str | UUID, slot: str) -> None:
    read_tenant_id(tenant_id)
    read_provider(integration)
    read_slot(slot)


def refuse_event_loop() -> None:
    """Raise `ConfigurationError` where an event loop is running: a renewal would stop everything that it serves."""
    # Where nobody has imported asyncio, no loop is running.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001  # documented for whoever implements a loop
        raise ConfigurationError(
            setting="the manager",
            problem="blocks, and an event loop is running here: use an AsyncIntegrationManager, or call it in a thread (asyncio.to_thread)",
        )
