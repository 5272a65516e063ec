"""Whatever hands out a credential says so in the audit log, and hands it out as its provider wants it."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.provider import Input, Method, Placement, Variable
from cloud_integrations.errors import StorageUnavailableError

NIGHTLY = Actor(type="service", id="nightly")


@pytest.mark.requirement("AUD-02")
async def test_a_credential_given_in_the_place_of_a_refused_one_is_a_use_too(world):
    await world.connect()
    refused = await world.door.token("acme", "simulated")
    await world.door.replace_refused("acme", refused)
    await world.door.replace_refused("acme", refused, actor=NIGHTLY, request_id="req-1")
    assert (world.last_event().action, world.last_event().actor, world.last_event().request_id) == ("credential.used", NIGHTLY, "req-1")


@pytest.mark.requirement("AUD-02")
async def test_a_replacement_whose_use_cannot_be_recorded_is_not_given(world):
    await world.connect()
    refused = await world.door.token("acme", "simulated")
    await world.door.replace_refused("acme", refused)
    world.store.fail(1)
    with pytest.raises(StorageUnavailableError):
        await world.door.replace_refused("acme", refused, actor=NIGHTLY)


async def test_headers_hold_what_the_tenant_entered_beside_the_key(world):
    keys = world.entries[1]
    method = Method(
        id="key",
        kind="key",
        inputs=(Input(name="key"),),
        placement=(Placement(name="X-Key", prefix=""), Placement(name="X-Email", prefix="", template="{email}")),
    )
    email = Variable(name="email", pattern=r"[^@]+@[^@]+")
    door = world.open(
        providers=[keys.model_copy(update={"methods": (method,), "variables": (email,), "verifications": ()})], applications=[]
    )
    key = world.provider.valid_api_key
    await door.add_api_key("acme", "simulated_keys", name="Key of Acme", api_key=key, variables={"email": "ada@acme.example"})
    token = await door.token("acme", "simulated_keys")
    assert token.headers() == {"X-Key": key.reveal(), "X-Email": "ada@acme.example"}
