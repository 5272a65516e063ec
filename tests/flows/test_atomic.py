"""A change and its audit row stand or fall together, wherever the store breaks."""

from __future__ import annotations

import logging

import pytest

from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, sqlite_engine
from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError, IntegrationExistsError, StorageUnavailableError
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE


async def begin(world, _):
    await world.begin()


async def add_key(world, _):
    await world.add_key()


async def edit(world, held):
    await world.door.edit_integration(ACME, held.id, name="New name", status="inactive")


async def replace_key(world, held):
    await world.door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())


async def verify_dead(world, held):
    world.provider.revoke_api_key(world.provider.valid_api_key)
    await world.door.verify(ACME, held.id)


async def remove(world, held):
    await world.door.delete(ACME, held.id)


async def deny(world, _):
    await world.door.audit.record_denied(ACME, action="x", resource="y", actor=ALICE)


async def read_audit(world, _):
    await world.door.audit.list(ACME)


FLOWS = {
    "begin_oauth": ("nothing", begin),
    "add_api_key": ("nothing", add_key),
    "edit_integration": ("connect", edit),
    "replace_api_key": ("add_key", replace_key),
    "verify": ("add_key", verify_dead),
    "remove": ("connect", remove),
    "record_denied": ("add_key", deny),
    "list_audit": ("nothing", read_audit),
}
EXPECTED = {
    "AddIntegration": "integration.connected",
    "ReplaceCredential": "integration.reconnected",
    "EraseIntegration": "integration.removed",
    "AddPending": "authorization.begun",
}


def shape(world):
    """What is kept, without keys: they are made on the way and belong to nobody's change."""
    tables = world.tables
    return (dict(tables.integrations), dict(tables.pending), dict(tables.outbox), world.events())


@pytest.mark.requirement("AUD-01", "AUD-07")
@pytest.mark.parametrize("name", FLOWS)
async def test_a_flow_that_fails_anywhere_leaves_all_or_nothing(world, name):
    before, flow = FLOWS[name]
    held = await getattr(world, before)() if before != "nothing" else None
    for nth in range(1, 20):
        kept = shape(world)
        world.store.calls.clear()
        world.store.fail(nth)
        try:
            await flow(world, held)
        except StorageUnavailableError:
            world.store.heal()
            assert shape(world) == kept
        else:
            world.store.heal()
            break
    assert shape(world) != kept
    assert (await world.door.audit.verify(ACME)).whole


@pytest.mark.requirement("AUD-01")
@pytest.mark.parametrize("reconnects", [False, True])
async def test_completing_writes_change_and_record_in_one_step_or_neither(world, reconnects):
    held = await world.connect() if reconnects else None
    for nth in range(1, 9):
        begun = await (world.door.begin_reconnect(ACME, held.id, actor=ALICE) if reconnects else world.begin())
        params = world.approve(begun)
        kept, events = dict(world.tables.integrations), world.events()
        world.store.fail(nth, times=5)
        try:
            await world.come_back(begun, params)
        except StorageUnavailableError:
            world.store.heal()
            assert dict(world.tables.integrations) == kept
            # Where the store could take it again, the failure itself stands there.
            assert {(event.action, event.reason) for event in world.events()[len(events) :]} <= {
                ("authorization.completed", "storage/unavailable"),
                ("token.revoked", None),
            }
        else:
            world.store.heal()
            break
    actions = [action for action, _ in world.actions() if action != "token.revoked"]
    assert actions[-1] == ("integration.reconnected" if reconnects else "integration.connected")
    assert actions.count("integration.connected") == 1


@pytest.mark.requirement("AUD-01")
async def test_every_change_comes_with_its_record(world, door):
    held = await world.connect()
    await world.reconnect(held)
    await door.edit_integration(ACME, held.id, name="New name")
    key = await world.add_key()
    await door.replace_api_key(ACME, key.id, api_key=world.provider.issue_api_key())
    await door.delete(ACME, held.id)
    for changes in world.changes():
        kinds = {type(change).__name__ for change in changes}
        recorded = [change.event.action for change in changes if type(change).__name__ == "Record"]
        for kind in kinds & EXPECTED.keys():
            assert any(action.startswith(EXPECTED[kind].split("_")[0]) or action == "authorization.reconnect_begun" for action in recorded)
        if "SaveFacts" in kinds:
            assert recorded == ["integration.renamed"]


