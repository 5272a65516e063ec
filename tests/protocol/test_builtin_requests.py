"""Every provider that comes with the library is spoken with through the standard OAuth backend and its data."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations import kinds
from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected
from cloud_integrations.domain.provider import places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.client import resolve_client
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.scopes import scopes_to_request
from cloud_integrations.protocol.standard_backend import STANDARD
from cloud_integrations.protocol.verification import build_check
from cloud_integrations.providers.catalogue import Catalogue

from .conftest import NOW, REDIRECT, STATE, VERIFIER

SAMPLES = (
    "example.okta.com",
    "example.auth0.com",
    "example.cloud.databricks.com",
    "example.snowflakecomputing.com",
    "example.com",
    "11111111-2222-3333-4444-555555555555",
    "example",
    "12345",
    "common",
)
"""Values for variables without a default; the first that fits is taken."""


CODES = [
    pytest.param(provider, method, id=f"{provider.id}-{method.id}")
    for provider in Catalogue.builtin().list_providers()
    for method in provider.methods
    if method.kind == "code"
]


def fits(variable, value):
    try:
        return variable.check(value) == value
    except ValidationFailedError:
        return False


def client_of(provider, method):
    named = places(" ".join([str(method.authorize_url), *method.authorize_params.values()]))
    needed = [
        v for v in provider.variables if (v.required or v.name in named) and v.default is None and v.source in {"input", "application"}
    ]
    values = {v.name: next(value for value in (*v.choices, *SAMPLES) if fits(v, value)) for v in needed}
    operators = {v.name: values.pop(v.name) for v in needed if v.source == "application"}
    application = OAuthApplication(
        provider=provider.id, client_id="client-1", client_secret=Secret("fake-client-secret"), variables=operators
    )
    return resolve_client(provider, method, application, values, backend=STANDARD)


def reply(body, status=200):
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode(), sent_at=NOW)


@pytest.mark.requirement("OAU-001", "OAU-010", "OAU-011", "OAU-031", "OAU-032")
@pytest.mark.parametrize(("provider", "method"), CODES)
def test_every_builtin_provider_is_spoken_with(provider, method):
    client = client_of(provider, method)
    scopes = scopes_to_request(client)

    url = client.backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT, scopes=scopes, verifier=VERIFIER)
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    assert dict(pairs)["response_type"] == "code"
    assert ("code_challenge" in dict(pairs)) is client.uses_pkce
    assert ("scope" in dict(pairs)) is not method.scopes.fixed
    assert "{" not in url

    requests = [
        client.backend.build_exchange(client, code=Secret("fake-code"), redirect_uri=REDIRECT, verifier=VERIFIER),
        client.backend.build_refresh(client, refresh_token=Secret("fake-refresh"), redirect_uri=REDIRECT),
    ]
    revocations = {kind: client.backend.build_revoke(client, token=Secret(f"fake-{kind}"), kind=kind) for kind in ("refresh", "access")}
    assert any(revocations.values()) is (client.revoke_url is not None)
    requests += filter(None, revocations.values())
    for request in requests:
        assert request.url.startswith("https://")
        assert "fake" not in request.url + repr(request)
        carriers = [b"fake-client-secret" in request.body, request.headers.get("Authorization", "").startswith("Basic ")]
        assert sum(carriers) <= 1

    token_type = method.reply.token_types[0]
    members = {"access_token": "fake-access", "token_type": token_type, "expires_in": 3600, "ok": True}
    granted = client.backend.read_grant(client, reply(members), requested_scopes=scopes, now=NOW)
    assert isinstance(granted, Granted)
    assert granted.grant.expires_at == NOW + timedelta(hours=1)
    assert isinstance(client.backend.read_renewal(client, reply(members), now=NOW), Granted)
    assert client.backend.read_renewal(client, reply({"error": "invalid_grant"}, 400), now=NOW) == Refused("invalid_grant")
    assert isinstance(client.backend.read_renewal(client, reply({"error": "invalid_client"}, 401), now=NOW), Misconfigured)
    assert isinstance(client.backend.read_renewal(client, reply({}, 429), now=NOW), NotProcessed)


ASKS_FOR = {
    ("atlassian", "oauth2_3lo"): (["offline_access"], {"audience": "api.atlassian.com", "prompt": "consent"}),
    ("auth0", "oauth2"): (["offline_access"], {"audience": SAMPLES[0]}),
    ("azure", "oauth2"): (["offline_access"], {}),
    ("databricks", "oauth2"): (["offline_access"], {}),
    ("dropbox", "oauth2"): ([], {"token_access_type": "offline"}),
    ("google_cloud", "oauth2"): ([], {"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"}),
    ("neon", "oauth2"): (["offline", "offline_access"], {}),
    ("notion", "oauth2"): ([], {"owner": "user"}),
    ("okta", "oauth2"): (["offline_access"], {}),
    ("railway", "oauth2"): (["offline_access"], {"prompt": "consent"}),
    ("salesforce", "oauth2"): (["refresh_token"], {"prompt": "consent"}),
    ("vercel", "oauth2"): (["offline_access"], {}),
}
"""Scopes that are added for a refresh token, and parameters that the provider's page wants.  The others want nothing more."""
OUR_OWN = {"client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "response_mode", "response_type"}


@pytest.mark.requirement("Q07", "Q08", "Q09", "Q11", "Q14")
@pytest.mark.parametrize(("provider", "method"), CODES)
def test_each_page_is_asked_its_own_way_and_for_a_refresh_token(provider, method):
    client = client_of(provider, method)
    asked = scopes_to_request(client)
    url = client.backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT, scopes=asked, verifier=VERIFIER)
    query = dict(parse_qsl(urlsplit(url).query))
    added = [scope for scope in query.get("scope", "").split(method.scopes.separator) if scope and scope not in asked]
    own = dict(parse_qsl(urlsplit(method.authorize_url).query))
    found = (added, {name: value for name, value in query.items() if name not in {*OUR_OWN, *own, "scope", "state"}})
    assert found == ASKS_FOR.get((provider.id, method.id), ([], {}))


