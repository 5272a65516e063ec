"""A stand-in for Vault's transit engine, and the keys in it."""

from __future__ import annotations

import base64
import ssl

import pytest
from tests.backends.stand_ins.vault import TransitKey, VaultServer

from cloud_integrations.backends.keys.vault_transit import VaultTransitKeys
from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.domain.secret import Secret
from cloud_integrations.testing.contracts.key_service import DATA_KEY

TOKEN = "hvs.fake-token-canary"
CANARIES = [TOKEN, DATA_KEY.decode(), DATA_KEY.hex(), base64.b64encode(DATA_KEY).decode()]


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


@pytest.fixture(scope="module")
def no_tls():
    return ssl.create_default_context()  # reading the machine's certificates for each test would take long


@pytest.fixture
def transport(no_tls):
    transport = HttpxTransport(ssl_context=no_tls)
    yield transport
    transport.close()


@pytest.fixture
def vault(transport):
    with VaultServer() as vault:
        vault.tokens = {TOKEN: {"update"}}
        vault.keys = {f"transit/{name}": TransitKey() for name in ("ci", "old", "strange")}
        yield vault
        transport.close()


class Service:
    """Vault, as the shared cases ask it; an answer is (status, body)."""

    shows = staticmethod(shows_a_canary)

    def __init__(self, vault, transport):
        self.vault, self.transport = vault, transport

    def uri(self, name):
        return f"vault:transit/{name}"

    def answer(self, status, body=b""):
        self.vault.instead = (status, body)

    def recover(self):
        self.vault.instead = None

    def asked(self):
        return len(self.vault.requests)

    def stop(self):
        self.transport.close()
        self.vault.stop()

    def sent(self, wrapped):
        return wrapped.decode()


@pytest.fixture
def service(vault, transport):
    return Service(vault, transport)


@pytest.fixture
def make(vault, transport):
    def make(*names, **options):
        return VaultTransitKeys(
            *(names or ("ci",)), **({"address": vault.address, "token": Secret(TOKEN), "transport": transport} | options)
        )

    return make


@pytest.fixture
def keys(make):
    return make()
