"""Blocking ports, made to look awaitable."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from cloud_integrations.ports.clock import AsyncPause, Pause
from cloud_integrations.ports.store import AsyncStore, Store
from cloud_integrations.ports.tenants import AsyncTenants, Tenants
from cloud_integrations.ports.transport import AsyncTransport, Transport


class _Lifted:
    """Answers each method of a blocking port with a coroutine function that never pauses."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __repr__(self) -> str:
        return f"lifted {self._port!r}"

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._port, name)

        @wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        setattr(self, name, call)
        return call


# The two faces of each port have the same methods (a house test holds them alike), so a cast is the truth.


def lift_store(store: Store, /) -> AsyncStore:
    """Return *store* as flows want it."""
    return cast("AsyncStore", _Lifted(store))


def lift_transport(transport: Transport, /) -> AsyncTransport:
    """Return *transport* as flows want it."""
    return cast("AsyncTransport", _Lifted(transport))


def lift_tenants(tenants: Tenants, /) -> AsyncTenants:
    """Return *tenants* as flows want them."""
    return cast("AsyncTenants", _Lifted(tenants))


def lift_pause(pause: Pause, /) -> AsyncPause:
    """Return *pause* as flows want it."""
    return cast("AsyncPause", _Lifted(pause))
