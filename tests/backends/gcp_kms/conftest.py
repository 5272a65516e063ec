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


class Service:
    """Cloud KMS, as the shared cases ask it; an answer is a status of gRPC, or a function that changes the real answer."""

    shows = staticmethod(shows_a_canary)

    def __init__(self, kms):
        self.kms = kms

    def uri(self, name):
        return f"gcp-kms:{RING}/{name}"

    def answer(self, answer):
        self.kms.instead, self.kms.for_ever = [answer], True

    def once(self, *answers):
        self.kms.instead, self.kms.for_ever = list(answers), False

    def recover(self):
        self.once()

    def asked(self):
        return len(self.kms.requests)

    def stop(self):
        self.kms.stop()

    def sent(self, wrapped):
        return base64.b64encode(wrapped).decode()


@pytest.fixture
def service(kms):
    return Service(kms)


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
