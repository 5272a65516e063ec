"""Providers whose access is one key or a pair of values, and that need no signature: what each is sent and what it answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from .key_providers import Answer, Key


def basic(user: str, password: str) -> str:
    """The header of HTTP Basic (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(
    slug: str,
    method: str,
    value: str,
    url: str,
    *,
    answers: tuple[Answer, ...],
    name: str | None = None,
    header: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Key:
    """One value in `Authorization`, asked with GET; 401 is a dead key, and an outage says nothing of it."""
    name = name or method
    return Key(
        slug=slug,
        method=method,
        inputs={name: value},
        variables=variables or {},
        request=f"GET {url}",
        headers={"Authorization": header or f"Bearer {{{name}}}"},
        answers=((401, {}, "dead", None, None), (429, {}, "unknown", None, None), (503, b"<html>", "unknown", None, None), *answers),
    )


PLAIN_KEYS: tuple[Key, ...] = (
    bearer(
        "aiven",
        "token",
        "f" * 350,
        "https://api.aiven.io/v1/me",
        header="aivenv1 {token}",
        answers=((200, {"user": {"user_id": "u1", "user": "ada@acme.example"}}, "alive", "u1", "ada@acme.example"),),
    ),
    bearer("civo", "api_key", "fake-key", "https://api.civo.com/v2/quota", answers=((200, {"id": "q1"}, "alive", "q1", None),)),
    Key(
        slug="confluent_cloud",
        method="cloud_api_key",
        inputs={"key": "F" * 16, "secret": "f" * 64},
        request=f"GET https://api.confluent.cloud/iam/v2/api-keys/{'F' * 16}",
        headers={"Authorization": basic("F" * 16, "f" * 64)},
        answers=(
            (200, {"spec": {"owner": {"id": "u-1"}, "display_name": "Deploys"}}, "alive", "u-1", "Deploys"),
            (401, {"errors": [{"status": "401"}]}, "dead", None, None),
            (403, {}, "alive_but_denied", None, None),
            (429, {}, "unknown", None, None),
        ),
    ),
    bearer(
        "elastic_cloud",
        "api_key",
        "fake-key",
        "https://api.elastic-cloud.com/api/v1/account",
        header="ApiKey {api_key}",
        answers=(
            (200, {"id": "a1"}, "alive", "a1", None),
            (403, {}, "alive_but_denied", None, None),
            (404, {"errors": [{"code": "accounts.not_found"}]}, "unknown", None, None),
        ),
    ),
    Key(
        slug="fastly",
        method="api_token",
        inputs={"token": "f" * 32},
        request="GET https://api.fastly.com/tokens/self",
        headers={"Fastly-Key": "{token}"},
        answers=(
            (200, {"id": "t1", "user_id": "u1", "name": "Deploys"}, "alive", "u1", "Deploys"),
            (200, {"id": "t1", "user_id": None, "name": "Robot"}, "alive", None, "Robot"),
            (401, {"msg": "Provided credentials are missing or invalid"}, "dead", None, None),
        ),
    ),
    bearer(
        "fly_io",
        "token",
        "fm2_" + "f" * 120 + ",fm2_" + "e" * 120,
        "https://api.machines.dev/v1/apps?org_slug=acme",
        variables={"org_slug": "acme"},
        header="FlyV1 {token}",
        answers=((200, {"apps": []}, "alive", None, None), (404, {}, "unknown", None, None)),
    ),
    bearer(
        "fly_io",
        "personal_token",
        "fo1_" + "f" * 43,
        "https://api.machines.dev/v1/apps?org_slug=personal",
        name="token",
        answers=((200, {"apps": []}, "alive", None, None),),
    ),
    Key(
        slug="heroku",
        method="authorization_token",
        inputs={"token": "HRKU-AA" + "f" * 58},
        request="GET https://api.heroku.com/account",
        headers={"Authorization": "Bearer {token}", "Accept": "application/vnd.heroku+json; version=3"},
        answers=(
            (200, {"id": "u1", "email": "ada@acme.example"}, "alive", "u1", "ada@acme.example"),
            (401, {"id": "unauthorized"}, "dead", None, None),
            (403, {"id": "forbidden"}, "alive_but_denied", None, None),
            (400, {"id": "bad_version"}, "unknown", None, None),
        ),
    ),
    Key(
        slug="kubernetes",
        method="service_account_token",
        inputs={"server": "https://203.0.113.7:6443", "token": "eyJhbGciOiJub25lIn0.ZmFrZQ.fake"},
        request="POST https://203.0.113.7:6443/apis/authentication.k8s.io/v1/selfsubjectreviews",
        headers={"Authorization": "Bearer {token}"},
        answers=(
            (201, {"status": {"userInfo": {"username": "ada", "uid": "u1"}}}, "alive", "https://203.0.113.7:6443/ada", "ada"),
            (401, {"kind": "Status", "message": "Unauthorized", "code": 401}, "dead", None, None),
            (403, {"kind": "Status", "message": 'forbidden: User "ada" cannot create resource'}, "alive_but_denied", None, None),
            (201, {"status": {"userInfo": {"username": "system:anonymous"}}}, "dead", None, None),
            (404, {"kind": "Status"}, "unknown", None, None),
        ),
    ),
    bearer(
        "neon",
        "api_key",
        "napi_" + "f" * 64,
        "https://console.neon.tech/api/v2/users/me",
        answers=((200, {"id": "u1", "email": "ada@acme.example"}, "alive", "u1", "ada@acme.example"), (404, {}, "unknown", None, None)),
    ),
    bearer(
        "netlify",
        "pat",
        "nfp_" + "f" * 36,
        "https://api.netlify.com/api/v1/user",
        name="token",
        answers=((200, {"id": "u1", "email": "ada@acme.example"}, "alive", "u1", "ada@acme.example"),),
    ),
    Key(
        slug="new_relic",
        method="user_key",
        inputs={"user_key": "NRAK-" + "F" * 27},
        variables={"api_host": "api.eu.newrelic.com"},
        request="POST https://api.eu.newrelic.com/graphql",
        headers={"API-Key": "{user_key}"},
        answers=(
            (
                200,
                {"data": {"actor": {"user": {"id": 7, "email": "a@b.example"}, "organization": {"id": "o1"}}}},
                "alive",
                "o1/7",
                "a@b.example",
            ),
            (200, {"data": {"actor": {}}, "errors": [{"message": "fake"}]}, "unknown", None, None),
            (200, {"data": {"actor": None}}, "unknown", None, None),
            (401, {}, "dead", None, None),
            (500, b"<html>", "unknown", None, None),
        ),
    ),
    bearer(
        "pagerduty",
        "api_key",
        "u+" + "f" * 18,
        "https://api.eu.pagerduty.com/users?limit=1",
        variables={"api_host": "api.eu.pagerduty.com"},
        header="Token token={api_key}",
        answers=((200, {"users": []}, "alive", None, None), (403, {}, "alive_but_denied", None, None)),
    ),
    Key(
        slug="planetscale",
        method="service_token",
        inputs={"token_id": "f" * 12, "token": "pscale_tkn_" + "f" * 43},
        request="GET https://api.planetscale.com/v1/organizations",
        headers={"Authorization": "{token_id}:{token}"},
        answers=(
            (200, {"data": [{"name": "acme"}]}, "alive", None, "acme"),
            (401, {}, "dead", None, None),
            (403, {}, "unknown", None, None),
        ),
    ),
    Key(
        slug="railway",
        method="account_token",
        inputs={"token": "00000000-0000-4000-8000-000000000000"},
        request="POST https://backboard.railway.com/graphql/v2",
        headers={"Authorization": "Bearer {token}"},
        answers=(
            (200, {"data": {"me": {"id": "u1", "email": "a@b.example"}}}, "alive", "u1", "a@b.example"),
            (200, {"data": None, "errors": [{"message": "Not Authorized"}]}, "dead", None, None),
            (200, {"data": None, "errors": [{"message": "Problem processing request"}]}, "unknown", None, None),
            (200, {"data": {"me": None}}, "unknown", None, None),
            (401, {}, "dead", None, None),
        ),
    ),
    Key(
        slug="railway",
        method="project_token",
        inputs={"token": "00000000-0000-4000-8000-000000000000"},
        request="POST https://backboard.railway.com/graphql/v2",
        headers={"Project-Access-Token": "{token}"},
        answers=(
            (200, {"data": {"projectToken": {"projectId": "p1", "environmentId": "e1"}}}, "alive", "p1/e1", None),
            (200, {"data": None, "errors": [{"message": "Not Authorized"}]}, "dead", None, None),
            (200, {"data": {"projectToken": None}}, "unknown", None, None),
        ),
    ),
    bearer(
        "render",
        "api_key",
        "rnd_" + "f" * 28,
        "https://api.render.com/v1/owners?limit=1",
        answers=((200, [{"owner": {"id": "tea-1", "name": "Acme"}}], "alive", None, "Acme"), (200, [], "alive", None, None)),
    ),
    Key(
        slug="scaleway",
        method="api_key",
        inputs={"access_key": "SCW" + "F" * 17, "secret_key": "00000000-0000-4000-8000-000000000000"},
        request=f"GET https://api.scaleway.com/iam/v1alpha1/api-keys/SCW{'F' * 17}",
        headers={"X-Auth-Token": "{secret_key}"},
        answers=(
            (200, {"user_id": "u1", "description": "Deploys", "default_project_id": "p1"}, "alive", "u1", "Deploys"),
            (200, {"application_id": "a1", "description": "Robot"}, "alive", None, "Robot"),
            (401, {"type": "denied_authentication"}, "dead", None, None),
            (403, {"type": "permissions_denied"}, "alive_but_denied", None, None),
            (404, {"type": "not_found"}, "unknown", None, None),
        ),
    ),
    bearer(
        "sentry",
        "auth_token",
        "sntryu_" + "0" * 64,
        "https://de.sentry.io/api/0/organizations/",
        name="token",
        variables={"host": "de.sentry.io"},
        answers=((200, [{"id": "1", "slug": "acme"}], "alive", None, "acme"), (403, {}, "alive_but_denied", None, None)),
    ),
    Key(
        slug="sentry",
        method="legacy_api_key",
        inputs={"api_key": "fake-key"},
        request="GET https://sentry.io/api/0/organizations/",
        headers={"Authorization": basic("fake-key", "")},
        answers=((200, [{"id": "1", "slug": "acme"}], "alive", None, "acme"), (401, {}, "dead", None, None)),
    ),
    bearer(
        "upcloud",
        "api_token",
        "ucat_FAKE",
        "https://api.upcloud.com/1.3/account",
        name="token",
        answers=((200, {"account": {"username": "ada"}}, "alive", "ada", "ada"), (403, {}, "alive_but_denied", None, None)),
    ),
    Key(
        slug="upcloud",
        method="basic",
        inputs={"username": "ada", "password": "fake password"},
        request="GET https://api.upcloud.com/1.3/account",
        headers={"Authorization": basic("ada", "fake password")},
        answers=((200, {"account": {"username": "ada"}}, "alive", "ada", "ada"), (401, {}, "dead", None, None)),
    ),
    bearer(
        "vercel",
        "token",
        "vcp_FAKE",
        "https://api.vercel.com/v2/user",
        answers=(
            (200, {"user": {"id": "u1", "username": "ada"}}, "alive", "u1", "ada"),
            (403, {"error": {"code": "forbidden", "invalidToken": True}}, "dead", None, None),
            (403, {"error": {"code": "forbidden"}}, "alive_but_denied", None, None),
        ),
    ),
    bearer(
        "vultr",
        "api_key",
        "F" * 36,
        "https://api.vultr.com/v2/account",
        answers=(
            (200, {"account": {"name": "Acme", "email": "ada@acme.example"}}, "alive", None, "Acme"),
            (401, {"error": "Invalid API token.", "status": 401}, "dead", None, None),
            (401, {"error": "Unauthorized IP address: 192.0.2.1", "status": 401}, "alive_but_denied", None, None),
        ),
    ),
)
