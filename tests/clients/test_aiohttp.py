"""The middleware of aiohttp beyond what every client promises: bodies, redirects, other servers, signatures."""

from __future__ import annotations

import asyncio

import pytest

from cloud_integrations.domain.signing import Signed
from cloud_integrations.errors import CredentialFormError, ValidationFailedError
from cloud_integrations.testing import ProviderServer, SimulatedProvider

from .conftest import TENANT, opened
from .packages import AIOHTTP

pytestmark = pytest.mark.skipif(AIOHTTP is None, reason="this session has no aiohttp")


def middleware(world, *origins, **options):
    from cloud_integrations.clients import aiohttp_middleware

    return aiohttp_middleware(world.awaiting, TENANT, "simulated", origins=origins or [world.api.url], **options)


def post(made, url, data=None, method="POST"):
    async def sent():
        async with (
            AIOHTTP.ClientSession(middlewares=[made]) as session,
            session.request(method, url, data=data() if data else None) as answer,
        ):
            return answer.status

    return asyncio.run(sent())


@pytest.mark.parametrize("body", [b"fake body", "fake text", {"fake": "form"}])
def test_a_body_is_sent_again_if_it_can_be(world, body):
    world.end_token()
    assert post(middleware(world), world.api.url, lambda: body) == 200
    first, second = (seen.body for seen in world.api.seen)
    assert first == second != b""


def test_a_stream_is_not_sent_again(world, tmp_path):
    async def stream():
        yield b"fake"
        yield b" stream"

    world.end_token()
    assert post(middleware(world), world.api.url, stream) == 401
    assert [seen.body for seen in world.api.seen] == [b"fake stream"]
    file = tmp_path / "upload"
    file.write_bytes(b"fake file")
    assert post(middleware(world), world.api.url, lambda: file.open("rb")) == 401
    assert [seen.body for seen in world.api.seen][1:] == [b"fake file"]
    assert world.provider.refresh_count == 0


def test_another_server_is_not_shown_the_credential(world, monkeypatch):
    """aiohttp calls a middleware for each redirect, too."""
    answers = world.api.answer

    def moved(method, path, headers, body):
        status, answer = answers(method, path, headers, body)
        return (302, b"") if path == "/moved" else (status, answer)

    world.api.redirect = f"http://localhost:{world.api.url.rpartition(':')[2]}/elsewhere"
    monkeypatch.setattr(world.api, "answer", moved)
    assert post(middleware(world), f"{world.api.url}/moved", method="GET") == 401
    assert [bool(token) for token in world.api.tokens] == [True, False]
    assert world.provider.refresh_count == 0


@pytest.mark.parametrize("origins", [[], "https://api.example", ["/things"], [5]])
def test_origins_are_servers(world, origins):
    from cloud_integrations.clients import aiohttp_middleware

    with pytest.raises(ValidationFailedError) as caught:
        aiohttp_middleware(world.awaiting, TENANT, "simulated", origins=origins)
    assert caught.value.field == "origins"


def test_what_a_signature_is_told_is_text(world):
    with pytest.raises(ValidationFailedError) as caught:
        middleware(world, region=5)
    assert caught.value.field == "region"


def test_requests_are_signed_and_renewed():
    """The token is bound to a key (RFC 9449): each request is signed, and the server asks for a nonce."""
    provider = SimulatedProvider(auto_approve=True, dpop=True)
    with ProviderServer(provider) as server, opened(provider) as world:
        provider.dpop_nonce = "nonce-1"
        made = middleware(world, server.url)
        assert post(made, f"{server.url}/me", method="GET") == 200
        world.end_token()
        assert post(made, f"{server.url}/me", method="GET") == 200
    assert sum(request.endpoint == "refresh" and request.status == 200 for request in provider.requests) == 1


def test_a_signed_request_is_sent_as_it_was_signed(world, monkeypatch):
    """The signature covers URL, headers and body, so none of them is written anew."""
    from cloud_integrations.domain.credential import Credential

    token = world.token
    signed = []

    def sign(self, request, **options):
        signed.append((request.body, options))
        return Signed(url=f"{request.url}?name=%7Ea%2Fb", headers={**request.headers, "Authorization": f"Bearer {token}"})

    monkeypatch.setattr(Credential, "_find_forms", lambda _: ("sign",))
    monkeypatch.setattr(Credential, "sign", sign)
    assert post(middleware(world, service="fake"), f"{world.api.url}/things", lambda: b"fake body") == 200
    assert signed == [(b"fake body", {"service": "fake"})]
    assert [(seen.path, seen.body) for seen in world.api.seen] == [("/things?name=%7Ea%2Fb", b"fake body")]

    async def stream():
        yield b"fake"

    with pytest.raises(ValidationFailedError, match="the signature covers it"):
        post(middleware(world), world.api.url, stream)


def test_a_credential_that_no_request_holds_is_refused(world, monkeypatch):
    from cloud_integrations.domain.credential import Credential

    monkeypatch.setattr(Credential, "_find_forms", lambda _: ("ssl_context",))
    with pytest.raises(CredentialFormError):
        post(middleware(world), world.api.url)
    assert world.api.seen == []
