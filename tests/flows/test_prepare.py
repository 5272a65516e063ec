"""A missing table or a wrong key is found at the start."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, sqlite_engine
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.provider import Input, Revoke
from cloud_integrations.errors import ConfigurationError, KeyringError, SchemaError, StorageUnavailableError, TenantNotFoundError
from cloud_integrations.flows.operate.prepare import _CANARY
from cloud_integrations.ports.store import AddKeyCheck

from .conftest import ACME, ALICE, AsyncKnownTenants, KnownTenants


@pytest.mark.requirement("ENC-08", "B18")
async def test_another_key_under_a_known_id_is_found_at_the_start(world, door):
    await door.start()
    other = world.open(keyring=LocalKeyring([LocalKeyring.generate_key("test")]))
    with pytest.raises(KeyringError) as caught:
        await other.start()
    assert "local:test" in str(caught.value)
    with pytest.raises(KeyringError):
        await other.list_integrations(ACME)


@pytest.mark.requirement("ENC-08")
async def test_a_key_that_is_still_needed_and_missing_is_found_at_the_start(world, door):
    await world.add_key()
    other = world.open(keyring=LocalKeyring([LocalKeyring.generate_key("newer")]))
    with pytest.raises(KeyringError) as caught:
        await other.start()
    assert "local:test" in str(caught.value)
    world.tables.checks.clear()
    with pytest.raises(KeyringError) as caught:
        await world.open(keyring=LocalKeyring([LocalKeyring.generate_key("newest")])).start()
    assert "is missing" in str(caught.value)


async def test_a_key_that_seals_nothing_yet_may_go(world, door):
    await door.start()
    await world.open(keyring=LocalKeyring([LocalKeyring.generate_key("newer")])).start()


async def test_a_second_start_writes_nothing(world, door):
    await door.start()
    before = world.store.count("apply")
    await door.start()
    assert world.store.count("apply") == before


async def test_two_processes_that_start_at_once_with_two_keys_of_one_name_are_told_apart(world):
    other = world.open(keyring=LocalKeyring([LocalKeyring.generate_key("test")]))
    mine = world.open()
    started = []

    def faster(name, args):
        if name == "apply" and not started:
            started.append(name)
            (change,) = args
            _, canary = world.keyring.wrap(_CANARY, tenant_id="", key_id=UUID(int=0), version=0)
            world.rows.apply(AddKeyCheck(check=replace(change.check, canary=canary)))

    world.store.before = faster
    with pytest.raises(KeyringError):
        await other.start()
    world.store.heal()
    await mine.start()


async def test_a_cipher_that_commits_to_no_key_may_have_one_only(world):
    class Loose(AesGcmCipher):
        committing = False

    two = LocalKeyring([LocalKeyring.generate_key("newer"), LocalKeyring.generate_key("older")])
    with pytest.raises(ConfigurationError) as caught:
        await world.open(cipher=Loose(), keyring=two).start()
    assert caught.value.setting == "cipher"
    await world.open(cipher=Loose(), keyring=LocalKeyring([LocalKeyring.generate_key("one")])).start()


async def test_a_database_without_tables_is_found_at_the_start(world, tmp_path):
    engine = sqlite_engine(tmp_path / "store.db")
    store = (SqlAlchemyStore if world.blocking else AsyncSqlAlchemyStore)(engine)
    try:
        with pytest.raises(SchemaError):
            await world.open(store=store).start()
        with pytest.raises(SchemaError):
            await world.open(store=store).list_integrations(ACME)
        migrate.upgrade(engine)
        door = world.open(store=store)
        await door.start()
        assert (await door.report()).schema is not None
    finally:
        engine.dispose()


async def test_a_start_that_failed_is_made_again_by_the_next_call(world, door):
    world.store.fail(1, name="list_key_checks")
    with pytest.raises(StorageUnavailableError):
        await door.list_integrations(ACME)
    assert await door.list_integrations(ACME) == ()


async def test_a_report_says_what_the_store_is(world, door):
    await world.connect()
    report = await door.report()
    assert (report.kind, report.facts) == ("memory", {"integrations": "1"})


# Which tenants there are


CALLS = {
    "list": lambda door, held: door.list_integrations("nobody"),
    "get": lambda door, held: door.get_integration("nobody", held.id),
    "begin": lambda door, held: door.begin_oauth("nobody", "simulated", name="Files", actor=ALICE),
    "reconnect": lambda door, held: door.begin_reconnect("nobody", held.id, actor=ALICE),
    "edit": lambda door, held: door.edit_integration("nobody", held.id, name="Mine"),
    "verify": lambda door, held: door.verify("nobody", held.id),
    "remove": lambda door, held: door.delete("nobody", held.id),
    "audit": lambda door, held: door.audit.list("nobody"),
    "verify audit": lambda door, held: door.audit.verify("nobody"),
    "record": lambda door, held: door.audit.record("nobody", event="report.exported", actor=ALICE),
    "deny": lambda door, held: door.audit.record_denied("nobody", action="x", resource="y", actor=ALICE),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_tenant_that_the_host_does_not_know_has_nothing(world, call):
    door = world.open(tenants=KnownTenants() if world.blocking else AsyncKnownTenants())
    held = await world.connect(door=door)
    with pytest.raises(TenantNotFoundError) as caught:
        await CALLS[call](door, held)
    assert caught.value.code == "tenant/not-found"
    assert world.events("nobody") == []


async def test_tenants_are_listed_apart(world, door):
    acme, globex = await world.connect(), await world.connect("globex")
    world.pass_(seconds=1)
    key = await world.add_key()
    assert await door.list_integrations(ACME) == (acme, key)
    assert await door.list_integrations("globex") == (globex,)
    assert await door.list_integrations("nobody") == ()


# The operator's applications


async def test_providers_are_listed_with_what_works_here(world, door):
    oauth, keys = await door.list_providers()
    assert (oauth.slug, [kind.value for kind in oauth.auth_types], oauth.active) == ("simulated", ["oauth2"], True)
    assert oauth.redirect_uri.startswith("https://app.example/oauth/callback/")
    assert (keys.slug, [kind.value for kind in keys.auth_types], keys.redirect_uri) == ("simulated_keys", ["apikey"], None)
    bare = (await world.open(applications=[]).list_providers())[0]
    assert (bare.auth_types, bare.redirect_uri, bare.methods) == ((), None, ())


async def test_the_list_of_providers_says_what_each_way_takes_and_where_it_is_withdrawn(world):
    keys = world.entries[1]
    inputs = (Input(name="user", secret=False, required=False), Input(name="key", label="Key"), Input(name="half", hint="The long one."))
    method = keys.methods[0].model_copy(update={"inputs": inputs, "revoke": Revoke(manual_url="https://simulated.example/keys")})
    oauth, keys = await world.open(providers=[world.entries[0], keys.model_copy(update={"methods": (method,)})]).list_providers()
    assert [(way.id, way.auth_type, way.inputs) for way in oauth.methods] == [("code", AuthType.OAUTH2, ())]
    (way,) = keys.methods
    assert [(each.name, each.label, each.hint, each.required, each.secret, each.argument) for each in way.inputs] == [
        ("user", "user", "", False, False, None),
        ("key", "Key", "", True, True, "api_key"),
        ("half", "half", "The long one.", True, True, "secret_key"),
    ]
    assert way.manual_url == "https://simulated.example/keys"
