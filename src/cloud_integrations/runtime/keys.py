"""A blocking key service, as flows want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from cloud_integrations.domain.envelope import WrappedKey
from cloud_integrations.ports.keys import KekRef, KeyService

T = TypeVar("T")


class AwaitedKeys:
    """Makes each call where it is awaited, or in a thread of its own where the service may wait.

    One blocking service is enough for both doors: a data key is unwrapped once in minutes, so a thread costs nothing that counts.
    """

    def __init__(self, service: KeyService, /, *, in_thread: bool) -> None:
        self._service = service
        self._in_thread = in_thread

    def __repr__(self) -> str:
        return f"awaited {self._service!r}"

    @property
    def waits(self) -> bool:
        """See `KeyService.waits`."""
        return self._service.waits

    def keks(self) -> tuple[KekRef, ...]:
        """See `KeyService.keks`."""
        return self._service.keks()

    def primary(self, tenant_id: str, /) -> KekRef:
        """See `KeyService.primary`."""
        return self._service.primary(tenant_id)

    async def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int) -> tuple[KekRef, bytes]:
        """See `KeyService.wrap`."""
        try:
            # Not an argument of the call: a traceback may be shown with the local variables of its frames.
            return await self._call(lambda: self._service.wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version))
        finally:
            data_key = b""

    async def unwrap(self, wrapped: WrappedKey, /) -> bytes:
        """See `KeyService.unwrap`."""
        return await self._call(lambda: self._service.unwrap(wrapped))

    async def _call(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call) if self._in_thread else call()
