"""Servers of the tenant's own, with the provider file of Kubernetes: over TLS to a stand-in of ours, which is no Kubernetes."""

from __future__ import annotations

import base64
import socket

import httpcore
import httpx
import pytest
from tests.authorities import authority
from tests.clusters import ADMIN, REVIEWS, ROBOT, TOKEN, ApiServer, near_provider

from cloud_integrations import Catalogue, ImportedKey
from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.errors import (
    InvalidCredentialsError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.protocol.egress import Reach

from .conftest import ACME
from .test_sessions import asked, opened, refusal

pytestmark = pytest.mark.requirement("Q69")
HOST = "cluster.corp.example"


@pytest.fixture
def cluster(world, tmp_path):
    with ApiServer(tmp_path=tmp_path) as found:
        reach(world, near_provider())
        yield found


def reach(world, provider, **settings):
    world.transport = HttpxTransport() if world.blocking else AsyncHttpxTransport()
    world.door = world.open(providers=[provider], applications=[], settings=world.settings(**settings))
    world.secrets.append(TOKEN)


def entered(url, **changes):
    return {"server": url, "ca": authority().pem, "token": TOKEN} | changes


def certified(url, name=ADMIN):
    certificate, key = authority("Clients").issue(name)
    return {"server": url, "ca": authority().pem, "client_certificate": certificate, "client_key": key}


async def add(world, inputs, tenant=ACME):
    world.secrets += [line for line in inputs.get("client_key", "").splitlines() if line and not line.startswith("-")]
    return await world.door.add(tenant, "kubernetes", name="Ours", inputs=inputs)


async def test_a_service_account_connects_is_handed_out_with_its_server_and_is_removed(world, cluster):
    held = await add(world, entered(cluster.url))
    assert (held.account.account_id, held.account.label) == (f"{cluster.url}/{ROBOT}", ROBOT)
    assert [asked[:3] for asked in cluster.asked] == [("POST", REVIEWS, cluster.url.removeprefix("https://"))]
    shown = await world.door.credential(ACME, held.id)
    values = {name: part.reveal() for name, part in shown.values().items()}
    assert values["server"] == cluster.url
    async with httpx.AsyncClient(verify=shown.ssl_context(), trust_env=False, headers=shown.headers()) as client:
        answered = await client.post(values["server"] + REVIEWS, json={"kind": "SelfSubjectReview"})
    assert answered.json()["status"]["userInfo"]["username"] == ROBOT
    removal = await world.door.delete(ACME, held.id)
    assert (removal.api_key, removal.manual_url.startswith("https://kubernetes.io/")) == ("unsupported", True)
    assert world.leaks_in(world.raw_dump()) == []


async def test_a_client_certificate_connects_and_shows_no_header(world, cluster):
    held = await add(world, certified(cluster.url))
    assert (held.method_id, held.account.account_id) == ("client_certificate", f"{cluster.url}/{ADMIN}")
    assert cluster.seen[0][1:] == (ADMIN, None)
    shown = await world.door.credential(ACME, held.id)
    assert (shown.forms, shown.values()["server"].reveal()) == (("ssl_context",), cluster.url)


async def test_what_a_kubeconfig_holds_in_base64_is_read(world, cluster):
    def twice(text):
        return base64.b64encode(text.encode()).decode()

    inputs = certified(cluster.url)
    held = await add(world, inputs | {name: twice(inputs[name]) for name in ("ca", "client_certificate", "client_key")})
    shown = await world.door.credential(ACME, held.id)
    assert {name: part.reveal().strip() for name, part in shown.values().items()} == {name: text.strip() for name, text in inputs.items()}


async def test_one_name_on_two_servers_is_two_accounts(world, cluster, tmp_path):
    held = await add(world, entered(cluster.url))
    (tmp_path / "other").mkdir()
    with ApiServer(tmp_path=tmp_path / "other") as other:
        again = await world.door.reconnect(ACME, held.id, inputs=entered(other.url))
        assert again.account.account_id == f"{other.url}/{ROBOT}" != held.account.account_id
        assert world.last_event().details["account_changed"] == "true"
        there = await add(world, entered(other.url + "/"), tenant="globex")
        assert there.account == again.account, "the way in which it is written makes no other account"


async def test_a_refused_credential_is_not_replaced_by_one_for_another_server(world, cluster, tmp_path):
    held = await add(world, entered(cluster.url))
    refused = await world.door.credential(ACME, held.id)
    (tmp_path / "other").mkdir()
    with ApiServer(tmp_path=tmp_path / "other") as other:
        await world.door.reconnect(ACME, held.id, inputs=entered(other.url))
        with pytest.raises(ValidationFailedError) as caught:
            await world.door.replace_refused(ACME, refused)
        assert caught.value.field == "token"
        await world.door.reconnect(ACME, held.id, inputs=entered(cluster.url))
        assert (await world.door.replace_refused(ACME, refused)).values()["server"].reveal() == cluster.url


async def test_an_agent_does_not_get_the_next_token_sent_to_the_server_that_the_tenant_left(world, cluster, tmp_path):
    held = await add(world, entered(cluster.url))
    session = await opened(world, providers=["kubernetes"], hosts=None)
    assert await asked(session, cluster.url, provider="kubernetes")
    (tmp_path / "other").mkdir()
    with ApiServer(tmp_path=tmp_path / "other") as other:
        await world.door.reconnect(ACME, held.id, inputs=entered(other.url))
        assert await refusal(session, cluster.url, provider="kubernetes") == "host"
        assert await refusal(session, other.url, provider="kubernetes") == "host"
        assert await asked(await opened(world, providers=["kubernetes"], hosts=None), other.url, provider="kubernetes")


async def test_what_the_server_says_decides(world, cluster):
    wrong = TOKEN.replace("5d1c", "0000")
    with pytest.raises(InvalidCredentialsError):
        await add(world, entered(cluster.url, token=wrong))
    held = await add(world, entered(cluster.url))
    cluster.tokens.clear()
    assert (await world.door.verify(ACME, held.id)).outcome == "dead"
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, held.id)


