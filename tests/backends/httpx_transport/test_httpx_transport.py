from __future__ import annotations

import contextlib
import gzip
import logging
import time
import zlib
from datetime import timedelta

import pytest

from cloud_integrations.backends.transport.httpx_transport import MAX_HEADERS, AsyncHttpxTransport, HttpxTransport, httpx
from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError
from cloud_integrations.protocol.http import MAX_BODY
from cloud_integrations.testing.contracts.transport import PATIENT, TransportContract

from .conftest import Scripted, answer, get


@pytest.mark.requirement("OAU-033", "OAU-036", "OAU-045", "OAU-079")
class TestHttpxTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return HttpxTransport()


@pytest.mark.requirement("OAU-033", "OAU-036", "OAU-045", "OAU-079")
class TestAsyncHttpxTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return AsyncHttpxTransport()


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    """What a host may have made its client with."""
    return pytest.importorskip(request.param)


@pytest.mark.repeats
class TestHttpxTransportWithTheHostsClient(TransportContract):
    @pytest.fixture
    def transport(self, library):
        with library.Client(trust_env=False) as client:
            yield HttpxTransport(client)


@pytest.mark.repeats
class TestAsyncHttpxTransportWithTheHostsClient(TransportContract):
    @pytest.fixture
    def transport(self, library, run):
        client = library.AsyncClient(trust_env=False)
        yield AsyncHttpxTransport(client)
        run(client.aclose())


# What the contract does not say: addresses, TLS, cookies, compression, forks


@pytest.mark.requirement("OAU-071")
def test_a_cookie_is_not_kept(send):
    with Scripted(answer(headers=b"Set-Cookie: fake-session=1; Path=/\r\n"), answer()) as server:
        for _ in range(2):
            send(get(f"http://127.0.0.1:{server.port}/"))
    assert "fake-session" not in server.received[1]


@pytest.mark.requirement("OAU-071")
def test_a_cookie_of_the_hosts_client_is_not_sent(make, run):
    client = (httpx.Client if make is HttpxTransport else httpx.AsyncClient)(cookies={"fake-session": "1"}, trust_env=False)
    with Scripted(answer()) as server:
        run(make(client).send(get(f"http://127.0.0.1:{server.port}/"), deadline=PATIENT))
    run(client.close() if make is HttpxTransport else client.aclose())
    assert "fake-session" not in server.received[0]


@pytest.mark.requirement("OAU-071")
def test_the_environment_names_no_proxy_and_no_password(send, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login fake password fake\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Scripted(answer()) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).status == 200
    assert "authorization" not in server.received[0].lower()


@pytest.mark.requirement("OAU-036")
def test_no_compression_is_asked_for(send):
    with Scripted(answer()) as server:
        send(get(f"http://127.0.0.1:{server.port}/"))
    assert "accept-encoding: identity\r\n" in server.received[0].lower()


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_a_compressed_answer_is_read_all_the_same(send, encoding):
    body = gzip.compress(b'{"a": 1}') if encoding == b"gzip" else zlib.compress(b'{"a": 1}')
    with Scripted(answer(body, headers=b"Content-Encoding: %s\r\n" % encoding)) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == b'{"a": 1}'


@pytest.mark.requirement("OAU-036", "OAU-079")
def test_a_small_body_that_becomes_a_huge_one_is_refused(send):
    bomb = gzip.compress(b"0" * 20_000_000)
    assert len(bomb) < MAX_BODY
    with Scripted(answer(bomb, headers=b"Content-Encoding: gzip\r\n")) as server, pytest.raises(ProviderUnavailableError) as caught:
        send(get(f"http://127.0.0.1:{server.port}/"))
    assert caught.value.reason == "answer_too_long"


@pytest.mark.parametrize("encoding", [b"br", b"none", b"utf-8", b"gzip", b"deflate", b" Identity "])
def test_a_body_that_is_not_packed_as_it_says_comes_as_it_is(send, encoding):
    with Scripted(answer(b'{"a": 1}', headers=b"Content-Encoding: %s\r\n" % encoding)) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == b'{"a": 1}'


def test_deflate_without_its_frame_is_read_too(send):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(b'{"a": 1}') + packer.flush()
    with Scripted(answer(body, headers=b"Content-Encoding: deflate\r\n")) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == b'{"a": 1}'


def test_deflate_without_its_frame_that_was_cut_comes_as_it_is(send):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = (packer.compress(b'{"a": 1}') + packer.flush())[:-2]
    with Scripted(answer(body, headers=b"Content-Encoding: deflate\r\n")) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == body


