"""The injecting proxy and bytes: requests in which two readers could read two things, and what goes on to the server and back."""

from __future__ import annotations

import socket

import pytest

from cloud_integrations.clients.injector import exchange, wire

from .upstreams import CANARY, Upstream, bearer, body_of, document_of, echo, ok, opened_way, receive, status_of


@pytest.fixture
def way(tmp_path):
    with Upstream(tmp_path) as upstream, opened_way(upstream) as way:
        yield way


def test_a_request_gets_the_credential_and_its_answer_comes_back(way):
    way.upstream.answer = lambda *_: ok(b"hello", "X-More: 1")
    answer = way.ask("GET /path?x=1")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"X-More: 1\r\n" in answer
    assert body_of(answer) == b"hello"
    [asked] = way.upstream.seen
    assert asked.line == "GET /path?x=1 HTTP/1.1"
    assert asked.headers["authorization"] == f"Bearer {CANARY}"
    assert "proxy-authorization" not in asked.headers


def test_a_url_without_a_path_is_that_of_the_root(way):
    assert body_of(way.ask("GET ")) == b"fine"
    assert way.upstream.seen[0].line == "GET / HTTP/1.1"


def test_a_request_by_tls_gets_the_credential_and_its_path_goes_on_as_it_is_written(way):
    assert body_of(way.within("GET /a/../%7Eb//c?q=%41 HTTP/1.1", f"Host: {way.upstream.authority}")) == b"fine"
    assert way.upstream.seen[0].line == "GET /a/../%7Eb//c?q=%41 HTTP/1.1"
    assert way.upstream.seen[0].headers["authorization"] == f"Bearer {CANARY}"


def test_no_answer_repeats_the_credential(way):
    way.upstream.answer = echo
    for answer in (
        way.ask("GET /echo"),
        way.within("POST /echo HTTP/1.1", f"Host: {way.upstream.authority}", "Content-Length: 5", body=b"hello"),
    ):
        assert CANARY.encode() not in answer
        assert b"authorization: bearer ****" in answer.lower()
        assert b"X-Seen: Bearer *****" in answer


def test_headers_of_the_child_that_are_not_for_the_server_do_not_go_on(way):
    way.ask(
        "POST /",
        "Authorization: Bearer fake-of-the-child",
        "Cookie: a=b",
        "Connection: close, X-Listed",
        "X-Listed: 1",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Range: bytes=3-9",
        "Accept-Encoding: gzip, br",
        "X-Kept: 1",
        "X-Kept: 2",
        "Content-Length: 2",
        body=b"hi",
    )
    [asked] = way.upstream.seen
    assert asked.headers == {
        "host": way.upstream.authority,
        "x-kept": "1, 2",
        "accept-encoding": "identity",
        "authorization": f"Bearer {CANARY}",
        "content-length": "2",
    }
    assert asked.body == b"hi"


def test_a_credential_in_a_header_and_in_the_query_replaces_the_child_s_own(way):
    from cloud_integrations.domain.provider import Present

    way.injector.credentials = [bearer(present=Present(headers={"X-Api-Key": "{value}"}, query={"key": "{value}"}))]
    way.upstream.answer = echo
    answer = way.ask("GET /?key=mine&a=1", "x-api-key: mine")
    [asked] = way.upstream.seen
    assert asked.line.startswith("GET /?a=1&key=canary%2Ftok")
    assert asked.headers["x-api-key"] == CANARY
    assert b"mine" not in answer
    assert b"canary" not in answer


