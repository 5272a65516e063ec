"""What is not needed any more is given back, and nothing that a stored credential lives on; the provider is the oracle."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.identifiers import tenant_id
from cloud_integrations.domain.importing import ImportedCredential
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationInactiveError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.revocation import REVOCATION_TABLE
from cloud_integrations.flows.shared.sealing import INDEX_SCOPE, open_sealed, open_token
from cloud_integrations.ports.store import DamagedRow, EraseIntegration, SaveFacts, TakeLease
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import ACME, ALICE, GLOBEX, World
from .test_no_orphans import repeat_tokens

DECLARED = ["token", "grant", None]


@pytest.fixture
def blocking():
    """A world whose hooks may use a manager: the flows are the same for both."""
    return World("blocking")


def declaring(world, kills):
    """Let the provider's data say what a revocation ends; where it says `grant`, the provider does it."""
    world.provider.kills = kills or "token"
    entry = world.provider.catalogue_entries()[0]
    [method] = entry.methods
    revoke = method.revoke.model_copy(update={"kills": kills})
    world.entries[0] = entry.model_copy(update={"methods": (method.model_copy(update={"revoke": revoke}),)})
    world.door = world.open()
    return world.door


async def held_tokens(world):
    """The ids of all tokens that stored credentials hold."""
    wiring = world.door.manager._wiring
    found = set()
    for row in list(world.rows._tables.integrations.values()):
        found |= {token_id(token) for name in ("access", "refresh") if (token := await open_token(wiring, row, name))}
    return found


async def waiting_tokens(world):
    """The ids of all tokens in the outbox."""
    wiring = world.door.manager._wiring
    return {
        token_id(await open_sealed(wiring, entry.tenant_id, entry.sealed_token, table=REVOCATION_TABLE, row=str(entry.id), field="token"))
        for entry in list(world.rows._tables.revocations.values())
    }


async def orphans(world):
    """The living grants of which nothing is held or waits to be revoked."""
    known = await held_tokens(world) | await waiting_tokens(world)
    return [grant for grant in world.provider.living_grants() if not grant & known]


async def honoured(world):
    """Whether every token that is stored still works."""
    alive = set().union(*world.provider.living_grants())
    return await held_tokens(world) <= alive


def told(world, action, tenant=ACME):
    return [(event.outcome, event.reason, event.details["token"]) for event in world.events(tenant) if event.action == action]


def at_answer(world, path, act):
    """Do *act*, which may be awaited, once, when the provider's next answer from *path* is on its way."""

    def hook(request, _response):
        if request.url.endswith(path):
            world.on_answer = None
            done = act()
            if inspect.isawaitable(done):
                return run_inline(done) if world.blocking else done
        return None

    world.on_answer = hook


# The paths on which a token that is in use was given back


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_of_two_callbacks_at_once_the_second_ends_nothing_that_the_first_stored(world, kills, same):
    declaring(world, kills)
    if same:
        repeat_tokens(world.provider)
    first, second = await world.begin(), await world.begin()
    at_answer(world, "/token", lambda: world.come_back(first))
    with pytest.raises(IntegrationExistsError):
        await world.come_back(second)
    assert await honoured(world)
    if same or kills == "grant":
        # The same token, or another of the one grant that the account has given.
        reason = "held" if same else "ends_grant"
        assert [why for _, why, _ in told(world, "token.kept")] == [reason] * (2 if kills != "grant" else 1)
        assert world.rows.count_revocations() == 0
    else:
        assert await orphans(world) == []
        assert world.rows.count_revocations() == (0 if kills == "token" else 2)


@pytest.mark.parametrize("kills", ["grant", None])
async def test_where_nobody_knows_whose_a_grant_is_it_waits_while_the_tenant_has_an_integration(world, kills):
    declaring(world, kills)
    # Both know no account: the check of whose it is gets no answer.
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="me")
    first, second = await world.begin(), await world.begin()
    at_answer(world, "/token", lambda: world.come_back(first))
    with pytest.raises(IntegrationExistsError):
        await world.come_back(second)
    assert await honoured(world)
    assert {why for _, why, _ in told(world, "token.kept")} == {"ends_grant"}
    assert world.rows.count_revocations() == (1 if kills == "grant" else 2)


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_a_reconnect_that_cannot_be_stored_ends_nothing_that_is_held(world, kills, same):
    door = declaring(world, kills)
    if same:
        repeat_tokens(world.provider)
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    world.store.heal()
    assert await honoured(world)
    if kills == "token":
        assert await orphans(world) == []
    assert ("token.left_behind" in world.facts.names) is (kills is None and not same)


