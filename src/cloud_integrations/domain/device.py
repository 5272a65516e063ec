"""Authorizations by device code: what a person is shown, and how often the provider is asked (RFC 8628)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.secret import Secret

DEFAULT_INTERVAL: Final = timedelta(seconds=5)
"""The time between two polls if the provider names none (RFC 8628 §3.2)."""
SLOWER_BY: Final = timedelta(seconds=5)
"""What `slow_down` adds to it (RFC 8628 §3.5)."""
LONGEST_INTERVAL: Final = timedelta(minutes=5)
"""The longest time between two polls, whatever the provider says and however often it does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorization:
    """An authorization by device code that has begun: what to show to the person who consents.

    Show where `verification_uri` leads, the code, and the scopes, so that nobody enters the code elsewhere (RFC 8628 §5.4).  Do not
    send them to anybody: whoever enters the code at the provider connects their own account.
    """

    authorization_id: UUID
    """Its id, for `poll_device`; only the actor who began it can use it."""
    user_code: Secret
    """The short code to enter at the provider."""
    verification_uri: str = field(repr=False)
    """The https page at the provider where the code is entered."""
    verification_uri_complete: str | None = field(default=None, repr=False)
    """The same page with the code filled in, for a link or a QR code; None: the provider gives none."""
    integration_id: IntegrationId
    scopes: tuple[str, ...] = ()
    """The scopes that are asked for."""
    interval: timedelta
    """The time that must pass between two polls."""
    expires_at: datetime
    """When the code ends, an aware UTC datetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePending:
    """The person has not decided yet."""

    wait: timedelta
    """How long to wait before the next poll; an earlier one asks nobody."""
    expires_at: datetime
    """When the code ends, an aware UTC datetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """When the provider may be asked again about one device code."""

    interval: timedelta
    """The time between two polls; it never becomes shorter."""
    next_at: datetime
    """By the store's clock.  Before it no process asks; a process that begins a poll moves it on, so that it is the only one."""
    count: int = 0
    """How many polls have begun; it names the newest one."""

    def begun(self, now: datetime, hold: timedelta, /) -> Polling:
        """Return the state in which one process asks, and no other one does for the time *hold*."""
        return replace(self, next_at=now + hold, count=self.count + 1)

    def ended(self, now: datetime, interval: timedelta, wait: timedelta, /) -> Polling:
        """Return the state after a poll that brought no tokens."""
        return replace(self, interval=interval, next_at=now + wait)


def longer(interval: timedelta, asked: timedelta | None, /, *, slow_down: bool = False) -> timedelta:
    """Return the time between two polls after an answer (RFC 8628 §3.5).

    *asked* is the interval that the answer names; the longer one counts.  `slow_down` makes it longer for this and all later polls.
    """
    wanted = interval + SLOWER_BY if slow_down else interval
    return min(max(wanted, asked or timedelta()), LONGEST_INTERVAL)


def backed_off(interval: timedelta, /) -> timedelta:
    """Return the time between two polls after one that was not answered: twice as long (RFC 8628 §3.5)."""
    return min(2 * interval, LONGEST_INTERVAL)
