"""Whatever people, workers and crashes do in whatever order: the key that is handed out works, and none is left behind."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_integrations.errors import (
    CloudIntegrationsError,
    IntegrationNotFoundError,
    KeyRotationError,
    StorageUnavailableError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, World
from .rotations import SLUG, Rotating

EXPECTED = (IntegrationNotFoundError, KeyRotationError, StorageUnavailableError)


class Machine:
    """One run of random steps over one integration."""

    def __init__(self, kind, random):
        self.random = random
        self.world = World(kind)
        self.keys = Rotating(self.world, makes=random.choice(("create", "roll")))
        self.other = self.world.open()
        """Another process, which has the key in its memory."""
        self.log = []

    async def run(self, steps):
        await self.keys.add()
        for _ in range(steps):
            name = self.random.choice(
                ("begin", "make", "make", "finish", "finish", "cancel", "reconnect", "delete", "work", "work", "outage")
            )
            self.log.append(name)
            if self.random.random() < 0.3:
                self.world.store.fail(self.random.randint(1, 4), afterwards=self.random.random() < 0.5)
            try:
                await getattr(self, name)()
            except EXPECTED:
                pass
            except CloudIntegrationsError:
                if not self.outage_is_on:
                    raise
            self.world.store.heal()
            if self.random.random() < 0.3:
                self.world.door = self.world.open()
            await self.check()
        self.world.provider.behave()
        for _ in range(3):
            await self.keys.work(days=8)
        await self.check()
        assert self.keys.waiting() == [0, 0], self.log
        self.world.facts.check(self.world.secrets)

    outage_is_on = False

    async def begin(self):
        key = self.keys.new_key()
        await self.keys.begin(key)

    async def make(self):
        try:
            await self.keys.make()
        finally:
            # What another process has in memory has ended at the provider; a 401 tells it.
            self.other = self.world.open()

    async def finish(self):
        await self.keys.finish(now=self.random.random() < 0.3)

    async def cancel(self):
        await self.keys.cancel()

    async def reconnect(self):
        key = self.keys.new_key()
        await self.world.door.replace_api_key(ACME, SLUG, api_key=key, actor=ALICE)

    async def delete(self):
        await self.world.door.delete(ACME, SLUG, revoke_key=self.random.random() < 0.5, actor=ALICE)

    async def work(self):
        await self.keys.work(minutes=self.random.choice((0, 1, 30, 90)))

    async def outage(self):
        self.outage_is_on = not self.outage_is_on
        self.world.provider.behave()
        if self.outage_is_on:
            self.world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
            self.world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="keys", times=None)

    async def check(self):
        """The key that is handed out works at the provider; without an integration nothing waits but revocations."""
        if not await self.world.door.list_integrations(ACME):
            assert self.keys.waiting()[0] == 0, self.log
            assert self.world.leaks_in(self.world.raw_dump()) == []
            key = self.keys.new_key()
            self.world.provider.behave()
            self.outage_is_on = False
            await self.world.add_key(api_key=key)
            # What a process has in memory may end with the integration.
            self.world.door, self.other = self.world.open(), self.world.open()
        for door in (self.world.door, self.other, self.world.open()):
            shown = (await door.credential(ACME, SLUG)).value
            assert self.world.provider.is_alive(shown), self.log
        self.world.pass_(microseconds=1)


@pytest.mark.parametrize("kind", ["blocking", "awaiting"])
@settings(max_examples=12, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_in_whatever_order_the_key_that_is_handed_out_works_and_none_is_left_behind(kind, random):
    asyncio.run(Machine(kind, random).run(25))
