"""The ways to obtain access: what each asks of a provider file, and which parts its credentials have."""

from __future__ import annotations

import pytest
from tests.provider_files import code, key, provider

from cloud_integrations import kinds
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.providers import Catalogue


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (code(token_url=None), "oauth2 needs authorize_url and token_url"),
        (code(authorize_url=None), "oauth2 needs authorize_url and token_url"),
        (code(kind="device"), "oauth2 needs device, and token_url or metadata"),
        (code(kind="device", authorize_url=None, device={"url": "https://a.example/d"}, issuer="https://a.example"), "has no issuer"),
        (code(kind="device", authorize_url=None, token_url=None, issuer="https://a.example", metadata="oidc"), "oauth2 needs device"),
        (key(issuer="https://a.example", metadata="oidc"), "key has no issuer, metadata for this kind"),
        (code(inputs=[{"name": "token"}]), "oauth2 has no inputs for this kind"),
        (code(callback={"installation_from": "id"}), "oauth2.callback has no installation_from and no requested for this kind"),
        (code(present={"headers": {"Authorization": "Bearer {missing}"}}), "oauth2.present.headers.Authorization uses {missing}"),
        pytest.param(
            code(present={"query": {"access_token": "{value}"}}),
            "oauth2.present: an access token goes in a header, and nowhere else",
            marks=pytest.mark.requirement("OAU-052"),
        ),
        (code(present={"headers": {"X-Key": "{value}"}, "basic": {"user": "{value}"}}), "and nowhere else"),
        (
            code(present={"sign": "dpop", "headers": {"Authorization": "DPoP {value}"}}),
            "oauth2.present: with the signature dpop, which shows the token itself, there is nothing else",
        ),
        (
            code(present={"sign": "dpop"}, revoke={"url": "https://a.example/", "auth": "bearer"}),
            "oauth2.revoke.auth: a token that is bound to a key is no bearer token",
        ),
        (key(present={"sign": "dpop"}), "key.present.options must have access_token, or the method an input of this name"),
        ({"id": "key", "kind": "key"}, "key needs a secret input"),
        ({"id": "key", "kind": "key", "inputs": [{"name": "user", "secret": False}]}, "key needs a secret input"),
        (key(token_url="https://a.example/token", pkce="off"), "key has no pkce, token_url for this kind"),
        (key(scopes={"default": ["read"]}), "key has no scopes for this kind"),
        (key(revoke={"url": "https://a.example/"}), "key.revoke has no url for this kind"),
        pytest.param(
            code(revoke={"url": "https://a.example/", "key": {"url": "https://a.example/"}}),
            "oauth2.revoke.key is for keys that a request shows as they were entered",
            marks=pytest.mark.requirement("Q76"),
        ),
        pytest.param(
            key(present={"digest": {"user": "me", "password": "{token}"}}, revoke={"key": {"url": "https://a.example/"}}),
            "key.revoke.key is for keys that a request shows as they were entered",
            marks=pytest.mark.requirement("Q76"),
        ),
        (key(headers={"token": {"Accept": "a/b"}}), "key.headers has no token for this kind"),
        (key(present={}), "key.present says nothing"),
        (key(present={"query": {"key": "{tokne}"}}), "key.present.query.key uses {tokne}"),
        (key(inputs=[{"name": "file", "form": "pem"}]), "key.present.headers.Authorization holds file, which may have several lines"),
        (code(kind="implicit"), "oauth2.kind must be one of code, device, installation, key"),
    ],
)
def test_a_method_that_its_kind_cannot_use_is_refused_with_its_provider(method, says):
    with pytest.raises(ConfigurationError) as caught:
        Catalogue.of(provider(method))
    assert str(caught.value).startswith("the provider acme ")
    assert says in str(caught.value)


def test_the_first_method_to_which_a_person_consents_is_found():
    acme = provider(code(), code(id="other"), key(), key(id="pair"))
    assert kinds.auth_types(acme) == (AuthType.OAUTH2, AuthType.API_KEY)
    assert [kinds.auth_type_of(method) for method in acme.methods] == ["oauth2", "oauth2", "apikey", "apikey"]
    for method_id, expected in [(None, "oauth2"), ("other", "other"), ("pair", None), ("nobody", None)]:
        found = kinds.find_consent_method(acme, method_id)
        assert (found and found.id) == expected
    assert [method.id for method in kinds.input_methods(acme)] == ["key", "pair"]


def test_the_parts_of_a_credential_have_the_providers_names_and_the_key_comes_first():
    names = [{"name": "user", "secret": False}, {"name": "access"}, {"name": "private", "required": False}]
    method = provider(key(inputs=names)).methods[0]
    kind = kinds.kind_of(method)
    assert kind.part_names(method) == ("access", "private", "user")
    entered = {"user": Secret("fake-user"), "private": Secret("fake-private"), "access": Secret("fake-access")}
    assert list(kind.read_inputs(method, entered)) == ["access", "private", "user"]
    assert kinds.present(method, entered, variables={}).headers() == {"Authorization": "Bearer fake-access"}


def test_a_grant_shows_its_access_token_where_its_provider_wants_it():
    method = provider(code(present={"headers": {"X-Token": "{value}"}})).methods[0]
    assert kinds.kind_of(method).part_names(method) == ("access_token",)
    shown = kinds.present(method, {"access_token": Secret("fake"), "refresh_token": Secret("fake-other")}, variables={})
    assert shown.headers() == {"X-Token": "fake"}


def test_two_parts_have_two_names_and_no_header_has_several_lines():
    document = {"name": "file", "form": "json", "parts": {"token": "token", "robot": "name"}}
    with pytest.raises(ConfigurationError, match="two parts one name"):
        Catalogue.of(provider(key(inputs=[document, {"name": "robot", "secret": False}])))
    method = Catalogue.of(provider(key(inputs=[document]))).require("acme").methods[0]
    assert kinds.kind_of(method).part_names(method) == ("token", "robot")
    shown = kinds.present(method, {"token": Secret("fake\nX-Evil: 1"), "robot": Secret("fake")}, variables={})
    with pytest.raises(ValidationFailedError, match="several lines") as caught:
        shown.require_complete()
    assert "Evil" not in str(caught.value)


def test_a_kind_does_not_replace_another_of_its_name():
    with pytest.raises(ValueError, match="there is a kind key already"):
        kinds.register(kinds.kind_of(provider(key()).methods[0]))
