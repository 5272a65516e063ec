"""A renewal that may have ended the old access token, and a lease that nobody needs any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.errors import ProviderUnavailableError, ReconnectRequiredError, StorageUnavailableError
from cloud_integrations.testing import Misbehaviour

from .answers import ask
from .conftest import ACME


def ends_old_access(world, **changes):
    world.provider.rotation, world.provider.reuse, world.provider.ends_old_access = "always", "strict", True
    for name, value in changes.items():
        setattr(world.provider, name, value)
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()


# A renewal that ends the old access token


@pytest.mark.requirement("REF-08", "Q38")
@pytest.mark.parametrize("what", [Misbehaviour.ERROR_AFTER, Misbehaviour.RESET_MID_BODY])
async def test_a_token_that_a_lost_renewal_may_have_ended_is_not_handed_out(world, what):
    ends_old_access(world)
    held = await world.connect()
    first = await world.door.credential(ACME, "simulated")
    world.provider.misbehave(what, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, held.id)
    # Neither memory nor the row says that it works, though its time is not over.
    assert world.clock.now() < first.expires_at - timedelta(minutes=30)
    got = await ask(world)
    assert isinstance(got, ProviderUnavailableError)
    world.clock.advance(got.retry_after + timedelta(milliseconds=1))
    # There is nothing to protect, so the one probe goes out at once and tells the truth.
    got = await ask(world)
    assert (type(got), got.reason) == (ReconnectRequiredError, "rotation_lost")


@pytest.mark.parametrize("what", [Misbehaviour.ERROR_AFTER, Misbehaviour.ANSWER_LOST])
async def test_who_loses_the_answer_is_not_given_the_old_token_either(world, what):
    ends_old_access(world)
    await world.connect()
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    world.provider.misbehave(what, endpoint="refresh")
    assert isinstance(await ask(world), ProviderUnavailableError)


async def test_a_renewal_that_was_not_acted_on_has_ended_no_token(world):
    ends_old_access(world)
    await world.connect()
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh")
    assert (await ask(world)).warning == "refresh_failed"


async def test_a_lost_request_that_the_provider_never_saw_is_made_good_by_the_probe(world):
    ends_old_access(world)
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.ERROR_BEFORE, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as lost:
        await world.door.refresh(ACME, held.id)
    world.clock.advance(lost.value.retry_after + timedelta(milliseconds=1))
    assert (await ask(world)).generation == 2


async def test_a_store_that_fails_says_nothing_against_the_old_token(world):
    ends_old_access(world)
    await world.connect()
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    reads = []

    def hook(name, _):
        if name == "find_integration" or (name == "find_credential" and name in reads):
            raise StorageUnavailableError
        reads.append(name)

    world.store.before = hook
    assert (await ask(world)).warning == "refresh_failed"


# A lease that nobody needs any more


@pytest.mark.requirement("REF-08")
@pytest.mark.parametrize(
    ("what", "over"),
    [
        (Misbehaviour.ERROR_BEFORE, True),
        (Misbehaviour.RESET_MID_BODY, True),
        (Misbehaviour.EMPTY_BODY, True),
        (Misbehaviour.TIMEOUT_BEFORE, False),
    ],
)
async def test_a_strict_holder_ends_its_lease_when_nothing_can_come_any_more(world, what, over):
    world.provider.rotation, world.provider.reuse = "always", "strict"
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()
    held = await world.connect()
    world.clock.advance(world.provider.access_lifetime)
    world.provider.misbehave(what, endpoint="refresh")
    got = await ask(world)
    assert isinstance(got, ProviderUnavailableError)
    row = world.row(held)
    assert (row.marks.lease_until is None) is over
    assert (got.retry_after < timedelta(seconds=2)) is over
    assert row.facts.state is State.UNKNOWN
    world.clock.advance(got.retry_after + timedelta(milliseconds=1))
    # One probe, by whoever comes first.
    got = await ask(world)
    assert world.provider.refresh_count == 2 or isinstance(got, ReconnectRequiredError)


async def test_a_strict_probe_still_waits_for_the_access_tokens_end(world):
    world.provider.rotation, world.provider.reuse = "always", "strict"
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.RESET_MID_BODY, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, held.id)
    assert world.row(held).marks.lease_until is None
    with pytest.raises(ProviderUnavailableError) as kept:
        await world.door.refresh(ACME, held.id)
    assert kept.value.retry_after == held.expires_at - world.clock.now()
    assert (await ask(world)).warning is None
    assert world.provider.refresh_count == 1
