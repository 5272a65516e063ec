"""Checking credentials: requests built and answers read."""

from __future__ import annotations

import json

import pytest

from cloud_integrations import kinds
from cloud_integrations.domain.entered import EnteredKey
from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.domain.provider import Input, Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.inputs import hints, name_inputs, normalise
from cloud_integrations.protocol.verification import CheckResult, find_check, read_check

from .checks import KEY, jwt, presented_by, request_of
from .conftest import NOW

SECRET = "fake-test-second-value"


def provider(methods=None, checks=None, **fields) -> Provider:
    return Provider.model_validate(
        {
            "id": "acme",
            "name": "Acme",
            "methods": methods or [{"id": name, "kind": "key", "inputs": [{"name": "token"}]} for name in ("key", "other")],
            "verifications": checks if checks is not None else [{"url": "https://api.acme.example/me", "identity": ["json:id"]}],
            **fields,
        }
    )


def read(acme: Provider, status=200, body=None, headers=None, variables=None) -> CheckResult:
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    response = HttpResponse(status=status, headers=headers or {}, body=content)
    presented = presented_by(acme.methods[0])
    return read_check(acme, acme.methods[0], acme.verifications[0], response, presented=presented, variables=variables or {}, now=NOW)


# Inputs


@pytest.mark.parametrize("pasted", [KEY, f"  {KEY}\n", f'"{KEY}"', f"' {KEY} '", f"`{KEY}`", Secret(f" {KEY}\t")])
def test_white_space_and_quotes_around_a_pasted_key_go(pasted) -> None:
    assert normalise(provider().methods[0], {"token": pasted}) == {"token": Secret(KEY)}


def test_an_input_without_normalisation_keeps_its_text() -> None:
    method = Method(id="key", kind="key", inputs=(Input(name="token", normalise=(), spaces=True),))
    assert normalise(method, {"token": ' "a" '}) == {"token": Secret(' "a" ')}


@pytest.mark.requirement("OAU-080")
@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({}, "credentials.token"),
        ({"token": "  "}, "credentials.token"),
        ({"token": '""'}, "credentials.token"),
        ({"token": f"{KEY}\r\nX-Evil: 1"}, "credentials.token"),
        ({"token": f"{KEY}\x00"}, "credentials.token"),
        ({"token": f"{KEY}é"}, "credentials.token"),
        ({"token": KEY * 1000}, "credentials.token"),
        ({"token": KEY, KEY: "x"}, "credentials.inputs"),
    ],
)
def test_what_no_request_could_carry_is_refused_without_repeating_it(inputs, field) -> None:
    with pytest.raises(ValidationFailedError) as error:
        normalise(provider().methods[0], inputs)
    assert error.value.field == field
    assert KEY not in str(error.value)
    assert "Evil" not in str(error.value)


def test_a_file_may_have_lines_and_an_optional_input_may_be_missing() -> None:
    method = Method(id="key", kind="key", inputs=(Input(name="file", form="pem"), Input(name="note", required=False)))
    text = "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----"
    assert normalise(method, {"file": f"{text}\n"}) == {"file": Secret(text)}


def test_a_hint_names_the_input_and_not_its_value() -> None:
    method = Method(id="key", kind="key", inputs=(Input(name="token", patterns=("^tok_[a-z]+$",), label="API token"), Input(name="other")))
    acme = Provider(id="acme", name="Acme", methods=(method,))
    assert hints(acme, method, {"token": Secret(" 'tok_fake' ")}) == ()
    assert hints(acme, method, {"token": KEY, "other": KEY}) == ("API token does not look like one of this provider",)
    assert hints(acme, method, {}) == ()


def test_key_and_secret_get_the_names_of_the_method() -> None:
    pair = Method(id="key", kind="key", inputs=(Input(name="user", secret=False), Input(name="access"), Input(name="private")))
    inputs, fields = name_inputs(pair, EnteredKey(api_key=Secret(KEY), secret_key=Secret(SECRET)))
    assert inputs == {"access": Secret(KEY), "private": Secret(SECRET)}
    assert fields == {"user": "credentials.user", "access": "credentials.apiKey", "private": "credentials.secretKey"}
    assert name_inputs(pair, EnteredKey(api_key=Secret(KEY)))[0] == {"access": Secret(KEY)}
    with pytest.raises(ValidationFailedError, match="secretKey is not used"):
        name_inputs(provider().methods[0], EnteredKey(api_key=Secret(KEY), secret_key=Secret(SECRET)))


# Requests


