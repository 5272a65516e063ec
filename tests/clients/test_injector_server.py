"""The injecting proxy and its run: who may use it, where it sends, how it ends, and the certificates that it makes."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cloud_integrations.backends import tls
from cloud_integrations.clients.injector import exchange
from cloud_integrations.clients.injector.authority import RunAuthority
from cloud_integrations.domain.dpop import DPOP
from cloud_integrations.domain.provider import Digest, Present
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed
from cloud_integrations.protocol.http import HttpRequest

from .upstreams import (
    CANARY,
    FakeInjector,
    Upstream,
    bearer,
    body_of,
    client_context,
    document_of,
    echo,
    ok,
    opened_way,
    receive,
    status_of,
)

AWS = {"access_key_id": Secret("AKIAFAKE"), "secret_access_key": Secret("fake-secret-key"), "session_token": Secret("fake/session+token")}


@pytest.fixture
def upstream(tmp_path):
    with Upstream(tmp_path) as upstream:
        yield upstream


@pytest.fixture
def way(upstream):
    with opened_way(upstream) as way:
        yield way


def test_who_does_not_show_the_password_is_refused_and_recorded_once(way):
    whole = f"GET {way.upstream.url}/ HTTP/1.1"
    for lines in (
        (whole, f"Host: {way.upstream.authority}"),
        (whole, f"Host: {way.upstream.authority}", way.password[:-1]),
        (whole, f"Host: {way.upstream.authority}", way.password, way.password),
        (whole, f"Host: {way.upstream.authority}", way.password.replace("Proxy-", "")),
        (whole, f"Host: {way.upstream.authority}", "Proxy-Authorization: Basic \xff"),
        (f"CONNECT {way.upstream.authority} HTTP/1.1",),
    ):
        answer = way.raw(*lines, password=False)
        assert (status_of(answer), document_of(answer)["reason"]) == (407, "password")
        assert b'Proxy-Authenticate: Basic realm="cloud-integrations"' in answer
    assert status_of(way.raw("no request at all", password=False)) == 400
    # Others cannot fill the audit log.
    assert way.injector.recorded == [("password", None, None)]
    assert way.injector.asked == way.upstream.seen == []


def test_another_host_is_refused_before_a_byte_goes_there(way, tmp_path):
    with Upstream(tmp_path) as other:
        other.answer = lambda *_: pytest.fail("it was asked")
        for answer in (
            way.raw(f"CONNECT {other.authority} HTTP/1.1", f"Host: {other.authority}"),
            way.raw(f"GET {other.url}/ HTTP/1.1", f"Host: {other.authority}"),
            way.raw("CONNECT 127.0.0.1:1 HTTP/1.1"),
            way.raw("CONNECT localhost:443 HTTP/1.0"),
        ):
            assert status_of(answer) == 403
        assert other.accepted == 0
    assert way.upstream.seen == []


def test_another_method_is_refused(way):
    way.injector.methods = ("GET",)
    assert status_of(way.within("DELETE / HTTP/1.1", f"Host: {way.upstream.authority}")) == 403
    assert status_of(way.ask("get /")) == 403
    assert way.upstream.seen == []


def test_the_proxy_listens_on_loopback_alone(way):
    assert way.proxy.server_address[0] == "127.0.0.1"


def test_two_proxies_have_a_password_each(way, upstream):
    with opened_way(upstream) as other:
        whole = f"GET {upstream.url}/ HTTP/1.1"
        assert status_of(way.raw(whole, f"Host: {upstream.authority}", other.password, password=False)) == 407
        assert status_of(other.raw(whole, f"Host: {upstream.authority}")) == 200


def test_many_requests_at_once_get_their_own_answers(way):
    way.upstream.answer = lambda asked, _: ok(asked.line.encode())
    found = {}

    def ask(number):
        found[number] = body_of(way.within(f"GET /{number} HTTP/1.1", f"Host: {way.upstream.authority}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"GET /{number} HTTP/1.1".encode() for number in range(24)}


def test_it_ends_with_the_context_although_a_server_says_nothing(upstream):
    asked, before = threading.Event(), set(threading.enumerate())

    def silent(_asked, connection):
        asked.set()
        connection.recv(1)

    upstream.answer = silent
    with opened_way(upstream) as way:
        waiting = way.secured()
        waiting.sendall(f"GET / HTTP/1.1\r\nHost: {upstream.authority}\r\n\r\n".encode())
        idle = way.connect()
        assert asked.wait(60)
    with waiting, idle:
        assert receive(waiting) == receive(idle) == b""
    names = " ".join(thread.name for thread in set(threading.enumerate()) - before)
    assert "process_request" not in names
    assert "cloud-integrations" not in names
    with pytest.raises(ConnectionRefusedError):
        way.connect()


def test_it_ends_with_the_context_in_the_middle_of_an_answer(upstream):
    def endless(_asked, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        connection.recv(1)

    upstream.answer = endless
    with opened_way(upstream) as way:
        waiting = way.secured()
        waiting.sendall(f"GET / HTTP/1.1\r\nHost: {upstream.authority}\r\n\r\n".encode())
        came = b""
        while b"hello" not in came:
            came += waiting.recv(1000)
    with waiting:
        assert b"\r\n0\r\n" not in receive(waiting)


def test_a_request_after_the_end_is_not_answered(way):
    way.proxy.connections.end()
    assert way.ask("GET /") == b""
    assert way.upstream.seen == []


def test_a_child_that_goes_away_ends_its_exchange(way):
    ended = threading.Event()

    def endless(_asked, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        except OSError:
            ended.set()

    way.upstream.answer = endless
    with way.secured() as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {way.upstream.authority}\r\n\r\n".encode())
        connection.recv(10)
    assert ended.wait(60)
    way.upstream.answer = lambda *_: ok(b"fine")
    assert status_of(way.ask("GET /")) == 200


class Rebound(FakeInjector):
    """A session of a provider on the internet, whose name leads to this machine."""

    def draft(self, http_method, url, credential, /):
        return HttpRequest(method=http_method, url=url, provider_id="fake")


def test_a_name_that_leads_to_this_machine_is_not_asked(upstream, monkeypatch):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **more: resolve("127.0.0.1", *args, **more))
    name = f"api.example.com:{upstream.port}"
    with opened_way(upstream, Rebound(name)) as way:
        answer = way.raw(f"GET http://{name}/ HTTP/1.1", f"Host: {name}")
    assert (status_of(answer), document_of(answer)["reason"]) == (502, "endpoint_not_allowed")
    assert upstream.accepted == 0


def test_a_server_that_nobody_vouches_for_gets_nothing(upstream, monkeypatch):
    from . import upstreams

    monkeypatch.setattr(upstreams, "trusting_transport", upstreams.HttpxTransport)
    with opened_way(upstream) as way:
        answer = way.ask("GET /")
    assert (status_of(answer), document_of(answer)["reason"]) == (502, "certificate_refused")
    assert upstream.seen == []


def signed_by_aws(**parts):
    from cloud_integrations.protocol.signing.aws4 import Aws4

    def sign(unsigned, parts, options):
        return Aws4().sign(unsigned, parts=parts, options=options, now=datetime(2026, 1, 1, tzinfo=UTC), nonce=b"")

    present = Present(sign="aws4", options={"service": "sts", "region": "us-east-1"})
    return bearer(parts={**AWS, **parts}, present=present, signer=sign)


def test_a_signed_request_is_signed_here_for_the_service_that_the_child_meant(way):
    pytest.importorskip("botocore")
    way.injector.credentials = [signed_by_aws()]
    way.upstream.answer = echo
    of_child = "AWS4-HMAC-SHA256 Credential=AKIAOFCHILD/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    answer = way.ask("PUT /key", f"Authorization: {of_child}", "X-Amz-Date: 20200101T000000Z", "Content-Length: 4", body=b"data")
    [asked] = way.upstream.seen
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFAKE/20260101/eu-central-1/s3/aws4_request, ")
    assert asked.headers["x-amz-date"] == "20260101T000000Z"
    assert asked.headers["x-amz-security-token"] == "fake/session+token"
    assert b"AKIAOFCHILD" not in asked.raw
    assert b"fake/session" not in answer
    assert asked.headers["authorization"].rpartition("=")[2].encode() not in answer
    way.ask("GET /")
    assert "/us-east-1/sts/aws4_request" in way.upstream.seen[1].headers["authorization"]


def test_a_body_that_is_too_long_to_be_signed_is_refused(way, monkeypatch):
    monkeypatch.setattr(exchange, "SIGNED", 10)
    way.injector.credentials = [bearer(signer=lambda unsigned, *_: Signed(url=unsigned.url, headers=unsigned.headers))]
    answer = way.ask("PUT /", "Content-Length: 11", body=b"x" * 11)
    assert (status_of(answer), document_of(answer)["reason"]) == (413, "too_long")
    assert status_of(way.ask("PUT /", "Transfer-Encoding: chunked", body=b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n")) == 413
    assert status_of(way.ask("PUT /", "Transfer-Encoding: chunked", body=b"a\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n")) == 200
    assert [asked.body for asked in way.upstream.seen] == [b"x" * 10]


def test_a_challenge_is_answered_here(way):
    digest = bearer(
        parts={"user": Secret("ada"), "password": Secret(CANARY)},
        present=Present(digest=Digest(user="{user}", password="{password}")),
        nonce=lambda: bytes(16),
    )
    way.injector.credentials = [digest]
    challenge = 'WWW-Authenticate: Digest realm="api", nonce="abc", qop="auth", algorithm=SHA-256'

    def answer(asked, connection):
        shown = asked.headers.get("authorization", "")
        return echo(asked, connection) if shown.startswith("Digest ") else ok(b"", challenge, status="401 Unauthorized")

    way.upstream.answer = answer
    came = way.ask("POST /a?b=1", "Content-Length: 2", body=b"hi")
    assert status_of(came) == 200
    assert [asked.body for asked in way.upstream.seen] == [b"hi", b"hi"]
    response = way.upstream.seen[1].headers["authorization"].partition('response="')[2].partition('"')[0]
    assert response.encode() not in came
    assert way.injector.refused == []


def test_a_nonce_for_dpop_is_taken_up_here(way):
    def sign(unsigned, _parts, options):
        proof = f"fake-proof-of-this-request-with-{options.get('nonce', 'none')}"
        return Signed(url=unsigned.url, headers={**unsigned.headers, "Authorization": f"DPoP {CANARY}", "DPoP": proof})

    way.injector.credentials = [bearer(present=Present(sign=DPOP), signer=sign)]

    def answer(asked, connection):
        if asked.headers["dpop"].endswith("-n1"):
            return echo(asked, connection)
        return ok(b"", 'WWW-Authenticate: DPoP error="use_dpop_nonce"', "DPoP-Nonce: n1", status="401 Unauthorized")

    way.upstream.answer = answer
    came = way.ask("GET /")
    assert status_of(came) == 200
    assert b"canary" not in came
    assert b"fake-proof" not in came


def verify(leaf, run, host):
    """Make a TLS connection in memory to a server with *leaf*, from a client that trusts the authority *run* alone."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = leaf.wrap_bio(to_server, to_client, server_side=True)
    client = client_context(run.pem).wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return client.getpeercert()


