"""Tenants' own applications under attack: other endpoints, two at once, storage and keys that fail at the wrong instant."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from cloud_integrations import OAuthApplication, RevocationOutcome
from cloud_integrations.domain.provider import Variable
from cloud_integrations.errors import (
    ApplicationInUseError,
    AppMisconfiguredError,
    KeyServiceUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.sealing import Sealer
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX, OWN_REDIRECT_URI
from .grants import at_answer, declaring, honoured

OPERATORS = "fake-client-of-the-operator"
OTHER_SECRET = "fake-secret-of-another-application"


@pytest.fixture
def own(world):
    """The client id and secret that the provider knows; here the tenant registered them."""
    application = world.provider.application()
    world.secrets.append(application.client_secret.reveal())
    return {"client_id": application.client_id, "client_secret": application.client_secret}


def operators(**changes):
    return [OAuthApplication(provider="simulated", client_id=OPERATORS, client_secret=OTHER_SECRET, **changes)]


def in_regions(world, *, applications):
    """Open an installation where the provider has one authorization server for each region."""
    region = Variable(name="region", pattern="[a-z.]+", default="eu")
    first = world.entries[0]
    url = world.provider.base_url

    def moved(method):
        changes = {"authorize_url": f"{url}/authorize?region={{region}}", "token_url": f"{url}/token?region={{region}}"}
        return method.model_copy(update=changes) if method.kind == "code" else method

    spread = first.model_copy(update={"variables": (region,), "methods": tuple(map(moved, first.methods))})
    return world.open(providers=[spread, *world.entries[1:]], applications=applications)


def query_of(authorization):
    query = parse_qs(urlsplit(authorization.url).query)
    return query["client_id"], query["region"]


@pytest.mark.requirement("OAU-049", "B08")
async def test_a_secret_goes_to_no_endpoint_that_it_was_not_registered_for(world, own):
    door = in_regions(world, applications=[])
    saved = await door.applications.save(ACME, "simulated", **own)
    with pytest.raises(ValidationFailedError) as caught:
        await door.begin_oauth(ACME, "simulated", name="Files", variables={"region": "evil.example"}, actor=ALICE)
    assert caught.value.field == "variables"
    begun = await door.begin_oauth(ACME, "simulated", name="Files", variables={"region": "eu"}, actor=ALICE)
    assert begun.context_id == saved.id


@pytest.mark.requirement("OAU-049")
async def test_other_endpoints_are_for_the_operators_application(world, own):
    door = in_regions(world, applications=operators())
    await door.applications.save(ACME, "simulated", **own)
    elsewhere = await door.begin_oauth(ACME, "simulated", name="Files", variables={"region": "us"}, actor=ALICE)
    assert query_of(elsewhere) == ([OPERATORS], ["us"])


async def test_a_tenant_has_an_application_for_each_of_several_servers(world, own):
    door = in_regions(world, applications=[])
    for region in ("eu", "us", "cn"):
        world.pass_(seconds=1)
        await door.applications.save(ACME, "simulated", **own, variables={"region": region})
    for region in ("us", "eu"):
        begun = await door.begin_oauth(ACME, "simulated", name="Files", variables={"region": region}, actor=ALICE)
        assert query_of(begun) == ([own["client_id"]], [region])
    newest = await door.begin_oauth(ACME, "simulated", name="Files", actor=ALICE)
    assert query_of(newest) == ([own["client_id"]], ["cn"]), "where nothing is asked for, the newest application counts"


async def test_wrong_variables_are_named_where_only_a_tenant_has_an_application(world, own):
    door = in_regions(world, applications=[])
    await door.applications.save(ACME, "simulated", **own)
    with pytest.raises(ValidationFailedError) as caught:
        await door.begin_oauth(ACME, "simulated", name="Files", variables={"region": "UPPER"}, actor=ALICE)
    assert caught.value.field == "variables.region"


async def test_endpoints_that_the_operator_moves_get_no_secret_of_a_tenant(world, own):
    saved = await in_regions(world, applications=operators()).applications.save(ACME, "simulated", **own)
    moved = in_regions(world, applications=operators(variables={"region": "us"}))
    begun = await moved.begin_oauth(ACME, "simulated", name="Files", actor=ALICE)
    assert query_of(begun) == ([OPERATORS], ["us"])
    assert begun.context_id != saved.id


async def test_it_is_registered_where_only_a_front_end_receives_codes(world, own):
    door = world.open(applications=operators(redirect_uris=[OWN_REDIRECT_URI]), settings=world.settings(callback_url=None))
    saved = await door.applications.save(ACME, "simulated", **own)
    assert saved.redirect_uri == OWN_REDIRECT_URI


@pytest.mark.requirement("ENC-15")
async def test_a_key_service_that_is_away_is_no_wrong_application(world, own, monkeypatch):
    """The application may be sealed under an older key than the tokens: what cannot be read now is asked for again later."""
    door = world.open(applications=[])
    await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    world.clock.advance(world.provider.access_lifetime)

    async def refuse(*args, **named):
        raise KeyServiceUnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(Sealer, "open", refuse)
        with pytest.raises(KeyServiceUnavailableError):
            await door.credential(ACME, "simulated")
        with pytest.raises(KeyServiceUnavailableError):
            await door.delete(ACME, held.id)
    assert world.row(held).facts.reason is None
    assert (await door.delete(ACME, held.id)).refresh_token is RevocationOutcome.REVOKED


async def test_a_grant_is_stored_though_the_key_service_fails_after_the_code_was_spent(world, own, monkeypatch):
    door = world.open(applications=[])
    await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)

    async def refuse(*args, **named):
        raise KeyServiceUnavailableError

    world.on_answer = lambda request, response: monkeypatch.setattr(Sealer, "open", refuse)
    connected = await world.come_back(begun, params, door=door)
    assert world.row(connected.integration).credential.generation == 2


async def test_an_application_that_does_not_open_stops_no_other(world, own):
    door = world.open(applications=[])
    spoilt = await door.applications.save(ACME, "simulated", client_id="fake-client-2", client_secret=OTHER_SECRET)
    world.pass_(seconds=1)
    await door.applications.save(ACME, "simulated", **own)
    await world.connect(door=door)
    tables = world.tables.applications
    tables[ACME, spoilt.id] = replace(tables[ACME, spoilt.id], sealed_secrets=b"fake")
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 2


async def test_an_application_stays_while_a_revocation_waits_for_it(world, own):
    door = world.open(applications=[])
    saved = await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    await door.delete(ACME, held.id)
    with pytest.raises(ApplicationInUseError):
        await door.applications.remove(ACME, saved.id)
    world.provider.behave()
    world.pass_(hours=1)
    assert (await door.worker.retry_revocations()).revoked == 2
    await door.applications.remove(ACME, saved.id)


async def test_an_integration_keeps_its_method_though_the_application_is_saved_for_another(world, own):
    first = world.entries[0]
    (code,) = (method for method in first.methods if method.kind == "code")
    other = code.model_copy(update={"id": "other", "access_token": code.access_token, "revoke": None})
    door = world.open(providers=[first.model_copy(update={"methods": (*first.methods, other)}), *world.entries[1:]], applications=[])
    saved = await door.applications.save(ACME, "simulated", **own, method="code")
    held = await world.connect(door=door)
    assert (await door.applications.save(ACME, "simulated", **own, method="other")).id == saved.id
    assert (await door.delete(ACME, held.id)).refresh_token is RevocationOutcome.REVOKED


@pytest.mark.parametrize(("owner", "unknown"), [(ACME, False), (ACME, True), (GLOBEX, False)])
async def test_one_application_that_is_registered_twice_here_is_one_at_the_provider(world, own, owner, unknown):
    """Its grant for an account is one grant there: to revoke it for one integration would end the other."""
    declaring(world, "grant")
    if unknown:
        world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="me")
    world.door = world.open(settings=world.settings(slots=True))
    first = await world.connect()
    await world.door.applications.save(owner, "simulated", **own)
    second = await world.connect(owner, slot="second")
    assert first.context_id != second.context_id
    await world.door.delete(ACME, first.id)
    assert world.provider.count("revoke") == 0
    world.clock.advance(world.provider.access_lifetime)
    assert (await world.door.credential(owner, second.id)).generation == 2


async def test_a_grant_of_another_application_is_given_back_when_it_is_replaced(world):
    declaring(world, "grant")
    held = await world.connect()
    world.provider._client_id = "fake-client-2"
    own = world.provider.application()
    await world.door.applications.save(ACME, "simulated", client_id=own.client_id, client_secret=own.client_secret)
    await world.reconnect(held)
    assert world.provider.count("revoke") == 1, "the end of another application's grant ends no token of this one"


async def test_a_reconnect_with_the_same_application_under_another_name_ends_nothing(world, own):
    declaring(world, "grant")
    held = await world.connect()
    await world.door.applications.save(ACME, "simulated", **own)
    await world.reconnect(held)
    assert world.provider.count("revoke") == 0
    assert await honoured(world)


async def test_a_grant_whose_application_was_removed_meanwhile_lives_again_with_the_application(world, own):
    door = world.open(applications=[])
    saved = await door.applications.save(ACME, "simulated", **own)
    begun = await world.begin(door=door)
    at_answer(world, "/token", lambda: door.applications.remove(ACME, saved.id))
    held = (await world.come_back(begun, door=door)).integration
    world.clock.advance(world.provider.access_lifetime)
    with pytest.raises(AppMisconfiguredError):
        await door.credential(ACME, "simulated")
    again = await door.applications.save(ACME, "simulated", **own)
    assert again.id == held.context_id
    world.pass_(hours=1)
    assert (await door.credential(ACME, "simulated")).generation == 2


async def test_a_shorter_list_of_secrets_is_used_though_the_last_one_of_the_longer_list_worked(world, own):
    door = world.open(applications=[])
    named = {"client_id": own["client_id"]}
    await door.applications.save(ACME, "simulated", **named, client_secret=["fake-secret-1", "fake-secret-2", own["client_secret"]])
    await world.connect(door=door)
    await door.applications.save(ACME, "simulated", **named, client_secret=["fake-secret-4", own["client_secret"]])
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 2
