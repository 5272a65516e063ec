"""Tokens that are bound to a key of the connection (DPoP, RFC 9449), through both managers."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from cloud_integrations.domain.importing import ImportedGrant
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import (
    CredentialFormError,
    GrantRefusedError,
    ProviderUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.protocol.dpop import KEY_BYTES, make_key

from .answers import said
from .conftest import ACME, ALICE, OWN_REDIRECT_URI
from .transports import Before

pytestmark = pytest.mark.requirement("OAU-068")

KEY = make_key(bytes(KEY_BYTES))
ME = "https://simulated.example/me"


def bind(world, **changes):
    """Have the provider bind its tokens to keys, and open a door that knows it."""
    for name, value in {"dpop": True, **changes}.items():
        setattr(world.provider, name, value)
    world.entries[:] = world.provider.catalogue_entries()
    world.door = world.open()


@pytest.fixture
def bound(world):
    bind(world)
    return world


def proofs(world, path="/token"):
    """What the proofs say that came with the requests to *path*."""
    sent = [request.headers["DPoP"] for request in world.sent if request.url.endswith(path) and "DPoP" in request.headers]
    return [json.loads(base64.urlsafe_b64decode((text := proof.split(".")[1]) + "=" * (-len(text) % 4))) for proof in sent]


async def show(world, credential, /, **options):
    """Send a request of a host with *credential*; return the status."""
    signed = credential.sign(Unsigned(method="GET", url=ME), **options)
    return world.provider.handle("GET", "/me", headers=signed.headers).status


async def test_a_bound_token_is_connected_shown_renewed_and_removed(bound):
    integration = await bound.connect()
    assert integration.account.account_id == bound.provider.account
    credential = await bound.door.credential(ACME, "simulated")
    assert credential.forms == ("sign",)
    assert await show(bound, credential) == 200
    key = credential.values()["dpop_key"]
    bound.secrets.append(key.reveal())
    await bound.door.refresh(ACME, integration.id)
    renewed = await bound.door.credential(ACME, "simulated")
    assert renewed.value != credential.value
    assert renewed.values()["dpop_key"] == key
    assert await show(bound, renewed) == 200
    # Without the key the token is of no use.
    stolen = {"authorization": f"DPoP {renewed.value.reveal()}"}
    assert bound.provider.handle("GET", "/me", headers=stolen).status == 401
    assert bound.leaks_in(bound.raw_dump()) == []
    assert "PRIVATE" not in repr(credential)
    await bound.door.delete(ACME, integration.id)
    assert await show(bound, renewed) == 401


async def test_each_request_has_a_proof_of_its_own(bound):
    integration = await bound.connect()
    await bound.door.refresh(ACME, integration.id)
    exchange, renewal = proofs(bound)
    assert (exchange["htm"], exchange["htu"]) == ("POST", "https://simulated.example/token")
    assert exchange["iat"] == int(bound.clock.now().timestamp())
    assert "ath" not in exchange
    [check] = proofs(bound, "/me")
    assert (check["htm"], check["htu"]) == ("GET", ME)
    assert "ath" in check
    assert len({exchange["jti"], renewal["jti"], check["jti"]}) == 3


async def test_a_connection_has_a_key_of_its_own(bound):
    first = await bound.connect()
    await bound.connect("globex")
    keys = [(await bound.door.credential(tenant, "simulated")).values()["dpop_key"] for tenant in (ACME, "globex")]
    assert keys[0] != keys[1]
    # It stays when the same integration is connected again, so that a refresh token that stays is bound to it.
    await bound.reconnect(first)
    assert (await bound.door.credential(ACME, "simulated")).values()["dpop_key"] == keys[0]


async def test_a_form_that_would_show_the_token_alone_is_refused(bound):
    await bound.connect()
    credential = await bound.door.credential(ACME, "simulated")
    with pytest.raises(CredentialFormError) as caught:
        credential.headers()
    assert "sign" in str(caught.value)


async def test_a_nonce_is_taken_up_once_and_kept_for_the_server(bound):
    bound.provider.dpop_nonce = "nonce-1"
    integration = await bound.connect()
    asked = [proof.get("nonce") for proof in proofs(bound)]
    assert asked == [None, "nonce-1"]
    await bound.door.refresh(ACME, integration.id)
    # The nonce is known: no request is wasted.
    assert [proof.get("nonce") for proof in proofs(bound)] == [None, "nonce-1", "nonce-1"]
    bound.provider.dpop_nonce = "nonce-2"
    await bound.door.refresh(ACME, integration.id)
    assert [proof.get("nonce") for proof in proofs(bound)][3:] == ["nonce-1", "nonce-2"]
    assert await show(bound, await bound.door.credential(ACME, "simulated"), nonce="nonce-2") == 200


async def test_a_check_takes_up_the_nonce_of_the_api(bound):
    integration = await bound.connect()
    bound.provider.dpop_nonce = "nonce-of-the-api"
    assert (await bound.door.verify(ACME, integration.id)).outcome == "alive"
    assert [proof.get("nonce") for proof in proofs(bound, "/me")][-2:] == [None, "nonce-of-the-api"]


async def test_a_server_that_asks_for_nonces_without_end_is_asked_twice(bound):
    integration = await bound.connect()
    before = len(proofs(bound))
    nonces = iter(f"nonce-{number}" for number in range(100))

    def another(_request):
        bound.provider.dpop_nonce = next(nonces)

    bound.on_send = another
    with pytest.raises(ProviderUnavailableError) as caught:
        await bound.door.refresh(ACME, integration.id)
    assert (caught.value.reason, len(proofs(bound)) - before) == ("retry", 2)
    bound.on_send = None
    bound.provider.dpop_nonce = None
    bound.pass_(minutes=10)
    # Nothing was processed, so the refresh token still works.
    await bound.door.refresh(ACME, integration.id)
    assert (await bound.door.credential(ACME, "simulated")).generation == 2


async def test_a_nonce_that_comes_too_late_is_not_answered(bound):
    integration = await bound.connect()
    before = len(proofs(bound))
    bound.provider.dpop_nonce = "nonce-1"

    def slow(request, _response):
        if request.url.endswith("/token"):
            bound.pass_(minutes=2)

    bound.on_answer = slow
    with pytest.raises(ProviderUnavailableError):
        await bound.door.refresh(ACME, integration.id)
    assert len(proofs(bound)) - before == 1


class Answered(Before):
    """Answers every request to *path* as `answer` says."""

    def __init__(self, world, path, answer, /):
        super().__init__(world)
        self.path, self.answer, self.came = path, answer, []
        world.transport = self
        world.door = world.open()

    def find(self, request):
        if not request.url.endswith(self.path):
            return None
        self.came.append(request)
        return self.answer


@pytest.mark.parametrize(
    "headers",
    [{}, {"dpop-nonce": ""}, {"dpop-nonce": 'quoted"nonce'}, {"dpop-nonce": "a\r\nX-Evil: 1"}, {"dpop-nonce": "n" * 1025}],
)
async def test_a_nonce_that_cannot_be_sent_back_is_not_taken_up(bound, headers):
    integration = await bound.connect()
    refused = said({"error": "use_dpop_nonce"})
    answered = Answered(bound, "/token", replace(refused, headers={**refused.headers, **headers}))
    with pytest.raises(ProviderUnavailableError):
        await bound.door.refresh(ACME, integration.id)
    assert len(answered.came) == 1


@pytest.mark.parametrize("answer", [said({"access_token": "fake-bearer-token", "token_type": "Bearer"}, 200)])
async def test_a_bearer_token_in_the_place_of_a_bound_one_is_not_used(bound, answer):
    """RFC 9449 §5: the server has bound nothing."""
    begun = await bound.begin()
    params = bound.approve(begun)
    Answered(bound, "/token", answer)
    with pytest.raises(ProviderUnavailableError):
        await bound.come_back(begun, params)


async def test_a_refresh_token_that_comes_with_a_bearer_token_is_kept(bound):
    integration = await bound.connect()
    came = {"access_token": "fake-bearer-token", "refresh_token": "fake-refresh-kept", "token_type": "Bearer"}
    answered = Answered(bound, "/token", said(came, 200))
    held = await bound.door.credential(ACME, "simulated")
    await bound.door.refresh(ACME, integration.id)
    renewed = await bound.door.credential(ACME, "simulated")
    # The access token stays the one that is bound; of the next renewal, the new refresh token is spent.
    assert renewed.value == held.value
    assert renewed.values()["dpop_key"] == held.values()["dpop_key"]
    bound.pass_(minutes=10)
    with suppress(ProviderUnavailableError):
        await bound.door.refresh(ACME, integration.id)
    assert b"refresh_token=fake-refresh-kept" in answered.came[-1].body


async def test_a_device_code_gives_a_bound_token(world):
    bind(world, device_codes=True)
    begun = await world.door.begin_device(ACME, "simulated", name="Files of Acme", actor=ALICE)
    world.provider.enter_code(begun.user_code)
    world.pass_(seconds=5)
    connected = await world.door.poll_device(ACME, begun.authorization_id, actor=ALICE)
    assert connected.integration.account.account_id == world.provider.account
    assert await show(world, await world.door.credential(ACME, "simulated")) == 200
    again = await world.door.begin_device_reconnect(ACME, connected.integration.id, actor=ALICE)
    world.provider.enter_code(again.user_code)
    world.pass_(seconds=5)
    before = (await world.door.credential(ACME, "simulated")).values()["dpop_key"]
    await world.door.poll_device(ACME, again.authorization_id, actor=ALICE)
    assert (await world.door.credential(ACME, "simulated")).values()["dpop_key"] == before


async def test_a_posted_code_gives_a_bound_token(bound):
    bound.door = bound.open_front()
    named = {"name": "Files of Acme", "code": bound.unbound_code(), "redirect_uri": OWN_REDIRECT_URI}
    await bound.door.add_oauth_code(ACME, "simulated", **named)
    assert await show(bound, await bound.door.credential(ACME, "simulated")) == 200


async def test_a_code_is_of_no_use_without_the_key_of_its_authorization(bound):
    """RFC 9449 §10: the code is bound before it exists."""
    begun = await bound.begin()
    assert "dpop_jkt=" in begun.url
    params = bound.approve(begun)
    other = await bound.begin("globex")
    code = dict(params)["code"]
    theirs = bound.approve(other)
    with pytest.raises(GrantRefusedError):
        await bound.come_back(other, [(name, code if name == "code" else value) for name, value in theirs])


async def test_a_key_that_no_longer_opens_is_replaced_when_the_integration_is_connected_again(bound):
    integration = await bound.connect()
    old = (await bound.door.credential(ACME, "simulated")).values()["dpop_key"]
    row = bound.row(integration)
    spoilt = replace(row, credential=replace(row.credential, presented=b"spoilt"))
    bound.tables.integrations[(ACME, integration.id)] = spoilt
    await bound.reconnect(integration)
    credential = await bound.door.credential(ACME, "simulated")
    assert credential.values()["dpop_key"] != old
    assert await show(bound, credential) == 200


async def test_a_grant_from_before_is_bound_by_its_next_renewal(world):
    """The provider's file says anew that tokens are bound: the grant goes on."""
    integration = await world.connect()
    bind(world)
    await world.door.refresh(ACME, integration.id)
    assert await show(world, await world.door.credential(ACME, "simulated")) == 200