def test_the_first_check_that_fits_the_method_and_its_variables_is_chosen() -> None:
    acme = provider(
        checks=[
            {"url": "https://api.acme.example/1", "for_methods": ["other"]},
            {"url": "https://api.acme.example/2", "needs": ["account"]},
            {"url": "https://api.acme.example/{region}"},
            {"url": "https://api.acme.example/4"},
        ],
        variables=[{"name": name, "pattern": "^[a-z]+$", "required": False} for name in ("account", "region")],
    )
    method = acme.methods[0]
    chosen = [find_check(acme, method, variables=variables) for variables in ({"account": "a"}, {"account": "", "region": "eu"}, {})]
    assert [check and check.url[-2:] for check in chosen] == ["/2", "n}", "/4"]
    assert find_check(provider(checks=[]), method, variables={}) is None


def test_the_key_goes_where_the_provider_says_and_is_not_shown() -> None:
    request = request_of(provider())
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert (request.method, request.url, request.body) == ("GET", "https://api.acme.example/me", b"")
    assert request.provider_id == str(provider_id("acme"))
    assert KEY not in repr(request)
    assert not request.loopback
    assert not request.private_host


def test_several_values_go_to_several_headers() -> None:
    method = {
        "id": "key",
        "kind": "key",
        "inputs": [{"name": "token"}, {"name": "private"}],
        "present": {"headers": {"X-Key": "{value}", "X-Secret": "{private}", "X-User": "{email}"}},
        "headers": {"api": {"X-Version": "1"}},
    }
    acme = provider([method], variables=[{"name": "email", "pattern": "^.+$", "required": False}])
    request = request_of(acme, {"token": Secret(KEY), "private": Secret(SECRET)}, {"email": "a@acme.example"})
    expected = {"X-Key": KEY, "X-Secret": SECRET, "X-User": "a@acme.example", "X-Version": "1", "Accept": "application/json"}
    assert request.headers == expected
    with pytest.raises(ValidationFailedError, match=r"credentials\.email is required"):
        request_of(acme, {"token": Secret(KEY), "private": Secret(SECRET)})


@pytest.mark.parametrize(
    ("basic", "header"),
    [
        ({"user": "{value}", "password": "{private}"}, "ZmFrZTp0ZXN0"),
        ({"user": "{value}"}, "ZmFrZTo="),
        ({"password": "{value}"}, "OmZha2U="),
    ],
)
def test_basic_authentication_takes_either_half(basic, header) -> None:
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token"}, {"name": "private"}], "present": {"basic": basic}}
    request = request_of(provider([method]), {"token": Secret("fake"), "private": Secret("test")})
    assert request.headers["Authorization"] == f"Basic {header}"


@pytest.mark.parametrize(("url", "joined"), [("https://a.example/me", "?"), ("https://a.example/me?v=1", "&")])
def test_a_key_goes_into_the_url_only_where_the_provider_wants_it(url, joined) -> None:
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token"}], "present": {"query": {"key": "{value}"}}}
    request = request_of(provider([method], [{"url": url}]), {"token": Secret("fake&test")})
    assert request.url == f"{url}{joined}key=fake%26test"
    assert "Authorization" not in request.headers
    assert "fake" not in repr(request)


@pytest.mark.requirement("Q22", "Q58")
def test_a_check_may_have_a_body_and_headers_of_its_own() -> None:
    check = {
        "method": "POST",
        "url": "https://a.example/graphql",
        "body": '{"query": "{ me }"}',
        "headers": {"Content-Type": "application/json"},
    }
    request = request_of(provider(checks=[check]))
    assert request.method == "POST"
    assert json.loads(request.body) == {"query": "{ me }"}
    assert request.headers["Content-Type"] == "application/json"


def test_an_access_token_is_checked_the_same_way() -> None:
    method = {"id": "oauth2", "kind": "code", "authorize_url": "https://a.example/authorize", "token_url": "https://a.example/token"}
    request = request_of(provider([method]), {"access_token": Secret(KEY)})
    assert request.headers["Authorization"] == f"Bearer {KEY}"


def test_a_request_without_its_key_is_not_built() -> None:
    with pytest.raises(ValidationFailedError, match="is required by this provider"):
        request_of(provider(), {})


def test_a_simulated_provider_is_reached_over_loopback() -> None:
    acme = provider(checks=[{"url": "http://127.0.0.1:8080/me"}], loopback=True)
    assert request_of(acme).loopback


# Answers


