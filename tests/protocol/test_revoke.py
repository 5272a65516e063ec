from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.revoke import build_revoke, read_revocation

URL = "https://login.example.com/revoke"


def build(client, kind="refresh"):
    return build_revoke(client, token=Secret("fake-token+/="), kind=kind)


def form(request):
    return dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))


@pytest.mark.requirement("OAU-050", "Q65")
@pytest.mark.parametrize("kind", ["refresh", "access"])
def test_a_token_is_given_back_as_rfc_7009_has_it(make_client, kind):
    request = build(make_client(revoke={"url": URL}), kind)
    assert (request.method, request.url) == ("POST", URL)
    assert form(request) == {"token": "fake-token+/=", "token_type_hint": f"{kind}_token"}
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"client-1:fake-client-secret").decode()
    assert "fake" not in repr(request)


def test_without_a_request_there_is_nothing_to_send(make_client):
    assert build(make_client()) is None
    assert build(make_client(revoke={"manual_url": "https://example.com/apps"})) is None


@pytest.mark.parametrize(
    ("which", "kind", "sent"), [("access", "refresh", False), ("refresh", "refresh", True), ("refresh", "access", False)]
)
def test_only_the_kind_that_the_provider_takes_is_sent(make_client, which, kind, sent):
    assert (build(make_client(revoke={"url": URL, "which": which}), kind) is not None) is sent


@pytest.mark.requirement("OAU-032")
@pytest.mark.parametrize(
    ("offered", "revoke", "in_header", "in_body"),
    [
        ("post", {}, False, True),
        ("basic", {}, True, False),
        ("post", {"auth": "client_basic"}, True, False),
        ("basic", {"auth": "client_post"}, False, True),
        ("basic", {"auth": "none"}, False, False),
        ("post", {"param": "access_token"}, True, False),
        ("basic_raw", {"auth": "client_basic"}, True, False),
        ("basic_raw", {"auth": "client_post"}, False, True),
    ],
)
def test_a_revocation_authenticates_in_exactly_one_way(make_client, offered, revoke, in_header, in_body):
    request = build(make_client(client_auth=[offered], revoke={"url": URL, **revoke}))
    assert ("Authorization" in request.headers) is in_header
    assert ("client_secret" in form(request)) is in_body
    assert ("client_id" in form(request)) is in_body


@pytest.mark.parametrize("way", [{}, {"auth": "client_basic"}])
def test_a_revocation_encodes_as_the_token_endpoint_has_it(make_client, way):
    raw = {"client_auth": ["basic_raw"], "application": {"client_secret": Secret("fake:% ")}}
    request = build(make_client(**raw, revoke={"url": URL, **way}))
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"client-1:fake:% "


@pytest.mark.parametrize("auth", ["client_basic", "client_post"])
def test_a_public_client_names_itself_alone(make_client, auth):
    public = {"client_auth": ["none"], "application": {"client_secret": None}}
    request = build(make_client(revoke={"url": URL, "auth": auth}, **public))
    assert form(request)["client_id"] == "client-1"
    assert "Authorization" not in request.headers


@pytest.mark.requirement("Q65")
def test_a_provider_may_delete_by_json(make_client):
    client = make_client(
        client_auth=["post"],
        revoke={
            "method": "DELETE",
            "url": "https://api.example.com/applications/{client_id}/token",
            "body": "json",
            "param": "access_token",
            "headers": {"X-Version": "1"},
        },
    )
    request = build(client)
    assert (request.method, request.url) == ("DELETE", "https://api.example.com/applications/client-1/token")
    assert json.loads(request.body) == {"access_token": "fake-token+/="}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Version"] == "1"
    assert request.headers["Authorization"].startswith("Basic ")


@pytest.mark.requirement("Q65")
def test_a_token_may_end_itself(make_client):
    request = build(make_client(revoke={"url": URL, "auth": "bearer", "body": "none"}))
    assert request.body == b""
    assert request.headers["Authorization"] == "Bearer fake-token+/="
    assert "Content-Type" not in request.headers


def test_the_hint_may_be_left_out(make_client):
    assert form(build(make_client(revoke={"url": URL, "hint": False}))) == {"token": "fake-token+/="}


@pytest.mark.requirement("OAU-050")
@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "revoked"), (204, "revoked"), (302, "failed"), (400, "failed"), (401, "failed"), (503, "failed")]
)
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"[]", b"true", b"OK", b'{"error": null, "errors": []}'])
def test_a_token_is_gone_only_where_the_provider_says_so(make_client, answer, status, outcome, body):
    assert read_revocation(make_client(revoke={"url": URL}), answer(body, status=status)) == outcome


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_token"}, "revoked"),
        (400, {"error": "invalid_request"}, "failed"),
        (200, {"error": "invalid_token"}, "revoked"),
        (401, {"error": "invalid_client"}, "failed"),
        (429, {"error": "invalid_token"}, "failed"),
        (503, {"error": "invalid_token"}, "failed"),
        (503, {"error": "temporarily_unavailable"}, "failed"),
    ],
)
def test_a_token_that_the_server_calls_invalid_is_dead(make_client, answer, status, body, expected):
    assert read_revocation(make_client(revoke={"url": URL}), answer(body, status=status)) == expected


def test_a_provider_without_revocation_never_revokes(make_client, answer):
    assert read_revocation(make_client(), answer({})) == "failed"


