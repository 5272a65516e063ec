"""How a request leaves the house."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from cloud_integrations.protocol.http import HttpRequest, HttpResponse


class AsyncTransport(Protocol):
    """Sends one request and returns the whole answer.  `Transport` is the same, blocking.

    No redirect is followed, nothing is retried, no cookie, proxy or netrc is used, and the answer
    is cut at `request.max_body` bytes.  No limit is shorter than the deadline, once the connection stands.
    """

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request* and return the answer, all within *deadline*.

        Raises `ProviderUnreachableError` when the request was surely not received, and
        `AnswerLostError` when it may have been, but no whole answer came.
        """
        ...

    async def close(self) -> None:
        """Close the connections that this transport opened."""
        ...


class Transport(Protocol):
    """The blocking face of `AsyncTransport`."""

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse: ...

    def close(self) -> None: ...
