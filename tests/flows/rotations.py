"""A provider whose keys end by their own request, and an integration whose key is rotated."""

from __future__ import annotations

from datetime import timedelta

from cloud_integrations.errors import StorageUnavailableError

from .conftest import ACME, ALICE

SLUG = "simulated_keys"
OVERLAP = timedelta(hours=1)


class Rotating:
    """One integration with a key, and what a person does with its key."""

    def __init__(self, world, *, revokes=True, makes=None):
        self.world = world
        world.provider.revokes_keys = revokes
        world.provider.makes_keys = makes
        world.entries = list(world.provider.catalogue_entries())
        world.door = world.open()
        self.old = world.provider.valid_api_key
        issue = world.provider.issue_api_key

        def issue_api_key(**of):
            key = issue(**of)
            world.secrets.append(key.reveal())
            return key

        world.provider.issue_api_key = issue_api_key

    def new_key(self, **of):
        return self.world.provider.issue_api_key(**of)

    async def add(self):
        self.held = await self.world.add_key()
        return self.held

    async def begin(self, key, **changes):
        named = {"inputs": {"key": key}, "overlap": OVERLAP, "actor": ALICE, **changes}
        return await self.world.door.begin_key_rotation(ACME, SLUG, **named)

    async def make(self, making=None, **changes):
        """Have the provider make a key, as it does."""
        named = {"new_key": making or self.world.provider.makes_keys, "overlap": OVERLAP, "actor": ALICE, **changes}
        return await self.world.door.begin_key_rotation(ACME, SLUG, **named)

    def alive(self):
        """How many keys work at the provider."""
        return len(self.world.provider._keys)

    async def finish(self, **named):
        return await self.world.door.finish_key_rotation(ACME, SLUG, actor=ALICE, **named)

    async def cancel(self):
        return await self.world.door.cancel_key_rotation(ACME, SLUG, actor=ALICE)

    async def find(self):
        return await self.world.door.find_key_rotation(ACME, SLUG)

    async def shown(self):
        """The key that is handed out, to a process that has nothing in memory."""
        return (await self.world.open().credential(ACME, SLUG)).value

    async def work(self, **passed):
        """Let time pass, and let the worker make a round."""
        self.world.pass_(**passed)
        return await self.world.door.worker.retry_revocations()

    def waiting(self):
        """How many rotations and revocations wait in the outbox."""
        return [self.world.rows.count_entries(kind) for kind in ("key_rotation", "revocation")]

    def told(self):
        """Every event about rotations: its action, its outcome, its reason and its details."""
        return [
            (event.action.removeprefix("key_rotation."), event.outcome.value, event.reason, event.details)
            for event in self.world.events()
            if event.action.startswith("key_rotation.")
        ]


def break_at(world, nth, *, afterwards):
    """Let the store fail at its change number *nth* from now, before or after it was made."""
    world.store.fail(nth, afterwards=afterwards, error=StorageUnavailableError)


def reason_of(caught):
    return caught.value.reason


def asked(world):
    """How often the provider was asked for a key."""
    return sum(request.endpoint == "keys" for request in world.provider.requests)
