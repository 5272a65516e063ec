"""The key service is away: who was here lately goes on for the declared time, the others are told to come again, and nobody storms it."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, StorageUnavailableError
from cloud_integrations.flows.shared.data_keys import INDEX_SCOPE
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX
from .key_service import Service

FRESH = 300
GRACE = 900
CALLERS = 50


@pytest.fixture
def service(world):
    return Service(world.keyring)


def process(world, service, **changes):
    """Another process, which looks at the store for every token."""
    return world.open(keyring=service, settings=world.settings(token_cache=timedelta(), **changes))


async def key(door, tenant=ACME):
    return (await door.credential(tenant, "simulated_keys")).value


@pytest.fixture
async def door(world, service):
    """A process that has lately used Acme's key and not Globex's."""
    await world.add_key()
    await world.add_key(GLOBEX)
    door = process(world, service)
    await key(door)
    service.asked.clear()
    return door


@pytest.mark.requirement("ENC-15")
async def test_who_was_here_lately_goes_on_for_the_declared_time_and_not_longer(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    for passed in (0, FRESH - 1, FRESH, FRESH + 5, FRESH + GRACE - 1):
        world.clock.advance(timedelta(seconds=passed - world.clock.monotonic()))
        assert (await key(door)).reveal() == world.provider.valid_api_key.reveal()
    # The last answer that did not come was a second ago, and is still remembered: that must not lengthen the time.
    world.pass_(seconds=1)
    for _ in range(3):
        with pytest.raises(KeyServiceUnavailableError):
            await key(door)
        world.pass_(seconds=1)


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize(("fresh", "grace"), [(0, 0), (10, 0), (0, 10), (30, 60)])
async def test_the_declared_time_is_the_operators_choice(world, service, fresh, grace):
    await world.add_key()
    door = process(world, service, data_key_cache=timedelta(seconds=fresh), data_key_grace=timedelta(seconds=grace))
    await key(door)
    service.trouble = KeyServiceUnavailableError()
    if fresh + grace:
        world.pass_(seconds=fresh + grace - 1)
        await key(door)
        world.pass_(seconds=1)
    with pytest.raises(KeyServiceUnavailableError):
        await key(door)


@pytest.mark.requirement("ENC-15")
async def test_the_others_get_an_error_that_says_come_again(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    with pytest.raises(KeyServiceUnavailableError) as caught:
        await key(door, GLOBEX)
    error = caught.value
    assert (error.retryable, error.code, isinstance(error, StorageUnavailableError)) == (True, "storage/unavailable", True)
    assert error.advice
    service.trouble = None
    world.pass_(seconds=2)
    assert (await key(door, GLOBEX)).reveal() == world.provider.valid_api_key.reveal()


@pytest.mark.requirement("ENC-15")
async def test_no_key_is_made_while_the_service_is_away(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    with pytest.raises(KeyServiceUnavailableError):
        await world.add_key("hooli", door=door)
    assert world.rows.list_keys(tenant_id="hooli", limit=10) == ()
    service.trouble = None
    assert (await world.add_key("hooli", door=door)).tenant_id == "hooli"


@pytest.mark.requirement("ENC-15")
async def test_a_rotation_in_an_outage_changes_nothing_and_names_every_tenant(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=1)
    run = await door.keys.rotate()
    assert [(failure.tenant_id, failure.reason) for failure in run.failures] == [
        (ACME, "KeyServiceUnavailableError"),
        (GLOBEX, "KeyServiceUnavailableError"),
    ]
    assert {each.version for each in world.rows.list_keys(limit=10)} == {1}


@pytest.mark.requirement("ENC-15")
async def test_who_goes_on_may_also_store(world, service, door):
    # It knows the key of fingerprints, too.
    await world.connect("hooli", door=door)
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=FRESH + 60)
    held = await world.connect(door=door)
    assert world.row(held).credential.key_id == world.rows.find_active_key(ACME).key_id
    await door.refresh(ACME, held.id)
    assert world.provider.refresh_count == 1


@pytest.mark.requirement("ENC-15", "REF-14")
async def test_no_code_is_spent_and_no_refresh_is_sent_that_could_not_be_sealed(world, service):
    held = await world.connect()
    begun = await world.begin(GLOBEX)
    door = process(world, service)
    await door.start()
    service.trouble = KeyServiceUnavailableError()
    with pytest.raises(KeyServiceUnavailableError):
        await door.refresh(ACME, held.id)
    with pytest.raises(KeyServiceUnavailableError):
        await world.come_back(begun, door=door)
    assert (world.provider.refresh_count, world.provider.count("exchange")) == (0, 1)


@pytest.mark.requirement("ENC-15", "REF-14")
async def test_an_outage_that_begins_while_the_request_is_out_loses_no_token(world, service):
    held = await world.connect()
    door = process(world, service, data_key_cache=timedelta(), data_key_grace=timedelta())
    await door.start()

    def go(_request, _response):
        service.trouble = KeyServiceUnavailableError()
        world.facts.told.clear()

    def come_back(fact):
        if fact.name == "credential.unpersisted":
            service.trouble = None

    world.on_answer = go
    tell = world.facts.tell
    world.facts.tell = lambda fact: (tell(fact), come_back(fact))
    await door.refresh(ACME, held.id)
    world.facts.tell = tell
    assert "credential.unpersisted" in world.facts.names
    assert world.provider.refresh_count == 1
    assert world.provider.is_alive((await world.open().credential(ACME, "simulated")).value)
    assert world.row(held).credential.generation == 2


async def storm(door, tenants=(ACME,)):
    """Fifty callers at once, as tasks or as threads."""
    return await door.all_at_once(
        *[partial(door.manager.credential, tenants[number % len(tenants)], "simulated_keys") for number in range(CALLERS)]
    )


def kinds(outcomes):
    return Counter(type(outcome).__name__ for outcome in outcomes)


# No storm


@pytest.mark.requirement("ENC-15")
async def test_in_an_outage_the_service_is_asked_once_in_two_seconds_for_each_key(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    for round_ in range(1, 4):
        for _ in range(2):
            assert kinds(await storm(door, (GLOBEX,))) == {"KeyServiceUnavailableError": CALLERS}
            assert service.asked == {GLOBEX: round_}
            world.pass_(seconds=1)
    assert service.asked[ACME] == 0


@pytest.mark.requirement("ENC-15")
async def test_who_goes_on_in_an_outage_asks_as_seldom(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=FRESH)
    for round_ in range(1, 4):
        for _ in range(2):
            assert kinds(await storm(door)) == {"Credential": CALLERS}
            assert service.asked == {ACME: round_}
            world.pass_(seconds=1)


@pytest.mark.requirement("ENC-15")
async def test_when_the_service_is_back_each_key_is_asked_for_once(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=FRESH + 10)
    await storm(door, (ACME, GLOBEX))
    service.trouble = None
    service.asked.clear()
    world.pass_(seconds=2)
    assert kinds(await storm(door, (ACME, GLOBEX))) == {"Credential": CALLERS}
    assert service.asked == {ACME: 1, GLOBEX: 1}
    world.pass_(seconds=FRESH - 1)
    await storm(door, (ACME, GLOBEX))
    assert service.asked == {ACME: 1, GLOBEX: 1}


@pytest.mark.requirement("ENC-15")
async def test_who_comes_while_a_key_is_asked_for_waits_for_that_answer(world, service, door):
    began, all_began = Counter(), threading.Event()

    def hold():
        # The service answers when the last caller has looked into the store.
        all_began.wait(300)

    def look(name, _):
        if name == "find_credential":
            began["callers"] += 1
        if name == "find_key":
            all_began.set()

    world.store.after = look
    service.hold = hold
    assert kinds(await storm(door, (GLOBEX,))) == {"Credential": CALLERS}
    assert service.asked == {GLOBEX: 1}
    assert world.store.count("find_key") >= 1


@pytest.mark.requirement("ENC-15")
async def test_sealing_and_opening_share_the_one_answer(world, service):
    held = await world.connect()
    door = process(world, service)
    await door.start()
    service.asked.clear()
    await door.refresh(ACME, held.id)
    await door.credential(ACME, "simulated")
    assert service.asked == {ACME: 1, INDEX_SCOPE: 1}


@pytest.mark.requirement("ENC-15")
async def test_an_outage_makes_no_key_leave_the_memory(world, service, door):
    memory = door.wiring.key_memory
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=FRESH)
    before = len(memory._entries)
    for _ in range(5):
        await key(door)
        world.pass_(seconds=2)
    assert len(memory._entries) == before


# What an outage does not keep alive


@pytest.mark.requirement("ENC-14", "ENC-15")
@pytest.mark.parametrize("how", ["destroyed", "refused", "erased"])
async def test_a_key_that_was_taken_away_does_not_live_on_in_an_outage(world, service, door, how):
    (held,) = await door.list_integrations(ACME)
    row = world.row(held)
    other = world.open()
    world.pass_(seconds=1)
    await other.keys.rotate()
    if how == "refused":
        await other.keys.refuse(ACME, below=2)
    elif how == "erased":
        await other.erase_tenant(ACME)
        world.tables.integrations[ACME, held.id] = row
    else:
        await other.keys.reseal()
        world.clock.jump(timedelta(minutes=6))
        assert (await other.keys.destroy(retired_before=world.clock.now() - timedelta(minutes=5))).changed == 2
        world.tables.integrations[ACME, held.id] = row
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=FRESH)
    for _ in range(3):
        with pytest.raises(DecryptError):
            await key(door)
        world.pass_(seconds=1)
    assert service.asked[ACME] == 0


@pytest.mark.requirement("ENC-15")
async def test_a_tenant_that_takes_our_permission_away_switches_us_off(world, service, door):
    service.trouble = KeyringError(key_id="of acme", problem="may not be used")
    world.pass_(seconds=FRESH)
    with pytest.raises(KeyringError):
        await key(door)
    # Nor does an outage that follows give it back.
    service.trouble = KeyServiceUnavailableError()
    for _ in range(3):
        with pytest.raises(KeyServiceUnavailableError):
            await key(door)
        world.pass_(seconds=1)
    service.trouble = None
    world.pass_(seconds=2)
    await key(door)


@pytest.mark.requirement("ENC-15")
async def test_a_key_that_was_changed_in_the_database_does_not_live_on_either(world, service, door):
    service.trouble = DecryptError()
    world.pass_(seconds=FRESH)
    with pytest.raises(DecryptError):
        await key(door)
    service.trouble = KeyServiceUnavailableError()
    with pytest.raises(KeyServiceUnavailableError):
        await key(door)


@pytest.mark.requirement("ENC-15")
async def test_the_store_is_asked_in_an_outage_too(world, service, door):
    service.trouble = KeyServiceUnavailableError()
    world.pass_(seconds=FRESH)
    world.store.fail(1, name="find_key")
    with pytest.raises(StorageUnavailableError) as caught:
        await key(door)
    assert not isinstance(caught.value, KeyServiceUnavailableError)
    await key(door)


# The start


@pytest.mark.requirement("ENC-15", "ENC-08")
async def test_a_start_without_the_service_is_refused_and_made_again_by_the_next_call(world, service, door):
    del door
    service.trouble = KeyServiceUnavailableError()
    late = process(world, service)
    with pytest.raises(KeyServiceUnavailableError):
        await late.start()
    with pytest.raises(KeyServiceUnavailableError):
        await key(late)
    service.trouble = None
    assert (await key(late)).reveal() == world.provider.valid_api_key.reveal()


@pytest.mark.requirement("ENC-15")
async def test_the_first_start_of_all_without_the_service_leaves_nothing_behind(world, service):
    service.trouble = KeyServiceUnavailableError()
    first = process(world, service)
    with pytest.raises(KeyServiceUnavailableError):
        await first.start()
    assert world.rows.list_key_checks() == ()
    service.trouble = None
    await first.start()
    assert len(world.rows.list_key_checks()) == 1


@pytest.mark.requirement("ENC-15")
async def test_a_token_in_memory_needs_no_key_at_all(world, service):
    await world.add_key()
    door = world.open(keyring=service)
    await key(door)
    service.trouble = KeyServiceUnavailableError()
    service.asked.clear()
    world.pass_(seconds=30)
    await key(door)
    assert service.asked == {}


@pytest.mark.requirement("ENC-15")
async def test_removing_waits_for_the_service_so_that_the_grant_is_taken_back(world, service):
    held = await world.connect()
    door = process(world, service)
    await door.start()
    service.trouble = KeyServiceUnavailableError()
    with pytest.raises(KeyServiceUnavailableError):
        await door.delete(ACME, held.id)
    assert world.row(held) is not None
    service.trouble = None
    world.pass_(seconds=2)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke")
    await door.delete(ACME, held.id, actor=ALICE)
    assert world.row(held) is None
