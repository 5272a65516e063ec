"""Old events go, and a signed statement in their place keeps the rest verifiable."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.backends.keys.checkpoint_keys import LocalCheckpointKeys
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.checkpoint import find_cut
from cloud_integrations.domain.signed_note import read_note
from cloud_integrations.errors import ConfigurationError, StorageUnavailableError, ValidationFailedError
from cloud_integrations.flows.operate import audit_proof, prune_audit
from cloud_integrations.ports.store import CutAudit, Record, StoredCut
from cloud_integrations.testing.contracts.store import an_event

from .conftest import ACME

KEYS = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
STRANGER = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
OPERATOR = Actor(type="cli", id="root")

pytestmark = pytest.mark.requirement("AUD-12")


@pytest.fixture
def door(world):
    return world.open(checkpoint_keys=KEYS)


def add(world, count, tenant=ACME, **changes):
    world.rows.apply(*[Record(event=an_event(tenant, occurred_at=world.clock.now(), **changes)) for _ in range(count)])


async def prune(door, **named):
    return await door.audit.prune(days=30, actor=OPERATOR, **named)


async def test_old_events_go_and_the_rest_verifies(world, door):
    add(world, 5)
    add(world, 3, "globex")
    note = await door.audit.checkpoint()
    world.clock.advance(timedelta(days=31))
    add(world, 2)
    told = []
    run = await prune(door, progress=told.append)
    # The newest event of a tenant stays, however old it is.
    assert (run.events, run.tenants, run.broken, told) == (7, 2, (), [5, 2])
    report = await door.audit.verify(ACME)
    assert (report.whole, report.begins_after, report.checked) == (True, 5, 3)
    pruned = world.last_event()
    assert (pruned.action, pruned.actor, dict(pruned.details)) == ("audit.pruned", OPERATOR, {"events": "5", "through": "5"})
    assert [record.seq for record in await door.audit.list(ACME)][-1] == 6
    assert [report.whole for report in await door.audit.verify_checkpoint(note)] == [True, True]
    # That newest event is old too, and is the newest no more; then nothing is left but what the prunings wrote.
    assert [(await prune(door)).events for _ in range(2)] == [1, 0]


async def test_a_pruned_chain_is_pruned_again(world, door):
    for _ in range(3):
        add(world, 4)
        world.clock.advance(timedelta(days=31))
        await prune(door, tenant_id=ACME)
    report = await door.audit.verify(ACME)
    assert report.whole
    assert report.begins_after == world.tables.cuts[ACME].seq > 8
    assert find_cut(read_note("note", world.tables.cuts[ACME].note).text).seq == report.begins_after


async def test_a_checkpoint_of_the_last_event_that_went_is_still_compared(world, door):
    add(world, 4)
    note = await door.audit.checkpoint()
    head = (await door.audit.verify(ACME)).head
    world.clock.advance(timedelta(days=31))
    add(world, 1)
    await prune(door)
    assert [report.whole for report in await door.audit.verify_checkpoint(note)] == [True]
    other = await door.audit.verify(ACME, checkpoint=replace(head, hash=bytes(32)))
    assert [problem.kind for problem in other.problems] == ["checkpoint_mismatch"]


async def test_many_events_go_in_several_transactions(world, door, monkeypatch):
    monkeypatch.setattr(prune_audit, "_STEP", 4)
    monkeypatch.setattr(prune_audit, "PAGE", 2)
    monkeypatch.setattr(audit_proof, "PAGE", 2)
    add(world, 11)
    world.clock.advance(timedelta(days=31))
    told = []
    run = await prune(door, progress=told.append)
    assert (run.events, run.tenants, told) == (10, 1, [4, 4, 2])
    assert (await door.audit.verify(ACME)).whole


async def test_a_run_that_was_broken_off_is_taken_up_again(world, door, monkeypatch):
    monkeypatch.setattr(prune_audit, "_STEP", 4)
    monkeypatch.setattr(prune_audit, "PAGE", 2)
    add(world, 11)
    world.clock.advance(timedelta(days=31))
    done = []

    def stop(removed):
        done.append(removed)
        raise StorageUnavailableError

    with pytest.raises(StorageUnavailableError):
        await prune(door, progress=stop)
    assert (await door.audit.verify(ACME)).whole
    assert (await prune(door)).events == 7
    report = await door.audit.verify(ACME)
    assert (report.whole, report.begins_after) == (True, 11)


async def test_events_that_were_tampered_with_stay_as_evidence(world, door):
    add(world, 5)
    add(world, 2, "globex")
    chain = world.tables.chains[ACME]
    chain[2] = replace(chain[2], event=replace(chain[2].event, action="other"))
    world.clock.advance(timedelta(days=31))
    run = await prune(door)
    assert (run.events, run.broken) == (1, (ACME,))
    assert len(world.tables.chains[ACME]) == 5


@pytest.mark.parametrize("change", ["stranger", "edited", "other tenant", "other number", "no note", "checkpoint"])
async def test_a_statement_that_is_not_ours_is_noticed(world, door, change):
    add(world, 5)
    add(world, 5, "globex")
    world.clock.advance(timedelta(days=31))
    add(world, 1)
    checkpoint = await door.audit.checkpoint()
    await prune(door)
    cut = world.tables.cuts[ACME]
    text = read_note("note", cut.note).text
    world.tables.cuts[ACME] = {
        "stranger": replace(cut, note=STRANGER.sign(text)),
        "edited": replace(cut, note=cut.note.replace(" 5 ", " 6 ")),
        "other tenant": replace(cut, note=world.tables.cuts["globex"].note),
        "other number": replace(cut, seq=4),
        "no note": replace(cut, note=text),
        "checkpoint": replace(cut, note=checkpoint),
    }[change]
    report = await door.audit.verify(ACME)
    assert ("unproven_cut", 6) in [(problem.kind, problem.seq) for problem in report.problems]
    assert (await prune(door)).broken == (ACME,)


async def test_without_its_statement_a_pruned_chain_has_a_gap(world, door):
    add(world, 5)
    world.clock.advance(timedelta(days=31))
    add(world, 1)
    await prune(door)
    world.tables.cuts.clear()
    assert [problem.meaning for problem in (await door.audit.verify(ACME)).problems] == ["event 1 is missing"]


async def test_without_keys_nothing_is_pruned_and_a_pruned_chain_is_not_proven(world, door):
    add(world, 3)
    world.clock.advance(timedelta(days=31))
    add(world, 1)
    bare = world.open()
    with pytest.raises(ConfigurationError, match="checkpoint_keys"):
        await prune(bare)
    await prune(door)
    assert "unproven_cut" in {problem.kind for problem in (await bare.audit.verify(ACME)).problems}


@pytest.mark.parametrize("days", [0, -1, 1.5, True, "30", 40_000])
async def test_an_age_is_a_whole_number_of_days(door, days):
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.prune(days=days, actor=OPERATOR)
    assert caught.value.field == "days"


async def test_of_two_that_prune_at_once_one_does(world, door):
    add(world, 5)
    world.clock.advance(timedelta(days=31))
    other = StoredCut(tenant_id=ACME, seq=1, note=KEYS.sign("not looked at\n"))

    def prune_meanwhile(name, arguments):
        if name == "apply" and any(isinstance(change, CutAudit) for change in arguments):
            world.store.before = None
            world.rows.apply(CutAudit(cut=other, expected=0))

    world.store.before = prune_meanwhile
    assert (await prune(door)).events == 0
    assert world.tables.cuts[ACME] == other


async def test_a_walk_during_which_the_log_is_pruned_begins_anew(world, door, monkeypatch):
    monkeypatch.setattr(audit_proof, "PAGE", 2)
    add(world, 7)
    world.clock.advance(timedelta(days=31))
    add(world, 2)
    operator = world.open(checkpoint_keys=KEYS)
    calls = []

    def look(name, _):
        if name == "list_audit":
            calls.append(name)
            if len(calls) == 2:
                prune_now()

    def prune_now():
        cut = pruned.pop()
        world.rows.apply(cut, Record(event=an_event(ACME, action="audit.pruned", occurred_at=world.clock.now())))

    # What a pruning elsewhere writes, taken from one that is undone.
    before = (dict(world.tables.cuts), {tenant: list(chain) for tenant, chain in world.tables.chains.items()})
    await prune(operator)
    pruned = [CutAudit(cut=world.tables.cuts[ACME], expected=0)]
    world.tables.cuts, world.tables.chains = before
    world.store.before = look
    report = await door.audit.verify(ACME)
    assert (report.whole, report.begins_after) == (True, 7)
    assert len(calls) > 2


async def test_a_log_in_which_nothing_else_happens_is_not_pruned_for_ever(world, door):
    add(world, 3)
    written = []
    for _ in range(6):
        world.clock.advance(timedelta(days=31))
        written.append((await prune(door)).events)
    assert written == [2, 1, 0, 0, 0, 0]
    assert (await door.audit.verify(ACME)).whole


async def test_a_removed_event_that_somebody_puts_back_is_noticed(world, door):
    add(world, 5)
    old = list(world.tables.chains[ACME])
    world.clock.advance(timedelta(days=31))
    add(world, 1)
    await prune(door)
    rows = type(world.rows).list_audit

    def with_an_old_one(tenant_id, *, after=None, limit=200):
        found = rows(world.rows, tenant_id, after=after, limit=limit)
        return (old[2], *found)[:limit] if after is None else found

    world.rows.list_audit = with_an_old_one
    # Another process: it has not yet looked up how the store is called.
    report = await world.open(checkpoint_keys=KEYS).audit.verify(ACME)
    assert [(problem.kind, problem.seq) for problem in report.problems] == [("not_gone", 3)]
