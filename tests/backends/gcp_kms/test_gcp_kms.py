from __future__ import annotations

from dataclasses import replace

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.kms_v1 import KeyManagementServiceClient
from tests.backends.named_keys import NamedKeysContract, wrap
from tests.backends.stand_ins.gcp_kms import checksum
from tests.tracebacks import shown_by

from cloud_integrations.backends.keys.gcp_kms import GcpKmsKeys, crc32c
from cloud_integrations.domain.envelope import encode_context, wrap_context
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import RING, set_field, shows_a_canary


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestContract(NamedKeysContract):
    """With real AES-GCM behind the documented API."""


def test_the_request_is_what_the_api_reference_says(keys, kms):
    row = wrap_for_test(keys)
    keys.unwrap(row)
    context = encode_context(wrap_context(tenant_id=row.tenant_id, key_id=row.key_id, version=1, kek_uri=row.kek_uri))
    (encrypt, metadata), (decrypt, _) = kms.requests
    assert encrypt.plaintext == DATA_KEY
    assert decrypt.ciphertext == row.wrapped
    assert (encrypt.plaintext_crc32c, decrypt.ciphertext_crc32c) == (checksum(DATA_KEY), checksum(row.wrapped))
    for request in (encrypt, decrypt):
        assert request.name == f"{RING}/ci"
        assert request.additional_authenticated_data == context
        assert request.additional_authenticated_data_crc32c == checksum(context)
    assert not shows_a_canary(metadata)


def test_googles_own_rotation_needs_nothing_here(keys, kms):
    before = wrap_for_test(keys)
    kms.keys[f"{RING}/ci"].rotate()
    after = wrap_for_test(keys)
    assert before.kek_uri == after.kek_uri
    assert keys.unwrap(before) == keys.unwrap(after) == DATA_KEY


def test_only_the_listed_keys_are_ever_asked(make, kms):
    row = wrap_for_test(make("strange"))
    asked = len(kms.requests)
    keys = make("ci", "old")
    with pytest.raises(KeyringError, match=f"{RING}/strange is not among the keys of Google Cloud KMS that are set up"):
        keys.unwrap(row)
    assert len(kms.requests) == asked
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, kek_key_id=keys.keks()[0].kek_key_id))
    assert [request.name for request, _ in kms.requests[asked:]] == [f"{RING}/ci"]


# Checksums


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_those_of_rfc_3720(data, expected):
    assert crc32c(data) == checksum(data) == expected


DAMAGED_ENCRYPTION = {
    "plaintext not verified": set_field("verified_plaintext_crc32c", False),
    "context not verified": set_field("verified_additional_authenticated_data_crc32c", False),
    "another ciphertext": set_field("ciphertext", b"\x01damaged"),
    "another checksum": set_field("ciphertext_crc32c", 1),
    "no checksum": set_field("ciphertext_crc32c", None),
    "no ciphertext": set_field("ciphertext", b""),
    "another key": set_field("name", f"{RING}/other/cryptoKeyVersions/1"),
    "no key": set_field("name", ""),
}
DAMAGED_DECRYPTION = {
    "another plaintext": set_field("plaintext", bytes(32)),
    "another checksum": set_field("plaintext_crc32c", 1),
    "no checksum": set_field("plaintext_crc32c", None),
    "nothing": set_field("plaintext", b""),
}


@pytest.mark.parametrize("damage", DAMAGED_ENCRYPTION.values(), ids=DAMAGED_ENCRYPTION)
def test_a_damaged_encryption_is_asked_for_again_and_never_returned(keys, kms, damage):
    kms.instead = [damage, damage]
    assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY
    kms.instead, kms.for_ever = [damage], True
    kms.requests.clear()
    with pytest.raises(KeyServiceUnavailableError):
        wrap_for_test(keys)
    assert len(kms.requests) == 3


@pytest.mark.parametrize("damage", DAMAGED_DECRYPTION.values(), ids=DAMAGED_DECRYPTION)
def test_a_damaged_decryption_is_asked_for_again_and_never_returned(keys, kms, damage):
    row = wrap_for_test(keys)
    kms.instead = [damage, damage]
    assert keys.unwrap(row) == DATA_KEY
    kms.instead, kms.for_ever = [damage], True
    kms.requests.clear()
    with pytest.raises(KeyServiceUnavailableError):
        keys.unwrap(row)
    assert len(kms.requests) == 3


def test_a_request_that_arrived_damaged_is_told_from_a_bad_value(keys, kms, monkeypatch):
    row = wrap_for_test(keys)
    monkeypatch.setattr("cloud_integrations.backends.keys.gcp_kms.crc32c", lambda data: 1)
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


def test_a_ciphertext_too_long_to_store_is_not_returned(keys, kms):
    def lengthen(response):
        response.ciphertext = bytes(4097)
        response.ciphertext_crc32c = checksum(response.ciphertext)

    kms.instead, kms.for_ever = [lengthen], True
    with pytest.raises(KeyServiceUnavailableError):
        wrap_for_test(keys)


def test_a_project_may_be_answered_by_its_number(keys, kms):
    kms.instead = [set_field("name", f"{RING.replace('fake-project', '123456')}/ci/cryptoKeyVersions/1")]
    assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY


# What it is made from


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ci",
        f"/{RING}/ci",
        f"gcp-kms:{RING}/ci",
        f"{RING}/",
        f"{RING}/a b",
        f"{RING}/ci\n",
        "projects/p/locations/l/keyRings/r",
        "projects//locations/l/keyRings/r/cryptoKeys/k",
    ],
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ConfigurationError, match="key_name must be projects/"):
        GcpKmsKeys(name)


def test_a_version_is_refused():
    with pytest.raises(ConfigurationError, match="without a version"):
        GcpKmsKeys(f"{RING}/ci/cryptoKeyVersions/1")


@pytest.mark.parametrize("project", ["fake-project", "example.com:fake-project", "123456789"])
def test_a_project_is_an_id_or_a_number(project):
    GcpKmsKeys(f"projects/{project}/locations/global/keyRings/r/cryptoKeys/k")


def test_a_key_is_named_once(make):
    with pytest.raises(ConfigurationError, match=f"names {RING}/ci twice"):
        make("ci", "old", "ci")


def test_a_client_must_speak_grpc():
    client = KeyManagementServiceClient(transport="rest", credentials=AnonymousCredentials())
    with pytest.raises(ConfigurationError, match="client must use the transport grpc"):
        GcpKmsKeys(f"{RING}/ci", client=client)


def test_without_a_client_the_default_credentials_are_looked_for_at_the_first_call_and_once(monkeypatch, kms):
    made = []

    def connect():
        made.append(True)
        return kms.connect()

    monkeypatch.setattr("cloud_integrations.backends.keys.gcp_kms.KeyManagementServiceClient", connect)
    keys = GcpKmsKeys(f"{RING}/ci")
    assert made == []
    assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY
    assert made == [True]


def test_missing_credentials_are_named(monkeypatch):
    def default(*_, **__):
        raise DefaultCredentialsError("the library's words")

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(KeyringError, match=f"key gcp-kms:{RING}/ci cannot be used: there are no credentials for Google") as caught:
        wrap(GcpKmsKeys(f"{RING}/ci"))
    assert "words" not in shown_by(caught.value)
    assert not shows_a_canary(shown_by(caught.value))
