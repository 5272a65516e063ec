"""What Azure may answer, and that no failed call shows a key or the token."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from tests.backends.named_keys import wrap
from tests.backends.stand_ins.azure_key_vault import encode, padding
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

from .conftest import VERSIONS, WRAPPING_KEY, shows_a_canary

# What Azure may answer


def test_a_key_that_is_gone_is_named(keys, vault, uri):
    row = wrap_for_test(keys)
    vault.keys = {}
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=f"key azure-kv:{uri('ci')} is not there"):
            call()


def test_a_key_that_is_switched_off_wraps_nothing_though_azure_would(keys, vault):
    row = wrap_for_test(keys)
    vault.keys[f"ci/{VERSIONS['ci']}"].enabled = False
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match="is switched off"):
            call()
    vault.keys[f"ci/{VERSIONS['ci']}"].enabled = True
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.parametrize("operation", ["wrapkey", "unwrapkey"])
def test_a_key_that_may_do_only_half_wraps_nothing(keys, vault, operation):
    vault.keys[f"ci/{VERSIONS['ci']}"].operations = {operation}
    with pytest.raises(KeyringError, match="may not be used with these credentials"):
        wrap_for_test(keys)


def test_a_key_of_the_wrong_kind_is_refused(keys, vault):
    vault.keys[f"ci/{VERSIONS['ci']}"].kty = "EC"
    with pytest.raises(KeyringError, match="is not an RSA key that wraps"):
        wrap_for_test(keys)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "may not be used"), (403, "may not be used"), (404, "is not there"), (409, "is not there, or was deleted")],
)
def test_the_services_words_are_not_repeated(keys, vault, status, sentence):
    row = wrap_for_test(keys)
    vault.instead, vault.for_ever = [(status, {}, b'{"error":{"code":"x","message":"the service\'s words"}}')], True
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyringError, match=sentence) as caught:
            call()
        assert "words" not in shown_by(caught.value)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize(
    ("status", "tries"), [(500, 3), (502, 3), (503, 3), (504, 3), (429, 1), (408, 1), (204, 1), (302, 1), (307, 1), (405, 1)]
)
def test_an_answer_of_not_now_is_an_outage_after_few_tries(keys, vault, status, tries):
    row = wrap_for_test(keys)
    # Whoever slept as long as this says would not come back within the test's time limit.
    headers = {"Retry-After": "3600", "Location": f"https://{vault.host}/keys/other"}
    vault.instead, vault.for_ever = [(status, headers, b"")], True
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        vault.requests.clear()
        with pytest.raises(KeyServiceUnavailableError):
            call()
        assert len(vault.requests) == tries
    vault.instead, vault.for_ever = [], False
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_a_short_outage_is_not_noticed(keys, vault):
    vault.instead = [(503, {}, b""), (500, {}, b"")]
    row = wrap_for_test(keys)
    vault.instead = [(503, {}, b""), (500, {}, b"")]
    assert keys.unwrap(row) == DATA_KEY


@pytest.mark.requirement("ENC-15")
def test_each_try_has_a_deadline(keys, transport):
    keys.unwrap(wrap_for_test(keys))
    assert set(transport.timeouts) == {(3.0, 3.0)}


@pytest.mark.requirement("ENC-15")
def test_a_vault_that_is_gone_is_an_outage(keys, vault, transport):
    row = wrap_for_test(keys)
    transport.session.close()
    vault.stop()
    for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError):
            call()


@pytest.mark.requirement("ENC-15")
def test_a_transport_that_was_closed_is_an_outage(keys, transport, known_wrapping_key):
    row = wrap_for_test(keys)
    transport.close()
    for call in (lambda: wrap(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError) as caught:
            call()
        assert not shows_a_canary(shown_by(caught.value))


USELESS = {
    "nothing": b"",
    "not JSON": b"<html>",
    "a list": b"[]",
    "no value": b"{}",
    "a number": b'{"value":1}',
    "empty": b'{"value":""}',
    "not base64url": b'{"value":"!!!!"}',
    "not ASCII": '{"value":"üüüü"}'.encode(),
    "too short to be a wrapped key": b'{"value":"QUJD"}',
    "too long": b'{"value":"' + b"A" * 8192 + b'"}',
}


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_a_wrapping_that_cannot_be_read_is_an_outage(keys, vault, body):
    vault.instead, vault.for_ever = [(200, {}, body)], True
    with pytest.raises(KeyServiceUnavailableError):
        wrap_for_test(keys)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("case", ["nothing", "not JSON", "a list", "no value", "a number", "empty", "not base64url", "not ASCII"])
def test_an_unwrapping_that_cannot_be_read_is_an_outage(keys, vault, case):
    row = wrap_for_test(keys)
    vault.instead, vault.for_ever = [(200, {}, USELESS[case])], True
    with pytest.raises(KeyServiceUnavailableError):
        keys.unwrap(row)


@pytest.mark.requirement("ENC-09")
@pytest.mark.parametrize("value", [bytes(32), bytes(31), bytes(64), WRAPPING_KEY])
def test_an_answer_that_is_not_this_rows_key_does_not_unwrap(keys, vault, value):
    row = wrap_for_test(keys)
    vault.instead = [(200, {}, json.dumps({"value": encode(value)}).encode())]
    with pytest.raises(DecryptError) as caught:
        keys.unwrap(row)
    assert not shows_a_canary(shown_by(caught.value))


def test_a_wrapping_that_does_not_open_again_is_not_returned(keys, vault, known_wrapping_key):
    strange = vault.keys[f"strange/{VERSIONS['strange']}"]
    vault.instead = [
        (200, {}, json.dumps({"value": encode(strange.private.public_key().encrypt(b"x", padding()))}).encode()),
        (200, {}, json.dumps({"value": encode(bytes(32))}).encode()),
    ]
    with pytest.raises(KeyServiceUnavailableError) as caught:
        wrap(keys)
    assert not shows_a_canary(shown_by(caught.value))


# Nothing is shown


@pytest.mark.requirement("ENC-18")
def test_it_shows_its_uris_and_is_never_copied_or_pickled(make, uri):
    keys = make("ci", "old")
    assert repr(keys) == str(keys) == f"AzureKeyVaultKeys(azure-kv:{uri('ci')}, azure-kv:{uri('old')})"
    assert not shows_a_canary(shown_by_copies(keys))


@pytest.mark.requirement("ENC-18")
def test_no_failed_call_shows_a_key_or_the_token(keys, make, vault, transport, known_wrapping_key):
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
    vault.for_ever = True
    for answer in ((200, b"{}"), (200, b'{"value":"QUJD"}'), (400, b""), (403, b""), (429, b""), (503, b"")):
        vault.instead = [(answer[0], {}, answer[1])]
        fails((KeyringError, KeyServiceUnavailableError), lambda: wrap(keys))
        fails((KeyringError, KeyServiceUnavailableError, DecryptError), lambda: keys.unwrap(row))
    vault.instead, vault.for_ever = [], False
    vault.keys[f"ci/{VERSIONS['ci']}"].enabled = False
    fails(KeyringError, lambda: wrap(keys))
    transport.session.close()
    vault.stop()
    fails(KeyServiceUnavailableError, lambda: wrap(keys))
    fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
    for error in errors:
        assert "wrap {" in shown_by(error)
        assert not shows_a_canary(shown_by(error))


@pytest.mark.requirement("ENC-18")
def test_no_log_of_any_library_shows_a_key_or_the_token(keys, vault, caplog, known_wrapping_key):
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    row = wrap_for_test(keys)
    keys.unwrap(row)
    vault.keys = {}
    with pytest.raises(KeyringError):
        keys.unwrap(row)
    shown = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not shows_a_canary(shown)
    assert encode(row.wrapped[2:258]) not in shown
