"""Requests and answers of httpx whose bodies are passed on while they come."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.protocol.http import HttpRequest

from .failures import in_our_words

if TYPE_CHECKING:
    import httpx
else:
    try:
        import httpx
    except ImportError:  # only its successor is installed, which has the same names
        import httpx2 as httpx

CONNECT_WITHIN: Final = timedelta(seconds=3)


def build_streamed(request: HttpRequest, body: bytes | Iterable[bytes], idle: timedelta, /) -> httpx.Request:
    """Return *request* as one of httpx, with its URL as it is written."""
    connect = CONNECT_WITHIN.total_seconds()
    timeout = {"connect": connect, "read": idle.total_seconds(), "write": idle.total_seconds(), "pool": connect}
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in request.headers.items()]
    # httpx would write the path anew, and a signature covers it as it is written.
    target = "/" + request.url.partition("://")[2].partition("/")[2]
    extensions = {"timeout": timeout, "target": target.encode("ascii")}
    return httpx.Request(request.method, request.url, headers=headers, content=body, extensions=extensions)


def parts_of(response: httpx.Response, request: HttpRequest, /) -> Generator[bytes]:
    """Yield the body of *response* as it comes.  Raises `AnswerLostError` where it does not come to its end."""
    problem: CloudIntegrationsError
    try:
        yield from response.iter_raw()
    except Exception as error:  # noqa: BLE001  # as in `HttpxTransport.send`
        problem = in_our_words(error, request)
    else:
        return
    raise alone(problem)
