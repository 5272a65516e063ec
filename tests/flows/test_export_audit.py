"""The audit log goes to other systems in order, and nothing is left out, whatever happens to them."""

from __future__ import annotations

import json

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.ports.store import Record
from cloud_integrations.testing.contracts.store import an_event

from .conftest import ACME, ALICE


def add(world, count):
    world.rows.apply(*[Record(event=an_event(ACME)) for _ in range(count)])


class SinkDownError(Exception):
    """The other system does not take events."""


@pytest.mark.requirement("AUD-09")
async def test_while_the_other_system_is_down_events_are_kept_in_order_and_no_call_waits(world, door):
    received, position, behind = [], 0, []

    async def ship(*, down):
        nonlocal position
        page = await door.audit.export(ACME, after=position, limit=2, actor=ALICE)
        behind.append(page.behind)
        if down:
            raise SinkDownError
        received.extend(json.loads(line)["seq"] for line in page.lines)
        position = page.last

    await world.add_key()
    add(world, 3)
    await ship(down=False)
    for _ in range(3):
        with pytest.raises(SinkDownError):
            await ship(down=True)
        # Nothing that is done here waits for the other system.
        await door.credential(ACME, "simulated_keys", actor=Actor(id=f"user-{len(behind)}"))
    end = world.rows.find_audit_head(ACME).seq
    while position < end:
        await ship(down=False)
    assert received[:end] == list(range(1, end + 1))
    # How far it is behind grows while it is down, and shrinks afterwards.
    assert behind[1] < behind[3]
    assert behind[-1] < behind[3]


@pytest.mark.requirement("AUD-09", "AUD-13")
async def test_an_export_goes_on_where_it_ended_and_is_recorded(world, door):
    add(world, 5)
    page = await door.audit.export(ACME, limit=3, actor=ALICE)
    assert ([json.loads(line)["seq"] for line in page.lines], page.last, page.behind) == ([1, 2, 3], 3, 2)
    assert (world.last_event().action, world.last_event().actor) == ("audit.read", ALICE)
    rest = await door.audit.export(ACME, after=page.last, actor=ALICE)
    assert [json.loads(line)["seq"] for line in rest.lines] == [4, 5, 6]
    assert (rest.last, rest.behind) == (6, 0)
    end = await door.audit.export(ACME, after=7, actor=ALICE)
    assert (end.lines, end.last, end.behind) == ((), 7, 0)
    assert world.rows.find_audit_head(ACME).seq == 7


async def test_another_tenant_has_other_events(world, door):
    add(world, 2)
    assert (await door.audit.export("globex", actor=ALICE)).lines == ()
    assert world.events("globex") == []


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"form": "cef"}, "form"),
        ({"form": None}, "form"),
        ({"form": ["json"]}, "form"),
        ({"after": -1}, "after"),
        ({"after": "1"}, "after"),
        ({"after": False}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
    ],
)
async def test_what_means_nothing_is_refused_by_its_name(door, named, field):
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.export(ACME, **named, actor=ALICE)
    assert caught.value.field == field
