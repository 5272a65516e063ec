"""Roles at Alibaba Cloud and trust agencies at Huawei Cloud keep the same rule as those at AWS; `test_roles.py` has the rule's edges."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cloud_integrations import PlatformCredential
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import (
    AppMisconfiguredError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    TrustTooOpenError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE
from .role_clouds import ACCOUNT, INPUT, LIFE, PARTS, PRINCIPAL, REGION, ROLE, RoleCloud


@pytest.fixture(params=["alibaba_cloud", "huawei_cloud"])
def cloud(world, request):
    return RoleCloud(world, request.param)


async def begin(cloud, tenant=ACME):
    region = {"region": REGION[cloud.slug]}
    return await cloud.world.door.begin_setup(tenant, cloud.slug, name="Our account", method="role", variables=region, actor=ALICE)


async def complete(cloud, tenant=ACME):
    return await cloud.world.door.complete_setup(
        tenant, cloud.slug, method="role", inputs={INPUT[cloud.slug]: ROLE[cloud.slug]}, actor=ALICE
    )


def trust_of(setup):
    """Return the statement of the trust policy that the guide shows."""
    [policy] = [json.loads(document.text) for document in setup.guide.documents if document.name == "trust-policy.json"]
    [statement] = policy["Statement"]
    return statement


def ids_of(statement):
    found = statement["Condition"]["StringEquals"]["sts:ExternalId"]
    return found if isinstance(found, list) else [found]


async def connect(cloud):
    setup = await begin(cloud)
    cloud.trust = ids_of(trust_of(setup))
    return setup, await complete(cloud)


@pytest.mark.requirement("Q57", "Q72", "Q73")
async def test_a_role_made_by_the_guide_connects_and_requests_are_signed_with_what_it_gives(world, cloud):
    setup, held = await connect(cloud)
    external_id = setup.made["external_id"].reveal()
    assert (setup.principal, setup.inputs, setup.guide.missing) == (PRINCIPAL[cloud.slug], (INPUT[cloud.slug],), ())
    statement = trust_of(setup)
    assert (ids_of(statement), *statement["Principal"].values()) == ([external_id], [PRINCIPAL[cloud.slug]])
    assert (held.id, held.account.account_id, held.expires_at) == (setup.integration_id, ACCOUNT[cloud.slug], world.clock.now() + LIFE)
    with_it, without, other = cloud.asked
    assert (with_it.external_id, without.external_id) == (external_id, None)
    assert other.external_id not in {external_id, "", None}
    # The provider's own log names the product, the integration and the tenant.
    assert with_it.session == f"cloud-integrations-{held.id}"
    told = {"product": "cloud-integrations", "tenant": ACME}
    assert (with_it.source, with_it.tags) == ((ACME, {}) if cloud.slug == "alibaba_cloud" else ("cloud-integrations", told))

    credential = await world.door.credential(ACME, cloud.slug)
    assert credential.values() == {name: Secret(text) for name, text in cloud.minted[0].items()}
    request = Unsigned(method="GET", url="https://ecs.example.com/", headers={}, body=b"")
    signed = credential.sign(request)
    assert cloud.is_signed(Unsigned(method="GET", url=signed.url, headers=signed.headers, body=b""), cloud.minted[0])
    removal = await world.door.delete(ACME, held.id, actor=ALICE)
    assert (removal.api_key, removal.manual_url.startswith("https://")) == ("unsupported", True)
    assert external_id.encode() not in world.raw_dump()


@pytest.mark.requirement("Q72")
@pytest.mark.parametrize("takes", ["everything", "any id"])
async def test_a_role_that_opens_without_its_id_is_refused_with_what_to_mend(world, cloud, takes):
    setup = await begin(cloud)
    cloud.trust = None if takes == "everything" else AnyId()
    with pytest.raises(TrustTooOpenError, match="sts:ExternalId"):
        await complete(cloud)
    assert await world.door.list_integrations(ACME) == ()
    cloud.trust = [setup.made["external_id"].reveal()]
    assert (await complete(cloud)).status.value == "active"


async def test_a_role_for_another_external_id_is_asked_again_for_a_minute_and_not_connected(world, cloud):
    await begin(cloud)
    cloud.trust = ["fake-of-another"]
    before = world.clock.now()
    with pytest.raises(InvalidCredentialsError):
        await complete(cloud)
    assert timedelta(seconds=45) < world.clock.now() - before <= timedelta(minutes=1)


@pytest.mark.requirement("Q72")
async def test_a_check_reports_a_trust_that_was_loosened_and_the_worker_asks_each_day(world, cloud):
    setup, held = await connect(cloud)
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "tight"
    cloud.instead = HttpResponse(status=403, body=b"<html>firewall</html>")
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "unknown"
    cloud.instead, cloud.trust = None, None
    report = await world.door.verify(ACME, held.id, actor=ALICE)
    assert (report.outcome, report.trust) == ("alive", "loose")
    cloud.trust = [setup.made["external_id"].reveal()]
    world.clock.advance(timedelta(days=1))
    cloud.trust = None
    assert (await world.door.worker.refresh_due()).renewed == 1
    assert world.actions()[-1] == ("integration.trust_loosened", "failure")


@pytest.mark.requirement("Q57")
async def test_the_external_id_is_never_an_input(world, cloud):
    await begin(cloud)
    inputs = {INPUT[cloud.slug]: ROLE[cloud.slug], "external_id": "f" * 32}
    with pytest.raises(ValidationFailedError, match="does not have"):
        await world.door.complete_setup(ACME, cloud.slug, method="role", inputs=inputs, actor=ALICE)
    assert cloud.asked == []


async def test_the_region_of_the_setup_is_that_of_the_integration_whether_the_method_is_named_or_not(world, cloud):
    setup = await begin(cloud)
    cloud.trust = ids_of(trust_of(setup))
    inputs = {INPUT[cloud.slug]: ROLE[cloud.slug]}
    held = await world.door.add(ACME, cloud.slug, name="Another name", inputs=inputs, actor=ALICE)
    assert (held.id, held.name, held.variables) == (setup.integration_id, "Another name", {"region": REGION[cloud.slug]})


async def test_a_wrong_key_of_ours_is_the_operators_to_mend(world, cloud):
    await connect(cloud)
    world.clock.advance(LIFE)
    cloud.own[PARTS[cloud.slug][1]] = "fake-of-somebody-else"
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.door.credential(ACME, cloud.slug)
    assert caught.value.reason == "platform_config"


async def test_a_denial_in_use_and_an_outage_leave_the_integration_alone(world, cloud):
    _, held = await connect(cloud)
    for instead in (cloud.refusal("denied"), HttpResponse(status=503)):
        world.clock.advance(LIFE)
        cloud.instead = instead
        with pytest.raises(ProviderUnavailableError):
            await world.door.credential(ACME, cloud.slug)
    world.clock.advance(LIFE)
    cloud.instead = None
    assert (await world.door.credential(ACME, cloud.slug)).values() == {name: Secret(text) for name, text in cloud.minted[-1].items()}
    assert (await world.door.get_integration(ACME, held.id)).status.value == "active"


async def test_a_temporary_key_of_ours_shows_its_token(world, cloud):
    cloud.own[PARTS[cloud.slug][2]] = "fake-token-of-ours"
    cloud.platform = {
        cloud.slug: PlatformCredential(parts={name: Secret(text) for name, text in cloud.own.items()}, principal=PRINCIPAL[cloud.slug])
    }
    world.door = cloud.open()
    _, held = await connect(cloud)
    assert held.account.account_id == ACCOUNT[cloud.slug]


class AnyId:
    """A condition that asks only for some external id."""

    def __contains__(self, external_id):
        return external_id is not None
