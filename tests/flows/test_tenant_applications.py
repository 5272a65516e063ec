"""A tenant's own OAuth application: sealed, bound to its endpoints, used before the operator's."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from cloud_integrations import OAuthApplication, RevocationOutcome
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    ApplicationInUseError,
    ApplicationNotFoundError,
    AppMisconfiguredError,
    DecryptError,
    GrantRefusedError,
    ProviderInactiveError,
    ProviderNotFoundError,
    StaleWriteError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import SaveApplication
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, CALLBACK_URL, GLOBEX, OWN_REDIRECT_URI

OPERATORS = "fake-client-of-the-operator"
OTHER_SECRET = "fake-secret-of-another-application"


@pytest.fixture
def own(world):
    """The client id and secret that the provider knows; here the tenant registered them."""
    application = world.provider.application()
    world.secrets.append(application.client_secret.reveal())
    return {"client_id": application.client_id, "client_secret": application.client_secret}


@pytest.fixture
def door(world):
    """An installation with an application of the operator's that the provider does not know."""
    return world.open(applications=[OAuthApplication(provider="simulated", client_id=OPERATORS, client_secret=OTHER_SECRET)])


def client_id_of(authorization):
    return parse_qs(urlsplit(authorization.url).query)["client_id"]


@pytest.mark.requirement("Q06")
async def test_new_authorizations_use_the_tenants_own_application(world, door, own):
    saved = await door.applications.save(ACME, "simulated", **own, actor=ALICE)
    assert await door.applications.list(ACME) == (saved,)
    assert (saved.tenant_id, saved.client_id, saved.secrets, saved.method_id) == (ACME, own["client_id"], 1, "code")
    begun = await world.begin(door=door)
    assert client_id_of(begun) == [own["client_id"]]
    assert begun.redirect_uri == saved.redirect_uri == f"{CALLBACK_URL}/{saved.id}"
    held = (await world.come_back(begun, door=door)).integration
    assert world.row(held).facts.context_id == saved.id
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 2
    removal = await door.delete(ACME, held.id)
    assert removal.refresh_token is RevocationOutcome.REVOKED


@pytest.mark.requirement("ISO-01")
async def test_another_tenant_goes_on_with_the_operators(world, door, own):
    await door.applications.save(GLOBEX, "simulated", **own)
    assert client_id_of(await world.begin(ACME, door=door)) == [OPERATORS]
    assert await door.applications.list(ACME) == ()


@pytest.mark.requirement("Q06")
async def test_it_works_where_the_operator_has_no_application(world, own):
    door = world.open(applications=[])
    with pytest.raises(ProviderInactiveError):
        await world.begin(door=door)
    saved = await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 2
    with pytest.raises(ApplicationInUseError):
        await door.applications.remove(ACME, saved.id)
    assert (await door.delete(ACME, held.id)).refresh_token is RevocationOutcome.REVOKED
    await door.applications.remove(ACME, saved.id)
    with pytest.raises(ProviderInactiveError):
        await world.begin(door=door)


@pytest.mark.requirement("OAU-049")
async def test_a_grant_stays_with_the_application_it_was_issued_to(world, own):
    # The operator's application is the one that the provider knows; the tenant then registers another.
    held = await world.connect()
    await world.door.applications.save(ACME, "simulated", client_id="fake-client-of-acme", client_secret=OTHER_SECRET)
    world.clock.advance(world.provider.access_lifetime)
    assert (await world.door.credential(ACME, "simulated")).generation == 2
    assert client_id_of(await world.door.begin_reconnect(ACME, held.id, actor=ALICE)) == ["fake-client-of-acme"]
    assert (await world.door.delete(ACME, held.id)).refresh_token is RevocationOutcome.REVOKED


async def test_a_new_application_leaves_the_older_ones_grants_alone(world, door, own):
    older = await door.applications.save(ACME, "simulated", **own)
    await world.connect(door=door)
    world.pass_(seconds=1)
    newer = await door.applications.save(ACME, "simulated", client_id="fake-client-2", client_secret=OTHER_SECRET)
    assert [application.id for application in await door.applications.list(ACME)] == [newer.id, older.id]
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 2
    with pytest.raises(ApplicationInUseError):
        await door.applications.remove(ACME, older.id)
    await door.applications.remove(ACME, newer.id)


