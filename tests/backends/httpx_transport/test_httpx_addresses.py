"""Which addresses are connected to, by which name, and from which loop or process."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport, httpcore, httpx
from cloud_integrations.errors import ProviderUnreachableError
from cloud_integrations.protocol.egress import Reach
from cloud_integrations.testing import Misbehaviour, SimulatedProvider
from cloud_integrations.testing.contracts.transport import PATIENT
from cloud_integrations.testing.simulated_provider.server import ProviderServer

from .conftest import Scripted, answer, get, wait_until


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
