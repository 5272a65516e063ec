"""Announcements: which messages that are told once were told, and which integrations end soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outbox import OutboxEntry

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Put *entry* into the outbox, unless *name* was announced of *subject_id* with this *value* before.

    With *lasting*, that waits until it has been announced for that long: the first time, only *at* is remembered.  Another value takes
    the place of the one before, and counts from when the first one was announced.

    The entry follows those of its integration, as `AddEntry` has it.  With *expected_generation*, nothing happens if the integration of
    the entry is gone or has another generation.
    """

    subject_id: UUID
    """The id of the integration or the application that it is about; its announcements go with it."""
    name: str
    """A word of 1 to 32 characters."""
    value: str
    """Text of 1 to 255 characters."""
    at: datetime
    entry: OutboxEntry
    lasting: timedelta = timedelta()
    expected_generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retract:
    """Forget that *name* was announced of *subject_id*, and put *entry*, if any, into the outbox if the announcement had put one there.

    It is no error if it was not announced.
    """

    tenant_id: TenantId
    subject_id: UUID
    name: str
    entry: OutboxEntry | None


class AsyncAnnouncementStore(Protocol):
    """Reads of what is to be announced."""

    async def list_ending(self, *, within: timedelta, limit: int) -> tuple[StoredIntegration | DamagedRow, ...]:
        """Return integrations of all tenants that end soon or have ended, and of which that was not announced; the first to end first.

        They are those that are renewed or used, where `reconnect_before` is at most *within* ahead and `end` was not announced with that
        time, in microseconds since 1970, as its value; and those with the rule `reconnect` whose `expires_at` is over, where `trouble`
        was not announced as `credential.reconnect_required`.  Times are compared with the store's clock.
        """
        ...


class AnnouncementStore(Protocol):
    """The blocking form of `AsyncAnnouncementStore`: the same methods, the same promises."""

    def list_ending(self, *, within: timedelta, limit: int) -> tuple[StoredIntegration | DamagedRow, ...]: ...