@pytest.mark.parametrize("anonymous", ["allowed", "forbidden"])
async def test_a_certificate_that_does_not_arrive_makes_a_stranger_and_is_no_credential(world, cluster, anonymous):
    # A proxy before the API server ends the TLS connection, and the server sees nobody.
    cluster.anonymous = anonymous
    seen = cluster.answer
    cluster.answer = lambda name, authorization: seen(None, authorization)
    with pytest.raises(InvalidCredentialsError):
        await add(world, certified(cluster.url))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((403, {"kind": "Status", "message": 'forbidden: User "eve" cannot create resource'}), "alive_but_denied"),
        ((404, {"kind": "Status"}), "unknown"),
        ((429, {"kind": "Status"}), "unknown"),
        ((500, {}), "unknown"),
        ((201, {"status": {"userInfo": {}}}), "unknown"),
        ((200, {"status": {"userInfo": {"username": ""}}}), "unknown"),
    ],
)
async def test_other_answers_end_no_integration(world, cluster, answer, outcome):
    held = await add(world, entered(cluster.url))
    cluster.answer = lambda *_: answer
    assert (await world.door.verify(ACME, held.id)).outcome == outcome
    assert (await world.door.credential(ACME, held.id)).headers()


@pytest.mark.requirement("OAU-033", "OAU-052", "Q68", "B07")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else(world, cluster, tmp_path, status):
    (tmp_path / "other").mkdir()
    with ApiServer(tmp_path=tmp_path / "other") as other:
        cluster.answer = lambda *_: (status, {}, ("Location", other.url + REVIEWS))
        with pytest.raises(ProviderUnavailableError):
            await add(world, entered(cluster.url))
        assert other.asked == []


async def test_a_server_is_believed_by_the_tenants_authority_alone(world, cluster):
    for ca in ({}, {"ca": authority("Another").pem}):
        with pytest.raises(ValidationFailedError, match="does not vouch for this server") as caught:
            await add(world, {"server": cluster.url, "token": TOKEN} | ca)
        assert caught.value.field == "credentials.inputs.ca"
    assert cluster.seen == []


async def test_an_import_is_cleaned_as_well(world, cluster):
    key = ImportedKey(provider="kubernetes", inputs=entered(cluster.url.upper() + "/"), method="service_account_token", name="Ours")
    held = await world.door.import_credential(ACME, key, verify=False)
    assert (await world.door.credential(ACME, held.id)).values()["server"].reveal() == cluster.url


KUBECONFIG = f"""apiVersion: v1
kind: Config
clusters:
- name: a
  cluster: {{server: "https://cluster.acme.example:6443"}}
users:
- name: ada
  user: {{token: {TOKEN}}}
"""