async def test_nothing_is_sent_while_nobody_can_say_who_holds_it(world, door):
    begun = await world.begin()
    params = world.approve(begun)

    def down(name, _):
        if name in {"apply", "find_holders"} and world.provider.count("exchange"):
            raise StorageUnavailableError

    world.store.before = down
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    assert world.provider.count("revoke") == 0
    assert [fact.facts["token"] for fact in world.facts.told if fact.name == "token.left_behind"] == ["refresh", "access"]


async def test_nothing_is_sent_while_the_key_of_fingerprints_cannot_be_had(world, door):
    begun = await world.begin()

    def forget():
        door.manager._wiring.data_keys.clear()
        world.store.fail(1, "find_active_key", times=1_000)

    at_answer(world, "/token", forget)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun)
    assert world.provider.count("revoke") == 0
    assert world.facts.names.count("token.left_behind") == 2


async def test_a_grant_that_cannot_be_stored_waits_in_the_outbox_until_the_provider_is_back(world, door):
    begun = await world.begin()
    other = await world.begin(tenant=GLOBEX)
    await world.come_back(other)
    params = world.approve(begun)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    world.store.fail(1, times=5)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    assert world.rows.count_revocations() == 2
    assert await orphans(world) == []
    world.provider.behave()
    world.pass_(minutes=2)
    assert (await door.worker.retry_revocations()).revoked == 2
    assert len(world.provider.living_grants()) == 1


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_a_reconnect_that_is_answered_after_a_switch_off_ends_nothing_that_is_held(world, kills, same):
    door = declaring(world, kills)
    if same:
        repeat_tokens(world.provider)
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    at_answer(world, "/token", lambda: door.manager.edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(GrantRefusedError):
        await world.come_back(begun)
    assert await honoured(world)
    if kills != "grant":
        assert await orphans(world) == []
    await door.edit_integration(ACME, held.id, status="active")
    world.pass_(minutes=50)
    assert (await door.credential(ACME, "simulated", min_ttl=world.provider.access_lifetime / 2)).warning is None


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("repeats", [True, False])
async def test_what_a_renewal_brings_during_a_switch_off_is_kept_for_when_it_is_switched_on(world, kills, repeats):
    door = declaring(world, kills)
    held = await world.connect()
    world.pass_(hours=2)
    if repeats:
        world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_SAME, endpoint="refresh")
    at_answer(world, "/token", lambda: door.manager.edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(IntegrationInactiveError):
        await door.credential(ACME, "simulated")
    row = world.row(held)
    assert (row.facts.state, row.facts.reason, row.credential.generation) == (State.DISABLED, "switched_off", 2)
    assert await honoured(world)
    assert world.provider.count("revoke") == 0
    await door.edit_integration(ACME, held.id, status="active")
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)
    assert world.provider.refresh_count == 1
    assert (await door.audit.verify(ACME)).whole


async def test_a_dead_grant_that_is_healed_during_a_switch_off_works_when_it_is_switched_on(world):
    door = world.door
    held = await world.connect()
    dead = replace(world.row(held).facts, state=State.NEEDS_REAUTH, reason="revoked")
    world.rows.apply(SaveFacts(facts=dead, expected_state=State.ACTIVE))
    at_answer(world, "/token", lambda: door.manager.edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(IntegrationInactiveError):
        await door.refresh(ACME, held.id)
    assert (world.row(held).facts.state, world.row(held).facts.reason) == (State.DISABLED, "switched_off")
    assert (await door.edit_integration(ACME, held.id, status="active")).state is State.ACTIVE
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)


