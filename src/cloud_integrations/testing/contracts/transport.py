"""What every `Transport` and `AsyncTransport` promises, as tests.

Inherit the class and provide the fixture it asks for, blocking or awaiting:

    class TestMyTransport(TransportContract):
        @pytest.fixture
        def transport(self):
            return MyTransport()

The tests send to a `ProviderServer`; override `base_url` for a transport that reaches its provider in another way.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest

from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError, ProviderUnreachableError
from cloud_integrations.protocol.http import MAX_BODY, MAX_TOKEN_BODY, HttpRequest, HttpResponse, read_json_object
from cloud_integrations.testing.clock import FixedClock
from cloud_integrations.testing.simulated_provider.misbehaviour import Misbehaviour
from cloud_integrations.testing.simulated_provider.provider import SimulatedProvider
from cloud_integrations.testing.simulated_provider.server import ProviderServer

PATIENT = timedelta(seconds=60)
HASTY = timedelta(milliseconds=500)
CANARY = "fake-canary-7f3a9d"


class Send(Protocol):
    """Sends through the transport under test, whether it blocks or awaits."""

    def __call__(self, request: HttpRequest, /, *, deadline: timedelta = PATIENT) -> HttpResponse: ...


class TransportContract:
    """Inherit, and provide the fixture `transport`."""

    @pytest.fixture
    def provider(self) -> SimulatedProvider:
        return SimulatedProvider(clock=FixedClock())

    @pytest.fixture
    def base_url(self, provider: SimulatedProvider) -> Iterator[str]:
        with ProviderServer(provider) as server:
            yield server.url

    @pytest.fixture
    def run(self) -> Iterator[Callable[[Any], Any]]:
        """Give a function that runs a coroutine, always in one event loop, and returns any other value as it is."""
        with asyncio.Runner() as runner:
            yield lambda result: runner.run(result) if inspect.iscoroutine(result) else result

    @pytest.fixture
    def send(self, transport: Any, run: Callable[[Any], Any]) -> Iterator[Send]:
        yield lambda request, /, *, deadline=PATIENT: run(transport.send(request, deadline=deadline))
        run(transport.close())

    def test_an_answer_comes_whole(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        response = send(_who_am_i(base_url, provider.valid_api_key.reveal()))
        assert response.status == 200
        assert read_json_object(response.body)["id"] == "acct-1"
        assert response.headers["content-type"] == "application/json"
        assert all(name == name.lower() for name in response.headers)
        assert response.sent_at is not None
        assert response.sent_at.utcoffset() == timedelta()

    def test_method_query_headers_and_body_arrive(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        tokens = provider.issue_grant()
        response = send(_refresh(provider, base_url, tokens.refresh.reveal()))
        assert response.status == 200
        assert provider.is_alive(read_json_object(response.body)["refresh_token"])
        assert not provider.is_alive(tokens.refresh)

    def test_an_empty_body_is_an_answer(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        provider.misbehave(Misbehaviour.EMPTY_BODY, endpoint="me")
        assert send(_who_am_i(base_url, provider.valid_api_key.reveal())).body == b""

    @pytest.mark.parametrize(
        ("what", "status"), [(Misbehaviour.ERROR_BEFORE, 500), (Misbehaviour.UNAVAILABLE, 503), (Misbehaviour.RATE_LIMITED, 429)]
    )
    def test_an_error_status_is_an_answer(
        self, send: Send, provider: SimulatedProvider, base_url: str, what: Misbehaviour, status: int
    ) -> None:
        provider.misbehave(what, endpoint="me")
        assert send(_who_am_i(base_url, provider.valid_api_key.reveal())).status == status
        assert len(provider.requests) == 1

    def test_a_redirect_is_an_answer_and_not_followed(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        provider.misbehave(Misbehaviour.REDIRECT)
        response = send(_refresh(provider, base_url, "fake-refresh"))
        assert response.status == 302
        assert response.headers["location"] == "https://elsewhere.example/token"
        assert len(provider.requests) == 1

    @pytest.mark.parametrize("what", [Misbehaviour.ANSWER_LOST, Misbehaviour.TIMEOUT_BEFORE, Misbehaviour.RESET_MID_BODY])
    def test_a_lost_answer_is_told_and_the_request_is_not_repeated(
        self, send: Send, provider: SimulatedProvider, base_url: str, what: Misbehaviour
    ) -> None:
        provider.misbehave(what)
        with pytest.raises(AnswerLostError):
            send(_refresh(provider, base_url, provider.issue_grant().refresh.reveal()))
        assert provider.refresh_count == 1

    def test_a_connection_that_was_closed_is_told_from_an_answer_that_is_late(
        self, send: Send, provider: SimulatedProvider, base_url: str
    ) -> None:
        request = _who_am_i(base_url, provider.valid_api_key.reveal())
        provider.misbehave(Misbehaviour.RESET_MID_BODY, endpoint="me")
        with pytest.raises(AnswerLostError) as closed:
            send(request)
        provider.misbehave(Misbehaviour.SLOW, endpoint="me", delay=timedelta(hours=1))
        with pytest.raises(AnswerLostError) as late:
            send(request, deadline=HASTY)
        assert (closed.value.connection_closed, late.value.connection_closed) == (True, False)

    def test_a_slow_answer_is_lost_at_the_deadline(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        send(_who_am_i(base_url, provider.valid_api_key.reveal()))  # the connection is open now
        provider.misbehave(Misbehaviour.SLOW, endpoint="me", delay=timedelta(hours=1))
        with pytest.raises(AnswerLostError):
            send(_who_am_i(base_url, provider.valid_api_key.reveal()), deadline=HASTY)

    def test_a_slow_drip_is_cut_at_the_deadline(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        send(_who_am_i(base_url, provider.valid_api_key.reveal()))
        provider.misbehave(Misbehaviour.SLOW_DRIP, endpoint="me")
        with pytest.raises(AnswerLostError):
            send(_who_am_i(base_url, provider.valid_api_key.reveal()), deadline=HASTY)

    def test_an_answer_that_is_too_long_is_unusable_and_not_lost(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        provider.misbehave(Misbehaviour.HUGE_BODY, endpoint="me")
        with pytest.raises(ProviderUnavailableError) as caught:
            send(_who_am_i(base_url, provider.valid_api_key.reveal()))
        assert caught.value.reason == "answer_too_long"

    def test_the_longest_answer_still_comes_whole(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        account = "a" * 100
        key = provider.issue_api_key(account=account)
        length = len(provider.handle("GET", "/me", headers={"authorization": f"Bearer {key.reveal()}"}).body)
        # The answer holds the account's name twice.
        longer, odd = divmod(MAX_BODY - length, 2)
        key = provider.issue_api_key(account=account + "a" * longer)
        body = send(_who_am_i(base_url, key.reveal())).body
        assert len(body) == MAX_BODY - odd

    @pytest.mark.parametrize(
        "what",
        [
            Misbehaviour.LONG_HEADERS,
            Misbehaviour.LONG_BODY,
            Misbehaviour.LONG_ACCESS_TOKEN,
            Misbehaviour.CONTENT_ENCODING_UNKNOWN,
            Misbehaviour.CONTENT_TYPE_MISSING,
            Misbehaviour.STATUS_CREATED,
        ],
    )
    def test_an_odd_answer_to_a_refresh_comes_whole(
        self, send: Send, provider: SimulatedProvider, base_url: str, what: Misbehaviour
    ) -> None:
        provider.misbehave(what)
        request = replace(_refresh(provider, base_url, provider.issue_grant().refresh.reveal()), max_body=MAX_TOKEN_BODY)
        answered = read_json_object(send(request).body, limit=MAX_TOKEN_BODY)
        assert provider.is_alive(answered["access_token"])
        assert provider.is_alive(answered["refresh_token"])

    @pytest.mark.usefixtures("base_url")
    def test_nobody_listening_means_unreachable(self, send: Send, provider: SimulatedProvider) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound, but it does not listen
            nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with pytest.raises(ProviderUnreachableError):
                send(_who_am_i(nobody, provider.valid_api_key.reveal()))
        assert provider.requests == ()

    def test_the_transport_works_after_a_failure(self, send: Send, provider: SimulatedProvider, base_url: str) -> None:
        provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="me")
        request = _who_am_i(base_url, provider.valid_api_key.reveal())
        with pytest.raises(AnswerLostError):
            send(request)
        assert send(request).status == 200

    @pytest.mark.parametrize("what", [None, Misbehaviour.ANSWER_LOST, Misbehaviour.HUGE_BODY, Misbehaviour.RESET_MID_BODY])
    def test_neither_log_nor_error_shows_a_secret(
        self, send: Send, provider: SimulatedProvider, base_url: str, what: Misbehaviour | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        if what is not None:
            provider.misbehave(what)
        granted = provider.issue_grant().refresh.reveal()
        request = _refresh(provider, base_url, granted, extra=CANARY)
        secrets = [CANARY, granted, *request.headers.values()]
        problem: ProviderUnavailableError | None = None
        try:
            secrets.append(read_json_object(send(request).body)["access_token"])
        except ProviderUnavailableError as error:
            problem = error
        shown = caplog.text
        if problem is not None:
            shown += f"{problem!r} {problem} {problem.details} {problem.__cause__!r} {problem.__context__!r}"
        assert (problem is None) == (what is None)
        assert not [secret for secret in secrets if secret in shown]

    def test_closing_twice_is_harmless(
        self, send: Send, transport: Any, run: Callable[[Any], Any], provider: SimulatedProvider, base_url: str
    ) -> None:
        send(_who_am_i(base_url, provider.valid_api_key.reveal()))
        run(transport.close())
        run(transport.close())


def _who_am_i(base_url: str, credential: str) -> HttpRequest:
    return HttpRequest(
        method="GET", url=f"{base_url}/me", headers={"Authorization": f"Bearer {credential}"}, provider_id="simulated", loopback=True
    )


def _refresh(provider: SimulatedProvider, base_url: str, token: str, *, extra: str = "fake") -> HttpRequest:
    application = provider.application()
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": application.client_id, "extra": extra}
    if application.client_secret is not None:
        form["client_secret"] = application.client_secret.reveal()
    return HttpRequest(
        method="POST",
        url=f"{base_url}/token?{urlencode({'extra': extra})}",
        headers={"Content-Type": "application/x-www-form-urlencoded", "X-Extra": f"{extra}-header"},
        body=urlencode(form).encode(),
        provider_id="simulated",
        loopback=True,
    )
