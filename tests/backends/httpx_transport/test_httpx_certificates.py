"""Requests that show a tenant's certificate, or trust a tenant's own authority, over real TLS."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.authorities import BEGIN, TlsServer, authority

from cloud_integrations.backends import tls
from cloud_integrations.backends.transport.httpx_transport import httpx
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ProviderUnavailableError, ProviderUnreachableError, ValidationFailedError
from cloud_integrations.testing.contracts.transport import PATIENT

from .conftest import get

pytestmark = pytest.mark.requirement("Q69")
CA = Secret(authority().pem)
ANOTHER = Secret(authority("Another").pem)


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(name="127.0.0.1", *, of="Fake authority", clients=True, **options):
        found = TlsServer(*authority(of).issue(name, **options), clients=authority("Clients").pem if clients else None, tmp_path=tmp_path)
        servers.append(found.__enter__())
        return found

    yield start
    for each in servers:
        each.__exit__()


def certificate(name):
    return Secret("\n".join(authority("Clients").issue(name)))


def test_the_certificate_is_shown_and_the_tenants_authority_is_trusted(send, serve):
    server = serve()
    answer = send(get(server.url, certificate=certificate("ada"), trust=CA))
    assert (answer.status, [name for _, name, _ in server.seen]) == (200, ["ada"])
    assert send(get(server.url, trust=CA)).status == 200
    assert server.seen[1][1] is None


def test_each_request_has_a_connection_of_its_own(send, serve):
    server = serve()
    for name in ("ada", "bob", "ada"):
        send(get(server.url, certificate=certificate(name), trust=CA))
    send(get(server.url, trust=CA))
    assert [name for _, name, _ in server.seen] == ["ada", "bob", "ada", None]
    assert len({port for port, *_ in server.seen}) == 4


@pytest.mark.parametrize(
    ("server", "trust"),
    [
        ({}, None),
        ({}, ANOTHER),
        ({"name": "other.example"}, CA),
        ({"end": BEGIN + timedelta(days=1)}, CA),
    ],
    ids=["unknown authority", "another authority", "another host", "ended"],
)
def test_a_server_that_cannot_be_trusted_is_sent_nothing(send, serve, server, trust):
    found = serve(**server)
    with pytest.raises(ProviderUnreachableError) as caught:
        send(get(found.url, certificate=certificate("ada"), trust=trust))
    assert caught.value.reason == "certificate_refused"
    assert found.seen == []


def test_a_certificate_that_the_server_does_not_know_is_no_answer(send, serve):
    server = serve()
    unknown = Secret("\n".join(authority("Another").issue("eve")))
    with pytest.raises(ProviderUnavailableError):
        send(get(server.url, certificate=unknown, trust=CA))
    assert server.seen == []


def test_the_hosts_authorities_count_where_the_tenant_has_none(make, run, serve):
    server = serve()
    for trusted, works in ((ssl.create_default_context(cadata=authority().pem), True), (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), False)):
        transport = make(ssl_context=trusted)
        request = get(server.url, certificate=certificate("ada"))
        if works:
            assert run(transport.send(request, deadline=PATIENT)).status == 200
        else:
            with pytest.raises(ProviderUnreachableError):
                run(transport.send(request, deadline=PATIENT))
        run(transport.close())


def test_a_client_of_the_host_cannot_show_a_certificate(make, run, serve):
    server = serve()
    kind = httpx.Client if "Async" not in make.__name__ else httpx.AsyncClient
    transport = make(kind())
    with pytest.raises(ConfigurationError, match="client"):
        run(transport.send(get(server.url, trust=CA), deadline=PATIENT))
    assert server.seen == []


def test_a_client_of_the_host_asks_no_server_that_a_tenant_names(make, run):
    asked = []
    kind = httpx.AsyncClient if "Async" in make.__name__ else httpx.Client

    def answer(request):
        asked.append(request.url.host)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    made = make(kind(transport=httpx.MockTransport(answer)))
    request = replace(get("https://8.8.8.8/"), loopback=False, tenant_server=True)
    with pytest.raises(ConfigurationError, match="does not check addresses"):
        run(made.send(request, deadline=PATIENT))
    assert asked == []
    assert run(made.send(replace(request, private_host=True), deadline=PATIENT)).status == 200, "the operator has listed it"


def test_the_address_is_checked_before_the_certificate_is_used(send):
    with pytest.raises(ProviderUnreachableError) as caught:
        send(replace(get("https://169.254.169.254/", certificate=Secret("fake"), trust=CA), loopback=False))
    assert caught.value.reason == "endpoint_not_allowed"


@pytest.mark.parametrize("memory", [True, False])
def test_the_private_key_is_in_a_file_for_as_long_as_it_is_read(monkeypatch, tmp_path, memory):
    monkeypatch.setattr(tls, "in_memory", lambda: memory)
    monkeypatch.setattr(tls.tempfile, "tempdir", str(tmp_path))
    read = []

    class Context(ssl.SSLContext):
        def load_cert_chain(self, path, **options):
            read.append((path.startswith("/proc/self/fd/"), Path(path).stat().st_mode & 0o077))
            super().load_cert_chain(path, **options)

    tls.make_context(certificate("ada"), None, usual=lambda: Context(ssl.PROTOCOL_TLS_CLIENT))
    assert [inside for inside, _ in read] == [memory]
    assert memory or read[0][1] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shown", "trust"),
    [("fake", None), (authority().pem, None), (None, "fake"), ("\n".join((authority().issue("a")[0], authority().issue("b")[1])), None)],
    ids=["no PEM", "no key", "no authority", "another key"],
)
def test_what_tls_cannot_use_is_refused_without_its_text(shown, trust):
    with pytest.raises(ValidationFailedError) as caught:
        tls.make_context(shown and Secret(shown), trust and Secret(trust))
    assert "fake" not in str(caught.value)
    assert "BEGIN CERT" not in str(caught.value)


def test_a_chain_in_any_order_and_on_one_line_is_read():
    own, key = authority("Clients").issue("ada")
    for text in (key + authority("Clients").pem + own, (authority("Clients").pem + own + key).replace("\n", "\\n")):
        assert tls.make_context(Secret(text), CA).verify_mode is ssl.CERT_REQUIRED
