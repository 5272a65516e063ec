"""A trust in our own issuer: one that takes another subject's token lets one tenant into another's cloud, and is not connected."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.domain.issuing import another_tenant
from cloud_integrations.errors import InvalidCredentialsError, ProviderUnavailableError, TrustTooOpenError
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE
from .vouching import Cloud, add

REFUSED = HttpResponse(status=400, body=b'{"error": "invalid_grant"}')
OUTAGES = [HttpResponse(status=503), HttpResponse(status=429), HttpResponse(status=403, body=b"firewall")]


@pytest.fixture
def cloud(world):
    return Cloud(world)


@pytest.mark.requirement("Q72")
async def test_a_trust_in_one_subject_connects_after_another_subject_was_tried(world, cloud):
    await add(world)
    [tried] = cloud.tried
    # It begins as the tenant's own does, so that a condition on the beginning is found, too; and it is nobody's.
    assert tried.startswith("tenant:acme")
    assert len(tried) == len("tenant:acme") + 32
    await add(world, "globex")
    assert len(set(cloud.tried)) == 2


@pytest.mark.requirement("Q72")
@pytest.mark.parametrize("beginning", ["", "tenant:", "tenant:acme"])
async def test_a_trust_in_more_than_one_subject_is_refused_with_what_to_mend(world, cloud, beginning):
    class Beginning:
        def __contains__(self, subject):
            return subject.startswith(beginning)

    cloud.trusted = Beginning()
    with pytest.raises(TrustTooOpenError, match="compare the whole subject") as caught:
        await add(world)
    assert caught.value.reason == "trust_too_open"
    assert await world.door.list_integrations(ACME) == ()
    assert (world.last_event().action, world.last_event().outcome.value) == ("integration.connected", "failure")
    cloud.trusted = {"tenant:acme"}
    await add(world)


@pytest.mark.requirement("Q72")
@pytest.mark.parametrize("instead", OUTAGES)
async def test_an_outage_or_a_limit_is_no_proof(world, cloud, instead):
    send = cloud.respond
    cloud.respond = lambda request: instead if cloud.claims else send(request)
    with pytest.raises(ProviderUnavailableError):
        await add(world)
    assert await world.door.list_integrations(ACME) == ()


async def test_a_trust_that_was_just_made_is_asked_again_for_a_minute(world, cloud):
    send, refused = cloud.respond, [REFUSED] * 4
    cloud.respond = lambda request: refused.pop() if refused else send(request)
    before = world.clock.now()
    await add(world)
    assert timedelta(seconds=5) < world.clock.now() - before < timedelta(minutes=1)
    cloud.trusted = {"tenant:other"}
    with pytest.raises(InvalidCredentialsError):
        await add(world, "globex")


@pytest.mark.requirement("Q72")
async def test_a_check_reports_a_trust_that_was_loosened_and_the_credential_goes_on(world, cloud):
    held = await add(world)
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "tight"
    cloud.answer = HttpResponse(status=503)
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "unknown"
    cloud.answer, cloud.trusted = None, None
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "loose"
    assert world.actions()[-1] == ("integration.trust_loosened", "failure")
    assert (await world.door.credential(ACME, "cloud")).value.reveal() == "fake-token-1"


@pytest.mark.requirement("Q72")
async def test_the_worker_tries_another_subject_each_day(world, cloud):
    held = await add(world)
    cloud.trusted = None
    world.clock.advance(timedelta(hours=23))
    # Its use does not put the check off.
    await world.door.credential(ACME, "cloud")
    assert (await world.door.worker.refresh_due()).claimed == 0
    world.clock.advance(timedelta(hours=1))
    assert (await world.door.worker.refresh_due()).renewed == 1
    assert world.actions()[-1] == ("integration.trust_loosened", "failure")
    assert world.row(held).marks.due_at == world.clock.now() + timedelta(days=1)


@pytest.mark.requirement("Q72")
async def test_a_trust_that_was_imported_unasked_is_proved_by_the_next_round(world, cloud):
    cloud.trusted = None
    key = ImportedKey(provider="cloud", name="Our cloud", inputs={"audience": "https://cloud.example/pool"})
    await world.door.import_credential(ACME, key, actor=ALICE, verify=False)
    assert cloud.asked == []
    assert (await world.door.worker.refresh_due()).renewed == 1
    assert world.actions()[-1] == ("integration.trust_loosened", "failure")


async def test_a_client_that_shows_its_secret_has_no_trust_to_prove(world, cloud):
    world.door = cloud.open(providers=[cloud.provider(client_auth=("post", "proof:us"))])
    cloud.answer = HttpResponse(status=200, body=b'{"access_token": "fake-token"}')
    held = await add(world, inputs={"client_id": "client-1", "client_secret": "fake-secret"})
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust is None
    assert len(cloud.asked) == 1
    cloud.answer = None
    with_token = await add(world, "globex", inputs={"client_id": "client-1"})
    assert len(cloud.tried) == 1
    assert (await world.door.verify("globex", with_token.id, actor=ALICE)).trust == "tight"


@pytest.mark.parametrize("longest", [None, 127, 16])
@pytest.mark.parametrize("tenant", ["a", "a" * 248])
def test_another_tenant_has_a_subject_that_the_provider_takes(tenant, longest):
    made = "0123456789abcdef" * 2
    other = another_tenant(tenant, made=made, longest=longest)
    assert other != tenant
    assert len(other) <= (longest or 255) - len("tenant:")
    assert other.endswith((made, made[:9]))
