"""A uvicorn server in our own event loop, on an address that is already bound."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from cloud_integrations.errors import ConfigurationError


class Listening(uvicorn.Server):
    """A uvicorn server that tells when it is ready and leaves signals alone."""

    def __init__(self, app: ASGIApp, /, *, when_ready: Callable[[], None], trusted_proxies: Sequence[str] = ()) -> None:
        # Its own log would show a callback's query, and so would its access log.
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=10,
                forwarded_allow_ips=list(trusted_proxies),
            )
        )
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle no signals: the caller decides about them."""
        yield


def bind(host: str, port: int, /) -> socket.socket:
    """Return a socket bound to the address, so that its port is known early.  Raises `ConfigurationError`, as for a port in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            setting=f"{host}:{port}", problem=f"cannot be listened on: {error.strerror or 'no such address'}"
        ) from None
    return bound