async def test_a_secret_is_replaced_in_place_and_rotated_as_a_list(world, door, own):
    first = await door.applications.save(ACME, "simulated", client_id=own["client_id"], client_secret=OTHER_SECRET)
    with pytest.raises(AppMisconfiguredError):
        await world.connect(door=door)
    world.pass_(minutes=10)
    changed = await door.applications.save(
        ACME, "simulated", client_id=own["client_id"], client_secret=[OTHER_SECRET, own["client_secret"]]
    )
    assert (changed.id, changed.created_at, changed.secrets) == (first.id, first.created_at, 2)
    assert changed.updated_at > first.updated_at
    await world.connect(door=door)
    recorded = [event for event in world.events() if event.action.startswith("application.")]
    assert [(event.action, event.resource) for event in recorded] == [
        ("application.added", f"application:{first.id}"),
        ("application.changed", f"application:{first.id}"),
    ]
    assert {event.details["provider"] for event in recorded} == {"simulated"}


async def test_what_a_provider_says_of_one_tenants_application_stops_no_other(world, door, own):
    """A client id is no secret: a hostile tenant can register another tenant's, with a wrong secret."""
    await door.applications.save(ACME, "simulated", **own)
    await door.applications.save(GLOBEX, "simulated", client_id=own["client_id"], client_secret=OTHER_SECRET)
    await world.connect(door=door)
    for _ in range(10):
        with pytest.raises(AppMisconfiguredError):
            await world.connect(GLOBEX, door=door)
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 2


@pytest.mark.requirement("ENC-01", "OAU-081", "Q06")
async def test_a_secret_is_stored_sealed_and_shown_nowhere(world, door, own):
    saved = await door.applications.save(ACME, "simulated", **own)
    listed = await door.applications.list(ACME)
    assert not world.leaks_in(world.raw_dump())
    assert not world.leaks_in(repr((saved, listed, world.facts.told)).encode())


@pytest.mark.requirement("ENC-02", "ISO-06")
@pytest.mark.parametrize("moved", ["tenant", "context"])
async def test_a_sealed_secret_opens_only_where_it_was_sealed(world, door, own, moved):
    saved = await door.applications.save(ACME, "simulated", **own)
    await door.applications.save(GLOBEX, "simulated", client_id="fake-client-2", client_secret=OTHER_SECRET)
    (other,) = await door.applications.list(GLOBEX)
    tables = world.tables.applications
    stolen = tables[ACME, saved.id]
    if moved == "tenant":
        tables[GLOBEX, other.id] = replace(tables[GLOBEX, other.id], sealed_secrets=stolen.sealed_secrets)
    else:
        elsewhere = replace(stolen, facts=replace(stolen.facts, id=uuid4()))
        tables.clear()
        tables[ACME, elsewhere.facts.id] = elsewhere
    with pytest.raises(DecryptError):
        await world.begin(GLOBEX if moved == "tenant" else ACME, door=door)


async def test_an_authorization_ends_with_the_application_it_began_with(world, door, own):
    saved = await door.applications.save(ACME, "simulated", **own)
    begun = await world.begin(door=door)
    await door.applications.remove(ACME, saved.id)
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, door=door)
    assert caught.value.reason == "application_changed"


async def test_a_refused_application_is_the_tenants_to_mend_and_breaks_nothing(world, door, own):
    await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    world.provider.revoke_client_secret(own["client_secret"])
    world.clock.advance(world.provider.access_lifetime)
    with pytest.raises(AppMisconfiguredError) as caught:
        await door.credential(ACME, "simulated")
    assert "the tenant whose own application it is" in caught.value.advice
    world.provider._client_secrets.append(own["client_secret"])
    world.pass_(minutes=30)
    assert (await door.credential(ACME, "simulated")).generation == 2
    assert world.row(held).facts.state.value == "active"


async def test_a_posted_code_uses_it_too(world, own):
    door = world.open(
        applications=[
            OAuthApplication(provider="simulated", client_id=OPERATORS, client_secret=OTHER_SECRET, redirect_uris=[OWN_REDIRECT_URI])
        ]
    )
    saved = await door.applications.save(ACME, "simulated", **own)
    assert saved.redirect_uri == OWN_REDIRECT_URI
    code = world.unbound_code()
    held = await door.add_oauth_code(ACME, "simulated", name="Files", code=code, redirect_uri=OWN_REDIRECT_URI)
    assert world.row(held).facts.context_id == saved.id


async def test_revocations_that_wait_use_it(world, door, own):
    await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    await door.delete(ACME, held.id)
    world.provider.behave()
    world.pass_(hours=1)
    assert (await door.worker.retry_revocations()).revoked == 2


