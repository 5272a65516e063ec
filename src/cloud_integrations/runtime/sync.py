"""Flows without an event loop: running a flow to its end in one step, and making blocking ports awaitable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from cloud_integrations.domain.envelope import WrappedKey
from cloud_integrations.domain.event_message import EventMessage
from cloud_integrations.domain.signed_note import NoteKey, SignedNote
from cloud_integrations.ports.checkpoint_keys import CheckpointKeys
from cloud_integrations.ports.clock import AsyncPause, Pause
from cloud_integrations.ports.event_handler import AsyncEventHandler, EventHandler
from cloud_integrations.ports.key_service import KekRef, KeyService
from cloud_integrations.ports.rate_limiter import AsyncRateLimiter, RateLimiter
from cloud_integrations.ports.signing_keys import PublicSigningKey, SigningKeys
from cloud_integrations.ports.store import AsyncStore, Store
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport

T = TypeVar("T")


def run_inline(flow: Coroutine[Any, Any, T], /) -> T:
    """Run *flow* to its end in this thread, without an event loop, and return its result.

    A coroutine pauses only where something that it awaits pauses, and blocking ports never do.  Raises what *flow* raises, and
    `RuntimeError` if it pauses.
    """
    try:
        flow.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    flow.close()
    raise RuntimeError(f"{flow!r} paused; a blocking flow may only await blocking ports")


class _Awaitable:
    """A blocking port with each method as a coroutine function that never pauses."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __repr__(self) -> str:
        return f"awaitable {self._port!r}"

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._port, name)

        @wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        setattr(self, name, call)
        return call


# The blocking and the awaiting form of each port have the same methods (a house test compares them), so the casts are true.


def awaitable_store(store: Store, /) -> AsyncStore:
    """Return *store* with methods that can be awaited."""
    return cast("AsyncStore", _Awaitable(store))


def awaitable_transport(transport: Transport, /) -> AsyncTransport:
    """Return *transport* with methods that can be awaited."""
    return cast("AsyncTransport", _Awaitable(transport))


def awaitable_tenants(tenants: Tenants, /) -> AsyncTenants:
    """Return *tenants* with methods that can be awaited."""
    return cast("AsyncTenants", _Awaitable(tenants))


def awaitable_rate_limiter(limiter: RateLimiter, /) -> AsyncRateLimiter:
    """Return *limiter* with methods that can be awaited."""
    return cast("AsyncRateLimiter", _Awaitable(limiter))


def awaitable_pause(pause: Pause, /) -> AsyncPause:
    """Return *pause* with methods that can be awaited."""
    return cast("AsyncPause", _Awaitable(pause))


def awaitable_handlers(handlers: Mapping[str, EventHandler], /) -> dict[str, AsyncEventHandler]:
    """Return *handlers* as functions that can be awaited."""
    return {name: _awaitable_handler(handler) for name, handler in handlers.items()}


def _awaitable_handler(handler: EventHandler) -> AsyncEventHandler:
    async def take(message: EventMessage, /) -> None:
        handler(message)

    return take


class AwaitableKeyService:
    """A blocking key service that can be awaited: each call runs inline, or in a thread where the service may wait.

    Both managers use it: a data key is unwrapped once in minutes, so a thread costs nothing that counts.
    """

    def __init__(self, service: KeyService, /, *, in_thread: bool) -> None:
        self._service = service
        self._in_thread = in_thread

    def __repr__(self) -> str:
        return f"awaitable {self._service!r}"

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


class AwaitableSigningKeys:
    """Blocking signing keys that can be awaited: each call runs inline, or in a thread where the service may wait."""

    def __init__(self, keys: SigningKeys, /, *, in_thread: bool) -> None:
        self._keys = keys
        self._in_thread = in_thread

    def __repr__(self) -> str:
        return f"awaitable {self._keys!r}"

    @property
    def waits(self) -> bool:
        """See `SigningKeys.waits`."""
        return self._keys.waits

    async def public_keys(self) -> tuple[PublicSigningKey, ...]:
        """See `SigningKeys.public_keys`."""
        return await self._call(self._keys.public_keys)

    async def sign(self, key_id: str, message: bytes, /) -> bytes:
        """See `SigningKeys.sign`."""
        return await self._call(lambda: self._keys.sign(key_id, message))

    async def _call(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call) if self._in_thread else call()


class AwaitableCheckpointKeys:
    """Blocking keys of checkpoints that can be awaited: each call runs inline, or in a thread where the service may wait."""

    def __init__(self, keys: CheckpointKeys, /, *, in_thread: bool) -> None:
        self._keys = keys
        self._in_thread = in_thread

    def __repr__(self) -> str:
        return f"awaitable {self._keys!r}"

    @property
    def waits(self) -> bool:
        """See `CheckpointKeys.waits`."""
        return self._keys.waits

    async def public_keys(self) -> tuple[NoteKey, ...]:
        """See `CheckpointKeys.public_keys`."""
        return await self._call(self._keys.public_keys)

    async def sign(self, text: str, /) -> str:
        """See `CheckpointKeys.sign`."""
        return await self._call(lambda: self._keys.sign(text))

    async def is_signed(self, note: SignedNote, /) -> bool:
        """See `CheckpointKeys.is_signed`."""
        return await self._call(lambda: self._keys.is_signed(note))

    async def _call(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call) if self._in_thread else call()
