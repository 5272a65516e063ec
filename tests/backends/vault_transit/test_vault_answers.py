"""What Vault may answer, and that no failed call shows a key or the token."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backends.named_keys import wrap
from tests.backends.stand_ins.vault import TransitKey
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

from .conftest import shows_a_canary

# What Vault may answer


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(403, "may not be used with this token"), (404, "is not there"), (405, "is not there")],
)
def test_a_key_that_may_not_be_used_is_named_without_the_servers_words(keys, vault, status, sentence):
    row = wrap_for_test(keys)
    vault.instead = (status, b'{"errors":["the server\'s words"]}')
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=f"key vault:transit/ci {sentence}") as caught:
            call()
        assert "words" not in shown_by(caught.value)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("status", [204, 307, 412, 413, 429, 472, 473, 500, 502, 503, 504])
def test_an_answer_of_not_now_is_an_outage(keys, vault, status):
    row = wrap_for_test(keys)
    vault.instead = (status, b"")
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()
    vault.instead = None
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_a_vault_that_is_gone_is_an_outage(keys, vault, transport):
    row = wrap_for_test(keys)
    transport.close()
    vault.stop()
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


USELESS = {
    "nothing": b"",
    "not JSON": b"<html>",
    "no data": b"{}",
    "data is text": b'{"data":"x"}',
    "a number": b'{"data":{"ciphertext":1,"plaintext":1}}',
    "no prefix": b'{"data":{"ciphertext":"QUJD","plaintext":"!"}}',
    "not ASCII": '{"data":{"ciphertext":"vault:v1:ü","plaintext":"ü"}}'.encode(),
    "too long": b'{"data":{"ciphertext":"vault:v1:' + b"A" * 4096 + b'","plaintext":""}}',
}


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_an_answer_that_cannot_be_read_is_an_outage(keys, vault, body):
    row = wrap_for_test(keys)
    vault.instead = (200, body)
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


@pytest.mark.requirement("ENC-09")
@pytest.mark.parametrize("plaintext", [DATA_KEY, bytes(64), bytes(32) + DATA_KEY, DATA_KEY * 3])
def test_an_answer_that_is_not_of_this_row_does_not_unwrap(keys, vault, plaintext):
    row = wrap_for_test(keys)
    vault.instead = (200, b'{"data":{"plaintext":"' + base64.b64encode(plaintext) + b'"}}')
    with pytest.raises(DecryptError) as caught:
        keys.unwrap(row)
    assert not shows_a_canary(shown_by(caught.value))


def test_a_wrong_version_of_the_key_does_not_unwrap(keys, vault):
    row = wrap_for_test(keys)
    vault.keys["transit/ci"].rotate()
    for version in (b"2", b"9"):
        with pytest.raises(DecryptError):
            keys.unwrap(replace(row, wrapped=row.wrapped.replace(b":v1:", b":v" + version + b":")))


@pytest.mark.parametrize("body", [b"", b"no JSON", b'{"errors":["cipher: message authentication failed"]}', b'{"errors":null}'])
def test_a_value_that_vault_refuses_does_not_unwrap(keys, vault, body):
    row = wrap_for_test(keys)
    vault.instead = (400, body)
    with pytest.raises(DecryptError):
        keys.unwrap(row)


def test_a_version_that_was_switched_off_is_told_from_a_bad_value(keys, vault):
    row = wrap_for_test(keys)
    vault.keys["transit/ci"].rotate()
    vault.keys["transit/ci"].min_decryption_version = 2
    with pytest.raises(KeyringError, match="min_decryption_version"):
        keys.unwrap(row)


def test_a_key_that_was_deleted_is_told_from_a_bad_value(keys, vault):
    row = wrap_for_test(keys)
    del vault.keys["transit/ci"]
    with pytest.raises(KeyringError, match="key vault:transit/ci is not there"):
        keys.unwrap(row)


def test_a_missing_key_is_not_made_by_a_token_that_may_only_update(keys, vault):
    vault.keys = {}
    with pytest.raises(KeyringError):
        wrap_for_test(keys)
    assert vault.keys == {}


@pytest.mark.parametrize("key", [TransitKey(type="rsa-4096"), TransitKey(derived=True)], ids=["rsa", "derived"])
def test_a_key_of_the_wrong_kind_is_refused(keys, vault, key):
    vault.keys = {"transit/ci": key}
    with pytest.raises(KeyringError, match="not of a type that takes associated data"):
        wrap_for_test(keys)


@pytest.mark.parametrize("wrapped", [b"", b"vault:v1:", b"vault:v0:QUJD", b"vault:v1:QUJD\n", b"vault:v1:" + b"A" * 4096, b"vault:v1:\xff"])
def test_what_vault_cannot_have_made_is_not_sent_there(keys, vault, wrapped):
    row = wrap_for_test(keys)
    asked = len(vault.requests)
    with pytest.raises(DecryptError):
        keys.unwrap(replace(row, wrapped=wrapped))
    assert len(vault.requests) == asked


def test_a_row_whose_tenant_is_no_text_does_not_unwrap(keys):
    with pytest.raises(DecryptError):
        keys.unwrap(replace(wrap_for_test(keys), tenant_id="\ud800"))


# Nothing is shown


@pytest.mark.requirement("ENC-18")
def test_it_shows_its_uris_and_is_never_copied_or_pickled(make):
    keys = make("ci", "old")
    assert repr(keys) == str(keys) == "VaultTransitKeys(vault:transit/ci, vault:transit/old)"
    assert not shows_a_canary(shown_by_copies(keys))


@pytest.mark.requirement("ENC-18")
def test_no_failed_call_shows_a_key_or_the_token(keys, make, vault, transport):
    row = wrap_for_test(keys)
    errors = []

    def fails(kind, call):
        with pytest.raises(kind) as caught:
            call()
        errors.append(caught.value)

    fails(SealingError, lambda: keys.wrap(DATA_KEY + b".", tenant_id="t", key_id=KEY_ID, version=1))
    fails(SealingError, lambda: keys.wrap(DATA_KEY, tenant_id="\ud800", key_id=KEY_ID, version=1))
    fails(KeyringError, lambda: wrap(make(token=Path("missing"))))
    fails(DecryptError, lambda: keys.unwrap(replace(row, version=2)))
    fails(KeyringError, lambda: make("strange").unwrap(row))
    for answer in ((200, b"{}"), (400, b""), (403, b""), (503, b"")):
        vault.instead = answer
        fails((KeyringError, KeyServiceUnavailableError), lambda: wrap(keys))
        fails((KeyringError, KeyServiceUnavailableError, DecryptError), lambda: keys.unwrap(row))
    vault.instead = (200, b'{"data":{"plaintext":"' + base64.b64encode(DATA_KEY) + b'"}}')
    fails(DecryptError, lambda: keys.unwrap(row))
    transport.close()
    vault.stop()
    fails(KeyServiceUnavailableError, lambda: wrap(keys))
    fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
    for error in errors:
        assert "wrap {" in shown_by(error)
        assert not shows_a_canary(shown_by(error))


@pytest.mark.requirement("ENC-18")
def test_no_log_of_any_library_shows_a_key_or_the_token(keys, vault, caplog):
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    row = wrap_for_test(keys)
    keys.unwrap(row)
    vault.instead = (403, b"")
    with pytest.raises(KeyringError):
        keys.unwrap(row)
    shown = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not shows_a_canary(shown)
    assert row.wrapped.decode() not in shown
