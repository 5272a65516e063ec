"""What Vault may answer, and that no failed call shows a key or the token."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backends.key_service_answers import Answers, AnswersContract, NothingIsShownContract, UnreadableAnswersContract
from tests.backends.named_keys import wrap
from tests.backends.stand_ins.vault import TransitKey

from cloud_integrations.errors import DecryptError, KeyringError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

USELESS = {
    "nothing": (200, b""),
    "not JSON": (200, b"<html>"),
    "no data": (200, b"{}"),
    "data is text": (200, b'{"data":"x"}'),
    "a number": (200, b'{"data":{"ciphertext":1,"plaintext":1}}'),
    "no prefix": (200, b'{"data":{"ciphertext":"QUJD","plaintext":"!"}}'),
    "not ASCII": (200, '{"data":{"ciphertext":"vault:v1:ü","plaintext":"ü"}}'.encode()),
    "too long": (200, b'{"data":{"ciphertext":"vault:v1:' + b"A" * 4096 + b'","plaintext":""}}'),
}
NOT_OURS = [b"", b"vault:v1:", b"vault:v0:QUJD", b"vault:v1:QUJD\n", b"vault:v1:" + b"A" * 4096, b"vault:v1:\xff"]


def plaintext(value):
    return 200, json.dumps({"data": {"plaintext": base64.b64encode(value).decode()}}).encode()


class TestAnswers(AnswersContract, UnreadableAnswersContract):
    answers = Answers(
        refusals={
            status: ((status, b'{"errors":["the server\'s words"]}'), f"key vault:transit/ci {sentence}")
            for status, sentence in {403: "may not be used with this token", 404: "is not there", 405: "is not there"}.items()
        },
        outages={status: ((status,), 1) for status in (204, 307, 412, 413, 429, 472, 473, 500, 502, 503, 504)},
        unreadable_wrappings=USELESS,
        unreadable_unwrappings=USELESS,
        not_of_the_row={
            name: plaintext(value)
            for name, value in {"no context": DATA_KEY, "zeros": bytes(64), "another": bytes(32) + DATA_KEY, "long": DATA_KEY * 3}.items()
        },
        impossible={number: lambda wrapped, value=value: value for number, value in enumerate(NOT_OURS)},
    )


class TestNothingIsShown(NothingIsShownContract):
    type_name = "VaultTransitKeys"
    failing_answers = ((200, b"{}"), (400,), (403,), (503,))

    @pytest.fixture
    def other_failures(self, keys, make, service):
        row = wrap_for_test(keys)

        def unwrap_what_has_no_context():
            service.answer(*plaintext(DATA_KEY))
            keys.unwrap(row)

        return [(KeyringError, lambda: wrap(make(token=Path("missing")))), (DecryptError, unwrap_what_has_no_context)]


# The keys


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
