"""Anthropic's SDK: middleware that lets our errors through.

The SDK makes `anthropic.APIConnectionError` of what `auth=` of its HTTP client raises, and tries again; what a middleware raises reaches
the caller.  Source: https://github.com/anthropics/anthropic-sdk-python (`middleware` of `Anthropic`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cloud_integrations.errors import CloudIntegrationsError

Request = TypeVar("Request")
Response = TypeVar("Response")


def anthropic_errors(request: Request, call_next: Callable[[Request], Response], /) -> Response:
    """Raise what `IntegrationManager.credential` raised: for `middleware=` of `anthropic.Anthropic`, whose HTTP client has the `auth`."""
    with _ours_go_through():
        return call_next(request)


async def async_anthropic_errors(request: Request, call_next: Callable[[Request], Awaitable[Response]], /) -> Response:
    """Raise what `AsyncIntegrationManager.credential` raised: for `middleware=` of `anthropic.AsyncAnthropic`."""
    with _ours_go_through():
        return await call_next(request)


@contextmanager
def _ours_go_through() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        ours = error.__cause__
        if isinstance(ours, CloudIntegrationsError):
            raise ours from ours.__cause__
        raise
