"""Signing keys in AWS KMS, against moto's server over HTTP."""

from __future__ import annotations

import base64
import json
import logging

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto.kms.utils import RSAPrivateKey
from tests.tracebacks import shown_by

from cloud_integrations.backends.keys.aws_kms_signing import AwsKmsSigningKeys
from cloud_integrations.errors import ConfigurationError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing.contracts.signing_keys import SigningKeysContract

ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"
MESSAGE = b"fake message"


@pytest.fixture(scope="module")
def arns():
    return {}


@pytest.fixture(autouse=True)
def digests(monkeypatch):
    """Let moto, which ignores MessageType, sign the digest that it is given, as KMS does."""

    def sign(self, message, signing_algorithm):
        assert (len(message), signing_algorithm) == (32, "RSASSA_PKCS1_V1_5_SHA_256")
        return self.private_key.sign(message, PKCS1v15(), Prehashed(SHA256()))

    monkeypatch.setattr(RSAPrivateKey, "sign", sign)


@pytest.fixture
def arn(service, arns):
    """Return the ARN of a key of that name and kind."""

    def make(name, spec="RSA_2048", usage="SIGN_VERIFY"):
        if name not in arns:
            region = "us-east-1" if name == "old" else "eu-central-1"
            arns[name] = service.client(region).create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]
        return arns[name]

    return make


@pytest.fixture
def signing_keys(service, arn):
    return AwsKmsSigningKeys(arn("first"), client=service.client)


class TestContract(SigningKeysContract):
    @pytest.fixture
    def keys(self, service, arn):
        return AwsKmsSigningKeys(arn("old"), client=service.client)

    @pytest.fixture
    def rotated_keys(self, service, arn):
        return AwsKmsSigningKeys(arn("first"), arn("old"), client=service.client)


def test_it_waits_and_asks_for_a_public_key_once(service, signing_keys):
    assert signing_keys.waits
    asked = service.asked()
    assert signing_keys.public_keys() == signing_keys.public_keys()
    assert service.asked() == asked + 1


@pytest.mark.parametrize("wrong", ["", "alias/signing", ARN.replace("key/", "alias/"), "fake-secret"])
def test_only_the_arn_of_a_key_names_one(wrong):
    with pytest.raises(ConfigurationError) as caught:
        AwsKmsSigningKeys(ARN, wrong)
    assert caught.value.setting == "key_arn"


def test_one_key_is_named_once():
    with pytest.raises(ConfigurationError, match="twice"):
        AwsKmsSigningKeys(ARN, ARN)
    assert repr(AwsKmsSigningKeys(ARN)) == f"AwsKmsSigningKeys({ARN})"


@pytest.mark.parametrize(
    ("name", "spec", "usage"), [("ec", "ECC_NIST_P256", "SIGN_VERIFY"), ("for encryption", "RSA_2048", "ENCRYPT_DECRYPT")]
)
def test_a_key_that_cannot_sign_our_tokens_is_refused(service, arn, name, spec, usage):
    keys = AwsKmsSigningKeys(arn(name, spec, usage), client=service.client)
    with pytest.raises(KeyringError, match="is no RSA key of at least 2048 bits that signs"):
        keys.public_keys()


@pytest.mark.parametrize("wrong", [b"", b"fake", b"\x30\x00"])
def test_a_public_key_that_cannot_be_read_is_refused(service, arn, wrong):
    keys = AwsKmsSigningKeys(arn("first"), client=service.client)
    text = base64.b64encode(wrong).decode()
    body = {"KeyId": arn("first"), "PublicKey": text, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["RSASSA_PKCS1_V1_5_SHA_256"]}
    service.answer(json.dumps(body).encode())
    with pytest.raises(KeyringError, match="is no RSA key"):
        keys.public_keys()


@pytest.mark.parametrize("call", [lambda keys: keys.public_keys(), lambda keys: keys.sign("fake", MESSAGE)], ids=["public keys", "sign"])
def test_an_answer_of_another_key_is_refused(service, signing_keys, call):
    service.answer(json.dumps({"KeyId": ARN}).encode())
    with pytest.raises(KeyringError, match="another key answered"):
        call(signing_keys)


def test_a_signature_of_another_key_is_refused(service, signing_keys):
    [key] = signing_keys.public_keys()
    service.answer(json.dumps({"KeyId": ARN, "Signature": "ZmFrZQ=="}).encode())
    with pytest.raises(KeyringError, match="another key answered"):
        signing_keys.sign(key.key_id, MESSAGE)


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("NotFoundException", KeyringError, "is not there"),
        ("DisabledException", KeyringError, "is switched off"),
        ("AccessDeniedException", KeyringError, "may not be used"),
        ("InvalidKeyUsageException", KeyringError, "is not made for this use"),
        ("UnsupportedOperationException", KeyringError, "is not made for this use"),
        ("ThrottlingException", KeyServiceUnavailableError, "right now"),
        ("KMSInternalException", KeyServiceUnavailableError, "right now"),
    ],
)
def test_what_kms_answers_is_an_error_of_ours_without_its_words(service, signing_keys, caplog, code, error, text):
    caplog.set_level(logging.DEBUG)
    [key] = signing_keys.public_keys()
    service.answer(code)
    with pytest.raises(error, match=text) as caught:
        signing_keys.sign(key.key_id, MESSAGE)
    assert "words" not in shown_by(caught.value)
    service.recover()
    assert signing_keys.sign(key.key_id, MESSAGE)


def test_a_service_that_is_gone_is_an_outage(service, signing_keys):
    service.stop()
    with pytest.raises(KeyServiceUnavailableError):
        signing_keys.public_keys()
