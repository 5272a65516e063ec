"""A JWT that the credential itself is (Snowflake's key pair): made for each hand-out, and the private key never leaves."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic import ValidationError
from tests.provider_files import key

from cloud_integrations import Catalogue, ImportedKey
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    ConfigurationError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .clouds import private_key
from .conftest import ACME, ALICE
from .transports import StandIn

HOST = "acme-main.snowflakecomputing.com"
LIFE = timedelta(seconds=3540)


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Snowflake(StandIn):
    """Knows one user's public key."""

    def __init__(self, world):
        self.world = world
        self.key = load_pem_private_key(private_key().encode(), None)
        self.ahead = timedelta()
        self.tells_date = False
        self.answer = None
        self.seen = []
        world.transport = self
        world.door = self.open()
        world.secrets += [line for line in private_key().splitlines() if not line.startswith("-")]

    def open(self):
        return self.world.open(providers=[Catalogue.builtin().require("snowflake")], applications=[])

    def claims(self, token):
        """Return the claims, checked as Snowflake's documentation says; None: it refuses."""
        header, payload, signature = token.split(".")
        if decode(header)["alg"] != "RS256":
            return None
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        try:
            self.key.public_key().verify(raw, f"{header}.{payload}".encode(), PKCS1v15(), SHA256())
        except Exception:  # noqa: BLE001  # whatever is wrong with it
            return None
        claims = decode(payload)
        der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fingerprint = base64.b64encode(sha256(der).digest()).decode()
        now = (self.world.clock.now() + self.ahead).timestamp()
        holds = claims["iss"] == f"ACME-MAIN.ADA.SHA256:{fingerprint}" and claims["sub"] == "ACME-MAIN.ADA"
        return claims if holds and claims["iat"] <= now + 60 and now < claims["exp"] <= claims["iat"] + 3600 else None

    def respond(self, request):
        assert request.url == f"https://{HOST}/api/v2/statements"
        self.seen.append(request.headers["Authorization"].removeprefix("Bearer "))
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        kind = request.headers["X-Snowflake-Authorization-Token-Type"]
        token = self.seen[-1]
        accepted = token == "fake-programmatic-token" if kind == "PROGRAMMATIC_ACCESS_TOKEN" else self.claims(token) is not None
        body = {"data": [["AB12345", "ADA"]]} if accepted else {"code": "390144"}
        date = (self.world.clock.now() + self.ahead).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"date": date} if self.tells_date else {}
        return HttpResponse(status=200 if accepted else 401, headers=headers, body=json.dumps(body).encode())


@pytest.fixture
def snowflake(world):
    return Snowflake(world)


async def add(world, **changes):
    inputs = {"account": "acme-main", "user": " ada ", "private_key": private_key(), **changes}
    return await world.door.add(ACME, "snowflake", name="Our data", inputs=inputs, variables={"account_host": HOST}, actor=ALICE)


@pytest.mark.requirement("Q24", "Q47")
async def test_a_key_pair_connects_and_a_jwt_is_handed_out(world, snowflake):
    held = await add(world)
    assert (held.account.account_id, held.renewable, held.expires_at) == ("AB12345/ADA", False, None)
    shown = await world.door.credential(ACME, "snowflake")
    assert snowflake.claims(shown.value.reveal()) is not None
    assert shown.headers() == {
        "Authorization": f"Bearer {shown.value.reveal()}",
        "X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT",
    }
    assert shown.expires_at == world.clock.now() + LIFE
    assert shown.values() == {"key": shown.value, "account": Secret("ACME-MAIN"), "user": Secret("ADA")}, "the private key stays here"
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    removal = await world.door.delete(ACME, held.id, actor=ALICE)
    assert (removal.api_key, removal.manual_url.startswith("https://docs.snowflake.com/")) == ("unsupported", True)


@pytest.mark.requirement("Q44")
async def test_it_is_handed_out_again_until_it_nears_its_end(world, snowflake):
    await add(world)
    first = await world.door.credential(ACME, "snowflake")
    assert (await world.door.credential(ACME, "snowflake")).value == first.value
    others = await world.door.together(20, "credential", ACME, "snowflake")
    assert {token.value.reveal() for token in others} == {first.value.reveal()}
    world.clock.advance(LIFE - timedelta(seconds=5))
    later = await world.door.credential(ACME, "snowflake")
    assert later.value != first.value
    assert later.warning is None
    assert snowflake.claims(later.value.reveal()) is not None
    assert len(snowflake.seen) == 1, "nobody is asked for it"


async def test_more_life_than_it_can_have_is_a_warning(world, snowflake):
    await add(world)
    assert (await world.door.credential(ACME, "snowflake", min_ttl=timedelta(minutes=50))).warning is None
    assert (await world.door.credential(ACME, "snowflake", min_ttl=timedelta(hours=2))).warning == "less_life_than_asked"


async def test_each_hand_out_is_another_jwt(world, snowflake):
    held = await add(world)
    first = await world.door.credential(ACME, "snowflake", min_ttl=60)
    second = await world.door.credential(ACME, held.id, min_ttl=60)
    assert first.value != second.value


