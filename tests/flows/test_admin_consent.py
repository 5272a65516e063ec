"""The operator's application in a tenant's Azure directory: whose directory it is says the sign-in, never the callback."""

from __future__ import annotations

from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from cloud_integrations.errors import GrantRefusedError, ReconnectRequiredError, ValidationFailedError

from .callbacks import refused
from .conftest import ACME, ALICE
from .hub import DIRECTORY, OTHER_DIRECTORY, Entra, answer, jwt


@pytest.fixture
def entra(world):
    return Entra(world)


@pytest.mark.requirement("Q05")
async def test_the_directory_is_that_of_the_sign_in(world, entra):
    begun = await entra.begin()
    asked = dict(parse_qsl(urlsplit(begun.url).query))
    assert begun.url.startswith("https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize?")
    assert (asked["prompt"], asked["code_challenge_method"], "offline_access" in asked["scope"]) == ("select_account", "S256", False)
    integration = (await world.come_back(begun, entra.come_back(begun))).integration
    assert (integration.account.account_id, integration.renewal_rule, integration.method_id) == (DIRECTORY, "mint", "admin_consent")
    signed_in, minted = entra.asked("/token")
    assert urlsplit(minted.url).path == f"/{DIRECTORY}/oauth2/v2.0/token"
    form = parse_qs(minted.body.decode())
    assert (form["grant_type"], form["scope"]) == (["client_credentials"], ["https://management.azure.com/.default"])
    assert parse_qs(signed_in.body.decode())["code_verifier"], "the sign-in is bound by PKCE"
    report = await world.door.verify(ACME, integration.id, actor=ALICE)
    assert (report.outcome, report.account_changed) == ("alive", False)


@pytest.mark.requirement("Q16", "Q18")
async def test_a_forged_directory_in_the_callback_changes_nothing(world, entra):
    begun = await entra.begin()
    params = entra.come_back(begun, DIRECTORY, tenant=OTHER_DIRECTORY, admin_consent="True")
    assert (await world.come_back(begun, params)).integration.account.account_id == DIRECTORY
    assert entra.asked(OTHER_DIRECTORY) == []


@pytest.mark.requirement("Q16")
async def test_the_consent_page_alone_connects_nothing(world, entra):
    """`/adminconsent` sends back a directory and no code: anybody could have written it."""
    begun = await entra.begin()
    params = (("tenant", OTHER_DIRECTORY), ("admin_consent", "True"), ("state", begun.state.reveal()))
    assert await refused(world, begun, params) == "code_missing"
    assert entra.requests == []


@pytest.mark.parametrize("tenant", [OTHER_DIRECTORY, "common", "other.example"])
async def test_a_guest_cannot_sign_in_at_the_directory_of_another(world, entra, tenant):
    with pytest.raises(ValidationFailedError, match=r"variables\.tenant needs a value that fits this method"):
        await entra.begin(variables={"tenant": tenant})


async def test_a_refused_consent_is_told_as_such(world, entra):
    begun = await entra.begin()
    params = (("error", "access_denied"), ("error_description", "AADSTS65004"), ("state", begun.state.reveal()))
    assert await refused(world, begun, params) == "access_denied"
    assert entra.requests == []


async def test_a_directory_that_has_not_consented_is_refused(world, entra):
    entra.consented.clear()
    begun = await entra.begin()
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, entra.come_back(begun))
    assert caught.value.reason == "installation_refused"
    assert await world.door.list_integrations(ACME) == ()


async def test_a_token_of_another_directory_is_refused(world, entra):
    entra.minted_for = OTHER_DIRECTORY
    begun = await entra.begin()
    assert await refused(world, begun, entra.come_back(begun)) == "installation_refused"


@pytest.mark.requirement("Q05")
@pytest.mark.parametrize("token", ["fake-opaque-token", jwt(oid="person")])
async def test_a_sign_in_that_names_no_directory_is_refused(world, entra, token):
    entra.instead["token"] = answer({"access_token": token, "token_type": "Bearer", "expires_in": 3600})
    begun = await entra.begin()
    assert await refused(world, begun, entra.come_back(begun)) == "installation_missing"
    assert len(entra.requests) == 1


async def test_a_consent_that_was_taken_back_needs_a_reconnect(world, entra):
    integration = (await entra.connect()).integration
    entra.consented.clear()
    world.pass_(hours=1)
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, "azure")
    entra.consented.add(DIRECTORY)
    begun = await world.door.begin_reconnect(ACME, integration.id, actor=ALICE)
    again = await world.come_back(begun, entra.come_back(begun))
    assert (again.integration.id, again.account_changed) == (integration.id, False)


async def test_the_removal_says_that_the_application_stays(world, entra):
    integration = (await entra.connect()).integration
    removal = await world.door.delete(ACME, integration.id, actor=ALICE)
    assert (removal.installation, removal.access_token) == ("unsupported", "unsupported")
    assert removal.manual_url == "https://entra.microsoft.com/"
