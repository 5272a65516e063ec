"""Providers are reached through the proxy and under the certificates of the settings, and nothing of the environment is used."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import pytest

from cloud_integrations import Secret
from cloud_integrations.errors import ConfigurationError, ProviderUnavailableError
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations_cli.settings import BuiltConfiguration, Configuration
from cloud_integrations_cli.transports import open_async_transport, open_transport

from .authority import certify

T = ("-t", "acme")
WITHIN = timedelta(seconds=60)


class _Tunnel(StreamRequestHandler):
    """One request through the proxy: `CONNECT host:port`, or a whole http URL."""

    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split()
        head = b""
        while (line := self.rfile.readline()) not in {b"\r\n", b""}:
            head += b"" if line.lower().startswith(b"proxy-") else line
            self.server.logins += [line.decode().strip()] if line.lower().startswith(b"proxy-authorization") else []
        url = urlsplit(target if "://" in target else f"//{target}")
        self.server.asked.append(f"{method} {url.hostname}")
        # Only the proxy knows where a name leads.
        with socket.create_connection(("127.0.0.1", url.port or 80)) as upstream:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = url.path + (f"?{url.query}" if url.query else "")
                upstream.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + head + b"\r\n")
            answering = threading.Thread(target=_copy, args=(upstream, self.connection))
            answering.start()
            _copy(self.connection, upstream)
            answering.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class _Proxy(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked: list[str] = []
        self.logins: list[str] = []

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def proxy() -> Iterator[_Proxy]:
    with _serving(_Proxy()) as server:
        yield server


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us is what is tested."""


@pytest.fixture
def trusted(tmp_path) -> Iterator[tuple[int, Path]]:
    """The port of a provider over TLS, and the authority that signed its certificate."""
    ca_file, chain = certify(tmp_path, "provider.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = _Quiet(("127.0.0.1", 0), _Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with _serving(server):
        yield server.server_address[1], ca_file


def _ask(configuration: Configuration, url: str, *, waiting: bool) -> bytes:
    request = HttpRequest(method="GET", url=url, headers={}, body=b"", provider_id="provider", loopback="127.0.0.1" in url)

    async def ask() -> bytes:
        async with open_async_transport(configuration) as transport:
            try:
                return (await transport.send(request, deadline=WITHIN)).body
            finally:
                await transport.close()

    if waiting:
        return asyncio.run(ask())
    with open_transport(configuration) as transport:
        try:
            return transport.send(request, deadline=WITHIN).body
        finally:
            transport.close()


both = pytest.mark.parametrize("waiting", [False, True], ids=["blocking", "awaiting"])


@both
def test_a_private_authority_is_trusted_where_the_settings_name_it(trusted, waiting, monkeypatch):
    port, ca_file = trusted
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    url = f"https://127.0.0.1:{port}/"
    assert _ask(BuiltConfiguration(ca_file=ca_file), url, waiting=waiting) == b"hello"
    with pytest.raises(ProviderUnavailableError):
        _ask(BuiltConfiguration(), url, waiting=waiting)


@both
def test_the_proxy_opens_the_connection_and_tls_goes_through_it(trusted, proxy, waiting):
    port, ca_file = trusted
    url = f"https://provider.example:{port}/"
    configuration = BuiltConfiguration(proxy=Secret(f"http://me:fake-password@{proxy.url}"), ca_file=ca_file)
    assert _ask(configuration, url, waiting=waiting) == b"hello"
    assert proxy.asked == ["CONNECT provider.example"]
    assert len(proxy.logins) == 1
    with pytest.raises(ProviderUnavailableError):
        _ask(BuiltConfiguration(proxy=Secret(f"http://{proxy.url}")), url, waiting=waiting)


@both
def test_a_proxy_of_the_environment_is_not_asked(proxy, trusted, waiting, monkeypatch):
    port, ca_file = trusted
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.url}")
    assert _ask(BuiltConfiguration(ca_file=ca_file), f"https://127.0.0.1:{port}/", waiting=waiting) == b"hello"
    assert proxy.asked == []


@pytest.mark.parametrize("by_environment", [True, False], ids=["environment", "file"])
def test_commands_go_through_the_proxy(home, run, proxy, key_file, monkeypatch, by_environment):
    if by_environment:
        monkeypatch.setenv("CLOUD_INTEGRATIONS_PROXY", f"http://{proxy.url}")
    else:
        settings = home / "cloud-integrations.toml"
        settings.write_text(f'proxy = "http://{proxy.url}"\n' + settings.read_text())
    ran = run("integrations", "add", "simulated_keys", *T, "--api-key-file", key_file)
    assert ran.code == 0, ran.err
    assert proxy.asked == ["GET 127.0.0.1"]
    assert run("worker", "--once").code == 0
    checks = {each["name"]: each for each in run("doctor", "-o", "json").data()["checks"]}
    assert checks["proxy"]["message"] == f"http://{proxy.url}"


def test_doctor_says_what_of_the_environment_is_not_used(home, run, monkeypatch):
    def checks():
        return {each["name"]: each for each in run("doctor", "-o", "json").data()["checks"]}

    assert not checks().keys() & {"proxy", "certificates"}
    for name in ("HTTPS_PROXY", "http_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "http://me:fake-password@proxy.example")
    found = checks()
    assert found["proxy"]["message"] == "HTTPS_PROXY, http_proxy in the environment: not used"
    assert found["certificates"]["message"] == "SSL_CERT_FILE, REQUESTS_CA_BUNDLE in the environment: not used"
    assert {found[name]["result"] for name in ("proxy", "certificates")} == {"warning"}
    monkeypatch.setenv("CLOUD_INTEGRATIONS_PROXY", "http://me:fake-password@proxy.example:3128")
    monkeypatch.setenv("CLOUD_INTEGRATIONS_CA_FILE", "keyring")
    found = checks()
    assert found["proxy"]["message"] == "http://proxy.example:3128"
    assert (found["certificates"]["result"], found["certificates"]["message"]) == ("problem", "ca_file holds no certificate in PEM")
    assert "fake-password" not in json.dumps(found)


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "socks5://proxy.example", "http://", "http://a:b:c", "http://[", "http://p/path"])
def test_a_proxy_that_is_none_is_refused_without_its_value(home, run, monkeypatch, proxy):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_PROXY", proxy)
    ran = run("providers", "list")
    assert ran.code == 8
    assert ran.err.endswith("proxy is wrong: must be an address such as http://proxy.example:3128\n")


def test_a_proxy_behind_tls_is_asked_under_the_same_certificates(trusted):
    port, ca_file = trusted
    configuration = BuiltConfiguration(proxy=Secret(f"https://127.0.0.1:{port}"), ca_file=ca_file)
    # The proxy is trusted and is none: it refuses CONNECT, and so nothing was sent.
    with pytest.raises(ProviderUnavailableError):
        _ask(configuration, "https://provider.example/", waiting=False)


def test_certificates_that_are_not_there_are_named(home):
    with pytest.raises(ConfigurationError, match="ca_file cannot be read"), open_transport(BuiltConfiguration(ca_file=Path("none.pem"))):
        pass