@pytest.mark.parametrize(
    ("status", "body", "headers", "outcome"),
    [
        (200, {"id": 7}, {}, "alive"),
        (401, {}, {}, "dead"),
        (403, {}, {}, "unknown"),
        (404, {}, {}, "unknown"),
        (500, {}, {}, "unknown"),
        (429, {}, {}, "unknown"),
        (200, b"<html>sign in</html>", {}, "unknown"),
        (200, b"[]", {}, "unknown"),
        (200, b"", {}, "unknown"),
        (302, b"", {}, "unknown"),
        (401, b"<html>", {}, "dead"),
    ],
)
def test_an_answer_without_words_of_its_own_is_read_by_its_status(status, body, headers, outcome) -> None:
    result = read(provider(), status, body, headers)
    assert result.outcome == outcome
    assert result.accepted is (outcome == "alive")


@pytest.mark.parametrize(("form", "body", "outcome"), [
    ("json", b"<!DOCTYPE html><title>Sign in</title>", "unknown"),
    ("json", b"\n <html>Sign in</html>", "unknown"),
    ("xml", b"<html>Sign in</html>", "unknown"),
    ("xml", b'<HTML xmlns="http://www.w3.org/1999/xhtml">Sign in</HTML>', "unknown"),
    ("xml", b"<!DOCTYPE html><p>Sign in", "unknown"),
    ("xml", b"<Answer><Id>7</Id></Answer>", "alive"),
    ("json", b"", "alive"),
    ("json", b"[]", "alive"),
])  # fmt: skip
def test_a_web_page_is_no_verdict_even_if_the_check_reads_nothing_of_the_answer(form, body, outcome) -> None:
    checks = [{"url": "https://api.acme.example/me", "format": form, "identity": ["ctx:account"]}]
    assert (
        read(provider(checks=checks, variables=[{"name": "account", "pattern": "^.*$", "required": False}]), 200, body).outcome == outcome
    )


@pytest.mark.parametrize(
    ("class_", "outcome"),
    [
        ("renew", "dead"),
        ("reauthorize", "dead"),
        ("dead", "dead"),
        ("denied", "alive_but_denied"),
        ("clock_skew", "clock_skew"),
        ("wrong_region", "wrong_region"),
        ("retry", "unknown"),
        ("wait", "unknown"),
        ("restart", "unknown"),
        ("client_refused", "unknown"),
        ("platform_config", "unknown"),
    ],
)
def test_the_providers_own_table_decides_first(class_, outcome) -> None:
    rules = [
        {"at": "api", "path": "error", "equals": "no", "class": "dead"},
        {"at": "verify", "path": "error", "equals": "other", "class": "dead"},
        {"at": "verify", "path": "error", "equals": "no", "class": class_},
    ]
    assert read(provider(error_rules=rules), 200, {"error": "no"}).outcome == outcome


@pytest.mark.parametrize(
    ("rule", "status", "body", "outcome"),
    [
        ({"path": "errors.*.code", "equals": 6003}, 400, {"errors": [{"code": 1}, {"code": 6003}]}, "dead"),
        ({"path": "errors.*.code", "equals": 6003}, 400, {"errors": [{"code": "6003"}]}, "unknown"),
        ({"status": 400}, 400, {}, "dead"),
        ({"status": 400, "for_methods": ["key"]}, 400, {}, "dead"),
        ({"status": 400, "for_methods": ["other"]}, 400, {}, "unknown"),
    ],
)
def test_a_rule_speaks_of_numbers_of_members_of_lists_and_of_its_methods(rule, status, body, outcome) -> None:
    rules = [{"at": "verify", "class": "dead", **rule}]
    assert read(provider(error_rules=rules), status, body).outcome == outcome


@pytest.mark.parametrize(
    ("token", "account"),
    [
        (jwt({"tid": "d1", "oid": "o1"}), "d1/o1"),
        (jwt({"tid": 7, "oid": {"a": 1}}), "7/"),
        (jwt({"oid": "o1"}), None),
        (jwt(["tid"]), None),
        (KEY, None),
        ("a.b", None),
        ("a.%%%.c", None),
        ("a.ä.c", None),
        ("a..c", None),
        ("a." + "W" * 20 + ".c", None),
    ],
)
def test_an_identity_can_be_a_claim_of_the_token(token, account) -> None:
    check = {"url": "https://api.acme.example/me", "identity": ["claim:tid", "claim:oid"]}
    acme = provider(checks=[check])
    response = HttpResponse(status=200, body=b"")
    presented = presented_by(acme.methods[0], {"token": Secret(token)})
    result = read_check(acme, acme.methods[0], acme.verifications[0], response, presented=presented, variables={}, now=NOW)
    assert result.account.account_id == account
    assert token not in repr(result)


def test_a_denied_credential_is_accepted() -> None:
    acme = provider(checks=[{"url": "https://a.example/me", "status_rules": {"403": "alive_but_denied"}}])
    assert read(acme, 403).accepted


