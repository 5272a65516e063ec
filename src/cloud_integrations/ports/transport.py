"""Send requests to providers."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Protocol

from cloud_integrations.protocol.http import HttpRequest, HttpResponse, StreamedResponse


class AsyncTransport(Protocol):
    """Sends one request and returns the whole answer.  `Transport` is the same, blocking.

    It follows no redirect, retries nothing, uses no cookie, proxy or netrc file, and reads at most `request.max_body` bytes of the
    answer.  Once connected, no time limit is shorter than the deadline.
    """

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request* and return the answer, all within *deadline*.

        Raises `ProviderUnreachableError` if the request was certainly not received, and `AnswerLostError` if it may have been received
        and no complete answer came.
        """
        ...

    async def close(self) -> None:
        """Close the connections that this transport opened."""
        ...


class Transport(Protocol):
    """The blocking form of `AsyncTransport`."""

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse: ...

    def close(self) -> None: ...


class Interruption(Protocol):
    """Ends exchanges from another thread."""

    def of(self, connection: Any, /) -> AbstractContextManager[object]:
        """Give a context in which *connection*, a socket, may be shut down; entering it raises `OSError` once exchanges are to end."""
        ...


class StreamingTransport(Transport, Protocol):
    """A `Transport` that can pass on bodies of any length while they come."""

    def stream(
        self,
        request: HttpRequest,
        body: bytes | Iterable[bytes],
        /,
        *,
        deadline: timedelta,
        idle: timedelta,
        interruption: Interruption | None = None,
    ) -> AbstractContextManager[StreamedResponse]:
        """Send *request* with *body* in place of its own, and give the answer as long as the context is open.

        Its URL is sent as it is written, and no header is added but `Host`, `Content-Length` and `Transfer-Encoding`.  The exchange ends
        at *deadline*, or where nothing is sent or received for as long as *idle*.  Entering raises as `send`, and so does `parts`.
        """
        ...
