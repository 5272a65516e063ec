"""What services for work, identity and storage say of tokens in their own way, beside what all built-in providers do."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from cloud_integrations.domain.outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.rate_limit import read_wait
from cloud_integrations.providers.catalogue import Catalogue

from .conftest import NOW, REDIRECT, STATE, VERIFIER
from .test_builtin_requests import named, reply

MEMBERS = {"access_token": "fake-access", "token_type": "Bearer", "expires_in": 3600}


def renewal(slug, method_id, body, status=400):
    client = named(slug, method_id)
    return client.backend.read_renewal(client, reply(body, status), now=NOW)


def revocation(slug, method_id, kind):
    client = named(slug, method_id)
    return client.backend.build_revoke(client, token=Secret(f"fake-{kind}"), kind=kind)


@pytest.mark.requirement("Q32")
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}, Refused("invalid_grant")),
        (401, {"error": "unauthorized_client", "error_description": "refresh_token is invalid"}, Refused("invalid_grant")),
        (401, {"error": "unauthorized_client", "error_description": "Unauthorized"}, Misconfigured("unauthorized_client")),
        (401, {"error": "access_denied", "error_description": "Unauthorized"}, Misconfigured("client_refused")),
    ],
)
def test_atlassian_tells_a_dead_refresh_token_from_a_wrong_application(status, body, outcome):
    assert renewal("atlassian", "oauth2_3lo", body, status) == outcome


@pytest.mark.requirement("Q65")
def test_auth0_ends_a_refresh_token_in_json():
    request = revocation("auth0", "oauth2", "refresh")
    assert json.loads(request.body) == {"client_id": "client-1", "client_secret": "fake-client-secret", "token": "fake-refresh"}
    assert revocation("auth0", "oauth2", "access") is None


def test_auth0_says_of_a_wrong_client_secret_that_access_is_denied():
    body = {"error": "access_denied", "error_description": "Unauthorized"}
    assert renewal("auth0", "oauth2", body, 401) == Misconfigured("client_refused")
    assert renewal("auth0", "oauth2", body, 403) == Rejected("unknown_error")


@pytest.mark.parametrize("domain", ["acme.auth0.com", "acme.eu.auth0.com", "acme.us-3.auth0.com"])
def test_auth0_is_reached_in_each_of_its_regions(domain):
    assert Catalogue.builtin().require("auth0").fill_variables({"domain": domain}) == {"domain": domain}


@pytest.mark.parametrize("domain", ["auth0.com", "acme.auth0.com.evil.example", "login.acme.example", "a.b.eu.auth0.com"])
def test_no_other_host_is_asked_for_auth0(domain):
    with pytest.raises(ValidationFailedError, match=r"variables\.domain"):
        Catalogue.builtin().require("auth0").fill_variables({"domain": domain})


@pytest.mark.requirement("Q12")
def test_bitbucket_gives_another_refresh_token_and_names_its_scopes_for_nobody():
    read = renewal("bitbucket", "oauth2", {**MEMBERS, "refresh_token": "fake-new", "scopes": "account"}, 200)
    assert isinstance(read, Granted)
    assert read.grant.refresh_token == Secret("fake-new")


@pytest.mark.requirement("Q65")
def test_box_ends_a_token_with_the_client_in_the_body():
    sent = dict(parse_qsl(revocation("box", "oauth2", "refresh").body.decode()))
    assert sent == {"client_id": "client-1", "client_secret": "fake-client-secret", "token": "fake-refresh"}


@pytest.mark.requirement("Q08", "Q35")
def test_dropbox_is_asked_for_a_refresh_token_and_keeps_it():
    client = named("dropbox", "oauth2")
    url = client.backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT, scopes=("account_info.read",), verifier=VERIFIER)
    assert "token_access_type=offline" in url
    read = renewal("dropbox", "oauth2", MEMBERS, 200)
    assert (read.grant.refresh_token, read.grant.expires_at) == (None, NOW + timedelta(hours=1))


@pytest.mark.requirement("Q65")
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, None, "revoked"),
        (401, {"error_summary": "invalid_access_token/..."}, "revoked"),
        # The access token has ended, and its refresh token has not.
        (401, {"error_summary": "expired_access_token/..."}, "failed"),
    ],
)
def test_a_token_of_dropbox_ends_itself(status, body, outcome):
    client = named("dropbox", "oauth2")
    request = revocation("dropbox", "oauth2", "access")
    assert (request.headers["Authorization"], request.body) == ("Bearer fake-access", b"")
    assert client.backend.read_revocation(client, reply(body, status)) == outcome


@pytest.mark.requirement("Q32")
@pytest.mark.parametrize(
    ("status", "outcome"), [("BAD_REFRESH_TOKEN", Refused("invalid_grant")), ("BAD_CLIENT_SECRET", Misconfigured("client_refused"))]
)
def test_hubspot_says_no_by_a_status_of_its_own(status, outcome):
    assert renewal("hubspot", "oauth2", {"status": status, "message": "text for people"}) == outcome


@pytest.mark.requirement("Q65")
def test_hubspot_ends_a_refresh_token_alone():
    sent = dict(parse_qsl(revocation("hubspot", "oauth2", "refresh").body.decode()))
    assert sent.items() >= {"client_id": "client-1", "client_secret": "fake-client-secret", "token": "fake-refresh"}.items()
    assert revocation("hubspot", "oauth2", "access") is None


@pytest.mark.requirement("Q64")
def test_linear_asks_to_wait_with_status_400():
    limits = Catalogue.builtin().require("linear").rate_limit
    body = {"errors": [{"extensions": {"code": "RATELIMITED"}}]}
    answer = reply(body, 400)
    answer.headers.update({"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": str(int(NOW.timestamp() + 42) * 1000)})
    assert read_wait(limits, answer, body, now=NOW) == timedelta(seconds=42)
    assert isinstance(renewal("linear", "oauth2", body), NotProcessed)


@pytest.mark.requirement("Q10")
def test_linear_names_scopes_with_commas_and_answers_with_spaces():
    client = named("linear", "oauth2")
    url = client.backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT, scopes=("read", "write"), verifier=VERIFIER)
    assert "scope=read%2Cwrite" in url
    members = {**MEMBERS, "scope": "read write"}
    read = client.backend.read_grant(client, reply(members), requested_scopes=("read", "write"), now=NOW)
    assert read.grant.scopes == ("read", "write")


@pytest.mark.requirement("Q65")
def test_linear_ends_a_grant_by_its_refresh_token():
    request = revocation("linear", "oauth2", "refresh")
    assert (request.body, request.headers.get("Authorization")) == (b"refresh_token=fake-refresh", None)
    assert revocation("linear", "oauth2", "access") is None


@pytest.mark.requirement("Q20", "Q22", "Q26", "Q35")
def test_notion_is_asked_in_json_with_its_version_and_says_no_lifetime():
    client = named("notion", "oauth2")
    request = client.backend.build_refresh(client, refresh_token=Secret("fake-refresh"), redirect_uri=REDIRECT)
    assert json.loads(request.body) == {"grant_type": "refresh_token", "refresh_token": "fake-refresh"}
    assert request.headers["Authorization"].startswith("Basic ")
    assert "Notion-Version" in request.headers
    read = renewal("notion", "oauth2", {"access_token": "fake-access", "token_type": "bearer", "refresh_token": None}, 200)
    assert (read.grant.expires_at, read.grant.refresh_token) == (None, None)


@pytest.mark.requirement("Q04", "Q25")
def test_salesforce_says_where_its_api_is_and_not_how_long_a_session_lasts():
    members = {"access_token": "fake-access", "token_type": "Bearer", "instance_url": "https://acme.my.salesforce.com", "issued_at": "1"}
    read = renewal("salesforce", "oauth2", members, 200)
    assert read.grant.expires_at == NOW + timedelta(minutes=15)
    assert read.grant.variables == {"instance_host": "acme.my.salesforce.com"}


@pytest.mark.requirement("Q04", "Q68")
@pytest.mark.parametrize(
    "url", ["https://salesforce.com.evil.example", "http://acme.my.salesforce.com", "https://evil.example/x.salesforce.com"]
)
def test_no_other_host_is_believed_to_be_the_api_of_salesforce(url):
    read = renewal("salesforce", "oauth2", {**MEMBERS, "instance_url": url}, 200)
    assert read.grant.variables == {}


@pytest.mark.parametrize(
    "host", ["acme.lightning.force.com", "acme.my.salesforce.com.evil.example", "acme.salesforce.com", "salesforce.com"]
)
def test_salesforce_signs_nobody_in_at_other_hosts(host):
    with pytest.raises(ValidationFailedError, match=r"variables\.login_host"):
        Catalogue.builtin().require("salesforce").fill_variables({"login_host": host})


@pytest.mark.requirement("Q65", "Q75")
def test_supabase_answers_201_and_ends_a_refresh_token_in_json():
    client = named("supabase", "oauth2")
    read = client.backend.read_grant(client, reply({**MEMBERS, "refresh_token": "fake"}, 201), requested_scopes=(), now=NOW)
    assert isinstance(read, Granted)
    request = revocation("supabase", "oauth2", "refresh")
    assert json.loads(request.body) == {"client_id": "client-1", "client_secret": "fake-client-secret", "refresh_token": "fake-refresh"}
    assert client.backend.read_revocation(client, reply({}, 204)) == "revoked"


def test_what_supabase_does_not_find_is_no_proof_that_a_grant_is_dead():
    assert renewal("supabase", "oauth2", {"message": "not found"}, 404) == Rejected("unexpected_status")


@pytest.mark.requirement("Q32", "Q33")
@pytest.mark.parametrize("error", ["invalid_request", "invalid_grant"])
def test_zoom_says_in_its_reason_that_a_refresh_token_is_not_the_latest(error):
    assert renewal("zoom", "oauth2", {"reason": "Invalid Token!", "error": error}) == Refused("invalid_grant")
    assert renewal("zoom", "oauth2", {"reason": "Bad Request", "error": "invalid_request"}) == Rejected("invalid_request")
