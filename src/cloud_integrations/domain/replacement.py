"""How soon a credential is replaced that was itself made in place of one that the provider had refused.

A server that refuses every credential would otherwise have one made for each request.  See `docs/explanation/refresh.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SHORTEST_WAIT = timedelta(seconds=10)
"""A credential that was made in place of a refused one is not replaced before it is as old as this."""
LONGEST_WAIT = timedelta(minutes=15)
"""However long a server has refused everything, a credential of this age is replaced."""
FORGOTTEN_AFTER = timedelta(hours=1)
"""A credential that is refused at this age has worked: the refusals before it no longer count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A renewal because the provider had refused the credential; the times are in the store's clock."""

    since: datetime
    """When the first of the replacements in a row was made; a renewal for another reason ends the row."""
    at: datetime
    """When this one, the last, was made."""


def replacement_wait(last: Replacement | None, /, *, now: datetime) -> timedelta:
    """Return how long a refused credential must still wait to be replaced; zero: it is replaced now.

    *last* is the replacement that the credential came from; None: it came in another way, so it is replaced at once.  The wait is as
    long as the replacements have gone on, so each is about twice as long as the one before.
    """
    if last is None or last.at - now > LONGEST_WAIT:
        # A time far in the future is that of a clock that was wrong.
        return timedelta()
    length = min(max(last.at - last.since, SHORTEST_WAIT), LONGEST_WAIT)
    return max(last.at + length - now, timedelta())


def replaced(last: Replacement | None, /, *, now: datetime) -> Replacement:
    """Return the replacement that is made *now*, of a credential that came from *last*."""
    goes_on = last is not None and abs(now - last.at) < FORGOTTEN_AFTER
    return Replacement(since=last.since if last is not None and goes_on else now, at=now)
