from __future__ import annotations

import httpx
import pytest

from cloud_integrations.backends.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.testing.transport_contract import TransportContract


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


class TestHttpxTransportWithTheHostsClient(TransportContract):
    @pytest.fixture
    def transport(self):
        with httpx.Client(trust_env=False) as client:
            yield HttpxTransport(client)


class TestAsyncHttpxTransportWithTheHostsClient(TransportContract):
    @pytest.fixture
    def transport(self, run):
        client = httpx.AsyncClient(trust_env=False)
        yield AsyncHttpxTransport(client)
        run(client.aclose())
