"""The transports that reach a `SimulatedProvider` without a network."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError, ProviderUnreachableError
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.testing.clock import FixedClock

from .misbehaviour import Delivery
from .provider import SimulatedProvider
from .requests import Answer

BeforeSend = Callable[[HttpRequest], object]
AfterSend = Callable[[HttpRequest, HttpResponse], object]


class SimulatedTransport:
    """A `Transport` in memory.

    `before_send` is called before the provider receives a request, `after_send` after the provider has processed it and before the
    client has the answer; a test may wait or raise in both.  Delays advance the provider's clock where it is a `FixedClock`, and take
    real time otherwise.  Hosts other than the provider's are unreachable.
    """

    def __init__(
        self, provider: SimulatedProvider, /, *, before_send: BeforeSend | None = None, after_send: AfterSend | None = None
    ) -> None:
        self.provider = provider
        self.before_send = before_send
        self.after_send = after_send

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request* to the provider; see `ports.transport.Transport`."""
        sent_at = self.provider.clock.now()
        if self.before_send is not None:
            self.before_send(request)
        with _receive(self.provider, request) as answer:
            if (wait := _wait(answer, deadline)) and not _advance(self.provider, wait):
                time.sleep(wait.total_seconds())
            if self.after_send is not None and answer.delivery is not Delivery.REFUSED:
                self.after_send(request, answer.response)
            return _deliver(request, answer, deadline=deadline, sent_at=sent_at)

    def close(self) -> None:
        """Do nothing: no connection was opened."""


class AsyncSimulatedTransport:
    """An `AsyncTransport` in memory; see `SimulatedTransport`.

    Its hooks may be plain functions or coroutine functions.  Other tasks run before and after the provider processes a request, so that
    races can happen.
    """

    def __init__(
        self,
        provider: SimulatedProvider,
        /,
        *,
        before_send: BeforeSend | Callable[[HttpRequest], Awaitable[object]] | None = None,
        after_send: AfterSend | Callable[[HttpRequest, HttpResponse], Awaitable[object]] | None = None,
    ) -> None:
        self.provider = provider
        self.before_send = before_send
        self.after_send = after_send

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request* to the provider; see `ports.transport.AsyncTransport`."""
        sent_at = self.provider.clock.now()
        if self.before_send is not None:
            await _settle(self.before_send(request))
        await asyncio.sleep(0)
        with _receive(self.provider, request) as answer:
            if (wait := _wait(answer, deadline)) and not _advance(self.provider, wait):
                await asyncio.sleep(wait.total_seconds())
            if self.after_send is not None and answer.delivery is not Delivery.REFUSED:
                await _settle(self.after_send(request, answer.response))
            await asyncio.sleep(0)
            return _deliver(request, answer, deadline=deadline, sent_at=sent_at)

    async def close(self) -> None:
        """Do nothing: no connection was opened."""


async def _settle(result: object, /) -> None:
    if inspect.isawaitable(result):
        await result


def _receive(provider: SimulatedProvider, request: HttpRequest, /) -> AbstractContextManager[Answer]:
    url = urlsplit(request.url)
    if f"{url.scheme}://{url.netloc}" != provider.base_url:
        raise ProviderUnreachableError(provider_id=request.provider_id)
    return provider.receive(request.method, url.path, query=url.query, headers=request.headers, body=request.body)


def _wait(answer: Answer, deadline: timedelta, /) -> timedelta:
    """Return how long the client waits, until the answer or the deadline."""
    if answer.delivery is Delivery.DRIP:
        return deadline
    return min(answer.delay, deadline)


def _advance(provider: SimulatedProvider, wait: timedelta, /) -> bool:
    if isinstance(provider.clock, FixedClock):
        provider.clock.advance(wait)
        return True
    return False


def _deliver(request: HttpRequest, answer: Answer, /, *, deadline: timedelta, sent_at: datetime) -> HttpResponse:
    if answer.delivery is Delivery.REFUSED:
        raise ProviderUnreachableError(provider_id=request.provider_id)
    if answer.delivery is not Delivery.WHOLE or answer.delay >= deadline:
        raise AnswerLostError(provider_id=request.provider_id, connection_closed=answer.delivery is Delivery.RESET)
    if len(answer.response.body) > request.max_body:
        raise ProviderUnavailableError(provider_id=request.provider_id, reason="answer_too_long")
    return replace(answer.response, sent_at=sent_at)
