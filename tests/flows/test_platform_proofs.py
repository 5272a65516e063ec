"""A credential that is minted with a token of our own issuer: no secret of the tenant is stored."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from tests.protocol.keys import pem

from cloud_integrations import ImportedKey, Issuer, LocalSigningKeys
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    ConfigurationError,
    KeyringError,
    KeyServiceUnavailableError,
    ProviderInactiveError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE, GLOBEX
from .vouching import LIFE, URL, Cloud, Keys, add


@pytest.fixture
def cloud(world):
    return Cloud(world)


@pytest.mark.requirement("OAU-065", "OAU-066", "Q74")
async def test_a_token_of_ours_is_exchanged_and_no_secret_of_the_tenant_is_stored(world, cloud):
    held = await add(world)
    [claims] = cloud.claims
    header, jti = claims.pop("header"), claims.pop("jti")
    now = int(world.clock.now().timestamp())
    assert header == {"typ": "JWT", "alg": "RS256", "kid": cloud.keys.public_keys()[0].key_id}
    assert claims == {"iss": URL, "sub": "tenant:acme", "aud": "https://cloud.example/pool", "iat": now, "exp": now + 300}
    assert len(jti) == 32
    assert (held.renewal_rule, held.expires_at) == ("mint", world.clock.now() + LIFE)
    shown = await world.door.credential(ACME, "cloud")
    assert shown.headers() == {"Authorization": "Bearer fake-token-1"}
    stored = await world.door.wiring.sealer.open_parts(ACME, held.id, world.row(held).credential.renewal, field="renewal", generation=1)
    assert {name: value.reveal() for name, value in stored.items()} == {"audience": "https://cloud.example/pool"}


@pytest.mark.requirement("OAU-065", "OAU-066")
async def test_each_token_is_of_its_tenant_and_has_an_id_of_its_own(world, cloud):
    await add(world)
    await add(world, GLOBEX)
    world.clock.advance(LIFE)
    assert (await world.door.credential(ACME, "cloud")).value.reveal() == "fake-token-3"
    assert [claims["sub"] for claims in cloud.claims] == ["tenant:acme", "tenant:globex", "tenant:acme"]
    assert len({claims["jti"] for claims in cloud.claims}) == 3


async def test_the_first_key_signs_and_the_old_one_still_verifies(world, cloud):
    await add(world)
    cloud.keys = Keys("other rsa", "rsa")
    world.door = cloud.open()
    await add(world, GLOBEX)
    old, new = (claims["header"]["kid"] for claims in cloud.claims)
    assert [new, old] == [key.key_id for key in cloud.keys.public_keys()]
    assert [key["kid"] for key in (await world.door.issuer.key_set())["keys"]] == [new, old]


@pytest.mark.requirement("OAU-064")
async def test_a_client_shows_its_secret_or_else_a_token_of_ours(world, cloud):
    world.door = cloud.open(providers=[cloud.provider(client_auth=("post", "proof:us"))])
    await add(world, inputs={"client_id": "client-1"})
    [asked] = cloud.asked
    assert (asked["client_id"], asked["client_assertion_type"]) == ("client-1", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    assert cloud.claims[0]["exp"] - cloud.claims[0]["iat"] == 60
    cloud.answer = HttpResponse(status=200, body=b'{"access_token": "fake-token"}')
    await add(world, GLOBEX, inputs={"client_id": "client-1", "client_secret": "fake-secret"})
    assert "client_assertion" not in cloud.asked[-1]
    assert cloud.asked[-1]["client_secret"] == "fake-secret"


async def test_a_tenant_whose_id_is_too_long_for_the_provider_is_refused_before_anything_is_sent(world, cloud):
    await add(world, "a" * 120)
    with pytest.raises(ValidationFailedError, match="at most 120 characters") as caught:
        await add(world, "a" * 121)
    assert caught.value.field == "tenantId"
    with pytest.raises(ValidationFailedError, match="must be ASCII"):
        await add(world, "tenant-é")
    key = ImportedKey(provider="cloud", name="Our cloud", inputs={"audience": "https://cloud.example/pool"})
    with pytest.raises(ValidationFailedError, match="at most 120"):
        await world.door.import_credential("a" * 121, key, actor=ALICE)
    assert len(cloud.asked) == 1


@pytest.mark.requirement("OAU-066")
@pytest.mark.parametrize("issued", ["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:refresh_token", 5])
async def test_an_exchange_that_gives_another_kind_of_token_is_refused(world, cloud, issued):
    body = {"access_token": "fake-token", "token_type": "Bearer", "issued_token_type": issued}
    cloud.answer = HttpResponse(status=200, body=json.dumps(body).encode())
    with pytest.raises(Exception, match="cannot be used"):
        await add(world)


async def test_without_an_issuer_the_method_is_not_offered(world, cloud):
    door = cloud.open(issuer=None)
    assert [method.id for summary in door.manager.list_providers() for method in summary.methods] == []
    assert [method.id for summary in world.door.manager.list_providers() for method in summary.methods] == ["federated"]
    world.door = door
    with pytest.raises(ProviderInactiveError, match="needs our own issuer"):
        await add(world)
    assert cloud.asked == []
    for call in (door.issuer.configuration, door.issuer.key_set, door.issuer.check):
        with pytest.raises(ConfigurationError, match="issuer is not set"):
            await call()


async def test_without_an_issuer_a_client_needs_its_secret(world, cloud):
    world.door = cloud.open(issuer=None, providers=[cloud.provider(client_auth=("post", "proof:us"))])
    assert [method.id for summary in world.door.manager.list_providers() for method in summary.methods] == ["federated"]
    with pytest.raises(ValidationFailedError, match="need client_secret"):
        await add(world, inputs={"client_id": "client-1"})
    assert cloud.asked == []


async def test_while_the_key_service_is_away_the_living_one_is_handed_out(world, cloud):
    held = await add(world)
    cloud.keys.error = KeyServiceUnavailableError(reason="Throttling")
    world.clock.advance(LIFE - timedelta(seconds=20))
    living = await world.door.credential(ACME, "cloud")
    assert (living.value.reveal(), living.warning) == ("fake-token-1", "refresh_failed")
    world.clock.advance(timedelta(seconds=20))
    with pytest.raises(KeyServiceUnavailableError):
        await world.door.credential(ACME, "cloud")
    assert world.row(held).facts.health.value == "retrying"
    assert len(cloud.asked) == 1
    cloud.keys.error = None
    world.clock.advance(timedelta(minutes=5))
    assert (await world.door.credential(ACME, "cloud")).value.reveal() == "fake-token-2"
    assert world.row(held).facts.health.value == "ok"


async def test_a_key_that_may_not_be_used_is_the_operators_to_mend(world, cloud):
    held = await add(world)
    cloud.keys.error = KeyringError(key_id="fake-key", problem="is switched off")
    world.clock.advance(LIFE - timedelta(seconds=20))
    assert (await world.door.credential(ACME, "cloud")).warning == "refresh_failed"
    world.clock.advance(timedelta(minutes=1))
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.door.credential(ACME, "cloud")
    assert caught.value.reason == "signing_key"
    assert "signing key" in str(caught.value)
    assert world.row(held).facts.health.value == "application_refused"
    world.door = cloud.open(issuer=None)
    with pytest.raises(AppMisconfiguredError):
        await world.door.credential(ACME, "cloud")


async def test_keys_that_wait_are_asked_in_a_thread_of_the_awaiting_manager(world, cloud):
    cloud.keys = Keys(waits=True)
    world.door = cloud.open()
    assert world.door.wiring.signing_keys.waits
    assert "awaitable" in repr(world.door.wiring.signing_keys)
    await world.door.issuer.key_set()
    assert (cloud.keys.threads == {threading.get_ident()}) is world.blocking


async def test_a_key_that_may_not_be_used_is_found_at_the_start_and_an_outage_is_not_one(world, cloud):
    cloud.keys.public_error = KeyServiceUnavailableError(reason="Throttling")
    await cloud.open().start()
    cloud.keys.public_error = KeyringError(key_id="fake-key", problem="is switched off")
    with pytest.raises(KeyringError, match="fake-key is switched off"):
        await cloud.open().start()


@pytest.mark.parametrize("issuer", [URL, Issuer, {"url": URL}, LocalSigningKeys([pem()])], ids=["text", "class", "mapping", "keys"])
def test_what_is_no_issuer_is_refused(world, issuer):
    with pytest.raises(ConfigurationError, match="issuer must be an Issuer"):
        world.open(issuer=issuer)


@pytest.mark.parametrize(
    "url",
    ["https://a..example", "https://intranet", "https://10.0.0.1", "https://127.0.0.2", "https://a.example:99999", "https://a.example:0"],
)
def test_an_issuer_that_no_cloud_could_read_is_refused(url):
    with pytest.raises(ConfigurationError, match=r"issuer\.url must have a public host name"):
        Issuer(url=url, keys=Keys())
    assert Issuer(url="https://a.example:8443/x", keys=Keys()).url.endswith("/x")


@pytest.mark.parametrize("keys", [None, pem(), LocalSigningKeys, object()], ids=["none", "text", "class", "object"])
def test_what_are_no_keys_is_refused(world, keys):
    with pytest.raises(ConfigurationError, match=r"issuer\.keys"):
        world.open(issuer=Issuer(url=URL, keys=keys))


def test_http_is_for_development(world):
    local = Issuer(url="http://127.0.0.1:8000", keys=Keys())
    with pytest.raises(ConfigurationError, match="must be https unless the setting loopback is on"):
        world.open(issuer=local)
    world.open(issuer=local, settings=world.settings(loopback=True))


@pytest.mark.requirement("OAU-066", "OAU-081")
@pytest.mark.parametrize(("client_auth", "name"), [((), "subject_token"), (("proof:us",), "client_assertion")])
async def test_a_token_of_ours_that_the_cloud_repeats_is_told_to_nobody(world, cloud, client_auth, name):
    world.door = cloud.open(providers=[cloud.provider(client_auth=client_auth)])
    await add(world, inputs={"client_id": "client-1"} if client_auth else {})
    sent = []

    def repeat(request):
        sent.extend(parse_qs(request.body.decode())[name])
        body = {"error": "invalid_request", "error_description": f"cannot use {sent[-1]}"}
        return HttpResponse(status=400, body=json.dumps(body).encode())

    cloud.respond = repeat
    world.clock.advance(LIFE)
    with pytest.raises(CloudIntegrationsError) as caught:
        await world.door.credential(ACME, "cloud")
    told = repr((caught.value, vars(caught.value), world.events(), world.facts.told))
    assert "cannot use" in told
    assert not any(part in told for part in sent[-1].split("."))