@pytest.mark.requirement("Q52")
@pytest.mark.parametrize("hours", [-2, 2])
async def test_it_is_made_for_the_providers_time(world, snowflake, hours):
    snowflake.ahead, snowflake.tells_date = timedelta(hours=hours), True
    held = await add(world)
    assert held.account.account_id == "AB12345/ADA"
    shown = await world.door.credential(ACME, "snowflake")
    assert snowflake.claims(shown.value.reveal()) is not None
    assert shown.expires_at == world.clock.now() + LIFE, "by our clock, which is what a caller compares with"


async def test_another_private_key_is_refused(world, snowflake):
    with pytest.raises(InvalidCredentialsError) as caught:
        await add(world, private_key=private_key("other"))
    assert caught.value.reason == "dead"
    assert await world.door.list_integrations(ACME) == ()


async def test_an_outage_is_no_verdict_and_stops_no_hand_out(world, snowflake):
    snowflake.answer = ProviderUnreachableError(provider_id="x")
    with pytest.raises(ProviderUnavailableError):
        await add(world)
    snowflake.answer = None
    await add(world)
    snowflake.answer = HttpResponse(status=503)
    assert (await world.door.verify(ACME, "snowflake")).outcome == "unknown"
    assert snowflake.claims((await world.door.credential(ACME, "snowflake")).value.reveal()) is not None


async def test_a_key_that_was_ended_needs_a_reconnect_with_another(world, snowflake):
    held = await add(world)
    snowflake.answer = HttpResponse(status=401, body=b'{"code":"390144"}')
    assert (await world.door.verify(ACME, held.id)).outcome == "dead"
    with pytest.raises(ReconnectRequiredError):
        await world.door.credential(ACME, "snowflake")
    snowflake.answer = None
    inputs = {"account": "acme-main", "user": "ada", "private_key": private_key()}
    assert (await world.door.reconnect(ACME, held.id, inputs=inputs, actor=ALICE)).health.value == "ok"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"private_key": "fake"}, "private_key"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nfake\n-----END PRIVATE KEY-----"}, "private_key"),
        ({"private_key": private_key(passphrase="fake passphrase")}, "private_key"),
        ({"private_key": private_key(passphrase="fake passphrase"), "passphrase": "fake other"}, "private_key"),
        ({"private_key": ""}, "private_key"),
        ({"account": ""}, "account"),
        ({"user": private_key()}, "user"),
    ],
)
async def test_what_cannot_sign_is_refused_by_its_field(world, snowflake, changes, field):
    with pytest.raises(ValidationFailedError) as caught:
        await add(world, **changes)
    assert caught.value.field == f"credentials.inputs.{field}"
    assert snowflake.seen == []


async def test_a_key_that_is_stored_unasked_is_checked_all_the_same(world, snowflake):
    for bad in ("-----BEGIN PRIVATE KEY-----\nfake\n-----END PRIVATE KEY-----", private_key(passphrase="fake passphrase")):
        imported = ImportedKey(
            provider="snowflake",
            name="Our data",
            inputs={"account": "acme-main", "user": "ada", "private_key": bad},
            variables={"account_host": HOST},
        )
        with pytest.raises(ValidationFailedError):
            await world.door.import_credential(ACME, imported, verify=False)


@pytest.mark.requirement("Q53")
async def test_a_programmatic_token_is_another_way(world, snowflake):
    inputs = {"token": "fake-programmatic-token"}
    held = await world.door.add(ACME, "snowflake", name="Our data", inputs=inputs, variables={"account_host": HOST}, actor=ALICE)
    assert (held.method_id, held.account.account_id) == ("programmatic_access_token", "AB12345/ADA")
    assert (await world.door.credential(ACME, "snowflake")).headers()["X-Snowflake-Authorization-Token-Type"] == "PROGRAMMATIC_ACCESS_TOKEN"


PROOF = {"jwt": "{pem}", "iss": "acme"}
INPUTS = [{"name": "pem", "form": "pem"}]
SHOWN = {"headers": {"Authorization": "Bearer {proof:key}"}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"proofs": {"key": PROOF}, "present": {"headers": {"Authorization": "{proof:other}"}}}, "uses {proof:other}"),
        ({"present": SHOWN}, "uses {proof:key}"),
        ({"proofs": {"pem": PROOF}, "present": {"headers": {"A": "{proof:pem}"}}}, "both have pem"),
        ({"proofs": {"key": {**PROOF, "jwt": "application"}}, "present": SHOWN}, "must be an input"),
        ({"proofs": {"key": PROOF}, "present": {"headers": {"A": "{proof:key}-{pem}"}}}, "several lines"),
        (
            {"proofs": {"key": PROOF}, "present": {"headers": {"A": "{proof:key}"}}, "mint": [{"url": "https://a.example/mint"}]},
            "the mint gives",
        ),
        ({"proofs": {"key": PROOF}, "present": {"headers": {"A": "{value}"}}}, "proofs"),
    ],
)
def test_a_file_whose_proof_could_not_be_shown_is_refused(changes, says):
    method = key(inputs=INPUTS, **changes)
    with pytest.raises((ConfigurationError, ValidationError)) as caught:
        Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [method]}))
    assert says in str(caught.value)