def named(slug, method_id):
    provider = Catalogue.builtin().require(slug)
    return client_of(provider, next(method for method in provider.methods if method.id == method_id))


@pytest.mark.requirement("Q30", "Q32")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("bad_refresh_token", Refused("invalid_grant")),
        ("incorrect_client_credentials", Misconfigured("client_refused")),
        ("redirect_uri_mismatch", Misconfigured("platform_config")),
    ],
)
def test_github_says_no_with_status_200(error, outcome):
    client = named("github", "app_user_token")
    assert client.backend.read_renewal(client, reply({"error": error, "error_description": "fake"}), now=NOW) == outcome


AADSTS = "AADSTS{}: text that is for people and may change.\r\nTrace ID: fake"


@pytest.mark.parametrize(
    ("error", "codes", "outcome"),
    [
        ("invalid_grant", [700082], Refused("invalid_grant")),
        ("invalid_grant", [50173], Refused("invalid_grant")),
        ("invalid_grant", [], Refused("invalid_grant")),
        ("interaction_required", [50076], Refused("interaction_required")),
        ("invalid_client", [7000215], Misconfigured("client_refused")),
        ("invalid_client", [1, 7000222], Misconfigured("client_refused")),
        ("unauthorized_client", [700016], Misconfigured("platform_config")),
        ("invalid_request", [90002], Misconfigured("platform_config")),
        ("unauthorized_client", [7000112], Rejected("denied")),
        ("invalid_resource", [500011], Misconfigured("platform_config")),
        ("temporarily_unavailable", [90033], NotProcessed("retry")),
    ],
)
def test_azure_says_why_by_its_error_and_by_numbers(error, codes, outcome):
    client = named("azure", "oauth2")
    body = {"error": error, "error_codes": codes, "error_description": AADSTS.format(codes[0] if codes else 0), "trace_id": "fake"}
    assert client.backend.read_renewal(client, reply(body, 400), now=NOW) == outcome


