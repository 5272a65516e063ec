"""A key that tells its region: nobody names it, nobody can contradict it, and the next key may tell another."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.errors import InvalidCredentialsError, ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.providers import Catalogue

from .cloud import PRINCIPAL, Cloud
from .conftest import ACME, ALICE
from .transports import StandIn

GRAFANA = "grafana_cloud"


def token(region, name="ours"):
    """A fake token of Grafana Cloud; None: one that does not tell its region."""
    content = {"o": "7", "n": name, "k": "fake" * 8, "m": {} if region is None else {"r": region}}
    return "glc_" + b64encode(json.dumps(content).encode()).decode()


class Grafana(StandIn):
    """grafana.com, which knows each token in its own region alone."""

    def __init__(self, world):
        self.world = world
        self.regions = {}
        self.asked = []
        world.transport = self
        world.door = world.open(providers=[Catalogue.builtin().require(GRAFANA)], applications=[])

    def issue(self, region, *, tells=True, name="ours"):
        made = token(region if tells else None, name)
        self.regions[made] = region
        self.world.secrets.append(made)
        return made

    def respond(self, request):
        (region,) = parse_qs(urlsplit(request.url).query)["region"]
        self.asked.append(region)
        known = self.regions.get(request.headers["Authorization"].removeprefix("Bearer ")) == region
        return HttpResponse(status=200 if known else 401, body=b'{"items": [{"orgId": "7"}]}' if known else b"{}")

    async def add(self, key, **more):
        return await self.world.door.add(ACME, GRAFANA, name="Ours", inputs={"token": key}, actor=ALICE, **more)


@pytest.fixture
def grafana(world):
    return Grafana(world)


@pytest.mark.requirement("Q56")
async def test_a_key_that_tells_its_region_connects_without_it(world, grafana):
    held = await grafana.add(grafana.issue("prod-eu-west-2"))
    assert (held.variables, grafana.asked, held.account.account_id) == ({"region": "prod-eu-west-2"}, ["prod-eu-west-2"], "7")
    assert (await world.door.credential(ACME, GRAFANA)).variables == {"region": "prod-eu-west-2"}
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    assert world.leaks_in(world.raw_dump()) == []


@pytest.mark.requirement("Q56")
async def test_the_shorthand_for_keys_reads_it_too(world, grafana):
    held = await world.door.add_api_key(ACME, GRAFANA, name="Ours", api_key=f"Bearer {grafana.issue('us')}\n", actor=ALICE)
    assert held.variables == {"region": "us"}


@pytest.mark.requirement("Q56")
async def test_a_key_that_does_not_tell_it_asks_for_it(world, grafana):
    old = grafana.issue("us", tells=False)
    with pytest.raises(ValidationFailedError) as caught:
        await grafana.add(old)
    assert (caught.value.field, grafana.asked) == ("variables.region", [])
    assert caught.value.problem == "is required by this provider, because the key does not tell it"
    assert (await grafana.add(old, variables={"region": "us"})).variables == {"region": "us"}


@pytest.mark.requirement("Q56")
async def test_what_contradicts_the_key_is_refused_before_anything_is_sent(world, grafana):
    key = grafana.issue("us")
    with pytest.raises(ValidationFailedError) as caught:
        await grafana.add(key, variables={"region": "prod-eu-west-2"})
    error = caught.value
    assert error.field == "variables.region"
    assert error.problem == (
        "contradicts credentials.inputs.token, which tells another Region of the access policy; leave it out, or enter a key that fits"
    )
    assert key not in f"{error!r}{error}{error.details}"
    assert grafana.asked == []
    with pytest.raises(ValidationFailedError, match=r"credentials\.apiKey"):
        await world.door.add_api_key(ACME, GRAFANA, name="Ours", api_key=key, variables={"region": "eu"}, actor=ALICE)
    assert await world.door.list_integrations(ACME) == ()
    assert (await grafana.add(key, variables={"region": "us"})).variables == {"region": "us"}


@pytest.mark.requirement("Q56")
async def test_a_key_of_another_region_takes_the_place_of_the_old_one_with_its_region(world, grafana):
    held = await grafana.add(grafana.issue("us"))
    again = await world.door.reconnect(ACME, held.id, inputs={"token": grafana.issue("prod-eu-west-2")}, actor=ALICE)
    assert (again.id, again.variables) == (held.id, {"region": "prod-eu-west-2"})
    assert (await world.door.get_integration(ACME, held.id)).variables == {"region": "prod-eu-west-2"}
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    assert (await world.door.credential(ACME, GRAFANA)).variables == {"region": "prod-eu-west-2"}


async def test_a_key_that_does_not_tell_it_keeps_the_region_of_the_old_one(world, grafana):
    held = await grafana.add(grafana.issue("us"))
    with pytest.raises(InvalidCredentialsError):
        await world.door.reconnect(ACME, held.id, inputs={"token": grafana.issue("eu", tells=False)}, actor=ALICE)
    again = await world.door.reconnect(ACME, held.id, inputs={"token": grafana.issue("us", tells=False, name="next")}, actor=ALICE)
    assert again.variables == {"region": "us"}


@pytest.mark.requirement("Q56")
async def test_each_key_of_a_rotation_has_its_own_region(world, grafana):
    held = await grafana.add(grafana.issue("us"))
    key = grafana.issue("prod-eu-west-2")
    await world.door.begin_key_rotation(ACME, GRAFANA, inputs={"token": key}, actor=ALICE)
    assert (await world.door.credential(ACME, GRAFANA)).variables == {"region": "us"}
    await world.door.finish_key_rotation(ACME, GRAFANA, actor=ALICE)
    shown = await world.door.credential(ACME, GRAFANA)
    assert (shown.variables, shown.headers()["Authorization"]) == ({"region": "prod-eu-west-2"}, f"Bearer {key}")
    await world.door.cancel_key_rotation(ACME, GRAFANA, actor=ALICE)
    assert (await world.door.get_integration(ACME, held.id)).variables == {"region": "us"}
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    assert grafana.asked == ["us", "prod-eu-west-2", "prod-eu-west-2", "us", "us"]


async def test_an_imported_key_tells_its_region_and_may_not_be_contradicted(world, grafana):
    key = grafana.issue("us")
    imported = ImportedKey(provider=GRAFANA, name="Ours", inputs={"token": key})
    held = await world.door.import_credential(ACME, imported, actor=ALICE)
    assert held.variables == {"region": "us"}
    await world.door.delete(ACME, held.id, actor=ALICE)
    other = ImportedKey(provider=GRAFANA, name="Ours", inputs={"token": key}, variables={"region": "eu"})
    with pytest.raises(ValidationFailedError, match="contradicts"):
        await world.door.import_credential(ACME, other, actor=ALICE)


class Stripe(StandIn):
    """api.stripe.com, which takes every key."""

    def __init__(self, world):
        self.world = world
        world.transport = self
        world.door = world.open(providers=[Catalogue.builtin().require("stripe")], applications=[])

    def respond(self, request):
        return HttpResponse(status=200, body=b'{"id": "acct_7"}')


@pytest.mark.requirement("Q56")
@pytest.mark.parametrize("mode", ["live", "test"])
async def test_the_mode_of_a_key_is_told_and_a_host_can_insist_on_one(world, mode):
    Stripe(world)
    named = {"name": "Ours", "api_key": f"rk_{mode}_{'0' * 24}", "actor": ALICE}
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.add_api_key(ACME, "stripe", variables={"mode": "live" if mode == "test" else "test"}, **named)
    assert caught.value.problem == f"contradicts credentials.apiKey, which tells {mode}; leave it out, or enter a key that fits"
    assert (await world.door.add_api_key(ACME, "stripe", **named)).variables == {"mode": mode}


@pytest.mark.requirement("Q56")
async def test_the_arn_of_a_role_tells_its_partition_over_what_the_setup_began_with(world):
    cloud = Cloud(world)
    arn = "arn:aws-cn:iam::123456789012:role/name"
    setup = await world.door.begin_setup(ACME, "aws", name="Ours", method="role", variables={"region": "cn-north-1"}, actor=ALICE)
    assert setup.principal == PRINCIPAL
    cloud.roles[arn] = setup.made["external_id"].reveal()
    with pytest.raises(ValidationFailedError, match="contradicts"):
        await world.door.complete_setup(
            ACME, "aws", method="role", inputs={"role_arn": arn}, variables={"dns_suffix": "amazonaws.com"}, actor=ALICE
        )
    held = await world.door.complete_setup(ACME, "aws", method="role", inputs={"role_arn": arn}, actor=ALICE)
    assert held.variables == {"region": "cn-north-1", "dns_suffix": "amazonaws.com.cn"}


@pytest.mark.requirement("Q56")
async def test_the_list_of_providers_says_that_the_key_may_tell_it(world, grafana):
    (offered,) = [each for each in await world.door.list_providers() if each.slug == GRAFANA]
    (variable,) = offered.variables
    assert (variable.name, variable.required, variable.told_by) == ("region", False, ("token",))
