"""Checking credentials: requests built and answers read, for our own cases and for the ten providers."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.domain.provider import Input, Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import input_methods, present
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.verification import (
    CheckResult,
    build_check,
    find_check,
    find_input_method,
    hints,
    name_inputs,
    normalise,
    read_check,
)
from cloud_integrations.providers import Catalogue

KEY = "fake-test-key-value"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
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


def jwt(claims: object) -> str:
    """A token as an authorization server makes it; nobody checks the signature here."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, "fake-signature"])


def google(reason: str) -> dict:
    """A refusal whose reason is not the first of the details."""
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": details}}


def request_of(acme: Provider, inputs=None, variables=None, method: Method | None = None):
    method = method or acme.methods[0]
    check = find_check(acme, method, variables=variables or {})
    assert check is not None
    return build_check(acme, method, check, presented=presented_by(method, inputs, variables), variables=variables or {})


def presented_by(method: Method, inputs=None, variables=None):
    return present(method, {"token": Secret(KEY)} if inputs is None else inputs, variables=variables or {})


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
    method = Method(id="key", kind="key", inputs=(Input(name="token", normalise=(), multiline=True),))
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
        ({"token": KEY, KEY: "x"}, "credentials"),
    ],
)
def test_what_no_request_could_carry_is_refused_without_repeating_it(inputs, field) -> None:
    with pytest.raises(ValidationFailedError) as error:
        normalise(provider().methods[0], inputs)
    assert error.value.field == field
    assert KEY not in str(error.value)
    assert "Evil" not in str(error.value)


def test_a_file_may_have_lines_and_an_optional_input_may_be_missing() -> None:
    method = Method(id="key", kind="key", inputs=(Input(name="file", multiline=True), Input(name="note", required=False)))
    assert normalise(method, {"file": "a\nb\n"}) == {"file": Secret("a\nb")}


def test_a_hint_names_the_input_and_not_its_value() -> None:
    method = Method(id="key", kind="key", inputs=(Input(name="token", patterns=("^tok_[a-z]+$",), label="API token"), Input(name="other")))
    assert hints(method, {"token": Secret(" 'tok_fake' ")}) == ()
    assert hints(method, {"token": KEY, "other": KEY}) == ("API token does not look like one of this provider",)
    assert hints(method, {}) == ()


def test_key_and_secret_get_the_names_of_the_method() -> None:
    pair = Method(id="key", kind="key", inputs=(Input(name="user", secret=False), Input(name="access"), Input(name="private")))
    assert name_inputs(pair, key=Secret(KEY), secret=Secret(SECRET)) == {"access": Secret(KEY), "private": Secret(SECRET)}
    assert name_inputs(pair, key=Secret(KEY)) == {"access": Secret(KEY)}
    with pytest.raises(ValidationFailedError, match="secretKey is not used"):
        name_inputs(provider().methods[0], key=Secret(KEY), secret=Secret(SECRET))


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
        "placement": [
            {"name": "X-Key", "prefix": ""},
            {"name": "X-Secret", "prefix": "", "template": "{private}"},
            {"name": "X-User", "prefix": "", "template": "{email}"},
        ],
        "headers": {"api": {"X-Version": "1"}},
    }
    acme = provider([method], variables=[{"name": "email", "pattern": "^.+$", "required": False}])
    request = request_of(acme, {"token": Secret(KEY), "private": Secret(SECRET)}, {"email": "a@acme.example"})
    expected = {"X-Key": KEY, "X-Secret": SECRET, "X-User": "a@acme.example", "X-Version": "1", "Accept": "application/json"}
    assert request.headers == expected
    with pytest.raises(ValidationFailedError, match=r"credentials\.email is required"):
        request_of(acme, {"token": Secret(KEY), "private": Secret(SECRET)})


@pytest.mark.parametrize(
    ("placement", "header"),
    [
        ([{"in": "basic_user", "prefix": ""}, {"in": "basic_password", "prefix": "", "template": "{private}"}], "ZmFrZTp0ZXN0"),
        ([{"in": "basic_user", "prefix": ""}], "ZmFrZTo="),
        ([{"in": "basic_password", "prefix": ""}], "OmZha2U="),
    ],
)
def test_basic_authentication_takes_either_half(placement, header) -> None:
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token"}, {"name": "private"}], "placement": placement}
    request = request_of(provider([method]), {"token": Secret("fake"), "private": Secret("test")})
    assert request.headers["Authorization"] == f"Basic {header}"


@pytest.mark.parametrize(("url", "joined"), [("https://a.example/me", "?"), ("https://a.example/me?v=1", "&")])
def test_a_key_goes_into_the_url_only_where_the_provider_wants_it(url, joined) -> None:
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token"}], "placement": [{"in": "query", "name": "key", "prefix": ""}]}
    request = request_of(provider([method], [{"url": url}]), {"token": Secret("fake&test")})
    assert request.url == f"{url}{joined}key=fake%26test"
    assert "Authorization" not in request.headers
    assert "fake" not in repr(request)


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


