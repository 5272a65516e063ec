from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import os
import socket
import ssl
import tempfile
import threading
import time
import warnings
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_integrations.backends.transport.httpx_transport import MAX_HEADERS, AsyncHttpxTransport, HttpxTransport, httpcore, httpx
from cloud_integrations.errors import AnswerLostError, ProviderUnavailableError, ProviderUnreachableError
from cloud_integrations.protocol.egress import Reach
from cloud_integrations.protocol.http import MAX_BODY, HttpRequest
from cloud_integrations.testing import Misbehaviour, SimulatedProvider
from cloud_integrations.testing.contracts.transport import PATIENT, TransportContract
from cloud_integrations.testing.simulated_provider.server import ProviderServer


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


@pytest.fixture(params=[HttpxTransport, AsyncHttpxTransport], ids=["blocking", "awaiting"])
def make(request):
    return request.param


@pytest.fixture
def run():
    with asyncio.Runner() as runner:
        yield lambda result: runner.run(result) if asyncio.iscoroutine(result) else result


@pytest.fixture
def send(make, run):
    transport = make()
    yield lambda request, deadline=PATIENT: run(transport.send(request, deadline=deadline))
    run(transport.close())


class Scripted(threading.Thread):
    """Listens on loopback, answers each connection with given bytes, and keeps what it was sent."""

    def __init__(self, *answers, tls=None):
        super().__init__(daemon=True)
        self.answers = answers
        self.tls = tls
        self.received = []
        self.names = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        for answer in self.answers:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # nobody came
            with connection:
                connection.settimeout(PATIENT.total_seconds())
                if self.tls:
                    try:
                        connection = self.tls.wrap_socket(connection, server_side=True)
                    except (ssl.SSLError, OSError):
                        continue
                with connection:
                    received = b""
                    while b"\r\n\r\n" not in received and (part := connection.recv(65536)):
                        received += part
                    self.received.append(received.decode())
                    with contextlib.suppress(OSError):
                        connection.sendall(answer)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(PATIENT.total_seconds())
        assert not self.is_alive()


