"""A circuit breaker: whether requests to a provider may be sent now."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Protocol

from cloud_integrations.errors import ApplicationReason


class Breaker(Protocol):
    """Remembers, per authorization server and client id, whether recent requests were answered.

    While it is open, no request is sent; tokens that still work are handed out nevertheless.
    """

    def wait(self, key: Hashable, /, *, by: Hashable) -> timedelta | None:
        """Return None if a request for the tenant *by* may be sent now, else how long to wait.

        After that time, one caller may send a request as a probe.  A tenant whose probe was not answered leaves the next to others.
        """
        ...

    def look(self, key: Hashable, /) -> timedelta | None:
        """Return how long no request may be sent, which changes nothing; None: the breaker is closed.  Zero: the next one is a probe."""
        ...

    def note(self, key: Hashable, /, *, ok: bool, by: Hashable) -> None:
        """Remember whether a request for the tenant *by* was answered: *ok* for any answer below 500, else not.

        Failures of one tenant count once, however many there are, because they may be caused by its own grant.
        """
        ...

    def accept(self, key: Hashable, /) -> None:
        """Remember that the provider issued tokens; this closes the breaker, because server and application work."""
        ...

    def refuse(self, key: Hashable, reason: ApplicationReason, /, *, by: Hashable) -> None:
        """Remember that the provider refused the application, with *reason*, in a request for the tenant *by*.

        The breaker opens when a second tenant is refused too, without tokens for any tenant in between; a single tenant's refusal may
        be caused by its own grant.  Whether tokens were issued before does not matter, because a process forgets that at a restart.
        """
        ...

    def reason(self, key: Hashable, /) -> ApplicationReason | None:
        """Return why the provider refuses the application; None: it does not."""
        ...