# The ten providers

CF = "0" * 32
ORG = {"org_host": "acme.okta.com"}
HUB = {"web_host": "github.com", "api_host": "api.github.com"}
# provider, method, variables → request, header that carries the credential
REQUESTS = [
    ("azure", "oauth2", {}, "GET https://management.azure.com/subscriptions?api-version=2022-12-01", "Authorization", "Bearer "),
    ("cloudflare", "user_api_token", {}, "GET https://api.cloudflare.com/client/v4/user/tokens/verify", "Authorization", "Bearer "),
    (
        "cloudflare",
        "account_api_token",
        {"account_id": CF},
        f"GET https://api.cloudflare.com/client/v4/accounts/{CF}/tokens/verify",
        "Authorization",
        "Bearer ",
    ),
    ("cloudflare", "global_key", {"email": "a@b.example"}, "GET https://api.cloudflare.com/client/v4/user", "X-Auth-Key", ""),
    ("cloudflare", "oauth2", {}, "GET https://api.cloudflare.com/client/v4/user", "Authorization", "Bearer "),
    ("digitalocean", "oauth2", {}, "GET https://api.digitalocean.com/v2/account", "Authorization", "Bearer "),
    ("digitalocean", "pat", {}, "GET https://api.digitalocean.com/v2/account", "Authorization", "Bearer "),
    ("github", "oauth_app", HUB, "GET https://api.github.com/user", "Authorization", "Bearer "),
    ("github", "app_user_token", HUB, "GET https://api.github.com/user", "Authorization", "Bearer "),
    ("github", "pat", HUB, "GET https://api.github.com/user", "Authorization", "Bearer "),
    ("gitlab", "oauth2", {"host": "gitlab.com"}, "GET https://gitlab.com/api/v4/user", "Authorization", "Bearer "),
    ("gitlab", "pat", {"host": "gitlab.com"}, "GET https://gitlab.com/api/v4/user", "PRIVATE-TOKEN", ""),
    ("google_cloud", "oauth2", {}, "GET https://openidconnect.googleapis.com/v1/userinfo", "Authorization", "Bearer "),
    ("google_cloud", "api_key", {}, "GET https://cloudresourcemanager.googleapis.com/v1/projects?pageSize=1", "X-Goog-Api-Key", ""),
    ("hetzner_cloud", "api_token", {}, "GET https://api.hetzner.cloud/v1/servers?per_page=1", "Authorization", "Bearer "),
    ("linode", "oauth2", {}, "GET https://api.linode.com/v4/profile", "Authorization", "Bearer "),
    ("linode", "pat", {}, "GET https://api.linode.com/v4/profile", "Authorization", "Bearer "),
    ("okta", "oauth2", ORG, "GET https://acme.okta.com/api/v1/users/me", "Authorization", "Bearer "),
    ("okta", "api_token", ORG, "GET https://acme.okta.com/api/v1/users/me", "Authorization", "SSWS "),
    ("slack", "oauth2_v2", {}, "POST https://slack.com/api/auth.test", "Authorization", "Bearer "),
    ("slack", "bot_or_user_token", {}, "POST https://slack.com/api/auth.test", "Authorization", "Bearer "),
]


@pytest.mark.requirement("OAU-052")
@pytest.mark.parametrize(("slug", "method_id", "variables", "line", "header", "prefix"), REQUESTS)
def test_each_provider_is_asked_its_own_way(*, slug, method_id, variables, line, header, prefix) -> None:
    real = Catalogue.builtin().require(slug)
    method = next(method for method in real.methods if method.id == method_id)
    name = "access_token" if method.kind == "code" else method.inputs[0].name
    request = request_of(real, {name: Secret(KEY)}, variables, method)
    assert f"{request.method} {request.url}" == line
    assert request.headers[header] == prefix + KEY
    assert not request.private_host


def test_every_method_of_the_ten_is_in_the_table() -> None:
    methods = {(real.id, method.id) for real in Catalogue.builtin().list_providers() for method in real.methods}
    assert {(slug, method_id) for slug, method_id, *_ in REQUESTS} == methods