async def test_a_grant_is_stored_though_the_old_one_cannot_be_given_back(world, door, own):
    """The applications cannot be read after the code was spent: the new grant is kept all the same."""
    await door.applications.save(ACME, "simulated", **own)
    held = await world.connect(door=door)
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)

    def fail_from_now_on(request, response):
        world.store.fail(1, "list_applications", error=StorageUnavailableError, times=100)

    world.on_answer = fail_from_now_on
    connected = await world.come_back(begun, params, door=door)
    world.on_answer = None
    world.store.heal()
    assert world.row(connected.integration).credential.generation == 2


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"client_id": ""}, "clientId"),
        ({"client_id": 1}, "clientId"),
        ({"client_secret": ""}, "clientSecret"),
        ({"client_secret": ["fake-a"] * 6}, "clientSecret"),
        ({"client_secret": "-----BEGIN PRIVATE KEY-----\nfake\n-----END PRIVATE KEY-----"}, "clientSecret"),
        ({"client_id": "fake-a", "client_secret": ["fake-b", "fake-a"]}, "clientId"),
        ({"client_id": "-----BEGIN PRIVATE KEY-----fake-a-----END PRIVATE KEY-----"}, "clientId"),
        ({"client_secret": None}, "application"),
        ({"client_auth": "none"}, "application"),
        ({"client_auth": "fake"}, "clientAuth"),
        ({"scopes": ["a b"]}, "scopes"),
        ({"issuer": 1}, "issuer"),
        ({"method": "other"}, "method"),
        ({"variables": {"other": "x"}}, "variables"),
    ],
)
async def test_a_wrong_argument_is_named_and_nothing_is_stored(door, own, wrong, field):
    with pytest.raises(ValidationFailedError) as caught:
        await door.applications.save(ACME, "simulated", **{**own, **wrong})
    assert caught.value.field == field
    assert "fake-a" not in str(caught.value)
    assert await door.applications.list(ACME) == ()


async def test_what_has_no_application_is_refused(door, own):
    with pytest.raises(ProviderNotFoundError):
        await door.applications.save(ACME, "unknown", **own)
    with pytest.raises(ValidationFailedError) as caught:
        await door.applications.save(ACME, "simulated_keys", **own)
    assert caught.value.field == "provider"
    for unknown in (uuid4(), str(uuid4())):
        with pytest.raises(ApplicationNotFoundError):
            await door.applications.remove(ACME, unknown)
    with pytest.raises(ValidationFailedError):
        await door.applications.remove(ACME, "no id")


@pytest.mark.requirement("ISO-01")
async def test_a_tenant_cannot_remove_anothers(door, own):
    saved = await door.applications.save(GLOBEX, "simulated", **own)
    with pytest.raises(ApplicationNotFoundError):
        await door.applications.remove(ACME, saved.id)
    assert len(await door.applications.list(GLOBEX)) == 1


async def test_two_changes_at_once_are_both_made(world, door, own):
    answers = await door.together(5, "applications.save", ACME, "simulated", **own)
    assert {type(answer).__name__ for answer in answers} == {"TenantApplication"}
    ((_, stored),) = world.tables.applications.items()
    assert stored.generation == 5


async def test_an_old_copy_of_an_application_does_not_come_back(world, door, own):
    await door.applications.save(ACME, "simulated", **own)
    (stored,) = world.tables.applications.values()
    await door.applications.save(ACME, "simulated", **own)
    with pytest.raises(StaleWriteError):
        world.rows.apply(SaveApplication(application=stored))
    # Put back by somebody who can write the database, under the newer generation, it does not open.
    ((key, now),) = world.tables.applications.items()
    world.tables.applications[key] = replace(now, sealed_secrets=stored.sealed_secrets)
    with pytest.raises(DecryptError):
        await world.begin(door=door)


async def test_secrets_are_sealed_again_and_still_open(world, door, own):
    await door.applications.save(ACME, "simulated", **own)
    world.pass_(seconds=1)
    await door.keys.rotate(tenant_id=ACME)
    assert (await door.keys.reseal()).changed == 1
    await world.connect(door=door)


async def test_an_erased_tenant_has_no_application(world, door, own):
    await door.applications.save(ACME, "simulated", **own)
    await door.erase_tenant(ACME)
    assert world.tables.applications == {}


async def test_a_public_client_has_no_secret(world, own):
    public = world.entries[0].model_copy(update={"methods": tuple(replace_method(method) for method in world.entries[0].methods)})
    door = world.open(providers=[public, *world.entries[1:]])
    saved = await door.applications.save(ACME, "simulated", client_id=own["client_id"])
    assert saved.secrets == 0
    assert client_id_of(await world.begin(door=door)) == [own["client_id"]]


def replace_method(method):
    return method.model_copy(update={"client_auth": (*method.client_auth, "none")})


async def test_a_secret_may_be_text_or_a_secret(door, own):
    text = own["client_secret"].reveal()
    for secret in (text, Secret(text)):
        assert (await door.applications.save(ACME, "simulated", client_id=own["client_id"], client_secret=secret)).secrets == 1