AMBIGUOUS = {
    "a length and chunks": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "two lengths": ("Content-Length: 5", "Content-Length: 6"),
    "one length twice": ("Content-Length: 5", "Content-Length: 5"),
    "a list of lengths": ("Content-Length: 5, 5",),
    "a length with a sign": ("Content-Length: +5",),
    "an encoding below the chunks": ("Transfer-Encoding: gzip, chunked",),
    "an unknown encoding": ("Transfer-Encoding: xchunked",),
    "chunks twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "a line that goes on": ("X-One: 1", " more: 2"),
    "a line that goes on with a tab": ("X-One: 1", "\tmore: 2"),
    "white space before the colon": ("Content-Length : 5",),
    "a name that is none": ("X One: 1",),
    "no name": (": 1",),
    "no colon": ("X-One",),
    "a zero byte": ("X-One: a\0b",),
    "a line feed alone": ("X-One: 1\nX-Two: 2",),
    "a carriage return alone": ("X-One: 1\rX-Two: 2",),
    "two hosts": ("Host: other.example",),
    "another protocol": ("Upgrade: websocket", "Connection: Upgrade"),
    "HTTP/2": ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
}


@pytest.mark.parametrize("shape", AMBIGUOUS)
@pytest.mark.parametrize("by_tls", [False, True])
def test_a_request_that_two_readers_could_read_differently_is_refused(way, shape, by_tls):
    lines = AMBIGUOUS[shape]
    if by_tls:
        answer = way.within("POST / HTTP/1.1", f"Host: {way.upstream.authority}", *lines, body=b"hello")
    else:
        answer = way.ask("POST /", *lines, body=b"hello")
    assert (status_of(answer), document_of(answer)["code"], document_of(answer)["reason"]) == (400, "proxy/refused", "request")
    assert way.upstream.seen == []
    assert [reason for reason, *_ in way.injector.recorded] == ["request"]


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET {url}/ HTTP/2.0",
        "GET {url}/ HTTP/1.10",
        "GET  {url}/ HTTP/1.1",
        "GET {url}/",
        "G(T {url}/ HTTP/1.1",
        "GET https://ada:pw@{authority}/ HTTP/1.1",
        "GET {url}/#part HTTP/1.1",
        "GET ftp://{authority}/ HTTP/1.1",
        "GET {url}?a=1 HTTP/1.1",
        "GET https://{authority}\\.evil.example/ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "TRACE {url}/ HTTP/1.1",
        "CONNECT {url} HTTP/1.1",
        "CONNECT 127.0.0.1 HTTP/1.1",
        "CONNECT *.example.com:443 HTTP/1.1",
        "PRI * HTTP/2.0",
    ],
)
def test_a_request_line_that_names_no_server_in_the_one_way_is_refused(way, line):
    line = line.format(url=way.upstream.url, authority=way.upstream.authority)
    answer = way.raw(line, f"Host: {way.upstream.authority}")
    assert status_of(answer) == 400
    assert way.upstream.seen == []


@pytest.mark.parametrize("host", ["other.example", "", "127.0.0.1", "{authority}.", "a b", "{authority}@x"])
def test_a_host_header_that_names_another_server_is_refused(way, host):
    host = host.format(authority=way.upstream.authority)
    for answer in (
        way.raw(f"GET {way.upstream.url}/ HTTP/1.1", f"Host: {host}"),
        way.raw(f"GET {way.upstream.url}/ HTTP/1.1"),
        way.within("GET / HTTP/1.1", f"Host: {host}"),
        way.within("GET / HTTP/1.1"),
        way.raw(f"CONNECT {way.upstream.authority} HTTP/1.1", f"Host: {host}"),
    ):
        assert status_of(answer) == 400
    assert way.upstream.seen == []


def test_another_way_of_naming_a_server_inside_of_tls_is_refused(way):
    for line in (
        f"GET {way.upstream.url}/ HTTP/1.1",
        f"CONNECT {way.upstream.authority} HTTP/1.1",
        "GET /#part HTTP/1.1",
        "CONNECT / HTTP/1.1",
    ):
        assert status_of(way.within(line, f"Host: {way.upstream.authority}")) == 400
    assert way.upstream.seen == []


def test_bytes_before_the_connection_is_there_are_refused(way):
    target = way.upstream.authority
    answer = way.raw(f"CONNECT {target} HTTP/1.1", f"Host: {target}", body=b"GET / HTTP/1.1\r\n\r\n")
    assert status_of(answer) == 400
    assert status_of(way.raw(f"CONNECT {target} HTTP/1.1", "Content-Length: 1", body=b"x")) == 400


