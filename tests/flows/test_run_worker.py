"""The worker's rounds: how they follow each other, and when it pauses or ends; time passes by the pause, and nobody sleeps."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from itertools import pairwise

import pytest

from cloud_integrations.domain.removal import RevocationRun
from cloud_integrations.domain.renewal import RenewalRun, RoundFailed
from cloud_integrations.errors import KeyServiceUnavailableError, SchemaError, StorageUnavailableError, ValidationFailedError
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, rewire


class Working:
    """A worker that is stopped when it has told so many rounds of a kind."""

    def __init__(self, world, rounds, *, of=object):
        self.world = world
        self.stop = threading.Event() if world.blocking else asyncio.Event()
        self.told = []
        self._rounds = rounds
        self._kind = of

    def tell(self, done):
        self.told.append((done, self.world.clock.now()))
        if sum(isinstance(done, self._kind) for done, _ in self.told) == self._rounds:
            self.stop.set()

    async def run(self, **named):
        await self.world.door.worker.run(self.stop, on_round=self.tell, **named)
        return [done for done, _ in self.told]

    def pauses(self, kind):
        """The time between two rounds of a kind, in seconds."""
        times = [when for done, when in self.told if isinstance(done, kind)]
        return [(after - before).total_seconds() for before, after in pairwise(times)]


@pytest.fixture
def even(world):
    """No chance: a pause is as long as it is said to be."""

    class Half:
        bytes = staticmethod(world.entropy.bytes)

        @staticmethod
        def fraction():
            return 0.5

    rewire(world.door.manager, entropy=Half())
    return world


async def test_it_renews_and_revokes_until_it_is_asked_to_stop(even):
    await even.connect()
    even.pass_(minutes=59)
    working = Working(even, 6)
    # Revocations do not wait for a renewal, and their pauses let its time pass: so they are short.
    told = await working.run(interval=5)
    assert {type(done) for done in told} == {RenewalRun, RevocationRun}
    assert sum(done.renewed for done in told if isinstance(done, RenewalRun)) == even.provider.refresh_count == 1
    assert sum(isinstance(done, RenewalRun) for done in told) >= 2


async def test_full_rounds_follow_each_other_without_a_pause(world):
    for tenant in ("a", "b", "c", "d", "e"):
        await world.connect(tenant)
    world.pass_(minutes=59)
    working = Working(world, 3, of=RenewalRun)
    told = await working.run(limit=2)
    rounds = [done for done in told if isinstance(done, RenewalRun)]
    assert [done.claimed for done in rounds] == [2, 2, 1]
    # Beside them, in the awaiting manager, the rounds over the revocations have let time pass.
    assert not world.blocking or working.pauses(RenewalRun) == [0, 0]


async def test_trouble_is_told_and_tried_again_more_and_more_slowly(even):
    even.store.before = fail("claim_entries")
    working = Working(even, 7)
    told = await working.run(renew=False)
    assert all(isinstance(done, RoundFailed) and isinstance(done.error, StorageUnavailableError) for done in told)
    assert [done.retry_in.total_seconds() for done in told] == [1, 2, 4, 8, 16, 30, 30]
    assert working.pauses(RoundFailed) == pytest.approx([1, 2, 4, 8, 16, 30])
    assert even.facts.names == ["worker.round_failed"] * 7


async def test_after_a_good_round_trouble_begins_anew(even):
    even.store.before = fail("sweep_pending", but={3})
    told = await Working(even, 4).run(renew=False)
    pauses = [done.retry_in.total_seconds() if isinstance(done, RoundFailed) else "good" for done in told]
    assert pauses == [1, 2, "good", 1]


async def test_a_store_that_is_away_at_the_start_is_waited_for(world):
    world.store.before = fail("prepare", but=range(3, 99))
    told = await Working(world, 3).run(renew=False)
    assert [type(done) for done in told] == [RoundFailed, RoundFailed, RevocationRun]


async def test_trouble_of_one_kind_of_round_holds_up_no_other(even):
    even.store.before = fail("claim_entries")
    told = await Working(even, 12).run()
    assert {RenewalRun, RoundFailed} == {type(done) for done in told}
    assert sum(isinstance(done, RenewalRun) for done in told) >= 2


@pytest.mark.parametrize("error", [SchemaError(found="0", expected="1"), RuntimeError("test")], ids=["schema", "unknown"])
async def test_what_time_does_not_heal_ends_it(world, error):
    world.store.before = fail("claim_due", error=error)
    working = Working(world, 50)
    with pytest.raises(type(error)):
        await working.run()
    assert not [done for done, _ in working.told if not isinstance(done, RevocationRun)]


async def test_what_the_callback_raises_ends_it(world):
    def tell(_):
        raise LookupError("test")

    stop = threading.Event() if world.blocking else asyncio.Event()
    with pytest.raises(LookupError):
        await world.door.worker.run(stop, on_round=tell)


async def test_a_key_service_that_does_not_answer_is_waited_for(even):
    even.store.before = fail("prepare", but=range(2, 99), error=KeyServiceUnavailableError(reason="timeout"))
    told = await Working(even, 2).run(renew=False)
    assert [type(done) for done in told] == [RoundFailed, RevocationRun]


async def test_stopped_before_it_begins_it_does_nothing(world):
    working = Working(world, 1)
    working.stop.set()
    assert await working.run() == []
    assert world.store.calls == []


async def test_asked_to_stop_it_begins_no_other_round(world):
    for tenant in ("a", "b", "c"):
        await world.connect(tenant)
    world.pass_(minutes=59)
    working = Working(world, 1)
    await working.run(limit=1)
    assert world.provider.refresh_count <= 1


async def test_once_it_works_until_nothing_is_due_and_then_revokes(world):
    for tenant in ("a", "b", "c", "d"):
        await world.connect(tenant)
    world.pass_(minutes=59)
    told = await Working(world, 99).run(limit=2, once=True)
    assert [getattr(done, "renewed", "revoked") for done in told] == [2, 2, 0, "revoked"]


async def test_once_trouble_is_an_error(world):
    world.store.before = fail("claim_due")
    with pytest.raises(StorageUnavailableError):
        await Working(world, 99).run(once=True)


async def test_revocations_alone_renew_nothing(world):
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=2)
    await world.door.delete(ACME, held.id, actor="alice")
    world.pass_(hours=1)
    told = await Working(world, 1).run(renew=False)
    assert [done.revoked for done in told] == [2]


async def test_pauses_differ_by_a_fifth(world):
    working = Working(world, 100)
    await working.run(renew=False, interval=timedelta(minutes=1))
    pauses = working.pauses(RevocationRun)
    assert all(48 <= pause <= 72 for pause in pauses)
    assert len(set(pauses)) > 50


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"interval": -1}, "interval"),
        ({"once": 1}, "once"),
        ({"renew": None}, "renew"),
    ],
)
async def test_a_wrong_argument_is_refused_before_anything_is_done(world, named, field):
    with pytest.raises(ValidationFailedError) as caught:
        await Working(world, 1).run(**named)
    assert caught.value.field == field
    assert world.store.calls == []


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
async def test_a_cancelled_worker_leaves_no_task(world):
    before = asyncio.all_tasks()
    begun = asyncio.Event()
    world.store.before = lambda *_: begun.set()
    task = asyncio.create_task(world.door.worker.run(asyncio.Event()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
async def test_a_long_pause_ends_with_the_stop(world):
    class Never:
        async def pause(self, _seconds, /):
            await asyncio.Event().wait()

    rewire(world.door.manager, pause=Never())
    assert len(await Working(world, 2).run()) == 2


def fail(name, *, but=(), error=None):
    """Let each call to *name* raise, but for those with these numbers."""
    seen = 0

    def before(called, _):
        nonlocal seen
        if called == name:
            seen += 1
            if seen not in but:
                raise error or StorageUnavailableError()

    return before
