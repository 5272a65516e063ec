"""Whatever hands out a credential says so in the audit log, and hands it out as its provider wants it."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.provider import Input, Method, Present, Variable
from cloud_integrations.errors import CredentialFormError, StorageUnavailableError, ValidationFailedError

NIGHTLY = Actor(type="service", id="nightly")


@pytest.mark.requirement("AUD-02")
async def test_a_credential_given_in_the_place_of_a_refused_one_is_a_use_too(world):
    await world.connect()
    refused = await world.door.credential("acme", "simulated")
    await world.door.replace_refused("acme", refused)
    await world.door.replace_refused("acme", refused, actor=NIGHTLY, request_id="req-1")
    assert (world.last_event().action, world.last_event().actor, world.last_event().request_id) == ("credential.used", NIGHTLY, "req-1")


@pytest.mark.requirement("AUD-02")
async def test_a_replacement_whose_use_cannot_be_recorded_is_not_given(world):
    await world.connect()
    refused = await world.door.credential("acme", "simulated")
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
        present=Present(headers={"X-Key": "{value}", "X-Email": "{email}"}),
    )
    email = Variable(name="email", pattern=r"[^@]+@[^@]+")
    door = world.open(
        providers=[keys.model_copy(update={"methods": (method,), "variables": (email,), "verifications": ()})], applications=[]
    )
    key = world.provider.valid_api_key
    await door.add_api_key("acme", "simulated_keys", name="Key of Acme", api_key=key, variables={"email": "ada@acme.example"})
    token = await door.credential("acme", "simulated_keys")
    assert token.headers() == {"X-Key": key.reveal(), "X-Email": "ada@acme.example"}


async def test_the_check_and_the_token_show_it_in_one_place(world):
    keys = world.entries[1]
    method = Method(
        id="key",
        kind="key",
        inputs=(Input(name="app_key"),),
        present=Present(headers={"Authorization": "Bearer {app_key}"}, query={"site": "{site}"}),
    )
    site = Variable(name="site", pattern="[a-z]+", default="eu")
    door = world.open(providers=[keys.model_copy(update={"methods": (method,), "variables": (site,)})], applications=[])
    held = await door.add_api_key("acme", "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key)
    await door.verify("acme", held.id)
    token = await door.credential("acme", "simulated_keys")
    assert token.forms == ("headers", "params")
    assert token.params() == {"site": "eu"}
    assert token.values() == {"app_key": world.provider.valid_api_key}
    for request in world.sent:
        assert token.headers().items() <= request.headers.items()
        assert request.url == token.show_in(request.url.partition("?")[0])
    assert len(world.sent) == 2


async def test_a_key_that_would_be_sent_without_a_part_is_not_stored(world):
    keys = world.entries[1]
    present = Present(headers={"X-Key": "{value}", "X-Email": "{email}"})
    method = Method(id="key", kind="key", inputs=(Input(name="key"),), present=present)
    email = Variable(name="email", pattern=r"[^@]+@[^@]+", required=False)
    entry = keys.model_copy(update={"methods": (method,), "variables": (email,), "verifications": ()})
    door = world.open(providers=[entry], applications=[])
    with pytest.raises(ValidationFailedError) as caught:
        await door.add_api_key("acme", "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key)
    assert caught.value.field == "credentials.email"
    assert await door.list_integrations("acme") == ()


async def test_a_key_whose_method_is_gone_is_handed_out_by_its_parts(world):
    await world.add_key()
    keys = world.entries[1]
    renamed = keys.methods[0].model_copy(update={"id": "another"})
    door = world.open(providers=[keys.model_copy(update={"methods": (renamed,)})], applications=[])
    token = await door.credential("acme", "simulated_keys")
    assert token.values() == {"key": world.provider.valid_api_key}
    with pytest.raises(CredentialFormError):
        token.headers()