def answer(body=b"{}", *, status=b"200 OK", headers=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s" % (status, len(body), headers, body)


def get(url, **more):
    return HttpRequest(**{"method": "GET", "url": url, "provider_id": "simulated", "loopback": True, **more})


def wait_until(happened):
    while not happened():
        time.sleep(0.001)


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


# Addresses


@pytest.fixture
def resolves(monkeypatch):
    """Say what names resolve to; everything else resolves as it does."""
    asked = []

    def say(**hosts):
        real = socket.getaddrinfo

        def getaddrinfo(host, port, *args, **kwargs):
            name = host.decode() if isinstance(host, bytes) else host
            if name not in hosts:
                return real(host, port, *args, **kwargs)
            asked.append(name)
            families = {True: socket.AF_INET6, False: socket.AF_INET}
            return [(families[":" in ip], socket.SOCK_STREAM, 6, "", (ip, port)) for ip in hosts[name]]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return say


@pytest.fixture
def no_connection(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", refuse)


@pytest.mark.requirement("OAU-073", "OAU-077", "OAU-078")
@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"], ["::1"], ["64:ff9b::a9fe:a9fe"], ["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"]],
)
def test_a_name_with_any_forbidden_address_is_not_connected_to(send, resolves, no_connection, addresses):
    resolves(**{"provider.example": addresses})
    with pytest.raises(ProviderUnreachableError) as caught:
        send(get("https://provider.example/", loopback=False))
    assert caught.value.reason == "endpoint_not_allowed"
    assert not any(address in f"{caught.value!r}{caught.value.details}" for address in addresses)


@pytest.mark.requirement("OAU-072", "OAU-075", "OAU-078")
@pytest.mark.parametrize("url", ["http://provider.example/", "https://127.1/", "https://u@provider.example/", "https://[::ffff:7f00:1]/"])
def test_a_url_that_may_not_be_asked_is_unreachable(send, no_connection, url):
    with pytest.raises(ProviderUnreachableError) as caught:
        send(get(url, loopback=False))
    assert caught.value.reason == "endpoint_not_allowed"


def test_the_hosts_client_is_asked_for_no_forbidden_url(make, run):
    with pytest.raises(ProviderUnreachableError):
        run(make(object()).send(get("http://10.0.0.1/"), deadline=PATIENT))


NAMES = st.one_of(
    st.text(st.sampled_from("aAz09-_.%\u00fc\u3002\ud800\u200d "), min_size=1, max_size=80),
    st.from_regex(r"\A(xn--[a-z0-9-]{0,8}|[a-z0-9]{1,70})(\.(xn--[a-z0-9-]{0,8}|[a-z0-9-]{0,70}))*\Z"),
)

UNDECODABLE = [
    pytest.param(name, marks=pytest.mark.skipif(httpx.__name__ == "httpx2", reason="httpx2 asks the resolver for what it cannot decode"))
    for name in ("xn--a.example.com", "xn--0.com", "xn--ls8h.la")
]


@pytest.fixture
def no_names(monkeypatch):
    """A resolver that encodes names as the real one does, and knows none."""

    def getaddrinfo(host, *_args, **_named):
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.requirement("OAU-078")
@pytest.mark.parametrize("host", [*UNDECODABLE, "a..b.example", f"{'a' * 64}.example", "\ud800.example"])
@pytest.mark.parametrize("private_host", [False, True])
def test_a_name_that_cannot_be_encoded_is_an_endpoint_that_is_not_allowed(make, run, send, no_names, no_connection, host, private_host):
    request = replace(get(f"https://{host}/", loopback=False), private_host=private_host)
    for ask in (send, lambda asked: run(make(object()).send(asked, deadline=PATIENT))):
        with pytest.raises(ProviderUnreachableError) as caught:
            ask(request)
        assert caught.value.reason == "endpoint_not_allowed"
        assert caught.value.__context__ is None


@pytest.mark.requirement("OAU-078")
def test_a_name_that_the_resolver_cannot_encode_is_an_endpoint_that_is_not_allowed(send, monkeypatch, no_connection):
    def getaddrinfo(*_args, **_named):
        raise UnicodeError("label empty or too long")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ProviderUnreachableError) as caught:
        send(get("https://provider.example/", loopback=False))
    assert caught.value.reason == "endpoint_not_allowed"


@pytest.mark.requirement("OAU-078")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(host=NAMES, loopback=st.booleans(), private_host=st.booleans())
def test_no_name_brings_another_error_than_ours(send, no_names, no_connection, host, loopback, private_host):
    request = replace(get(f"https://{host}/", loopback=loopback), private_host=private_host)
    with pytest.raises(ProviderUnreachableError) as caught:
        send(request)
    assert caught.value.reason in {"endpoint_not_allowed", "unreachable"}


def test_an_unknown_name_is_unreachable(send, monkeypatch):
    def getaddrinfo(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ProviderUnreachableError) as caught:
        send(get("https://provider.example/", loopback=False))
    assert caught.value.reason == "unreachable"


def test_the_next_address_is_tried_when_one_does_not_answer(send, resolves):
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        port = unused.getsockname()[1]
        server = Scripted(answer())
        server.listener.close()
        server.listener = socket.create_server(("127.0.0.1", port))
        with server:
            resolves(localhost=["127.0.0.2", "127.0.0.1"])
            assert send(get(f"http://localhost:{port}/")).status == 200


