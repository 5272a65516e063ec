"""What Google may answer, and that no failed call shows a key."""

from __future__ import annotations

import logging

import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.kms_v1 import KeyManagementServiceClient
from grpc import StatusCode
from tests.backends.key_service_answers import Answers, AnswersContract, NothingIsShownContract, ShortOutagesContract
from tests.backends.named_keys import wrap
from tests.backends.stand_ins.gcp_kms import checksum
from tests.tracebacks import shown_by

from cloud_integrations.errors import KeyringError, KeyServiceUnavailableError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, wrap_for_test

from .conftest import RING, set_field, shows_a_canary


def shorten(response):
    response.plaintext = DATA_KEY[:-1]
    response.plaintext_crc32c = checksum(response.plaintext)


class TestAnswers(AnswersContract, ShortOutagesContract):
    answers = Answers(
        refusals={
            status: ((StatusCode[status],), sentence)
            for status, sentence in {
                "NOT_FOUND": "is not there",
                "PERMISSION_DENIED": "may not be used",
                "UNAUTHENTICATED": "may not be used",
                "FAILED_PRECONDITION": "is switched off",
            }.items()
        },
        outages={
            status: ((StatusCode[status],), tries)
            for tries, statuses in {
                3: ("UNAVAILABLE", "DEADLINE_EXCEEDED"),
                1: ("RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "ABORTED", "CANCELLED", "UNIMPLEMENTED", "DATA_LOSS"),
            }.items()
            for status in statuses
        },
        short_outages={
            "too late": (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED),
            "unavailable": (StatusCode.UNAVAILABLE, StatusCode.UNAVAILABLE),
        },
        not_of_the_row={"no data key": (shorten,)},
        impossible={"nothing": lambda wrapped: b"", "too long": lambda wrapped: bytes(4097)},
    )


class TestNothingIsShown(NothingIsShownContract):
    type_name = "GcpKmsKeys"
    failing_answers = tuple(
        (StatusCode[status],) for status in ("INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAVAILABLE", "INTERNAL")
    )

    @pytest.fixture(autouse=True)
    def _google_logs(self, monkeypatch):
        monkeypatch.setattr(logging.getLogger("google"), "propagate", True)  # its own default keeps the records to itself

    @pytest.fixture
    def other_failures(self, keys, service):
        row = wrap_for_test(keys)

        def damaged(field, call):
            service.answer(set_field(field, 1))
            call()

        return [
            (KeyServiceUnavailableError, lambda: damaged("plaintext_crc32c", lambda: keys.unwrap(row))),
            (KeyServiceUnavailableError, lambda: damaged("ciphertext_crc32c", lambda: wrap(keys))),
        ]


# The keys


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
def test_a_client_that_was_closed_is_an_outage(keys, kms):
    row = wrap_for_test(keys)
    kms.hang_up()
    for call in (lambda: wrap(keys), lambda: keys.unwrap(row)):
        with pytest.raises(KeyServiceUnavailableError) as caught:
            call()
        assert not shows_a_canary(shown_by(caught.value))
