"""A tenant consents anew: id and name stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, migrate, sqlite_engine
from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.importing import ImportedGrant
from cloud_integrations.domain.integration import Health, State
from cloud_integrations.errors import (
    CommitUnknownError,
    GrantRefusedError,
    ReconnectRequiredError,
    StaleWriteError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import AddIntegration, EraseIntegration, ReplaceCredential, SaveFacts
from cloud_integrations.testing import Misbehaviour, token_id
from cloud_integrations.testing.contracts.store import a_credential, add_sealing_keys, an_integration

from .conftest import ACME, ALICE


def alive(world):
    tokens = dict.fromkeys(text for text in world.secrets if text.startswith(("fake-access", "fake-refresh")))
    return [token for token in tokens if world.provider.is_alive(token)]


async def test_id_name_and_age_stay_and_the_credential_is_new(world, door):
    held = await world.connect()
    before = await door.credential(ACME, "simulated")
    world.pass_(minutes=1)
    connected = await world.reconnect(held)
    after = await door.credential(ACME, "simulated")
    again = connected.integration
    assert (again.id, again.name, again.created_at) == (held.id, held.name, held.created_at)
    assert again.updated_at == world.clock.now()
    assert after.value != before.value
    assert after.generation == before.generation + 1
    assert world.last_event().action == "credential.used"
    assert "integration.reconnected" in world.facts.names


async def test_a_rename_on_the_way_is_kept(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    await door.edit_integration(ACME, held.id, name="New name")
    assert (await world.come_back(begun)).integration.name == "New name"


@pytest.mark.parametrize("what", [Misbehaviour.INVALID_GRANT, Misbehaviour.ANSWER_LOST, Misbehaviour.UNAVAILABLE])
async def test_what_is_held_stays_when_the_new_grant_does_not_come(world, door, what):
    held = await world.connect()
    before = await door.credential(ACME, "simulated")
    world.provider.misbehave(what, endpoint="exchange")
    with pytest.raises(Exception, match=r"refused|right now"):
        await world.reconnect(held)
    assert (await door.credential(ACME, "simulated")).value == before.value
    assert world.provider.is_alive(before.value)
    assert await door.get_integration(ACME, held.id) == held


async def test_what_is_held_stays_when_the_new_grant_cannot_be_stored(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    world.store.heal()
    assert world.row(held).credential.generation == 1
    assert len(alive(world)) == 2


async def test_reconnecting_heals_what_needed_it(world, door):
    held = await world.connect()
    world.provider.revoke_grant()
    world.pass_(hours=2)
    with pytest.raises(ReconnectRequiredError):
        await door.credential(ACME, "simulated")
    assert (await door.get_integration(ACME, held.id)).health is Health.RECONNECT_REQUIRED
    await world.reconnect(held)
    assert (await door.get_integration(ACME, held.id)).health is Health.OK
    token = await door.credential(ACME, "simulated")
    assert world.provider.is_alive(token.value)
    report = await door.audit.verify(ACME)
    assert report.whole


@pytest.mark.requirement("OAU-030", "Q63")
async def test_another_account_is_noticed_and_said(world, door):
    held = await world.connect()
    world.provider.account = "acct-2"
    connected = await world.reconnect(held)
    assert connected.account_changed is True
    assert connected.integration.account.account_id == "acct-2"
    [event] = [event for event in world.events() if event.action == "integration.reconnected"]
    assert event.details["account_changed"] == "true"
    assert "integration.account_changed" in world.facts.names


@pytest.mark.requirement("OAU-030")
async def test_the_same_account_is_no_news(world):
    held = await world.connect()
    connected = await world.reconnect(held)
    assert connected.account_changed is False
    assert "integration.account_changed" not in world.facts.names


@pytest.mark.requirement("OAU-030", "Q63")
async def test_with_pinned_accounts_another_account_is_refused_and_its_grant_given_back(world):
    door = world.open(settings=world.settings(pin_accounts=True))
    held = await world.connect(door=door)
    before = await door.credential(ACME, "simulated")
    world.provider.account = "acct-2"
    with pytest.raises(GrantRefusedError) as caught:
        await world.reconnect(held, door=door)
    assert caught.value.reason == "other_account"
    assert (await door.credential(ACME, "simulated")).value == before.value
    assert len(alive(world)) == 2
    assert [event.reason for event in world.events() if event.outcome is Outcome.FAILURE] == ["other_account"]


@pytest.mark.requirement("OAU-029")
async def test_a_late_older_reconnect_is_refused(world, door):
    held = await world.connect()
    older = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    newer = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(older)
    await world.come_back(newer)
    kept = await door.credential(ACME, "simulated")
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(older, params)
    assert caught.value.reason == "state_not_valid"
    assert (await door.credential(ACME, "simulated")).value == kept.value


async def test_a_credential_that_moved_meanwhile_is_replaced_by_the_new_consent(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    world.store.fail(1, error=StaleWriteError)
    await world.come_back(begun, params)
    assert world.row(held).credential.generation == 2


async def test_a_credential_that_never_stops_moving_is_left_and_the_grant_given_back(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    world.store.fail(1, times=5, error=StaleWriteError)
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, params)
    assert caught.value.reason == "changed_meanwhile"
    assert len(alive(world)) == 2


@pytest.mark.parametrize("close", ["remove", "switch_off"])
async def test_an_integration_closed_during_the_exchange_stays_closed_and_the_grant_is_given_back(world, door, close):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    rows = world.rows

    def close_it(request, _):
        row = rows.find_integration(ACME, held.id)
        if request.url.endswith("/token") and close == "remove":
            rows.apply(EraseIntegration(tenant_id=ACME, integration_id=held.id, expected_generation=row.credential.generation))
        elif request.url.endswith("/token"):
            rows.apply(SaveFacts(facts=replace(row.facts, state=State.DISABLED), expected_state=State.ACTIVE))

    world.on_answer = close_it
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, params)
    assert caught.value.reason == "integration_closed"
    new = [text for text in world.secrets if text.startswith(("fake-access", "fake-refresh"))][-2:]
    assert not any(world.provider.is_alive(token) for token in new)
    row = rows.find_integration(ACME, held.id)
    assert row is None or row.facts.health is Health.DISABLED


async def test_a_reconnect_whose_commit_was_lost_ends_well(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    world.store.fail(1, afterwards=True, error=CommitUnknownError)
    await world.come_back(begun, params)
    token = await door.credential(ACME, "simulated")
    assert token_id(token.value) == world.tokens_of(held)[0]
    assert world.provider.is_alive(token.value)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_no_store_replaces_the_credential_of_what_was_switched_off(kind, request):
    store = MemoryStore() if kind == "memory" else SqlAlchemyStore(request.getfixturevalue("sqlite"))
    facts = an_integration()
    add_sealing_keys(store, facts.tenant_id)
    store.apply(AddIntegration(facts=facts, credential=a_credential(1)))
    off = replace(facts, state=State.DISABLED, reason="switched_off")
    store.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
    with pytest.raises(StaleWriteError):
        store.apply(ReplaceCredential(facts=facts, credential=a_credential(2), expected_generation=1))
    held = store.find_integration(facts.tenant_id, facts.id)
    assert (held.facts, held.credential.generation) == (off, 1)


@pytest.fixture
def sqlite(tmp_path):
    engine = sqlite_engine(tmp_path / "store.db")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.mark.requirement("Q26", "Q45")
async def test_a_token_from_before_tokens_ended_is_used_as_it_is_and_a_reconnect_brings_one_that_is_renewed(world, door):
    # Slack, for example, would exchange it for one that ends; this library spends no token that works.
    old = world.provider.issue_grant()
    legacy = ImportedGrant(provider="simulated", name="Files of Acme", access_token=old.access, refresh_token=None, expires_at=None)
    held = await door.import_credential(ACME, legacy, actor=ALICE)
    world.pass_(days=400)
    assert (await door.worker.refresh_due()).claimed == 0
    assert (await door.credential(ACME, "simulated")).value == old.access
    assert world.provider.count("token") == 0
    again = (await world.reconnect(held)).integration
    assert (again.id, again.name) == (held.id, held.name)
    world.pass_(hours=2)
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)
    assert world.provider.refresh_count == 1
