"""Lists of resources that are odd or hostile, and choices that meet each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.integration import Health, State
from cloud_integrations.errors import (
    StorageUnavailableError,
)
from cloud_integrations.ports.store import ReplaceCredential, SaveFacts, SaveVariables

from .conftest import ACME
from .reaching import NORTH, SOUTH, answers, reaches

__all__ = ["reaches"]  # a fixture

pytestmark = pytest.mark.requirement("Q05")


# Two at once


async def test_two_choices_at_once_leave_one_of_them(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    results = await door.all_at_once(
        door._bound("choose_resource", ACME, held.id, "north"), door._bound("choose_resource", ACME, held.id, "south")
    )
    assert {result.variables["resource"] for result in results} == {"north", "south"}
    assert world.row(held).facts.variables["resource"] in {"north", "south"}


async def test_a_renewal_that_was_under_way_does_not_undo_a_choice(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    other = world.open()
    chosen = []

    def choose_meanwhile(request, response):
        if request.url.endswith("/token") and not chosen:
            stored = world.rows.find_integration(ACME, held.id)
            facts = replace(stored.facts, variables={"resource": "south"})
            world.rows.apply(SaveVariables(facts=facts, expected_generation=stored.credential.generation))
            chosen.append(facts)

    world.on_answer = choose_meanwhile
    await other.refresh(ACME, held.id)
    assert chosen
    assert world.row(held).facts.variables == {"resource": "south"}
    assert world.row(held).credential.generation == 2
    assert door is not other


async def test_a_choice_from_the_list_of_an_older_grant_is_not_written_over_a_new_one(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    world.provider.resources = [NORTH, SOUTH]
    again = []

    def reconnect_meanwhile(request, response):
        if request.url.endswith("/resources") and not again:
            again.append(request)
            stored = world.rows.find_integration(ACME, held.id)
            credential = replace(stored.credential, generation=stored.credential.generation + 1)
            # Sealed for another generation, so it no longer opens: nothing is chosen with it.
            world.rows.apply(ReplaceCredential(facts=stored.facts, credential=credential, expected_generation=stored.credential.generation))

    world.on_answer = reconnect_meanwhile
    with pytest.raises(Exception, match="does not open"):
        await door.choose_resource(ACME, held.id, "north")
    assert world.row(held).facts.variables == {"resource": ""}


async def test_a_row_that_keeps_changing_is_given_up(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()

    def disable_and_enable(request, response):
        if request.url.endswith("/resources"):
            facts = world.row(held).facts
            state = State.RETRY if facts.state is State.ACTIVE else State.ACTIVE
            world.rows.apply(SaveFacts(facts=replace(facts, state=state), expected_state=facts.state))

    world.on_answer = disable_and_enable
    with pytest.raises(StorageUnavailableError):
        await door.choose_resource(ACME, held.id, "north")


# Hostile answers


@pytest.mark.parametrize(
    "entries",
    [
        [NORTH, {"id": "../admin"}],
        [NORTH, {"id": "a b"}],
        [NORTH, {"id": "south\u202e"}],
        [NORTH, {"id": "x" * 300}],
        [NORTH, {"id": None}],
        [NORTH, {"id": True}],
        [NORTH, {"id": ["south"]}],
        [NORTH, {"name": "no id"}],
        [NORTH, "south"],
        [NORTH, None],
    ],
)
async def test_an_id_that_the_variable_does_not_allow_is_left_out_and_nothing_is_chosen_unasked(world, reaches, entries):
    door = reaches(NORTH)
    answers(world, entries)
    held = await world.connect()
    assert held.health is Health.CHOOSE_RESOURCE
    found = await door.resources(ACME, held.id)
    assert ([each.id for each in found.resources], found.is_complete) == (["north"], False)


@pytest.mark.parametrize("entries", [[{"id": "../admin"}], [None], [[]]])
async def test_a_list_of_nothing_but_odd_entries_is_not_an_empty_one(world, reaches, entries):
    reaches(NORTH)
    answers(world, entries)
    held = await world.connect()
    assert held.health is Health.CHOOSE_RESOURCE


async def test_a_resource_that_is_listed_twice_is_one(world, reaches):
    reaches(NORTH, {**NORTH, "name": "again"})
    assert (await world.connect()).variables == {"resource": "north"}


@pytest.mark.parametrize(
    ("entry", "label", "url"),
    [
        ({"name": "Acme\nNorth"}, "north", None),
        ({"name": "\x1b[31mred"}, "north", None),
        ({"name": "x" * 300}, "north", None),
        ({"name": 7, "url": "javascript:alert(1)"}, "7", None),
        ({"name": "Acme", "url": "http://north.acme.example"}, "Acme", None),
        ({"name": "Acme", "url": "https://acme.example@evil.example"}, "Acme", None),
        ({"name": "Acme", "url": "https://[evil"}, "Acme", None),
        ({"name": "Acme", "url": "https://"}, "Acme", None),
        ({"name": "Acme", "url": ["https://north.acme.example"]}, "Acme", None),
        ({"name": "Acme", "url": "https://north.acme.example/a?b"}, "Acme", "https://north.acme.example/a?b"),
    ],
)
async def test_labels_and_links_that_cannot_be_shown_are_left_out(world, reaches, entry, label, url):
    door = reaches({"id": "north", **entry})
    held = await world.connect()
    [found] = (await door.resources(ACME, held.id)).resources
    assert (found.label, found.url) == (label, url)


async def test_of_a_huge_list_a_thousand_are_shown_and_any_other_can_be_named(world, reaches):
    door = reaches(*({"id": f"r-{number}"} for number in range(1500)))
    held = await world.connect()
    found = await door.resources(ACME, held.id)
    assert (len(found.resources), found.is_complete) == (1000, False)
    assert (await door.choose_resource(ACME, held.id, "r-1400")).variables == {"resource": "r-1400"}


async def test_a_list_of_another_form_is_unread(world, reaches):
    door = reaches(NORTH)
    for body in ({"resources": [NORTH]}, "north", 7, b"\xff"):
        answers(world, body)
        held = await world.connect()
        assert held.health is Health.CHOOSE_RESOURCE
        await door.delete(ACME, held.id)


async def test_an_answer_with_another_status_of_success_is_unread(world, reaches):
    reaches(NORTH)
    answers(world, [NORTH], status=201)
    assert (await world.connect()).health is Health.CHOOSE_RESOURCE