@pytest.fixture(scope="module")
def certificates():
    """A certificate authority, and a server's certificate for provider.example alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("provider.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + private)
        file.flush()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file.name)
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.fixture
def everything_is_public(monkeypatch):
    monkeypatch.setattr(Reach, "allows", lambda self, address: True)


@pytest.mark.requirement("OAU-071", "OAU-073")
def test_the_checked_address_is_connected_to_under_the_hosts_name(make, run, resolves, certificates, everything_is_public):
    server_tls, client_tls = certificates
    names = []
    server_tls.sni_callback = lambda connection, name, context: names.append(name)
    asked = resolves(**{"provider.example": ["127.0.0.1"]})
    transport = make(ssl_context=client_tls)
    with Scripted(answer(), tls=server_tls) as server:
        request = get(f"https://provider.example:{server.port}/", loopback=False)
        assert run(transport.send(request, deadline=PATIENT)).status == 200
    run(transport.close())
    assert names == ["provider.example"]
    assert asked == ["provider.example"]
    assert f"host: provider.example:{server.port}\r\n" in server.received[0].lower()


@pytest.mark.requirement("OAU-071")
@pytest.mark.usefixtures("everything_is_public")
@pytest.mark.parametrize("host_and_trust", [("elsewhere.example", True), ("provider.example", False)])
def test_a_certificate_of_another_name_or_authority_is_refused(make, run, resolves, certificates, host_and_trust):
    server_tls, client_tls = certificates
    host, trusted = host_and_trust
    resolves(**{host: ["127.0.0.1"]})
    transport = make(ssl_context=client_tls) if trusted else make()
    with Scripted(answer(), tls=server_tls) as server, pytest.raises(ProviderUnreachableError):
        run(transport.send(get(f"https://{host}:{server.port}/", loopback=False), deadline=PATIENT))
    run(transport.close())
    assert server.received in ([], [""])


@pytest.mark.requirement("OAU-076")
def test_a_connection_of_the_operators_host_never_serves_a_tenants_url(make, run, resolves, certificates, monkeypatch):
    server_tls, client_tls = certificates
    monkeypatch.setattr(Reach, "allows", lambda self, address: self is Reach.PRIVATE)
    resolves(**{"provider.example": ["127.0.0.1"]})
    transport = make(ssl_context=client_tls)
    alive = answer().replace(b"Connection: close\r\n", b"")
    with Scripted(alive, tls=server_tls) as server:
        url = f"https://provider.example:{server.port}/"
        assert run(transport.send(get(url, loopback=False, private_host=True), deadline=PATIENT)).status == 200
        with pytest.raises(ProviderUnreachableError):
            run(transport.send(get(url, loopback=False), deadline=PATIENT))
    run(transport.close())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_opens_connections_of_its_own():
    provider = SimulatedProvider()
    key = provider.valid_api_key.reveal()
    transport = HttpxTransport()
    with ProviderServer(provider) as server:
        request = get(f"{server.url}/me", headers={"Authorization": f"Bearer {key}"})
        transport.send(request, deadline=PATIENT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork: the child only sends
            child = os.fork()
        if not child:
            status = 1
            try:
                status = int(transport.send(request, deadline=PATIENT).status != 200 or len(transport._own) != 2)
                transport.close()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert transport.send(request, deadline=PATIENT).status == 200
        transport.close()


def test_one_async_transport_works_in_one_event_loop_after_another():
    provider = SimulatedProvider()
    transport = AsyncHttpxTransport()

    async def once(request):
        response = await transport.send(request, deadline=PATIENT)
        await transport.close()
        return response.status

    with ProviderServer(provider) as server:
        request = get(f"{server.url}/me", headers={"Authorization": f"Bearer {provider.valid_api_key.reveal()}"})
        assert [asyncio.run(once(request)) for _ in range(2)] == [200, 200]


def test_closing_from_another_loop_forgets_what_is_not_its_own():
    transport = AsyncHttpxTransport()
    asyncio.run(transport.close())
    transport._own[Reach.PUBLIC] = object()
    asyncio.run(transport.close())
    assert transport._own == {}


async def test_a_cancelled_request_leaves_the_transport_usable():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.SLOW, endpoint="me", delay=timedelta(hours=1))
    transport = AsyncHttpxTransport()
    with ProviderServer(provider) as server:
        request = get(f"{server.url}/me", headers={"Authorization": f"Bearer {provider.valid_api_key.reveal()}"})
        waiting = asyncio.create_task(transport.send(request, deadline=PATIENT))
        await asyncio.to_thread(wait_until, lambda: provider.requests)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await transport.send(request, deadline=PATIENT)).status == 200
        await transport.close()
