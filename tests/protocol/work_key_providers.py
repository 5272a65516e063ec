"""Services for work, identity and storage: what each is sent for its check, and what it answers."""

from __future__ import annotations

from typing import Any

from .key_providers import Key
from .plain_key_providers import basic, bearer

WORK_KEYS: tuple[Key, ...] = (
    Key(
        slug="atlassian",
        method="api_token",
        inputs={"email": "ada@acme.example", "token": "ATATT3xFAKE=0000FFFF"},
        variables={"site": "acme.atlassian.net"},
        request="GET https://acme.atlassian.net/rest/api/3/myself",
        headers={"Authorization": basic("ada@acme.example", "ATATT3xFAKE=0000FFFF")},
        answers=(
            (200, {"accountId": "a1", "emailAddress": "ada@acme.example", "displayName": "Ada"}, "alive", "a1", "ada@acme.example"),
            (200, {"accountId": "a1", "emailAddress": "", "displayName": "Ada"}, "alive", "a1", "Ada"),
            (401, b"Client must be authenticated to access this resource.", "dead", None, None),
            (403, {}, "alive_but_denied", None, None),
            (404, b"<html>", "unknown", None, None),
        ),
    ),
    Key(
        slug="backblaze_b2",
        method="application_key",
        inputs={"key_id": "0" * 25, "application_key": "K" + "F" * 30},
        request="GET https://api.backblazeb2.com/b2api/v3/b2_authorize_account",
        headers={"Authorization": basic("0" * 25, "K" + "F" * 30)},
        answers=(
            (200, {"accountId": "a1", "authorizationToken": "fake"}, "alive", "a1", None),
            (401, {"code": "unauthorized", "status": 401}, "dead", None, None),
            (403, {"code": "transaction_cap_exceeded", "status": 403}, "alive_but_denied", None, None),
            (503, {"code": "service_unavailable", "status": 503}, "unknown", None, None),
        ),
    ),
    Key(
        slug="bitbucket",
        method="api_token",
        inputs={"email": "ada@acme.example", "token": "ATATT3xFAKE=0000FFFF"},
        request="GET https://api.bitbucket.org/2.0/user",
        headers={"Authorization": basic("ada@acme.example", "ATATT3xFAKE=0000FFFF")},
        answers=(
            (200, {"uuid": "{u1}", "display_name": "Ada"}, "alive", "{u1}", "Ada"),
            (401, {"type": "error"}, "dead", None, None),
            (403, {"type": "error", "error": {"message": "fake"}}, "alive_but_denied", None, None),
            (429, {}, "unknown", None, None),
        ),
    ),
    bearer(
        "bitbucket",
        "access_token",
        "ATCTT3xFAKE=0000FFFF",
        "https://api.bitbucket.org/2.0/user",
        name="token",
        answers=(
            (403, {"type": "error"}, "alive_but_denied", None, None),
            (200, {"uuid": "{u1}", "display_name": "Ada"}, "alive", "{u1}", "Ada"),
        ),
    ),
    bearer(
        "grafana_cloud",
        "access_policy_token",
        "glc_eyJ" + "F" * 60,
        "https://grafana.com/api/v1/accesspolicies?region=prod-eu-west-2&pageSize=1",
        name="token",
        variables={"region": "prod-eu-west-2"},
        answers=(
            (200, {"items": [{"id": "p1", "orgId": "7"}]}, "alive", "7", None),
            (200, {"items": []}, "alive", None, None),
            (403, {"code": "Forbidden"}, "alive_but_denied", None, None),
        ),
    ),
    bearer(
        "hubspot",
        "private_app_token",
        "pat-eu1-00000000-0000-0000-0000-000000000000",
        "https://api.hubapi.com/account-info/v3/details",
        name="token",
        answers=(
            (200, {"portalId": 1234, "uiDomain": "app.hubspot.com"}, "alive", "1234", "app.hubspot.com"),
            (403, {"category": "MISSING_SCOPES"}, "alive_but_denied", None, None),
        ),
    ),
    Key(
        slug="linear",
        method="api_key",
        inputs={"api_key": "lin_api_" + "F" * 40},
        request="POST https://api.linear.app/graphql",
        headers={"Authorization": "{api_key}"},
        answers=(
            (200, {"data": {"viewer": {"id": "u1"}, "organization": {"id": "o1", "urlKey": "acme"}}}, "alive", "o1/u1", "acme"),
            (200, {"errors": [{"extensions": {"type": "authentication error"}}], "data": None}, "dead", None, None),
            (400, {"errors": [{"extensions": {"code": "AUTHENTICATION_ERROR"}}]}, "dead", None, None),
            (401, {}, "dead", None, None),
            (400, {"errors": [{"extensions": {"code": "RATELIMITED"}}]}, "unknown", None, None),
            (200, {"errors": [{"extensions": {"type": "lock timeout"}}], "data": None}, "unknown", None, None),
        ),
    ),
    bearer(
        "notion",
        "internal_token",
        "ntn_" + "F" * 46,
        "https://api.notion.com/v1/users/me",
        name="token",
        answers=(
            (200, {"object": "user", "id": "b1", "bot": {"workspace_name": "Acme"}}, "alive", "b1", "Acme"),
            (403, {"code": "restricted_resource"}, "alive_but_denied", None, None),
        ),
    ),
    bearer(
        "supabase",
        "pat",
        "sbp_" + "0" * 40,
        "https://api.supabase.com/v1/organizations",
        name="token",
        answers=((200, [{"id": "o1", "slug": "s1", "name": "Acme"}], "alive", None, "Acme"), (403, {}, "alive_but_denied", None, None)),
    ),
    Key(
        slug="supabase",
        method="project_secret_key",
        inputs={"key": "sb_secret_FAKE"},
        variables={"project_host": "abcdefghijklmnopqrst.supabase.co"},
        request="GET https://abcdefghijklmnopqrst.supabase.co/auth/v1/admin/users?page=1&per_page=1",
        headers={"Authorization": "Bearer {key}", "apikey": "{key}"},
        answers=(
            (200, {"users": []}, "alive", "abcdefghijklmnopqrst.supabase.co", "abcdefghijklmnopqrst.supabase.co"),
            (401, {"message": "Invalid API key"}, "dead", None, None),
            (403, {"code": 403}, "alive_but_denied", None, None),
        ),
    ),
    bearer(
        "terraform_cloud",
        "api_token",
        "F" * 14 + ".atlasv1." + "f" * 67,
        "https://app.terraform.io/api/v2/account/details",
        name="token",
        answers=(
            (200, {"data": {"id": "user-1", "attributes": {"username": "ada"}}}, "alive", "user-1", "ada"),
            (404, {"errors": [{"status": "404", "title": "not found"}]}, "alive_but_denied", None, None),
        ),
    ),
)

