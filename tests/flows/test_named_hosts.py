"""A host that a provider's answer names is used if it lies under the domains of the provider's file, and never otherwise."""

from __future__ import annotations

import json

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.providers import Catalogue

from .conftest import ACME, ALICE
from .transports import StandIn

pytestmark = pytest.mark.requirement("Q68")

ACCOUNT = "0123456789ab"
INPUTS = {"client_id": ACCOUNT, "client_secret": "fakeFAKE" * 3 + "fakefak"}
HOSTILE = [
    "https://evil.example",
    "https://backblazeb2.com.evil.example",
    "https://evilbackblazeb2.com",
    "https://evil.example/.backblazeb2.com",
    "https://evil.example#.backblazeb2.com",
    "https://evil.example?.backblazeb2.com",
    "https://evil.example\\.backblazeb2.com",
    "https://fake@api001.backblazeb2.com",
    "https://api001.backblazeb2.com@evil.example",
    "https://api001.backblazeb2.com:444",
    "https://api001.backblazeb2.com:443",
    "https://api001.backblazeb2.com.",
    "https://api001.backblazeb2.com/path",
    "https://.backblazeb2.com",
    "https://a..backblazeb2.com",
    "http://api001.backblazeb2.com",
    "//api001.backblazeb2.com",
    "https://https://api001.backblazeb2.com",
    "https://169.254.169.254",
    "https://[::1]",
    "https://2130706433",
    "https://api\u0430.backblazeb2.com",
    "https://api001.backblazeb2\u3002com",
    "https://api001.backblazeb2.\u212aom",
    "https://api001.backblazeb2.com\n",
    "https://api001.backblazeb2.com ",
    "https://*.backblazeb2.com",
    "https://" + "a" * 64 + ".backblazeb2.com",
    "https://" + "a." * 130 + "backblazeb2.com",
    "",
    7,
    None,
    ["https://api001.backblazeb2.com"],
    {"host": "api001.backblazeb2.com"},
]


class Cluster(StandIn):
    """Backblaze B2: one server that knows the pair, and the clusters, each of which knows its tokens."""

    def __init__(self, world):
        self.world = world
        self.named = "https://api001.backblazeb2.com"
        """The host that the answer to the pair names."""
        self.tokens = []
        self.asked = []
        world.transport = self
        world.door = world.open(providers=[Catalogue.builtin().require("backblaze_b2")], applications=[])

    def respond(self, request):
        self.asked.append(f"{request.method} {request.url}")
        if request.url == "https://api.backblazeb2.com/b2api/v3/b2_authorize_account":
            self.tokens.append(f"fake-token-{len(self.tokens)}")
            storage = {"apiUrl": self.named, "s3ApiUrl": "https://s3.us-west-001.backblazeb2.com"}
            document = {"accountId": ACCOUNT, "authorizationToken": self.tokens[-1], "apiInfo": {"storageApi": storage}}
            return HttpResponse(status=200, body=json.dumps(document).encode())
        assert json.loads(request.body) == {"accountId": ACCOUNT}
        status = 200 if request.headers["Authorization"] in self.tokens else 401
        return HttpResponse(status=status, body=json.dumps({"buckets": []} if status == 200 else {"code": "bad_auth_token"}).encode())

    async def add(self, **named):
        return await self.world.door.add(ACME, "backblaze_b2", name="Ours", method="account_token", inputs=INPUTS, actor=ALICE, **named)


@pytest.fixture
def cluster(world):
    return Cluster(world)


@pytest.mark.parametrize("host", ["api001.backblazeb2.com", "api.eu-central.backblazeb2.com", "backblazeb2.com"])
@pytest.mark.parametrize("written", ["https://{}", "https://{}/", "{}", "HTTPS://{}"])
async def test_the_host_that_the_answer_names_is_asked_and_handed_out(world, cluster, host, written):
    cluster.named = written.format(host)
    held = await cluster.add()
    assert held.variables == {"api_host": host, "account_id": ACCOUNT}
    assert held.account.account_id == ACCOUNT
    assert cluster.asked[-1] == f"POST https://{host}/b2api/v3/b2_list_buckets"
    credential = await world.door.credential(ACME, held.id)
    assert credential.headers() == {"Authorization": cluster.tokens[-1]}
    assert credential.base_url("api") == f"https://{host}/b2api/v3"
    assert (await world.door.verify(ACME, held.id)).works


