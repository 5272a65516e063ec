"""What Google may answer, and that no failed call shows a key."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace

import grpc
import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.kms_v1 import KeyManagementServiceClient
from tests.backends.named_keys import wrap
from tests.backends.stand_ins.gcp_kms import checksum
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

from .conftest import RING, set_field, shows_a_canary

# What Google may answer


def test_a_key_that_is_gone_is_named(keys, kms):
    row = wrap_for_test(keys)
    kms.keys = {}
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=f"key gcp-kms:{RING}/ci is not there"):
            call()


@pytest.mark.parametrize("state", ["DISABLED", "DESTROYED", "DESTROY_SCHEDULED"])
def test_a_version_that_is_switched_off_is_told_from_a_bad_value(keys, kms, state):
    row = wrap_for_test(keys)
    kms.keys[f"{RING}/ci"].states[1] = state
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match="is switched off or destroyed"):
            call()


def test_a_key_that_may_not_be_used_is_named(keys, kms):
    row = wrap_for_test(keys)
    kms.allowed = False
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match="may not be used with these credentials"):
            call()


def test_a_key_of_another_purpose_is_refused(keys, kms):
    kms.keys[f"{RING}/ci"].purpose = "ASYMMETRIC_SIGN"
    with pytest.raises(KeyringError, match="is not a key that encrypts"):
        wrap_for_test(keys)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("NOT_FOUND", "is not there"),
        ("PERMISSION_DENIED", "may not be used"),
        ("UNAUTHENTICATED", "may not be used"),
        ("FAILED_PRECONDITION", "is switched off"),
    ],
)
def test_the_services_words_are_not_repeated(keys, kms, status, sentence):
    row = wrap_for_test(keys)
    kms.instead, kms.for_ever = [grpc.StatusCode[status]], True
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=sentence) as caught:
            call()
        assert "words" not in shown_by(caught.value)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize(
    ("status", "tries"),
    [
        ("UNAVAILABLE", 3),
        ("DEADLINE_EXCEEDED", 3),
        ("RESOURCE_EXHAUSTED", 1),
        ("INTERNAL", 1),
        ("UNKNOWN", 1),
        ("ABORTED", 1),
        ("CANCELLED", 1),
        ("UNIMPLEMENTED", 1),
        ("DATA_LOSS", 1),
    ],
)
def test_an_answer_of_not_now_is_an_outage_after_few_tries(keys, kms, status, tries):
    row = wrap_for_test(keys)
    kms.instead, kms.for_ever = [grpc.StatusCode[status]], True
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        kms.requests.clear()
        with pytest.raises(KeyServiceUnavailableError) as caught:
            call()
        assert len(kms.requests) == tries
        assert "words" not in shown_by(caught.value)
    kms.instead, kms.for_ever = [], False
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_a_short_outage_is_not_noticed(keys, kms):
    kms.instead = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED]
    row = wrap_for_test(keys)
    kms.instead = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_each_try_has_a_deadline(keys, monkeypatch):
    row = wrap_for_test(keys)
    asked = []

    def record(self, request, *, retry, timeout):
        asked.append((retry, timeout))
        raise DefaultCredentialsError

    for method in ("encrypt", "decrypt"):
        monkeypatch.setattr(KeyManagementServiceClient, method, record)
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError):
            call()
    assert asked == [(None, 3.0), (None, 3.0)]


@pytest.mark.requirement("ENC-15")
def test_a_service_that_is_gone_is_an_outage(keys, kms):
    row = wrap_for_test(keys)
    kms.stop()
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


@pytest.mark.requirement("ENC-15")
def test_a_client_that_was_closed_is_an_outage(keys, kms):
    row = wrap_for_test(keys)
    kms.hang_up()
    for call in (lambda: wrap(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError) as caught:
            call()
        assert not shows_a_canary(shown_by(caught.value))


@pytest.mark.parametrize("wrapped", [b"", bytes(4097)])
def test_what_google_cannot_have_made_is_not_sent_there(keys, kms, wrapped):
    row = wrap_for_test(keys)
    asked = len(kms.requests)
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=wrapped))
    assert len(kms.requests) == asked


def test_a_row_whose_tenant_is_no_text_does_not_unwrap(keys, kms):
    row = wrap_for_test(keys)
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, tenant_id="\ud800"))


def test_a_plaintext_that_is_no_data_key_does_not_unwrap(keys, kms):
    row = wrap_for_test(keys)

    def shorten(response):
        response.plaintext = DATA_KEY[:-1]
        response.plaintext_crc32c = checksum(response.plaintext)

    kms.instead = [shorten]
    with pytest.raises(DecryptError) as caught:
        keys.unwrap(row)
    assert DATA_KEY[:-1].decode() not in shown_by(caught.value)


# Nothing is shown


@pytest.mark.requirement("ENC-18")
def test_it_shows_its_uris_and_is_never_copied_or_pickled(make):
    keys = make("ci", "old")
    assert repr(keys) == str(keys) == f"GcpKmsKeys(gcp-kms:{RING}/ci, gcp-kms:{RING}/old)"
    assert not shows_a_canary(shown_by_copies(keys))


@pytest.mark.requirement("ENC-18")
def test_no_failed_call_shows_a_key(keys, make, kms):
    row = wrap_for_test(keys)
    errors = []

    def fails(kind, call):
        with pytest.raises(kind) as caught:
            call()
        errors.append(caught.value)

    fails(SealingError, lambda: keys.wrap(DATA_KEY + b"!", tenant_id="tenant-a", key_id=KEY_ID, version=1))
    fails(SealingError, lambda: keys.wrap(DATA_KEY, tenant_id="\ud800", key_id=KEY_ID, version=1))
    fails(DecryptError, lambda: keys.unwrap(replace(row, version=2)))
    fails(KeyringError, lambda: make("strange").unwrap(row))
    kms.for_ever = True
    for status in ("INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAVAILABLE", "INTERNAL"):
        kms.instead = [grpc.StatusCode[status]]
        fails((KeyringError, KeyServiceUnavailableError), lambda: wrap(keys))
        fails((KeyringError, KeyServiceUnavailableError, DecryptError), lambda: keys.unwrap(row))
    kms.instead = [set_field("plaintext_crc32c", 1)]
    fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
    kms.instead = [set_field("ciphertext_crc32c", 1)]
    fails(KeyServiceUnavailableError, lambda: wrap(keys))
    kms.stop()
    fails(KeyServiceUnavailableError, lambda: wrap(keys))
    fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
    for error in errors:
        assert "wrap {" in shown_by(error)
        assert not shows_a_canary(shown_by(error))


@pytest.mark.requirement("ENC-18")
def test_no_log_of_any_library_shows_a_key(keys, kms, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    monkeypatch.setattr(logging.getLogger("google"), "propagate", True)  # its own default keeps the records to itself
    row = wrap_for_test(keys)
    keys.unwrap(row)
    kms.allowed = False
    with pytest.raises(KeyringError):
        keys.unwrap(row)
    shown = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not shows_a_canary(shown)
    assert base64.b64encode(row.wrapped).decode() not in shown
