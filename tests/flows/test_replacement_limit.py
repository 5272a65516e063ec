"""A server that refuses every credential does not have one made for each request, and a refused credential is replaced all the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.replacement import LONGEST_WAIT, SHORTEST_WAIT
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import IntegrationInactiveError, ProviderUnavailableError, ReconnectRequiredError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.testing import Misbehaviour

from .bank import LIFE, Bank
from .conftest import ACME, ALICE, GLOBEX
from .renewals import A_MOMENT, at, follow, of_refresh, token
from .test_mint import add as add_minted
from .test_narrow import READ, SHOP, Teller
from .test_narrow import add as add_narrow
from .test_odd_answers import ALONE

HOUR = timedelta(hours=1)
MOST_IN_AN_HOUR = 11


async def refused(world, door=None, tenant=ACME, provider="simulated", **named):
    """Be a client whose server refuses everything: ask, be refused, and be refused with what comes in its place."""
    door = door or world.door
    return await door.replace_refused(tenant, await door.credential(tenant, provider, **named))


async def refused_for(world, time, *, each, **named):
    """Be refused for *time*."""
    ends = world.clock.now() + time
    while world.clock.now() < ends:
        await refused(world, **named)
        world.clock.advance(each)


async def test_the_first_refusal_is_answered_at_once_and_the_next_after_a_wait(world):
    await world.connect()
    first = await token(world)
    second = await world.door.replace_refused(ACME, first)
    assert (second.generation, second.warning) == (2, None)
    recorded = len(world.events())
    for _ in range(20):
        again = await world.door.replace_refused(ACME, second)
        assert (again.value, again.generation, again.warning) == (second.value, 2, "refused_again")
    assert (world.provider.refresh_count, len(world.events())) == (1, recorded), "no request, and no record for each"
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)
    third = await world.door.replace_refused(ACME, second)
    assert (third.generation, third.warning) == (3, None)
    assert (await world.door.replace_refused(ACME, second)).value == third.value, "who comes late gets what is there"


@pytest.mark.parametrize("rotation", ["always", "never"])
@pytest.mark.parametrize("each", [timedelta(seconds=1), timedelta(seconds=20), timedelta(minutes=4)], ids=str)
async def test_in_an_hour_of_refusals_few_are_made_and_few_are_recorded(world, rotation, each):
    world.provider.rotation = rotation
    await world.connect()
    await refused_for(world, HOUR, each=each)
    assert 2 < world.provider.refresh_count <= MOST_IN_AN_HOUR
    attempts = [event for event in of_refresh(world) if event.outcome.value == "started"]
    assert len(attempts) == world.provider.refresh_count
    assert len(of_refresh(world)) == 2 * len(attempts)
    # The server accepts again, and nothing more is made.
    made, living = world.provider.refresh_count, await token(world)
    assert world.provider.is_alive(living.value)
    assert world.provider.refresh_count == made
    # A refusal after all that is answered within the longest wait.
    world.provider.expire_access(living.value)
    world.clock.advance(LONGEST_WAIT)
    replaced = await refused(world)
    assert world.provider.is_alive(replaced.value)


async def test_fifty_callers_at_once_make_none_while_it_waits_and_one_after(world):
    await world.connect()
    second = await refused(world)
    waiting = await world.door.together(50, "replace_refused", ACME, second)
    assert {(one.generation, one.warning) for one in waiting} == {(2, "refused_again")}
    assert world.provider.refresh_count == 1
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)
    replaced = await world.door.together(50, "replace_refused", ACME, second)
    assert {one.generation for one in replaced} == {3}
    assert world.provider.refresh_count == 2


async def test_each_tenant_and_each_slot_waits_for_itself(world):
    world.door = world.open(settings=world.settings(slots=True))
    await world.connect()
    await world.connect(slot="second")
    await world.connect(GLOBEX)
    await refused_for(world, HOUR, each=timedelta(seconds=30))
    assert (await refused(world)).warning == "refused_again"
    made = world.provider.refresh_count
    for number, named in enumerate(({"slot": "second"}, {"tenant": GLOBEX}), 1):
        await token(world)
        assert (await refused(world, **named)).warning is None
        assert world.provider.refresh_count >= made + number
        assert (await refused(world, **named)).warning == "refused_again"


async def test_every_process_knows_of_it_and_one_that_starts_anew(world):
    await world.connect()
    second = await refused(world)
    others = [world.open() for _ in range(5)]
    for door in others:
        assert (await refused(world, door)).warning == "refused_again"
        assert (await door.replace_refused(ACME, second)).value == second.value
    assert world.provider.refresh_count == 1
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)
    replaced = [await door.replace_refused(ACME, second) for door in others]
    assert {one.generation for one in replaced} == {3}
    assert world.provider.refresh_count == 2


@pytest.mark.parametrize("point", ["after the mark", "after the request", "after the tokens are stored"])
async def test_a_process_that_dies_in_a_replacement_leaves_no_wait_that_does_not_end(world, point):
    follow(world, "none")
    held = await world.connect()
    second = await refused(world)
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)

    class Died(BaseException):
        pass

    async def die():
        raise Died

    dying = world.open()
    at(dying, point, die)
    with pytest.raises(BaseException):  # noqa: B017  # a task and a thread raise it in their own way
        await dying.replace_refused(ACME, second)
    world.clock.advance(timedelta(minutes=1))
    after = await world.open().replace_refused(ACME, second)
    assert after.generation == 3
    assert world.provider.is_alive(after.value)
    assert world.row(held).marks.replacement is not None


async def test_what_a_person_or_the_time_renews_is_replaced_at_once(world):
    held = await world.connect()

    async def by_hand():
        await world.door.refresh(ACME, held.id, actor=ALICE)

    async def by_reconnect():
        await world.reconnect(held)

    async def by_time():
        world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
        await token(world)

    for renew in (by_hand, by_reconnect, by_time):
        await refused_for(world, timedelta(minutes=10), each=timedelta(seconds=30))
        assert (await refused(world)).warning == "refused_again"
        made = world.row(held).credential.generation
        await renew()
        assert world.row(held).credential.generation == made + 1
        assert (await refused(world)).warning is None
        assert (await refused(world)).warning == "refused_again"


async def test_a_token_that_has_ended_is_replaced_however_young_it_is(world):
    world.provider.access_lifetime = SHORTEST_WAIT / 2
    await world.connect()
    second = await refused(world)
    assert (await world.door.replace_refused(ACME, second)).warning == "refused_again"
    world.clock.advance(SHORTEST_WAIT / 2)
    third = await world.door.replace_refused(ACME, second)
    assert third.generation == 3


async def test_one_that_is_revoked_again_and_again_is_replaced_each_time(world):
    await world.connect()
    for _ in range(10):
        world.provider.expire_access((await token(world)).value)
        replaced = await refused(world)
        assert world.provider.is_alive(replaced.value)
        assert replaced.warning is None
        world.clock.advance(LONGEST_WAIT)


async def test_a_tenant_that_must_act_is_told_so_and_not_that_it_is_too_early(world):
    held = await world.connect()
    second = await refused(world)
    await world.door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await world.door.replace_refused(ACME, second)
    await world.door.edit_integration(ACME, held.id, status="active")
    assert (await world.door.replace_refused(ACME, second)).warning == "refused_again"
    world.provider.revoke_grant()
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)
    for _ in range(3):
        with pytest.raises(ReconnectRequiredError):
            await world.door.replace_refused(ACME, second)


async def test_an_outage_during_a_replacement_is_an_outage_and_counts_as_none(world):
    held = await world.connect()
    first = await token(world)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
    for _ in range(20):
        with pytest.raises(ProviderUnavailableError):
            await world.door.replace_refused(ACME, first)
    assert len([request for request in world.provider.requests if request.endpoint == "refresh"]) == 1
    assert world.row(held).marks.replacement is None
    world.provider.behave()
    world.clock.advance(timedelta(minutes=10))
    assert (await world.door.replace_refused(ACME, first)).warning is None


async def test_a_refresh_token_that_comes_alone_leaves_what_is_said_of_the_access_token(world):
    held = await world.connect()
    second = await refused(world)
    said = world.row(held).marks.replacement
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    world.provider.misbehave(ALONE[0], endpoint="refresh")
    served = await token(world)
    assert (served.value, world.row(held).credential.generation) == (second.value, 3)
    assert world.row(held).marks.replacement == said


# Minted


async def test_a_minted_one_waits_too_and_every_process_knows_of_it(world):
    bank = Bank(world)
    await add_minted(world)
    second = await refused(world, provider="bank")
    assert second.value == Secret("fake-token-1")
    for door in (world.door, bank.open()):
        waiting = await door.together(50, "replace_refused", ACME, second)
        assert {(one.generation, one.warning) for one in waiting} == {(2, "refused_again")}
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)
    replaced = await world.door.together(50, "replace_refused", ACME, second)
    assert {one.value.reveal() for one in replaced} == {"fake-token-2"}
    await refused_for(world, HOUR, each=timedelta(seconds=10), provider="bank")
    assert len(bank.minted) <= MOST_IN_AN_HOUR + 3
    world.clock.advance(LIFE)
    await world.door.credential(ACME, "bank")
    assert (await refused(world, provider="bank")).warning is None, "the time has renewed it"


async def test_a_mint_that_fails_is_not_repeated_for_each_refusal(world):
    bank = Bank(world)
    await add_minted(world)
    first = await world.door.credential(ACME, "bank")
    bank.answer = HttpResponse(status=503, headers={"retry-after": "60"})
    for _ in range(20):
        with pytest.raises(ProviderUnavailableError):
            await world.door.replace_refused(ACME, first)
    assert len(bank.asked) == 2
    bank.answer = None
    world.clock.advance(timedelta(minutes=1))
    assert (await world.door.replace_refused(ACME, first)).value == Secret("fake-token-1")


async def test_for_a_refused_one_a_mint_is_tried_in_spite_of_a_failure_before(world):
    bank = Bank(world)
    await add_minted(world)
    world.clock.advance(LIFE - timedelta(seconds=20))
    bank.answer = HttpResponse(status=503)
    living = await world.door.credential(ACME, "bank")
    assert (living.warning, len(bank.asked)) == ("refresh_failed", 2)
    bank.answer = None
    assert (await world.door.replace_refused(ACME, living)).value == Secret("fake-token-1")


# Narrowed


@pytest.mark.parametrize("narrow", [READ, SHOP, READ | SHOP], ids=["minted", "exchanged", "both"])
async def test_a_narrowed_one_waits_too(world, narrow):
    bank = Teller(world)
    await add_narrow(world)
    first = await world.door.credential(ACME, "bank", narrow=narrow)
    second = await world.door.replace_refused(ACME, first)
    assert (second.value != first.value, second.warning) == (True, None)
    asked = len(bank.asked)
    waiting = await world.door.together(50, "replace_refused", ACME, second)
    assert {(one.value.reveal(), one.warning, one.narrow) for one in waiting} == {(second.value.reveal(), "refused_again", second.narrow)}
    assert (await world.door.replace_refused(ACME, first)).value == second.value
    assert len(bank.asked) == asked
    world.clock.advance(SHORTEST_WAIT + A_MOMENT)
    third = await world.door.replace_refused(ACME, second)
    assert (third.value != second.value, third.warning) == (True, None)


async def test_narrowed_ones_wait_for_themselves_and_an_hour_of_refusals_makes_few(world):
    bank = Teller(world)
    held = await add_narrow(world)
    await refused_for(world, HOUR, each=timedelta(seconds=10), provider="bank", narrow=SHOP)
    # Beside the replacements, one is made each minute, for as long as the memory of this process lasts.
    assert len([asked for asked in bank.asked if "shop" in asked]) <= MOST_IN_AN_HOUR + 61
    assert world.row(held).credential.generation <= 1 + MOST_IN_AN_HOUR
    assert (await refused(world, provider="bank", narrow=READ)).warning is None
    assert (await refused(world, provider="bank", narrow=READ)).warning == "refused_again"


async def test_a_refusal_that_replaces_nothing_forgets_no_narrowed_one(world):
    bank = Teller(world)
    await add_narrow(world)
    await refused(world, provider="bank")
    less = await world.door.credential(ACME, "bank", narrow=READ)
    asked = len(bank.asked)
    for _ in range(10):
        assert (await refused(world, provider="bank")).warning == "refused_again"
        assert (await world.door.credential(ACME, "bank", narrow=READ)).value == less.value
    assert len(bank.asked) == asked