AZURE_TOKEN = jwt({"tid": "d1", "oid": "o1", "upn": "ada@acme.example"})
CF_BAD = {
    "success": False,
    "errors": [{"code": 6003, "message": "Invalid request headers", "error_chain": [{"code": 6111, "message": "Invalid format"}]}],
}
CF_OK = {"success": True, "errors": [], "messages": [], "result": {"id": "t1", "status": "active"}}
# provider, method, status, body, headers → outcome, account, label
ANSWERS = [
    # A subscription of another directory, or none at all, changes nothing: the token names directory and user.
    ("azure", "oauth2", 200, {"value": [{"subscriptionId": "s", "tenantId": "d2"}]}, {}, "alive", "d1/o1", "ada@acme.example"),
    ("azure", "oauth2", 200, {"value": []}, {}, "alive", "d1/o1", "ada@acme.example"),
    ("azure", "oauth2", 401, {"error": {"code": "ExpiredAuthenticationToken"}}, {}, "dead", None, None),
    ("azure", "oauth2", 403, {"error": {"code": "AuthorizationFailed"}}, {}, "alive_but_denied", None, None),
    ("cloudflare", "user_api_token", 200, CF_OK, {}, "alive", "t1", None),
    ("cloudflare", "user_api_token", 200, {**CF_OK, "result": {"id": "t1", "status": "disabled"}}, {}, "dead", None, None),
    ("cloudflare", "user_api_token", 200, {**CF_OK, "result": {"id": "t1", "status": "expired"}}, {}, "dead", None, None),
    ("cloudflare", "user_api_token", 200, {"success": False, "errors": [{"code": 1000}], "result": None}, {}, "unknown", None, None),
    ("cloudflare", "user_api_token", 401, {"success": False}, {}, "dead", None, None),
    ("cloudflare", "user_api_token", 400, CF_BAD, {}, "dead", None, None),
    ("cloudflare", "account_api_token", 400, CF_BAD, {}, "dead", None, None),
    ("cloudflare", "global_key", 400, CF_BAD, {}, "dead", None, None),
    ("cloudflare", "user_api_token", 400, {"success": False, "errors": [{"code": 1}, {"code": 6003}]}, {}, "dead", None, None),
    ("cloudflare", "user_api_token", 400, {"success": False, "errors": [{"code": 7003}]}, {}, "unknown", None, None),
    ("cloudflare", "user_api_token", 500, CF_BAD, {}, "unknown", None, None),
    ("cloudflare", "account_api_token", 200, CF_OK, {}, "alive", "t1", None),
    ("cloudflare", "oauth2", 200, {"success": True, "result": {"id": "u1", "email": "a@b.example"}}, {}, "alive", "u1", "a@b.example"),
    ("cloudflare", "global_key", 200, {"success": True, "result": {"id": "u1"}}, {}, "alive", "u1", None),
    (
        "digitalocean",
        "pat",
        200,
        {"account": {"uuid": "u", "email": "a@b.example", "team": {"uuid": "t"}}},
        {},
        "alive",
        "u/t",
        "a@b.example",
    ),
    ("digitalocean", "pat", 403, {"id": "Forbidden"}, {}, "alive_but_denied", None, None),
    ("digitalocean", "pat", 401, {"id": "Unauthorized"}, {}, "dead", None, None),
    ("github", "pat", 200, {"id": 42, "login": "octo"}, {}, "alive", "42", "octo"),
    ("github", "pat", 401, {"message": "Bad credentials"}, {}, "dead", None, None),
    ("github", "pat", 403, {"message": "limit"}, {"x-ratelimit-remaining": "0"}, "unknown", None, None),
    ("github", "pat", 403, {"message": "You have exceeded a secondary rate limit."}, {}, "unknown", None, None),
    ("gitlab", "pat", 200, {"id": 7, "username": "ada"}, {}, "alive", "7", "ada"),
    ("gitlab", "pat", 403, {"error": "insufficient_scope"}, {}, "alive_but_denied", None, None),
    ("gitlab", "pat", 429, b"<html>", {}, "unknown", None, None),
    ("google_cloud", "oauth2", 200, {"sub": "1", "email": "a@b.example"}, {}, "alive", "1", "a@b.example"),
    ("google_cloud", "oauth2", 401, {"error": "invalid_request"}, {}, "dead", None, None),
    ("google_cloud", "api_key", 400, {"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, {}, "dead", None, None),
    ("google_cloud", "api_key", 400, google("API_KEY_INVALID"), {}, "dead", None, None),
    *(("google_cloud", "api_key", 403, google(reason), {}, "dead", None, None) for reason in ("CONSUMER_INVALID", "CONSUMER_SUSPENDED")),
    *(
        ("google_cloud", method, 403, google(reason), {}, "alive_but_denied", None, None)
        for method in ("oauth2", "api_key")
        for reason in (
            "API_KEY_SERVICE_BLOCKED",
            "API_KEY_HTTP_REFERRER_BLOCKED",
            "API_KEY_IP_ADDRESS_BLOCKED",
            "SERVICE_DISABLED",
            "BILLING_DISABLED",
            "USER_PROJECT_DENIED",
            "SECURITY_POLICY_VIOLATED",
            "RESOURCE_QUOTA_EXCEEDED",
        )
    ),
    ("google_cloud", "oauth2", 401, google("ACCESS_TOKEN_EXPIRED"), {}, "dead", None, None),
    ("google_cloud", "oauth2", 403, google("RATE_LIMIT_EXCEEDED"), {}, "unknown", None, None),
    ("google_cloud", "api_key", 429, google("RATE_LIMIT_EXCEEDED"), {}, "unknown", None, None),
    ("google_cloud", "oauth2", 403, google("UNHEARD_OF"), {}, "unknown", None, None),
    (
        "google_cloud",
        "oauth2",
        403,
        {"error": {"errors": [{"reason": "x"}, {"reason": "userRateLimitExceeded"}]}},
        {},
        "unknown",
        None,
        None,
    ),
    ("google_cloud", "api_key", 401, {"error": {"status": "UNAUTHENTICATED"}}, {}, "alive_but_denied", None, None),
    ("google_cloud", "api_key", 403, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}, {}, "unknown", None, None),
    ("hetzner_cloud", "api_token", 200, {"servers": []}, {}, "alive", None, None),
    ("hetzner_cloud", "api_token", 200, {"portal": "sign in"}, {}, "unknown", None, None),
    ("hetzner_cloud", "api_token", 401, {"error": {"code": "unauthorized"}}, {}, "dead", None, None),
    ("linode", "pat", 200, {"username": "ada", "email": "a@b.example"}, {"x-customer-uuid": "C1"}, "alive", "C1/ada", "a@b.example"),
    ("okta", "api_token", 200, {"id": "00u1", "profile": {"login": "ada"}}, {}, "alive", "00u1/acme.okta.com", "ada"),
    ("okta", "api_token", 401, {"errorCode": "E0000011"}, {}, "dead", None, None),
    ("slack", "oauth2_v2", 200, {"ok": True, "team": "Acme", "team_id": "T1", "user_id": "U1"}, {}, "alive", "T1/U1", "Acme"),
    (
        "slack",
        "oauth2_v2",
        200,
        {"ok": True, "team": "Acme", "team_id": "T1", "user_id": "U1", "enterprise_id": "E1"},
        {},
        "alive",
        "T1/U1",
        "Acme",
    ),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "token_revoked"}, {}, "dead", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "token_expired"}, {}, "dead", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "missing_scope"}, {}, "alive_but_denied", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "ratelimited"}, {}, "unknown", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "internal_error"}, {}, "unknown", None, None),
]


