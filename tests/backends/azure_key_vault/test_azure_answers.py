"""What Azure may answer, and that no failed call shows a key or the token."""

from __future__ import annotations

import json

import pytest
from tests.backends.key_service_answers import (
    Answers,
    AnswersContract,
    NothingIsShownContract,
    ShortOutagesContract,
    UnreadableAnswersContract,
)
from tests.backends.named_keys import wrap
from tests.backends.stand_ins.azure_key_vault import encode, padding
from tests.tracebacks import shown_by

from cloud_integrations.errors import KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import VERSIONS, WRAPPING_KEY, shows_a_canary

USELESS = {
    "nothing": (200, b""),
    "not JSON": (200, b"<html>"),
    "a list": (200, b"[]"),
    "no value": (200, b"{}"),
    "a number": (200, b'{"value":1}'),
    "empty": (200, b'{"value":""}'),
    "not base64url": (200, b'{"value":"!!!!"}'),
    "not ASCII": (200, '{"value":"üüüü"}'.encode()),
    "too short to be a wrapped key": (200, b'{"value":"QUJD"}'),
    "too long": (200, b'{"value":"' + b"A" * 8192 + b'"}'),
}
NOT_OURS = {
    "nothing": lambda wrapped: b"",
    "half a length": lambda wrapped: wrapped[:1],
    "no CI1": lambda wrapped: wrapped[:258],
    "one byte less": lambda wrapped: wrapped[:-1],
    "one byte more": lambda wrapped: wrapped + b"\x00",
    "length 0": lambda wrapped: b"\x00\x00" + wrapped[2:],
    "length 384": lambda wrapped: b"\x01\x80" + wrapped[2:],
    "length 65535": lambda wrapped: b"\xff\xff" + wrapped[2:],
}


class TestAnswers(AnswersContract, UnreadableAnswersContract, ShortOutagesContract):
    answers = Answers(
        refusals={
            status: ((status, b'{"error":{"code":"x","message":"the service\'s words"}}'), sentence)
            for status, sentence in {
                401: "may not be used",
                403: "may not be used",
                404: "is not there",
                409: "is not there, or was deleted",
            }.items()
        },
        outages={
            status: ((status,), tries)
            for tries, statuses in {3: (500, 502, 503, 504), 1: (429, 408, 204, 302, 307, 405)}.items()
            for status in statuses
        },
        short_outages={"503, 500": ((503, b""), (500, b""))},
        unreadable_wrappings=USELESS,
        unreadable_unwrappings={name: answer for name, answer in USELESS.items() if not name.startswith("too ")},
        not_of_the_row={
            name: (200, json.dumps({"value": encode(value)}).encode())
            for name, value in {"zeros": bytes(32), "short": bytes(31), "long": bytes(64), "another key": WRAPPING_KEY}.items()
        },
        impossible=NOT_OURS,
    )


@pytest.mark.usefixtures("known_wrapping_key")
class TestNothingIsShown(NothingIsShownContract):
    type_name = "AzureKeyVaultKeys"
    failing_answers = ((200, b"{}"), (200, b'{"value":"QUJD"}'), (400,), (403,), (404,), (429,), (503,))

    @pytest.fixture
    def other_failures(self, keys, vault):
        def wrap_with_a_key_that_is_switched_off():
            vault.keys[f"ci/{VERSIONS['ci']}"].enabled = False
            wrap(keys)

        return [(KeyringError, wrap_with_a_key_that_is_switched_off)]


# The keys


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


@pytest.mark.requirement("ENC-15")
def test_each_try_has_a_deadline(keys, transport):
    keys.unwrap(wrap_for_test(keys))
    assert set(transport.timeouts) == {(3.0, 3.0)}


@pytest.mark.requirement("ENC-15")
def test_a_transport_that_was_closed_is_an_outage(keys, transport, known_wrapping_key):
    row = wrap_for_test(keys)
    transport.close()
    for call in (lambda: wrap(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError) as caught:
            call()
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
