"""A provider lets only so many grants of one account live: who connects it again is told how many the tenant holds, and of no other."""

from __future__ import annotations

import pytest

from cloud_integrations import AccountGrants
from cloud_integrations.domain.provider import RefreshTokenFacts

from .conftest import ACME, ALICE, GLOBEX

pytestmark = pytest.mark.requirement("Q41")


@pytest.fixture(autouse=True)
def limited(world):
    _limit(world, max_live=2)


def _limit(world, **facts):
    entry = world.entries[0]
    methods = tuple(each.model_copy(update={"refresh_token": RefreshTokenFacts(rotates="always", **facts)}) for each in entry.methods)
    world.entries[0] = entry.model_copy(update={"methods": methods})
    world.door = world.open(settings=world.settings(slots=True))


async def _connected(world, tenant=ACME, **named):
    return await world.come_back(await world.begin(tenant, **named))


def _told(world, *names):
    return [(fact.facts.get("held"), fact.facts.get("most")) for fact in world.facts.told if fact.name in names]


async def test_the_same_account_in_a_further_slot_is_told_with_the_number_and_the_limit(world):
    assert (await _connected(world)).grants is None
    assert (await _connected(world, slot="second")).grants == AccountGrants(held=2, most=2)
    assert (await _connected(world, slot="third")).grants == AccountGrants(held=3, most=2)
    assert _told(world, "integration.connected") == [(None, None), ("2", "2"), ("3", "2")]
    recorded = [record.event.details for record in await world.door.audit.list(ACME) if record.event.action == "integration.connected"]
    assert [(details.get("held"), details.get("most")) for details in recorded] == [("3", "2"), ("2", "2"), (None, None)]


async def test_a_reconnect_counts_what_it_replaces_once(world):
    first = await _connected(world)
    assert (await world.reconnect(first.integration)).grants is None
    await _connected(world, slot="second")
    assert (await world.reconnect(first.integration)).grants == AccountGrants(held=2, most=2)


async def test_what_other_tenants_hold_is_never_told(world):
    await _connected(world, GLOBEX)
    await _connected(world, GLOBEX, slot="second")
    assert (await _connected(world)).grants is None
    assert _told(world, "integration.connected")[-1] == (None, None)


async def test_what_has_ended_is_not_counted_and_what_is_switched_off_is(world):
    first, second = await _connected(world), await _connected(world, slot="second")
    await world.door.edit_integration(ACME, second.integration.id, status="inactive", actor=ALICE)
    assert (await _connected(world, slot="third")).grants.held == 3
    await world.door.delete(ACME, first.integration.id, actor=ALICE)
    assert (await _connected(world, slot="fourth")).grants.held == 3


async def test_where_grants_with_the_same_scopes_count_together_others_do_not(world):
    _limit(world, max_live=10, max_live_of="scopes")
    await _connected(world, scopes=("read",))
    assert (await _connected(world, slot="second", scopes=("read", "write"))).grants is None
    assert (await _connected(world, slot="third", scopes=("write", "read"))).grants == AccountGrants(held=2, most=10)


async def test_without_a_limit_or_an_account_nothing_is_told(world):
    _limit(world)
    await _connected(world)
    assert (await _connected(world, slot="second")).grants is None
    _limit(world, max_live=2)
    world.entries[0] = world.entries[0].model_copy(update={"verifications": ()})
    world.door = world.open(settings=world.settings(slots=True))
    assert (await _connected(world, slot="third")).grants is None


async def test_another_application_counts_for_itself(world):
    await _connected(world)
    secret = world.provider.application().client_secret
    await world.door.applications.save(
        ACME, world.provider.slug, client_id=world.provider.application().client_id, client_secret=secret, actor=ALICE
    )
    assert (await _connected(world, slot="second")).grants is None
    assert (await _connected(world, slot="third")).grants == AccountGrants(held=2, most=2)
