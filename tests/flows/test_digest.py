"""HTTP Digest: the check answers the challenge, through both managers, and what no challenge asked for is no verdict."""

from __future__ import annotations

import pytest
from tests.digest_server import AsyncDigestTransport, DigestServer, DigestTransport

from cloud_integrations.errors import CredentialFormError, InvalidCredentialsError, ProviderUnavailableError
from cloud_integrations.providers import Catalogue

from .conftest import ACME

INPUTS = {"public_key": "fakepubl", "private_key": "fake-private"}


@pytest.fixture
def server(world):
    found = DigestServer(user="fakepubl")
    world.transport = (DigestTransport if world.blocking else AsyncDigestTransport)(found)
    world.door = world.open(providers=[Catalogue.builtin().require("mongodb_atlas")], applications=[])
    world.secrets.append("fake-private")
    return found


async def test_a_pair_of_keys_is_connected_and_verified_by_an_answer_to_the_challenge(world, server):
    held = await world.door.add(ACME, "mongodb_atlas", name="Our Atlas", method="api_keys", inputs=INPUTS)
    assert held.account.account_id == "org-1"
    assert [bool(authorization) for _, _, authorization, _ in server.asked] == [False, True]
    shown = await world.door.credential(ACME, "mongodb_atlas")
    assert shown.digest() == ("fakepubl", "fake-private")
    with pytest.raises(CredentialFormError):
        shown.headers()
    assert (await world.door.verify(ACME, held.id)).outcome == "alive"
    assert len({authorization for _, _, authorization, _ in server.asked}) == 3
    assert not world.leaks_in(str(server.asked).encode() + world.raw_dump())


async def test_a_wrong_key_is_refused_and_a_stale_nonce_is_not(world, server):
    with pytest.raises(InvalidCredentialsError):
        await world.door.add(ACME, "mongodb_atlas", name="Our Atlas", method="api_keys", inputs=INPUTS | {"private_key": "fake-wrong"})
    server.stale = 1
    assert (await world.door.add(ACME, "mongodb_atlas", name="Our Atlas", method="api_keys", inputs=INPUTS)).account.account_id == "org-1"


async def test_a_refusal_that_never_saw_the_credential_ends_nothing(world, server):
    held = await world.door.add(ACME, "mongodb_atlas", name="Our Atlas", method="api_keys", inputs=INPUTS)
    server.challenge = False
    report = await world.door.verify(ACME, held.id)
    assert report.outcome == "unknown"
    assert (await world.door.get_integration(ACME, held.id)).state.value == "active"
    with pytest.raises(ProviderUnavailableError):
        await world.door.add("globex", "mongodb_atlas", name="Our Atlas", method="api_keys", inputs=INPUTS)