def test_an_empty_body_may_have_an_encoding(send):
    with Scripted(answer(b"", headers=b"Content-Encoding: gzip\r\n")) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == b""


def test_a_packed_answer_that_was_cut_is_lost(send):
    body = gzip.compress(b'{"access_token": "fake"}')[:-9]
    with Scripted(answer(body, headers=b"Content-Encoding: gzip\r\n")) as server, pytest.raises(AnswerLostError):
        send(get(f"http://127.0.0.1:{server.port}/"))


@pytest.mark.parametrize(
    "whole",
    [
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    ],
    ids=["to the end of the connection", "without a length", "in chunks with a trailer", "after an interim answer"],
)
def test_an_answer_is_read_to_its_end(send, whole):
    with Scripted(whole) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == b"{}"


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["before its length", "before its last chunk", "within its headers"],
)
def test_an_answer_that_was_cut_is_lost(send, part):
    with Scripted(part) as server, pytest.raises(AnswerLostError):
        send(get(f"http://127.0.0.1:{server.port}/"))


@pytest.mark.requirement("OAU-036")
@pytest.mark.parametrize("seconds", [0.5, 15, 40])
def test_an_answer_may_take_as_long_as_the_deadline_says(make, run, seconds):
    seen = []

    def look(request):
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    client = (httpx.Client if make is HttpxTransport else httpx.AsyncClient)(transport=httpx.MockTransport(look))
    run(make(client).send(get("http://127.0.0.1:9/"), deadline=timedelta(seconds=seconds)))
    run(client.close() if make is HttpxTransport else client.aclose())
    connect = min(seconds, 3)
    assert seen == [{"connect": connect, "read": seconds, "write": seconds, "pool": connect}]


@pytest.mark.requirement("OAU-079")
def test_headers_of_20_kilobytes_are_no_reason_to_lose_an_answer(send):
    with Scripted(answer(headers=b"X-A: %s\r\nX-B: %s\r\n" % (b"x" * 10_000, b"y" * 10_000))) as server:
        assert send(get(f"http://127.0.0.1:{server.port}/")).body == b"{}"


@pytest.mark.requirement("OAU-079")
@pytest.mark.parametrize("size", [MAX_HEADERS, 200_000])
def test_too_long_a_header_block_is_refused(send, size):
    with Scripted(answer(headers=b"X-Long: %s\r\n" % (b"x" * size))) as server, pytest.raises(ProviderUnavailableError):
        send(get(f"http://127.0.0.1:{server.port}/"))


@pytest.mark.requirement("OAU-036")
def test_headers_that_drip_are_cut_at_the_deadline(send):
    class Dripping(Scripted):
        def run(self):
            with contextlib.suppress(OSError), self.listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.01)

    with Dripping() as server, pytest.raises(AnswerLostError):
        send(get(f"http://127.0.0.1:{server.port}/"), timedelta(seconds=1))


@pytest.mark.requirement("OAU-045", "OAU-081")
def test_headers_of_the_answer_and_the_url_are_not_logged(send, caplog):
    caplog.set_level(logging.DEBUG)
    with Scripted(answer(b'{"t": "fake-canary"}', headers=b"Set-Cookie: a=fake-canary\r\nX-Token: fake-canary\r\n")) as server:
        send(get(f"http://127.0.0.1:{server.port}/?key=fake-canary", headers={"Authorization": "Bearer fake-canary"}))
    assert "fake-canary" not in caplog.text


@pytest.mark.requirement("OAU-045", "OAU-081")
def test_the_hosts_client_logs_its_own_requests_and_none_of_ours(library, caplog):
    caplog.set_level(logging.DEBUG)
    with Scripted(answer(headers=b"X-Token: fake-canary\r\n"), answer()) as server, library.Client(trust_env=False) as client:
        HttpxTransport(client).send(get(f"http://127.0.0.1:{server.port}/?key=fake-canary"), deadline=PATIENT)
        assert "fake-canary" not in caplog.text
        client.get(f"http://127.0.0.1:{server.port}/seen")
    assert "/seen" in caplog.text


def test_a_header_that_cannot_be_sent_is_told_without_showing_it(send):
    with Scripted(answer()) as server, pytest.raises(ProviderUnavailableError) as caught:
        send(get(f"http://127.0.0.1:{server.port}/", headers={"Authorization": "Bearer fake\r\nX: canary"}))
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert server.received in ([], [""])