async def test_late_tokens_of_a_grant_that_a_replay_has_ended_do_not_heal_what_was_switched_off(world):
    world.provider.reuse = "family"
    door = declaring(world, "token")
    other = world.open()
    held = await world.connect()
    world.pass_(hours=2)

    async def overtake():
        world.pass_(minutes=1)
        with pytest.raises(ReconnectRequiredError):
            await other.refresh(ACME, held.id)
        await other.edit_integration(ACME, held.id, status="inactive")

    at_answer(world, "/token", overtake)
    with pytest.raises(IntegrationInactiveError):
        await door.refresh(ACME, held.id)
    assert (world.row(held).facts.state, world.row(held).facts.reason) == (State.DISABLED, "rotation_lost")


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_a_renewal_that_a_reconnect_overtakes_ends_nothing_that_the_reconnect_stored(world, kills, same):
    door = declaring(world, kills)
    if same:
        world.provider.rotation = "never"
        repeat_tokens(world.provider)
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    world.pass_(minutes=9)
    at_answer(world, "/token", lambda: world.come_back(begun))
    await door.refresh(ACME, held.id)
    assert await honoured(world)
    if kills == "token":
        assert await orphans(world) == []
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)


@pytest.mark.parametrize("kills", DECLARED)
async def test_a_renewal_that_a_reconnect_and_its_renewal_overtake_leaves_nothing_behind(world, kills):
    door, other = declaring(world, kills), world.open()
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    world.pass_(minutes=9)

    async def overtake():
        await world.come_back(begun, door=other)
        await other.refresh(ACME, held.id)

    at_answer(world, "/token", overtake)
    await door.refresh(ACME, held.id)
    assert world.row(held).credential.generation == 3
    assert await honoured(world)
    # Of what the reconnect replaced, and of what the renewal brought for it, two tokens each.
    assert (world.provider.count("revoke"), world.rows.count_revocations()) == {"token": (4, 0), "grant": (0, 0), None: (0, 4)}[kills]
    assert [why for _, why, _ in told(world, "token.kept")] == ([] if kills == "token" else ["ends_grant"] * (1 if kills == "grant" else 4))
    await door.delete(ACME, held.id)
    await door.worker.retry_revocations()
    assert world.provider.living_grants() == ()


@pytest.mark.parametrize("kills", DECLARED)
async def test_a_reconnect_that_brings_the_same_tokens_ends_neither(world, kills):
    declaring(world, kills)
    repeat_tokens(world.provider)
    held = await world.connect()
    await world.reconnect(held)
    assert await honoured(world)
    assert world.provider.count("revoke") == 0
    assert replaced_words(world) == ["none"]


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
    world.on_send = lambda request: seen.append(world.rows.count_revocations()) if request.url.endswith("/revoke") else None
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
    assert world.rows.count_revocations() == 0


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
    assert (world.provider.count("revoke"), world.rows.count_revocations()) == (0, 2)
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
    world.rows._tables.integrations[ACME, held.id] = replace(row, facts=replace(row.facts, context_id=uuid4()))
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
    world.rows._tables.integrations[ACME, held.id] = replace(row, credential=spoilt)
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


# Tokens that several integrations hold


@pytest.mark.parametrize("kills", DECLARED)
async def test_a_token_that_another_tenant_holds_is_revoked_by_the_one_who_goes_last(world, kills):
    door = declaring(world, kills)
    repeat_tokens(world.provider)
    one, two = await world.connect(), await world.connect(GLOBEX)
    removal = await door.delete(ACME, one.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.SHARED, RevocationOutcome.SHARED)
    assert world.provider.count("revoke") == 0
    assert await honoured(world)
    removal = await door.delete(GLOBEX, two.id)
    assert removal.refresh_token is RevocationOutcome.REVOKED
    assert world.provider.living_grants() == ()
    assert world.rows.count_revocations() == 0