@pytest.mark.parametrize("named", HOSTILE)
async def test_another_host_is_not_asked_and_the_credential_that_came_is_kept(world, cluster, named):
    cluster.named = named
    held = await cluster.add()
    assert held.variables == {"account_id": ACCOUNT}
    assert cluster.asked == ["GET https://api.backblazeb2.com/b2api/v3/b2_authorize_account"]
    credential = await world.door.credential(ACME, held.id)
    assert credential.value == Secret(cluster.tokens[-1])
    with pytest.raises(ValidationFailedError):
        credential.base_url("api")
    told = [fact.facts["members"] for fact in world.facts.told if fact.name == "credential.answer_unread"]
    assert told == ([] if named is None else ["variables"])
    assert all(str(named) not in str(fact.facts) for fact in world.facts.told if isinstance(named, str) and named)


@pytest.mark.parametrize("named", HOSTILE)
async def test_another_host_in_a_later_answer_leaves_the_one_that_is_known(world, cluster, named):
    held = await cluster.add()
    cluster.named = named
    world.pass_(hours=13)
    credential = await world.door.credential(ACME, held.id)
    assert credential.value == Secret(cluster.tokens[1])
    assert credential.base_url("api") == "https://api001.backblazeb2.com/b2api/v3"
    assert (await world.door.verify(ACME, held.id)).works


async def test_an_account_that_moves_is_followed(world, cluster):
    held = await cluster.add()
    cluster.named = "https://api004.backblazeb2.com"
    world.pass_(hours=13)
    assert (await world.door.credential(ACME, held.id)).base_url("api") == "https://api004.backblazeb2.com/b2api/v3"
    assert (await world.door.get_integration(ACME, held.id)).variables["api_host"] == "api004.backblazeb2.com"
    cluster.named = "https://api005.backblazeb2.com"
    again = await world.door.reconnect(ACME, held.id, inputs=INPUTS, method="account_token", actor=ALICE)
    assert again.variables["api_host"] == "api005.backblazeb2.com"


@pytest.mark.parametrize("verify", [True, False])
async def test_an_imported_key_has_the_host_once_it_was_asked_for(world, cluster, verify):
    key = ImportedKey(provider="backblaze_b2", name="Ours", method="account_token", inputs=INPUTS)
    held = await world.door.import_credential(ACME, key, verify=verify, actor=ALICE)
    assert held.variables.get("api_host") == ("api001.backblazeb2.com" if verify else None)
    assert (await world.door.credential(ACME, held.id)).base_url("api") == "https://api001.backblazeb2.com/b2api/v3"


async def test_a_token_in_the_place_of_an_account_is_stored_as_no_variable(world, cluster):
    respond = cluster.respond

    def swapped(request):
        answer = respond(request)
        return HttpResponse(status=200, body=answer.body.replace(ACCOUNT.encode(), cluster.tokens[-1].encode()))

    cluster.respond = swapped
    assert (await cluster.add()).variables == {"api_host": "api001.backblazeb2.com"}


@pytest.mark.parametrize("host", ["evil.example", "api001.backblazeb2.com:444", "127.0.0.1", "API001.backblazeb2.com"])
async def test_a_tenant_names_no_host_of_its_own_either(cluster, host):
    with pytest.raises(ValidationFailedError) as caught:
        await cluster.add(variables={"api_host": host})
    assert caught.value.field == "variables.api_host"
    assert cluster.asked == []


@pytest.mark.parametrize(("code", "works"), [("unauthorized", True), ("bad_auth_token", False), ("expired_auth_token", False)])
async def test_a_key_that_may_not_list_buckets_works_nevertheless(world, cluster, code, works):
    held = await cluster.add()
    respond = cluster.respond

    def refusing(request):
        if request.method == "GET":
            return respond(request)
        return HttpResponse(status=401, body=json.dumps({"status": 401, "code": code, "message": "fake"}).encode())

    cluster.respond = refusing
    assert (await world.door.verify(ACME, held.id)).works is works
