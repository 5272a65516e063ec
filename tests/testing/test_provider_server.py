from __future__ import annotations

import contextlib
import re
import socket
import threading
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cloud_integrations.protocol.http import MAX_BODY
from cloud_integrations.testing import Misbehaviour, ProviderServer, SimulatedProvider


@pytest.fixture
def provider():
    return SimulatedProvider()


@pytest.fixture
def server(provider):
    with ProviderServer(provider) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False) as opened:
        yield opened


def authorization(provider):
    return {
        "response_type": "code",
        "client_id": provider.application().client_id,
        "redirect_uri": "http://127.0.0.1:1/callback",
        "state": "fake-state",
        "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(("decision", "brought"), [("approve", "code"), ("deny", "error")])
def test_a_plain_http_client_can_sign_in(client, provider, decision, brought):
    page = client.get("/authorize", params=authorization(provider))
    assert page.headers["content-type"].startswith("text/html")
    assert "form-action 'self' http://127.0.0.1:1;" in page.headers["content-security-policy"]
    assert set(re.findall(r'name="decision" value="(\w+)"', page.text)) == {"approve", "deny"}
    form = {"request": re.search(r'name="request" value="(\w+)"', page.text)[1], "decision": decision}
    back = client.post(re.search(r'action="([^"]+)"', page.text)[1], data=form)
    assert back.status_code == 303
    answer = parse_qs(urlsplit(back.headers["location"]).query)
    assert brought in answer
    assert answer["iss"] == [provider.base_url] == [str(client.base_url).rstrip("/")]


def test_the_provider_lives_at_the_server_only_while_it_runs(provider):
    before = provider.base_url
    server = ProviderServer(provider)
    with pytest.raises(RuntimeError):
        _ = server.url
    with server:
        assert provider.base_url == server.url
        port = urlsplit(server.url).port
    assert provider.base_url == before
    with ProviderServer(provider, port=port) as again:
        assert urlsplit(again.url).port == port


def test_closing_waits_for_nobody(provider):
    threads = threading.active_count()
    provider.misbehave(Misbehaviour.SLOW, endpoint="me", delay=timedelta(hours=1))
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(ProviderServer(provider))
        idle = opened.enter_context(httpx.Client(base_url=server.url, trust_env=False))
        idle.get("/authorize")
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as waiting:
            waiting.sendall(b"GET /me HTTP/1.1\r\nHost: fake\r\n\r\n")
            while provider.count("me") == 0:
                pass
            server.__exit__(None, None, None)
    assert threading.active_count() <= threads  # one of an earlier test may have ended meanwhile


def test_a_delay_is_really_waited_for(client, provider):
    provider.misbehave(Misbehaviour.SLOW, endpoint="me", delay=timedelta(milliseconds=20))
    assert client.get("/me").elapsed >= timedelta(milliseconds=20)


@pytest.mark.parametrize("what", [Misbehaviour.CONNECTION_REFUSED, Misbehaviour.ANSWER_LOST])
def test_a_dropped_connection_gives_no_answer(client, provider, what):
    provider.misbehave(what, endpoint="me")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/me")
    assert len(provider.requests) == (what is Misbehaviour.ANSWER_LOST)


def test_a_reset_ends_the_answer_in_the_middle(client, provider):
    provider.misbehave(Misbehaviour.RESET_MID_BODY, endpoint="me")
    with pytest.raises(httpx.TransportError):
        client.get("/me")


def test_a_drip_comes_byte_by_byte_and_ends_when_nobody_listens(client, provider):
    provider.misbehave(Misbehaviour.SLOW_DRIP, endpoint="me")
    with client.stream("GET", "/me") as response:
        assert next(response.iter_raw()) == b" "
        assert int(response.headers["content-length"]) == MAX_BODY


def test_a_request_that_is_too_long_is_refused(client):
    assert client.post("/token", content=b"x" * (MAX_BODY + 1)).status_code == 413


def test_the_server_is_quiet(client, provider, capsys):
    client.get("/me", headers={"Authorization": "Bearer fake"})
    provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="me")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/me")
    assert capsys.readouterr() == ("", "")


def test_a_mistake_in_a_clock_is_not_hidden(client, provider, capsys, monkeypatch):
    monkeypatch.setattr(provider, "clock", None)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/me")
    assert "AttributeError" in capsys.readouterr().err
