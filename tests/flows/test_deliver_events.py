"""Events reach their receivers at least once, in order, one per transition, and no receiver holds up another."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.event_message import EventMessage
from cloud_integrations.errors import AppMisconfiguredError, ConfigurationError, ProviderUnavailableError, ReconnectRequiredError
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, GLOBEX, World
from .receiving import all_of, open_delivering, waiting
from .renewals import expired, put_around


class TakenBackError(Exception):
    """What a handler of a host may raise."""


class KilledError(BaseException):
    """The end of a process: nothing of ours handles it."""


def refusing(*names):
    """Return a function that fails for messages with these names, or for all."""

    def fail(message, /):
        if not names or message.name in names:
            raise TakenBackError

    return fail


async def use(door, /):
    return await door.credential(ACME, "simulated")


async def renew_failing(door, /, *, error=ProviderUnavailableError):
    with pytest.raises(error):
        await use(door)


@pytest.fixture
def delivering(world):
    """A door with one handler, and what the handler got."""
    return open_delivering(world, "billing")


async def test_each_event_of_a_life_comes_once_and_in_order(world, delivering):
    door, received = delivering
    held = await world.connect(door=door)
    await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
    await door.edit_integration(ACME, held.id, status="active", actor="ada")
    await door.edit_integration(ACME, held.id, name="Renamed", actor="ada")
    await world.reconnect(held, door=door)
    await door.delete(ACME, held.id, actor="ada")
    await all_of(door)
    await all_of(door)
    assert received.names == [
        "integration.connected",
        "integration.disabled",
        "integration.enabled",
        "integration.reconnected",
        "integration.removed",
    ]
    assert len({message.id for message in received.messages}) == 5
    first = received.messages[0]
    assert isinstance(first, EventMessage)
    assert (first.tenant_id, first.integration_id) == (ACME, held.id)
    assert first.data == {
        "tenant": ACME,
        "provider": "simulated",
        "provider_id": str(held.provider_id),
        "integration": str(held.id),
    }
    assert waiting(world, "event") == waiting(world, "delivery") == []


async def test_a_message_has_the_id_and_the_time_of_its_event_in_the_audit_log(world, delivering):
    door, received = delivering
    await world.add_key(door=door)
    await all_of(door)
    [event] = [event for event in world.events() if event.action == "integration.connected"]
    assert [(message.id, message.occurred_at) for message in received.messages] == [(event.event_id, event.occurred_at)]


async def test_without_handlers_and_webhooks_nothing_is_written(world):
    await world.add_key()
    assert waiting(world, "event") == []


async def test_events_that_nobody_receives_are_finished(world):
    door = world.open(settings=world.settings(events=True))
    await world.add_key(door=door)
    assert len(waiting(world, "event")) == 1
    run = await door.worker.deliver_events()
    assert (run.events, run.delivered) == (1, 0)
    assert world.tables.outbox == {}


async def test_a_change_that_was_not_made_is_no_event(world, delivering):
    door, received = delivering
    held = await world.add_key(door=door)
    with pytest.raises(Exception, match="already has"):
        await world.add_key(door=door)
    await all_of(door)
    assert received.of(held) == ["integration.connected"]
    assert len(received.names) == 1


# Trouble, and its end


async def test_a_short_outage_is_no_news(world, delivering):
    door, received = delivering
    await expired(world, door=door)
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, times=3, endpoint="refresh")
    for _ in range(3):
        await renew_failing(door)
        world.pass_(minutes=3)
    await use(door)
    await all_of(door)
    assert received.names == ["integration.connected"]


async def test_an_outage_is_told_once_it_lasts_and_its_end_once(world):
    world.provider.reuse = "tolerant"
    world.entries = list(world.provider.catalogue_entries())
    door, received = open_delivering(world, "billing")
    held = await expired(world, door=door)
    # Some answers say no and others are lost: it is one outage all the same.
    for attempt in range(20):
        world.provider.misbehave(Misbehaviour.ANSWER_LOST if attempt % 2 else Misbehaviour.RATE_LIMITED, endpoint="refresh")
        await renew_failing(door)
        world.pass_(minutes=6)
    world.provider.behave()
    await use(door)
    world.clock.advance(world.provider.access_lifetime)
    await use(door)
    await all_of(door)
    assert received.of(held) == ["integration.connected", "credential.retrying", "credential.recovered"]


async def test_a_refusal_is_told_once_and_the_reconnect_ends_it(world, delivering):
    door, received = delivering
    held = await expired(world, door=door)
    world.provider.revoke_grant()
    for _ in range(3):
        await renew_failing(door, error=ReconnectRequiredError)
        world.pass_(minutes=1)
    with pytest.raises(ReconnectRequiredError):
        await door.refresh(ACME, held.id, actor="ada")
    await all_of(door)
    assert received.of(held) == ["integration.connected", "credential.reconnect_required"]
    assert received.messages[-1].data["reason"] == "revoked"
    assert "error_description" not in received.messages[-1].data
    await world.reconnect(held, door=door)
    await all_of(door)
    assert received.of(held)[2:] == ["integration.reconnected", "credential.recovered"]


async def test_an_application_that_is_refused_is_told_once_for_all_of_its_integrations(world, delivering):
    door, received = delivering
    tenants = [f"tenant-{number}" for number in range(4)]
    for tenant in tenants:
        refused_of = await world.connect(tenant, door=door)
    world.clock.advance(world.provider.access_lifetime)
    world.provider.misbehave(Misbehaviour.INVALID_CLIENT, times=None, endpoint="refresh")
    for _ in range(5):
        for tenant in tenants:
            with pytest.raises((AppMisconfiguredError, ProviderUnavailableError)):
                await door.credential(tenant, "simulated")
        world.pass_(minutes=6)
    await all_of(door)
    [refused] = [message for message in received.messages if message.name != "integration.connected"]
    assert (refused.name, refused.tenant_id, refused.integration_id) == ("application.refused", None, None)
    assert refused.data == {"provider": "simulated", "provider_id": str(refused_of.provider_id), "reason": "invalid_client"}
    world.provider.behave()
    world.pass_(hours=1)
    for tenant in tenants:
        await door.credential(tenant, "simulated")
    await all_of(door)
    assert received.names[5:] == ["application.recovered"]


async def test_trouble_that_ended_while_it_was_disabled_is_told_again_when_it_comes_again(world, delivering):
    door, received = delivering
    held = await expired(world, door=door)
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, times=None, endpoint="refresh")
    for _ in range(2):
        for _ in range(3):
            await renew_failing(door)
            world.pass_(minutes=8)
        await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
        await door.edit_integration(ACME, held.id, status="active", actor="ada")
    world.provider.behave()
    world.pass_(hours=1)
    await use(door)
    await all_of(door)
    assert received.of(held).count("credential.retrying") == received.of(held).count("credential.recovered") == 1


# What ends, although nobody uses it


async def test_a_grant_that_ends_soon_is_told_once_although_nobody_uses_it(world):
    by_consent, *others = world.entries
    code = by_consent.methods[0]
    facts = code.refresh_token.model_copy(update={"absolute": timedelta(days=30)})
    methods = (code.model_copy(update={"refresh_token": facts}), *by_consent.methods[1:])
    world.entries = [by_consent.model_copy(update={"methods": methods}), *others]
    door, received = open_delivering(world, "billing")
    held = await world.connect(door=door)
    assert held.reconnect_before is not None
    await all_of(door)
    world.clock.advance(held.reconnect_before - world.clock.now() - timedelta(days=15))
    await all_of(door)
    assert received.of(held) == ["integration.connected"]
    world.pass_(days=2)
    await all_of(door)
    world.pass_(days=1)
    await all_of(door)
    assert received.of(held) == ["integration.connected", "credential.reconnect_soon"]
    assert received.messages[-1].data["before"] == held.reconnect_before.isoformat()


async def test_a_grant_without_a_refresh_token_that_has_ended_is_told_once_although_nobody_uses_it(world, delivering):
    door, received = delivering
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, times=None, endpoint="exchange")
    held = await world.connect(door=door)
    world.clock.advance(world.provider.access_lifetime)
    await all_of(door)
    await all_of(door)
    assert received.of(held) == ["integration.connected", "credential.reconnect_required"]
    assert received.messages[-1].data["reason"] == "expired"
    await world.reconnect(held, door=door)
    await all_of(door)
    assert received.of(held)[2:] == ["integration.reconnected", "credential.recovered"]


# Receivers that fail, and workers that die


async def test_what_was_not_taken_comes_again_with_the_same_id_and_nothing_overtakes_it(world, delivering):
    door, received = delivering
    held = await world.add_key(door=door)
    await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
    received.fail = refusing("integration.connected")
    await all_of(door)
    assert received.names == []
    [first, second] = sorted(waiting(world, "delivery"), key=lambda entry: entry.created_at)
    assert (first.attempts, first.last_error, second.attempts) == (1, "TakenBackError", 0)
    received.fail = None
    await all_of(door)
    assert received.names == []
    world.pass_(seconds=10)
    await all_of(door)
    assert received.names == ["integration.connected", "integration.disabled"]
    assert str(received.messages[0].id) == first.facts["message"]


async def test_a_receiver_that_fails_holds_up_no_other(world):
    door, broken, working = open_delivering(world, "broken", "working")
    broken.fail = refusing()
    held = await world.add_key(door=door)
    await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
    await all_of(door)
    assert (broken.names, working.names) == ([], ["integration.connected", "integration.disabled"])


async def test_a_receiver_that_fails_is_asked_once_and_then_rests(world):
    door, received = open_delivering(world, "billing")
    asked = []
    received.fail = lambda message: (asked.append(message), refusing()(message))
    for number in range(5):
        await world.add_key(f"tenant-{number}", door=door)
    for seconds, times in ((0, 1), (4, 1), (1, 2), (9, 2), (1, 3), (19, 3), (1, 4)):
        world.pass_(seconds=seconds)
        await door.worker.deliver_events()
        assert len(asked) == times
    # Once it takes one, it rests no more.
    received.fail = None
    world.pass_(hours=1)
    await all_of(door)
    assert len(received.names) == 5


async def test_after_three_days_it_is_given_up_and_what_waited_behind_it_comes(world, delivering):
    door, received = delivering
    held = await world.add_key(door=door)
    await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
    received.fail = refusing("integration.connected")
    begun = world.clock.now()
    runs = []
    while not waiting(world, "given_up"):
        runs.append(await door.worker.deliver_events())
        world.pass_(minutes=5)
    assert timedelta(days=2, hours=12) < world.clock.now() - begun < timedelta(days=4)
    assert sum(run.delayed for run in runs) == 9
    assert sum(run.given_up for run in runs) == 1
    await all_of(door)
    assert received.names == ["integration.disabled"]
    [kept] = waiting(world, "given_up")
    assert (kept.index_key, kept.attempts, kept.last_error) == ("handler:billing", 10, "TakenBackError")


async def test_events_of_a_handler_that_only_another_process_has_wait_for_it(world):
    door, billing, _ = open_delivering(world, "billing", "mails")
    other, mails = open_delivering(world, "mails")
    await world.add_key(door=door)
    billing.fail = refusing()
    await door.worker.deliver_events()
    await all_of(other)
    assert (mails.names, billing.names) == ([], [])
    assert [entry.index_key for entry in waiting(world, "delivery")] == ["handler:billing"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_worker_that_dies_at_any_step_loses_nothing_and_makes_no_second_id(world, when):
    seen = set()
    for step in range(40):
        world = type(world)(world.kind)
        door, received = open_delivering(world, "billing")
        held = await world.add_key(door=door)
        await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
        left = [step]

        async def around(name, args, go, left=left):
            left[0] -= 1
            if left[0] == -1 and when == "before":
                raise KilledError
            result = await go()
            if left[0] == -1:
                raise KilledError
            return result

        dying = world.open(handlers={"billing": received.handler})
        put_around(dying, around, "store")
        try:
            await dying.worker.deliver_events()
        except BaseException as error:  # noqa: BLE001  # a group of them, where tasks are awaited
            seen.add(type(error).__name__)
        for _ in range(3):
            world.pass_(minutes=1)
            await all_of(door)
        first = dict.fromkeys((message.id, message.name) for message in received.messages)
        assert [name for _, name in first] == ["integration.connected", "integration.disabled"]
        assert world.tables.outbox == {}
    assert seen


async def test_an_entry_that_somebody_edited_is_told_and_passed_over(world, delivering):
    door, received = delivering
    await world.add_key(door=door)
    await world.add_key(GLOBEX, door=door)
    [entry, _] = waiting(world, "event")
    key = (entry.tenant_id, entry.id)
    world.tables.outbox[key] = type(entry)(**{name: getattr(entry, name) for name in entry.__dataclass_fields__} | {"facts": {"x": "1"}})
    await all_of(door)
    assert world.facts.names.count("storage.damaged_row") >= 1
    assert len(received.names) == 1


# What is handed in


def test_handlers_have_names_and_the_colour_of_their_manager():
    for kind, other in (("blocking", "awaiting"), ("awaiting", "blocking")):
        world = World(kind)
        door, _ = open_delivering(world, "billing")
        assert list(door.wiring.handlers) == ["billing"]
        _, strange = open_delivering(World(other), "billing")
        for handlers in ({"billing": strange.handler}, {"Billing": strange.handler}, {"": strange.handler}, {"billing": "no function"}):
            with pytest.raises(ConfigurationError, match="handlers"):
                world.open(handlers=handlers)
