"""Where a server's metadata is, and what of it is used (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from cloud_integrations.errors import AppMisconfiguredError, ConfigurationError, ProviderUnavailableError, ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.server_metadata import MAX_METADATA, build_metadata_request, locate, read_metadata

ISSUER = "https://id.example.com/realms/acme"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "device_authorization_endpoint": f"{ISSUER}/device",
    "pushed_authorization_request_endpoint": f"{ISSUER}/par",
    "jwks_uri": "https://keys.elsewhere.example/jwks",
    "userinfo_endpoint": "http://169.254.169.254/",
}
BARE = {"authorize_url": None, "token_url": None, "issuer": ISSUER, "metadata": "oauth"}


@pytest.fixture
def client(make_client):
    return make_client(**BARE, revoke={}, device={})


def answered(document=DOCUMENT, /, *, status=200, content_type="application/json", **changes):
    body = document if isinstance(document, bytes) else json.dumps({**document, **changes}).encode()
    return HttpResponse(status=status, headers={"content-type": content_type}, body=body)


@pytest.mark.requirement("OAU-054")
@pytest.mark.parametrize(
    ("form", "issuer", "url"),
    [
        ("oauth", "https://id.example.com", "https://id.example.com/.well-known/oauth-authorization-server"),
        ("oauth", "https://id.example.com/", "https://id.example.com/.well-known/oauth-authorization-server"),
        ("oauth", "https://id.example.com:8443/a/b", "https://id.example.com:8443/.well-known/oauth-authorization-server/a/b"),
        ("oauth", "https://id.example.com/a/", "https://id.example.com/.well-known/oauth-authorization-server/a"),
        ("oidc", "https://id.example.com", "https://id.example.com/.well-known/openid-configuration"),
        ("oidc", "https://id.example.com/a/", "https://id.example.com/a/.well-known/openid-configuration"),
    ],
)
def test_the_metadata_is_where_the_standard_of_its_form_puts_it(make_client, form, issuer, url):
    client = make_client(**{**BARE, "issuer": issuer, "metadata": form})
    assert (client.metadata_url, client.lacks_endpoints) == (url, True)
    request = build_metadata_request(client, url)
    assert (request.method, request.url, request.max_body, dict(request.headers)) == (
        "GET", url, MAX_METADATA, {"Accept": "application/json"},
    )  # fmt: skip


def test_the_endpoints_that_the_method_uses_are_those_of_the_metadata(client, make_client):
    found = locate(client, read_metadata(client, answered()))
    assert not found.lacks_endpoints
    assert (found.authorize_url, found.token_url, found.refresh_url) == (f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/token")
    assert (found.revoke_url, found.device_url, found.par_url) == (f"{ISSUER}/revoke", f"{ISSUER}/device", f"{ISSUER}/par")
    assert found.context_id == client.context_id == found.id_for(None)
    plain = make_client(**BARE)
    found = locate(plain, read_metadata(plain, answered()))
    assert (found.revoke_url, found.device_url) == (None, None)
    device = make_client(**BARE, kind="device", device={})
    found = locate(device, read_metadata(device, answered(authorization_endpoint=None)))
    assert (found.authorize_url, found.par_url, found.device_url) == (None, None, f"{ISSUER}/device")


@pytest.mark.requirement("OAU-055")
@pytest.mark.parametrize("issuer", [f"{ISSUER}/", ISSUER.upper(), "https://id.example.com", "https://evil.example", "", None, 7, [ISSUER]])
def test_metadata_of_another_issuer_is_not_used_at_all(client, issuer):
    with pytest.raises(AppMisconfiguredError) as caught:
        read_metadata(client, answered(issuer=issuer))
    assert caught.value.reason == "server_metadata"
    assert "example" not in str(caught.value)


@pytest.mark.requirement("OAU-056")
@pytest.mark.parametrize(
    "answer",
    [
        answered(status=201), answered(status=302), answered(status=404), answered(status=503), answered(content_type="text/html"),
        answered(content_type=""), answered(b"<html>"), answered(b"[]"), answered(b""), answered(b'{"issuer":'),
        answered(filler="x" * MAX_METADATA),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_metadata_is_an_outage(client, answer):
    with pytest.raises(ProviderUnavailableError) as caught:
        read_metadata(client, answer)
    assert caught.value.reason == "metadata_unavailable"


@pytest.mark.requirement("OAU-056", "OAU-057", "OAU-058", "OAU-076", "B06")
@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/token", "https://id.example.com@evil.example/token", "https://user@id.example.com/token",
        "https://id.example.com/token#a", "https://evil.example/token", "https://id.example.com.evil.example/token",
        "https://id.example.com:8443/token", "https://169.254.169.254/token", "https://[::1]/token", "https://10.0.0.1/token",
        "https://localhost/token", "//id.example.com/token", "/token", "", "javascript:alert(1)", "https://id.example.com\\@evil.example/",
        "https://id.example.com:x/token", 7, [f"{ISSUER}/token"], {},
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    [
        "authorization_endpoint",
        "token_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
        "pushed_authorization_request_endpoint",
    ],
)
def test_an_endpoint_that_is_not_at_the_issuers_own_https_address_refuses_the_metadata(client, name, url):
    with pytest.raises(AppMisconfiguredError):
        read_metadata(client, answered(**{name: url}))


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_metadata_without_an_endpoint_that_is_needed_is_not_used(client, name):
    with pytest.raises(AppMisconfiguredError):
        read_metadata(client, answered(**{name: None}))


def test_an_endpoint_with_two_values_has_none(client):
    twice = json.dumps(DOCUMENT)[:-1] + f', "token_endpoint": "{ISSUER}/other"}}'
    with pytest.raises(AppMisconfiguredError):
        read_metadata(client, answered(twice.encode()))


def test_the_usual_port_may_be_written(client):
    written = "https://ID.example.com:443/token"
    assert read_metadata(client, answered(token_endpoint=written)).token_url == written


@pytest.mark.parametrize(
    "facts",
    [
        {**BARE, "authorize_url": "https://id.example.com/a"}, {**BARE, "token_url": "https://id.example.com/t"},
        {**BARE, "par_url": "https://id.example.com/p"}, {**BARE, "refresh_url": "https://id.example.com/t"},
        {**BARE, "revoke": {"url": "https://id.example.com/r"}}, {**BARE, "device": {"url": "https://id.example.com/d"}},
        {**BARE, "issuer": None}, {**BARE, "issuer": f"{ISSUER}?a=b"}, {"device": {}}, {"revoke": {"kills": "grant"}},
    ],
)  # fmt: skip
def test_endpoints_stand_in_one_place(make_client, facts):
    with pytest.raises(ValidationError):
        make_client(**facts)


def test_no_application_names_another_issuer(make_client):
    assert make_client(**BARE, application={"issuer": ISSUER}).issuer == ISSUER
    with pytest.raises(ConfigurationError):
        make_client(**BARE, application={"issuer": "https://evil.example"})


def test_a_variable_makes_no_query_in_the_issuer(make_client):
    variable = {"name": "realm", "pattern": ".{1,20}", "source": "input"}
    facts = {**BARE, "issuer": "https://id.example.com/{realm}"}
    assert make_client(**facts, provider={"variables": [variable]}, variables={"realm": "acme"}).metadata_url.endswith("/acme")
    with pytest.raises(ValidationFailedError):
        make_client(**facts, provider={"variables": [variable]}, variables={"realm": "a?b=c"})
