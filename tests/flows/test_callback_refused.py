"""What comes back with the browser: the state and whose it is, what the provider brings, and a site."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from cloud_integrations import OAuthApplication
from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.provider import Callback, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ProviderUnavailableError
from cloud_integrations.testing import Misbehaviour

from .callbacks import refused
from .conftest import ACME, ALICE, GLOBEX, MALLORY

# The state, and whose it is


@pytest.mark.requirement("OAU-014")
async def test_unknown_expired_consumed_and_foreign_states_get_the_same_answer(world):
    answers = []

    async def answer(begun, params, **changes):
        with pytest.raises(GrantRefusedError) as caught:
            await world.come_back(begun, params, **changes)
        answers.append((str(caught.value), caught.value.code, caught.value.details))

    unknown = await world.begin()
    await answer(unknown, (("state", "fake-state-that-nobody-began-and-is-long-enough"), ("code", "fake-code")))
    await answer(unknown, (("code", "fake-code"),))
    foreign = await world.begin()
    await answer(foreign, None, actor=MALLORY)
    expired = await world.begin()
    params = world.approve(expired)
    world.pass_(minutes=10)
    await answer(expired, params)
    exchanges = world.provider.count("exchange")
    used = await world.begin()
    params = world.approve(used)
    await world.come_back(used, params)
    await answer(used, params)
    assert len(answers) == 5
    assert all(one == answers[0] for one in answers)
    assert exchanges == 0


@pytest.mark.requirement("OAU-014")
async def test_an_unknown_state_writes_nothing(world):
    begun = await world.begin()
    before = world.raw_dump()
    await refused(world, begun, (("state", "fake-state-that-nobody-began-and-is-long-enough"), ("code", "fake-code")))
    assert world.raw_dump() == before


@pytest.mark.requirement("OAU-015")
async def test_fifty_callbacks_at_once_make_one_exchange(world, door):
    begun = await world.begin()
    params = world.approve(begun)
    outcomes = await door.together(50, "complete_oauth", begun.context_id, params, browser_token=begun.browser_token, actor=ALICE)
    connected = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert len(connected) == 1
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {(type(refusal), refusal.reason) for refusal in refusals} == {(GrantRefusedError, "state_not_valid")}
    assert world.provider.count("exchange") == 1
    assert len(await door.list_integrations(ACME)) == 1


@pytest.mark.requirement("OAU-016", "OAU-024")
@pytest.mark.parametrize("what", [Misbehaviour.ANSWER_LOST, Misbehaviour.UNAVAILABLE, Misbehaviour.INVALID_GRANT, Misbehaviour.HTML_PAGE])
async def test_the_state_is_spent_though_the_exchange_fails(world, what):
    begun = await world.begin()
    params = world.approve(begun)
    world.provider.misbehave(what)
    with pytest.raises((GrantRefusedError, ProviderUnavailableError)):
        await world.come_back(begun, params)
    assert await refused(world, begun, params) == "state_not_valid"
    assert world.provider.count("exchange") == 1


@pytest.mark.requirement("OAU-017")
async def test_another_principal_cannot_finish_or_use_up_an_authorization(world):
    begun = await world.begin()
    params = world.approve(begun)
    assert await refused(world, begun, params, actor=MALLORY) == "state_not_valid"
    event = world.last_event()
    assert (event.action, event.outcome, event.reason) == ("authorization.completed", Outcome.DENIED, "session_mismatch")
    assert event.actor == MALLORY
    assert world.provider.count("exchange") == 0
    assert (await world.come_back(begun, params)).integration.tenant_id == ACME


@pytest.mark.requirement("OAU-014", "AUD-08")
async def test_a_stolen_state_that_is_tried_again_and_again_writes_one_row(world):
    begun = await world.begin()
    params = world.approve(begun)
    for _ in range(50):
        assert await refused(world, begun, params, actor=MALLORY) == "state_not_valid"
    assert [event.outcome for event in world.events()].count(Outcome.DENIED) == 1
    assert (await world.come_back(begun, params)).integration.tenant_id == ACME


@pytest.mark.requirement("OAU-018", "B01")
@pytest.mark.parametrize("browser_token", [None, Secret("fake-token-of-another-browser"), Secret("")])
async def test_another_browser_cannot_finish_an_authorization(world, browser_token):
    begun = await world.begin()
    params = world.approve(begun)
    assert await refused(world, begun, params, browser_token=browser_token) == "state_not_valid"
    assert (world.last_event().outcome, world.last_event().reason) == (Outcome.DENIED, "browser_mismatch")
    assert world.provider.count("exchange") == 0


@pytest.mark.requirement("OAU-018")
async def test_two_authorizations_of_one_principal_are_not_mixed_up(world):
    first, second = await world.begin(), await world.begin("globex")
    params = world.approve(first)
    assert await refused(world, second, params) == "state_not_valid"


@pytest.mark.requirement("OAU-019", "B02")
async def test_the_callbacks_path_must_be_that_of_the_server_it_began_with(world):
    begun = await world.begin()
    params = world.approve(begun)
    assert await refused(world, begun, params, context_id=uuid4()) == "state_not_valid"
    assert (world.last_event().outcome, world.last_event().reason) == (Outcome.DENIED, "context_mismatch")
    assert world.provider.count("exchange") == 0


# What the provider brings


@pytest.mark.requirement("OAU-020")
async def test_the_issuer_must_be_the_one_it_began_with(world):
    world.provider.misbehave(Misbehaviour.ISSUER_WRONG)
    begun = await world.begin()
    assert await refused(world, begun) == "issuer_mismatch"
    assert world.provider.count("exchange") == 0


@pytest.mark.requirement("OAU-020")
async def test_the_issuer_of_an_error_is_checked_too(world):
    begun = await world.begin()
    state = begun.state.reveal()
    params = (("error", "access_denied"), ("state", state), ("iss", "https://elsewhere.example"))
    assert await refused(world, begun, params) == "issuer_mismatch"


@pytest.mark.requirement("OAU-020")
@pytest.mark.parametrize(("required", "reason"), [("required", "issuer_missing"), ("optional", None)])
async def test_a_missing_issuer_is_refused_where_the_provider_promises_one(world, required, reason):
    method = world.entries[0].methods[0]
    callback = method.callback.model_copy(update={"issuer": required})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (method.model_copy(update={"callback": callback}),)})])
    world.provider.misbehave(Misbehaviour.ISSUER_MISSING)
    begun = await world.begin(door=door)
    if reason is None:
        assert (await world.come_back(begun, door=door)).integration.tenant_id == ACME
    else:
        assert await refused(world, begun, door=door) == reason


@pytest.mark.requirement("OAU-021")
@pytest.mark.parametrize("name", ["code", "state", "iss", "error", "error_description"])
async def test_nothing_may_come_twice(world, name):
    begun = await world.begin()
    params = world.approve(begun)
    value = dict(params).get(name, "access_denied")
    twice = (*(pair for pair in params if pair[0] != name), (name, value), (name, value))
    assert await refused(world, begun, twice) in {"repeated_parameter", "state_not_valid"}
    assert world.provider.count("exchange") == 0


@pytest.mark.requirement("OAU-023")
async def test_a_person_who_says_no_is_told_so_and_the_state_is_spent(world):
    begun = await world.begin()
    params = world.approve(begun, approve=False)
    assert await refused(world, begun, params) == "access_denied"
    assert (world.last_event().outcome, world.last_event().reason) == (Outcome.FAILURE, "access_denied")
    assert await refused(world, begun, params) == "state_not_valid"


@pytest.mark.requirement("OAU-023")
async def test_a_hostile_error_is_nowhere_repeated(world):
    begun = await world.begin()
    hostile = '<script>alert(1)</script>\r\n\x1b[31m"'
    params = (
        ("error", hostile),
        ("error_description", hostile),
        ("error_uri", "https://evil.example"),
        ("state", begun.state.reveal()),
        ("iss", world.provider.base_url),
    )
    assert await refused(world, begun, params) == "other"
    assert b"script" not in world.raw_dump()
    assert b"evil" not in world.raw_dump()


async def test_an_answer_without_code_is_refused(world):
    begun = await world.begin()
    assert await refused(world, begun, (("state", begun.state.reveal()),)) == "code_missing"


@pytest.mark.requirement("OAU-024")
async def test_a_code_is_at_most_4_kib_and_nothing_of_it_is_kept(world):
    begun = await world.begin()
    params = tuple((name, "c" * 4097 if name == "code" else value) for name, value in world.approve(begun))
    assert await refused(world, begun, params) == "code_unusable"
    assert b"cccccccc" not in world.raw_dump()
    assert world.provider.count("exchange") == 0


@pytest.mark.requirement("OAU-024")
async def test_a_code_is_not_stored(world):
    begun = await world.begin()
    params = world.approve(begun)
    await world.come_back(begun, params)
    assert dict(params)["code"].encode() not in world.raw_dump()


def with_sites(world):
    """Let the provider have two token endpoints, of which the callback names one; the usual one is not where the code came from."""
    usual = world.provider.catalogue_entries()[0]
    host = urlsplit(usual.methods[0].token_url).netloc
    method = usual.methods[0].model_copy(
        update={"token_url": usual.methods[0].token_url.replace(host, "{login}"), "callback": Callback(site_from="location")}
    )
    facts = usual.model_dump() | {
        "methods": [method.model_dump(by_alias=True)],
        "variables": [{"name": "login", "choices": ["elsewhere.example.com", host], "default": "elsewhere.example.com", "in_host": True}],
        "sites": {"eu": {"login": host}},
    }
    world.entries = [Provider.model_validate(facts), *world.provider.catalogue_entries()[1:]]
    world.door = world.open()
    return host


# A site that the callback names


@pytest.mark.requirement("Q03")
async def test_the_code_goes_to_the_site_that_the_callback_names_and_so_does_every_refresh(world):
    host = with_sites(world)
    begun = await world.begin()
    held = (await world.come_back(begun, (*world.approve(begun), ("location", "eu")))).integration
    assert held.variables["login"] == host
    assert (await world.door.refresh(ACME, held.id)).expires_at is not None
    assert {urlsplit(request.url).netloc for request in world.sent} == {host}
    again = await world.door.begin_reconnect(ACME, held.id, actor=ALICE)
    assert (await world.come_back(again, (*world.approve(again), ("location", "eu")))).integration.id == held.id


@pytest.mark.requirement("Q03", "Q06")
async def test_at_a_site_the_application_is_still_the_tenants(world):
    host = with_sites(world)
    own = world.provider.application()
    operators = OAuthApplication(provider="simulated", client_id="fake-client-of-the-operator", client_secret="fake-secret-of-another")
    door = world.open(applications=[operators])
    await door.applications.save(ACME, "simulated", client_id=own.client_id, client_secret=own.client_secret, actor=ALICE)
    begun = await world.begin(door=door)
    held = (await world.come_back(begun, (*world.approve(begun), ("location", "eu")), door=door)).integration
    assert (await door.refresh(ACME, held.id)).expires_at is not None
    assert {urlsplit(request.url).netloc for request in world.sent} == {host}


@pytest.mark.requirement("OAU-049")
async def test_an_authorization_keeps_its_method_whatever_the_application_is_for_now(world):
    first = world.entries[0]
    second = first.methods[0].model_copy(update={"id": "second"})
    world.entries[0] = first.model_copy(update={"methods": (*first.methods, second)})
    begun = await world.begin(door=world.open())
    application = world.provider.application()
    others = OAuthApplication(
        provider="simulated", client_id=application.client_id, client_secret=application.client_secret, method_id="second"
    )
    door = world.open(applications=[others])
    assert (await world.come_back(begun, door=door)).integration.method_id == "code"
    begun = await world.begin(GLOBEX, door=door)
    assert (await world.come_back(begun, door=world.open())).integration.method_id == "second"


@pytest.mark.requirement("OAU-049", "OAU-076", "Q03")
@pytest.mark.parametrize("site", ["us", "", "EU", "evil.example", "https://evil.example"])
async def test_a_site_that_is_not_in_the_providers_data_gets_no_code(world, site):
    with_sites(world)
    begun = await world.begin()
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, (*world.approve(begun), ("location", site)))
    assert caught.value.reason == "site_unknown"
    assert world.sent == []
    assert world.last_event().reason == "site_unknown"
    with pytest.raises(GrantRefusedError):
        await world.come_back(begun, (*world.approve(begun), ("location", "eu")))


@pytest.mark.requirement("Q03")
async def test_a_host_that_was_chosen_at_the_beginning_is_not_changed_by_the_callback(world):
    host = with_sites(world)
    method = world.entries[0].methods[0].model_copy(update={"callback": Callback()})
    world.entries[0] = world.entries[0].model_copy(update={"methods": (method,)})
    world.door = world.open()
    begun = await world.begin(variables={"login": host})
    params = (*world.approve(begun), ("location", "us"), ("login", "elsewhere.example.com"))
    assert (await world.come_back(begun, params)).integration.variables["login"] == host
    assert {urlsplit(request.url).netloc for request in world.sent} == {host}