def test_a_client_that_breaks_off_tls_stops_nobody(way):
    with way.connect() as connection:
        target = way.upstream.authority
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\n{way.password}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"no TLS at all, but a line that is long enough\r\n\r\n")
        receive(connection)
    with way.connect() as connection:
        connection.sendall(b"GET")
    assert status_of(way.ask("GET /")) == 200


@pytest.mark.parametrize(
    ("body", "fails"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", False),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", False),
        (b"x\r\nhello\r\n0\r\n\r\n", True),
        (b"-5\r\nhello\r\n0\r\n\r\n", True),
        (b"5;a=b\r\nhello\r\n0\r\n\r\n", True),
        (b"5 \r\nhello\r\n0\r\n\r\n", True),
        (b"5\nhello\r\n0\r\n\r\n", True),
        (b"4\r\nhello\r\n0\r\n\r\n", True),
        (b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n", True),
        (b"\r\nhello\r\n0\r\n\r\n", True),
        (b"fffffffff\r\nhello\r\n0\r\n\r\n", True),
    ],
)
def test_chunks_are_read_strictly(way, body, fails):
    answer = way.ask("POST /", "Transfer-Encoding: chunked", body=body)
    if fails:
        assert (status_of(answer), document_of(answer)["reason"]) == (400, "request")
        assert way.upstream.seen == []
    else:
        assert status_of(answer) == 200
        assert way.upstream.seen[0].body in {b"hello", b"hello world"}


def test_chunks_are_not_for_http_1_0(way):
    line = f"POST {way.upstream.url}/ HTTP/1.0"
    assert status_of(way.raw(line, f"Host: {way.upstream.authority}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")) == 400


def test_a_long_body_is_passed_on_while_it_comes(way, monkeypatch):
    monkeypatch.setattr(exchange, "SMALL", 10)
    assert status_of(way.ask("PUT /", "Content-Length: 200000", body=b"x" * 200_000)) == 200
    assert way.upstream.seen[0].headers["content-length"] == "200000"
    assert way.upstream.seen[0].body == b"x" * 200_000


def test_a_body_that_ends_too_early_is_not_sent_again_and_gets_no_answer(way):
    with way.connect() as connection:
        lines = [f"PUT {way.upstream.url}/ HTTP/1.1", f"Host: {way.upstream.authority}", way.password, "Content-Length: 10", "", "abc"]
        connection.sendall("\r\n".join(lines).encode())
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection) == b""
    assert way.upstream.seen == []


def test_who_waits_for_100_is_told_to_go_on_once_the_request_is_allowed(way):
    lines = [
        f"PUT {way.upstream.url}/ HTTP/1.1",
        f"Host: {way.upstream.authority}",
        way.password,
        "Expect: 100-continue",
        "Content-Length: 2",
        "",
        "",
    ]
    with way.connect() as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hi")
        assert body_of(receive(connection)) == b"fine"
    assert "expect" not in way.upstream.seen[0].headers
    way.injector.methods = ()
    with way.connect() as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert status_of(receive(connection)) == 403


def test_a_head_beyond_the_limits_is_refused(way, monkeypatch):
    assert status_of(way.ask("GET /", *[f"X-{number}: 1" for number in range(wire.MAX_HEADERS)])) == 431
    assert status_of(way.ask("GET /", *["X-Long: " + "x" * 9_000] * 8)) == 431
    assert status_of(way.ask("GET /" + "x" * wire.MAX_LINE)) == 431
    assert status_of(way.ask("GET /", "X-Long: " + "x" * (wire.MAX_LINE + 70_000))) == 431
    assert way.upstream.seen == []


def test_a_head_that_does_not_come_in_time_ends_the_connection(way, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_WITHIN", 0.05)
    with way.connect() as connection:
        connection.sendall(b"GET ")
        assert receive(connection) == b""
