"""Roles that tenants make for us: the external id is ours, and a role that opens without it is not connected."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from cloud_integrations import Catalogue, ImportedKey, PlatformCredential
from cloud_integrations.domain.platform import tenant_tag
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    ConfigurationError,
    IntegrationExistsError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    TrustTooOpenError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .cloud import ARN, LIFE, OTHER_ARN, PLATFORM, PRINCIPAL, Cloud, refusal
from .conftest import ACME, ALICE, GLOBEX, MALLORY


@pytest.fixture
def cloud(world):
    return Cloud(world)


async def begin(world, tenant=ACME, **more):
    return await world.door.begin_setup(tenant, "aws", name="Our account", method="role", **{"actor": ALICE, **more})


async def complete(world, arn=ARN, tenant=ACME, **more):
    return await world.door.complete_setup(tenant, "aws", method="role", inputs={"role_arn": arn}, **{"actor": ALICE, **more})


async def connect(world, cloud, arn=ARN):
    setup = await begin(world)
    cloud.roles[arn] = setup.made["external_id"].reveal()
    return setup, await complete(world, arn)


@pytest.mark.requirement("Q57", "Q72")
async def test_a_role_with_its_condition_connects_and_requests_are_signed_with_what_it_gives(world, cloud):
    setup = await begin(world)
    external_id = setup.made["external_id"].reveal()
    assert (len(bytes.fromhex(external_id)), setup.principal, setup.inputs) == (16, PRINCIPAL, ("role_arn",))
    assert setup.expires_at == world.clock.now() + timedelta(days=30)
    assert external_id not in repr(setup)
    assert external_id.encode() not in world.raw_dump()
    cloud.roles[ARN] = external_id
    held = await world.door.complete_setup(ACME, "aws", inputs={"role_arn": ARN}, actor=ALICE)
    assert (held.id, held.name, held.account.account_id) == (setup.integration_id, "Our account", "123456789012")
    assert held.expires_at == world.clock.now() + LIFE
    with_it, without, other = cloud.asked
    assert (with_it["ExternalId"], "ExternalId" in without, with_it["RoleSessionName"]) == (
        external_id, False, f"cloud-integrations-{held.id}"
    )  # fmt: skip
    assert other["ExternalId"] not in {external_id, ""}
    assert (with_it["SourceIdentity"], with_it["Tags.member.2.Value"]) == ("cloud-integrations", ACME)
    shown = await world.door.credential(ACME, "aws")
    assert shown.values()["secret_access_key"] == Secret(cloud.minted[0])
    # The id is stored sealed, and in no event.
    assert external_id.encode() not in world.raw_dump()
    with pytest.raises(IntegrationExistsError):
        await begin(world)


@pytest.mark.requirement("Q57")
async def test_the_external_id_is_the_same_until_the_setup_ends_and_differs_between_tenants_and_slots(world, cloud):
    world.door = cloud.open(settings=world.settings(slots=True))
    first = await begin(world)
    assert await begin(world, actor=MALLORY, variables={"region": "eu-central-1"}) == first
    others = [await begin(world, tenant=GLOBEX), await begin(world, slot="second")]
    assert len({setup.made["external_id"].reveal() for setup in (first, *others)}) == 3
    world.clock.advance(timedelta(days=30))
    again = await begin(world)
    assert again.integration_id != first.integration_id
    assert again.made != first.made


async def test_fifty_that_begin_at_once_get_one_setup(world, cloud):
    setups = await world.door.together(50, "begin_setup", ACME, "aws", name="Our account", actor=ALICE)
    assert len({(setup.integration_id, setup.made["external_id"].reveal()) for setup in setups}) == 1


@pytest.mark.requirement("Q72")
@pytest.mark.parametrize("wanted", [None, "given"])
async def test_a_role_that_opens_without_its_id_is_refused_with_what_to_mend(world, cloud, wanted):
    await begin(world)
    cloud.roles[ARN] = None
    if wanted is not None:
        # A condition that only asks for some external id.
        cloud.before = lambda number: refusal("AccessDenied") if "ExternalId" not in cloud.asked[number - 1] else None
    with pytest.raises(TrustTooOpenError, match="sts:ExternalId") as caught:
        await complete(world)
    assert (caught.value.reason, caught.value.details["reason"]) == ("trust_too_open", "trust_too_open")
    assert "trust policy" in str(caught.value)
    assert await world.door.list_integrations(ACME) == ()
    assert world.last_event().action == "integration.connected"
    # The setup stays open: the tenant corrects the role and completes it.
    cloud.roles[ARN] = (await begin(world)).made["external_id"].reveal()
    cloud.before = None
    assert (await complete(world)).status.value == "active"


async def test_a_new_role_is_asked_again_for_a_minute(world, cloud):
    cloud.roles[ARN] = (await begin(world)).made["external_id"].reveal()
    cloud.before = lambda number: refusal("AccessDenied") if number < 6 else None
    before = world.clock.now()
    await complete(world)
    assert timedelta(seconds=10) < world.clock.now() - before < timedelta(minutes=1)


async def test_a_role_that_is_refused_for_a_minute_is_not_connected(world, cloud):
    await begin(world)
    before = world.clock.now()
    with pytest.raises(InvalidCredentialsError) as caught:
        await complete(world)
    assert caught.value.reason == "denied"
    assert timedelta(seconds=45) < world.clock.now() - before <= timedelta(minutes=1)


@pytest.mark.requirement("Q72")
@pytest.mark.parametrize(
    "instead",
    [refusal("Throttling", 400), HttpResponse(status=503), HttpResponse(status=403, body=b"firewall"), HttpResponse(status=200)],
)
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_an_outage_or_a_limit_is_no_proof_and_is_not_waited_for(world, cloud, instead, number):
    cloud.roles[ARN] = (await begin(world)).made["external_id"].reveal()
    cloud.before = lambda count: instead if count == number else None
    before = world.clock.now()
    with pytest.raises((ProviderUnavailableError, InvalidCredentialsError)) as caught:
        await complete(world)
    assert number == 1 or isinstance(caught.value, ProviderUnavailableError)
    assert world.clock.now() == before
    assert len(cloud.asked) == number
    assert await world.door.list_integrations(ACME) == ()


async def test_without_a_setup_the_error_names_begin_setup(world, cloud):
    with pytest.raises(ValidationFailedError, match="begin one first"):
        await world.door.add(ACME, "aws", name="Our account", method="role", inputs={"role_arn": ARN}, actor=ALICE)
    with pytest.raises(ValidationFailedError, match="begin one first"):
        await complete(world)
    credential = ImportedKey(provider="aws", name="Our account", inputs={"role_arn": ARN}, method="role")
    with pytest.raises(ValidationFailedError, match="begin one first"):
        await world.door.import_credential(ACME, credential, actor=ALICE)
    assert cloud.asked == []


@pytest.mark.requirement("Q57")
async def test_an_external_id_from_outside_is_not_accepted(world, cloud):
    await begin(world)
    with pytest.raises(ValidationFailedError, match="does not have"):
        await world.door.add(ACME, "aws", name="Our account", method="role", inputs={"role_arn": ARN, "external_id": "f" * 32}, actor=ALICE)


async def test_another_tenant_cannot_use_the_role_of_the_first(world, cloud):
    await connect(world, cloud)
    await begin(world, tenant=GLOBEX)
    with pytest.raises(InvalidCredentialsError):
        await complete(world, tenant=GLOBEX)


@pytest.mark.requirement("Q57")
async def test_a_reconnect_keeps_the_external_id_also_with_another_role(world, cloud):
    setup, held = await connect(world, cloud)
    cloud.roles = {OTHER_ARN: setup.made["external_id"].reveal()}
    again = await world.door.reconnect(ACME, held.id, method="role", inputs={"role_arn": OTHER_ARN}, actor=ALICE)
    assert (again.id, again.account) == (held.id, held.account)
    await world.door.delete(ACME, held.id, actor=ALICE)
    assert (await begin(world)).made != setup.made


async def test_another_role_waits_beside_the_first_one_with_the_same_external_id(world, cloud):
    setup, held = await connect(world, cloud)
    cloud.roles[OTHER_ARN] = setup.made["external_id"].reveal()
    begun = await world.door.begin_key_rotation(ACME, held.id, method="role", inputs={"role_arn": OTHER_ARN}, actor=ALICE)
    assert begun.state == "staged"
    await world.door.finish_key_rotation(ACME, held.id, actor=ALICE)
    assert cloud.asked[-1]["RoleArn"] == OTHER_ARN
    assert (await world.door.credential(ACME, "aws")).values()["secret_access_key"] == Secret(cloud.minted[-1])


async def test_a_key_becomes_no_role_by_a_reconnect(world, cloud):
    inputs = {"access_key_id": "AKIAFAKEFAKEFAKEFAKE", "secret_access_key": "f" * 40}
    held = await world.door.add(ACME, "aws", name="Our account", inputs=inputs, actor=ALICE)
    with pytest.raises(ValidationFailedError, match="needs a setup"):
        await world.door.reconnect(ACME, held.id, method="role", inputs={"role_arn": ARN}, actor=ALICE)


@pytest.mark.requirement("Q72")
async def test_a_check_reports_a_trust_that_was_loosened_and_the_role_goes_on(world, cloud):
    _, held = await connect(world, cloud)
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "tight"
    cloud.before = lambda number: HttpResponse(status=503)
    assert (await world.door.verify(ACME, held.id, actor=ALICE)).trust == "unknown"
    cloud.before = None
    cloud.roles[ARN] = None
    report = await world.door.verify(ACME, held.id, actor=ALICE)
    assert (report.outcome, report.trust) == ("alive", "loose")
    assert world.actions()[-1] == ("integration.trust_loosened", "failure")
    assert (await world.door.credential(ACME, "aws")).values()["secret_access_key"] == Secret(cloud.minted[0])


@pytest.mark.requirement("Q72")
async def test_the_worker_proves_the_trust_each_day(world, cloud):
    _, held = await connect(world, cloud)
    cloud.roles[ARN] = None
    world.clock.advance(timedelta(hours=23))
    # Its use does not put the check off.
    await world.door.credential(ACME, "aws")
    assert (await world.door.worker.refresh_due()).claimed == 0
    world.clock.advance(timedelta(hours=1))
    assert (await world.door.worker.refresh_due()).renewed == 1
    assert world.actions()[-1] == ("integration.trust_loosened", "failure")
    assert world.row(held).marks.due_at == world.clock.now() + timedelta(days=1)


async def test_fifty_callers_on_an_ended_role_mint_once(world, cloud):
    await connect(world, cloud)
    world.clock.advance(LIFE)
    asked = len(cloud.asked)
    shown = await world.door.together(50, "credential", ACME, "aws")
    assert {one.values()["secret_access_key"].reveal() for one in shown} == {cloud.minted[-1]}
    assert len(cloud.asked) == asked + 1


async def test_without_a_credential_of_ours_the_operator_is_told_what_to_give(world, cloud):
    cloud.platform = {}
    world.door = cloud.open()
    with pytest.raises(AppMisconfiguredError) as caught:
        await begin(world)
    assert "platform={'aws': PlatformCredential(…)}" in caught.value.error_description


async def test_a_refused_credential_of_ours_is_the_operators_to_mend(world, cloud):
    await connect(world, cloud)
    world.clock.advance(LIFE)
    cloud.before = lambda number: refusal("InvalidClientTokenId")
    with pytest.raises(AppMisconfiguredError):
        await world.door.credential(ACME, "aws")
    cloud.platform = {}
    world.door = cloud.open()
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.door.credential(ACME, "aws")
    assert "PlatformCredential" in caught.value.error_description


async def test_a_function_gives_the_credential_of_the_moment(world, cloud):
    own = ConfigurationError(setting="platform.aws", problem="is locked")
    answers = [PlatformCredential(parts=cloud.platform["aws"].parts), RuntimeError("fake-platform-secret"), own, None]

    def current():
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    cloud.platform = {"aws": current}
    world.door = cloud.open()
    assert (await begin(world)).principal is None
    for problem in ("RuntimeError", "is locked", "must be a PlatformCredential"):
        with pytest.raises(ConfigurationError, match=problem) as caught:
            await begin(world)
        assert "fake-platform-secret" not in repr(caught.value)


@pytest.mark.parametrize("platform", [[], {"aws": "fake"}, {"aws": PlatformCredential(parts={})}])
async def test_what_is_no_credential_is_refused_at_once(world, cloud, platform):
    cloud.platform = platform or [1]
    with pytest.raises(ConfigurationError, match="platform"):
        cloud.open()


@pytest.mark.parametrize("product", ["", "x", "a b", "x" * 28])
def test_the_product_fits_into_a_session_name(world, product):
    with pytest.raises(ConfigurationError, match="product"):
        world.settings(product=product)


def test_a_tag_names_the_tenant_within_what_a_provider_takes():
    assert tenant_tag("acme-1@x") == "acme-1@x"
    odd = [tenant_tag(text) for text in ("a", "a" * 65, "a" * 66, "ténant", "t/nant", "t:nant")]
    assert len(set(odd)) == 6
    assert all(2 <= len(tag) <= 64 and tag.isascii() for tag in odd)


async def test_a_provider_without_roles_has_nothing_to_set_up(world, cloud):
    for method in ("access_key", "other"):
        with pytest.raises(ValidationFailedError, match="must be one of role"):
            await world.door.begin_setup(ACME, "aws", name="Our account", method=method, actor=ALICE)


@pytest.mark.requirement("Q57", "Q73")
async def test_a_setup_shows_the_guide_with_what_was_made_for_it(world, cloud):
    assert (await begin(world)).guide is None  # no guide in the catalogue
    world.guides = [Catalogue.builtin().guides_of(Catalogue.builtin().require("aws"))]
    world.door = cloud.open()
    assert (await begin(world)).guide is None  # and no permissions to show
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    url = "https://files.example/role.json"
    world.door = cloud.open(settings=world.settings(policies={"aws": policy}, template_urls={"aws": url}, product="acme-backup"))
    setup = await begin(world, variables={"region": "eu-central-1"})
    external_id = setup.made["external_id"].reveal()
    assert external_id not in repr(setup)
    assert (setup.guide.method, setup.guide.missing) == ("role", ())
    texts = {document.name: document.text for document in setup.guide.documents}
    [statement] = json.loads(texts["trust-policy.json"])["Statement"]
    assert statement["Principal"] == {"AWS": PRINCIPAL}
    assert statement["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": external_id}}
    assert json.loads(texts["permissions.json"]) == policy
    [create] = [link.url for link in setup.guide.links if "cloudformation" in link.url]
    asked = parse_qs(create.partition("?")[2].partition("?")[2])
    assert (asked["param_ExternalId"], asked["param_Principal"], asked["templateURL"]) == ([external_id], [PRINCIPAL], [url])
    # Another tenant sees another id, and the trust policy of the guide is the one that connects.
    other = await begin(world, GLOBEX)
    assert external_id not in str(other.guide)
    cloud.roles[ARN] = statement["Condition"]["StringEquals"]["sts:ExternalId"]
    assert (await complete(world)).id == setup.integration_id


async def test_a_guide_shows_no_principal_that_the_operator_has_not_named(world, cloud):
    world.guides = [Catalogue.builtin().guides_of(Catalogue.builtin().require("aws"))]
    cloud.platform = {"aws": replace(PLATFORM, principal=None)}
    world.door = cloud.open(settings=world.settings(policies={"aws": {"Version": "2012-10-17"}}))
    assert "principal" in (await begin(world)).guide.missing