def test_success_is_more_than_a_status() -> None:
    acme = provider(checks=[{"url": "https://a.example/me", "success": [{"path": "ok", "equals": True}, {"path": "id", "not_null": True}]}])
    assert read(acme, 200, {"ok": True, "id": "a"}).outcome == "alive"
    assert read(acme, 200, {"ok": True, "id": None}).outcome == "unknown"
    assert read(acme, 200, {"ok": False, "id": "a"}).outcome == "unknown"


def test_a_body_that_nobody_asks_about_may_be_anything() -> None:
    acme = provider(checks=[{"url": "https://a.example/me", "identity": ["header:X-Account"]}])
    result = read(acme, 200, b"<ok/>", {"x-account": "A1"})
    assert result.account.account_id == "A1"


@pytest.mark.parametrize(
    ("headers", "body", "outcome"),
    [
        ({}, {}, "dead"),
        ({"x-left": "3"}, {}, "dead"),
        ({"x-left": " 0 "}, {}, "unknown"),
        ({"retry-after": "60"}, {}, "unknown"),
        ({}, {"reason": "limit"}, "unknown"),
    ],
)
def test_a_limit_is_not_taken_for_a_refusal(headers, body, outcome) -> None:
    acme = provider(
        checks=[{"url": "https://a.example/me", "status_rules": {"403": "dead"}}],
        rate_limit={"remaining": "X-Left", "statuses": [403], "body": [{"path": "reason", "equals": "limit"}]},
    )
    assert read(acme, 403, body, headers).outcome == outcome


def test_without_a_remaining_header_the_limit_is_seen_by_retry_after() -> None:
    acme = provider(checks=[{"url": "https://a.example/me", "status_rules": {"403": "dead"}}], rate_limit={"statuses": [403]})
    assert read(acme, 403).outcome == "dead"
    assert read(acme, 403, headers={"retry-after": "1"}).outcome == "unknown"


@pytest.mark.requirement("Q63")
@pytest.mark.parametrize(
    ("paths", "body", "account"),
    [
        (["json:id"], {"id": 7}, "7"),
        (["json:a.b"], {"a": {"b": "x"}}, "x"),
        (["json:list.0.id"], {"list": [{"id": "x"}]}, "x"),
        (["json:id", "ctx:org"], {"id": "x"}, "x/acme"),
        (["json:id", "json:team"], {"id": "x"}, "x/"),
        (["json:team", "json:id"], {"id": "x"}, None),
        (["json:id"], {"id": None}, None),
        (["json:id"], {"id": True}, None),
        (["json:id"], {"id": {}}, None),
        (["json:id"], {"id": 1.5}, None),
        (["json:id"], {"id": "a\nb"}, None),
        (["json:id"], {"id": "x" * 300}, None),
        ([], {"id": "x"}, None),
    ],
)
def test_the_account_is_put_together_from_its_parts(paths, body, account) -> None:
    acme = provider(checks=[{"url": "https://a.example/me", "identity": paths}], variables=[{"name": "org", "pattern": "^[a-z]+$"}])
    assert read(acme, 200, body, variables={"org": "acme"}).account.account_id == account


def test_the_label_is_the_first_that_is_there() -> None:
    acme = provider(checks=[{"url": "https://a.example/me", "label": ["json:email", "json:name"]}])
    assert read(acme, 200, {"name": "Ada"}).account.label == "Ada"
    assert read(acme, 200, {"name": "Ada", "email": "ada@acme.example"}).account.label == "ada@acme.example"
    assert read(acme, 200, {"id": 1}).account.label is None


def test_an_input_that_is_no_secret_stands_in_the_url_encoded_and_in_the_identity() -> None:
    inputs = [{"name": "user", "secret": False}, {"name": "token"}]
    method = {"id": "key", "kind": "key", "inputs": inputs, "present": {"headers": {"X-Key": "{token}"}}}
    acme = provider([method], [{"url": "https://a.example/users/{user}", "identity": ["ctx:user"]}])
    request = request_of(acme, {"user": Secret("a/../b?c=d#e f"), "token": Secret(KEY)})
    assert request.url == "https://a.example/users/a%2F..%2Fb%3Fc%3Dd%23e%20f"
    parts = {"token": Secret(KEY), "user": Secret("ada")}
    presented = kinds.present(acme.methods[0], parts, variables={})
    answer = HttpResponse(status=200, body=b"{}")
    result = read_check(acme, acme.methods[0], acme.verifications[0], answer, presented=presented, variables={}, now=NOW)
    assert result.account.account_id == "ada"


def test_a_secret_input_stands_in_no_url() -> None:
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token"}]}
    with pytest.raises(ValueError, match="no variable of this provider"):
        provider([method], [{"url": "https://a.example/users/{token}"}])