async def test_of_two_tenants_who_remove_a_shared_token_at_once_the_last_revokes_it(blocking):
    world = blocking
    door = world.door
    repeat_tokens(world.provider)
    one, two = await world.connect(), await world.connect(GLOBEX)

    def other_goes_first(name, args):
        if name == "apply" and any(isinstance(change, EraseIntegration) for change in args):
            world.store.after = None
            world.removed = door.manager.delete(GLOBEX, two.id)

    # Both rows are gone before either looks for a holder.
    world.store.after = other_goes_first
    await door.delete(ACME, one.id)
    assert world.provider.living_grants() == ()
    assert world.removed.refresh_token is RevocationOutcome.REVOKED


async def test_connecting_says_that_another_tenant_holds_the_same_token(world):
    repeat_tokens(world.provider)
    assert (await world.come_back(await world.begin())).shared is False
    assert (await world.come_back(await world.begin(GLOBEX))).shared is True
    assert [event.details["shared"] for event in world.events(GLOBEX) if event.action == "integration.connected"] == ["true"]
    assert world.facts.names.count("credential.shared") == 1


async def test_the_same_tokens_of_the_same_tenant_are_not_shared(world):
    repeat_tokens(world.provider)
    held = await world.connect()
    assert (await world.reconnect(held)).shared is False


async def test_a_grant_that_is_imported_twice_is_shared(world, door):
    issued = world.provider.issue_grant()
    given = ImportedCredential(
        provider="simulated",
        name="Taken over",
        access_token=issued.access,
        refresh_token=issued.refresh,
    )
    one = await door.import_credential(ACME, given)
    await door.import_credential(GLOBEX, given)
    assert [event.details["shared"] for tenant in (ACME, GLOBEX) for event in world.events(tenant) if "shared" in event.details] == [
        "false",
        "true",
    ]
    assert world.facts.names.count("credential.shared") == 1
    assert (await door.delete(ACME, one.id)).refresh_token is RevocationOutcome.SHARED
    assert await honoured(world)


async def test_a_token_that_a_renewal_moved_is_shared_no_more(world, door):
    repeat_tokens(world.provider)
    one, _ = await world.connect(), await world.connect(GLOBEX)
    # From now on it makes new ones.
    vars(world.provider).pop("_new_access"), vars(world.provider).pop("_new_refresh")
    world.pass_(hours=2)
    await door.credential(GLOBEX, "simulated")
    assert (await door.delete(ACME, one.id)).refresh_token is RevocationOutcome.REVOKED


@pytest.mark.parametrize("kills", ["grant", None])
async def test_a_removal_spares_the_other_integrations_of_the_same_account_until_the_last_goes(world, kills):
    door = declaring(world, kills)
    one, two = await world.connect(), await world.connect(GLOBEX)
    removal = await door.delete(ACME, one.id)
    assert (removal.refresh_token, removal.refresh_reason) == (RevocationOutcome.SKIPPED, "ends_grant")
    assert (removal.access_token, removal.access_reason) == (RevocationOutcome.SKIPPED, "ends_grant")
    assert world.provider.count("revoke") == 0
    assert await honoured(world)
    assert world.rows.count_revocations() == (2 if kills is None else 0)
    assert (await door.delete(GLOBEX, two.id)).refresh_token is RevocationOutcome.REVOKED
    world.pass_(days=2)
    await door.worker.retry_revocations()
    assert world.provider.living_grants() == ()
    assert world.rows.count_revocations() == 0


async def test_an_integration_of_another_account_is_no_reason_to_spare_a_grant(world):
    door = declaring(world, "grant")
    one = await world.connect()
    world.provider.account = "acct-2"
    await world.connect(GLOBEX)
    assert (await door.delete(ACME, one.id)).refresh_token is RevocationOutcome.REVOKED
    assert len(world.provider.living_grants()) == 1


async def test_a_token_that_came_again_while_it_waited_is_left_alone(world, door):
    repeat_tokens(world.provider)
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=2, endpoint="revoke")
    await door.delete(ACME, held.id)
    await world.connect()
    world.pass_(minutes=2)
    run = await door.worker.retry_revocations()
    assert (run.kept, run.waiting) == (2, 0)
    assert await honoured(world)