@pytest.mark.parametrize(("body", "outcome"), [({"ok": True}, "revoked"), ({"ok": False}, "failed"), (b"", "failed")])
def test_success_may_be_said_in_the_body(make_client, answer, body, outcome):
    client = make_client(revoke={"url": URL, "success": [{"path": "ok", "equals": True}]})
    assert read_revocation(client, answer(body)) == outcome


@pytest.mark.requirement("OAU-050")
@pytest.mark.parametrize(
    ("auth", "rule", "outcome"),
    [
        ("bearer", {"at": "api", "path": "error", "equals": "token_revoked", "class": "dead"}, "revoked"),
        ("bearer", {"at": "token", "path": "error", "equals": "token_revoked", "class": "reauthorize"}, "revoked"),
        ("bearer", {"at": "api", "status": 401, "class": "dead"}, "revoked"),
        ("bearer", {"at": "api", "status": 401, "class": "denied"}, "failed"),
        ("bearer", {"at": "verify", "status": 401, "class": "dead"}, "failed"),
        ("bearer", {"at": "api", "path": "error", "equals": "other", "class": "dead"}, "failed"),
        ("client_basic", {"at": "token", "path": "error", "equals": "token_revoked", "class": "dead"}, "revoked"),
        ("client_basic", {"at": "token", "path": "codes.*", "equals": 7, "class": "dead"}, "revoked"),
        ("client_basic", {"at": "token", "path": "codes.*", "equals": 7, "class": "dead", "for_methods": ["other"]}, "failed"),
        ("client_basic", {"at": "token", "status": 401, "class": "dead"}, "failed"),
        ("client_basic", {"at": "api", "status": 401, "class": "dead"}, "failed"),
    ],
)
def test_a_token_that_was_dead_before_is_a_success(make_client, answer, auth, rule, outcome):
    client = make_client(provider={"error_rules": [rule]}, revoke={"url": URL, "auth": auth})
    assert read_revocation(client, answer({"error": "token_revoked", "codes": [6, 7]}, status=401)) == outcome


@pytest.mark.requirement("OAU-050")
@pytest.mark.parametrize(
    "body",
    [
        {"error": "unsupported_token_type"},
        {"error": {"message": "no"}},
        {"errors": [{"code": 1}]},
        b"error=unsupported_token_type",
        b"state=a&error=server_error",
        b"<html>Sign in</html>",
        b"\xef\xbb\xbf  <!doctype html>",
        b'<?xml version="1.0"?><error/>',
        b'{"error": "unsupported_token_type"',
        b'{"ok": true, "ok": false}',
        b"{" + b" " * 70_000 + b"}",
        {"success": False},
        {"ok": False, "revoked": False},
        b'[{"error": {"code": 401}}]',
        b'"error"',
        b"false",
        b"ERROR: not allowed",
        "<html>".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("content_type", ["application/json", "text/html", ""])
def test_an_error_or_a_page_under_a_status_of_success_is_no_revocation(make_client, answer, body, status, content_type):
    response = answer(body, status=status, content_type=content_type)
    assert read_revocation(make_client(revoke={"url": URL}), response) == "failed"
    cheerful = {"url": URL, "success": [{"path": "nothing", "absent": True}]}
    assert read_revocation(make_client(revoke=cheerful), response) == "failed"


@pytest.mark.parametrize("body", [b"", b"null", b"true", b"OK", b"[]", b"{}", {"success": True}, {"errors": []}, {"error": None}])
def test_an_answer_that_says_no_error_is_a_revocation(make_client, answer, body):
    assert read_revocation(make_client(revoke={"url": URL}), answer(body)) == "revoked"


@pytest.mark.requirement("OAU-050")
@pytest.mark.parametrize(
    ("facts", "status", "body", "outcome"),
    [
        ({"gone_statuses": [404]}, 404, {"message": "Not Found"}, "revoked"),
        ({"gone_statuses": [404]}, 404, b"<html>", "revoked"),
        ({"gone_statuses": [404]}, 400, {}, "failed"),
        ({"gone_statuses": [404]}, 503, {}, "failed"),
        ({"gone": [{"path": "code", "equals": 190}]}, 400, {"code": 190}, "revoked"),
        ({"gone": [{"path": "code", "equals": 190}]}, 200, {"code": 190, "error": "x"}, "revoked"),
        ({"gone": [{"path": "code", "equals": 190}]}, 400, {"code": 191}, "failed"),
        ({"gone": [{"path": "code", "equals": 190}]}, 500, {"code": 190}, "failed"),
        ({"gone": [{"path": "code", "absent": True}]}, 400, b"<html>", "failed"),
        ({"gone": [{"path": "a", "equals": 1}, {"path": "e.*.c", "equals": 2}]}, 400, {"e": [{"c": 1}, {"c": 2}]}, "revoked"),
    ],
)
def test_a_token_that_the_provider_does_not_know_in_its_own_way_is_dead(make_client, answer, facts, status, body, outcome):
    assert read_revocation(make_client(revoke={"url": URL, **facts}), answer(body, status=status)) == outcome


@pytest.mark.parametrize(("headers", "outcome"), [({"x_left": "0"}, "failed"), ({"retry_after": "9"}, "failed"), ({}, "revoked")])
def test_a_limit_is_never_taken_for_a_token_that_is_gone(make_client, answer, headers, outcome):
    client = make_client(provider={"rate_limit": {"remaining": "X-Left", "statuses": [403]}}, revoke={"url": URL, "gone_statuses": [403]})
    assert read_revocation(client, answer({}, status=403, **headers)) == outcome
