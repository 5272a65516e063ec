"""What a provider file may say of the resource that is found after connecting."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cloud_integrations.domain.provider import Provider, Variable
from cloud_integrations.errors import ValidationFailedError

pytestmark = pytest.mark.requirement("Q05")
SITE = {"name": "site", "source": "after_connecting", "pattern": "^[a-z]+$"}
FOUND = {"variable": "site", "url": "https://api.acme.example/sites"}


def provider(**changes):
    method = {"id": "key", "kind": "key", "inputs": [{"name": "key"}], "after_connecting": FOUND, **changes.pop("method", {})}
    document = {
        "id": "acme",
        "name": "Acme",
        "base_urls": {"api": "https://api.acme.example/{site}"},
        "variables": [SITE],
        "methods": [method],
        "verifications": [{"url": "https://api.acme.example/{site}/me"}, {"url": "https://api.acme.example/me"}],
        "programs": [{"environment": {"ACME_SITE": "{site}"}}],
        **changes,
    }
    return Provider.model_validate(document)


def test_addresses_checks_and_programs_may_name_it():
    assert provider().fill_variables({}) == {}
    assert provider().fill_variables({"site": ""}) == {}
    assert provider().fill_variables({"site": "north"}) == {"site": "north"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"method": {"after_connecting": None}}, "site must be a variable"),
        ({"variables": []}, "site must be a variable"),
        ({"variables": [{**SITE, "source": "input"}]}, "site must be a variable"),
        ({"variables": [{**SITE, "default": "north"}]}, "has no default"),
        ({"variables": [{**SITE, "required": False}]}, "is not optional"),
        ({"variables": [{**SITE, "in_host": True}]}, "is not part of a host"),
        ({"variables": [SITE, {"name": "api", "source": "token_reply", "pattern": "^a$"}]}, "a renewal writes"),
        ({"method": {"after_connecting": {**FOUND, "url": "https://api.acme.example/{site}"}}}, "before it is found"),
        ({"method": {"after_connecting": {**FOUND, "url": "http://api.acme.example/sites"}}}, "must be an https URL"),
        ({"method": {"after_connecting": {**FOUND, "page": 0}}}, "greater than or equal to 1"),
        ({"method": {"after_connecting": {**FOUND, "pages": 2}}}, "Extra inputs"),
        ({"method": {"present": {"headers": {"X-Site": "{site}"}}}}, "before it is found"),
        ({"method": {"revoke": {"manual_url": "https://acme.example/{site}"}}}, "before it is found"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        provider(**changes)


def test_no_variable_has_an_empty_value():
    with pytest.raises(ValidationFailedError, match="must not be empty"):
        Variable(name="free", pattern=".*").check("")
