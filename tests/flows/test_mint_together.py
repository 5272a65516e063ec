"""Several processes mint from the same inputs at the same moment: the credential that ends last stays."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CommitUnknownError, StorageUnavailableError
from cloud_integrations.protocol.http import HttpResponse

from .bank import LIFE, Bank
from .conftest import ACME, ALICE

KEY = {"key": "fake-mint-key", "team": "t-1"}
OTHER_KEY = {"key": "fake-other-key", "team": "t-1"}


@pytest.fixture
def bank(world):
    return Bank(world)


@pytest.fixture
async def held(world, bank):
    """An integration whose credential has ended."""
    added = await world.door.add(ACME, "bank", name="Our bank", inputs=KEY, actor=ALICE)
    world.clock.advance(LIFE)
    return added


def answer(token, life):
    lives = {} if life is None else {"expires_in": life}
    return HttpResponse(status=200, body=json.dumps({"token": token, **lives}).encode())


def meanwhile(bank, ours, work):
    """Let *work* happen while the first mint from now on is under way, which then lives for *ours* seconds; None: nobody knows."""

    async def before():
        bank.before = None
        await work()
        bank.answer = answer("fake-ours", ours)

    bank.before = before


def minted_by_another(bank, life):
    other = bank.open()

    async def work():
        bank.answer = answer("fake-theirs", life)
        await other.credential(ACME, "bank")

    return work


def ends(world, life):
    return None if life is None else world.clock.now() + timedelta(seconds=life)


@pytest.mark.parametrize(
    ("theirs", "ours", "stays"),
    [
        (3600, 3601, "ours"),
        (3601, 3600, "theirs"),
        (3600, 3600, "theirs"),
        # Nobody knows when it ends: then one that is known to live is better.
        (None, 3600, "ours"),
        (3600, None, "theirs"),
        (None, None, "theirs"),
    ],
)
async def test_the_later_expiry_stays_whoever_stores_first(world, bank, held, theirs, ours, stays):
    meanwhile(bank, ours, minted_by_another(bank, theirs))
    shown = await world.door.credential(ACME, "bank")
    row = world.row(held)
    assert len(bank.asked) == 3
    assert shown.value == Secret(f"fake-{stays}")
    assert shown.expires_at == row.facts.expires_at == ends(world, {"ours": ours, "theirs": theirs}[stays])
    assert row.credential.generation == (3 if stays == "ours" else 2)
    assert (await bank.open().credential(ACME, "bank")).value == shown.value
    refreshed = [record.event.outcome for record in await world.door.audit.list(ACME) if record.event.action == "credential.refresh"]
    assert len(refreshed) == row.credential.generation - 1


async def test_one_that_has_ended_gives_way_to_one_whose_end_nobody_knows(world, bank, held):
    async def ended():
        await minted_by_another(bank, 60)()
        world.pass_(seconds=60)

    meanwhile(bank, None, ended)
    shown = await world.door.credential(ACME, "bank")
    assert (shown.value, shown.expires_at) == (Secret("fake-ours"), None)
    assert world.row(held).credential.generation == 3


async def test_of_three_the_last_end_stays(world, bank, held):
    async def both():
        bank.answer = answer("fake-theirs", 3600)
        await bank.open().credential(ACME, "bank")
        bank.answer = answer("fake-latest", 7200)
        await bank.open().refresh(ACME, held.id)

    meanwhile(bank, 5400, both)
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-latest")
    assert world.row(held).credential.generation == 3


async def test_the_one_that_stays_is_checked_when_the_worker_wanted_it(world, bank, held):
    world.rows._tables.integrations[ACME, held.id] = replace(world.row(held), marks=replace(world.row(held).marks, due_at=None))
    meanwhile(bank, 7200, minted_by_another(bank, 3600))
    assert (await world.door.refresh(ACME, held.id)).health.value == "ok"
    assert world.row(held).marks.due_at is None


@pytest.mark.parametrize("inputs", [OTHER_KEY, KEY], ids=["with-another-key", "with-the-same-key"])
async def test_a_reconnect_stays_unless_it_brought_the_same_inputs(world, bank, held, inputs):
    other = bank.open(verifications=())

    async def reconnect():
        bank.answer = answer("fake-reconnected", 60)
        await other.reconnect(ACME, held.id, inputs=inputs, actor=ALICE)

    meanwhile(bank, 3600, reconnect)
    shown = await world.door.credential(ACME, "bank")
    assert shown.value == Secret("fake-reconnected" if inputs is OTHER_KEY else "fake-ours")


async def test_what_the_provider_refused_meanwhile_is_not_healed_by_an_older_answer(world, bank, held):
    async def refused():
        await minted_by_another(bank, 3600)()
        bank.answer = bank.refusal("key_revoked")
        with pytest.raises(Exception, match="reconnect"):
            await bank.open().refresh(ACME, held.id)

    meanwhile(bank, 7200, refused)
    with pytest.raises(Exception, match="reconnect"):
        await world.door.credential(ACME, "bank")
    assert world.row(held).facts.health.value == "reconnect_required"


@pytest.mark.parametrize("committed", [True, False])
async def test_nothing_is_minted_again_because_a_commit_is_in_doubt(world, bank, held, committed):
    world.store.fail(1, error=CommitUnknownError, afterwards=committed)
    shown = await world.door.credential(ACME, "bank")
    world.store.heal()
    assert shown.value == Secret("fake-token-1")
    assert (len(bank.asked), world.row(held).credential.generation) == (2, 2)


async def test_a_row_that_others_write_all_the_time_ends_in_an_error(world, bank, held):
    def change(name, _):
        row = world.row(held)
        if name == "apply":
            credential = replace(row.credential, generation=row.credential.generation + 1)
            world.tables.integrations[ACME, held.id] = replace(row, credential=credential)

    async def same(*_, **__):
        return {name: Secret(value) for name, value in KEY.items()}

    sealer = world.door.wiring.sealer
    opened = sealer.open_column
    sealer.open_column = same
    world.store.before = change
    try:
        with pytest.raises(StorageUnavailableError, match="kept changing"):
            await world.door.credential(ACME, "bank")
    finally:
        sealer.open_column = opened
        world.store.before = None
    assert len(bank.asked) == 2
