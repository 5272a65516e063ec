"""A stand-in for Azure Key Vault, and the keys in it."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest
from tests.backends.stand_ins.azure_key_vault import FixedCredential, KeyVaultServer, Rerouted, VaultKey, encode, private_key

from cloud_integrations.backends.keys import azure_key_vault
from cloud_integrations.backends.keys.azure_key_vault import AzureKeyVaultKeys
from cloud_integrations.testing.contracts.key_service import DATA_KEY

TOKEN = "fake-azure-token-canary"
WRAPPING_KEY = b"a fake key for the key, 32 bytes"
CANARIES = [
    TOKEN,
    *(form for key in (DATA_KEY, WRAPPING_KEY) for form in (key.decode(), key.hex(), base64.b64encode(key).decode(), encode(key))),
]
VERSIONS = {"ci": "a" * 32, "old": "b" * 32, "strange": "c" * 32}


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


@pytest.fixture
def vault():
    with KeyVaultServer({TOKEN}) as vault:
        vault.keys = {f"{name}/{version}": VaultKey(private_key(number)) for number, (name, version) in enumerate(VERSIONS.items())}
        yield vault


@pytest.fixture
def transport(vault):
    transport = Rerouted(vault)
    yield transport
    transport.close()


@pytest.fixture
def uri(vault):
    return lambda name: f"https://{vault.host}/keys/{name}/{VERSIONS[name]}"


class Service:
    """Key Vault, as the shared cases ask it; an answer is (status, body)."""

    shows = staticmethod(shows_a_canary)

    def __init__(self, vault, transport, uri):
        self.vault, self.transport = vault, transport
        self.uri = lambda name: f"azure-kv:{uri(name)}"

    def answer(self, status, body=b""):
        # Whoever slept as long as this says would not come back within the test's time limit.
        headers = {"Retry-After": "3600", "Location": f"https://{self.vault.host}/keys/other"}
        self.vault.instead, self.vault.for_ever = [(status, headers, body)], True

    def once(self, *answers):
        self.vault.instead, self.vault.for_ever = [(status, {}, body) for status, body in answers], False

    def recover(self):
        self.once()

    def asked(self):
        return len(self.vault.requests)

    def stop(self):
        self.transport.session.close()
        self.vault.stop()

    def sent(self, wrapped):
        return encode(wrapped[2:258])


@pytest.fixture
def service(vault, transport, uri):
    return Service(vault, transport, uri)


@pytest.fixture
def make(uri, transport):
    def make(*names, **options):
        return AzureKeyVaultKeys(
            *(uri(name) for name in names or ("ci",)), **({"credential": FixedCredential(TOKEN), "transport": transport} | options)
        )

    return make


@pytest.fixture
def keys(make):
    return make()


@pytest.fixture
def known_wrapping_key(monkeypatch):
    """Make the random key a known one, to look for it in what is shown."""
    monkeypatch.setattr(azure_key_vault, "os", SimpleNamespace(urandom=lambda length: WRAPPING_KEY))
