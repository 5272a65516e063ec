"""Handlers: they get each event that is delivered, in the process of a worker."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.event_message import EventMessage


class EventHandler(Protocol):
    """Takes events in the process of a worker.

    It gets each event at least once, those about one integration in order, and each again after an error: after 5 s, 5 min and so on, for
    three days.  So it must stand the same `EventMessage.id` twice.  While it works, no other event of the integration comes to it.
    """

    def __call__(self, message: EventMessage, /) -> None:
        """Take *message*; what it raises is logged by the name of its class, and the message comes again."""
        ...


class AsyncEventHandler(Protocol):
    """The awaiting form of `EventHandler`, for `AsyncIntegrationManager`."""

    async def __call__(self, message: EventMessage, /) -> None:
        """Take *message*; what it raises is logged by the name of its class, and the message comes again."""
        ...
