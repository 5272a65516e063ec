"""Handlers that note what they get, and doors that deliver to them."""

from __future__ import annotations


class Received:
    """The messages that one handler took, and how it fails."""

    def __init__(self, world, /):
        self.world = world
        self.messages = []
        self.fail = None
        """Called with each message before it is taken; may raise."""

    @property
    def names(self):
        return [message.name for message in self.messages]

    def of(self, integration, /):
        """The names of the messages about an integration."""
        return [message.name for message in self.messages if message.integration_id == integration.id]

    @property
    def handler(self):
        """The function that a door is handed."""

        def take(message, /):
            if self.fail is not None:
                self.fail(message)
            self.messages.append(message)

        async def take_awaited(message, /):
            take(message)

        return take if self.world.blocking else take_awaited


def open_delivering(world, /, *names, **parts):
    """Open a door whose handlers note what they get; return it and what each handler got."""
    received = [Received(world) for _ in names]
    handlers = {name: each.handler for name, each in zip(names, received, strict=True)}
    return world.open(handlers=handlers, **parts), *received


async def all_of(door, /):
    """Deliver until nothing is left that can be delivered now."""
    while True:
        run = await door.worker.deliver_events()
        if not run.events and not run.delivered:
            return


def waiting(world, kind, /):
    return [entry for entry in world.tables.outbox.values() if entry.kind == kind]
