"""A request for a new key meets a lost answer, a store that is down, a removal, a reconnect, or another operator."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.integration import Health, State
from cloud_integrations.errors import (
    IntegrationNotFoundError,
    KeyRotationError,
    KeyServiceUnavailableError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StorageUnavailableError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE
from .rotations import OVERLAP, SLUG, Rotating, asked, break_at, reason_of

BEFORE = [
    (Misbehaviour.CONNECTION_REFUSED, "unreachable"),
    (Misbehaviour.RATE_LIMITED, "rate_limited"),
]
LOST = [
    (Misbehaviour.ANSWER_LOST, "answer_lost"),
    (Misbehaviour.RESET_MID_BODY, "answer_lost"),
    (Misbehaviour.ERROR_AFTER, "server_error"),
    (Misbehaviour.HTML_PAGE, "unusable_body"),
    (Misbehaviour.GARBAGE_JSON, "unusable_body"),
    (Misbehaviour.EMPTY_BODY, "unusable_body"),
]


@pytest.fixture(params=["create", "roll"])
async def keys(world, request):
    keys = Rotating(world, makes=request.param)
    await keys.add()
    return keys


# Answers that do not come


@pytest.mark.parametrize(("what", "reason"), BEFORE)
async def test_what_was_not_processed_may_be_asked_for_again(world, keys, what, reason):
    world.provider.misbehave(what, endpoint="keys")
    with pytest.raises(ProviderUnavailableError) as caught:
        await keys.make()
    assert (reason_of(caught), keys.waiting(), keys.alive(), await keys.shown()) == (reason, [0, 0], 1, keys.old)
    assert keys.told()[-1][:3] == ("begun", "failure", reason)
    await keys.make()


@pytest.mark.parametrize(("what", "reason"), LOST)
async def test_a_created_key_whose_answer_is_lost_is_told_and_the_old_one_stays(world, creating, what, reason):
    world.provider.misbehave(what, endpoint="keys")
    with pytest.raises(KeyRotationError) as caught:
        await creating.make()
    assert (reason_of(caught), creating.waiting(), await creating.shown()) == ("answer_lost", [0, 0], creating.old)
    assert creating.told()[-1][:3] == ("requested", "unknown", reason)
    assert world.facts.told[-1].name == "key_rotation.unsettled"
    await creating.make()


@pytest.mark.requirement("Q55")
@pytest.mark.parametrize(("what", "reason"), LOST)
async def test_a_rolled_key_whose_answer_is_lost_needs_a_reconnect_at_once(world, rolling, what, reason):
    world.provider.misbehave(what, endpoint="keys")
    with pytest.raises(ReconnectRequiredError) as caught:
        await rolling.make()
    assert (reason_of(caught), rolling.waiting()) == ("rotation_lost", [0, 0])
    held = await world.door.get_integration(ACME, SLUG)
    assert (held.state, held.health, held.reason) == (State.NEEDS_REAUTH, Health.RECONNECT_REQUIRED, "rotation_lost")
    assert rolling.told()[-1][:3] == ("requested", "unknown", reason)


async def test_a_roll_that_was_not_processed_after_all_leaves_the_key_as_it_was(world, rolling):
    world.provider.misbehave(Misbehaviour.ERROR_BEFORE, endpoint="keys")
    with pytest.raises(ProviderUnavailableError):
        await rolling.make()
    assert (rolling.waiting(), await rolling.shown()) == ([0, 0], rolling.old)
    assert (await rolling.make()).state == "rolled"


@pytest.mark.parametrize("down", [Misbehaviour.UNAVAILABLE, Misbehaviour.CONNECTION_REFUSED, Misbehaviour.FORBIDDEN])
async def test_a_roll_of_which_nothing_can_be_known_is_told_as_such(world, rolling, down):
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="keys")
    world.provider.misbehave(down, endpoint="me")
    with pytest.raises((KeyRotationError, ProviderUnavailableError)) as caught:
        await rolling.make()
    assert rolling.waiting() == [0, 0]
    if down is not Misbehaviour.FORBIDDEN:
        assert reason_of(caught) == "answer_lost"


# The store, and other people


@pytest.mark.parametrize("afterwards", [False, True])
async def test_what_came_is_kept_while_the_store_cannot_be_used(world, keys, afterwards):
    break_at(world, 2, afterwards=afterwards)
    made = await keys.make()
    assert made.state == ("staged" if world.provider.makes_keys == "create" else "rolled")
    if made.state == "staged":
        await keys.finish()
    new = await keys.shown()
    assert (new != keys.old, world.provider.is_alive(new)) == (True, True)
    assert asked(world) == 1


@pytest.mark.parametrize("afterwards", [False, True])
async def test_the_process_that_rolled_forgets_the_old_value_even_if_it_cannot_know_whether_it_wrote(world, rolling, afterwards):
    assert (await world.door.credential(ACME, SLUG)).value == rolling.old
    break_at(world, 2, afterwards=afterwards)
    await rolling.make()
    assert world.provider.is_alive((await world.door.credential(ACME, SLUG)).value)


async def test_another_process_that_remembers_the_old_value_gets_the_new_one_for_it(world, rolling):
    other = world.open()
    old = await other.credential(ACME, SLUG)
    await rolling.make()
    assert (await other.replace_refused(ACME, old)).value == await rolling.shown()


@pytest.mark.parametrize("afterwards", [False, True])
async def test_nothing_is_sent_that_was_not_marked(world, keys, afterwards):
    break_at(world, 1, afterwards=afterwards)
    with pytest.raises(StorageUnavailableError):
        await keys.make()
    assert (asked(world), keys.alive(), await keys.shown()) == (0, 1, keys.old)
    world.store.heal()
    if afterwards:
        with pytest.raises(KeyRotationError) as caught:
            await keys.make()
        assert reason_of(caught) == "sent"
        assert (await keys.find()).key_end == "unknown"
        await keys.work(minutes=10)
        assert keys.told()[-1][:3] == ("requested", "unknown", "interrupted")
    await keys.make()


async def test_a_key_service_that_is_down_keeps_the_provider_from_being_asked(world, keys):
    door = world.open()
    await door.list_integrations(ACME)

    async def down(*_):
        raise KeyServiceUnavailableError

    door.wiring.data_keys.at_start = down
    world.door = door
    with pytest.raises(KeyServiceUnavailableError):
        await keys.make()
    assert (asked(world), keys.waiting()) == (0, [0, 0])


def meanwhile(world, act):
    """Let *act* happen after the provider has processed the request for a key, before its answer is stored."""
    transport = world.door.wiring.transport
    send = transport.send

    async def send_and_act(request, *, deadline):
        response = await send(request, deadline=deadline)
        if request.url.endswith("/keys"):
            transport.send = send
            await act()
        return response

    transport.send = send_and_act


async def test_an_integration_that_is_removed_meanwhile_leaves_no_key_that_was_created(world, creating):
    other = world.open()

    async def delete():
        await other.delete(ACME, SLUG, actor=ALICE)

    meanwhile(world, delete)
    with pytest.raises(IntegrationNotFoundError):
        await creating.make()
    assert (creating.alive(), world.provider.is_alive(creating.old), creating.waiting()) == (1, True, [0, 0])


async def test_a_tenant_that_is_erased_meanwhile_leaves_no_key_that_was_created(world, creating):
    other = world.open()

    async def erase():
        await other.erase_tenant(ACME, actor=ALICE)

    meanwhile(world, erase)
    with pytest.raises(IntegrationNotFoundError):
        await creating.make()
    assert (creating.alive(), creating.waiting()) == (1, [0, 0])


async def test_a_reconnect_that_comes_meanwhile_wins_and_the_created_key_is_revoked(world, creating):
    other, third = world.open(), creating.new_key()

    async def reconnect():
        await other.replace_api_key(ACME, SLUG, api_key=third, actor=ALICE)

    meanwhile(world, reconnect)
    with pytest.raises(KeyRotationError) as caught:
        await creating.make()
    assert (reason_of(caught), await creating.shown(), creating.alive(), creating.waiting()) == ("superseded", third, 2, [0, 0])


async def test_a_reconnect_that_comes_meanwhile_wins_over_a_roll(world, rolling):
    other, third = world.open(), rolling.new_key()

    async def reconnect():
        await other.replace_api_key(ACME, SLUG, api_key=third, actor=ALICE)

    meanwhile(world, reconnect)
    with pytest.raises(KeyRotationError) as caught:
        await rolling.make()
    assert (reason_of(caught), await rolling.shown(), rolling.waiting()) == ("superseded", third, [0, 0])
    assert rolling.told()[-1][3] == {"key": "new", "then": "unsupported"}


@pytest.mark.parametrize("how", ["worker", "cancel"])
async def test_a_request_that_was_given_up_too_early_still_keeps_its_key(world, keys, how):
    other = world.open()

    async def give_up():
        if how == "cancel":
            assert (await other.cancel_key_rotation(ACME, SLUG, actor=ALICE)).key_end == "unknown"
            return
        world.pass_(minutes=10)
        await other.worker.retry_revocations()

    meanwhile(world, give_up)
    made = await keys.make()
    if made.state == "staged":
        await keys.finish()
    assert world.provider.is_alive(await keys.shown())
    assert await keys.shown() != keys.old


async def test_another_rotation_that_began_after_one_was_given_up_keeps_its_place(world, creating):
    other, entered = world.open(), creating.new_key()

    async def begin_another():
        await other.cancel_key_rotation(ACME, SLUG, actor=ALICE)
        await other.begin_key_rotation(ACME, SLUG, inputs={"key": entered}, overlap=OVERLAP)

    meanwhile(world, begin_another)
    with pytest.raises(KeyRotationError) as caught:
        await creating.make()
    assert reason_of(caught) == "superseded"
    assert (creating.alive(), creating.waiting()) == (2, [1, 0])
    await creating.finish()
    assert await creating.shown() == entered


async def test_an_integration_that_is_disabled_meanwhile_stays_so_and_keeps_its_rolled_key(world, rolling):
    other = world.open()

    async def disable():
        await other.edit_integration(ACME, SLUG, status="inactive", actor=ALICE)

    meanwhile(world, disable)
    await rolling.make()
    assert (await world.door.get_integration(ACME, SLUG)).state is State.DISABLED
    await world.door.edit_integration(ACME, SLUG, status="active", actor=ALICE)
    assert world.provider.is_alive(await rolling.shown())


async def test_while_it_is_asked_nothing_else_rotates_and_a_cancellation_says_what_it_does_not_know(world, creating):
    other = world.open()
    seen = []

    async def look():
        for call in (
            other.finish_key_rotation(ACME, SLUG),
            other.begin_key_rotation(ACME, SLUG, new_key="create"),
            other.begin_key_rotation(ACME, SLUG, inputs={"key": creating.new_key()}),
        ):
            with pytest.raises(KeyRotationError) as caught:
                await call
            seen.append(reason_of(caught))
        seen.append((await other.find_key_rotation(ACME, SLUG)).state)

    meanwhile(world, look)
    assert (await creating.make()).state == "staged"
    assert seen == ["sent", "sent", "sent", "sent"]


async def test_a_key_that_was_created_and_has_no_place_is_revoked_even_while_the_store_is_down(world, creating):
    other = world.open()

    async def delete():
        await other.delete(ACME, SLUG, actor=ALICE)
        break_at(world, 1, afterwards=False)

    meanwhile(world, delete)
    with pytest.raises(IntegrationNotFoundError):
        await creating.make()
    assert (creating.alive(), world.provider.is_alive(creating.old)) == (1, True)


async def test_a_key_that_could_not_be_given_back_is_told(world, creating):
    other = world.open()

    async def delete():
        await other.delete(ACME, SLUG, actor=ALICE)
        break_at(world, 1, afterwards=False)
        world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")

    meanwhile(world, delete)
    with pytest.raises(IntegrationNotFoundError):
        await creating.make()
    [fact] = [fact for fact in world.facts.told if fact.name == "token.left_behind"]
    assert (fact.facts["token"], fact.facts["reason"]) == ("api_key", "status_503")


async def test_a_store_that_stays_down_is_told_and_the_worker_gives_the_request_up(world, keys):
    door = world.door

    async def down(*_):
        raise StorageUnavailableError

    async def fail_from_now_on():
        door.wiring.store.find_integration = down

    meanwhile(world, fail_from_now_on)
    with pytest.raises(StorageUnavailableError):
        await keys.make()
    assert any(fact.name == "credential.unpersisted" for fact in world.facts.told)
    world.door = world.open()
    await keys.work(minutes=10)
    assert (keys.told()[-1][:3], keys.waiting()) == (("requested", "unknown", "interrupted"), [0, 0])