@pytest.mark.parametrize(("slug", "method_id", "status", "body", "headers", "outcome", "account", "label"), ANSWERS)
def test_each_providers_answers_are_read_its_own_way(*, slug, method_id, status, body, headers, outcome, account, label) -> None:
    real = Catalogue.builtin().require(slug)
    variables = {**HUB, **ORG, "host": "gitlab.com", "account_id": CF, "email": "a@b.example"}
    method = next(method for method in real.methods if method.id == method_id)
    check = find_check(real, method, variables=variables)
    assert check is not None
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers=headers, body=content)
    name = "access_token" if method.kind == "code" else method.inputs[0].name
    presented = presented_by(method, {name: Secret(AZURE_TOKEN if slug == "azure" else KEY)}, variables)
    result = read_check(real, method, check, response, presented=presented, variables=variables, now=NOW)
    assert (result.outcome, result.account.account_id, result.account.label) == (outcome, account, label)


@pytest.mark.parametrize(
    ("key", "variables", "method_id"),
    [
        ("cfut_" + "A" * 40 + "0" * 8, {}, "user_api_token"),
        ("cfat_" + "A" * 40 + "0" * 8, {"account_id": CF}, "account_api_token"),
        ("cfat_" + "A" * 40 + "0" * 8, {}, "user_api_token"),
        ("0" * 37, {"email": "a@b.example"}, "global_key"),
        ("of no known form", {}, "user_api_token"),
    ],
)
def test_the_kind_of_key_is_told_by_its_form(key, variables, method_id) -> None:
    cloudflare = Catalogue.builtin().require("cloudflare")
    method = find_input_method(cloudflare, input_methods(cloudflare), Secret(key), variables=variables)
    assert method.id == method_id


def test_a_provider_without_keys_has_no_way_by_key() -> None:
    assert input_methods(Catalogue.builtin().require("azure")) == ()


@pytest.mark.requirement("OAU-076")
def test_a_private_host_is_meant_only_where_the_operator_named_it() -> None:
    gitlab = Catalogue.builtin().require("gitlab")
    variables = gitlab.fill_variables({}, operator={"host": "git.corp.example"})
    request = request_of(gitlab, {"access_token": Secret(KEY)}, variables)
    assert request.private_host
    assert request.url == "https://git.corp.example/api/v4/user"
