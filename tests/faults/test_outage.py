"""An outage of an hour at a provider with thousands of integrations: one event each, and one when it is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.sizes import FULL

from cloud_integrations.testing import Misbehaviour

from .test_scale import SETTINGS, Crowd

MANY = 10_000 if FULL else 2_000
STEP = timedelta(minutes=20)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_outage_of_an_hour_is_one_event_and_one_recovery_for_each_of_thousands():
    told = []

    async def take(message):
        told.append((message.integration_id, message.name, message.id))

    crowd = Crowd(MANY, settings=replace(SETTINGS, events=True), handlers={"all": take})
    manager = crowd.awaiting

    async def outage():
        crowd.clock.advance(crowd.provider.access_lifetime)
        crowd.provider.misbehave(Misbehaviour.RATE_LIMITED, times=None, endpoint="refresh")
        for _ in range(timedelta(hours=1) // STEP):
            await work()
        assert not {name for _, name, _ in told} - {"integration.connected", "credential.retrying"}
        crowd.provider.behave()
        # Within the longest pause between two attempts; and a round more, in which nothing is said again.
        for _ in range(3):
            await work()

    async def work():
        crowd.clock.advance(STEP)
        await manager.worker.refresh_due(limit=10_000)
        while True:
            run = await manager.worker.deliver_events(limit=10_000)
            if not run.events and not run.delivered:
                return

    asyncio.run(outage())
    of_each = Counter((integration_id, name) for integration_id, name, _ in told if name != "integration.connected")
    assert max(of_each.values()) == 1
    names = Counter(name for _, name in of_each)
    assert names == {"credential.retrying": MANY, "credential.recovered": MANY}
    assert len({message_id for _, _, message_id in told}) == len(told)
