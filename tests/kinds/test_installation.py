"""What an installation asks of a provider file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.provider_files import code

from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.providers import Catalogue

URL = "https://acme.example"
LISTING = {"url": f"{URL}/installations", "at": "installations", "account": "account.id"}
CLAIM = {"sign_in": "oauth2", "input": "directory", "claim": "tid"}
LISTED = {
    "installation": {"sign_in": "oauth2", "input": "directory", "listing": LISTING},
    "callback": {"installation_from": "directory"},
    "pkce": "off",
}


def installation(**changes):
    sign_in = code()
    return {
        "id": "app",
        "kind": "installation",
        "authorize_url": f"{URL}/install",
        "token_url": sign_in["token_url"],
        "inputs": [{"name": "directory", "secret": False}],
        "installation": CLAIM,
        "mint": [{"url": f"{URL}/{{directory}}/token", "client_auth": ["post"]}],
        **changes,
    }


def read(**changes):
    method = {name: value for name, value in installation(**changes).items() if value is not None}
    return Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [code(), method]}))


@pytest.mark.parametrize("changes", [{}, LISTED])
def test_an_installation_is_a_method(changes):
    assert read(**changes).require("acme").methods[1].entered_inputs == (), "nobody enters the id"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mint": []}, "app needs authorize_url, token_url, installation and mint"),
        ({"inputs": [{"name": "directory", "secret": False}, {"name": "key"}]}, "app.inputs must be directory alone, and no secret"),
        ({"inputs": [{"name": "directory"}], "mint": [{"url": f"{URL}/token"}]}, "app.inputs must be directory alone, and no secret"),
        ({"application": "owner", "mint": [{"url": f"{URL}/token"}]}, "app.application must be the operator's"),
        ({"callback": {"installation_from": "id"}, "pkce": "off"}, "app needs installation.listing exactly if"),
        (LISTED | {"callback": {}}, "app needs installation.listing exactly if"),
        (LISTED | {"pkce": "s256"}, "app.pkce must be off"),
        ({"present": {"query": {"token": "{access_token}"}}}, "app.present: an access token goes in a header"),
        ({"refresh_token": {"rotates": "always"}}, "app has no refresh_token for this kind"),
    ],
)
def test_what_cannot_work_is_refused(changes, says):
    with pytest.raises(ConfigurationError) as caught:
        read(**changes)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"installation": {**CLAIM, "claim": None}}, "give listing or claim"),
        ({"installation": {**CLAIM, "listing": LISTING}}, "give listing or claim"),
        ({"installation": {**CLAIM, "sign_in": "missing"}}, "app.installation.sign_in must be a method of the kind code"),
        ({"installation": {**CLAIM, "sign_in": "app"}}, "app.installation.sign_in must be a method of the kind code"),
        ({"token_url": f"{URL}/another"}, "with the same token_url"),
        ({"installation": {"sign_in": "oauth2", "input": "directory", "listing": {**LISTING, "url": "http://acme.example"}}}, "https URL"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(changes, says):
    with pytest.raises(ValidationError) as caught:
        read(**changes)
    assert says in str(caught.value)
