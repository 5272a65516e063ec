"""The key of an integration is rotated: two keys are stored, one is handed out, and in the end one is left."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import Health
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    KeyRotationError,
    ProviderInactiveError,
    ProviderUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX
from .rotations import OVERLAP, SLUG, Rotating

DAY = timedelta(days=1)


@pytest.fixture
async def keys(world):
    rotating = Rotating(world)
    await rotating.add()
    return rotating


def reason_of(caught):
    return caught.value.reason


# From one key to the next


async def test_a_new_key_waits_beside_the_old_one_until_it_is_switched_to_and_then_the_old_one_is_revoked(world, keys):
    new = keys.new_key()
    begun = await keys.begin(new)
    assert (begun.state, begun.key_end, begun.switched_at, begun.ends_at - begun.begun_at) == ("staged", "unused", None, 7 * DAY)
    assert (begun.tenant_id, begun.integration_id, begun.manual_url) == (ACME, keys.held.id, None)
    assert await keys.find() == begun
    assert await keys.shown() == keys.old
    switched = await keys.finish()
    assert (switched.id, switched.state, switched.key_end) == (begun.id, "switched", "revoke")
    assert (switched.switched_at, switched.ends_at) == (world.clock.now(), world.clock.now() + OVERLAP)
    assert await keys.shown() == new
    run = await keys.work(minutes=59)
    assert (run.revoked, run.waiting, world.provider.is_alive(keys.old)) == (0, 0, True)
    assert world.leaks_in(world.raw_dump()) == []
    run = await keys.work(minutes=1)
    assert (run.revoked, run.waiting, world.provider.is_alive(keys.old)) == (1, 0, False)
    assert await keys.find() is None
    assert await keys.shown() == new
    assert keys.waiting() == [0, 0]


async def test_each_step_is_recorded_and_the_observer_is_told(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    until = (world.clock.now() + OVERLAP).isoformat()
    await keys.work(hours=1)
    assert keys.told() == [
        ("begun", "success", None, {"provider": SLUG, "until": (world.clock.now() - OVERLAP + 7 * DAY).isoformat(), "verified": "true"}),
        ("finished", "success", None, {"until": until, "verified": "true"}),
        ("ended", "success", None, {"key": "old", "then": "revoke"}),
    ]
    assert [event.actor for event in world.events() if event.action == "key_rotation.finished"] == [ALICE]
    assert world.last_event().action == "token.revoked"
    told = [fact for fact in world.facts.told if fact.name.startswith("key_rotation.")]
    assert [fact.name for fact in told] == ["key_rotation.finished", "key_rotation.ended"]
    assert told[1].facts["then"] == "revoke"


async def test_a_process_sees_the_new_key_at_once_where_it_was_switched(world, keys):
    assert (await world.door.credential(ACME, SLUG)).value == keys.old
    new = keys.new_key()
    await keys.begin(new)
    await keys.finish()
    assert (await world.door.credential(ACME, SLUG)).value == new


async def test_the_same_key_continues_and_another_one_is_told_what_is_open(world, keys):
    new = keys.new_key()
    begun = await keys.begin(new)
    asked = len(world.sent)
    assert await keys.begin(new) == begun
    with pytest.raises(KeyRotationError) as caught:
        await keys.begin(keys.new_key())
    assert (reason_of(caught), caught.value.details) == ("open", {"integrationId": str(keys.held.id), "reason": "open"})
    assert len(world.sent) == asked, "no key is sent anywhere before that is known"
    await keys.finish()
    with pytest.raises(KeyRotationError):
        await keys.begin(new)


async def test_a_switch_that_is_repeated_changes_nothing(world, keys):
    await keys.begin(keys.new_key())
    switched = await keys.finish()
    world.pass_(minutes=1)
    assert await keys.finish() == switched
    assert world.row(keys.held).credential.generation == 2


async def test_without_a_rotation_there_is_nothing_to_finish_or_to_cancel(world, keys):
    assert await keys.find() is None
    for step in (keys.finish, keys.cancel):
        with pytest.raises(KeyRotationError) as caught:
            await step()
        assert reason_of(caught) == "none"
    with pytest.raises(IntegrationNotFoundError):
        await world.door.find_key_rotation(GLOBEX, keys.held.id)


async def test_a_provider_that_cannot_revoke_leaves_the_old_key_to_the_tenant_and_says_where(world):
    keys = Rotating(world, revokes=False)
    world.entries[1] = with_page(world.entries[1])
    world.door = world.open()
    await keys.add()
    await keys.begin(keys.new_key())
    switched = await keys.finish()
    assert (switched.key_end, switched.manual_url) == ("unsupported", "https://keys.example/")
    run = await keys.work(hours=1)
    assert (run.revoked, run.waiting, keys.waiting()) == (0, 0, [0, 0])
    assert keys.told()[-1] == ("ended", "success", None, {"key": "old", "then": "unsupported", "manual_url": "https://keys.example/"})
    assert world.facts.told[-1].facts["manual_url"] == "https://keys.example/"
    assert world.leaks_in(world.raw_dump()) == []


def with_page(entry):
    from cloud_integrations.domain.provider import Revoke  # used here alone

    method = entry.methods[0].model_copy(update={"revoke": Revoke(manual_url="https://keys.example/")})
    return entry.model_copy(update={"methods": (method,)})


async def test_a_key_that_shall_not_be_revoked_is_left_alone(world, keys):
    await keys.begin(keys.new_key(), revoke_key=False)
    assert (await keys.finish()).key_end == "not_asked"
    await keys.work(hours=1)
    assert (keys.told()[-1][3], world.provider.is_alive(keys.old)) == ({"key": "old", "then": "not_asked"}, True)
    assert keys.waiting() == [0, 0]


async def test_an_old_key_that_another_integration_holds_is_left_alone(world, keys):
    await world.add_key(GLOBEX)
    await keys.begin(keys.new_key())
    await keys.finish()
    run = await keys.work(hours=1)
    assert (run.kept, run.waiting, world.provider.is_alive(keys.old)) == (1, 0, True)


async def test_an_overlap_is_never_shorter_than_the_memory_of_other_processes(world, keys):
    other = world.open()
    assert (await other.credential(ACME, SLUG)).value == keys.old
    await keys.begin(keys.new_key(), overlap=0)
    switched = await keys.finish()
    assert switched.ends_at == world.clock.now() + world.settings().token_cache
    world.pass_(seconds=59)
    await keys.work(seconds=0)
    assert world.provider.is_alive((await other.credential(ACME, SLUG)).value)
    await keys.work(seconds=2)
    assert world.provider.is_alive((await other.credential(ACME, SLUG)).value)
    assert not world.provider.is_alive(keys.old)


async def test_an_overlap_can_be_cut_short_before_and_after_the_switch(world, keys):
    await keys.begin(keys.new_key())
    assert (await keys.finish(now=True)).ends_at == world.clock.now() + timedelta(minutes=1)
    await keys.work(minutes=1)
    assert not world.provider.is_alive(keys.old)
    middle = await keys.shown()
    await keys.begin(keys.new_key())
    await keys.finish()
    world.pass_(minutes=2)
    hastened = await keys.finish(now=True)
    assert hastened.ends_at == world.clock.now() - timedelta(minutes=1)
    await keys.work()
    assert not world.provider.is_alive(middle)


async def test_what_a_caller_may_not_ask_is_refused_by_name(world, keys):
    for named, field in (({"overlap": -1}, "overlap"), ({"revoke_key": "yes"}, "revokeKey"), ({"inputs": {}}, "credentials.inputs")):
        with pytest.raises(ValidationFailedError) as caught:
            await keys.begin(keys.new_key(), **named)
        assert caught.value.field == field
    await keys.begin(keys.new_key())
    with pytest.raises(ValidationFailedError) as caught:
        await keys.finish(now=1)
    assert caught.value.field == "now"


# What is not accepted


async def test_a_key_that_the_provider_refuses_is_not_stored(world, keys):
    with pytest.raises(InvalidCredentialsError):
        await keys.begin(world.provider.invalid_api_key)
    assert keys.told() == [("begun", "failure", "dead", {"provider": SLUG})]
    assert keys.waiting() == [0, 0]


async def test_the_stored_key_is_no_new_one(world, keys):
    asked = len(world.sent)
    with pytest.raises(ValidationFailedError) as caught:
        await keys.begin(keys.old)
    assert (caught.value.field, len(world.sent)) == ("credentials", asked)


async def test_a_key_of_another_account_is_refused_whatever_the_settings_say(world, keys):
    with pytest.raises(GrantRefusedError) as caught:
        await keys.begin(keys.new_key(account="acct-2"))
    assert reason_of(caught) == "other_account"
    assert keys.told()[-1] == ("begun", "failure", "other_account", {})
    assert keys.waiting() == [0, 0]


async def test_a_new_key_that_has_died_while_it_waited_is_not_switched_to(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    world.provider.revoke_api_key(new)
    with pytest.raises(InvalidCredentialsError):
        await keys.finish()
    assert await keys.shown() == keys.old
    assert keys.told()[-1] == ("finished", "failure", "dead", {"provider": SLUG})
    assert (await keys.find()).state == "staged"


async def test_an_outage_at_the_switch_changes_nothing_and_the_switch_can_be_repeated(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    with pytest.raises(ProviderUnavailableError):
        await keys.finish()
    assert await keys.shown() == keys.old
    assert (await keys.finish()).state == "switched"
    assert await keys.shown() == new


async def test_a_consent_has_no_key_to_rotate(world):
    await world.connect()
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.begin_key_rotation(ACME, world.provider.slug, inputs={"key": "fake-key-1"}, actor=ALICE)
    assert caught.value.field == "integration"


async def test_an_integration_that_is_switched_off_is_rotated_when_it_is_on_again(world, keys):
    await keys.begin(keys.new_key())
    await world.door.edit_integration(ACME, SLUG, status="inactive", actor=ALICE)
    for step in (lambda: keys.begin(keys.new_key()), keys.finish):
        with pytest.raises(IntegrationInactiveError):
            await step()
    await keys.cancel()
    assert keys.waiting() == [0, 0]


async def test_an_integration_whose_key_was_refused_works_again_after_the_switch(world, keys):
    world.provider.revoke_api_key(keys.old)
    await world.door.verify(ACME, SLUG)
    await keys.begin(keys.new_key())
    await keys.finish()
    assert (await world.door.get_integration(ACME, SLUG)).health is Health.OK
    assert "credential.recovered" in [event.action for event in world.events()]


async def test_a_method_that_the_catalogue_has_lost_can_be_cancelled_and_not_finished(world, keys):
    await keys.begin(keys.new_key())
    entry = world.entries[1]
    world.door = world.open(
        providers=[entry.model_copy(update={"methods": (entry.methods[0].model_copy(update={"id": "other"}),)})], applications=[]
    )
    with pytest.raises(ProviderInactiveError):
        await keys.finish()
    await keys.cancel()
    assert keys.waiting() == [0, 0]


# The way back


async def test_a_new_key_that_was_never_handed_out_is_forgotten(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    cancelled = await keys.cancel()
    assert (cancelled.state, cancelled.key_end) == ("cancelled", "unused")
    assert [told[0] for told in keys.told()] == ["begun", "cancelled", "ended"]
    assert keys.told()[-1][3] == {"key": "new", "then": "unused"}
    assert (await keys.shown(), keys.waiting(), world.provider.is_alive(new)) == (keys.old, [0, 0], True)


async def test_after_the_switch_there_is_a_way_back_and_the_new_key_is_revoked(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    await keys.finish()
    other = world.open()
    assert (await other.credential(ACME, SLUG)).value == new
    cancelled = await keys.cancel()
    assert (cancelled.state, cancelled.key_end) == ("cancelled", "revoke")
    assert await keys.shown() == keys.old
    await keys.work(seconds=59)
    assert world.provider.is_alive((await other.credential(ACME, SLUG)).value), "another process has it in memory"
    await keys.work(seconds=2)
    assert (world.provider.is_alive(new), world.provider.is_alive(keys.old), keys.waiting()) == (False, True, [0, 0])
    assert [told[3] for told in keys.told() if told[0] == "ended"] == [{"key": "new", "then": "revoke"}]


async def test_there_is_no_way_back_to_a_key_that_has_died(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    await keys.finish()
    world.provider.revoke_api_key(keys.old)
    with pytest.raises(InvalidCredentialsError):
        await keys.cancel()
    assert keys.told()[-1] == ("cancelled", "failure", "dead", {"provider": SLUG})
    assert await keys.shown() == new


async def test_a_rotation_that_nobody_finishes_is_cancelled_after_seven_days(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    await keys.work(days=7, seconds=-1)
    assert (await keys.find()).state == "staged"
    await keys.work(seconds=1)
    assert keys.told()[-2:] == [("cancelled", "success", "expired", {}), ("ended", "success", None, {"key": "new", "then": "unused"})]
    assert (await keys.shown(), keys.waiting()) == (keys.old, [0, 0])
