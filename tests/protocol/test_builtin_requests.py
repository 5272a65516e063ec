"""Every provider that comes with the library is spoken with through the standard OAuth backend and its data."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.client import resolve_client
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.scopes import scopes_to_request
from cloud_integrations.protocol.standard_backend import STANDARD
from cloud_integrations.providers.catalogue import Catalogue

from .conftest import NOW, REDIRECT, STATE, VERIFIER

SAMPLES = ("example.okta.com", "example.com", "11111111-2222-3333-4444-555555555555", "example", "12345", "common")
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
    needed = [v for v in provider.variables if v.required and v.default is None and v.source in {"input", "application"}]
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


def named(slug, method_id):
    provider = Catalogue.builtin().require(slug)
    return client_of(provider, next(method for method in provider.methods if method.id == method_id))


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


def test_gitlab_sees_the_redirect_uri_again():
    client = named("gitlab", "oauth2")
    request = client.backend.build_refresh(client, refresh_token=Secret("fake-refresh"), redirect_uri=REDIRECT)
    assert dict(parse_qsl(request.body.decode()))["redirect_uri"] == REDIRECT
