"""Freezes: no door hands out what is frozen, in any process, and everything else goes on."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from cloud_integrations.domain.audit import OPERATOR, Actor
from cloud_integrations.domain.freezing import Selection
from cloud_integrations.errors import (
    DamagedRowError,
    FreezeNotFoundError,
    IntegrationFrozenError,
    IntegrationNotFoundError,
    ProviderNotFoundError,
    StorageUnavailableError,
    ValidationFailedError,
    http_status,
)
from cloud_integrations.ports.store import AddFreeze, DamagedRow
from cloud_integrations.testing import Misbehaviour
from cloud_integrations.testing.contracts.store.values import a_freeze

from .conftest import ACME, ALICE, GLOBEX, MALLORY
from .reaching import reaches
from .test_sessions import asked, opened

__all__ = ["reaches"]  # a fixture

WHY = "a token was found in a log"
LESS = {"scopes": ["read"]}


@pytest.fixture
async def connected(world):
    return await world.connect()


@pytest.fixture
def steady(world):
    """A provider whose refresh tokens never rotate, so that a refresh can narrow."""
    world.provider.rotation = "never"
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()


async def freeze(world, *, door=None, actor=ALICE, **named):
    named = named or {"everything": True}
    return await (door or world.door).incidents.freeze(reason=WHY, actor=actor, **named)


def last_fact(world, name):
    return [fact.facts for fact in world.facts.told if fact.name == name][-1]


async def refused(call):
    with pytest.raises(IntegrationFrozenError) as caught:
        await call
    return caught.value


class TestInOneProcess:
    async def test_nothing_is_handed_out_from_memory_or_store_and_it_can_be_undone(self, world, connected):
        token = await world.door.credential(ACME, "simulated")
        begun = await freeze(world, tenant_id=ACME)
        error = await refused(world.door.credential(ACME, "simulated"))
        assert (error.code, http_status(error), error.retryable) == ("integration/frozen", 423, False)
        assert error.details == {"integrationId": str(connected.id), "freezeId": str(begun.id)}
        lifted = await world.door.incidents.unfreeze(begun.id, reason="it was another's", actor=MALLORY)
        assert (lifted.lifted_by, lifted.lifted_at, lifted.lift_reason) == (MALLORY, world.clock.now(), "it was another's")
        assert (await world.door.credential(ACME, "simulated")).value == token.value

    async def test_every_way_to_ask_is_refused(self, steady, world, connected):
        token = await world.door.credential(ACME, "simulated")
        less = await world.door.credential(ACME, "simulated", narrow=LESS)
        session = await opened(world)
        await asked(session)
        refreshed = world.provider.refresh_count
        await freeze(world)
        world.sent.clear()
        for call in (
            lambda: world.door.credential(ACME, "simulated"),
            lambda: world.door.credential(ACME, connected.id),
            lambda: world.door.credential(ACME, "simulated", min_ttl=10**6),
            lambda: world.door.credential(ACME, "simulated", scopes=["read"]),
            lambda: world.door.credential(ACME, "simulated", narrow=LESS),
            lambda: world.door.credential(ACME, "simulated", actor=ALICE),
            lambda: world.door.replace_refused(ACME, token),
            lambda: world.door.replace_refused(ACME, less),
            lambda: asked(session),
        ):
            await refused(call())
        assert (world.sent, world.provider.refresh_count) == ([], refreshed)

    async def test_a_refusal_is_recorded_and_repetitions_do_not_fill_the_log(self, world, connected):
        begun = await freeze(world)
        for _ in range(20):
            await refused(world.door.credential(ACME, "simulated", actor=MALLORY))
        (event,) = [event for event in world.events() if event.action == "credential.frozen"]
        assert (event.actor, event.outcome.value, event.reason) == (MALLORY, "denied", "frozen")
        assert event.details["freeze"] == str(begun.id)
        assert event.resource == f"integration:{connected.id}"

    @pytest.mark.parametrize(
        ("named", "stops"),
        [
            ({"tenant_id": ACME}, True),
            ({"tenant_id": GLOBEX}, False),
            ({"provider": "simulated"}, True),
            ({"provider": "simulated_keys"}, False),
            ({"provider": uuid4()}, False),
            ({"application": "its own"}, True),
            ({"application": uuid4()}, False),
            ({"used_by": MALLORY}, True),
            ({"used_by": "mallory"}, True),
            ({"used_by": ALICE}, False),
            ({"used_by": Actor(type="agent", id="mallory")}, False),
            ({"tenant_id": ACME, "provider": "simulated", "used_by": MALLORY}, True),
            ({"tenant_id": ACME, "provider": "simulated", "used_by": ALICE}, False),
            ({"tenant_id": ACME, "integration": "simulated"}, True),
        ],
    )
    async def test_it_stops_what_fits_all_that_is_named(self, world, connected, named, stops):
        if named.get("application") == "its own":
            named = {"application": str(world.row(connected).facts.context_id)}
        await world.door.credential(ACME, "simulated", actor=MALLORY)
        await freeze(world, **named)
        if stops:
            await refused(world.door.credential(ACME, "simulated", actor=MALLORY))
        else:
            assert await world.door.credential(ACME, "simulated", actor=MALLORY)

    async def test_an_agent_stops_with_the_person_for_whom_it_acts(self, world, connected):
        session = await opened(world)
        await asked(session)
        await freeze(world, used_by=session.on_behalf_of)
        await refused(asked(session))
        assert await world.door.credential(ACME, "simulated")

    async def test_each_of_two_that_overlap_is_lifted_by_itself(self, world, connected):
        wide = await freeze(world)
        world.pass_(seconds=1)
        small = await freeze(world, tenant_id=ACME)
        await world.door.incidents.unfreeze(wide.id, reason="too wide", actor=ALICE)
        assert (await refused(world.door.credential(ACME, "simulated"))).details["freezeId"] == str(small.id)
        assert await world.door.incidents.freezes() == (small,)
        await world.door.incidents.unfreeze(str(small.id), reason="over", actor=ALICE)
        assert await world.door.credential(ACME, "simulated")
        assert [each.id for each in await world.door.incidents.freezes(lifted=True)] == [wide.id, small.id]

    async def test_two_operators_lift_it_once(self, world, connected):
        begun = await freeze(world)
        lifted = await world.door.together(4, "incidents.unfreeze", begun.id, reason="over", actor=ALICE)
        assert {each.id for each in lifted} == {begun.id}
        assert [event.action for event in world.events(OPERATOR)] == ["freeze.begun", "freeze.lifted"]
        again = await world.door.incidents.unfreeze(begun.id, reason="again", actor=MALLORY)
        assert (again.lifted_by, again.lift_reason) == (ALICE, "over")

    async def test_a_freeze_that_begins_while_a_token_is_renewed_stops_the_hand_out_and_keeps_the_token(self, world, connected):
        world.pass_(hours=1)
        begins(world, a_freeze(selection=Selection(tenant_id=ACME)))
        await refused(world.door.credential(ACME, "simulated"))
        assert world.provider.refresh_count == 1
        await world.door.incidents.unfreeze(UUID(int=11), reason="over", actor=ALICE)
        assert await world.door.credential(ACME, "simulated")
        assert world.provider.refresh_count == 1

    async def test_it_also_stops_what_was_to_replace_a_refused_token(self, world, connected):
        token = await world.door.credential(ACME, "simulated")
        begins(world, a_freeze(selection=Selection(tenant_id=ACME)))
        await refused(world.door.replace_refused(ACME, token))
        assert world.provider.refresh_count == 1

    async def test_it_also_stops_what_is_being_narrowed(self, steady, world, connected):
        begins(world, a_freeze(selection=Selection(tenant_id=ACME)))
        await refused(world.door.credential(ACME, "simulated", narrow=LESS))


def begins(world, freeze):
    """Let *freeze* begin in this process while a request is under way."""

    def begin(_):
        world.on_send = None
        world.rows.apply(AddFreeze(freeze=freeze))
        world.door.wiring.freezes.forget()

    world.on_send = begin


class TestInAnotherProcess:
    @pytest.fixture
    def elsewhere(self, world):
        return world.open()

    async def test_it_stops_the_use_after_the_time_that_tokens_stay_in_memory(self, world, connected, elsewhere):
        await elsewhere.credential(ACME, "simulated")
        # What is read just before the freeze is read last that does not see it.
        world.pass_(seconds=30)
        await elsewhere.credential(ACME, "simulated", actor=MALLORY)
        await freeze(world)
        world.pass_(seconds=29, microseconds=999_999)
        assert await elsewhere.credential(ACME, "simulated")
        assert await elsewhere.credential(ACME, "simulated", actor=MALLORY)
        world.pass_(microseconds=1)
        # First the one whose token would stay in memory for longer.
        await refused(elsewhere.credential(ACME, "simulated", actor=MALLORY))
        await refused(elsewhere.credential(ACME, "simulated"))

    async def test_a_token_that_is_put_into_memory_late_does_not_stay_longer(self, world, connected, elsewhere):
        await elsewhere.credential(ACME, "simulated")
        await freeze(world)
        world.pass_(seconds=59)
        # Not in memory yet: the list of freezes is old, and still counts.
        assert await elsewhere.credential(ACME, "simulated", actor=MALLORY)
        world.pass_(seconds=1)
        await refused(elsewhere.credential(ACME, "simulated", actor=MALLORY))

    async def test_without_a_memory_of_tokens_it_stops_the_use_at_once(self, world, connected):
        elsewhere = world.open(settings=world.settings(token_cache=timedelta()))
        assert await elsewhere.credential(ACME, "simulated")
        await freeze(world)
        await refused(elsewhere.credential(ACME, "simulated"))

    async def test_it_ends_there_after_the_same_time(self, world, connected, elsewhere):
        begun = await freeze(world)
        await refused(elsewhere.credential(ACME, "simulated"))
        await world.door.incidents.unfreeze(begun.id, reason="over", actor=ALICE)
        world.pass_(seconds=59, microseconds=999_999)
        await refused(elsewhere.credential(ACME, "simulated"))
        world.pass_(microseconds=1)
        assert await elsewhere.credential(ACME, "simulated")

    async def test_memory_serves_all_others_meanwhile(self, world, connected, elsewhere):
        await freeze(world, tenant_id=GLOBEX)
        await elsewhere.credential(ACME, "simulated")
        world.store.calls.clear()
        for _ in range(10):
            world.pass_(seconds=5)
            await elsewhere.credential(ACME, "simulated")
        assert world.store.calls == []

    async def test_a_list_that_was_read_before_this_processs_own_change_is_not_believed(self, world, connected):
        reads = []

        def while_read(name, _):
            if name == "list_freezes" and not reads:
                reads.append(name)
                world.rows.apply(AddFreeze(freeze=a_freeze(selection=Selection(tenant_id=ACME))))
                world.door.wiring.freezes.forget()

        world.store.after = while_read
        await refused(world.door.credential(ACME, "simulated"))


class TestRenewals:
    async def test_they_go_on_unless_they_are_stopped(self, world, connected):
        await freeze(world)
        world.pass_(hours=1)
        assert (await world.door.worker.refresh_due(limit=10)).renewed == 1

    async def test_stopped_they_are_taken_up_when_the_freeze_is_lifted(self, world, connected):
        begun = await freeze(world, tenant_id=ACME, renewals=False)
        world.pass_(hours=1)
        run = await world.door.worker.refresh_due(limit=10)
        assert (run.postponed, run.renewed, world.provider.refresh_count) == (1, 0, 0)
        await refused(world.door.refresh(ACME, connected.id, actor=ALICE))
        assert world.provider.refresh_count == 0
        await world.door.incidents.unfreeze(begun.id, reason="over", actor=ALICE)
        world.pass_(minutes=5)
        assert (await world.door.worker.refresh_due(limit=10)).renewed == 1
        assert (await world.door.get_integration(ACME, connected.id)).health.value == "ok"

    async def test_others_are_renewed(self, world, connected):
        await world.connect(GLOBEX, name="Files of Globex")
        await freeze(world, tenant_id=GLOBEX, renewals=False)
        world.pass_(hours=1)
        run = await world.door.worker.refresh_due(limit=10)
        assert (run.renewed, run.postponed) == (1, 1)

    async def test_they_cannot_be_stopped_for_one_actor(self, world, connected):
        with pytest.raises(ValidationFailedError) as caught:
            await freeze(world, used_by=MALLORY, renewals=False)
        assert caught.value.field == "renewals"


class TestWhatCannotBeFrozen:
    @pytest.mark.parametrize(
        ("named", "field"),
        [
            ({"tenant_id": None}, "everything"),
            ({"everything": True, "tenant_id": ACME}, "everything"),
            ({"everything": 1}, "everything"),
            ({"tenant_id": ""}, "tenantId"),
            ({"tenant_id": OPERATOR}, "tenantId"),
            ({"application": "its own"}, "application"),
            ({"integration": "simulated"}, "tenantId"),
            ({"tenant_id": ACME, "slot": "two"}, "slot"),
            ({"tenant_id": ACME, "integration": "not one"}, "integration"),
            ({"used_by": "user:ada"}, "usedBy"),
            ({"tenant_id": ACME, "renewals": "no"}, "renewals"),
        ],
    )
    async def test_what_means_nothing_is_refused(self, world, named, field):
        with pytest.raises(ValidationFailedError) as caught:
            await freeze(world, **named)
        assert caught.value.field == field
        assert await world.door.incidents.freezes() == ()

    @pytest.mark.parametrize("reason", ["", "x" * 256, "two\nlines", None])
    async def test_a_reason_is_needed(self, world, reason):
        with pytest.raises(ValidationFailedError) as caught:
            await world.door.incidents.freeze(everything=True, reason=reason, actor=ALICE)
        assert caught.value.field == "reason"

    async def test_a_name_that_means_nothing_here_selects_nothing(self, world, connected):
        with pytest.raises(ProviderNotFoundError):
            await freeze(world, provider="simulatd")
        with pytest.raises(IntegrationNotFoundError):
            await freeze(world, tenant_id=ACME, integration=uuid4())
        with pytest.raises(IntegrationNotFoundError):
            await freeze(world, tenant_id=GLOBEX, integration=connected.id)

    async def test_somebody_must_act(self, world):
        async def nobody():
            made = world.door.manager.incidents.freeze(everything=True, reason=WHY)
            return await made if inspect.isawaitable(made) else made

        with pytest.raises(ValidationFailedError) as caught:
            await nobody()
        assert caught.value.field == "actor"

    async def test_what_does_not_exist_cannot_be_lifted(self, world):
        with pytest.raises(FreezeNotFoundError) as caught:
            await world.door.incidents.unfreeze(uuid4(), reason="over", actor=ALICE)
        assert http_status(caught.value) == 404


class TestWhatGoesWrong:
    async def test_while_the_store_is_down_memory_serves_for_its_time_and_then_nothing_is_handed_out(self, world, connected):
        await world.door.credential(ACME, "simulated")
        world.store.fail(1, "list_freezes", times=100)
        world.pass_(seconds=59)
        assert await world.door.credential(ACME, "simulated")
        world.pass_(seconds=1)
        with pytest.raises(StorageUnavailableError):
            await world.door.credential(ACME, "simulated")

    async def test_a_freeze_that_somebody_edited_stops_everything_and_says_which_it_is(self, world, connected, monkeypatch):
        begun = await freeze(world, tenant_id=GLOBEX)
        damaged = DamagedRow(table="ci_freeze", row=str(begun.id), tenant_id=None)
        monkeypatch.setattr(type(world.rows), "list_freezes", lambda _, *, lifted=False: (damaged,))
        world.pass_(minutes=1)
        with pytest.raises(DamagedRowError):
            await world.door.credential(ACME, "simulated")
        assert await world.door.incidents.freezes() == ()
        assert last_fact(world, "storage.damaged_row")["row"] == str(begun.id)
        with pytest.raises(DamagedRowError):
            await world.door.incidents.unfreeze(begun.id, reason="over", actor=ALICE)

    async def test_an_outage_is_no_way_around(self, world, connected):
        world.pass_(minutes=56)
        world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="refresh")
        assert (await world.door.credential(ACME, "simulated", min_ttl=600)).warning == "refresh_failed"
        await freeze(world)
        await refused(world.door.credential(ACME, "simulated", min_ttl=600))

    async def test_a_caller_that_was_interrupted_leaves_no_memory_that_is_too_old(self, awaiting_world):
        world = awaiting_world
        await world.connect()
        await world.door.credential(ACME, "simulated")

        def interrupt(name, _):
            if name == "apply":
                world.store.after = None
                raise asyncio.CancelledError

        world.store.after = interrupt
        with pytest.raises(asyncio.CancelledError):
            await freeze(world)
        await refused(world.door.credential(ACME, "simulated"))


class TestTheLog:
    async def test_a_tenants_freeze_is_in_its_log_and_any_other_in_the_operators(self, world, connected):
        begun = await freeze(world, tenant_id=ACME, integration=connected.id, renewals=False)
        event = world.last_event()
        assert (event.action, event.reason, event.actor, event.resource) == ("freeze.begun", WHY, ALICE, f"freeze:{begun.id}")
        assert event.details == {"freeze": str(begun.id), "integration": str(connected.id), "renewals": "off", "tenant": ACME}
        await freeze(world, provider="simulated")
        (event,) = world.events(OPERATOR)
        assert event.details["provider"] == str(connected.provider_id)
        assert "tenant" not in last_fact(world, "freeze.begun")
