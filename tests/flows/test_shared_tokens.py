"""Tokens that several integrations hold, and the fingerprints by which that is known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.identifiers import tenant_id
from cloud_integrations.domain.importing import ImportedGrant
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.data_keys import INDEX_SCOPE
from cloud_integrations.ports.store import DamagedRow, EraseIntegration
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, GLOBEX, World
from .grants import DECLARED, declaring, honoured
from .test_no_orphans import repeat_tokens


@pytest.fixture
def blocking():
    """A world whose hooks may use a manager: the flows are the same for both."""
    return World("blocking")


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
    assert world.rows.count_entries("revocation") == 0


async def test_of_two_tenants_who_remove_a_shared_token_at_once_the_last_revokes_it(blocking):
    world = blocking
    door = world.door
    repeat_tokens(world.provider)
    one, two = await world.connect(), await world.connect(GLOBEX)

    def other_goes_first(name, args):
        if name == "apply" and any(isinstance(change, EraseIntegration) for change in args):
            world.store.after = None
            world.removed = door.acting_as().delete(GLOBEX, two.id)

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
    given = ImportedGrant(
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
    assert world.rows.count_entries("revocation") == (2 if kills is None else 0)
    assert (await door.delete(GLOBEX, two.id)).refresh_token is RevocationOutcome.REVOKED
    world.pass_(days=2)
    await door.worker.retry_revocations()
    assert world.provider.living_grants() == ()
    assert world.rows.count_entries("revocation") == 0


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
    before = {row.facts.id: _fingerprints(row) for row in world.tables.integrations.values()}
    [index] = [key for key in world.tables.keys.values() if key.tenant_id == INDEX_SCOPE]
    world.pass_(seconds=1)
    assert (await door.keys.rotate()).changed == 2
    await door.keys.reseal()
    world.pass_(days=1)
    await door.keys.destroy(retired_before=world.clock.now() - timedelta(hours=1))
    assert {row.facts.id: _fingerprints(row) for row in world.tables.integrations.values()} == before
    assert world.tables.keys[INDEX_SCOPE, index.key_id] == index
    keyring = LocalKeyring([LocalKeyring.generate_key("next"), *world.keyring_texts])
    moved = world.open(keyring=keyring)
    assert (await moved.keys.rewrap()).failures == ()
    assert world.tables.keys[INDEX_SCOPE, index.key_id].kek_uri == "local:next"
    await moved.credential(GLOBEX, "simulated")
    world.pass_(hours=2)
    await world.open(keyring=keyring).credential(GLOBEX, "simulated")
    assert _fingerprints(world.row(other))[2] == before[other.id][2]


async def test_erasing_a_tenant_leaves_the_key_of_fingerprints(world, door):
    await world.connect()
    await door.erase_tenant(ACME)
    assert [key.state for key in world.tables.keys.values() if key.tenant_id == INDEX_SCOPE] == [KeyState.ACTIVE]


def test_no_tenant_has_the_name_of_the_scope_that_owns_the_key_of_fingerprints():
    with pytest.raises(ValidationFailedError):
        tenant_id(INDEX_SCOPE)


async def test_every_process_names_a_token_alike_and_no_token_shows_in_its_name(world, door):
    repeat_tokens(world.provider)
    await world.connect()
    await world.connect(GLOBEX, door=world.open())
    one, two = [_fingerprints(row) for row in world.tables.integrations.values()]
    assert one == two
    assert len(set(one)) == 3
    assert [len(name) for name in one] == [16] * 3
    assert world.leaks_in(world.raw_dump()) == []


def _fingerprints(row):
    return row.credential.presented_fingerprint, row.credential.renewal_fingerprint, row.credential.account_fingerprint


async def test_an_outbox_row_that_cannot_be_read_keeps_no_integration_and_no_tenant_alive(world, door):
    held = await world.connect()
    damaged = DamagedRow(table="ci_outbox", row="fake")
    listed = world.rows.list_entries
    world.rows.list_entries = lambda *args, **named: (*listed(*args, **named), damaged)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.waiting) == (RevocationOutcome.REVOKED, 1)
    receipt = await door.erase_tenant(ACME)
    assert receipt.not_revoked == 1
