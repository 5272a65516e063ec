"""The outbox: what is still to be delivered to the outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outbox import OutboxEntry

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEntry:
    """Put an entry into the outbox.  `StaleWriteError` if this entry is there already."""

    entry: OutboxEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishEntry:
    """Delete an entry, which has arrived or is given up; it is no error if it is gone."""

    tenant_id: TenantId
    entry_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayEntry:
    """Count a failed attempt and set the next time; it is no error if the entry is gone."""

    tenant_id: TenantId
    entry_id: UUID
    next_attempt_at: datetime
    error: str


class AsyncOutboxStore(Protocol):
    """Reads and claims for workers that deliver entries of a kind.

    Entries of another kind are left as they are, for a worker that knows it.
    """

    async def claim_entries(
        self, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False
    ) -> tuple[OutboxEntry | DamagedRow, ...]:
        """Return at most *limit* due entries of *kind*, of all tenants, those that were due first coming first, and hold them.

        Their `next_attempt_at` becomes the store's clock plus *hold*, so that until then no other worker gets them.  They are returned as
        they are then stored, with that time.  A claim is not an attempt: only `DelayEntry` changes `attempts` and `last_error`.
        An entry for which `DamagedRow` is returned is held, too, if its key can be read.

        With *in_order*, an entry waits until each of its kind for the same integration that was created before it is finished: whether
        that one is due, held or damaged.  Without, one that cannot be delivered holds up no other.
        """
        ...

    async def count_entries(self, kind: str, /) -> int:
        """Return how many entries of *kind* wait, of all tenants."""
        ...

    async def list_entries(
        self, tenant_id: TenantId, kind: str, /, *, index_key: str | None = None, limit: int
    ) -> tuple[OutboxEntry | DamagedRow, ...]:
        """Return the tenant's entries of *kind* (with one index key), due or not, the oldest first."""
        ...


class OutboxStore(Protocol):
    """The blocking form of `AsyncOutboxStore`: the same methods, the same promises."""

    def claim_entries(
        self, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False
    ) -> tuple[OutboxEntry | DamagedRow, ...]: ...

    def count_entries(self, kind: str, /) -> int: ...

    def list_entries(
        self, tenant_id: TenantId, kind: str, /, *, index_key: str | None = None, limit: int
    ) -> tuple[OutboxEntry | DamagedRow, ...]: ...
