"""Tokens are renewed ahead of time, by whoever calls."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.signals import SoftTimeLimitError, time_is_up

from cloud_integrations.domain.renewal import RenewalRun
from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, World, changed_method


async def test_nothing_is_renewed_before_its_time(world, door):
    await world.connect()
    assert await door.worker.refresh_due() == RenewalRun()
    assert world.provider.refresh_count == 0


async def test_what_is_due_is_renewed_once_and_is_then_no_longer_due(world, door):
    integration = await world.connect()
    world.pass_(minutes=59)
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, renewed=1)
    assert await door.worker.refresh_due() == RenewalRun()
    assert world.provider.refresh_count == 1
    due_at = world.row(integration).marks.due_at
    assert world.clock.now() + timedelta(minutes=30) <= due_at < world.clock.now() + timedelta(minutes=60)


async def test_a_grant_whose_method_was_renamed_is_renewed(world):
    await world.connect()
    world.pass_(minutes=59)
    renamed = changed_method(world, id="renamed")
    assert await renamed.worker.refresh_due() == RenewalRun(claimed=1, renewed=1)


@pytest.mark.requirement("Q39")
async def test_a_refresh_token_that_would_end_unused_is_used_while_the_access_token_still_works(world):
    world.provider.access_lifetime = timedelta(days=365)
    world.entries = list(world.provider.catalogue_entries())
    facts = world.entries[0].methods[0].refresh_token
    door = changed_method(world, refresh_token=facts.model_copy(update={"idle": timedelta(days=30)}))
    await world.connect(door=door)
    for _ in range(2):
        world.pass_(days=20)
        assert await door.worker.refresh_due() == RenewalRun()
        world.pass_(days=5)
        assert await door.worker.refresh_due() == RenewalRun(claimed=1, renewed=1)


async def test_many_rounds_at_once_renew_each_token_once(world, door):
    tenants = [f"tenant-{number}" for number in range(12)]
    for tenant in tenants:
        await world.connect(tenant)
    world.pass_(minutes=59)
    runs = await door.together(4, "worker.refresh_due", limit=5)
    assert sum(run.renewed for run in runs) + (await door.worker.refresh_due()).renewed == len(tenants)
    assert world.provider.refresh_count == len(tenants)


async def test_a_round_takes_no_more_than_its_limit(world, door):
    for number in range(3):
        await world.connect(f"tenant-{number}")
    world.pass_(minutes=59)
    assert (await door.worker.refresh_due(limit=2)).claimed == 2
    assert (await door.worker.refresh_due(limit=2)).claimed == 1


async def test_what_is_switched_off_or_removed_is_left_alone(world, door):
    off = await world.connect()
    gone = await world.connect("other")
    await door.edit_integration(ACME, off.id, status="inactive")
    await door.delete("other", gone.id)
    world.pass_(minutes=59)
    assert await door.worker.refresh_due() == RenewalRun()


async def test_what_is_switched_on_again_is_due_when_its_token_ends(world, door):
    held = await world.connect()
    await door.edit_integration(ACME, held.id, status="inactive")
    await door.edit_integration(ACME, held.id, status="active")
    assert await door.worker.refresh_due() == RenewalRun()
    world.pass_(minutes=61)
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, renewed=1)


async def test_a_dead_grant_is_counted_and_not_tried_again(world, door):
    await world.connect()
    world.provider.revoke_grant()
    world.pass_(minutes=59)
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, reconnect_required=1)
    world.pass_(hours=2)
    assert await door.worker.refresh_due() == RenewalRun()


async def test_a_provider_that_is_down_postpones_and_the_row_comes_back_at_its_next_time(world, door):
    integration = await world.connect()
    world.pass_(minutes=59)
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, times=1, endpoint="refresh")
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, postponed=1)
    marks = world.row(integration).marks
    assert marks.due_at == marks.next_attempt_at
    world.clock.advance(marks.due_at - world.clock.now() + timedelta(seconds=1))
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, renewed=1)


async def test_an_integration_that_is_removed_between_claim_and_renewal_is_gone(world, door):
    held = await world.connect()
    world.pass_(minutes=59)
    claim = world.rows.claim_due

    def claim_and_lose(**how):
        claimed = claim(**how)
        world.tables.integrations.pop((held.tenant_id, held.id))
        return claimed

    world.rows.claim_due = claim_and_lose
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, gone=1)


async def test_a_store_that_fails_leaves_the_row_to_the_next_round_but_one(world, door):
    await world.connect()
    world.pass_(minutes=59)
    world.store.fail(1, error=StorageUnavailableError)
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, failed=1)
    world.store.heal()
    assert await door.worker.refresh_due() == RenewalRun()
    world.pass_(minutes=6)
    assert await door.worker.refresh_due() == RenewalRun(claimed=1, renewed=1)


@pytest.mark.requirement("REF-13")
def test_a_time_limit_ends_a_round_and_is_not_counted_as_one_rows_trouble():
    world = World("blocking")
    for number in range(3):
        run_inline(world.connect(f"tenant-{number}"))
    world.pass_(minutes=59)
    with time_is_up() as world.on_send, pytest.raises(SoftTimeLimitError):
        run_inline(world.door.worker.refresh_due())
    world.on_send = None
    assert world.provider.refresh_count == 0
    world.pass_(minutes=10)
    assert run_inline(world.door.worker.refresh_due()).renewed >= 2


async def test_due_times_are_spread_and_few_requests_are_out_at_once(awaiting_world):
    world = awaiting_world
    for number in range(40):
        await world.connect(f"tenant-{number}")
    due = {row.marks.due_at for row in world.tables.integrations.values()}
    assert len(due) == 40
    assert max(due) - min(due) > timedelta(minutes=3)
    world.pass_(minutes=59)
    assert await world.door.worker.refresh_due() == RenewalRun(claimed=40, renewed=40)
    assert world.provider.concurrency_max <= 8
