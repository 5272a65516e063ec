"""Client secret rotation: which outcome lets the next secret be tried, and in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.outcome import (
    Granted,
    Misconfigured,
    MisconfiguredReason,
    NotProcessed,
    Refused,
    Rejected,
    Unknown,
    Unusable,
)
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.protocol.client_secrets import (
    accepts_client,
    next_places,
    place_of,
    refuses_client,
    refuses_revoking_client,
    using_secret,
)
from cloud_integrations.protocol.http import HttpResponse

GRANTED = Granted(Grant(access_token=Secret("fake-access"), expires_at=datetime(2030, 1, 1, tzinfo=UTC)))
REFUSED = Misconfigured("invalid_client")


def answer(body=b"", status=401):
    return HttpResponse(status=status, headers={}, body=body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.requirement("OAU-070")
@pytest.mark.parametrize(
    ("outcome", "refuses", "accepts"),
    [
        (GRANTED, False, True),
        (Unusable(Unknown("unusable_body")), False, True),
        (Unusable(REFUSED), False, True),
        (Refused("invalid_grant"), False, True),
        (Rejected("refused"), False, False),
        (NotProcessed("rate_limited"), False, False),
        (Unknown("answer_lost"), False, False),
        (Unknown("server_error"), False, False),
        *((Misconfigured(reason), reason in {"invalid_client", "client_refused"}, False) for reason in get_args(MisconfiguredReason)),
    ],
)
def test_only_a_refused_client_lets_the_next_secret_be_tried(outcome, refuses, accepts):
    assert refuses_client(outcome, answer()) is refuses
    assert accepts_client(outcome) is accepts


@pytest.mark.parametrize(
    ("response", "refuses"),
    [
        (answer({"error": "invalid_client"}, 401), True),
        (answer({"error": "invalid_client"}, 200), True),
        (answer(b"<html>", 403), True),
        (answer({"error": "invalid_client"}, 500), False),
        (answer({"error": "invalid_client", "access_token": "fake"}), False),
        (answer({"error": "invalid_client", "refresh_token": "fake"}), False),
    ],
)
def test_an_answer_that_may_have_spent_a_token_is_no_refusal_of_the_client(response, refuses):
    assert refuses_client(REFUSED, response) is refuses


@pytest.mark.parametrize(
    ("response", "refuses"),
    [
        (answer({"error": "invalid_client"}, 400), True),
        (answer({"error": "invalid_client"}, 401), True),
        (answer(b"", 401), True),
        (answer({"message": "Bad credentials"}, 401), True),
        (answer({"error": "invalid_token"}, 401), False),
        (answer({"error": "invalid_request"}, 400), False),
        (answer(b"", 403), False),
        (answer({"error": "invalid_client"}, 503), False),
    ],
)
def test_a_revocation_says_in_its_own_way_that_the_client_is_refused(response, refuses):
    assert refuses_revoking_client(response) is refuses


def application(client_secret):
    return OAuthApplication(provider="example", client_id="client-1", client_secret=client_secret)


def test_one_secret_and_a_list_of_one_are_the_same():
    assert application("fake-a") == application(["fake-a"]) == application((Secret("fake-a"),))
    assert application("fake-a").client_secrets == (Secret("fake-a"),)
    assert (application(None).client_secret, application(None).client_secrets) == (None, ())


def test_the_first_secret_is_the_one_to_use_and_none_is_shown():
    both = application(["fake-a", Secret("fake-b")])
    assert (both.client_secret, both.client_secrets) == (Secret("fake-a"), (Secret("fake-a"), Secret("fake-b")))
    assert "fake-" not in repr(both)


def test_a_replaced_field_leaves_the_list_and_another_secret_replaces_it():
    both = application(["fake-a", "fake-b"])
    assert replace(both, client_id="client-2").client_secrets == both.client_secrets
    assert replace(both, client_secret="fake-c").client_secrets == (Secret("fake-c"),)
    assert replace(both, client_secret=["fake-b", "fake-c"]).client_secrets == (Secret("fake-b"), Secret("fake-c"))


@pytest.mark.parametrize("wrong", [[], [""], ["fake-a", "fake-a"], [None], 5, ["a", "b", "c", "d", "e", "f"]])
def test_a_list_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        application(wrong)
    assert caught.value.setting == "OAuthApplication.client_secret"
    assert "fake-a" not in str(caught.value)


def test_the_list_is_given_as_client_secret():
    with pytest.raises(ConfigurationError):
        OAuthApplication(provider="example", client_id="client-1", client_secrets=[Secret("fake-a")])


def test_the_other_secrets_follow_in_their_order_and_the_context_stays(make_client):
    known = make_client(application={"client_secret": ["fake-a", "fake-b", "fake-c"]})
    assert (place_of(known), next_places(known)) == (0, (1, 2))
    second = using_secret(known, 1)
    assert (place_of(second), next_places(second)) == (1, (0, 2))
    assert second.application.client_secret == Secret("fake-b")
    assert second.context_id == known.context_id == make_client(application={"client_secret": "fake-z"}).context_id


def test_a_public_client_has_no_secret_to_try(make_client):
    public = make_client(application={"client_secret": None}, client_auth=["none"])
    assert (place_of(public), next_places(public)) == (0, ())