async def test_a_bound_grant_is_imported_with_its_key(bound):
    key = make_key(b"k" * KEY_BYTES)
    given = {"provider": "simulated", "name": "Files of Acme", "access_token": "fake-access-imported"}
    with pytest.raises(ValidationFailedError) as caught:
        await bound.door.import_credential(ACME, ImportedGrant(**given), verify=False)
    assert caught.value.field == "dpopKey"
    with pytest.raises(ValidationFailedError) as caught:
        await bound.door.import_credential(ACME, ImportedGrant(**given, dpop_key="fake-no-key"), verify=False)
    assert caught.value.field == "dpopKey"
    assert "fake-no-key" not in str(caught.value)
    await bound.door.import_credential(ACME, ImportedGrant(**given, dpop_key=key), verify=False)
    assert (await bound.door.credential(ACME, "simulated")).values()["dpop_key"] == key


async def test_a_key_for_bearer_tokens_is_refused(world):
    given = ImportedGrant(provider="simulated", name="Files of Acme", access_token="fake-access-imported", dpop_key=KEY)
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.import_credential(ACME, given, verify=False)
    assert caught.value.field == "dpopKey"


async def test_a_bound_token_of_a_provider_that_is_gone_is_no_bearer_token(bound):
    integration = await bound.connect()
    before = await bound.door.credential(ACME, "simulated")
    await bound.door.refresh(ACME, integration.id)
    bound.door = bound.open(providers=bound.entries[1:], applications=[])
    held = await bound.door.replace_refused(ACME, before)
    assert (held.generation, held.forms) == (2, ())


def test_proofs_need_all_their_random_bytes():
    with pytest.raises(ValueError, match="40 random bytes"):
        make_key(bytes(32))
