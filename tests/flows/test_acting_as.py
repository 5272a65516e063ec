"""Who acts is named once, by `acting_as`; where a person could have been named, forgetting it is an error."""

from __future__ import annotations

import asyncio
import inspect
import threading
from operator import attrgetter
from uuid import UUID

import pytest

from cloud_integrations import SYSTEM
from cloud_integrations.domain.audit import Actor
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

from .arguments import METHODS, RIGHT
from .conftest import ACME, ALICE

BY_ITSELF = {"credential", "replace_refused", "worker.deliver_events", "worker.refresh_due", "worker.retry_revocations", "worker.run"}
"""What also runs without anybody; it is the system's then."""
RECORDS_NOBODY = {
    *("acting_as", "auth", "close", "over", "report", "start"),
    *("find_key_rotation", "get_integration", "get_provider", "guide", "list_integrations", "list_providers", "report_providers"),
    *("applications.list", "audit.verify", "keys.find_returned", "keys.report", "keys.reseal"),
    *("connect_sessions.find", "connect_sessions.list", "connect_sessions.open", "connect_sessions.resume"),
    *("connect_sessions.hand_over", "connect_sessions.join"),
    *("sessions.attach", "sessions.get", "sessions.list"),
    "limits.count_address",
    *("audit.checkpoint", "audit.checkpoint_keys", "audit.verify_checkpoint", "report_ageing", "worker.report"),
    *(
        "events.list",
        "events.test",
        "webhooks.list",
        "incidents.freezes",
        "incidents.get",
        "incidents.list",
        "incidents.report",
        "incidents.scope",
    ),
    *(f"overview.{name}" for name in ("circuit", "count", "ends", "errors", "history", "history_by_provider", "integrations")),
    *("overview.renewal", "overview.report"),
    *("issuer.check", "issuer.configuration", "issuer.key_set"),
}
"""What leaves no event that names somebody."""
NAMES_SOMEBODY = sorted(METHODS.keys() - BY_ITSELF - RECORDS_NOBODY)


async def _awaited(result):
    return await result if inspect.isawaitable(result) else result


def test_the_lists_of_methods_are_up_to_date():
    assert METHODS.keys() >= BY_ITSELF | RECORDS_NOBODY


@pytest.mark.parametrize("method", NAMES_SOMEBODY)
async def test_what_a_person_could_do_asks_who_acts(world, method):
    needed = [each.name for each in inspect.signature(METHODS[method]).parameters.values() if each.default is each.empty]
    with pytest.raises(ValidationFailedError) as caught:
        await _awaited(attrgetter(method)(world.door.manager)(**{name: RIGHT[name] for name in needed if name in RIGHT}))
    assert caught.value.field == "actor"
    assert "manager.acting_as(" in str(caught.value)
    assert world.tables.chains == {}


async def test_what_runs_by_itself_is_the_systems_unless_somebody_is_named(world, door):
    await world.connect()
    manager = door.manager
    stop = threading.Event() if world.blocking else asyncio.Event()
    for acting, named in ((manager, SYSTEM), (manager.acting_as("grace"), Actor(id="grace"))):
        token = await _awaited(acting.credential(ACME, "simulated"))
        assert world.last_event().actor == named
        await _awaited(acting.replace_refused(ACME, token))
        assert world.last_event().actor == named
        world.pass_(days=30)
        await _awaited(acting.worker.refresh_due())
        assert world.last_event().actor == named
        world.pass_(days=30)
        await _awaited(acting.worker.run(stop, once=True))
        assert world.last_event().actor == named


async def test_every_method_of_a_view_acts_as_its_actor_under_its_request_id(world, door):
    acting = door.manager.acting_as(ALICE, request_id=UUID(int=7))
    key = world.provider.valid_api_key
    held = await _awaited(acting.add_api_key(ACME, "simulated_keys", name="Key of Acme", api_key=key))
    await _awaited(acting.credential(ACME, "simulated_keys"))
    await _awaited(acting.keys.rotate(tenant_id=ACME))
    await _awaited(acting.audit.list(ACME))
    await _awaited(acting.delete(ACME, held.id))
    assert {(event.actor, event.request_id) for event in world.events()} == {(ALICE, str(UUID(int=7)))}


