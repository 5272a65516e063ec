"""Keys that end if nobody uses them: the worker checks them before that, by the provider's data, and an outage ends none."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from cloud_integrations import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.provider import RefreshTokenFacts
from cloud_integrations.errors import InvalidCredentialsError
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE

pytestmark = pytest.mark.requirement("Q54")
IDLE = timedelta(days=30)


def _idle(entry, idle=IDLE):
    return entry.model_copy(update={"methods": tuple(each.model_copy(update={"idle": idle}) for each in entry.methods)})


@pytest.fixture(autouse=True)
def keys(world):
    """A provider whose keys end after thirty days without use."""
    world.entries[1] = _idle(world.entries[1])
    world.door = world.open()
    return world.entries[1]


def _row(world, integration):
    return world.rows.find_integration(integration.tenant_id, integration.id)


def _checks(world):
    return world.provider.count("me")


async def _round(world):
    return await world.door.worker.refresh_due()


async def test_a_key_that_nobody_uses_is_checked_before_it_ends_again_and_again(world):
    added = await world.add_key()
    checked = [world.clock.now()]
    for _ in range(120):
        before = _checks(world)
        run = await _round(world)
        if _checks(world) > before:
            assert (run.claimed, run.renewed) == (1, 1)
            checked.append(world.clock.now())
        world.pass_(days=1)
    pauses = [after - before for before, after in pairwise(checked)]
    assert len(pauses) >= 4
    assert all(IDLE * 0.7 - timedelta(days=1) <= pause <= IDLE * 0.8 + timedelta(days=1) for pause in pauses)
    assert _row(world, added).facts.state is State.ACTIVE
    assert (await world.door.audit.list(ACME))[0].event.action == "integration.verified"


async def test_a_key_that_was_refused_needs_a_reconnect_as_after_any_check(world):
    added = await world.add_key()
    world.pass_(days=25)
    world.provider.revoke_api_key(world.provider.valid_api_key)
    run = await _round(world)
    assert (run.claimed, run.reconnect_required) == (1, 1)
    row = _row(world, added)
    assert (row.facts.state, row.facts.reason, row.marks.due_at) == (State.NEEDS_REAUTH, "refused", None)
    assert "credential.reconnect_required" in world.facts.names
    world.pass_(days=25)
    assert (await _round(world)).claimed == 0


@pytest.mark.parametrize("trouble", [Misbehaviour.CONNECTION_REFUSED, Misbehaviour.UNAVAILABLE, Misbehaviour.RATE_LIMITED])
async def test_an_outage_ends_no_key_and_the_check_is_repeated_before_its_end(world, trouble):
    added = await world.add_key()
    world.pass_(days=24)
    before = _row(world, added).facts
    world.provider.misbehave(trouble, times=None, endpoint="me")
    tries = 0
    while world.clock.now() < added.created_at + IDLE:
        run = await _round(world)
        assert run.claimed == run.postponed
        tries += run.claimed
        world.pass_(hours=1)
    assert tries >= 15
    assert _row(world, added).facts == before


@pytest.mark.parametrize("gone", ["data", "method"])
async def test_what_the_catalogue_does_not_say_any_more_is_left_alone(world, gone):
    added = await world.add_key()
    world.pass_(days=25)
    entry = _idle(world.entries[1], idle=None)
    if gone == "method":
        entry = entry.model_copy(update={"methods": tuple(each.model_copy(update={"id": "other"}) for each in entry.methods)})
    world.entries[1] = entry
    world.door = world.open()
    sent = len(world.sent)
    assert (await _round(world)).renewed == 1
    assert len(world.sent) == sent
    assert _row(world, added).marks.due_at == world.clock.now() + timedelta(days=1)


async def test_a_key_without_such_an_end_is_never_due(world):
    world.entries[1] = _idle(world.entries[1], idle=None)
    world.door = world.open()
    added = await world.add_key()
    assert _row(world, added).marks.due_at is None


async def test_what_is_switched_off_is_not_asked_about_and_is_checked_when_it_is_switched_on(world):
    added = await world.add_key()
    await world.door.edit_integration(ACME, added.id, status="inactive", actor=ALICE)
    world.pass_(days=29)
    sent = len(world.sent)
    assert (await _round(world)).claimed == 0
    assert len(world.sent) == sent
    await world.door.edit_integration(ACME, added.id, status="active", actor=ALICE)
    assert (await _round(world)).renewed == 1
    assert len(world.sent) == sent + 1


async def test_a_new_key_in_its_place_starts_the_time_again(world):
    added = await world.add_key()
    world.pass_(days=15)
    await world.door.replace_api_key(ACME, added.id, api_key=world.provider.valid_api_key, actor=ALICE)
    assert _row(world, added).marks.due_at >= world.clock.now() + IDLE * 0.7


async def test_an_imported_key_that_nobody_asked_about_is_checked_at_once(world):
    imported = ImportedKey(provider=world.entries[1].id, name="Fake", api_key=world.provider.valid_api_key)
    facts = await world.door.import_credential(ACME, imported, verify=False, actor=ALICE)
    assert _row(world, facts).marks.due_at == world.clock.now()
    assert (await _round(world)).renewed == 1
    assert _row(world, facts).marks.due_at >= world.clock.now() + IDLE * 0.7


async def test_a_grant_that_is_not_renewed_is_kept_alive_and_one_that_is_renewed_is_not_checked(world):
    oauth = _idle(world.entries[0])
    methods = tuple(each.model_copy(update={"refresh_token": RefreshTokenFacts(issued=False)}) for each in oauth.methods)
    world.entries[0] = oauth.model_copy(update={"methods": methods})
    world.door = world.open()
    renewed = await world.connect()
    row = _row(world, renewed)
    assert row.facts.renewable
    assert row.marks.due_at < row.facts.expires_at
    imported = ImportedGrant(provider=oauth.id, name="Fake", access_token=(await world.door.credential(ACME, oauth.id)).value)
    kept = await world.door.import_credential("globex", imported, actor=ALICE)
    assert (kept.renewable, _row(world, kept).marks.due_at) == (False, world.clock.now())
    assert (await _round(world)).renewed == 1
    assert _row(world, kept).marks.due_at >= world.clock.now() + IDLE * 0.7


async def test_two_workers_check_it_once(world):
    await world.add_key()
    world.pass_(days=25)
    before = _checks(world)
    await world.door.together(4, "worker.refresh_due")
    assert _checks(world) == before + 1


async def test_what_was_replaced_or_removed_while_a_worker_held_it_is_left_alone(world):
    added = await world.add_key()
    world.pass_(days=25)
    claimed = world.rows.claim_due(limit=1, hold=timedelta(minutes=5))
    world.rows.claim_due = lambda **_: claimed
    await world.door.replace_api_key(ACME, added.id, api_key=world.provider.valid_api_key, actor=ALICE)
    sent, row = len(world.sent), _row(world, added)
    await _round(world)
    assert (len(world.sent), _row(world, added).marks) == (sent, row.marks)
    await world.door.delete(ACME, added.id, actor=ALICE)
    assert (await _round(world)).gone == 1


async def test_a_key_that_is_refused_is_not_connected_for_being_kept_alive(world):
    with pytest.raises(InvalidCredentialsError):
        await world.add_key(api_key=world.provider.invalid_api_key)
    assert (await _round(world)).claimed == 0


async def test_a_freeze_that_stops_renewals_stops_the_check_and_a_later_one_comes_in_time(world):
    await world.add_key()
    world.pass_(days=29)
    begun = await world.door.incidents.freeze(tenant_id=ACME, renewals=False, reason="fake reason", actor=ALICE)
    before = _checks(world)
    run = await _round(world)
    assert (run.postponed, _checks(world)) == (1, before)
    await world.door.incidents.unfreeze(begun.id, reason="over", actor=ALICE)
    world.pass_(hours=8)
    assert ((await _round(world)).renewed, _checks(world)) == (1, before + 1)
