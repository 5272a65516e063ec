"""What becomes of the tokens that a reconnect replaces, or leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import GrantRefusedError
from cloud_integrations.ports.store import TakeLease
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE
from .grants import DECLARED, at_answer, declaring, held_tokens, honoured, replaced_words, told, waiting_tokens

# What a reconnect replaces


async def test_a_reconnect_revokes_what_it_replaced(world, door):
    held = await world.connect()
    await world.reconnect(held)
    assert await honoured(world)
    assert len(world.provider.living_grants()) == 1
    assert [why for why, *_ in told(world, "token.revoked")] == [Outcome.SUCCESS] * 2
    await door.delete(ACME, held.id)
    assert world.provider.living_grants() == ()


async def test_what_a_reconnect_replaced_is_in_the_outbox_before_anything_is_sent(world, door):
    held = await world.connect()
    old = await held_tokens(world)
    seen = []
    world.on_send = lambda request: seen.append(world.rows.count_entries("revocation")) if request.url.endswith("/revoke") else None
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=2, endpoint="revoke")
    await world.reconnect(held)
    assert seen == [2, 2]
    assert await waiting_tokens(world) == old
    world.pass_(minutes=2)
    assert (await door.worker.retry_revocations()).revoked == 2
    assert len(world.provider.living_grants()) == 1


@pytest.mark.parametrize("kills", DECLARED)
async def test_what_the_tenants_other_account_had_granted_is_revoked(world, kills):
    declaring(world, kills)
    held = await world.connect()
    world.provider.account = "acct-2"
    await world.reconnect(held)
    assert await honoured(world)
    assert len(world.provider.living_grants()) == 1
    assert world.rows.count_entries("revocation") == 0


async def test_where_a_revocation_ends_the_grant_the_replaced_tokens_end_with_the_integration(world):
    door = declaring(world, "grant")
    held = await world.connect()
    await world.reconnect(held)
    assert replaced_words(world) == ["ends_grant"]
    assert world.provider.count("revoke") == 0
    assert await honoured(world)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token, removal.waiting) == (RevocationOutcome.REVOKED, RevocationOutcome.SKIPPED, 0)
    assert world.provider.living_grants() == ()


async def test_where_nobody_knows_what_a_revocation_ends_the_replaced_tokens_wait_until_the_integration_goes(world):
    door = declaring(world, None)
    held = await world.connect()
    await world.reconnect(held)
    assert await honoured(world)
    assert (world.provider.count("revoke"), world.rows.count_entries("revocation")) == (0, 2)
    assert told(world, "token.kept") == [(Outcome.SUCCESS, "ends_grant", kind) for kind in ("refresh", "access")]
    for _ in range(3):
        world.pass_(days=20)
        run = await door.worker.retry_revocations()
        assert (run.delayed, run.waiting) == (2, 2)
    # Said once, however long it takes, and never abandoned.
    assert len(told(world, "token.kept")) == 2
    removal = await door.delete(ACME, held.id)
    assert removal.waiting == 2
    assert (await door.worker.retry_revocations()).revoked == 2
    assert world.provider.living_grants() == ()


async def test_what_waited_for_its_integration_to_go_is_tried_again_where_the_provider_is_down_then(world):
    door = declaring(world, None)
    held = await world.connect()
    await world.reconnect(held)
    world.pass_(days=40)
    await door.delete(ACME, held.id)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=2, endpoint="revoke")
    run = await door.worker.retry_revocations()
    assert (run.delayed, run.abandoned) == (2, 0)


async def test_a_grant_of_an_application_that_is_no_longer_the_same_is_said_to_be_left(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    row = world.row(held)
    world.tables.integrations[ACME, held.id] = replace(row, facts=replace(row.facts, context_id=uuid4()))
    await world.come_back(begun)
    assert replaced_words(world) == ["unsupported"]
    assert world.provider.count("revoke") == 0


async def test_a_provider_that_cannot_revoke_has_what_was_replaced_said_in_the_audit(world):
    door = declaring(world, "token")
    entry = world.entries[0]
    method = entry.methods[0].model_copy(update={"revoke": None})
    door = world.open(providers=[entry.model_copy(update={"methods": (method,)})])
    held = await world.connect(door=door)
    await world.reconnect(held, door=door)
    assert replaced_words(world) == ["unsupported"]


async def test_replaced_tokens_that_do_not_open_are_said_to_be_left(world, door):
    held = await world.connect()
    row = world.row(held)
    spoilt = replace(row.credential, presented=b"not sealed", renewal=b"not sealed")
    world.tables.integrations[ACME, held.id] = replace(row, credential=spoilt)
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    await world.reconnect(held)
    assert replaced_words(world) == ["does_not_open"]
    assert not world.row(held).facts.renewable


async def test_a_grant_that_nobody_can_give_back_is_said_to_be_left(world):
    declaring(world, "token")
    entry = world.entries[0]
    method = entry.methods[0].model_copy(update={"revoke": None})
    door = world.open(providers=[entry.model_copy(update={"methods": (method,)})], settings=world.settings(pin_accounts=True))
    held = await world.connect(door=door)
    world.provider.account = "acct-2"
    with pytest.raises(GrantRefusedError):
        await world.reconnect(held, door=door)
    assert told(world, "token.abandoned") == [(Outcome.FAILURE, "unsupported", kind) for kind in ("refresh", "access")]


# A reconnect without a refresh token


@pytest.mark.requirement("Q09", "Q35")
async def test_a_reconnect_by_the_same_account_keeps_the_refresh_token_that_is_held(world, door):
    held = await world.connect()
    old = await held_tokens(world)
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    await world.reconnect(held)
    kept = await held_tokens(world) & old
    assert len(kept) == 1
    assert world.row(held).marks.due_at is not None
    # Of what was held, the access token alone was given back.
    assert told(world, "token.revoked") == [(Outcome.SUCCESS, None, "access")]
    world.pass_(hours=2)
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)
    assert world.provider.requests[-1].presented in kept


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("busy", [False, True])
async def test_a_kept_refresh_token_that_a_renewal_was_spending_gives_way_to_what_came_for_it(world, kills, busy):
    world.provider.kills = "token"
    door, other = declaring(world, kills), world.open()
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    world.pass_(minutes=9)
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")

    async def overtake():
        await world.come_back(begun, door=other)
        if busy:
            world.rows.apply(
                TakeLease(
                    tenant_id=ACME,
                    integration_id=held.id,
                    expected_generation=2,
                    attempt_id="later",
                    owner="later",
                    length=timedelta(seconds=30),
                    takeover_delay=timedelta(),
                )
            )

    at_answer(world, "/token", overtake)
    await door.refresh(ACME, held.id)
    row = world.row(held)
    assert (row.credential.generation, row.facts.state) == (3, State.ACTIVE)
    # The access token is the reconnect's, the refresh token the renewal's.
    assert await honoured(world)
    world.pass_(hours=2)
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)
    assert (await door.audit.verify(ACME)).whole


async def test_a_kept_refresh_token_ends_when_it_did(world):
    declaring(world, "token")
    entry = world.entries[0]
    [method] = entry.methods
    ends = method.model_copy(update={"refresh_token": method.refresh_token.model_copy(update={"absolute": timedelta(days=90)})})
    door = world.open(providers=[entry.model_copy(update={"methods": (ends,)})])
    held = await world.connect(door=door)
    world.pass_(days=10)
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    again = (await world.reconnect(held, door=door)).integration
    assert again.reconnect_before == held.reconnect_before


@pytest.mark.parametrize("other", ["account", "unknown"])
async def test_a_reconnect_by_another_or_an_unknown_account_keeps_no_refresh_token(world, door, other):
    held = await world.connect()
    if other == "account":
        world.provider.account = "acct-2"
    else:
        world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    await world.reconnect(held)
    assert not world.row(held).facts.renewable
    assert await honoured(world)
    assert len(world.provider.living_grants()) == 1