async def test_what_one_call_names_goes_before_what_the_view_does(world, door):
    acting = door.manager.acting_as(ALICE, request_id="r-1")
    for named, actor, request_id in (
        ({"actor": "grace"}, "grace", "r-1"),
        ({"request_id": "r-2"}, ALICE.id, "r-2"),
        ({"actor": Actor(id="grace"), "request_id": UUID(int=7)}, "grace", str(UUID(int=7))),
        ({}, ALICE.id, "r-1"),
    ):
        await _awaited(acting.audit.list(ACME, **named))
        assert (world.last_event().actor.id, world.last_event().request_id) == (actor, request_id)


async def test_one_call_may_name_who_acts_without_a_view(world, door):
    manager = door.manager
    held = await _awaited(
        manager.add_api_key(ACME, "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key, actor=ALICE, request_id="r-1")
    )
    assert (world.last_event().actor, world.last_event().request_id) == (ALICE, "r-1")
    await _awaited(manager.credential(ACME, "simulated_keys", request_id="r-2"))
    assert (world.last_event().actor, world.last_event().request_id) == (SYSTEM, "r-2")
    with pytest.raises(ValidationFailedError) as caught:
        await _awaited(manager.delete(ACME, held.id, request_id="r-3"))
    assert caught.value.field == "actor"


async def test_a_credential_from_memory_is_recorded_for_whoever_a_call_names(world, door):
    await world.connect()
    for _ in range(2):
        await _awaited(door.manager.credential(ACME, "simulated"))
    await _awaited(door.manager.credential(ACME, "simulated", actor="grace"))
    assert world.last_event().actor == Actor(id="grace")


async def test_a_view_changes_neither_the_manager_nor_another_view(world, door):
    alice = door.manager.acting_as("alice")
    mallory = alice.acting_as("mallory", request_id="r-1")
    await _awaited(alice.add_api_key(ACME, "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key))
    assert (world.last_event().actor, world.last_event().request_id) == (ALICE, None)
    await _awaited(mallory.audit.list(ACME))
    assert (world.last_event().actor.id, world.last_event().request_id) == ("mallory", "r-1")
    with pytest.raises(ValidationFailedError):
        await _awaited(door.manager.audit.list(ACME))


async def test_views_share_what_the_manager_remembers(world, door):
    await world.connect()
    manager = door.manager
    first = await _awaited(manager.credential(ACME, "simulated"))
    calls = len(world.store.calls)
    assert await _awaited(manager.acting_as(SYSTEM, request_id="r-1").credential(ACME, "simulated")) is first
    assert len(world.store.calls) == calls
    assert await _awaited(manager.acting_as(ALICE).credential(ACME, "simulated")) is not first
    assert world.last_event().actor == ALICE


async def test_a_view_is_neither_entered_nor_closed(world, door):
    await world.connect()
    acting = door.manager.acting_as(ALICE)
    with pytest.raises(ConfigurationError, match="must be entered and closed itself, once, not what acting_as"):
        await _awaited(acting.close())
    enter = acting.__enter__ if world.blocking else acting.__aenter__
    with pytest.raises(ConfigurationError, match="must be entered and closed itself"):
        await _awaited(enter())
    # Nobody's work has ended.
    assert (await _awaited(acting.credential(ACME, "simulated"))).value


async def test_a_view_of_a_hosts_own_manager_is_one_too(world):
    class Own(type(world.door.manager)):
        note = None

    own = Own.__new__(Own)
    own.__dict__.update(world.door.manager.__dict__)
    own.note = "fake-note"
    view = own.acting_as(ALICE)
    assert isinstance(view, Own)
    assert view.note == "fake-note"


async def test_a_stated_reason_is_in_every_event_of_the_view(world, door):
    one = await world.connect()
    acting = door.manager.acting_as(ALICE, reason="ticket 4711")
    await _awaited(acting.verify(ACME, one.id))
    await _awaited(acting.edit_integration(ACME, one.id, status="inactive", actor="grace"))
    events = [record.event for record in await door.audit.list(ACME)]
    stated = {event.action: (event.actor.id, event.details["stated_reason"]) for event in events if "stated_reason" in event.details}
    assert stated == {"integration.verified": (ALICE.id, "ticket 4711"), "integration.disabled": ("grace", "ticket 4711")}


@pytest.mark.parametrize("reason", ["", 5, "two\nlines", "x" * 256])
def test_a_reason_is_short_printable_text(door, reason):
    with pytest.raises(ValidationFailedError, match="reason"):
        door.manager.acting_as(ALICE, reason=reason)
