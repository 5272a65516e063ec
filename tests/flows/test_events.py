"""What happened is recorded and told as one: with its change, after its commit, once."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.integration import Health, State
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CommitUnknownError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import AddIntegration, SaveRenewal, SettleAttempt
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE
from .renewals import concerns, expired, put_around, token


def recorded(world, action):
    return [event for event in world.events() if event.action == action]


def recoveries(world):
    """What the audit log and the observer say of recoveries, which is the same."""
    told = [fact.facts for fact in world.facts.told if fact.name == "credential.recovered"]
    events = recorded(world, "credential.recovered")
    assert [dict(event.details) for event in events] == [{name: facts[name] for name in ("since", "was")} for facts in told]
    return [facts["was"] for facts in told]


def break_apply(world, change, error, *, afterwards=False, times=1):
    """Let the next *times* units of work with *change* fail, before or after they were made."""
    left = [times]

    async def around(name, args, go):
        struck = name == "apply" and concerns(args, change) and left[0] > 0
        if struck and not afterwards:
            left[0] -= 1
            raise error
        result = await go()
        if struck:
            left[0] -= 1
            raise error
        return result

    put_around(world.door, around, "store")


# A recovery


async def test_a_renewal_that_works_again_is_told_with_what_it_was_and_since_when(world):
    held = await expired(world)
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await token(world)
    assert recoveries(world) == []
    since = world.row(held).facts.state_since
    world.pass_(minutes=20)
    await token(world)
    assert recoveries(world) == ["retrying"]
    [event] = recorded(world, "credential.recovered")
    assert (event.resource, event.details["since"]) == (f"integration:{held.id}", since.isoformat())
    [fact] = [fact for fact in world.facts.told if fact.name == "credential.recovered"]
    assert (fact.facts["integration"], fact.facts["provider"], fact.facts["since"]) == (str(held.id), "simulated", since.isoformat())
    # It works, and that is no news.
    world.clock.advance(world.provider.access_lifetime)
    await token(world)
    assert recoveries(world) == ["retrying"]


async def test_an_answer_that_was_lost_and_an_application_that_was_refused_are_recovered_from(world):
    await expired(world)
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await token(world)
    world.pass_(minutes=30)
    with pytest.raises(ReconnectRequiredError):
        await token(world)
    [held] = await world.door.list_integrations(ACME)
    await world.reconnect(held)
    assert recoveries(world) == ["reconnect_required"]

    world.clock.advance(world.provider.access_lifetime)
    world.provider.misbehave(Misbehaviour.INVALID_CLIENT, endpoint="refresh")
    with pytest.raises(AppMisconfiguredError):
        await token(world)
    world.pass_(hours=2)
    await token(world)
    assert recoveries(world) == ["reconnect_required", "application_refused"]


async def test_a_new_key_for_a_dead_one_is_a_recovery(world):
    held = await world.add_key()
    world.provider.revoke_api_key(world.provider.valid_api_key)
    await world.door.verify(ACME, held.id)
    key = world.provider.issue_api_key()
    world.secrets.append(key.reveal())
    await world.door.replace_api_key(ACME, held.id, api_key=key, actor=ALICE)
    assert recoveries(world) == ["reconnect_required"]
    await world.door.replace_api_key(ACME, held.id, api_key=key, actor=ALICE)
    assert recoveries(world) == ["reconnect_required"]


async def test_a_reconnect_after_an_end_that_no_row_says_is_a_recovery(world):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, times=None, endpoint="exchange")
    held = await world.connect()
    await world.reconnect(held)
    assert recoveries(world) == []
    world.clock.advance(world.provider.access_lifetime)
    with pytest.raises(ReconnectRequiredError):
        await token(world)
    await world.reconnect(held)
    assert recoveries(world) == ["reconnect_required"]


async def test_switching_on_again_is_no_recovery(world):
    held = await world.connect()
    for status in ("inactive", "active"):
        await world.door.edit_integration(ACME, held.id, status=status, actor=ALICE)
    await world.reconnect(held)
    assert recoveries(world) == []


async def test_a_refresh_token_that_comes_alone_is_no_recovery_before_an_access_token_came(world):
    held = await expired(world)
    world.provider.misbehave(Misbehaviour.ACCESS_TOKEN_MISSING, times=None, endpoint="refresh")
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError):
            await token(world)
        assert world.row(held).facts.health is Health.RETRYING
        world.pass_(minutes=6)
    assert recoveries(world) == []
    world.provider.behave()
    world.provider.misbehave(Misbehaviour.ACCESS_TOKEN_MISSING, endpoint="refresh")
    await token(world)
    assert recoveries(world) == ["retrying"]


# A commit that fails, or of which nobody knows


async def test_a_change_that_was_not_made_is_not_told(world):
    break_apply(world, AddIntegration, StorageUnavailableError())
    with pytest.raises(StorageUnavailableError):
        await world.add_key()
    assert world.facts.names == []


async def test_a_renewal_whose_commit_is_found_out_about_later_is_told_once(world):
    await expired(world)
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await token(world)
    world.pass_(minutes=20)
    break_apply(world, SaveRenewal, CommitUnknownError(), afterwards=True)
    await token(world)
    assert world.facts.names.count("credential.refreshed") == 1
    assert recoveries(world) == ["retrying"]


async def test_a_grant_whose_commit_is_found_out_about_later_is_told_once(world):
    break_apply(world, AddIntegration, CommitUnknownError(), afterwards=True)
    await world.connect()
    assert world.facts.names == ["integration.connected"]
    assert len(recorded(world, "integration.connected")) == 1


async def test_a_verdict_that_was_not_written_is_not_told_and_found_again(world):
    held = await expired(world)
    world.provider.revoke_grant()
    break_apply(world, SettleAttempt, StorageUnavailableError())
    with pytest.raises(ReconnectRequiredError):
        await token(world)
    assert world.facts.names == ["integration.connected", "credential.unpersisted"]
    world.pass_(minutes=5)
    with pytest.raises(ReconnectRequiredError):
        await token(world)
    assert world.facts.names.count("credential.reconnect_required") == 1
    assert world.row(held).facts.state is State.NEEDS_REAUTH


async def test_a_verdict_that_may_have_been_written_is_told_for_nobody_else_will(world):
    await expired(world)
    world.provider.revoke_grant()
    break_apply(world, SettleAttempt, CommitUnknownError(), afterwards=True)
    for _ in range(2):
        with pytest.raises(ReconnectRequiredError):
            await token(world)
        world.pass_(minutes=5)
    assert world.facts.names == ["integration.connected", "credential.reconnect_required", "credential.unpersisted"]


async def test_what_others_stored_meanwhile_is_not_told_as_ones_own(world):
    held = await expired(world)
    reconnected = []

    async def around(name, args, go):
        if name == "apply" and concerns(args, SaveRenewal) and not reconnected:
            reconnected.append(await world.reconnect(held, door=world.open()))
        return await go()

    put_around(world.door, around, "store")
    await token(world)
    assert "credential.refreshed" not in world.facts.names
    assert [event.reason for event in recorded(world, "credential.refresh")][-1] == "superseded"


@pytest.mark.parametrize("change", ["delete", "erase_tenant", "refresh"])
async def test_whoever_is_told_of_a_change_finds_no_credential_of_before_in_memory(world, door, change):
    held = await world.connect()
    await door.credential(ACME, "simulated")
    tokens, tell, seen = door.wiring.tokens, world.facts.tell, []

    def look(fact):
        seen.append(tokens.find(ACME, "simulated"))
        tell(fact)

    assert tokens.find(ACME, "simulated") is not None
    world.facts.tell = look
    await getattr(door, change)(*((ACME,) if change == "erase_tenant" else (ACME, held.id)), actor="alice")
    assert seen
    assert not any(seen)
