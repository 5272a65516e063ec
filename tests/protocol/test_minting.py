"""What a step of a mint sends."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.keys import PASSPHRASE, certificate_pem, pem
from tests.protocol.minting import AT, NOW, URL, VALUES, build, claims, form, step
from tests.tracebacks import shown_by

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.minting import build_step, find_steps


def test_a_form_is_sent_as_the_standard_says() -> None:
    request = build(fields={"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "{client_secret}"})
    assert (request.method, request.url, request.provider_id) == ("POST", URL, "acme")
    assert request.headers == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "cloud-integrations",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert form(request) == {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "fake secret+1"}


def test_fields_of_json_are_filled_at_any_depth() -> None:
    request = build(body="json", fields={"scope": ["a {region}", 1, None, {"deep": "{client_secret}"}], "lifetime": "3600s"})
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {"scope": ["a eu-1", 1, None, {"deep": "fake secret+1"}], "lifetime": "3600s"}


def test_a_step_may_have_no_body() -> None:
    request = build(method="GET", body="none", headers={"X-Region": "{region}", "accept": "text/plain"})
    assert (request.method, request.body) == ("GET", b"")
    assert request.headers == {
        "accept": "text/plain", "Accept-Encoding": "identity", "User-Agent": "cloud-integrations", "X-Region": "eu-1",
    }  # fmt: skip


def test_a_step_with_a_reply_in_xml_asks_for_xml() -> None:
    assert build(reply={"format": "xml"}).headers["Accept"] == "application/xml, text/xml"


@pytest.mark.parametrize(
    ("way", "header", "params"),
    [
        ("basic", "client-1:fake%20secret%2B1", {}),
        ("basic_raw", "client-1:fake secret+1", {}),
        ("post", None, {"client_id": "client-1", "client_secret": "fake secret+1"}),
    ],
)
@pytest.mark.parametrize("body", ["form", "json"])
def test_a_client_secret_is_sent_as_a_token_endpoint_wants_it(way, header, params, body) -> None:
    request = build(client_auth=[way, "post"], body=body, fields={"grant_type": "client_credentials"})
    sent = form(request) if body == "form" else json.loads(request.body)
    assert sent == {"grant_type": "client_credentials", **params}
    basic = request.headers.get("Authorization", "").removeprefix("Basic ")
    assert (b64decode(basic).decode() if basic else None) == header


@pytest.mark.requirement("OAU-064")
def test_a_client_proves_itself_by_a_jwt() -> None:
    request = build(
        {name: value for name, value in VALUES.items() if name != "client_secret"},
        proofs={"certificate": {"sub": "{client_id}", "aud": URL, "lifetime": 60}},
        client_auth=["post", "proof:certificate"],
        fields={"grant_type": "client_credentials"},
    )
    sent = form(request)
    assertion = claims(sent.pop("client_assertion"))
    assert sent == {
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    assert assertion == {"iss": "client-1", "sub": "client-1", "aud": URL, "iat": AT, "exp": AT + 60, "jti": "jti-1.certificate"}


@pytest.mark.requirement("OAU-065")
def test_an_assertion_is_made_once_for_a_request() -> None:
    request = build(
        proofs={"key": {"aud": URL, "lifetime": 300}, "other": {"alg": "PS256"}},
        fields={"assertion": "{proof:key}", "again": "{proof:key}", "other": "{proof:other}"},
        proof="other",
    )
    sent = form(request)
    assert sent["assertion"] == sent["again"]
    assert claims(sent["assertion"])["jti"] == "jti-1.key"
    assert request.headers["Authorization"] == f"Bearer {sent['other']}"
    assert claims(sent["other"])["jti"] == "jti-1.other"


@pytest.mark.requirement("Q74")
def test_a_step_shows_the_token_of_the_step_before() -> None:
    request = build({**VALUES, "access_token": Secret("fake-first")}, proof="previous", body="json", fields={"lifetime": "3600s"})
    assert request.headers["Authorization"] == "Bearer fake-first"


def test_a_fact_of_an_encrypted_key_is_read_with_the_passphrase_of_its_proof() -> None:
    values = {**VALUES, "private_key": Secret(certificate_pem() + pem(passphrase=PASSPHRASE)), "passphrase": PASSPHRASE}
    proofs = {"none": {}, "key": {"passphrase": "{passphrase}"}}
    fields = {"thumbprint": "{private_key.sha256}", "key": "{private_key.spki_sha256}"}
    assert form(build(values, proofs=proofs, fields=fields))["key"] == form(build(fields={"key": "{private_key.spki_sha256}"}))["key"]
    assert form(build({**values, "passphrase": Secret(PASSPHRASE)}, proofs=proofs, fields=fields))["thumbprint"]
    with pytest.raises(ValidationFailedError, match="is encrypted"):
        build(values, proofs={"none": {}}, fields=fields)


def test_a_step_without_its_input_is_left_out() -> None:
    mint = (step(), step(when="email"), step(when="region"))
    assert find_steps(mint, values=VALUES) == (mint[0], mint[2])
    assert find_steps(mint, values={**VALUES, "email": Secret("")}) == (mint[0], mint[2])
    assert find_steps(mint, values={**VALUES, "email": "a@b.example"}) == mint


@pytest.mark.parametrize(
    ("template", "values", "url"),
    [
        ("https://{host}/v1/{id}:generate", {"host": "a.example/api/v3", "id": "r@p.example"}, "https://a.example/api/v3/v1/r@p.example:generate"),
        ("https://a.example/{id}", {"id": "x/../y?z#w&v=%2e"}, "https://a.example/x%2F..%2Fy%3Fz%23w%26v%3D%252e"),
        ("https://a.example/x?id={id}", {"id": "1&admin=true"}, "https://a.example/x?id=1%26admin%3Dtrue"),
        ("https://a.example?id={id}", {"id": "é "}, "https://a.example?id=%C3%A9%20"),
    ],
)  # fmt: skip
def test_a_value_in_a_url_stays_in_its_place(template, values, url) -> None:
    assert build(values, url=template).url == url


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("https://a.example/v1/{id}/token", {"id": ".."}),
        ("https://a.example/v1/{id}/token", {"id": "."}),
        ("https://a.example/v1/{id}.", {"id": "."}),
        ("https://{host}/token", {"host": "user@evil.example"}),
        ("https://{host}/token", {"host": "a b"}),
        ("http://{host}/token", {"host": "a.example"}),
        ("ftp://a.example/{host}", {"host": "x"}),
        ("{host}/token", {"host": "a.example"}),
    ],
)
def test_what_makes_no_address_is_refused(template, values) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        build(values, url=template)
    assert caught.value.field == "variables"


def test_a_simulated_provider_is_reached_over_loopback_alone() -> None:
    there = step(url="http://127.0.0.1:8080/token")
    request = build_step(there, values={}, proofs={}, provider_id="acme", loopback=True, private_host=True, now=NOW, jti="jti-1")
    assert (request.loopback, request.private_host) == (True, True)
    with pytest.raises(ValidationFailedError):
        build_step(there, values={}, proofs={}, provider_id="acme", now=NOW, jti="jti-1")


@pytest.mark.parametrize(
    ("values", "fields", "field"),
    [
        ({}, {"url": "https://a.example/{region}"}, "credentials.region"),
        ({}, {"fields": {"a": "{api_key}"}}, "credentials.api_key"),
        ({"api_key": Secret("")}, {"fields": {"a": "{api_key}"}}, "credentials.api_key"),
        ({"api_key": Secret("fake-a\r\nX-Evil: 1")}, {"headers": {"X-Key": "{api_key}"}}, "credentials.api_key"),
        ({"api_key": Secret("fake-é")}, {"headers": {"X-Key": "{api_key}", "X-Other": "1"}, "method": "PUT"}, "credentials.api_key"),
        ({}, {"client_auth": ["basic"]}, "credentials.client_id"),
        ({"client_id": "c"}, {"client_auth": ["basic", "post", "proof:key"]}, "credentials"),
        ({"private_key": Secret("fake-key"), "client_id": "c"}, {"client_auth": ["proof:key"]}, "credentials.private_key"),
        ({"private_key": Secret("fake-key")}, {"proof": "key"}, "credentials.private_key"),
        ({}, {"proof": "previous"}, "credentials.access_token"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value) or "nothing",
)
def test_what_a_request_lacks_is_named_and_nothing_is_repeated(values, fields, field) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        build({"other": Secret("fake-other"), **values}, proofs={"key": {}}, **fields)
    assert caught.value.field == field
    assert "fake-" not in shown_by(caught.value)


def test_the_ways_that_are_missing_are_named_once() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        build({"client_id": "c"}, proofs={"key": {}}, client_auth=["basic", "post", "proof:key"])
    assert caught.value.problem == "need client_secret or private_key"


def test_a_bad_key_of_the_operator_is_the_operators() -> None:
    with pytest.raises(ConfigurationError):
        build({"client_id": "c", "application": Secret("fake-key")}, proofs={"app": {"jwt": "application"}}, proof="app")


@given(text=st.text(min_size=1, max_size=40))
def test_whatever_a_tenant_enters_arrives_as_it_is(text) -> None:
    values = {**VALUES, "api_key": Secret(text)}
    assert form(build(values, fields={"key": "{api_key}"})) == {"key": text}
    assert json.loads(build(values, body="json", fields={"key": ["{api_key}"]}).body) == {"key": [text]}
    with suppress(ValidationFailedError):
        assert build(values, url="https://a.example/x/{api_key}/y").url.count("/") == 5