@pytest.mark.parametrize("name", ["server", "ca", "token"])
@pytest.mark.parametrize("text", [KUBECONFIG, f'{{"apiVersion": "v1", "kind": "Config", "users": [{{"user": {{"token": "{TOKEN}"}}}}]}}'])
async def test_a_whole_kubeconfig_is_refused_by_name_and_not_sent(world, cluster, name, text):
    with pytest.raises(ValidationFailedError, match="looks like a whole kubeconfig, and nothing was sent or stored; enter the ") as caught:
        await add(world, entered(cluster.url, **{name: text}))
    assert caught.value.field == f"credentials.inputs.{name}"
    assert cluster.asked == []
    assert not world.leaks_in(str(caught.value).encode())


@pytest.fixture
def resolves(monkeypatch):
    """Say what the cluster's name resolves to, one answer after another, the last one for ever."""

    def say(*answers):
        left = list(answers)
        asked = []

        def getaddrinfo(host, port, *_args, **_named):
            asked.append(host.decode() if isinstance(host, bytes) else host)
            found = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return say


@pytest.fixture
def builtin():
    return Catalogue.builtin().require("kubernetes")


@pytest.fixture
def connects(monkeypatch):
    """The addresses to which a connection is opened; none is."""
    found = []

    def refuse(_, host, *_args, **_named):
        found.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", refuse)
    return found


NOT_ALLOWED = "may not be reached from here"


@pytest.mark.requirement("OAU-072", "OAU-074", "OAU-078")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "[fd00:ec2::254]", "localhost", "cluster"])
async def test_a_private_address_is_refused_by_its_field(world, builtin, connects, host):
    reach(world, builtin)
    with pytest.raises(ValidationFailedError, match=NOT_ALLOWED) as caught:
        await add(world, entered(f"https://{host}:6443"))
    assert caught.value.field == "credentials.inputs.server"
    assert host not in str(caught.value)
    assert connects == []


@pytest.mark.requirement("OAU-073", "OAU-077")
@pytest.mark.parametrize("found", [["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"]])
async def test_a_name_that_leads_to_a_private_address_is_refused(world, builtin, connects, resolves, found):
    reach(world, builtin)
    resolves(found)
    with pytest.raises(ValidationFailedError, match=NOT_ALLOWED):
        await add(world, entered(f"https://{HOST}:6443"))
    assert connects == []


@pytest.mark.requirement("OAU-073", "B06")
async def test_a_name_that_changes_its_address_is_asked_once_and_checked_each_time(world, builtin, connects, resolves):
    reach(world, builtin)
    asked = resolves(["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(ProviderUnreachableError):
        await add(world, entered(f"https://{HOST}:6443"))
    assert (asked, connects) == ([HOST], ["8.8.8.8"]), "the address that was checked is the one that is used"
    with pytest.raises(ValidationFailedError, match=NOT_ALLOWED):
        await add(world, entered(f"https://{HOST}:6443"))
    assert connects == ["8.8.8.8"]


@pytest.mark.requirement("OAU-076")
async def test_the_operator_lists_a_server_by_its_whole_origin(world, builtin, tmp_path, resolves, monkeypatch):
    # The stand-in is on this machine, which no setting allows: here, this machine is the private network.
    monkeypatch.setattr(Reach, "allows", lambda self, _: self is Reach.PRIVATE)
    resolves(["127.0.0.1"])
    with ApiServer(tmp_path=tmp_path, host=HOST) as cluster:
        port = cluster.server_address[1]
        reach(world, builtin, private_servers=[f"https://{HOST.upper()}:{port}/"])
        held = await add(world, entered(f"https://{HOST}:{port}"))
        assert held.account.account_id == f"https://{HOST}:{port}/{ROBOT}"
        for elsewhere in (f"https://{HOST}:{port + 1}", f"https://{HOST}", f"https://other.corp.example:{port}"):
            with pytest.raises(ValidationFailedError, match=NOT_ALLOWED):
                await add(world, entered(elsewhere), tenant="globex")
        # Decided with each request: a server that is no longer listed is not asked.
        reach(world, builtin)
        with pytest.raises(ProviderUnreachableError):
            await world.door.verify(ACME, held.id)
        assert len(cluster.asked) == 1
        assert (await world.door.credential(ACME, held.id)).headers()


@pytest.mark.requirement("OAU-074")
@pytest.mark.parametrize("found", [["127.0.0.1"], ["::1"], ["169.254.169.254"], ["fd00:ec2::254"], ["168.63.129.16"]])
async def test_a_listed_server_is_never_this_machine_nor_a_metadata_service(world, builtin, connects, resolves, found):
    reach(world, builtin, private_servers=[f"https://{HOST}:6443"])
    resolves(found)
    with pytest.raises(ValidationFailedError, match=NOT_ALLOWED):
        await add(world, entered(f"https://{HOST}:6443"))
    assert connects == []
