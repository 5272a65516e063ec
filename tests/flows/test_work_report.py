"""What waits to be done, and how many integrations work, as the operator sees it."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.work_report import DueCount, HealthCount, WorkReport
from cloud_integrations.errors import ReconnectRequiredError
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE


async def test_nothing_waits_in_an_empty_installation(world, door):
    assert await door.worker.report() == WorkReport(due=DueCount(count=0))


async def test_what_waits_and_what_does_not_work_is_counted_over_all_tenants(world, door):
    first, removed = await world.connect(), await world.connect("initech")
    await world.connect("globex")
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    await door.delete("initech", removed.id, actor=ALICE)
    removed_at = world.clock.now()
    world.pass_(minutes=61)
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        await door.credential("globex", world.provider.slug)
    report = await door.worker.report()
    assert report.due == DueCount(count=1, since=world.row(first).marks.due_at)
    (waiting,) = report.outbox
    assert (waiting.kind, waiting.count, waiting.since <= removed_at < waiting.due_since) == ("revocation", 2, True)
    about = {"provider": world.provider.slug, "provider_id": first.provider_id, "count": 1}
    assert report.integrations == (HealthCount(health=Health.OK, **about), HealthCount(health=Health.RECONNECT_REQUIRED, **about))
    assert not any(tenant in str(report.as_dict()) for tenant in (ACME, "globex", "initech"))


async def test_a_provider_that_the_catalogue_does_not_have_any_more_is_named_by_its_id(world):
    integration = await world.connect()
    other = world.open(providers=world.entries[1:2], applications=[])
    (counted,) = (await other.worker.report()).integrations
    assert (counted.provider, counted.provider_id) == (str(integration.provider_id), integration.provider_id)
