"""Checking credentials with each of the built-in providers: what they are asked, and how their answers are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.provider_files import provider

from cloud_integrations.domain.entered import EnteredKey
from cloud_integrations.domain.secret import Secret
from cloud_integrations.kinds import input_methods
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.inputs import find_input_method
from cloud_integrations.protocol.verification import find_check, read_check
from cloud_integrations.providers import Catalogue

from .checks import KEY, jwt, presented_by, request_of
from .conftest import NOW
from .key_providers import KEYS
from .plain_key_providers import PLAIN_KEYS
from .service_key_providers import SERVICE_KEYS
from .work_key_providers import WORK_KEYS, WORK_REQUESTS


def google(reason: str) -> dict:
    """A refusal whose reason is not the first of the details."""
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": details}}


CF = "0" * 32
ORG = {"org_host": "acme.okta.com"}
BRICKS = {"workspace_host": "acme.cloud.databricks.com"}
HUB = {"web_host": "github.com", "api_host": "api.github.com"}
# provider, method, variables → request, header that carries the credential
PAGER = {"api_host": "api.pagerduty.com"}
REQUESTS = [
    ("azure", "oauth2", {}, "GET https://management.azure.com/subscriptions?api-version=2022-12-01", "Authorization", "Bearer "),
    ("azure", "admin_consent", {}, "GET https://management.azure.com/subscriptions?api-version=2022-12-01", "Authorization", "Bearer "),
    (
        "azure",
        "federated_credential",
        {},
        "GET https://management.azure.com/subscriptions?api-version=2022-12-01",
        "Authorization",
        "Bearer ",
    ),
    (
        "azure",
        "service_principal",
        {"management_host": "management.usgovcloudapi.net"},
        "GET https://management.usgovcloudapi.net/subscriptions?api-version=2022-12-01",
        "Authorization",
        "Bearer ",
    ),
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
    (
        "databricks",
        "service_principal",
        {"workspace_host": "acme.cloud.databricks.com"},
        "GET https://acme.cloud.databricks.com/api/2.0/preview/scim/v2/Me",
        "Authorization",
        "Bearer ",
    ),
    ("digitalocean", "oauth2", {}, "GET https://api.digitalocean.com/v2/account", "Authorization", "Bearer "),
    ("digitalocean", "pat", {}, "GET https://api.digitalocean.com/v2/account", "Authorization", "Bearer "),
    (
        "docker_hub",
        "pat",
        {"username": "ada"},
        "GET https://hub.docker.com/v2/namespaces/ada/repositories?page_size=1",
        "Authorization",
        "Bearer ",
    ),
    ("github", "oauth_app", HUB, "GET https://api.github.com/user", "Authorization", "Bearer "),
    ("github", "app_user_token", HUB, "GET https://api.github.com/user", "Authorization", "Bearer "),
    ("github", "pat", HUB, "GET https://api.github.com/user", "Authorization", "Bearer "),
    (
        "github",
        "app_installation",
        HUB,
        "GET https://api.github.com/installation/repositories?per_page=1",
        "Authorization",
        "Bearer ",
    ),
    ("gitlab", "oauth2", {"host": "gitlab.com"}, "GET https://gitlab.com/api/v4/user", "Authorization", "Bearer "),
    ("gitlab", "pat", {"host": "gitlab.com"}, "GET https://gitlab.com/api/v4/personal_access_tokens/self", "PRIVATE-TOKEN", ""),
    ("google_cloud", "oauth2", {}, "GET https://openidconnect.googleapis.com/v1/userinfo", "Authorization", "Bearer "),
    ("google_cloud", "service_account", {}, "POST https://oauth2.googleapis.com/tokeninfo", "Authorization", "Bearer "),
    ("google_cloud", "api_key", {}, "GET https://cloudresourcemanager.googleapis.com/v1/projects?pageSize=1", "X-Goog-Api-Key", ""),
    (
        "google_cloud",
        "workload_identity",
        {},
        "GET https://cloudresourcemanager.googleapis.com/v1/projects?pageSize=1",
        "Authorization",
        "Bearer ",
    ),
    ("hetzner_cloud", "api_token", {}, "GET https://api.hetzner.cloud/v1/servers?per_page=1", "Authorization", "Bearer "),
    ("ibm_cloud", "api_key", {}, "GET https://iam.cloud.ibm.com/identity/userinfo", "Authorization", "Bearer "),
    ("linode", "oauth2", {}, "GET https://api.linode.com/v4/profile", "Authorization", "Bearer "),
    ("linode", "pat", {}, "GET https://api.linode.com/v4/profile", "Authorization", "Bearer "),
    ("mongodb_atlas", "service_account", {}, "GET https://cloud.mongodb.com/api/atlas/v2/orgs", "Authorization", "Bearer "),
    ("okta", "oauth2", ORG, "GET https://acme.okta.com/api/v1/users/me", "Authorization", "Bearer "),
    ("okta", "api_token", ORG, "GET https://acme.okta.com/api/v1/users/me", "Authorization", "SSWS "),
    ("railway", "oauth2", {}, "POST https://backboard.railway.com/graphql/v2", "Authorization", "Bearer "),
    ("stripe", "connect", {}, "GET https://api.stripe.com/v1/account", "Authorization", "Bearer "),
    ("slack", "oauth2_v2", {}, "POST https://slack.com/api/auth.test", "Authorization", "Bearer "),
    ("tailscale", "oauth_client", {}, "GET https://api.tailscale.com/api/v2/tailnet/-/users", "Authorization", "Bearer "),
    ("zendesk", "oauth2", {"subdomain": "acme"}, "GET https://acme.zendesk.com/api/v2/users/me.json", "Authorization", "Bearer "),
    (
        "databricks",
        "oauth2",
        {"workspace_host": "acme.cloud.databricks.com"},
        "GET https://acme.cloud.databricks.com/api/2.0/preview/scim/v2/Me",
        "Authorization",
        "Bearer ",
    ),
    (
        "databricks",
        "pat",
        {"workspace_host": "acme.cloud.databricks.com"},
        "GET https://acme.cloud.databricks.com/api/2.0/preview/scim/v2/Me",
        "Authorization",
        "Bearer ",
    ),
    (
        "databricks",
        "federation",
        {"workspace_host": "acme.cloud.databricks.com"},
        "GET https://acme.cloud.databricks.com/api/2.0/preview/scim/v2/Me",
        "Authorization",
        "Bearer ",
    ),
    (
        "ovhcloud",
        "service_account",
        {"api_host": "eu.api.ovh.com"},
        "GET https://eu.api.ovh.com/1.0/me",
        "Authorization",
        "Bearer ",
    ),
    (
        "snowflake",
        "oauth2",
        {"account_host": "acme.snowflakecomputing.com"},
        "POST https://acme.snowflakecomputing.com/api/v2/statements",
        "Authorization",
        "Bearer ",
    ),
    ("datadog", "oauth2", {"site": "datadoghq.eu"}, "GET https://api.datadoghq.eu/api/v2/current_user", "Authorization", "Bearer "),
    ("heroku", "oauth2", {}, "GET https://api.heroku.com/account", "Authorization", "Bearer "),
    ("neon", "oauth2", {}, "GET https://console.neon.tech/api/v2/users/me", "Authorization", "Bearer "),
    ("netlify", "oauth2", {}, "GET https://api.netlify.com/api/v1/user", "Authorization", "Bearer "),
    ("okta", "service_app", ORG, "GET https://acme.okta.com/api/v1/org", "Authorization", "Bearer "),
    ("pagerduty", "oauth2", PAGER, "GET https://api.pagerduty.com/users/me", "Authorization", "Bearer "),
    ("pagerduty", "scoped", PAGER, "GET https://api.pagerduty.com/users/me", "Authorization", "Bearer "),
    ("pagerduty", "app_token", PAGER, "GET https://api.pagerduty.com/users?limit=1", "Authorization", "Bearer "),
    ("planetscale", "oauth2", {}, "GET https://api.planetscale.com/v1/organizations", "Authorization", "Bearer "),
    ("sentry", "oauth2", {"host": "sentry.io"}, "GET https://sentry.io/api/0/organizations/", "Authorization", "Bearer "),
    ("vercel", "oauth2", {}, "GET https://api.vercel.com/v2/user", "Authorization", "Bearer "),
    ("vercel", "integration", {}, "GET https://api.vercel.com/v2/user", "Authorization", "Bearer "),
    ("slack", "bot_or_user_token", {}, "POST https://slack.com/api/auth.test", "Authorization", "Bearer "),
    *WORK_REQUESTS,
]


@pytest.mark.requirement("OAU-052")
@pytest.mark.parametrize(("slug", "method_id", "variables", "line", "header", "prefix"), REQUESTS)
def test_each_provider_is_asked_its_own_way(*, slug, method_id, variables, line, header, prefix) -> None:
    real = Catalogue.builtin().require(slug)
    method = next(method for method in real.methods if method.id == method_id)
    name = "access_token" if method.kind == "code" or method.mint else method.inputs[0].name
    request = request_of(real, {name: Secret(KEY)}, variables, method)
    assert f"{request.method} {request.url}" == line
    assert request.headers[header] == prefix + KEY
    assert not request.private_host


def test_every_method_that_signs_nothing_is_in_the_table() -> None:
    # Clusters are in tests/flows/test_tenant_servers.py, Grafana in test_grafana.py.
    # Signed requests are in test_signed.py and tests/flows/test_signing_providers.py, challenges in test_digest_auth.py.
    ways = [(real.id, method) for real in Catalogue.builtin().list_providers() if real.id != "grafana" for method in real.methods]
    elsewhere = ("sign", "digest", "certificate")
    methods = {(slug, method.id) for slug, method in ways if not any(getattr(method.present, name) for name in elsewhere)}
    keys = {(each.slug, each.method) for each in (*KEYS, *PLAIN_KEYS, *SERVICE_KEYS, *WORK_KEYS)}
    assert {(slug, method_id) for slug, method_id, *_ in REQUESTS} | keys == methods


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
    ("anthropic", "api_key", 200, {"data": []}, {"anthropic-organization-id": "o1"}, "alive", "o1", None),
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
    ("github", "app_installation", 200, {"total_count": 0, "repositories": []}, {}, "alive", None, None),
    ("github", "app_installation", 401, {"message": "Bad credentials"}, {}, "dead", None, None),
    ("github", "pat", 401, {"message": "Bad credentials"}, {}, "dead", None, None),
    ("github", "pat", 403, {"message": "limit"}, {"x-ratelimit-remaining": "0"}, "unknown", None, None),
    ("github", "pat", 403, {"message": "You have exceeded a secondary rate limit."}, {}, "unknown", None, None),
    ("databricks", "pat", 403, {"error_code": 403, "message": "Invalid access token."}, {}, "dead", None, None),
    ("databricks", "pat", 403, {"error_code": "PERMISSION_DENIED", "message": "no"}, {}, "alive_but_denied", None, None),
    ("databricks", "pat", 500, {"message": "Invalid access token."}, {}, "unknown", None, None),
    ("gitlab", "pat", 200, {"id": 3, "name": "deploys", "user_id": 7, "active": True}, {}, "alive", "7", "deploys"),
    ("gitlab", "oauth2", 200, {"id": 7, "username": "ada"}, {}, "alive", "7", "ada"),
    ("gitlab", "oauth2", 403, {"error": "insufficient_scope"}, {}, "alive_but_denied", None, None),
    ("gitlab", "pat", 429, b"<html>", {}, "unknown", None, None),
    ("google_cloud", "service_account", 200, {"azp": "1"}, {}, "alive", None, None),
    ("google_cloud", "service_account", 400, {"error": "invalid_token"}, {}, "dead", None, None),
    ("google_cloud", "service_account", 400, {"error": "invalid_request"}, {}, "unknown", None, None),
    ("mongodb_atlas", "service_account", 403, {"errorCode": "IP_ADDRESS_NOT_ON_ACCESS_LIST"}, {}, "alive_but_denied", None, None),
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
    # A service application is no user, so its org is asked for; without okta.orgs.read it gets 403 and works nevertheless.
    ("okta", "service_app", 200, {"id": "00o1", "companyName": "Acme"}, {}, "alive", "00o1/acme.okta.com", "Acme"),
    ("okta", "service_app", 403, {"errorCode": "E0000006"}, {}, "alive_but_denied", None, None),
    ("okta", "service_app", 401, {"errorCode": "E0000011"}, {}, "dead", None, None),
    ("openai", "api_key", 200, {"data": []}, {"openai-organization": "acme-1"}, "alive", "acme-1", None),
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
    ("slack", "oauth2_v2", 503, {"ok": False, "error": "token_revoked"}, {}, "unknown", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "missing_scope"}, {}, "alive_but_denied", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "ratelimited"}, {}, "unknown", None, None),
    ("slack", "oauth2_v2", 200, {"ok": False, "error": "internal_error"}, {}, "unknown", None, None),
    ("stripe", "connect", 200, {"id": "acct_1", "settings": {"dashboard": {"display_name": "Acme"}}}, {}, "alive", "acct_1", "Acme"),
    ("stripe", "connect", 401, {"error": {"type": "invalid_request_error"}}, {}, "dead", None, None),
    ("stripe", "connect", 403, {"error": {"type": "invalid_request_error"}}, {}, "unknown", None, None),
]


@pytest.mark.parametrize(("slug", "method_id", "status", "body", "headers", "outcome", "account", "label"), ANSWERS)
def test_each_providers_answers_are_read_its_own_way(*, slug, method_id, status, body, headers, outcome, account, label) -> None:
    real = Catalogue.builtin().require(slug)
    variables = {**HUB, **ORG, **BRICKS, "host": "gitlab.com", "account_id": CF, "email": "a@b.example"}
    method = next(method for method in real.methods if method.id == method_id)
    check = find_check(real, method, variables=variables)
    assert check is not None
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers=headers, body=content)
    name = "access_token" if method.kind == "code" or method.mint else method.inputs[0].name
    presented = presented_by(method, {name: Secret(AZURE_TOKEN if slug == "azure" else KEY)}, variables)
    result = read_check(real, method, check, response, presented=presented, variables=variables, now=NOW)
    assert (result.outcome, result.account.account_id, result.account.label) == (outcome, account, label)


END = "2026-12-24T18:30:00Z"


@pytest.mark.requirement("Q54")
@pytest.mark.parametrize(
    ("slug", "method_id", "status", "body", "ends"),
    [
        ("cloudflare", "user_api_token", 200, {**CF_OK, "result": {"id": "t1", "status": "active", "expires_on": END}}, True),
        ("cloudflare", "account_api_token", 200, {**CF_OK, "result": {"id": "t1", "status": "active", "expires_on": END}}, True),
        ("cloudflare", "user_api_token", 200, {**CF_OK, "result": {"id": "t1", "status": "expired", "expires_on": END}}, False),
        ("fastly", "api_token", 200, {"user_id": "u1", "expires_at": END}, True),
        ("fastly", "api_token", 401, {"user_id": "u1", "expires_at": END}, False),
        ("gitlab", "pat", 200, {"user_id": 7, "expires_at": "2026-12-24"}, True),
        ("gitlab", "pat", 200, {"user_id": 7, "expires_at": None}, False),
        ("hetzner_cloud", "api_token", 200, {"expires_at": END}, False),
    ],
)
def test_the_end_of_a_key_is_read_where_its_file_says(slug, method_id, status, body, ends) -> None:
    real = Catalogue.builtin().require(slug)
    method = next(method for method in real.methods if method.id == method_id)
    check = find_check(real, method, variables={"account_id": CF, "host": "gitlab.com"})
    assert check is not None
    response = HttpResponse(status=status, headers={}, body=json.dumps(body).encode())
    presented = presented_by(method, {method.inputs[0].name: Secret(KEY)}, {})
    result = read_check(real, method, check, response, presented=presented, variables={}, now=NOW)
    assert result.expires_at == (
        datetime.fromisoformat(body["expires_at"] if slug == "gitlab" else END).replace(tzinfo=UTC) if ends else None
    )


@pytest.mark.requirement("Q56")
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
    method = find_input_method(cloudflare, input_methods(cloudflare), EnteredKey(api_key=Secret(key)), variables=variables)
    assert method.id == method_id


def test_a_provider_without_keys_has_no_way_by_key() -> None:
    assert input_methods(provider()) == ()


@pytest.mark.requirement("OAU-076", "Q67")
def test_a_private_host_is_meant_only_where_the_operator_named_it() -> None:
    gitlab = Catalogue.builtin().require("gitlab")
    variables = gitlab.fill_variables({}, operator={"host": "git.corp.example"})
    request = request_of(gitlab, {"access_token": Secret(KEY)}, variables)
    assert request.private_host
    assert request.url == "https://git.corp.example/api/v4/user"
