"""The request by which a provider makes a key, and what its answers mean."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from functools import partial

import pytest
from pydantic import ValidationError

from cloud_integrations import Secret
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.outcome import NotProcessed, Rejected, Unknown
from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import check_provider, kind_of
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.new_key import MadeKey, build_new_key, read_new_key

NOW = datetime(2026, 11, 29, 23, 59, 58, tzinfo=UTC)
URL = "https://api.acme.example/keys"
CREATE = {"does": "create", "url": URL, "gives": {"token": "token"}}
PAIR = [{"name": "key_id", "secret": False}, {"name": "secret"}, {"name": "session", "required": False}]
DOCUMENT = [{"name": "file", "form": "json", "parts": {"email": "email", "key": "key"}, "public": ["email"]}]


def described(rotation, **changes):
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token"}], "rotation": rotation, **changes}
    variables = [{"name": "account_id", "pattern": "[a-z0-9 ]+", "required": False}]
    provider = Provider.model_validate({"id": "acme", "name": "Acme", "variables": variables, "methods": [method]})
    check_provider(provider)
    return provider


def built(rotation, *, parts=None, identity=None, variables=None, **changes):
    provider = described(rotation, **changes)
    [method] = provider.methods
    held = {"token": "fake-key-1"} if parts is None else parts
    presented = Presented(parts={name: Secret(text) for name, text in held.items()}, present=method.present, variables=variables or {})
    return build_new_key(
        provider, method, method.rotation, presented=presented, variables=variables or {}, identity=identity, product="Shop", now=NOW
    )


def read(rotation, status, body, *, old=None, headers=None, **changes):
    provider = described(rotation, **changes)
    [method] = provider.methods
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers=headers or {}, body=raw)
    held = {name: Secret(text) for name, text in (old or {"token": "fake-key-1"}).items()}
    accept = partial(kind_of(method).read_inputs, method)
    return read_new_key(provider, method, method.rotation, response, old=held, read=accept, now=NOW)


def shown(made):
    assert isinstance(made, MadeKey), made
    return {name: part.reveal() for name, part in made.parts.items()}


# The request


def test_the_old_key_shows_the_request():
    request = built(CREATE)
    assert (request.method, request.url, request.body) == ("POST", URL, b"")
    assert request.headers["Authorization"] == "Bearer fake-key-1"
    assert "Content-Type" not in request.headers


def test_json_without_fields_is_an_empty_object():
    assert built({**CREATE, "body": "json"}).body == b"{}"


def test_an_id_and_variables_stand_in_the_url_as_one_segment_each():
    rolled = {**CREATE, "does": "roll", "method": "PUT", "url": URL + "/{account_id}/{identity}/value"}
    request = built(rolled, identity="a/../b", variables={"account_id": "x y"})
    assert (request.method, request.url) == ("PUT", URL + "/x%20y/a%2F..%2Fb/value")


def test_without_the_id_that_it_needs_there_is_no_request():
    assert built({**CREATE, "url": URL + "/{identity}"}) is None
    assert built({**CREATE, "body": "json", "fields": {"of": "{identity}"}}) is None
    assert json.loads(built({**CREATE, "body": "json", "fields": {"of": "{identity}"}}, identity="7").body) == {"of": "7"}


def test_what_the_library_knows_of_the_new_key_goes_into_the_fields():
    fields = {"name": "{product} {made_at}", "days": 7, "until": ["{ends_on}", {"at": "{ends_at}"}], "seconds": "{ends_in}"}
    request = built({**CREATE, "body": "json", "fields": fields, "lifetime": 86_400})
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "name": "Shop 20261129T235958Z",
        "days": 7,
        "until": ["2026-11-30", {"at": "2026-11-30T23:59:58Z"}],
        "seconds": "86400",
    }


def test_a_form_names_what_is_no_secret_of_the_old_key():
    rotation = {**CREATE, "gives": {"key_id": "id", "secret": "secret"}, "body": "form", "fields": {"like": "{key_id}"}}
    request = built(rotation, inputs=PAIR, parts={"secret": "fake", "key_id": "id 1"}, present={"headers": {"X-Key": "{secret}"}})
    assert (request.body, request.headers["Content-Type"]) == (b"like=id+1", "application/x-www-form-urlencoded")


def test_a_variable_that_is_missing_is_named():
    with pytest.raises(ValidationFailedError) as caught:
        built({**CREATE, "body": "json", "fields": {"of": "{account_id}"}})
    assert caught.value.field == "variables.account_id"


# The answer


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, {"token": ""}, Unknown("unusable_body")),
        (200, {"token": None}, Unknown("unusable_body")),
        (200, {"token": 7}, Unknown("unusable_body")),
        (200, {"token": "fake-key-1"}, Unknown("unusable_body")),
        (200, {"token": "two words"}, Unknown("unusable_body")),
        (200, {"other": "fake-key-2"}, Unknown("unusable_body")),
        (200, {"token": "fake-key-2", "error": "no"}, Unknown("unusable_body")),
        (200, {"token": "fake-key-2", "success": False}, Unknown("unusable_body")),
        (200, ["fake-key-2"], Unknown("unusable_body")),
        (200, b"<html>Sign in</html>", Unknown("unusable_body")),
        (200, b"", Unknown("unusable_body")),
        (202, {"token": "fake-key-2"}, Unknown("unexpected_status")),
        (302, b"", Unknown("redirect")),
        (400, {"error": "no"}, Rejected("refused")),
        (401, {}, Rejected("refused")),
        (403, {"token": "fake-key-2"}, Rejected("refused")),
        (409, {}, Rejected("refused")),
        (500, {"token": "fake-key-2"}, Unknown("server_error")),
        (504, b"", Unknown("server_error")),
    ],
)
def test_every_other_answer_says_whether_a_key_may_have_been_made(status, body, meaning):
    assert read(CREATE, status, body) == meaning


def test_a_rate_limit_made_no_key_and_says_when_to_ask_again():
    limited = read(CREATE, 429, {}, headers={"retry-after": "7"})
    assert isinstance(limited, NotProcessed)
    assert (limited.reason, limited.retry_after.total_seconds()) == ("rate_limited", 7)


@pytest.mark.parametrize("status", [200, 201])
def test_the_new_value_is_read_below_its_place(status):
    rotation = {**CREATE, "at": "result.0", "gives": {"token": "value"}, "identity": "id"}
    made = read(rotation, status, {"success": True, "errors": [], "result": [{"value": " fake-key-2\n", "id": 12}]})
    assert (shown(made), made.identity) == ({"token": "fake-key-2"}, "12")


@pytest.mark.parametrize("found", [None, True, {}, []])
def test_an_id_that_is_none_is_left_out(found):
    assert read({**CREATE, "identity": "id"}, 200, {"token": "fake-key-2", "id": found}).identity is None


def test_what_is_no_secret_stays_and_an_old_secret_does_not():
    rotation = {**CREATE, "gives": {"secret": "secret"}}
    old = {"secret": "fake-1", "session": "fake-session", "key_id": "id-1"}
    assert shown(read(rotation, 200, {"secret": "fake-2"}, old=old, inputs=PAIR)) == {"secret": "fake-2", "key_id": "id-1"}
    rotation["gives"]["key_id"] = "id"
    made = read(rotation, 200, {"secret": "fake-2", "id": "id-2"}, old=old, inputs=PAIR)
    assert shown(made) == {"secret": "fake-2", "key_id": "id-2"}


def test_a_document_comes_encoded_and_only_its_parts_are_kept():
    rotation = {**CREATE, "gives": {"file": "data"}, "encodings": {"file": "base64"}}
    document = json.dumps({"email": "a@b.example", "key": "fake-2", "more": "fake-3"}).encode()
    present = {"headers": {"X-Key": "{key}"}}
    answer = {"data": b64encode(document).decode()}
    made = read(rotation, 200, answer, old={"email": "a@b.example", "key": "fake-1"}, inputs=DOCUMENT, present=present)
    assert shown(made) == {"email": "a@b.example", "key": "fake-2"}
    for wrong in ("???", b64encode(b"\xff\xfe").decode(), b64encode(b"{}").decode()):
        assert read(rotation, 200, {"data": wrong}, inputs=DOCUMENT, present=present) == Unknown("unusable_body")


def test_an_answer_in_xml_is_read_and_a_page_is_none():
    rotation = {**CREATE, "format": "xml", "at": "Made.Key", "gives": {"token": "Value"}}
    body = b'<Made xmlns="https://acme.example/"><Key><Value>fake-key-2</Value></Key></Made>'
    assert shown(read(rotation, 200, body)) == {"token": "fake-key-2"}
    for wrong in (b"<html><body>Sign in</body></html>", b"<unclosed>", b"{}"):
        assert read(rotation, 200, wrong) == Unknown("unusable_body")


# The file


@pytest.mark.parametrize(
    ("rotation", "problem"),
    [
        ({**CREATE, "gives": {}}, "must name at least one input"),
        ({**CREATE, "gives": {"other": "token"}}, "names other, which is no input of this method"),
        ({**CREATE, "fields": {"a": "b"}}, "fields need a body"),
        ({**CREATE, "never_with": ["other"]}, "names other, which is no input of this method"),
        ({**CREATE, "body": "form", "fields": {"a": 1}}, "the fields of a form are text"),
        ({**CREATE, "encodings": {"other": "base64"}}, "which is not in gives"),
        ({**CREATE, "lifetime": 5}, "lifetime goes with"),
        ({**CREATE, "body": "json", "fields": {"a": "{ends_at}"}}, "lifetime goes with"),
        ({**CREATE, "body": "json", "fields": {"a": ["{token}"]}}, "uses token, which the library does not know"),
        ({**CREATE, "url": "http://api.acme.example/"}, "must be an https URL"),
        ({**CREATE, "url": URL + "/{token}"}, "which is no variable of this provider"),
        ({**CREATE, "does": "sing"}, "create"),
    ],
)
def test_a_file_whose_key_could_not_be_made_or_read_is_refused(rotation, problem):
    with pytest.raises((ValidationError, ValueError), match=problem):
        described(rotation)


def test_every_secret_of_a_new_key_comes_with_the_answer():
    with pytest.raises(ValueError, match="lacks secret, which every key has"):
        described({**CREATE, "gives": {"key_id": "id"}}, inputs=PAIR, present={"headers": {"X-Key": "{secret}"}})


def test_a_key_that_is_shown_by_a_challenge_makes_no_other():
    digest = {"digest": {"user": "{key_id}", "password": "{secret}"}}
    with pytest.raises(ValueError, match="without a challenge"):
        described({**CREATE, "gives": {"key_id": "id", "secret": "secret"}}, inputs=PAIR, present=digest)


def test_a_consent_has_no_key_to_rotate():
    with pytest.raises(ValueError, match="has no inputs, rotation for this kind"):
        described(CREATE, kind="code", authorize_url="https://a.example/a", token_url="https://a.example/t")