# provider, method, variables → request, header that carries the credential
WORK_REQUESTS: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    ("atlassian", "oauth2_3lo", {}, "GET https://api.atlassian.com/me", "Authorization", "Bearer "),
    (
        "atlassian",
        "service_account_cc",
        {},
        "GET https://api.atlassian.com/oauth/token/accessible-resources",
        "Authorization",
        "Bearer ",
    ),
    ("auth0", "oauth2", {"domain": "acme.eu.auth0.com"}, "GET https://acme.eu.auth0.com/userinfo", "Authorization", "Bearer "),
    (
        "auth0",
        "management_cc",
        {"domain": "acme.eu.auth0.com"},
        "GET https://acme.eu.auth0.com/api/v2/tenants/settings?fields=friendly_name",
        "Authorization",
        "Bearer ",
    ),
    (
        "backblaze_b2",
        "account_token",
        {"api_host": "api001.backblazeb2.com", "account_id": "0123456789ab"},
        "POST https://api001.backblazeb2.com/b2api/v3/b2_list_buckets",
        "Authorization",
        "",
    ),
    ("bitbucket", "oauth2", {}, "GET https://api.bitbucket.org/2.0/user", "Authorization", "Bearer "),
    ("box", "oauth2", {}, "GET https://api.box.com/2.0/users/me", "Authorization", "Bearer "),
    ("box", "ccg", {}, "GET https://api.box.com/2.0/users/me", "Authorization", "Bearer "),
    ("box", "jwt", {}, "GET https://api.box.com/2.0/users/me", "Authorization", "Bearer "),
    ("dropbox", "oauth2", {}, "POST https://api.dropboxapi.com/2/users/get_current_account", "Authorization", "Bearer "),
    (
        "hcp",
        "service_principal",
        {"domain": "eu.hashicorp.com"},
        "GET https://api.cloud.eu.hashicorp.com/iam/2019-12-10/caller-identity",
        "Authorization",
        "Bearer ",
    ),
    ("hubspot", "oauth2", {}, "GET https://api.hubapi.com/account-info/v3/details", "Authorization", "Bearer "),
    ("linear", "oauth2", {}, "POST https://api.linear.app/graphql", "Authorization", "Bearer "),
    ("notion", "oauth2", {}, "GET https://api.notion.com/v1/users/me", "Authorization", "Bearer "),
    (
        "salesforce",
        "oauth2",
        {"login_host": "login.salesforce.com"},
        "GET https://login.salesforce.com/services/oauth2/userinfo",
        "Authorization",
        "Bearer ",
    ),
    (
        "salesforce",
        "client_credentials",
        {"login_host": "acme.my.salesforce.com"},
        "GET https://acme.my.salesforce.com/services/oauth2/userinfo",
        "Authorization",
        "Bearer ",
    ),
    (
        "salesforce",
        "jwt_bearer",
        {"login_host": "test.salesforce.com"},
        "GET https://test.salesforce.com/services/oauth2/userinfo",
        "Authorization",
        "Bearer ",
    ),
    ("supabase", "oauth2", {}, "GET https://api.supabase.com/v1/organizations", "Authorization", "Bearer "),
    ("zoom", "oauth2", {}, "GET https://api.zoom.us/v2/users/me", "Authorization", "Bearer "),
    ("zoom", "server_to_server", {}, "GET https://api.zoom.us/v2/users/me", "Authorization", "Bearer "),
]
