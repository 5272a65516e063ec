"""Both transports, and a server whose answers are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time

import pytest

from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.testing.contracts.transport import PATIENT


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