@pytest.mark.parametrize("number", [7000215, 7000222, 700016, 7000112])
def test_what_azure_writes_for_people_decides_nothing(number):
    client = named("azure", "oauth2")
    body = {"error": "invalid_grant", "error_description": AADSTS.format(number), "error_codes": [str(number)]}
    assert client.backend.read_renewal(client, reply(body, 400), now=NOW) == Refused("invalid_grant")


def test_github_ends_a_token_by_its_own_request():
    client = named("github", "oauth_app")
    request = client.backend.build_revoke(client, token=Secret("fake-access"), kind="access")
    assert (request.method, request.url) == ("DELETE", "https://api.github.com/applications/client-1/token")
    assert json.loads(request.body) == {"access_token": "fake-access"}
    assert request.headers["Authorization"].startswith("Basic ")


@pytest.mark.requirement("Q30", "Q32")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("invalid_refresh_token", Refused("invalid_grant")),
        ("ratelimited", NotProcessed("retry")),
        ("bad_client_secret", Misconfigured("client_refused")),
        ("invalid_client_id", Misconfigured("platform_config")),
    ],
)
def test_slack_says_no_with_status_200(error, outcome):
    client = named("slack", "oauth2_v2")
    assert client.backend.read_renewal(client, reply({"ok": False, "error": error}), now=NOW) == outcome


@pytest.mark.parametrize("error", ["invalid_code", "code_already_used"])
def test_a_code_that_slack_does_not_take_is_refused(error):
    client = named("slack", "oauth2_v2")
    read = client.backend.read_grant(client, reply({"ok": False, "error": error}), requested_scopes=(), now=NOW)
    assert read == Refused("code_refused")


def test_a_slack_token_ends_itself_and_may_have_been_dead_before():
    client = named("slack", "oauth2_v2")
    request = client.backend.build_revoke(client, token=Secret("fake-access"), kind="access")
    assert request.headers["Authorization"] == "Bearer fake-access"
    assert client.backend.build_revoke(client, token=Secret("fake-refresh"), kind="refresh") is None
    assert client.backend.read_revocation(client, reply({"ok": True, "revoked": True})) == "revoked"
    assert client.backend.read_revocation(client, reply({"ok": False, "error": "token_revoked"})) == "revoked"
    assert client.backend.read_revocation(client, reply({"ok": False, "error": "fatal_error"})) == "failed"


SLACKS = {
    "ok": True,
    "access_token": "fake-of-the-bot",
    "token_type": "bot",
    "scope": "team:read,chat:write",
    "expires_in": 43200,
    "refresh_token": "fake-refresh-of-the-bot",
    "authed_user": {
        "id": "U1",
        "access_token": "fake-of-the-person",
        "token_type": "user",
        "scope": "search:read",
        "expires_in": 3600,
        "refresh_token": "fake-refresh-of-the-person",
    },
}


def tokens_of(outcome):
    grant = outcome.grant
    return grant.access_token.reveal(), grant.refresh_token.reveal(), grant.expires_at - NOW, grant.scopes


@pytest.mark.requirement("Q11", "Q28")
def test_of_the_two_tokens_of_slack_a_method_asks_for_one_and_keeps_it_whole():
    slack = Catalogue.builtin().require("slack")
    bot = slack.methods[0]
    paths = {name: f"authed_user.{name}" for name in ("access_token", "refresh_token", "token_type", "expires_in")}
    scopes = {"fixed": True, "reply_field": "authed_user.scope", "extra_lists": {"user_scope": ["search:read", "users:read"]}}
    person = bot.model_copy(
        update={
            "reply": bot.reply.model_copy(update={"map": paths}),
            "scopes": bot.scopes.model_copy(update=scopes),
        }
    )
    asked, kept = [], []
    for method in (bot, person):
        client = client_of(slack, method)
        url = client.backend.build_authorize(
            client, state=STATE, redirect_uri=REDIRECT, scopes=scopes_to_request(client), verifier=VERIFIER
        )
        query = dict(parse_qsl(urlsplit(url).query))
        asked.append((query.get("scope"), query.get("user_scope")))
        kept.append(tokens_of(client.backend.read_grant(client, reply(SLACKS), requested_scopes=(), now=NOW)))
    assert asked == [("team:read", None), (None, "search:read,users:read")]
    assert kept == [
        ("fake-of-the-bot", "fake-refresh-of-the-bot", timedelta(hours=12), ("team:read", "chat:write")),
        ("fake-of-the-person", "fake-refresh-of-the-person", timedelta(hours=1), ("search:read",)),
    ]


