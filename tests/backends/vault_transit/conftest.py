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
CANARIES = [TOKEN, *(form for key in (DATA_KEY,) for form in (key.decode(), key.hex(), base64.b64encode(key).decode()))]


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