# One integration per provider and tenant


@pytest.fixture(params=["memory", "sqlite"])
def any_store(request, world, tmp_path):
    if request.param == "memory":
        yield MemoryStore(world.clock) if world.blocking else AsyncMemoryStore(world.clock)
        return
    engine = sqlite_engine(tmp_path / "store.db")
    migrate.upgrade(engine)
    yield (SqlAlchemyStore if world.blocking else AsyncSqlAlchemyStore)(engine, clock=world.clock)
    engine.dispose()


async def test_of_fifty_creations_at_once_exactly_one_succeeds(world, any_store):
    door = world.open(store=any_store)
    await door.start()
    key = world.provider.valid_api_key
    outcomes = await door.together(50, "add_api_key", ACME, "simulated_keys", name="Key of Acme", api_key=key)
    created = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert len(created) == 1
    refused = {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)}
    assert refused == {IntegrationExistsError}
    assert await door.list_integrations(ACME) == tuple(created)
    assert (await door.credential(ACME, "simulated_keys")).value == key
    assert (await door.audit.verify(ACME)).whole


# Nothing leaks


@pytest.mark.requirement("OAU-081", "AUD-06", "ENC-01", "B13")
async def test_no_secret_is_anywhere_it_should_not_be(world, door, caplog):
    caplog.set_level(logging.DEBUG)
    logged = world.open(observer=_Logging(world.facts))
    held = await world.connect(door=logged)
    await logged.credential(ACME, "simulated")
    await world.reconnect(held, door=logged)
    key = await world.add_key(door=logged)
    errors = []
    for what in (Misbehaviour.INVALID_GRANT, Misbehaviour.GARBAGE_JSON, Misbehaviour.ANSWER_LOST):
        world.provider.misbehave(what, endpoint="exchange")
        with pytest.raises(CloudIntegrationsError) as caught:
            await world.reconnect(held, door=logged)
        errors.append(caught.value)
    with pytest.raises(CloudIntegrationsError) as caught:
        await world.add_key("globex", api_key=Secret("fake-key-canary-refused"), door=logged)
    errors.append(caught.value)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    removal = await logged.delete(ACME, held.id)
    places = {
        "database": world.raw_dump(),
        "logs": caplog.text.encode(),
        "facts": repr(world.facts.told).encode(),
        "errors": "\n".join(f"{error!r} {error} {vars(error)}" for error in errors).encode(),
        "answers": repr((held, key, removal, world.door.manager, world.store)).encode(),
    }
    assert len(set(world.secrets)) > 15
    for place, held_there in places.items():
        assert world.leaks_in(held_there) == [], place


@pytest.mark.requirement("OAU-080")
async def test_what_is_given_out_shows_no_secret(world, door):
    begun = await world.begin()
    token_texts = [begun.state.reveal(), begun.browser_token.reveal()]
    shown = f"{begun!r} {begun}"
    assert not any(text in shown for text in token_texts)
    await world.come_back(begun)
    token = await door.credential(ACME, "simulated")
    assert token.value.reveal() not in f"{token!r} {token}"
    assert begun.url not in shown


@pytest.mark.requirement("OAU-082")
async def test_hostile_names_are_refused_before_anything_is_logged(world, door):
    for name in ("a\r\nb", "\x1b[31mred", "abc\u202e"):
        with pytest.raises(CloudIntegrationsError):
            await world.begin(name=name)
    assert world.events() == []
    assert Outcome.SUCCESS not in {event.outcome for event in world.events()}


class _Logging:
    def __init__(self, facts):
        self._facts = facts

    def tell(self, fact, /):
        self._facts.tell(fact)
        logging.getLogger("test").debug("%s %s", fact.name, fact.facts)
