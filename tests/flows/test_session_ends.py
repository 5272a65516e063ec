"""How a session of an agent ends: by time, by a word, with what it uses, or because somebody edited its row."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.errors import DamagedRowError, IntegrationNotFoundError

from .conftest import ACME, ALICE
from .test_sessions import BOT, END, asked, awaited, opened, refusal


@pytest.fixture
async def connected(world):
    return await world.connect()


async def test_a_session_ends_exactly_at_its_end(world, connected):
    session = await opened(world, ttl=60)
    world.pass_(seconds=59, microseconds=999_999)
    await asked(session)
    world.pass_(microseconds=1)
    assert await refusal(session) == "ended"
    assert world.last_event().reason == "ended"


async def test_a_session_that_was_swept_has_ended(world, connected):
    session = await opened(world)
    world.tables.sessions.clear()
    assert await refusal(session) == "ended"


async def test_the_worker_sweeps_sessions_a_day_after_their_end(world, connected):
    await opened(world)
    world.pass_(hours=24, minutes=59, seconds=59)
    await world.door.worker.retry_revocations()
    assert len(await world.door.sessions.list(ACME)) == 1
    world.pass_(seconds=1)
    await world.door.worker.retry_revocations()
    assert await world.door.sessions.list(ACME) == ()


async def test_a_revoked_session_is_refused_at_once_in_its_process_and_within_a_second_elsewhere(world, connected):
    session = await opened(world)
    elsewhere = world.open()
    attached = await elsewhere.sessions.attach(ACME, session.id)
    await asked(session)
    await asked(attached)
    revoked = await elsewhere.sessions.revoke(ACME, str(session.id), actor=ALICE)
    assert revoked.revoked_at == world.clock.now()
    assert (world.last_event().action, world.last_event().actor) == ("session.revoked", ALICE)
    assert await refusal(attached) == "revoked"
    await asked(session)
    world.pass_(seconds=1)
    assert await refusal(session) == "revoked"
    assert await elsewhere.sessions.revoke(ACME, session.id, actor=ALICE) == revoked
    assert [event.action for event in world.events()].count("session.revoked") == 1


async def test_a_read_that_began_before_the_revocation_does_not_undo_it(world, connected):
    session = await opened(world)
    row = world.rows.find_session(ACME, session.id)
    await awaited(session.revoke())
    world.door.wiring.sessions.put(("session", ACME, session.id), row.facts, seconds=1)
    assert await refusal(session) == "revoked"


async def test_a_handle_revokes_its_session_as_its_agent_or_as_whoever_is_named(world, connected):
    for actor, recorded in ((None, BOT), (ALICE, ALICE)):
        session = await opened(world)
        await awaited(session.revoke(actor=actor))
        assert (world.last_event().action, world.last_event().actor) == ("session.revoked", recorded)


async def test_a_deleted_integration_ends_its_use_even_if_it_is_connected_again(world, connected):
    session = await opened(world)
    await asked(session)
    await world.door.delete(ACME, connected.id)
    with pytest.raises(IntegrationNotFoundError):
        await asked(session)
    await world.connect()
    with pytest.raises(IntegrationNotFoundError):
        await asked(session)


async def test_an_erased_tenant_has_no_sessions(world, connected):
    session = await opened(world)
    await asked(session)
    await world.door.erase_tenant(ACME)
    world.pass_(seconds=1)
    assert await world.door.sessions.list(ACME) == ()
    assert await refusal(session) == "ended"


@pytest.mark.parametrize(
    "changes",
    [
        {"hosts": ("evil.example",)},
        {"integration_id": UUID(int=1)},
        {"provider_id": UUID(int=1)},
        {"name": "other"},
        {"methods": ("GET", "DELETE")},
        {"expires_at": END},
        {"agent": Actor(type="agent", id="mallory")},
        {"on_behalf_of": Actor(id="mallory")},
        {"needs_approval": True},
        {"opened_at": END},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_row_that_somebody_edited_allows_nothing(world, connected, changes):
    session = await opened(world)
    key = (ACME, session.id)
    facts = world.tables.sessions[key].facts
    inside = hasattr(facts.access[0], next(iter(changes)))
    edited = replace(facts, access=(replace(facts.access[0], **changes),)) if inside else replace(facts, **changes)
    world.tables.sessions[key] = replace(world.tables.sessions[key], facts=edited)
    with pytest.raises(DamagedRowError):
        await asked(session, "https://evil.example")
    with pytest.raises(DamagedRowError):
        await world.door.sessions.attach(ACME, session.id)
    assert await world.door.sessions.list(ACME) == ()
    assert world.facts.names[-1] == "storage.damaged_row"
