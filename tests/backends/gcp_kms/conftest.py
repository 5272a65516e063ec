"""A stand-in for Google Cloud KMS, and the keys in it."""

from __future__ import annotations

import base64

import pytest
from tests.backends.stand_ins.gcp_kms import CryptoKey, KmsServer

from cloud_integrations.backends.keys.gcp_kms import GcpKmsKeys
from cloud_integrations.testing.contracts.key_service import DATA_KEY

RING = "projects/fake-project/locations/europe-west3/keyRings/ring/cryptoKeys"
CANARIES = [DATA_KEY.decode(), DATA_KEY.hex(), base64.b64encode(DATA_KEY).decode()]


def shows_a_canary(shown):
    return any(canary in str(shown) for canary in CANARIES)


@pytest.fixture
def kms():
    with KmsServer() as kms:
        kms.keys = {f"{RING}/{name}": CryptoKey() for name in ("ci", "old", "strange")}
        yield kms


@pytest.fixture
def make(kms):
    client = kms.connect()

    def make(*names):
        return GcpKmsKeys(*(f"{RING}/{name}" for name in names or ("ci",)), client=client)

    return make


@pytest.fixture
def keys(make):
    return make()


def set_field(name, value):
    return lambda response: setattr(response, name, value)