async def test_what_waits_is_looked_at_again_where_the_store_could_not_say_who_holds_it(world, door):
    held = await world.connect()
    world.store.fail(1, "find_holders")
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.FAILED, RevocationOutcome.REVOKED)
    assert ("token.revoked", "failure") in world.actions()
    world.pass_(minutes=2)
    assert (await door.worker.retry_revocations()).revoked == 1
    assert world.provider.living_grants() == ()


# A tenant is erased


async def test_erasing_a_tenant_tries_what_waits_once_more_and_counts_what_became_of_it(world):
    door = declaring(world, None)
    held = await world.connect()
    await world.reconnect(held)
    receipt = await door.erase_tenant(ACME)
    assert (receipt.revoked, receipt.left_alone, receipt.not_revoked) == (4, 0, 0)
    assert world.provider.living_grants() == ()


async def test_erasing_a_tenant_leaves_alone_what_others_live_on_and_says_so(world):
    door = world.door
    repeat_tokens(world.provider)
    await world.connect()
    await world.connect(GLOBEX)
    receipt = await door.erase_tenant(ACME)
    assert (receipt.revoked, receipt.left_alone, receipt.not_revoked) == (0, 2, 0)
    assert await honoured(world)


# The key of fingerprints


async def test_fingerprints_are_the_same_after_every_change_of_keys(world, door):
    await world.connect()
    other = await world.connect(GLOBEX)
    before = {row.facts.id: _fingerprints(row) for row in world.rows._tables.integrations.values()}
    [index] = [key for key in world.rows._tables.keys.values() if key.tenant_id == INDEX_SCOPE]
    world.pass_(seconds=1)
    assert (await door.keys.rotate()).changed == 2
    await door.keys.reseal()
    world.pass_(days=1)
    await door.keys.destroy(retired_before=world.clock.now() - timedelta(hours=1))
    assert {row.facts.id: _fingerprints(row) for row in world.rows._tables.integrations.values()} == before
    assert world.rows._tables.keys[INDEX_SCOPE, index.key_id] == index
    keyring = LocalKeyring([LocalKeyring.generate_key("next"), *world.keyring_texts])
    moved = world.open(keyring=keyring)
    assert (await moved.keys.rewrap()).failures == ()
    assert world.rows._tables.keys[INDEX_SCOPE, index.key_id].kek_uri == "local:next"
    await moved.credential(GLOBEX, "simulated")
    world.pass_(hours=2)
    await world.open(keyring=keyring).credential(GLOBEX, "simulated")
    assert _fingerprints(world.row(other))[2] == before[other.id][2]


async def test_erasing_a_tenant_leaves_the_key_of_fingerprints(world, door):
    await world.connect()
    await door.erase_tenant(ACME)
    assert [key.state for key in world.rows._tables.keys.values() if key.tenant_id == INDEX_SCOPE] == [KeyState.ACTIVE]


def test_no_tenant_has_the_name_of_the_scope_that_owns_the_key_of_fingerprints():
    with pytest.raises(ValidationFailedError):
        tenant_id(INDEX_SCOPE)


async def test_every_process_names_a_token_alike_and_no_token_shows_in_its_name(world, door):
    repeat_tokens(world.provider)
    await world.connect()
    await world.connect(GLOBEX, door=world.open())
    one, two = [_fingerprints(row) for row in world.rows._tables.integrations.values()]
    assert one == two
    assert len(set(one)) == 3
    assert [len(name) for name in one] == [16] * 3
    assert world.leaks_in(world.raw_dump()) == []


def _fingerprints(row):
    return row.credential.presented_fingerprint, row.credential.renewal_fingerprint, row.credential.account_fingerprint


def replaced_words(world):
    return [event.details["replaced"] for event in world.events() if event.action == "integration.reconnected"]


async def test_an_outbox_row_that_cannot_be_read_keeps_no_integration_and_no_tenant_alive(world, door):
    held = await world.connect()
    damaged = DamagedRow(table="ci_revocation", row="fake")
    listed = world.rows.list_revocations
    world.rows.list_revocations = lambda *args, **named: (*listed(*args, **named), damaged)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.waiting) == (RevocationOutcome.REVOKED, 1)
    receipt = await door.erase_tenant(ACME)
    assert receipt.not_revoked == 1
