"""Events of the host are recorded and told as their kinds say."""

from __future__ import annotations

import pytest

from cloud_integrations.domain import events
from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.events import EventKind, Fact, Keys
from cloud_integrations.errors import IntegrationNotFoundError, ValidationFailedError

from .conftest import ACME, ALICE

# Events of the host

READ = EventKind(
    name="report.read",
    action="report.read",
    details=Keys.of("pages"),
    fact="report.was_read",
    keys=Keys.of("tenant", "pages", sometimes=("provider", "integration")),
)
NOT_THEIRS = "which is not for the caller to say of this event"
LOOKED = EventKind(name="report.looked_at", fact="report.looked_at", keys=Keys.of("integration"))
BOUGHT = EventKind(name="report.bought", action="report.bought", outcome=Outcome.UNKNOWN)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(events, "_REGISTERED", {})
    for kind in (READ, LOOKED, BOUGHT):
        events.register(kind)


@pytest.mark.usefixtures("registered")
async def test_an_event_of_the_host_is_recorded_and_told_as_its_kind_says(world, door):
    held = await world.add_key()
    await door.audit.record(ACME, event="report.read", facts={"pages": "3"}, actor=ALICE)
    assert world.facts.told[-1] == Fact(name="report.was_read", facts={"tenant": ACME, "pages": "3"})
    await door.audit.record(ACME, event="report.read", integration=held.id, facts={"pages": "4"}, actor=ALICE)
    about = {"tenant": ACME, "provider": "simulated_keys", "integration": str(held.id), "pages": "4"}
    assert world.facts.told[-1] == Fact(name="report.was_read", facts=about)
    ours = [event for event in world.events() if event.action == "report.read"]
    assert [(event.resource, dict(event.details), event.actor) for event in ours] == [
        (f"tenant:{ACME}", {"pages": "3"}, ALICE),
        (f"integration:{held.id}", {"pages": "4"}, ALICE),
    ]
    count = len(world.events())
    await door.audit.record(ACME, event="report.looked_at", integration="simulated_keys", actor=ALICE)
    assert (len(world.events()), world.facts.told[-1].facts) == (count, {"integration": str(held.id)})
    await door.audit.record(ACME, event="report.bought", actor=ALICE)
    assert (world.last_event().action, world.last_event().outcome) == ("report.bought", Outcome.UNKNOWN)
    assert world.facts.names[-1] == "report.looked_at"
    assert (await door.audit.verify(ACME)).whole


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("named", "field", "problem"),
    [
        ({"event": "report.written"}, "event", "is not one that was registered"),
        ({"event": "integration.removed"}, "event", "is not one that was registered"),
        ({"event": "report.read"}, "facts", "need pages, which this event always has"),
        ({"event": "report.read", "facts": {"pages": "1", "x": "y"}}, "facts", f"have x, {NOT_THEIRS}"),
        ({"event": "report.read", "facts": {"pages": "1", "tenant": "globex"}}, "facts", f"have tenant, {NOT_THEIRS}"),
        ({"event": "report.looked_at"}, "facts", "need integration, which this event always has"),
    ],
)
async def test_an_event_of_the_host_says_what_its_kind_lists(world, door, named, field, problem):
    with pytest.raises(ValidationFailedError) as caught:
        await door.audit.record(ACME, **named, actor=ALICE)
    assert (caught.value.field, caught.value.problem) == (field, problem)
    assert (world.events(), world.facts.told) == ([], [])


@pytest.mark.usefixtures("registered")
async def test_an_event_of_the_host_concerns_an_integration_of_the_tenant(world, door):
    held = await world.add_key()
    with pytest.raises(IntegrationNotFoundError):
        await door.audit.record("globex", event="report.looked_at", integration=held.id, actor=ALICE)
