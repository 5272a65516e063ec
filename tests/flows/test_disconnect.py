"""An integration is removed for good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.audit import SYSTEM, Actor, Outcome
from cloud_integrations.domain.provider import Revoke, Variable
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import CommitUnknownError, IntegrationNotFoundError, StaleWriteError, StorageUnavailableError
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import ACME, ALICE, changed_method


def tokens(world):
    """The access and the refresh token that were given out last."""
    return [text for text in world.secrets if text.startswith(("fake-access", "fake-refresh"))][-2:]


def revoke_facts(world, **changes):
    return world.entries[0].methods[0].revoke.model_copy(update=changes)


# What becomes of each token


@pytest.mark.requirement("OAU-050")
async def test_both_tokens_are_revoked_the_refresh_token_first(world, door):
    held = await world.connect()
    access, refresh = tokens(world)
    removal = await door.delete(ACME, held.id, actor=ALICE)
    assert (removal.integration_id, removal.refresh_token, removal.access_token) == (
        held.id,
        RevocationOutcome.REVOKED,
        RevocationOutcome.REVOKED,
    )
    assert removal.manual_url is None
    revoked = [request.presented for request in world.provider.requests if request.endpoint == "revoke"]
    assert revoked == [token_id(refresh), token_id(access)]
    assert [dict(item.split("=") for item in request.body.decode().split("&"))["token_type_hint"] for request in world.sent[-2:]] == [
        "refresh_token",
        "access_token",
    ]
    assert not world.provider.is_alive(access)
    assert not world.provider.is_alive(refresh)
    assert await door.list_integrations(ACME) == ()
    assert world.rows.count_entries("revocation") == 0


async def test_removing_is_recorded_and_so_is_each_token(world, door):
    held = await world.connect()
    await door.delete(ACME, held.id, actor=ALICE, request_id="req-9")
    removed, refresh, access = world.events()[-3:]
    assert (removed.action, removed.actor, removed.request_id) == ("integration.removed", ALICE, "req-9")
    assert [(event.action, event.outcome, event.details) for event in (refresh, access)] == [
        ("token.revoked", Outcome.SUCCESS, {"token": "refresh"}),
        ("token.revoked", Outcome.SUCCESS, {"token": "access"}),
    ]
    assert "integration.removed" in world.facts.names


async def test_the_row_is_gone_before_the_provider_is_asked(world, door):
    held = await world.connect()
    seen = []
    world.on_send = lambda _: seen.append(world.rows.list_integrations(ACME))
    await door.delete(ACME, held.id)
    assert seen == [(), ()]


async def test_what_was_removed_hands_out_nothing(world, door):
    held = await world.connect()
    await door.credential(ACME, "simulated")
    await door.delete(ACME, held.id)
    with pytest.raises(IntegrationNotFoundError):
        await door.credential(ACME, "simulated")
    with pytest.raises(IntegrationNotFoundError):
        await door.delete(ACME, held.id)
    assert (await world.connect()).id != held.id


async def test_an_open_authorization_ends_with_its_integration(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    await door.delete(ACME, held.id)
    assert await door.find_authorization(begun.state, actor=ALICE) is None


def keys_withdrawn_at(world, url):
    """The door to a world whose keys can be withdrawn by hand at *url*, a template."""
    keys = world.entries[1]
    site = Variable(name="site", pattern="[a-z]+", required=False)
    method = keys.methods[0].model_copy(update={"revoke": Revoke(manual_url=url)})
    entry = keys.model_copy(update={"methods": (method,), "variables": (site,)})
    return world.open(providers=[world.entries[0], entry])


async def test_a_key_goes_on_working_and_the_receipt_says_so(world, door):
    held = await world.add_key()
    sent = len(world.sent)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token, removal.api_key) == (
        RevocationOutcome.SKIPPED,
        RevocationOutcome.SKIPPED,
        RevocationOutcome.UNSUPPORTED,
    )
    assert removal.manual_url is None
    assert world.last_event().details == {"earlier": "0", "api_key": "unsupported"}
    assert len(world.sent) == sent
    assert await door.list_integrations(ACME) == ()


async def test_the_receipt_of_a_key_and_the_audit_log_say_where_to_withdraw_it(world):
    door = keys_withdrawn_at(world, "https://simulated.example/{site}/keys")
    held = await door.add_api_key(
        ACME, "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key, variables={"site": "eu"}
    )
    removal = await door.delete(ACME, held.id)
    assert removal.manual_url == "https://simulated.example/eu/keys"
    assert world.last_event().details["manual_url"] == removal.manual_url


async def test_an_address_that_needs_what_nobody_knows_is_left_out(world):
    door = keys_withdrawn_at(world, "https://simulated.example/{site}/keys")
    held = await door.add_api_key(ACME, "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key)
    removal = await door.delete(ACME, held.id)
    assert (removal.api_key, removal.manual_url) == (RevocationOutcome.UNSUPPORTED, None)


async def test_a_key_that_the_provider_had_refused_is_not_said_to_work(world):
    door = keys_withdrawn_at(world, "https://simulated.example/keys")
    held = await door.add_api_key(ACME, "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key)
    world.provider.revoke_api_key(world.provider.valid_api_key)
    assert (await door.verify(ACME, held.id)).outcome == "dead"
    removal = await door.delete(ACME, held.id)
    assert (removal.api_key, removal.manual_url) == (RevocationOutcome.SKIPPED, None)


async def test_a_key_of_a_provider_that_is_gone_is_deleted_all_the_same(world):
    held = await world.add_key()
    for providers in ([world.entries[0]], [world.entries[0], changed_key_method(world)]):
        door = world.open(providers=providers)
        removal = await door.delete(ACME, held.id)
        assert (removal.api_key, removal.manual_url) == (RevocationOutcome.UNSUPPORTED, None)
        held = await world.add_key()


def changed_key_method(world):
    keys = world.entries[1]
    return keys.model_copy(update={"methods": (keys.methods[0].model_copy(update={"id": "another"}),)})


async def test_a_token_that_was_never_held_is_skipped(world, door):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    held = await world.connect()
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.SKIPPED, RevocationOutcome.REVOKED)


@pytest.mark.requirement("Q65")
async def test_a_provider_that_cannot_revoke_says_where_a_person_can(world):
    door = changed_method(world, revoke=revoke_facts(world, url=None, manual_url="https://simulated.example/apps"))
    held = await world.connect(door=door)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.UNSUPPORTED, RevocationOutcome.UNSUPPORTED)
    assert removal.manual_url == "https://simulated.example/apps"
    assert world.provider.count("revoke") == 0
    assert world.rows.count_entries("revocation") == 0


async def test_a_provider_without_any_word_on_revoking_has_no_address(world):
    door = changed_method(world, revoke=None)
    held = await world.connect(door=door)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.manual_url) == (RevocationOutcome.UNSUPPORTED, None)


async def test_one_revocation_that_ends_the_grant_is_enough(world):
    door = changed_method(world, revoke=revoke_facts(world, kills="grant"))
    held = await world.connect(door=door)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.REVOKED, RevocationOutcome.SKIPPED)
    assert world.provider.count("revoke") == 1
    assert not any(world.provider.is_alive(token) for token in tokens(world))


async def test_where_one_revocation_should_have_ended_both_and_failed_both_are_alive(world):
    door = changed_method(world, revoke=revoke_facts(world, kills="grant"))
    held = await world.connect(door=door)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke")
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.FAILED, RevocationOutcome.FAILED)
    assert (await door.worker.retry_revocations()).waiting == 1
    world.pass_(minutes=2)
    assert (await door.worker.retry_revocations()).revoked == 1
    assert not any(world.provider.is_alive(token) for token in tokens(world))


async def test_a_person_who_retries_is_named_and_the_system_otherwise(world):
    for actor in (Actor(type="cli", id="maria"), SYSTEM):
        held = await world.connect()
        world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
        await world.door.delete(ACME, held.id)
        world.provider.behave()
        world.pass_(minutes=2)
        assert (await world.door.worker.retry_revocations(actor=actor, request_id="request-1")).revoked > 0
        [newest, *_] = await world.door.audit.list(ACME)
        assert newest.event.action == "token.revoked"
        assert (str(newest.event.actor), newest.event.request_id) == (str(actor), "request-1")


async def test_an_application_that_is_configured_no_more_keeps_nothing_alive_here(world):
    held = await world.connect()
    door = world.open(applications=[])
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.UNSUPPORTED, RevocationOutcome.UNSUPPORTED)
    assert await door.list_integrations(ACME) == ()


async def test_a_provider_that_the_catalogue_lost_keeps_nothing_alive_here(world):
    held = await world.connect()
    door = world.open(providers=world.entries[1:], applications=[])
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.manual_url) == (RevocationOutcome.UNSUPPORTED, None)
    assert await door.list_integrations(ACME) == ()
    told = world.facts.told[-1]
    assert (told.name, told.facts["provider"], told.facts["provider_id"]) == ("integration.removed", *[str(held.provider_id)] * 2)


async def test_a_credential_that_does_not_open_is_removed_all_the_same(world, door):
    held = await world.connect()
    row = world.row(held)
    world.tables.integrations[ACME, held.id] = replace(row, credential=replace(row.credential, renewal=b"not sealed"))
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.UNSUPPORTED, RevocationOutcome.REVOKED)
    assert await door.list_integrations(ACME) == ()


@pytest.mark.requirement("ISO-13")
async def test_another_tenants_integration_is_not_removed(world, door):
    held = await world.connect()
    with pytest.raises(IntegrationNotFoundError):
        await door.delete("globex", held.id)
    assert await door.list_integrations(ACME) == (held,)
    assert world.provider.count("revoke") == 0


# A provider that is down


@pytest.mark.requirement("OAU-050", "OAU-051")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (Misbehaviour.CONNECTION_REFUSED, "unreachable"),
        (Misbehaviour.TIMEOUT_BEFORE, "answer_lost"),
        (Misbehaviour.UNAVAILABLE, "status_503"),
        (Misbehaviour.UNSUPPORTED, "status_400"),
    ],
)
async def test_a_provider_that_is_down_does_not_keep_the_secret_here(world, door, what, reason):
    held = await world.connect()
    access, refresh = tokens(world)
    world.provider.misbehave(what, endpoint="revoke", times=2)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.FAILED, RevocationOutcome.FAILED)
    assert await door.list_integrations(ACME) == ()
    assert world.rows.count_entries("revocation") == 2
    dump = world.raw_dump()
    assert access.encode() not in dump
    assert refresh.encode() not in dump
    failed = [(event.action, event.outcome, event.reason) for event in world.events()[-2:]]
    assert failed == [("token.revoked", Outcome.FAILURE, reason)] * 2
    assert world.facts.names.count("revocation.delayed") == 2

    # Ours to try first, so nobody takes them yet; later they are finished.
    assert (await door.worker.retry_revocations()).revoked == 0
    world.pass_(minutes=1)
    run = await door.worker.retry_revocations()
    assert (run.revoked, run.delayed, run.abandoned, run.waiting) == (2, 0, 0, 0)
    assert not world.provider.is_alive(refresh)
    assert not world.provider.is_alive(access)
    assert [(event.action, event.outcome, event.actor.type) for event in world.events()[-2:]] == [
        ("token.revoked", Outcome.SUCCESS, "system")
    ] * 2


async def test_a_crash_between_erasing_and_revoking_leaves_the_token_in_the_outbox(world, door):
    held = await world.connect()
    access, refresh = tokens(world)

    def crash(_):
        raise KeyboardInterrupt

    world.on_send = crash
    with pytest.raises(KeyboardInterrupt):
        await door.delete(ACME, held.id)
    world.on_send = None
    assert await door.list_integrations(ACME) == ()
    assert world.provider.is_alive(refresh)
    world.pass_(minutes=1)
    assert (await world.open().worker.retry_revocations()).revoked == 2
    assert not world.provider.is_alive(refresh)
    assert not world.provider.is_alive(access)


async def test_a_store_that_breaks_after_the_revocation_leaves_the_entry_for_later(world, door):
    held = await world.connect()
    world.store.fail(2, times=2)
    removal = await door.delete(ACME, held.id)
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.REVOKED, RevocationOutcome.REVOKED)
    assert world.rows.count_entries("revocation") == 2
    assert world.facts.names.count("revocation.delayed") == 2
    world.store.heal()
    world.pass_(minutes=1)
    # RFC 7009 §2.2: a token that is dead already is revoked again with success.
    assert (await door.worker.retry_revocations()).revoked == 2


async def test_a_removal_that_cannot_be_written_removes_and_revokes_nothing(world, door):
    held = await world.connect()
    world.store.fail(1)
    with pytest.raises(StorageUnavailableError):
        await door.delete(ACME, held.id)
    world.store.heal()
    assert await door.list_integrations(ACME) == (held,)
    assert world.provider.count("revoke") == 0
    assert world.rows.count_entries("revocation") == 0


async def test_a_removal_that_was_overtaken_revokes_the_newer_token(world, door):
    held = await world.connect()
    looked = []

    def hook(name, _):
        if name == "apply" and not looked:
            looked.append(name)
            row = world.row(held)
            newer = replace(row, credential=replace(row.credential, generation=2))
            world.tables.integrations[ACME, held.id] = newer
            raise StaleWriteError

    world.store.before = hook
    removal = await door.delete(ACME, held.id)
    # What was sealed for another generation does not open any more; that is said, and nothing stays.
    assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.UNSUPPORTED, RevocationOutcome.UNSUPPORTED)
    assert await door.list_integrations(ACME) == ()


async def test_a_row_that_never_stops_moving_is_said(world, door):
    held = await world.connect()
    world.store.fail(1, times=5, error=StaleWriteError)
    with pytest.raises(StorageUnavailableError):
        await door.delete(ACME, held.id)


async def test_a_removal_whose_commit_was_lost_is_finished_by_the_outbox(world, door):
    held = await world.connect()
    access, refresh = tokens(world)
    world.store.fail(1, afterwards=True, error=CommitUnknownError)
    with pytest.raises(StorageUnavailableError):
        await door.delete(ACME, held.id)
    world.store.heal()
    world.pass_(minutes=1)
    assert (await door.worker.retry_revocations()).revoked == 2
    assert not world.provider.is_alive(refresh)
    assert not world.provider.is_alive(access)
