"""Which open authorizations make room for a new one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.device import Polling
from cloud_integrations.domain.pending import MAX_PENDING, MAX_PENDING_OF_TENANT, most_of_actor, surplus
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.values import a_pending

ALICE = Actor(id="alice")


def crowd(actors: int, each: int) -> list[tuple[str, Actor]]:
    """Newest first, the actors in turn."""
    return [(f"{number}-{turn}", Actor(id=f"mallory-{number}")) for turn in range(each) for number in range(actors)]


def test_with_room_nothing_goes() -> None:
    assert surplus([], ALICE) == []
    assert surplus([("a", ALICE)] * (MAX_PENDING - 1), ALICE) == []


@pytest.mark.requirement("OAU-013")
def test_an_actors_own_oldest_go_first() -> None:
    own = [(number, ALICE) for number in range(MAX_PENDING + 1)]
    assert surplus(own, ALICE) == [MAX_PENDING - 1, MAX_PENDING]


@pytest.mark.requirement("OAU-013", "ISO-11")
def test_who_has_the_most_loses_the_oldest_and_one_who_has_one_keeps_it() -> None:
    opened = [*crowd(actors=25, each=20)[: MAX_PENDING_OF_TENANT - 1], ("honest", ALICE)]
    (dropped,) = surplus(opened, Actor(id="bob"))
    assert dropped == "23-19"


@pytest.mark.requirement("OAU-013", "ISO-11")
def test_an_actor_that_begins_again_and_again_pushes_out_only_its_own() -> None:
    mallory = Actor(id="mallory-0")
    opened = [*crowd(actors=1, each=10), *[(number, Actor(id=f"user-{number}")) for number in range(MAX_PENDING_OF_TENANT - 10)]]
    assert surplus(opened, mallory) == ["0-9"]


@pytest.mark.requirement("OAU-013")
def test_among_equals_the_oldest_of_all_goes() -> None:
    opened = [(number, Actor(id=f"user-{number}")) for number in range(MAX_PENDING_OF_TENANT)]
    assert surplus(opened, ALICE) == [MAX_PENDING_OF_TENANT - 1]


@pytest.mark.requirement("OAU-013")
@pytest.mark.parametrize(
    ("mine", "dropped"),
    [
        (18, ["mallory-19"]),
        (19, ["alice-18"]),
        (20, ["alice-19", "alice-18"]),
        (25, [*(f"alice-{age}" for age in range(19, 25)), "alice-18"]),
    ],
)
def test_the_one_that_begins_counts_too_and_what_it_has_lost_does_not(mine, dropped):
    mallorys = [(f"mallory-{age}", Actor(id="mallory")) for age in range(20)]
    alices = [(f"alice-{age}", ALICE) for age in range(mine)]
    others = [(number, Actor(id=f"user-{number}")) for number in range(MAX_PENDING_OF_TENANT - min(mine, 19) - 20)]
    # With the new one, Alice has as many as Mallory or one less; of equals, the one with the oldest loses.
    assert surplus([*others, *mallorys, *alices], ALICE) == dropped


@pytest.mark.parametrize(("kind", "most"), [("callback", MAX_PENDING), ("device", MAX_PENDING), ("setup", MAX_PENDING_OF_TENANT)])
def test_setups_count_for_the_tenant_alone(kind, most):
    assert most_of_actor(kind) == most


@pytest.mark.parametrize("missing", ["context_id", "redirect_uri"])
def test_what_awaits_a_callback_has_an_application_and_an_address(missing):
    assert getattr(a_pending(awaits="setup", **{missing: None}), missing) is None
    with pytest.raises(ValueError, match="awaits a callback"):
        a_pending(**{missing: None})


def test_only_what_awaits_a_device_says_when_the_provider_may_be_asked() -> None:
    polling = Polling(interval=timedelta(seconds=5), next_at=START)
    assert a_pending(awaits="device", polling=polling).polling == polling
    for changes in ({"awaits": "device"}, {"polling": polling}):
        with pytest.raises(ValueError, match="device code"):
            a_pending(**changes)
