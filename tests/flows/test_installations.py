"""An installation of the operator's GitHub App: confirmed by the person's own list, minted with the App's key."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from cloud_integrations.domain.importing import ImportedGrant
from cloud_integrations.domain.integration import Health, State
from cloud_integrations.domain.platform import PlatformCredential
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    ConfigurationError,
    GrantRefusedError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ValidationFailedError,
)

from .callbacks import refused
from .conftest import ACME, ALICE, GLOBEX, MALLORY, World, rewire
from .hub import CLIENT, PAGE, Hub, answer
from .test_interrupted import InlineFlights


@pytest.fixture
def hub(world):
    return Hub(world)


# Connecting


async def test_the_page_takes_the_state_alone(world, hub):
    begun = await hub.begin()
    assert begun.url == f"{PAGE}?state={begun.state.reveal()}"
    assert hub.requests == []


@pytest.mark.requirement("Q16", "Q18", "Q44")
async def test_an_installation_is_confirmed_and_its_token_minted(world, hub):
    connected = await hub.connect()
    integration = connected.integration
    listed, proved, minted = hub.asked("/user/installations")[0], hub.requests[1], hub.asked("/access_tokens")[0]
    assert listed is proved, "the list is read with the person's token, before anything is minted"
    assert urlsplit(minted.url).path == "/app/installations/41/access_tokens"
    assert (integration.account.account_id, integration.account.label) == ("410", "octo-org (installation 41)")
    assert integration.scopes == ("contents:read", "metadata:read")
    assert (integration.renewal_rule, integration.auth_type, integration.method_id) == ("mint", "oauth2", "app_installation")
    token = await world.door.credential(ACME, "github")
    assert token.headers() == {"Authorization": "Bearer ghs_fake41x1"}
    assert token.expires_at == world.clock.now().replace(microsecond=0) + timedelta(hours=1)
    assert hub.minted == 1


@pytest.mark.requirement("OAU-050")
async def test_the_persons_own_token_is_given_back(world, hub):
    await hub.connect()
    (given_back,) = hub.asked(f"/applications/{CLIENT}/token")
    assert given_back.method == "DELETE"
    assert hub.live == {"ghs_fake41x1"}
    assert not world.tables.outbox
    assert world.leaks_in(world.raw_dump()) == []


@pytest.mark.requirement("Q05")
async def test_the_list_is_read_page_by_page(world, hub):
    hub.page = 1
    hub.sees["octocat"] = [42, 41]
    await hub.connect()
    assert [parse_qs(urlsplit(request.url).query)["page"] for request in hub.asked("/user/installations")] == [["1"], ["2"]]


async def test_a_list_without_end_is_not_read_for_ever(world, hub):
    hub.instead["installations"] = lambda: answer({"installations": [{"id": 7}]})
    begun = await hub.begin()
    assert await refused(world, begun, hub.come_back(begun)) == "installation_not_yours"
    assert len(hub.asked("/user/installations")) == 100


async def test_an_update_of_an_installation_connects_it(world, hub):
    begun = await hub.begin()
    connected = await world.come_back(begun, hub.come_back(begun, action="update"))
    assert connected.integration.account.account_id == "410"


async def test_two_tenants_may_hold_one_installation(world, hub):
    first, second = await hub.connect(), await hub.connect(GLOBEX)
    assert not first.shared
    assert not second.shared
    assert (await world.door.credential(GLOBEX, "github")).value.reveal() == "ghs_fake41x2"
    await world.door.delete(ACME, first.integration.id, actor=ALICE)
    assert (await world.door.credential(GLOBEX, "github")).value.reveal() == "ghs_fake41x2"
    assert 41 in hub.installed


# Forged and broken callbacks


@pytest.mark.requirement("Q18")
async def test_the_installation_of_another_person_is_refused(world, hub):
    hub.sees["mallory"] = [42]
    begun = await hub.begin()
    assert await refused(world, begun, hub.come_back(begun, 41, person="mallory")) == "installation_not_yours"
    assert hub.minted == 0
    assert hub.live == set(), "the person's token was given back"
    assert world.last_event().reason == "installation_not_yours"


@pytest.mark.requirement("Q05")
@pytest.mark.parametrize("forged", ["", None, "41/../42", "41 ", "0x29", "041"])
async def test_an_id_that_is_not_in_the_list_to_the_letter_is_refused(world, hub, forged):
    begun = await hub.begin()
    assert (await refused(world, begun, hub.come_back(begun, forged))).startswith("installation_")
    assert hub.minted == 0


async def test_an_id_is_needed_before_the_code_is_spent(world, hub):
    begun = await hub.begin()
    assert await refused(world, begun, hub.come_back(begun, None)) == "installation_missing"
    assert hub.codes == 0


async def test_two_ids_are_refused(world, hub):
    begun = await hub.begin()
    params = (*hub.come_back(begun, 41), ("installation_id", "42"))
    assert await refused(world, begun, params) == "repeated_parameter"
    assert hub.codes == 0


async def test_a_callback_without_code_is_refused(world, hub):
    begun = await hub.begin()
    assert await refused(world, begun, hub.come_back(begun, code=None)) == "code_missing"
    assert hub.requests == []


@pytest.mark.requirement("Q16")
async def test_a_request_to_the_owner_is_told_as_such(world, hub):
    begun = await hub.begin()
    assert await refused(world, begun, hub.come_back(begun, None, action="request")) == "installation_requested"
    assert hub.requests == [], "a code that came with it is not spent"
    # The owner agrees later, and the person begins again.
    assert (await hub.connect()).integration.account.account_id == "410"


@pytest.mark.requirement("OAU-014")
async def test_a_state_is_used_once_and_by_its_owner(world, hub):
    begun = await hub.begin()
    params = hub.come_back(begun)
    assert await refused(world, begun, params, actor=MALLORY) == "state_not_valid"
    assert await refused(world, begun, params, browser_token=Secret("x" * 43)) == "state_not_valid"
    await world.come_back(begun, params)
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, hub.come_back(begun))
    assert caught.value.reason == "state_not_valid"
    assert (hub.codes, hub.minted) == (1, 1)


async def test_of_two_callbacks_at_once_one_connects(world, hub):
    begun = await hub.begin()
    params = hub.come_back(begun)
    calls = await world.door.together(
        2, "complete_oauth", begun.context_id, params, browser_token=begun.browser_token, actor=ALICE
    )  # fmt: skip
    assert sorted(isinstance(each, GrantRefusedError) for each in calls) == [False, True]
    assert (hub.codes, hub.minted) == (1, 1)


async def test_a_code_without_an_authorization_is_refused(world, hub):
    begun = await hub.begin()
    with pytest.raises(ValidationFailedError, match="state is required for an installation"):
        await world.door.add_oauth_code(ACME, "github", name="Code of Acme", code="fake-code", redirect_uri=begun.redirect_uri, actor=ALICE)
    with pytest.raises(GrantRefusedError) as caught:
        await world.door.add_oauth_code(
            ACME, "github", name="Code of Acme", code="fake-code", redirect_uri=begun.redirect_uri, state=begun.state, actor=ALICE
        )
    assert caught.value.reason == "installation_missing"
    assert hub.requests == []


# What the provider may answer meanwhile


@pytest.mark.parametrize(
    "said",
    [answer({"message": "Bad credentials"}, 401), answer([1]), answer({"installations": {}}), ProviderUnreachableError(provider_id="p")],
)
async def test_without_the_list_nothing_is_connected(world, hub, said):
    hub.instead["installations"] = said
    begun = await hub.begin()
    with pytest.raises(ProviderUnavailableError):
        await world.come_back(begun, hub.come_back(begun))
    assert (hub.minted, hub.live) == (0, set())
    assert await world.door.list_integrations(ACME) == ()


async def test_a_rate_limit_of_the_list_says_when_to_come_back(world, hub):
    hub.instead["installations"] = answer({"message": "You have exceeded a secondary rate limit"}, 403)
    begun = await hub.begin()
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.come_back(begun, hub.come_back(begun))
    assert caught.value.retry_after == timedelta(minutes=1)


async def test_an_installation_that_gives_no_token_is_refused(world, hub):
    hub.suspended.add(41)
    begun = await hub.begin()
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, hub.come_back(begun))
    assert caught.value.reason == "installation_refused"
    assert caught.value.error_description == "This installation has been suspended"


async def test_an_outage_of_the_mint_is_an_outage(world, hub):
    hub.instead["access_tokens"] = answer({"message": "oops"}, 502)
    begun = await hub.begin()
    with pytest.raises(ProviderUnavailableError):
        await world.come_back(begun, hub.come_back(begun))


class KilledError(BaseException):
    """Ends whatever runs."""


async def test_whoever_is_interrupted_gives_the_persons_token_back(world, hub):
    hub.instead["installations"] = KilledError()
    begun = await hub.begin()
    (result,) = await asyncio.gather(world.come_back(begun, hub.come_back(begun)), return_exceptions=True)
    assert isinstance(result, KilledError)
    assert hub.live == set()


async def test_work_that_nobody_runs_any_more_is_dropped_without_a_word():
    world = World("awaiting")
    hub = Hub(world)
    begun = await hub.begin()
    params = hub.come_back(begun)
    rewire(world.door.manager, single_flight=InlineFlights())
    work = world.door.acting_as(ALICE).complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
    # The list is asked for after the answer to the code has come.
    while not hub.live:
        work.send(None)
    work.close()
    assert not hub.asked("/applications/")


# The operator's part


@pytest.mark.parametrize(
    ("parts", "when"), [(None, "begin"), ({"other": Secret("fake")}, "mint"), ({"private_key": Secret("fake")}, "mint")]
)
async def test_without_the_apps_key_the_operator_must_act(world, hub, parts, when):
    door = hub.open(platform=None if parts is None else {"github": PlatformCredential(parts=parts)})
    with pytest.raises(AppMisconfiguredError) as caught:
        await (hub.begin(door=door) if when == "begin" else hub.connect(door=door))
    assert caught.value.reason == "platform_config"
    assert len(hub.requests) == (0 if when == "begin" else 3), "nobody installs anything in vain"


async def test_an_app_without_its_name_is_refused_when_the_manager_is_made(world, hub):
    with pytest.raises(ConfigurationError, match=r"applications\[github\]\.variables\.app_slug is required by this provider"):
        hub.open(application={"variables": {}})


async def test_a_key_that_github_refuses_is_the_operators_to_mend(world, hub):
    await hub.connect()
    world.pass_(hours=1)
    hub.instead["access_tokens"] = answer({"message": "A JSON web token could not be decoded"}, 401)
    with pytest.raises(AppMisconfiguredError):
        await world.door.credential(ACME, "github")
    (row,) = await world.door.list_integrations(ACME)
    assert (row.state, row.health) == (State.ACTIVE, Health.APPLICATION_REFUSED)


@pytest.mark.requirement("OAU-070")
async def test_another_app_is_never_taken_for_an_uninstalled_one(world, hub):
    integration = (await hub.connect()).integration
    world.pass_(hours=1)
    door = hub.open(application={"client_id": "Iv1.another"})
    with pytest.raises(AppMisconfiguredError) as caught:
        await door.credential(ACME, "github")
    assert caught.value.reason == "application_changed"
    assert hub.minted == 1
    assert world.row(integration).facts.state is State.ACTIVE


async def test_an_installation_is_not_imported(world, hub):
    grant = ImportedGrant(provider="github", name="Code of Acme", access_token="ghs_fake41x1", scopes=())
    with pytest.raises(ValidationFailedError, match="which only a browser can confirm"):
        await world.door.import_credential(ACME, grant, actor=ALICE)


async def test_a_tenants_own_application_cannot_be_installed(world, hub):
    with pytest.raises(ValidationFailedError, match="is an installation of the operator's own application"):
        await world.door.applications.save(
            ACME, "github", client_id="Iv1.tenant", client_secret="fake", method="app_installation", actor=ALICE
        )
