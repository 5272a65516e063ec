from __future__ import annotations

import pytest

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ProviderInactiveError, ValidationFailedError
from cloud_integrations.protocol.client import check_endpoint, resolve_client
from cloud_integrations.protocol.standard_backend import STANDARD

TENANT_HOST = {
    "variables": [
        {"name": "host", "in_host": True, "pattern": r"[a-z0-9.:@\\-]+", "required": False},
        {"name": "edition", "in_host": True, "source": "application", "choices": ["eu", "us"], "default": "eu"},
    ]
}


def test_urls_are_filled_with_the_operators_and_the_tenants_variables(make_client):
    client = make_client(
        provider=TENANT_HOST,
        application={"variables": {"edition": "us"}, "client_id": "a/b"},
        variables={"host": "t1.example.com"},
        authorize_url="https://{edition}.example.com/{client_id}",
        token_url="https://{host}/token",
        refresh_url="https://{host}/refresh",
        issuer="https://{host}",
        revoke={"url": "https://{host}/revoke"},
    )
    assert client.authorize_url == "https://us.example.com/a%2Fb"
    assert client.token_url == "https://t1.example.com/token"
    assert client.refresh_url == "https://t1.example.com/refresh"
    assert client.revoke_url == "https://t1.example.com/revoke"
    assert client.issuer == "https://t1.example.com"
    assert client.variables == {"edition": "us", "host": "t1.example.com"}
    assert client.tenant_variables == {"host": "t1.example.com"}


def test_a_plain_server_refreshes_at_its_token_endpoint_and_revokes_nothing(make_client):
    client = make_client()
    assert client.refresh_url == client.token_url
    assert client.revoke_url is None
    assert client.issuer is None
    assert not client.private_host


def test_every_configured_server_has_a_context_of_its_own(make_client):
    contexts = [
        make_client().context_id,
        make_client(token_url="https://login.example.com/other").context_id,
        make_client(authorize_url="https://login.example.com/other").context_id,
        make_client(application={"client_id": "client-2"}).context_id,
        make_client(provider={"id": "other"}).context_id,
    ]
    assert len(set(contexts)) == len(contexts)
    assert make_client().context_id == contexts[0]


def test_kept_variables_may_repeat_the_operators_but_not_contradict_them(make_client):
    assert make_client(provider=TENANT_HOST, variables={"edition": "eu"}).variables == {"edition": "eu"}
    with pytest.raises(ValidationFailedError, match="operator"):
        make_client(provider=TENANT_HOST, variables={"edition": "us"})


def test_a_missing_variable_is_named(make_client):
    with pytest.raises(ValidationFailedError, match=r"variables\.host is required"):
        make_client(provider=TENANT_HOST, token_url="https://{host}/token")


def test_a_revocation_url_may_wait_for_its_variable(make_client):
    assert make_client(provider=TENANT_HOST, revoke={"url": "https://{host}/revoke"}).revoke_url is None


@pytest.mark.requirement("OAU-031")
@pytest.mark.parametrize("host", ["user@evil.example", "a.example:notaport", "a\\b", ""])
def test_a_variable_cannot_bend_an_address(make_client, host):
    with pytest.raises(ValidationFailedError) as raised:
        make_client(provider=TENANT_HOST, variables={"host": host}, token_url="https://{host}/token")
    assert not host or host not in str(raised.value)


@pytest.mark.requirement("OAU-031")
@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://login.example.com/token", False),
        ("http://login.example.com/token", True),
        ("http://127.0.0.1/token", False),
        ("ftp://127.0.0.1/token", True),
        ("https://login.example.com/token#f", False),
        ("https://login.example.com/token#", False),
        ("https://me@login.example.com/token", False),
        ("https://login.example.com/to ken", False),
        ("https://login.example.com/token\n", False),
        ("https://login.example.com\\@evil.example/", False),
        ("https://[::1/token", False),
        ("https:///token", False),
        ("token", False),
    ],
)
def test_an_endpoint_is_https_without_user_name_and_fragment(url, loopback):
    with pytest.raises(ValidationFailedError):
        check_endpoint(url, loopback=loopback)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/token", "http://[::1]/token", "http://localhost/token", "https://a.example/token?x=1"]
)
def test_a_simulated_provider_may_stand_on_the_loopback(url):
    assert check_endpoint(url, loopback=True) == url


@pytest.mark.parametrize(
    ("offered", "application", "chosen"),
    [
        (["basic"], {}, "basic"),
        (["post", "basic"], {}, "post"),
        (["none", "post"], {}, "post"),
        (["post", "basic", "none"], {"client_secret": None}, "none"),
        (["post"], {"client_auth": "basic"}, "basic"),
        (["basic_raw", "post"], {}, "basic_raw"),
        (["post"], {"client_auth": "basic_raw"}, "basic_raw"),
        (["post"], {"client_auth": "none", "client_secret": None}, "none"),
    ],
)
def test_the_first_client_authentication_that_works_is_used(make_client, offered, application, chosen):
    assert make_client(client_auth=offered, application=application).client_auth == chosen


@pytest.mark.parametrize(
    ("offered", "application"),
    [
        (["basic", "post"], {"client_secret": None}),
        (["none"], {}),
        (["basic"], {"client_auth": "none"}),
        (["basic"], {"client_auth": "magic"}),
    ],
)
def test_an_application_that_cannot_authenticate_is_a_setup_error(make_client, offered, application):
    with pytest.raises(ConfigurationError, match="cannot authenticate") as raised:
        make_client(client_auth=offered, application=application)
    assert "fake-client-secret" not in str(raised.value)


@pytest.mark.requirement("OAU-020")
def test_a_required_issuer_must_be_known(make_client):
    with pytest.raises(ConfigurationError, match="issuer"):
        make_client(callback={"issuer": "required"})
    assert make_client(callback={"issuer": "required"}, application={"issuer": "https://a.example"}).issuer == "https://a.example"


def test_a_method_without_codes_is_not_a_server():
    provider = Provider.model_validate(
        {"id": "example", "name": "Example", "methods": [{"id": "key", "kind": "key", "inputs": [{"name": "api_key"}]}]}
    )
    with pytest.raises(ProviderInactiveError):
        resolve_client(provider, provider.methods[0], OAuthApplication(provider="example", client_id="client-1"), {}, backend=STANDARD)


@pytest.mark.requirement("OAU-080")
def test_a_client_does_not_show_its_secret(make_client):
    assert "fake-client-secret" not in repr(make_client())


def test_the_operator_may_name_a_private_host(make_client):
    provider = {
        "self_hosted": True,
        "variables": [{"name": "host", "in_host": True, "source": "application", "pattern": r"[a-z.]+", "default": "git.example.com"}],
    }
    assert not make_client(provider=provider, token_url="https://{host}/token").private_host
    assert make_client(
        provider=provider, application={"variables": {"host": "git.internal"}}, token_url="https://{host}/token"
    ).private_host


def test_a_secret_is_not_needed_for_a_public_client(make_client):
    assert make_client(client_auth=["none"], application={"client_secret": None}).application.client_secret is None
    assert make_client(application={"client_secret": Secret("fake-other")}).client_auth == "basic"
