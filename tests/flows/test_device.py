"""Connecting by device code (RFC 8628), through both managers: the code, the polls, and the grant that is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.device import DevicePending
from cloud_integrations.errors import (
    AnswerLostError,
    AppMisconfiguredError,
    CloudIntegrationsError,
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationInactiveError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import AddIntegration

from .answers import said
from .conftest import ACME, ALICE, GLOBEX, MALLORY
from .devices import DENIED, EXPIRED, PENDING, SLOW_DOWN, USER_CODE, begin, open_with_devices, poll

PROVIDER_ID = "00000000-0000-0000-0000-000000000000"
INTERVAL = timedelta(seconds=5)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def devices(world):
    return open_with_devices(world)


async def polled(world, begun, /, **named):
    """Poll as soon as the provider allows it."""
    world.clock.advance(INTERVAL)
    return await poll(world, begun, **named)


async def test_a_person_at_another_device_connects_an_account(world, devices):
    begun = await begin(world)
    assert (begun.user_code.reveal(), begun.verification_uri) == (USER_CODE, "https://simulated.example/activate")
    assert begun.scopes == ("read", "write")
    assert USER_CODE not in repr(begun)
    assert isinstance(await polled(world, begun), DevicePending)
    grant = devices.consent()
    connected = await polled(world, begun)
    assert connected.integration.id == begun.integration_id
    assert connected.integration.account.account_id == world.provider.account
    assert (await world.door.credential(ACME, "simulated")).headers()["Authorization"] == f"Bearer {grant.access.reveal()}"
    assert world.actions()[:2] == [("authorization.begun", "success"), ("integration.connected", "success")]
    assert world.leaks_in(world.raw_dump()) == []
    # Whoever asks again, because the answer was lost, gets the same integration.
    assert (await poll(world, begun)).integration.id == begun.integration_id
    assert len(devices.polled) == 2


async def test_waiting_polls_until_the_person_has_decided(world, devices):
    devices.says += [PENDING, SLOW_DOWN, PENDING]
    devices.consent()
    begun = await begin(world)
    since = world.clock.now()
    connected = await world.door.wait_for_device(ACME, begun.authorization_id, actor=ALICE)
    assert connected.integration.id == begun.integration_id
    waited = [(at - since).total_seconds() for at in devices.polled]
    # The first poll waits, too; after slow_down every poll waits five seconds longer (OAU-060).
    assert waited == [5, 10, 20, 30]


@pytest.mark.requirement("OAU-060")
async def test_a_poll_that_comes_too_early_asks_nobody(world, devices):
    begun = await begin(world)
    early = await poll(world, begun)
    assert (early.wait, devices.polled) == (INTERVAL, [])
    await polled(world, begun)
    world.clock.advance(INTERVAL - timedelta(microseconds=1))
    assert (await poll(world, begun)).wait == timedelta(seconds=1)
    assert len(devices.polled) == 1


@pytest.mark.requirement("OAU-061")
@pytest.mark.parametrize(
    "lost",
    [
        ProviderUnreachableError(provider_id=PROVIDER_ID),
        AnswerLostError(provider_id=PROVIDER_ID),
        said({"message": "internal"}, 500),
        said(b"<html>", 502),
        said({"error": "temporarily_unavailable"}, 400),
    ],
)
async def test_a_poll_without_an_answer_makes_the_next_ones_rarer(world, devices, lost):
    begun = await begin(world)
    devices.says += [lost, lost]
    waits = [(await polled(world, begun)).wait]
    world.clock.advance(waits[0])
    waits.append((await poll(world, begun)).wait)
    assert waits == [2 * INTERVAL, 4 * INTERVAL]
    devices.consent()
    world.clock.advance(waits[1])
    assert (await poll(world, begun)).integration.id == begun.integration_id


@pytest.mark.requirement("OAU-061")
@pytest.mark.parametrize(
    ("answer", "reason"), [(DENIED, "access_denied"), (EXPIRED, "expired_token"), (said({"error": "invalid_grant"}), "invalid_grant")]
)
async def test_an_end_is_told_by_its_reason_and_no_more_polls_follow(world, devices, answer, reason):
    begun = await begin(world)
    devices.says.append(answer)
    with pytest.raises(GrantRefusedError) as caught:
        await polled(world, begun)
    assert caught.value.reason == reason
    assert world.last_event().reason == reason
    devices.consent()
    with pytest.raises(GrantRefusedError):
        await polled(world, begun)
    assert len(devices.polled) == 1


@pytest.mark.requirement("OAU-061")
async def test_a_code_that_has_ended_is_not_polled_and_says_so(world, devices):
    begun = await begin(world)
    world.clock.advance(timedelta(minutes=15))
    with pytest.raises(GrantRefusedError) as caught:
        await poll(world, begun)
    assert (caught.value.reason, devices.polled) == ("expired_token", [])
    with pytest.raises(GrantRefusedError) as caught:
        await poll(world, begun, actor=MALLORY)
    assert caught.value.reason == "state_not_valid"
    with pytest.raises(GrantRefusedError) as caught:
        await world.door.wait_for_device(ACME, begun.authorization_id, actor=ALICE)
    assert caught.value.reason == "expired_token"


@pytest.mark.requirement("OAU-062")
async def test_one_of_many_pollers_asks(world, devices):
    begun = await begin(world)
    devices.consent()
    world.clock.advance(INTERVAL)
    answers = await world.door.together(8, "poll_device", ACME, begun.authorization_id, actor=ALICE)
    assert len(devices.polled) == 1
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert any(getattr(answer, "integration", None) for answer in answers)


@pytest.mark.requirement("OAU-062")
async def test_a_poll_that_another_one_overtook_returns_what_that_one_connected(world, devices):
    begun = await begin(world)
    devices.consent()
    world.clock.advance(INTERVAL)
    [(state_hash, pending)] = world.tables.pending.items()
    first = await poll(world, begun)
    # The second had read the row before the first one deleted it.
    world.tables.pending[state_hash] = pending
    assert (await poll(world, begun)).integration.id == first.integration.id
    assert len(devices.polled) == 1


@pytest.mark.requirement("OAU-062")
async def test_another_replica_does_not_ask_while_one_waits_for_the_answer_and_may_when_it_died(world, devices):
    begun = await begin(world)
    other = world.open()
    seen = []

    def during():
        [pending] = world.tables.pending.values()
        seen.append((pending.polling.count, pending.polling.next_at - world.clock.now()))
        raise Killed

    devices.during = during
    with pytest.raises(Killed):
        await polled(world, begun)
    devices.during = None
    assert seen == [(1, timedelta(seconds=30))]
    assert isinstance(await poll(world, begun, door=other), DevicePending)
    assert len(devices.polled) == 1
    devices.consent()
    world.clock.advance(timedelta(seconds=30))
    assert (await poll(world, begun, door=other)).integration.id == begun.integration_id


@pytest.mark.requirement("OAU-062")
async def test_only_who_began_it_in_its_tenant_can_poll(world, devices):
    begun = await begin(world)
    devices.consent()
    world.clock.advance(INTERVAL)
    for tenant, actor in [(ACME, MALLORY), (GLOBEX, ALICE)]:
        with pytest.raises(GrantRefusedError) as caught:
            await poll(world, begun, tenant, actor=actor)
        assert caught.value.reason == "state_not_valid"
    assert devices.polled == []
    assert (await poll(world, begun)).integration.id == begun.integration_id


@pytest.mark.requirement("OAU-063")
async def test_the_device_code_is_sealed_and_no_callback_finds_it(world, devices):
    begun = await begin(world)
    [pending] = world.tables.pending.values()
    assert pending.sealed_parts is not None
    assert b"fake-device-code" not in world.raw_dump()
    assert USER_CODE.encode() not in world.raw_dump()
    assert await world.door.find_authorization(str(begun.authorization_id), actor=ALICE) is None


@pytest.mark.requirement("OAU-063")
async def test_a_page_that_is_not_https_is_shown_to_nobody(world, devices):
    devices.begins = said({"device_code": "fake", "user_code": "A", "verification_uri": "http://evil.example", "expires_in": 900}, 200)
    with pytest.raises(ProviderUnavailableError) as caught:
        await begin(world)
    assert caught.value.reason == "unusable_body"
    assert world.tables.pending == {}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said({"error": "invalid_client"}, 401), AppMisconfiguredError),
        (said({"error": "invalid_scope"}), GrantRefusedError),
        (said({}, 500), ProviderUnavailableError),
        (said({"error": "unsupported_grant_type", "error_description": "device flow is off"}, 200), GrantRefusedError),
    ],
)
async def test_a_provider_that_gives_no_code_is_reported(world, devices, answer, error):
    devices.begins = answer
    with pytest.raises(error):
        await begin(world)
    assert world.tables.pending == {}


async def test_a_lost_answer_to_the_first_request_is_an_outage(world, devices):
    original = devices.find

    def lost(request):
        if request.url.endswith("/device"):
            raise ProviderUnreachableError(provider_id=PROVIDER_ID)
        return original(request)

    devices.find = lost
    with pytest.raises(ProviderUnavailableError):
        await begin(world)


async def test_a_refused_application_leaves_the_authorization_for_when_it_is_mended(world, devices):
    begun = await begin(world)
    devices.says.append(said({"error": "invalid_client"}, 401))
    with pytest.raises(AppMisconfiguredError):
        await polled(world, begun)
    devices.consent()
    assert (await polled(world, begun)).integration.id == begun.integration_id


async def test_tokens_that_cannot_be_stored_are_given_back(world, devices):
    begun = await begin(world)
    grant = devices.consent()

    def fail(name, args):
        if name == "apply" and any(isinstance(change, AddIntegration) for change in args):
            raise StorageUnavailableError

    world.store.before = fail
    with pytest.raises(CloudIntegrationsError):
        await polled(world, begun)
    world.store.before = None
    assert [request.endpoint for request in world.provider.requests if request.endpoint == "revoke"] != []
    assert grant.refresh


async def test_who_connected_first_stays_and_the_second_grant_is_given_back(world, devices):
    begun = await begin(world)
    kept = await world.connect()
    devices.consent()
    with pytest.raises((GrantRefusedError, IntegrationExistsError)):
        await polled(world, begun)
    assert [row.id for row in await world.door.list_integrations(ACME)] == [kept.id]


async def test_an_answer_that_comes_with_tokens_that_cannot_be_used_is_given_back(world, devices):
    begun = await begin(world)
    devices.consent()
    good = devices.says.pop()
    devices.says.append(said(good.body.replace(b"Bearer", b"mac"), 200))
    with pytest.raises(ProviderUnavailableError):
        await polled(world, begun)
    assert any(request.endpoint == "revoke" for request in world.provider.requests)


async def test_a_reconnect_by_device_code_keeps_id_and_name(world, devices):
    held = await world.connect()
    begun = await world.door.begin_device_reconnect(ACME, "simulated", actor=ALICE)
    assert begun.integration_id == held.id
    devices.consent()
    connected = await polled(world, begun)
    assert (connected.integration.id, connected.integration.name) == (held.id, held.name)
    assert world.row(held).credential.generation == 2
    # There is no new integration by which the answer could be found again.
    with pytest.raises(GrantRefusedError):
        await poll(world, begun)


async def test_what_cannot_be_reconnected_is_refused(world, devices):
    key = await world.add_key()
    with pytest.raises(ValidationFailedError, match="API key"):
        await world.door.begin_device_reconnect(ACME, key.id, actor=ALICE)
    held = await world.connect()
    await world.door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await world.door.begin_device_reconnect(ACME, held.id, actor=ALICE)
    assert devices.codes == 0


async def test_a_provider_without_such_an_endpoint_is_refused(world):
    with pytest.raises(ValidationFailedError, match="does not work by device code"):
        await begin(world)
    assert world.sent == []
