"""The audit log is whole, or it is said where it is not; checkpoints that are kept elsewhere find what the chain alone cannot."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sizes import FULL

from cloud_integrations.backends.keys.checkpoint_keys import LocalCheckpointKeys
from cloud_integrations.domain.audit import Actor, AuditHead
from cloud_integrations.domain.audit_chain import chained, person_hash
from cloud_integrations.domain.audit_check import MOST_PROBLEMS
from cloud_integrations.errors import ConfigurationError, DamagedRowError, KeyringError, TenantNotFoundError, ValidationFailedError
from cloud_integrations.ports.store import DamagedRow, Record, StoredCut
from cloud_integrations.testing.contracts.store import an_event

from . import long_chain
from .conftest import ACME, ALICE, AsyncKnownTenants, KnownTenants
from .long_chain import pages

KEYS = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
STRANGER = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "prove-the-audit-log.md"


@pytest.fixture
def door(world):
    return world.open(checkpoint_keys=KEYS)


async def some_history(world, door, tenant=ACME):
    held = await world.connect(tenant)
    await door.edit_integration(tenant, held.id, name="New name", actor=ALICE)
    await door.edit_integration(tenant, held.id, status="inactive", actor=ALICE)


def chain_of(world, tenant=ACME):
    return world.tables.chains[tenant]


@pytest.mark.requirement("AUD-11")
async def test_a_checkpoint_names_the_newest_event_of_every_tenant_and_verifies(world, door):
    await some_history(world, door)
    await some_history(world, door, "globex")
    note = await door.audit.checkpoint()
    assert [line.split()[:3] for line in note.splitlines() if line.startswith("head ")] == [["head", ACME, "4"], ["head", "globex", "4"]]
    await door.audit.list(ACME, actor=ALICE)
    reports = await door.audit.verify_checkpoint(note)
    assert [(report.tenant_id, report.whole, report.checked) for report in reports] == [(ACME, True, 5), ("globex", True, 4)]
    [report] = await door.audit.verify_checkpoint(note, tenant_id="globex")
    assert report.tenant_id == "globex"
    own = await door.audit.checkpoint(ACME)
    assert [report.tenant_id for report in await door.audit.verify_checkpoint(own)] == [ACME]


async def test_before_anything_happened_a_checkpoint_names_nobody(door):
    assert await door.audit.verify_checkpoint(await door.audit.checkpoint()) == ()
    assert "head " not in await door.audit.checkpoint("never-was")


async def test_checkpoints_of_a_tenant_that_the_host_does_not_know_are_not_signed(world):
    door = world.open(checkpoint_keys=KEYS, tenants=KnownTenants() if world.blocking else AsyncKnownTenants())
    with pytest.raises(TenantNotFoundError):
        await door.audit.checkpoint("never-was")


# The attacks.  Each edits the rows of a chain of four events, of which a checkpoint was taken.


def edit(world):
    chain_of(world)[1] = replace(chain_of(world)[1], event=replace(chain_of(world)[1].event, actor=Actor(id="mallory")))


def edit_with_its_hash(world):
    before, edited = chain_of(world)[:2]
    head = AuditHead(tenant_id=ACME, seq=1, hash=before.hash)
    chain_of(world)[1] = chained(replace(edited.event, actor=Actor(id="mallory")), head)


def cut_out(world):
    del chain_of(world)[1]


def cut_off_the_end(world):
    del chain_of(world)[-2:]


def cut_off_the_beginning(world):
    del chain_of(world)[:2]


def swap(world):
    chain = chain_of(world)
    chain[1], chain[2] = replace(chain[2], seq=2), replace(chain[1], seq=3)


def swap_tenants(world):
    chain_of(world)[:] = chain_of(world, "globex")


def insert(world):
    chain = chain_of(world)
    chain[2:] = [replace(chain[1], seq=3), *(replace(record, seq=record.seq + 1) for record in chain[2:])]


def write_anew(world):
    chain, last = chain_of(world), None
    for place, record in enumerate(list(chain)):
        chain[place] = chained(replace(record.event, actor=Actor(id="nobody")), last)
        last = AuditHead(tenant_id=ACME, seq=chain[place].seq, hash=chain[place].hash)


def remove_the_tenant(world):
    del world.tables.chains[ACME]


def hide_who_acted(world):
    record = chain_of(world)[1]
    salts = {"actor_id": person_hash(record.event, "actor_id")}
    chain_of(world)[1] = replace(record, event=replace(record.event, actor=Actor(id="erased-1"), salts=salts))


def cut_off_behind_a_checkpoint(world):
    world.tables.cuts[ACME] = StoredCut(tenant_id=ACME, seq=2, note=world.note)
    del chain_of(world)[:2]


ATTACKS = {
    edit: ("An event is edited", "event 2 was edited: it does not have its hash"),
    edit_with_its_hash: (
        "An event is edited, and its hash made anew",
        "event 3 does not follow the one before it: an event was put in between, or the one before was written anew",
    ),
    cut_out: ("An event is cut out", "event 2 is missing"),
    cut_off_the_end: (
        "The newest events are cut off and the head is set back, or an older copy of the database is restored",
        "event 3 was there and is gone, with all that followed: the end was cut off, or an older copy of the database is back",
    ),
    cut_off_the_beginning: ("The oldest events are cut off", "event 1 is missing"),
    swap: (
        "Two events are swapped",
        "event 2 does not follow the one before it: an event was put in between, or the one before was written anew",
    ),
    swap_tenants: ("Another tenant's events are put in place", "event 1 is of another tenant"),
    insert: (
        "An event is inserted",
        "event 3 does not follow the one before it: an event was put in between, or the one before was written anew",
    ),
    write_anew: (
        "The whole log is written anew, with all hashes",
        "event 4 is another one than at the time of the checkpoint: the log was written anew",
    ),
    hide_who_acted: (
        "The actor of an event is hidden, as if they had been erased",
        "event 2 hides who acted behind a pseudonym, and no signed erasure in the log accounts for it",
    ),
    cut_off_behind_a_checkpoint: (
        "The oldest events are cut off, and a checkpoint or an edited statement is put in their place",
        "the events before event 3 are gone, and no statement that a trusted key has signed says so",
    ),
    remove_the_tenant: (
        "All events of a tenant are removed",
        "event 1 was there and is gone, with all that followed: the end was cut off, or an older copy of the database is back",
    ),
}


@pytest.mark.requirement("AUD-04", "AUD-11")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_each_attack_is_found_by_a_checkpoint_in_words(world, door, attack):
    await some_history(world, door)
    await some_history(world, door, "globex")
    world.note = note = await door.audit.checkpoint()
    attack(world)
    acme, globex = await door.audit.verify_checkpoint(note)
    assert globex.whole
    assert ATTACKS[attack][1] in [problem.meaning for problem in acme.problems]
    assert acme.problems[0].meaning == ATTACKS[attack][1]


def test_the_table_of_attacks_is_documented_with_what_is_printed():
    page = PAGE.read_text()
    for told, sentence in ATTACKS.values():
        assert f"| {told} | {sentence} |" in page


@pytest.mark.requirement("AUD-11")
async def test_a_forged_checkpoint_is_refused(world, door):
    await some_history(world, door)
    stranger = world.open(checkpoint_keys=STRANGER)
    note = await door.audit.checkpoint()
    head = next(line for line in note.splitlines() if line.startswith("head "))
    forged = note.replace(head, head.replace(" 4 ", " 3 "))
    for tried in (forged, await stranger.audit.checkpoint()):
        with pytest.raises(ValidationFailedError, match="not signed by a key that is trusted here, or was edited since"):
            await door.audit.verify_checkpoint(tried)
    for tried in ("", "no note", head, None):
        with pytest.raises(ValidationFailedError, match="is not a signed note"):
            await door.audit.verify_checkpoint(tried)
    with pytest.raises(ValidationFailedError, match="about something else"):
        await door.audit.verify_checkpoint(KEYS.sign("something else\n"))
    with pytest.raises(ValidationFailedError, match="does not name this tenant"):
        await door.audit.verify_checkpoint(note, tenant_id="globex")


@pytest.mark.requirement("AUD-11")
async def test_after_a_rotation_of_the_keys_old_checkpoints_still_verify(world, door):
    await some_history(world, door)
    note = await door.audit.checkpoint()
    rotated = world.open(checkpoint_keys=LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="new", trusted=KEYS.public_keys()))
    [report] = await rotated.audit.verify_checkpoint(note)
    assert report.whole
    new = await rotated.audit.checkpoint()
    assert [report.whole for report in await rotated.audit.verify_checkpoint(new)] == [True]
    with pytest.raises(ValidationFailedError):
        await door.audit.verify_checkpoint(new)
    assert [key.name for key in await rotated.audit.checkpoint_keys()] == ["new", "audit.example.com/test"]


async def test_without_keys_nothing_is_signed_or_verified(world):
    door = world.open()
    for call in (door.audit.checkpoint(), door.audit.verify_checkpoint(KEYS.sign("x\n")), door.audit.checkpoint_keys()):
        with pytest.raises(ConfigurationError, match="checkpoint_keys"):
            await call
    auditor = world.open(checkpoint_keys=LocalCheckpointKeys([], name="auditor", trusted=KEYS.public_keys()))
    with pytest.raises(KeyringError):
        await auditor.audit.checkpoint()


async def test_a_part_that_is_no_key_is_refused_when_the_manager_is_made(world):
    with pytest.raises(ConfigurationError, match="checkpoint_keys"):
        world.open(checkpoint_keys="a key")


async def test_a_head_that_was_edited_is_not_signed(world, door):
    await some_history(world, door)
    world.rows.list_audit_heads = lambda **_: (DamagedRow(table="ci_audit_head", row=ACME, tenant_id=ACME),)
    with pytest.raises(DamagedRowError):
        await door.audit.checkpoint()


async def test_a_chain_that_is_wholly_forged_has_a_report_of_bounded_length(world, door):
    world.rows.apply(*[Record(event=an_event(ACME)) for _ in range(MOST_PROBLEMS + 5)])
    chain = chain_of(world)
    chain[:] = [replace(record, hash=bytes(32)) for record in chain]
    report = await door.audit.verify(ACME)
    assert len(report.problems) == MOST_PROBLEMS
    # Each event has a wrong hash, and each but the first a wrong predecessor.
    assert report.unlisted == 2 * (MOST_PROBLEMS + 5) - 1 - MOST_PROBLEMS


async def peak_of(world, length):
    """Return the most memory of a check of a chain of *length* events, which the store makes when they are asked for."""
    world.rows.list_audit, end = pages(length)
    world.rows.find_audit_head = lambda _: end
    tracemalloc.start()
    try:
        report = await world.open().audit.verify(ACME)
        return tracemalloc.get_traced_memory()[1], report
    finally:
        tracemalloc.stop()


async def test_a_long_chain_needs_no_more_memory_than_a_short_one(world):
    short, _ = await peak_of(world, 2_000)
    long, report = await peak_of(world, 6_000)
    assert (report.whole, report.checked) == (True, 6_000)
    # An event takes some 360 bytes.  What else this process keeps meanwhile takes less than half of that.
    assert long - short < 4_000 * 180


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_very_many_events_need_no_more_memory_than_two_thousand():
    many = 1_000_000 if FULL else 200_000
    # In processes of their own: their peak is that of the system, and nothing is traced, which takes several times as long.
    short, long = (checked_alone(length) for length in (2_000, many))
    assert (long["whole"], long["checked"]) == (True, many)
    assert long["peak_kib"] < 1.1 * short["peak_kib"]


def checked_alone(length):
    done = subprocess.run([sys.executable, long_chain.__file__, str(length)], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)
