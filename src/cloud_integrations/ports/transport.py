"""Send requests to providers."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from cloud_integrations.protocol.http import HttpRequest, HttpResponse


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
