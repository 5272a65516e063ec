"""The injecting proxy and answers: what comes back to the child, and how it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.clients.injector import exchange, server
from cloud_integrations.errors import ConfigurationError, IntegrationInactiveError, ProviderUnavailableError, RefreshInProgressError

from .upstreams import CANARY, FakeInjector, Upstream, bearer, body_of, document_of, head_of, ok, opened_way, receive, status_of


@pytest.fixture
def way(tmp_path):
    with Upstream(tmp_path) as upstream, opened_way(upstream) as way:
        yield way


def test_a_reason_phrase_is_not_passed_on(way):
    way.upstream.answer = lambda *_: ok(b"", status=f"299 {CANARY}")
    assert way.ask("GET /").startswith(b"HTTP/1.1 299 \r\n")


def test_a_secret_that_is_cut_between_parts_of_an_answer_is_hidden(way):
    def in_pieces(asked, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for letter in f"<{CANARY}>".encode():
            connection.sendall(b"1\r\n%c\r\n" % letter)
        connection.sendall(b"0\r\n\r\n")

    way.upstream.answer = in_pieces
    answer = way.raw(f"GET {way.upstream.url}/ HTTP/1.0", f"Host: {way.upstream.authority}")
    assert body_of(answer) == b"<" + b"*" * len(CANARY) + b">"
    assert b"transfer-encoding" not in head_of(answer)


def test_an_answer_is_passed_on_while_it_comes(way):
    sockets = []

    def begin(asked, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n")
        sockets.append(connection)
        sockets[0].recv(1)

    way.upstream.answer = begin
    with way.connect() as connection:
        lines = [f"GET {way.upstream.url}/ HTTP/1.1", f"Host: {way.upstream.authority}", way.password, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        came = b""
        while b"data: 1" not in came:
            came += connection.recv(1000)
        sockets[0].sendall(b"0\r\n\r\n")
        came += receive(connection)
    assert body_of(came) == b"7\r\ndata: 1\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", b""),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Encoding: br\r\nConnection: close\r\n\r\n', b""),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", b"hi"),
        ("GET", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", b"a\r\nto the end\r\n0\r\n\r\n"),
        ("GET", b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b""),
    ],
)
def test_each_kind_of_answer_has_its_own_end(way, method, answer, body):
    def send(asked, connection):
        connection.sendall(answer)

    way.upstream.answer = send
    came = way.ask(f"{method} /")
    assert came.split(b"\r\n")[0] == next(line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ") and b"103" not in line)
    assert body_of(came) == body
    assert len(way.upstream.seen) == 1


def test_headers_of_the_server_that_are_not_for_the_child_do_not_come_back(way):
    way.upstream.answer = lambda *_: ok(
        b"x",
        "Set-Cookie: session=1",
        "Connection: X-Listed",
        "X-Listed: 1",
        "Keep-Alive: 5",
        "Alt-Svc: h3",
        "Proxy-Authenticate: Basic",
        "X-Kept: 1",
    )
    assert set(head_of(way.ask("GET /")).split(b"\r\n")[1:]) == {b"content-length: 1", b"x-kept: 1", b"connection: close"}


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_a_compressed_answer_is_not_passed_on(way, encoding):
    way.upstream.answer = lambda *_: ok(b"\x1f\x8b...", f"Content-Encoding: {encoding}")
    answer = way.ask("GET /")
    assert (status_of(answer), document_of(answer)["reason"]) == (502, "answer")
    assert way.injector.recorded == []


def test_what_a_server_says_to_its_neighbour_is_not_passed_on(way):
    way.upstream.answer = lambda *_: ok(b"", 'Proxy-Authenticate: Basic realm="x"', status="407 Proxy Authentication Required")
    assert status_of(way.ask("GET /")) == 502

    def switch(asked, connection):
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        connection.recv(1)

    way.upstream.answer = switch
    assert status_of(way.ask("GET /")) == 502


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nX One: 1\r\n\r\n",
        b"",
    ],
)
def test_garbage_is_answered_with_502(way, garbage):
    def send(asked, connection):
        connection.sendall(garbage)

    way.upstream.answer = send
    answer = way.ask("GET /")
    assert status_of(answer) == 502
    assert document_of(answer)["code"] == ProviderUnavailableError.code


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"half"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"4\r\nhalf\r\n"),
    ],
)
def test_an_answer_that_is_cut_does_not_look_whole(way, answer, passed):
    def send(asked, connection):
        connection.sendall(answer)

    way.upstream.answer = send
    assert body_of(way.ask("GET /")) == passed


def test_a_server_that_says_nothing_is_given_up(way, monkeypatch):
    monkeypatch.setattr(exchange, "IDLE", timedelta(seconds=0.05))
    way.upstream.answer = lambda asked, connection: connection.recv(1)
    assert status_of(way.ask("GET /")) == 502


def test_a_401_is_healed_once_where_the_body_is_kept(way):
    way.injector.credentials = [bearer("fake-old-token"), bearer("fake-new-token")]
    way.upstream.answer = lambda asked, _: ok(b"in", status="200 OK" if "new" in asked.headers["authorization"] else "401 Unauthorized")
    assert body_of(way.ask("POST /", "Content-Length: 2", body=b"hi")) == b"in"
    assert [asked.body for asked in way.upstream.seen] == [b"hi", b"hi"]
    assert len(way.injector.refused) == 1


def test_a_second_401_is_passed_on(way):
    way.upstream.answer = lambda *_: ok(b"no", "WWW-Authenticate: Bearer", status="401 Unauthorized")
    answer = way.within("GET / HTTP/1.1", f"Host: {way.upstream.authority}")
    assert (status_of(answer), len(way.upstream.seen), len(way.injector.refused)) == (401, 2, 1)
    assert b"www-authenticate: bearer" in head_of(answer)


def test_a_401_to_a_body_that_is_not_kept_is_passed_on(way):
    way.upstream.answer = lambda *_: ok(b"no", status="401 Unauthorized")
    answer = way.ask("POST /", "Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n")
    assert (status_of(answer), len(way.upstream.seen), way.injector.refused) == (401, 1, [])


def test_the_old_and_the_new_credential_are_hidden(way):
    way.injector.credentials = [bearer("fake-old-token"), bearer("fake-new-token")]
    way.upstream.answer = lambda asked, _: ok(
        b"fake-old-token fake-new-token", status="200 OK" if "new" in asked.headers["authorization"] else "401 Unauthorized"
    )
    assert body_of(way.ask("GET /")) == b"*" * 14 + b" " + b"*" * 14


def test_an_error_that_may_pass_says_when_to_come_again(way):
    way.injector.error = RefreshInProgressError(integration_id="1", retry_after=timedelta(seconds=3))
    answer = way.ask("GET /")
    assert status_of(answer) == 503
    assert b"\r\nretry-after: 3\r\n" in head_of(answer)
    assert document_of(answer)["code"] == RefreshInProgressError.code


def test_a_fault_of_ours_is_no_answer_and_its_text_is_not_logged(way, caplog):
    way.injector.error = RuntimeError(CANARY)
    assert way.ask("GET /") == b""
    assert "the injecting proxy did not answer a request: RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def test_more_requests_than_threads_are_told_to_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "MOST_AT_ONCE", 1)
    with Upstream(tmp_path) as upstream, opened_way(upstream) as way, way.connect() as first:
        first.sendall(b"G")
        answer = way.ask("GET /")
        assert (status_of(answer), document_of(answer)["code"]) == (503, "proxy/busy")


def test_a_host_with_its_usual_port_is_the_host(tmp_path):
    injector = FakeInjector("api.example.com", "api.example.com:8443")
    with Upstream(tmp_path) as upstream, opened_way(upstream, injector) as way:
        injector.error = RefreshInProgressError(integration_id="1", retry_after=timedelta(seconds=3))
        for line, host in (
            ("GET http://api.example.com/a", "api.example.com"),
            ("GET http://API.example.com:80/a", "api.example.com"),
            ("GET https://api.example.com:443/a", "API.example.com:443"),
            ("GET http://api.example.com:8443/a", "api.example.com:8443"),
        ):
            assert status_of(way.raw(f"{line} HTTP/1.1", f"Host: {host}")) == 503
    assert [url for _, url in injector.asked] == ["https://api.example.com/a"] * 3 + ["https://api.example.com:8443/a"]


def test_a_mistake_in_the_settings_is_told_to_who_runs_the_proxy_alone(way, caplog):
    way.injector.error = ConfigurationError(setting="client", problem="has a fake mistake")
    answer = way.ask("GET /")
    assert (status_of(answer), document_of(answer)["message"]) == (500, "this request cannot be sent")
    assert "fake mistake" in caplog.text
    assert way.injector.recorded == []


def test_an_error_that_does_not_pass_is_answered_with_403(way):
    way.injector.error = IntegrationInactiveError(integration_id="1")
    answer = way.ask("GET /")
    assert (status_of(answer), document_of(answer)["code"]) == (403, IntegrationInactiveError.code)
    assert b"retry-after" not in head_of(answer)


def test_a_long_body_that_breaks_off_is_not_answered(way, monkeypatch):
    monkeypatch.setattr(exchange, "SMALL", 1)
    broken = b"5\r\nhello\r\nzz\r\n"
    answer = way.ask("POST /", "Transfer-Encoding: chunked", body=broken)
    assert (status_of(answer), document_of(answer)["reason"]) == (400, "request")
    assert way.upstream.seen == []
