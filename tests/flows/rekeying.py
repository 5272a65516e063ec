"""Keys that are replaced, and the rows under them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from cloud_integrations.ports.store import RotateKey
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, GLOBEX

NEWCOMERS = ("hooli", "initech", "umbrella")


def keys_of(world, tenant=ACME):
    return [key for (owner, _), key in sorted(world.tables.keys.items()) if owner == tenant]


def versions(world, tenant=ACME):
    return [(key.version, key.state.value) for key in sorted(keys_of(world, tenant), key=lambda key: key.version)]


async def token(world, tenant=ACME, slug="simulated", *, door=None):
    """The credential, as a process opens it that has just started."""
    return (await (door or world.open()).credential(tenant, slug)).value.reveal()


async def fill_three_tables(world):
    """An OAuth2 grant and a key, an authorization that is open, and two tokens in the outbox: five rows."""
    held = await world.connect(GLOBEX)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=2)
    await world.door.delete(GLOBEX, held.id)
    await world.connect()
    await world.add_key()
    return await world.begin(GLOBEX)


class OtherKeys:
    """A key service of another kind: what it wraps names its own key, and it may be told to refuse or to be silent."""

    waits = False

    def __init__(self, *services, primary=0):
        self.services, self.wraps_with = services, services[primary]
        self.trouble = {}
        """What is raised, by tenant."""
        self.asked = []

    def keks(self):
        first = self.wraps_with.keks()
        return first + tuple(kek for service in self.services for kek in service.keks() if kek not in first)

    def primary(self, tenant_id, /):
        return self.wraps_with.primary(tenant_id)

    def wrap(self, data_key, /, *, tenant_id, key_id, version):
        self._refuse(tenant_id)
        return self.wraps_with.wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version)

    def unwrap(self, wrapped, /):
        self._refuse(wrapped.tenant_id)
        (service,) = [each for each in self.services if wrapped.kek_key_id in {kek.kek_key_id for kek in each.keks()}]
        return service.unwrap(wrapped)

    def _refuse(self, tenant_id):
        self.asked.append(tenant_id)
        if tenant_id in self.trouble:
            raise self.trouble[tenant_id]


async def rotate_behind(world, other):
    """Let *other* know the active key, and somebody else replace it."""
    await other.wiring.data_keys.active(GLOBEX)
    await world.door.keys.rotate(tenant_id=GLOBEX)


def rotate_meanwhile(world):
    """Let somebody else replace the active key of Globex while the next answer of the provider is on its way."""

    def rotate(*_):
        world.on_answer = None
        replaced_once_more(world, GLOBEX)

    world.on_answer = rotate


def replaced_once_more(world, tenant):
    """Rotate at the store itself, as another process would."""
    key = world.rows.find_active_key(tenant)
    key_id, version = UUID(int=key.key_id.int + 1), key.version + 1
    kek, wrapped = world.keyring.wrap(bytes(32), tenant_id=tenant, key_id=key_id, version=version)
    new = replace(key, key_id=key_id, version=version, wrapped=wrapped, kek_uri=kek.kek_uri, created_at=world.clock.now())
    world.rows.apply(RotateKey(key=new, replaces=key.key_id))
