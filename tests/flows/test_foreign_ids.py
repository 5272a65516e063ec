"""An id of another tenant's is answered as one that names nothing, by every method that takes one, and changes nothing."""

from __future__ import annotations

import inspect
from dataclasses import fields
from operator import attrgetter
from uuid import uuid4

import pytest

from cloud_integrations.domain.audit import Actor, Outcome
from cloud_integrations.errors import CloudIntegrationsError

from .arguments import METHODS, RIGHT
from .conftest import ACME, GLOBEX
from .devices import open_with_devices

IDS = ("integration", "application_id", "webhook_id", "session_id", "authorization_id", "ids")
INCIDENTS = ("incidents.freeze", "incidents.open", "incidents.scope")
"""They are for operators, who see every tenant; a tenant's id narrows them."""
NAMED = {name: [each for each in IDS if each in inspect.signature(method).parameters] for name, method in METHODS.items()}
TAKES_ONE = sorted(name for name, ids in NAMED.items() if ids and name not in INCIDENTS)
MORE = {
    "begin_key_rotation": {"inputs": RIGHT["inputs"]},
    "edit_integration": {"name": "New name"},
    "webhooks.edit": {"enabled": False},
    "events.retry": {"state": "waiting"},
}


@pytest.fixture
def door(world):
    """A door to an installation with device codes and events."""
    open_with_devices(world)
    return world.open(settings=world.settings(events=True, slots=True))


async def _make_all(world, door):
    """Make one of everything for the other tenant; return each id by the name of its parameter, sessions by the name of their view."""
    webhook = await door.webhooks.add(GLOBEX, "https://hooks.globex.example/")
    held = await world.connect(GLOBEX, door=door, name="Files of Globex")
    application = await door.applications.save(GLOBEX, "simulated", client_id="client-of-globex", client_secret=RIGHT["api_key"])
    device = await door.begin_device(GLOBEX, "simulated", name="Device of Globex", slot="device")
    link = await door.connect_sessions.create(GLOBEX)
    agent = await door.sessions.open(
        GLOBEX, on_behalf_of="bob", providers=["simulated"], hosts=["api.simulated.example"], actor=Actor(type="agent", id="bot")
    )
    await door.worker.deliver_events()  # nobody answers there, so they wait
    return {
        "integration": held.id,
        "application_id": application.id,
        "webhook_id": webhook.webhook.id,
        "authorization_id": device.authorization_id,
        "ids": [each.id for each in await door.events.list(tenant_id=GLOBEX)],
        "sessions": agent.id,
        "connect_sessions": link.session.id,
    }


async def _said(door, method, arguments):
    """Return what the method says, without the id that it was asked for."""
    try:
        return "returned", await attrgetter(method)(door)(**arguments)
    except CloudIntegrationsError as error:
        return type(error), str(error).replace(str(arguments.get("integration")), "ID")


@pytest.mark.requirement("ISO-05", "B09")
@pytest.mark.parametrize("method", TAKES_ONE)
async def test_an_id_of_another_tenant_names_nothing(world, door, method):
    theirs = await _make_all(world, door)
    [parameter] = NAMED[method]
    one = theirs[method.partition(".")[0] if parameter == "session_id" else parameter]
    nobodys = [uuid4()] if parameter == "ids" else uuid4()
    needed = [each.name for each in inspect.signature(METHODS[method]).parameters.values() if each.default is each.empty]
    right = {name: RIGHT[name] for name in needed if name in RIGHT} | MORE.get(method, {}) | {"tenant_id": ACME}
    assert one
    before = _rows(world)
    assert await _said(door, method, right | {parameter: one}) == await _said(door, method, right | {parameter: nobodys})
    after = _rows(world)
    # An attempt may stand in the log of who was meant.
    added = after["chain"][len(before["chain"]) :]
    assert {each.event.outcome for each in added} <= {Outcome.DENIED}
    assert after | {"chain": before["chain"]} == before


def _rows(world):
    """Return what the store holds of the other tenant."""
    tables = {table.name: getattr(world.tables, table.name) for table in fields(world.tables)}
    found = {name: [row for key, row in rows.items() if _is_theirs(key, row)] for name, rows in tables.items() if isinstance(rows, dict)}
    return found | {"chain": list(world.tables.chains[GLOBEX])}


def _is_theirs(key, row):
    return GLOBEX in key if isinstance(key, tuple) else getattr(row, "tenant_id", None) == GLOBEX
