"""A person is erased from the log: a pseudonym stays, the chain verifies, and nobody else can hide in this way."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.backends.keys.checkpoint_keys import LocalCheckpointKeys
from cloud_integrations.domain.audit import Actor, persons_in
from cloud_integrations.domain.audit_chain import person_hash
from cloud_integrations.domain.audit_check import HiddenEvents
from cloud_integrations.domain.checkpoint import write_erasure
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.flows.operate import audit_proof, erase_actor
from cloud_integrations.ports.store import Record
from cloud_integrations.testing.contracts.store import an_event

from .conftest import ACME, ALICE

KEYS = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
STRANGER = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
OPERATOR = Actor(type="cli", id="root")
ADA = Actor(id="ada")
BOT = Actor(type="agent", id="bot")

pytestmark = pytest.mark.requirement("AUD-12")


@pytest.fixture
def door(world):
    return world.open(checkpoint_keys=KEYS)


async def history(world, door):
    """Events of ada, of alice, and of an agent that acts for ada."""
    held = await world.add_key()
    await door.edit_integration(ACME, held.id, name="New name", actor=ADA)
    await door.sessions.open(ACME, on_behalf_of=ADA, providers=["simulated_keys"], hosts=["api.example"], actor=BOT)
    await door.edit_integration(ACME, held.id, name="Another name", actor=ADA)
    return held


async def erase(door, who=ADA):
    return await door.audit.erase_actor(ACME, who, actor=OPERATOR)


def everything(world):
    return repr([(record, dict(record.event.salts)) for record in world.tables.chains[ACME]])


async def test_a_pseudonym_takes_the_place_of_the_person_and_the_log_is_whole(world, door):
    await history(world, door)
    note = await door.audit.checkpoint()
    before = {record.seq: record.hash for record in world.tables.chains[ACME]}
    erased = await erase(door)
    [pseudonym] = erased.pseudonyms
    assert erased.events == 3
    assert "'ada'" not in everything(world)
    assert "user:ada" not in everything(world)
    by_pseudonym = await door.audit.list(ACME, by=Actor(id=pseudonym.removeprefix("user:")))
    assert [record.event.action for record in by_pseudonym] == ["integration.renamed", "integration.renamed"]
    [opened] = await door.audit.list(ACME, action="session.opened")
    assert (opened.event.actor, opened.event.details["on_behalf_of"]) == (BOT, pseudonym)
    assert (await door.audit.verify(ACME)).whole
    assert [report.whole for report in await door.audit.verify_checkpoint(note)] == [True]
    assert {record.seq: record.hash for record in world.tables.chains[ACME] if record.seq in before} == before
    told = next(event for event in world.events() if event.action == "actor.erased")
    assert (told.actor, told.resource, told.details["events"]) == (OPERATOR, f"actor:{pseudonym}", "3")
    assert (await erase(door)).pseudonyms == ()


async def test_nobody_can_tell_from_the_rows_who_it_was(world, door):
    await history(world, door)
    await erase(door)
    for event in world.events():
        for name, text in persons_in(event).items():
            if "erased-" in text:
                # Without the salt, the name of the person does not give the hash.
                guess = replace(event, actor=ADA, details={**event.details, "on_behalf_of": "user:ada"}, salts={})
                assert person_hash(guess, name) != event.salts[name]
                assert len(event.salts[name]) == hashlib.sha256().digest_size


async def test_two_events_of_one_person_have_different_salts(world, door):
    await history(world, door)
    salts = [salt for event in world.events() for salt in event.salts.values()]
    assert len(set(salts)) == len(salts)
    assert all(len(event.salts) == len(persons_in(event)) for event in world.events())


async def test_what_the_person_does_later_has_their_name_until_they_are_erased_again(world, door):
    held = await history(world, door)
    first = await erase(door)
    await door.edit_integration(ACME, held.id, name="A third name", actor=ADA)
    assert world.last_event().actor == ADA
    second = await erase(door)
    assert second.events == 1
    assert set(first.pseudonyms).isdisjoint(second.pseudonyms)
    assert (await door.audit.verify(ACME)).whole


async def test_another_tenant_and_another_type_are_left_alone(world, door):
    await history(world, door)
    await world.add_key("globex")
    world.rows.apply(Record(event=an_event("globex", actor=ADA)), Record(event=an_event(ACME, actor=Actor(type="service", id="ada"))))
    assert (await erase(door)).events == 3
    assert any(event.actor == ADA for event in world.events("globex"))
    assert any(event.actor == Actor(type="service", id="ada") for event in world.events())


async def test_the_agent_can_be_erased_after_the_person(world, door):
    await history(world, door)
    await erase(door)
    await erase(door, BOT)
    [opened] = await door.audit.list(ACME, action="session.opened")
    assert all("erased-" in text for text in persons_in(opened.event).values())
    assert (await door.audit.verify(ACME)).whole


async def test_the_erasure_is_not_done_by_the_person(world, door):
    await history(world, door)
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.erase_actor(ACME, ADA, actor=ADA)
    assert caught.value.field == "actor"
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.erase_actor(ACME, "user:ada", actor=OPERATOR)
    assert caught.value.field == "who"


async def test_a_person_without_events_leaves_none(world, door):
    await history(world, door)
    count = len(world.events())
    assert (await erase(door, Actor(id="nobody"))).events == 0
    assert len(world.events()) == count


async def test_very_many_events_have_several_pseudonyms(world, door, monkeypatch):
    monkeypatch.setattr(erase_actor, "_STEP", 2)
    monkeypatch.setattr(erase_actor, "PAGE", 2)
    world.rows.apply(*[Record(event=an_event(ACME, actor=ADA)) for _ in range(5)])
    erased = await erase(door)
    assert (erased.events, len(erased.pseudonyms)) == (5, 3)
    assert len({pseudonym.rpartition("-")[0] for pseudonym in erased.pseudonyms}) == 1
    assert (await door.audit.verify(ACME)).whole


def hide_another(world, pseudonym):
    chain = world.tables.chains[ACME]
    place = next(place for place, record in enumerate(chain) if record.event.actor == ALICE)
    salts = {"actor_id": person_hash(chain[place].event, "actor_id")}
    chain[place] = replace(chain[place], event=replace(chain[place].event, actor=pseudonym, salts=salts))
    return chain[place].seq


def swap_pseudonyms(world, pseudonym):
    chain = world.tables.chains[ACME]
    place = next(place for place, record in enumerate(chain) if record.event.actor == pseudonym)
    chain[place] = replace(chain[place], event=replace(chain[place].event, actor=Actor(id="erased-other")))
    return chain[place].seq


def unhide(world, pseudonym):
    chain = world.tables.chains[ACME]
    place = next(place for place, record in enumerate(chain) if record.event.actor == pseudonym)
    event = replace(chain[place].event, actor=ALICE, salts={"actor_id": bytes(16)})
    chain[place] = replace(chain[place], event=event)
    return chain[place].seq


@pytest.mark.parametrize("attack", [hide_another, swap_pseudonyms, unhide], ids=lambda attack: attack.__name__)
async def test_nobody_hides_or_is_put_in_the_place_of_a_pseudonym(world, door, attack):
    await history(world, door)
    await door.edit_integration(ACME, (await door.list_integrations(ACME))[0].id, name="Of alice", actor=ALICE)
    [pseudonym] = (await erase(door)).pseudonyms
    attack(world, Actor(id=pseudonym.removeprefix("user:")))
    report = await door.audit.verify(ACME)
    assert {"unproven_erasure", "changed"} & {problem.kind for problem in report.problems}


@pytest.mark.parametrize("statement", ["none", "stranger", "another", "checkpoint"])
async def test_an_erasure_that_somebody_appends_to_the_log_hides_nothing(world, door, statement):
    await history(world, door)
    await door.edit_integration(ACME, (await door.list_integrations(ACME))[0].id, name="Of alice", actor=ALICE)
    note = await door.audit.checkpoint()
    await erase(door)
    real = next(event for event in world.events() if event.action == "actor.erased")
    pseudonym = Actor(id="erased-0")
    seq = hide_another(world, pseudonym)
    # Whoever writes to the database can append events, with right hashes, behind the newest checkpoint.
    hidden = HiddenEvents(first=seq).and_(seq, "actor_id")
    told = {"pseudonym": str(pseudonym), "events": "1", "proof": hidden.proof.hex()}
    signed = {
        "none": None,
        "stranger": STRANGER.sign(write_erasure(ACME, told)),
        "another": real.details["statement"],
        "checkpoint": note,
    }[statement]
    details = told if signed is None else {**told, "statement": signed}
    world.rows.apply(Record(event=replace(real, details=details)))
    report = await door.audit.verify(ACME)
    assert [(problem.kind, problem.seq) for problem in report.problems] == [("unproven_erasure", seq)]
    assert not (await door.audit.verify_checkpoint(note))[0].whole


async def test_without_keys_nobody_is_erased_and_an_erasure_is_not_proven(world, door):
    await history(world, door)
    bare = world.open()
    with pytest.raises(ConfigurationError, match="checkpoint_keys"):
        await erase(bare)
    await erase(door)
    assert {problem.kind for problem in (await bare.audit.verify(ACME)).problems} == {"unproven_erasure"}


async def test_pruning_between_the_events_and_their_erasure_leaves_the_rest_verifiable(world, door):
    world.rows.apply(*[Record(event=an_event(ACME, actor=ADA, occurred_at=world.clock.now())) for _ in range(3)])
    world.clock.advance(timedelta(days=31))
    world.rows.apply(*[Record(event=an_event(ACME, actor=ADA, occurred_at=world.clock.now())) for _ in range(3)])
    erased = await erase(door)
    assert erased.events == 6
    run = await door.audit.prune(days=30, actor=OPERATOR)
    assert run.events == 3
    report = await door.audit.verify(ACME)
    assert (report.whole, report.begins_after) == (True, 3)
    world.clock.advance(timedelta(days=31))
    await door.audit.list(ACME, actor=ALICE)
    assert (await door.audit.prune(days=30, actor=OPERATOR)).events == 5
    assert (await door.audit.verify(ACME)).whole


async def test_a_walk_during_which_a_person_is_erased_begins_anew(world, door, monkeypatch):
    monkeypatch.setattr(audit_proof, "PAGE", 2)
    await history(world, door)
    monkeypatch.setattr(erase_actor, "PAGE", 1_000)
    calls = []
    snapshot = {tenant: list(chain) for tenant, chain in world.tables.chains.items()}
    await erase(door)
    erased = {tenant: list(chain) for tenant, chain in world.tables.chains.items()}
    world.tables.chains = snapshot

    def look(name, _):
        if name == "list_audit":
            calls.append(name)
            if len(calls) == 2:
                world.tables.chains = erased

    world.store.before = look
    assert (await door.audit.verify(ACME)).whole