@pytest.mark.requirement("Q29")
@pytest.mark.parametrize("token_type", ["bot", "user"])
def test_the_type_of_a_slack_token_is_no_scheme(token_type):
    client = named("slack", "oauth2_v2")
    answer = reply({**SLACKS, "token_type": token_type})
    grant = client.backend.read_grant(client, answer, requested_scopes=(), now=NOW).grant
    shown = kinds.present(client.method, {"access_token": grant.access_token}, variables={})
    check = build_check(client.provider, client.method, client.provider.verifications[0], presented=shown, variables={})
    assert check.headers["Authorization"] == "Bearer fake-of-the-bot"
    other = client.backend.read_grant(named("github", "oauth_app"), answer, requested_scopes=(), now=NOW)
    assert not isinstance(other, Granted)


@pytest.mark.requirement("Q26")
def test_stripes_client_secret_is_in_the_body_and_its_tokens_have_no_end():
    client = named("stripe", "connect")
    request = client.backend.build_exchange(client, code=Secret("fake-code"), redirect_uri=REDIRECT, verifier=VERIFIER)
    sent = dict(parse_qsl(request.body.decode()))
    assert (sent["client_id"], sent["client_secret"], "code_verifier" in sent) == ("client-1", "fake-client-secret", False)
    members = {"access_token": "fake-access", "refresh_token": "fake-refresh", "token_type": "bearer", "scope": "read_write"}
    read = client.backend.read_grant(client, reply(members), requested_scopes=("read_write",), now=NOW)
    assert (read.grant.expires_at, read.grant.scopes) == (None, ("read_write",))


@pytest.mark.requirement("Q20")
def test_zendesk_is_asked_in_json_and_says_how_long_both_tokens_live():
    client = named("zendesk", "oauth2")
    request = client.backend.build_refresh(client, refresh_token=Secret("fake-refresh"), redirect_uri=REDIRECT)
    assert request.headers["Content-Type"] == "application/json"
    sent = {"grant_type": "refresh_token", "refresh_token": "fake-refresh", "client_id": "client-1", "client_secret": "fake-client-secret"}
    assert sent.items() <= json.loads(request.body).items()
    members = {"access_token": "a", "refresh_token": "r", "token_type": "bearer", "scope": "users:read", "expires_in": 1800}
    read = client.backend.read_renewal(client, reply({**members, "refresh_token_expires_in": 2592000}), now=NOW)
    assert (read.grant.expires_at, read.grant.refresh_expires_at) == (NOW + timedelta(minutes=30), NOW + timedelta(days=30))


@pytest.mark.requirement("Q26")
def test_a_token_of_an_older_client_of_zendesk_has_no_end():
    client = named("zendesk", "oauth2")
    members = {"access_token": "fake-access", "token_type": "bearer", "scope": "users:read"}
    read = client.backend.read_grant(client, reply(members), requested_scopes=("users:read",), now=NOW)
    assert (read.grant.expires_at, read.grant.refresh_token) == (None, None)


@pytest.mark.requirement("Q21")
def test_gitlab_sees_the_redirect_uri_again():
    client = named("gitlab", "oauth2")
    request = client.backend.build_refresh(client, refresh_token=Secret("fake-refresh"), redirect_uri=REDIRECT)
    assert dict(parse_qsl(request.body.decode()))["redirect_uri"] == REDIRECT
