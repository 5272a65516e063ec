"""What could not be revoked is tried again, until it is given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.ports.store import AddEntry
from cloud_integrations.testing import Misbehaviour
from cloud_integrations.testing.contracts.store import an_entry

from .conftest import ACME, changed_method


async def removed_while_down(world, door):
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    await door.delete(ACME, held.id)
    return held


async def test_each_failure_waits_longer_up_to_an_hour(world, door):
    await removed_while_down(world, door)
    waits = []
    for _ in range(12):
        first = min(world.tables.outbox.values(), key=lambda entry: (entry.next_attempt_at, entry.id))
        world.clock.advance(max(first.next_attempt_at - world.clock.now(), timedelta()))
        before = world.clock.now()
        run = await door.worker.retry_revocations(limit=1)
        assert (run.delayed, run.waiting) == (1, 2)
        again = world.tables.outbox[first.tenant_id, first.id]
        assert again.last_error == "status_503"
        assert again.attempts == first.attempts + 1
        waits.append((first.attempts, again.next_attempt_at - before))
    for attempts, wait in waits:
        middle = min(timedelta(seconds=30) * 2**attempts, timedelta(hours=1))
        assert middle * 0.75 <= wait <= middle * 1.25


async def test_the_wait_that_a_provider_asks_for_holds_for_revocations_too(world, door):
    held = await world.connect()
    asked = timedelta(minutes=50)
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="revoke", times=None, retry_after=asked)
    await door.delete(ACME, held.id)
    world.pass_(minutes=49)
    assert (await door.worker.retry_revocations()).waiting == 2
    assert {entry.attempts for entry in world.tables.outbox.values()} == {1}
    world.pass_(minutes=2)
    assert (await door.worker.retry_revocations()).delayed == 2
    for entry in world.tables.outbox.values():
        assert entry.next_attempt_at >= world.clock.now() + asked
    world.provider.behave()
    world.pass_(minutes=51)
    assert (await door.worker.retry_revocations()).revoked == 2


async def test_after_thirty_days_it_is_given_up_and_recorded(world, door):
    await removed_while_down(world, door)
    world.pass_(days=30)
    assert (await door.worker.retry_revocations()).delayed == 2
    world.pass_(hours=2)
    run = await door.worker.retry_revocations()
    assert (run.abandoned, run.waiting) == (2, 0)
    event = world.last_event()
    assert (event.action, event.outcome, event.reason) == ("token.abandoned", Outcome.FAILURE, "status_503")


async def test_workers_never_take_the_same_entry(world, door):
    await removed_while_down(world, door)
    other = await world.connect("globex")
    await door.delete("globex", other.id)
    world.provider.behave()
    before = world.provider.count("revoke")
    world.pass_(minutes=1)
    workers = [world.open() for _ in range(8)]
    runs = await door.all_at_once(*[worker.acting_as().worker.retry_revocations for worker in workers])
    assert sum(run.revoked for run in runs) == 4
    assert world.provider.count("revoke") - before == 4


async def test_a_round_takes_no_more_than_its_limit(world, door):
    await removed_while_down(world, door)
    world.provider.behave()
    world.pass_(minutes=1)
    run = await door.worker.retry_revocations(limit=1)
    assert (run.revoked, run.waiting) == (1, 1)


async def test_an_application_that_is_gone_is_waited_for(world, door):
    await removed_while_down(world, door)
    world.provider.behave()
    world.pass_(minutes=1)
    other = world.open(applications=[])
    assert (await other.worker.retry_revocations()).delayed == 2
    assert {entry.last_error for entry in world.tables.outbox.values()} == {"not_configured"}
    world.pass_(hours=1)
    assert (await door.worker.retry_revocations()).revoked == 2


async def test_a_token_goes_to_no_other_server_than_its_own(world, door):
    await removed_while_down(world, door)
    world.provider.behave()
    world.pass_(minutes=1)
    before = world.provider.count("revoke")
    other = changed_method(world, token_url="https://simulated.example/token2")
    assert (await other.worker.retry_revocations()).delayed == 2
    assert {entry.last_error for entry in world.tables.outbox.values()} == {"application_changed"}
    assert world.provider.count("revoke") == before


async def test_a_token_that_does_not_open_is_given_up_in_the_end(world, door):
    await removed_while_down(world, door)
    for key, entry in world.tables.outbox.items():
        world.tables.outbox[key] = replace(entry, sealed_payload=b"not sealed")
    world.pass_(minutes=1)
    assert (await door.worker.retry_revocations()).delayed == 2
    world.pass_(days=31)
    assert (await door.worker.retry_revocations()).abandoned == 2
    assert world.last_event().reason == "does_not_open"


async def test_a_provider_that_revokes_no_more_is_not_said_to_have_revoked(world, door):
    await removed_while_down(world, door)
    world.pass_(minutes=1)
    other = changed_method(world, revoke=None)
    run = await other.worker.retry_revocations()
    assert (run.revoked, run.abandoned, run.waiting) == (0, 2, 0)
    event = world.last_event()
    assert (event.action, event.outcome, event.reason) == ("token.abandoned", Outcome.FAILURE, "unsupported")


@pytest.mark.requirement("OAU-013")
async def test_a_round_sweeps_authorizations_of_tenants_that_never_come_back(world, door):
    for tenant in (ACME, "globex", "initech"):
        await world.begin(tenant)
    world.clock.advance(timedelta(minutes=10))
    opened = await world.begin("umbrella")
    await door.worker.retry_revocations()
    assert {pending.tenant_id for pending in world.tables.pending.values()} == {"umbrella"}
    assert (await world.come_back(opened)).integration.tenant_id == "umbrella"


async def test_an_entry_that_somebody_edited_is_told_and_holds_up_no_other(world, door):
    await removed_while_down(world, door)
    key = next(iter(world.tables.outbox))
    world.tables.outbox[key] = replace(world.tables.outbox[key], facts={})
    world.provider.behave()
    world.pass_(minutes=1)
    run = await door.worker.retry_revocations()
    assert (run.revoked, run.delayed, run.waiting) == (1, 1, 1)
    [told] = [fact.facts for fact in world.facts.told if fact.name == "storage.damaged_row"]
    assert told == {"table": "ci_outbox", "row": str(key[1]), "tenant": ACME}
    receipt = await door.erase_tenant(ACME)
    assert receipt.not_revoked == 1


async def test_an_entry_of_a_kind_that_nobody_here_knows_is_left_alone(world, door):
    await removed_while_down(world, door)
    entry = an_entry(kind="note", sealed_payload=None, key_id=None, next_attempt_at=world.clock.now(), created_at=world.clock.now())
    world.rows.apply(AddEntry(entry=entry))
    world.provider.behave()
    world.pass_(minutes=1)
    run = await door.worker.retry_revocations()
    assert (run.revoked, run.waiting) == (2, 0)
    assert world.rows.list_entries(ACME, "note", limit=10) == (entry,)
