"""An authorization begins."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from cloud_integrations.domain.pending import MAX_PENDING
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    IntegrationExistsError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderInactiveError,
    ProviderNotFoundError,
    StorageUnavailableError,
    ValidationFailedError,
)

from .conftest import ACME, ALICE, MALLORY

CALLBACK = "https://app.example/oauth/callback"


def asked(authorization):
    return parse_qs(urlsplit(authorization.url).query)


@pytest.mark.requirement("OAU-001", "OAU-002")
async def test_an_authorization_asks_for_a_code_with_a_challenge(world):
    query = asked(await world.begin())
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43


@pytest.mark.requirement("OAU-003")
async def test_state_and_verifier_and_browser_token_are_new_every_time(world):
    begun = [await world.begin() for _ in range(5)]
    challenges = {asked(one)["code_challenge"][0] for one in begun}
    states = {one.state.reveal() for one in begun}
    browsers = {one.browser_token.reveal() for one in begun}
    assert len(challenges) == len(states) == len(browsers) == 5
    assert len(challenges | states | browsers) == 15


@pytest.mark.requirement("OAU-005")
async def test_state_is_256_random_bits_and_says_nothing(world):
    begun = await world.begin(return_to="/settings")
    state = begun.state.reveal()
    assert len(base64.urlsafe_b64decode(state + "=")) == 32
    assert asked(begun)["state"] == [state]


@pytest.mark.requirement("OAU-083")
async def test_state_and_browser_token_are_kept_as_hashes_and_the_verifier_sealed(world):
    begun = await world.begin()
    dump = world.raw_dump()
    assert begun.state.reveal().encode() not in dump
    assert begun.browser_token.reveal().encode() not in dump
    await world.come_back(begun)
    verifier = next(text for text in world.secrets if len(text) == 43 and text not in {begun.state.reveal(), begun.browser_token.reveal()})
    assert verifier.encode() not in dump


@pytest.mark.requirement("OAU-006")
async def test_the_redirect_uri_is_the_configured_one_and_ends_in_the_context(world):
    begun = await world.begin()
    assert begun.redirect_uri == f"{CALLBACK}/{begun.context_id}"
    assert asked(begun)["redirect_uri"] == [begun.redirect_uri]


@pytest.mark.requirement("OAU-006")
async def test_an_application_that_names_a_redirect_uri_has_that_one(world):
    own = "https://app.example/connected"
    door = world.open(applications=[world.provider.application(redirect_uris=(own,))])
    begun = await world.begin(door=door)
    assert begun.redirect_uri == own
    assert (await world.come_back(begun, door=door)).integration.name == "Files of Acme"


@pytest.mark.requirement("OAU-013")
async def test_a_principal_has_twenty_open_authorizations_and_the_oldest_goes_first(world, door):
    begun = []
    for _ in range(MAX_PENDING + 1):
        begun.append(await world.begin())
        world.pass_(seconds=1)
    assert await door.find_authorization(begun[0].state, actor=ALICE) is None
    found = [await door.find_authorization(one.state, actor=ALICE) for one in begun[1:]]
    assert all(pending is not None for pending in found)


async def test_an_open_authorization_is_found_by_the_one_who_began_it_alone(world, door):
    begun = await world.begin()
    pending = await door.find_authorization(begun.state, actor=ALICE)
    assert (pending.tenant_id, pending.name) == (ACME, "Files of Acme")
    assert await door.find_authorization(begun.state, actor=MALLORY) is None
    assert await door.find_authorization(Secret("fake-state"), actor=ALICE) is None


async def test_an_authorization_is_open_for_ten_minutes(world, door):
    begun = await world.begin()
    world.pass_(minutes=9, seconds=59)
    assert await door.find_authorization(begun.state, actor=ALICE) is not None
    world.pass_(seconds=1)
    assert await door.find_authorization(begun.state, actor=ALICE) is None
    assert begun.expires_at == world.clock.now()


@pytest.mark.requirement("OAU-009")
async def test_scopes_asked_for_are_sent_and_recorded(world, door):
    begun = await world.begin(scopes=("read",))
    assert asked(begun)["scope"] == ["read"]
    assert (await door.find_authorization(begun.state, actor=ALICE)).scopes == ("read",)


async def test_without_scopes_the_providers_own_are_asked_for(world):
    assert asked(await world.begin())["scope"] == ["read write"]


@pytest.mark.requirement("OAU-009")
async def test_a_scope_with_a_foreign_character_begins_nothing(world):
    with pytest.raises(ValidationFailedError) as caught:
        await world.begin(scopes=('re"ad',))
    assert caught.value.field == "scopes"
    assert world.events() == []


@pytest.mark.requirement("OAU-025")
@pytest.mark.parametrize("path", ["/", "/settings", "/settings?tab=files&x=%2F", "/a/b:c", "/%7Euser", "/a b", "/?next=\\"])
async def test_a_path_on_this_site_is_a_return_target(world, path):
    begun = await world.begin(return_to=path)
    assert (await world.come_back(begun)).return_to == path


@pytest.mark.requirement("OAU-025", "B03")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "settings",
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/a\\b",
        "https://evil.example",
        "javascript:alert(1)",
        "/javascript:alert(1)",
        "/%2Fevil.example",
        "/%5Cevil.example",
        "/%252Fevil.example",
        "/%255Cevil.example",
        "%2F%2Fevil.example",
        "/a\r\nb",
        "/a%0d%0ab",
        "/a%250d%250ab",
        "/\tb",
        "/a\x00",
        "/x%3A//evil.example",
        "/" + "x" * 2048,
    ],
)
async def test_a_return_target_that_may_leave_this_site_is_refused(world, path):
    with pytest.raises(ValidationFailedError) as caught:
        await world.begin(return_to=path)
    assert caught.value.field == "returnTo"
    assert world.events() == []


@pytest.mark.parametrize("name", ["ab", "x" * 51, " name", "name ", "na\nme"])
async def test_a_name_has_3_to_50_visible_characters(world, name):
    with pytest.raises(ValidationFailedError) as caught:
        await world.begin(name=name)
    assert caught.value.field == "name"


async def test_the_provider_must_exist(door):
    with pytest.raises(ProviderNotFoundError):
        await door.begin_oauth(ACME, "nobody", name="Files", actor=ALICE)


async def test_the_provider_must_be_active(world):
    entries = [entry.model_copy(update={"active": False}) for entry in world.entries]
    door = world.open(providers=entries)
    with pytest.raises(ProviderInactiveError):
        await world.begin(door=door)


async def test_the_provider_must_have_an_application_here(world):
    door = world.open(applications=[])
    with pytest.raises(ProviderInactiveError):
        await world.begin(door=door)


async def test_a_provider_by_key_alone_has_no_authorization(door):
    with pytest.raises(ValidationFailedError) as caught:
        await door.begin_oauth(ACME, "simulated_keys", name="Files", actor=ALICE)
    assert caught.value.field == "code"
    assert "apikey" in str(caught.value)


async def test_a_provider_that_the_tenant_has_is_not_begun_again(world):
    await world.connect()
    with pytest.raises(IntegrationExistsError) as caught:
        await world.begin()
    assert caught.value.details == {"tenantId": ACME, "providerId": str(world.entries[0].provider_id)}


async def test_another_tenant_begins_all_the_same(world):
    await world.connect()
    assert (await world.connect("globex")).tenant_id == "globex"


async def test_a_provider_without_pkce_is_asked_without_a_challenge(world):
    method = world.entries[0].methods[0].model_copy(update={"pkce": "off"})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (method,)})])
    begun = await world.begin(door=door)
    assert "code_challenge" not in asked(begun)
    pending = await door.find_authorization(begun.state, actor=ALICE)
    assert pending.sealed_parts is None


async def test_beginning_is_recorded_with_who_and_on_whose_request(world, door):
    begun = await door.begin_oauth(ACME, "simulated", name="Files", actor=ALICE, request_id="req-1")
    event = world.last_event()
    assert (event.action, event.actor.id, event.request_id) == ("authorization.begun", "alice", "req-1")
    assert event.resource == f"integration:{begun.integration_id}"


@pytest.mark.requirement("AUD-01")
async def test_without_its_audit_row_nothing_is_begun(world, door):
    world.store.fail(2)  # the first is the tenant's key
    with pytest.raises(StorageUnavailableError):
        await world.begin()
    assert world.events() == []
    assert not world.tables.pending


# Reconnecting


async def test_a_reconnect_keeps_what_is_held_until_it_comes_back(world, door):
    held = await world.connect()
    token = await door.credential(ACME, "simulated")
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    assert begun.integration_id == held.id
    assert (await door.credential(ACME, "simulated")).value == token.value
    assert world.row(held).credential.generation == 1


async def test_a_reconnect_asks_for_the_scopes_asked_for_before(world, door):
    held = await world.connect(scopes=("read",))
    assert asked(await door.begin_reconnect(ACME, held.id, actor=ALICE))["scope"] == ["read"]


@pytest.mark.requirement("Q14")
async def test_a_reconnect_may_ask_for_other_scopes(world, door):
    held = await world.connect(scopes=("read",))
    assert asked(await door.begin_reconnect(ACME, held.id, scopes=("write",), actor=ALICE))["scope"] == ["write"]


@pytest.mark.requirement("Q14")
async def test_where_the_provider_forgets_older_scopes_a_reconnect_asks_for_all(world):
    method = world.entries[0].methods[0]
    union = method.model_copy(update={"scopes": method.scopes.model_copy(update={"on_reconnect": "union"})})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (union,)})])
    held = await world.connect(scopes=("read",), door=door)
    assert asked(await door.begin_reconnect(ACME, held.id, scopes=("write",), actor=ALICE))["scope"] == ["read write"]


async def test_a_key_is_not_reconnected_by_authorization(world, door):
    held = await world.add_key()
    with pytest.raises(ValidationFailedError) as caught:
        await door.begin_reconnect(ACME, held.id, actor=ALICE)
    assert caught.value.field == "credentials"


async def test_what_is_switched_off_is_not_reconnected(world, door):
    held = await world.connect()
    await door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await door.begin_reconnect(ACME, held.id, actor=ALICE)


@pytest.mark.requirement("ISO-13")
async def test_another_tenants_integration_is_not_reconnected(world, door):
    held = await world.connect()
    with pytest.raises(IntegrationNotFoundError):
        await door.begin_reconnect("globex", held.id, actor=MALLORY)
