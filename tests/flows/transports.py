"""Transports of a world: a stand-in that answers all requests itself, and one that stands before another."""

from __future__ import annotations

import asyncio


class StandIn:
    """Answers each request as `respond` says, to the manager of `world`, whichever it is."""

    def respond(self, request):
        raise NotImplementedError

    @property
    def send(self):
        if self.world.blocking:
            return lambda request, /, *, deadline: self.respond(request)

        async def send(request, /, *, deadline):
            # A real transport waits here, so other tasks get a turn.
            await asyncio.sleep(0)
            return self.respond(request)

        return send

    @property
    def close(self):
        async def close():
            return

        return (lambda: None) if self.world.blocking else close


class Before:
    """Answers what `find` knows an answer to; everything else goes on to the transport that the world had."""

    def __init__(self, world, /):
        self._world = world
        self._port = world.transport

    def find(self, request):
        raise NotImplementedError

    @property
    def send(self):
        if self._world.blocking:

            def send(request, /, *, deadline):
                found = self.find(request)
                return self._port.send(request, deadline=deadline) if found is None else found

            return send

        async def awaited(request, /, *, deadline):
            found = self.find(request)
            return await self._port.send(request, deadline=deadline) if found is None else found

        return awaited

    def close(self):
        return self._port.close()
