"""Grafana on a server of the tenant's own, through both managers."""

from __future__ import annotations

import json

import pytest

from cloud_integrations import Catalogue
from cloud_integrations.errors import InvalidCredentialsError
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE
from .transports import StandIn

pytestmark = pytest.mark.requirement("Q69")
SERVER = "https://grafana.corp.example:3000"
TOKEN = "glsa_" + "f" * 41


class Grafana(StandIn):
    def __init__(self, world):
        self.world = world
        self.asked = []
        world.transport = self
        world.door = world.open(providers=[Catalogue.builtin().require("grafana")], applications=[])
        world.secrets.append(TOKEN)

    def respond(self, request):
        self.asked.append(request)
        alive = request.headers["Authorization"] == f"Bearer {TOKEN}"
        body = {"id": 1, "name": "Main Org."} if alive else {"message": "Invalid API key"}
        return HttpResponse(status=200 if alive else 401, headers={}, body=json.dumps(body).encode())

    async def add(self, token=TOKEN):
        return await self.world.door.add(ACME, "grafana", name="Ours", inputs={"server": SERVER, "token": token}, actor=ALICE)


async def test_a_service_account_token_connects_to_the_tenants_own_server(world):
    grafana = Grafana(world)
    held = await grafana.add()
    assert (held.account.account_id, held.account.label) == (f"{SERVER}/1", "Main Org.")
    (asked,) = grafana.asked
    assert (asked.method, asked.url, asked.tenant_server, asked.private_host) == ("GET", f"{SERVER}/api/org", True, False)
    shown = await world.door.credential(ACME, held.id)
    assert (shown.headers(), shown.values()["server"].reveal()) == ({"Authorization": f"Bearer {TOKEN}"}, SERVER)
    assert world.leaks_in(world.raw_dump()) == []


async def test_a_token_that_the_server_refuses_is_not_stored(world):
    with pytest.raises(InvalidCredentialsError):
        await Grafana(world).add("glsa_" + "0" * 41)
    assert await world.door.list_integrations(ACME) == ()
