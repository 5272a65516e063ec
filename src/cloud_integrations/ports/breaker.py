"""Whether it makes sense to ask a provider now."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Protocol


class Breaker(Protocol):
    """Remembers, per authorization server and client id, how requests went lately.

    While it is open, nobody asks; tokens that still work are handed out all the same.
    """

    def wait(self, key: Hashable, /, *, by: Hashable) -> timedelta | None:
        """Return None if a request for *by*, a tenant, may go out now, else how long to wait.

        When the time is over, one caller is let through as a probe; a tenant whose probe got no answer leaves the next one to others.
        """
        ...

    def note(self, key: Hashable, /, *, ok: bool, by: Hashable) -> None:
        """Remember that a request for *by*, a tenant, was answered, whatever the answer, or was not (no answer, or a 5xx).

        However often one tenant is not answered, it counts once: that may be its own grant's trouble.
        """
        ...

    def accept(self, key: Hashable, /) -> None:
        """Remember that tokens came: server and application are well, so it closes."""
        ...

    def refuse(self, key: Hashable, reason: str, /, *, by: Hashable) -> None:
        """Remember that the application was refused when *by*, a tenant, was to be served.

        It opens when that is not one grant's trouble: another tenant was refused, too, and nobody accepted in between.  That
        nobody was accepted here before says nothing: a process begins anew at every restart.
        """
        ...

    def reason(self, key: Hashable, /) -> str | None:
        """Return why the application is refused, or None."""
        ...