@pytest.mark.parametrize("host", ["api.example.com", "a.b.example.org", "127.0.0.1", "2001:db8::1"])
def test_a_certificate_is_for_one_host_and_trusted_there(host):
    run = RunAuthority(["api.example.com", "*.example.org", "127.0.0.1", "2001:db8::1"], life=timedelta(hours=1))
    shown = verify(run.context_for(host), run, host)
    assert len(shown["subjectAltName"]) == 1
    assert run.context_for(host) is run.context_for(host)
    with pytest.raises(ssl.SSLCertVerificationError):
        verify(run.context_for(host), run, "other.example.com")


@pytest.mark.parametrize(
    ("hosts", "other"),
    [
        (["api.example.com"], "evil.example"),
        (["api.example.com"], "127.0.0.1"),
        (["api.example.com"], "2001:db8::1"),
        (["127.0.0.1"], "127.0.0.2"),
        (["127.0.0.1"], "api.example.com"),
        (["*.example.org"], "example.com"),
    ],
)
def test_the_authority_is_worth_nothing_for_other_hosts(hosts, other):
    run = RunAuthority(hosts, life=timedelta(hours=1))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"permitted subtree|excluded subtree"):
        verify(run.context_for(other), run, other)


def test_what_the_authority_signs_is_no_authority_and_ends_with_the_run():
    run = RunAuthority(["api.example.com"], life=timedelta(hours=1))
    certificate = x509.load_pem_x509_certificate(run.pem.encode())
    assert timedelta(minutes=59) < certificate.not_valid_after_utc - datetime.now(UTC) <= timedelta(hours=1)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    leaf = verify(run.context_for("api.example.com"), run, "api.example.com")
    assert datetime.strptime(leaf["notAfter"], "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC) == certificate.not_valid_after_utc
    assert "PRIVATE" not in run.pem


@pytest.mark.skipif(not tls.in_memory(), reason="this system has no files in memory")
def test_no_key_is_ever_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tls.tempfile, "mkstemp", lambda *_: pytest.fail("a file was made"))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    run = RunAuthority(["api.example.com"], life=timedelta(hours=1))
    run.context_for("api.example.com")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_where_there_are_no_files_in_memory_the_file_is_gone_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(tls, "in_memory", lambda: False)
    monkeypatch.setattr(tls.tempfile, "tempdir", str(tmp_path))
    run = RunAuthority(["api.example.com"], life=timedelta(hours=1))
    verify(run.context_for("api.example.com"), run, "api.example.com")
    assert list(tmp_path.iterdir()) == []


def test_a_body_whose_parts_are_signed_is_refused(way):
    way.injector.credentials = [signed_by_aws()]
    sha = "X-Amz-Content-SHA256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert status_of(way.ask("PUT /key", sha, "Content-Length: 4", body=b"data")) == 400
    assert way.upstream.seen == []


def test_a_server_that_challenges_for_ever_is_answered_twice_with_each_credential(way):
    parts = {"user": Secret("ada"), "password": Secret(CANARY)}
    present = Present(digest=Digest(user="{user}", password="{password}"))
    way.injector.credentials = [bearer(parts=parts, present=present, nonce=lambda: bytes(16))]
    challenge = 'WWW-Authenticate: Digest realm="api", nonce="abc", stale=true, qop="auth", algorithm=SHA-256'
    way.upstream.answer = lambda *_: ok(b"", challenge, status="401 Unauthorized")
    assert status_of(way.ask("GET /")) == 401
    assert len(way.upstream.seen) == 6
